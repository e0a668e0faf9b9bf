//! Prints a command, runs it, and shows what came back.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::cli::{Failure, Outcome, print};

/// Lines of an answer that are shown; the rest is told by number.
const SHOWN_LINES: usize = 16;

/// How often an explanation is asked for: it is made beside the answer, a moment later.
const EXPLAIN_TRIES: u32 = 50;

/// Time between two of these.
const EXPLAIN_PAUSE: Duration = Duration::from_millis(100);

/// Where the demo plays.
pub(super) struct Stage {
    work: PathBuf,
    data: PathBuf,
    address: SocketAddr,
    program: PathBuf,
    steps: u32,
    problems: Vec<String>,
}

/// An answer to curl.
pub(super) struct Answer {
    /// The status; 0 when no answer came.
    pub(super) status: u16,
    /// The body as JSON; null when it is none.
    pub(super) json: Value,
}

impl Stage {
    /// Plays in `work`, against the server at `address` whose data lies in `data`.
    pub(super) fn new(work: PathBuf, data: PathBuf, address: SocketAddr) -> Result<Self, Failure> {
        let program = std::env::current_exe()?;
        let curl = Command::new("curl")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !curl.is_ok_and(|status| status.success()) {
            return Err(Failure::new(
                "the devices of the demo use curl, which is not here; install it (Debian: apt-get install curl)",
            ));
        }
        Ok(Self {
            work,
            data,
            address,
            program,
            steps: 0,
            problems: Vec::new(),
        })
    }

    /// Tells what is about to happen, and how to type along.
    pub(super) fn opening(&self) -> Outcome {
        print(&format!(
            "A fresh server listens on https://{}. Lines that begin with $ are run as they stand;\n\
             to type along, in another terminal:\n\n  \
             alias muster={}\n  export MUSTER_DATA={}\n  cd {}",
            self.address,
            self.program.display(),
            self.data.display(),
            self.work.display()
        ))
    }

    /// Tells how to go on while the server stays up.
    pub(super) fn farewell(&self) -> String {
        format!(
            "The server stays up at https://{}; Ctrl-C ends it. Go on with, for example:\n\n  \
             alias muster={}\n  export MUSTER_DATA={}\n  muster iot hub device-identity list -o table\n  \
             muster explain --last 5",
            self.address,
            self.program.display(),
            self.data.display()
        )
    }

    /// Begins a step.
    pub(super) fn step(&mut self, title: &str) -> Outcome {
        self.steps += 1;
        print(&format!("\n{}. {title}", self.steps))
    }

    /// Notes a step that did not hold.
    pub(super) fn check(&mut self, held: bool, what: &str) {
        if !held {
            self.problems.push(what.to_owned());
        }
    }

    /// The steps that did not hold.
    pub(super) fn problems(&self) -> Vec<String> {
        self.problems.clone()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .current_dir(&self.work)
            .env("MUSTER_DATA", &self.data)
            .stdin(Stdio::null());
        command
    }

    /// Runs `muster` with these words; its output.
    pub(super) fn muster(&mut self, words: &[&str]) -> Result<String, Failure> {
        self.run(words, &[])
    }

    /// Runs `muster` with these words; its output as JSON, of which the lines with these members are shown.
    pub(super) fn muster_json(&mut self, words: &[&str], members: &[&str]) -> Result<Value, Failure> {
        let text = self.run(words, members)?;
        Ok(serde_json::from_str(&text)?)
    }

    fn run(&mut self, words: &[&str], members: &[&str]) -> Result<String, Failure> {
        print(&format!("\n$ {}", typed("muster", words)))?;
        let output = self.command(words).output()?;
        Self::judge(&typed("muster", words), &output, members)
    }

