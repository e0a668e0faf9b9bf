//! Rust source seen line by line, as far as the checks need it: where the tests begin, what is code and what is comment.
//!
//! This is no parser. It errs only on text that formatted code does not hold, such as a test module that is not last.

/// Returns how many lines stand before the test module at the end of the file; all, when there is none.
pub(crate) fn lines_without_tests(text: &str) -> usize {
    let mut previous = "";
    for (index, line) in text.lines().enumerate() {
        if previous == "#[cfg(test)]" && line.starts_with("mod ") && line.ends_with('{') {
            return index.saturating_sub(1);
        }
        previous = line;
    }
    text.lines().count()
}

/// Returns the code before the test module: each line with its number, comments taken off, empty lines left out.
pub(crate) fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .take(lines_without_tests(text))
        .enumerate()
        .map(|(index, line)| (index + 1, without_comment(line).trim()))
        .filter(|(_, line)| !line.is_empty())
}

/// Returns the names of the functions marked as tests, with their line numbers.
pub(crate) fn tests(text: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut marked = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            marked = true;
        } else if marked && let Some(name) = function(line) {
            names.push((index + 1, name));
            marked = false;
        }
    }
    names
}

/// Takes a line comment off, unless the two slashes stand in a string (an odd number of quotes before them).
fn without_comment(line: &str) -> &str {
    line.match_indices("//")
        .map(|(at, _)| &line[..at])
        .find(|before| before.matches('"').count() % 2 == 0)
        .unwrap_or(line)
}

fn function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ").unwrap_or(line);
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    let name = rest.strip_prefix("fn ")?;
    name.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::{code, lines_without_tests, tests};

    const FILE: &str = "//! Head.\nfn a() {} // tokio::spawn\nlet url = \"http://a\";\n\n#[cfg(test)]\nmod tests {\n    \
                        #[test]\n    fn finds_the_thing() {}\n}\n";

    #[test]
    fn tests_at_the_end_do_not_count() {
        assert_eq!(lines_without_tests(FILE), 4);
        assert_eq!(lines_without_tests("a\nb\n"), 2);
        assert_eq!(lines_without_tests("#[cfg(test)]\nmod tests;\nfn a() {}\n"), 3);
    }

    #[test]
    fn comments_are_no_code_and_slashes_in_strings_are() {
        let lines: Vec<_> = code(FILE).collect();
        assert_eq!(lines, [(2, "fn a() {}"), (3, "let url = \"http://a\";")]);
    }

    #[test]
    fn names_of_tests_are_found_where_they_stand() {
        assert_eq!(tests(FILE), [(8, "finds_the_thing")]);
        assert_eq!(
            tests("#[tokio::test]\nasync fn a_b_c() {}\nfn no() {}"),
            [(2, "a_b_c")]
        );
    }
}
