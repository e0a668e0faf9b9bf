//! Words that must not stand in the tree: the tree speaks of the product alone, and of no machine it was made on.
//!
//! Each is put together from pieces, so that this file does not break its own rule.

/// A word, and why it may not stand here.
pub(super) struct Word {
    pub(super) pieces: &'static [&'static str],
    pub(super) why: &'static str,
}

const MACHINE: &str = "a path of one machine";
const OPEN: &str = "what is open stands in docs/roadmap.md with its reason";
const REGISTRY: &str = "a registry's host; packages are named, their hosts are the machine's business";
const TALK: &str = "the tree speaks of the product alone";

/// The words, as they are spelt: case counts.
pub(super) const WORDS: &[Word] = &[
    Word {
        pieces: &["TO", "DO"],
        why: OPEN,
    },
    Word {
        pieces: &["FIX", "ME"],
        why: OPEN,
    },
    Word {
        pieces: &["X", "XX"],
        why: OPEN,
    },
    Word {
        pieces: &["/wo", "rk/"],
        why: MACHINE,
    },
    Word {
        pieces: &["/far", "m/"],
        why: MACHINE,
    },
    Word {
        pieces: &["/tmp/", "bash"],
        why: MACHINE,
    },
    Word {
        pieces: &["/root", "/"],
        why: MACHINE,
    },
    Word {
        pieces: &[".cargo/", "registry"],
        why: MACHINE,
    },
    Word {
        pieces: &["py", "pi.org"],
        why: REGISTRY,
    },
    Word {
        pieces: &["python", "hosted.org"],
        why: REGISTRY,
    },
    Word {
        pieces: &["registry.", "npmjs"],
        why: REGISTRY,
    },
    Word {
        pieces: &["index.crates", ".io"],
        why: REGISTRY,
    },
    Word {
        pieces: &["static.crates", ".io"],
        why: REGISTRY,
    },
    Word {
        pieces: &["deb.debian", ".org"],
        why: REGISTRY,
    },
    Word {
        pieces: &["Clau", "de"],
        why: TALK,
    },
    Word {
        pieces: &["Anthro", "pic"],
        why: TALK,
    },
    Word {
        pieces: &["language", " model"],
        why: TALK,
    },
    Word {
        pieces: &["sub", "agent"],
        why: TALK,
    },
    Word {
        pieces: &["house", ".md"],
        why: TALK,
    },
    Word {
        pieces: &["stack", ".md"],
        why: TALK,
    },
];

/// Says whether `text` holds the word with no letter or digit right before or after it.
pub(super) fn holds(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        // A path that goes on is still that path, and one that began earlier is another.
        let joined = if word.starts_with('/') {
            before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | ')'))
        } else {
            before.is_some_and(char::is_alphanumeric) || after.is_some_and(char::is_alphanumeric)
        };
        !joined
    })
}

/// Says whether a line names a numbered thing of our tracker, in words or by a number sign before the number.
///
/// Another project's is a source and may be named: its name stands right before, with a capital, a hyphen or a slash.
pub(super) fn names_an_issue(line: &str) -> bool {
    let spelled = ["issue ", "Issue "]
        .iter()
        .flat_map(|word| line.match_indices(word))
        .any(|(at, word)| {
            let before = line[..at].split_whitespace().next_back().unwrap_or_default();
            let is_source = before.contains(|c: char| c.is_uppercase() || matches!(c, '-' | '/'));
            let is_ours =
                before.is_empty() || before.ends_with("//") || before.ends_with("//!") || !is_source;
            line[at + word.len()..].starts_with(|c: char| c.is_ascii_digit() || c == '#') && is_ours
        });
    let marked = line.match_indices('#').any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after: String = line[at + 1..]
            .chars()
            .take_while(|c| c.is_alphanumeric())
            .collect();
        before.is_none_or(|c| c.is_whitespace() || c == '(')
            && !after.is_empty()
            && after.len() <= 4
            && after.chars().all(|c| c.is_ascii_digit())
    });
    spelled || marked
}