    /// Starts `muster` with these words, to run beside what follows.
    pub(super) fn start(&self, words: &[&str]) -> Result<Child, Failure> {
        print(&format!("\n$ {} &", typed("muster", words)))?;
        Ok(self
            .command(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?)
    }

    /// Waits for what was started; its output.
    pub(super) fn finish(&mut self, child: Child) -> Result<String, Failure> {
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // The whole of it is the point here.
        print(&indented(&text, usize::MAX))?;
        self.check(output.status.success(), "the listener ended well");
        Ok(text)
    }

    fn judge(line: &str, output: &Output, members: &[&str]) -> Result<String, Failure> {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        print(&indented(&with_members(&text, members), SHOWN_LINES))?;
        if output.status.success() {
            Ok(text)
        } else {
            let error = String::from_utf8_lossy(&output.stderr);
            Err(Failure::new(format!("{line}\n{}", error.trim())))
        }
    }

    /// Makes a call with curl, as a device would.
    pub(super) fn curl(
        &mut self,
        method: &str,
        credential: Option<(&str, &str)>,
        headers: &[&str],
        body: Option<&str>,
        url: &str,
    ) -> Result<Answer, Failure> {
        let trusted = self.data.join("ca.pem").display().to_string();
        let connect = format!("::{}", self.address);
        let mut words = vec!["--cacert", &trusted, "--connect-to", &connect, "-X", method];
        if let Some((certificate, key)) = credential {
            words.extend(["--cert", certificate, "--key", key]);
        }
        for header in headers {
            words.extend(["-H", header]);
        }
        if let Some(body) = body {
            words.extend(["-d", body]);
        }
        words.push(url);
        let shown: Vec<&str> = words
            .iter()
            .map(|word| {
                if *word == trusted {
                    "$MUSTER_DATA/ca.pem"
                } else {
                    word
                }
            })
            .collect();
        print(&format!("\n$ {}", typed("curl", &shown)))?;
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "30",
                "--write-out",
                "\n%{http_code}",
            ])
            .args(&words)
            .current_dir(&self.work)
            .stdin(Stdio::null())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", &text));
        let status: u16 = status.trim().parse().unwrap_or(0);
        if status == 0 {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!(
                "curl had no answer from {url}: {}",
                error.trim()
            )));
        }
        print(&indented(&format!("{status} {body}"), SHOWN_LINES))?;
        Ok(Answer {
            status,
            json: serde_json::from_str(body).unwrap_or(Value::Null),
        })
    }

    /// Asks why a caller was refused; the explanation is made beside the answer, so it is asked for until it is there.
    pub(super) fn explain(&mut self, tracking: &str) -> Result<String, Failure> {
        let words = ["explain", tracking];
        print(&format!("\n$ {}", typed("muster", &words)))?;
        for _ in 1..EXPLAIN_TRIES {
            let output = self.command(&words).output()?;
            if output.status.success() {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                print(&indented(&text, usize::MAX))?;
                return Ok(text);
            }
            std::thread::sleep(EXPLAIN_PAUSE);
        }
        let output = self.command(&words).output()?;
        Self::judge(&typed("muster", &words), &output, &[])
    }
}

/// The lines of a JSON document that hold one of these members, and dots where others stand; all of it when no member
/// is named.
fn with_members(text: &str, members: &[&str]) -> String {
    if members.is_empty() {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut skipping = false;
    for line in text.lines() {
        let wanted = members
            .iter()
            .any(|member| line.trim_start().starts_with(&format!("\"{member}\":")));
        if wanted {
            shown.push_str(line.trim());
            shown.push('\n');
        } else if !skipping {
            shown.push_str("…\n");
        }
        skipping = !wanted;
    }
    shown
}

/// A command as it is typed.
fn typed(program: &str, words: &[&str]) -> String {
    let mut line = program.to_owned();
    for word in words {
        let plain = !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._/:=,@%+$".contains(&b));
        // Writing to a string cannot fail.
        let _ = if plain {
            write!(line, " {word}")
        } else {
            write!(line, " '{}'", word.replace('\'', r"'\''"))
        };
    }
    line
}

/// An answer, indented, at most so many lines of it.
fn indented(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let mut shown = String::new();
    for line in lines.iter().take(most) {
        // Writing to a string cannot fail.
        let _ = writeln!(shown, "    {line}");
    }
    if lines.len() > most {
        let _ = writeln!(shown, "    … and {} lines more", lines.len() - most);
    }
    shown.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted_where_a_shell_would_read_them_otherwise() {
        assert_eq!(
            typed("curl", &["-d", "{\"a\": 1}", "x"]),
            "curl -d '{\"a\": 1}' x"
        );
        assert_eq!(typed("muster", &["a'b"]), r"muster 'a'\''b'");
    }

    #[test]
    fn members_are_picked_out_of_a_document() {
        let document = "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": 2\n  }\n}";
        assert_eq!(with_members(document, &["c"]), "…\n\"c\": 2\n…\n");
        assert_eq!(with_members(document, &[]), document);
    }

    #[test]
    fn long_answers_are_cut_and_say_so() {
        assert_eq!(indented("a\nb\nc\n", 2), "    a\n    b\n    … and 1 lines more");
    }
}
