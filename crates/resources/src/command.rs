//! Commands of the command line as a remedy prints them: to be typed as they are.

use std::fmt;

/// One command, its arguments quoted for a POSIX shell where they need it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command(String);

impl Command {
    /// Begins a command with its words, for example `muster iot hub device-identity update`.
    pub fn new(words: &str) -> Self {
        Self(words.to_owned())
    }

    /// Adds a flag with its value.
    #[must_use]
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(flag);
        self.0.push(' ');
        push_quoted(&mut self.0, value);
        self
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Command> for String {
    fn from(command: Command) -> Self {
        command.0
    }
}

fn push_quoted(text: &mut String, value: &str) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._/:=,@%+".contains(&b);
    if !value.is_empty() && !value.starts_with('-') && value.bytes().all(plain) {
        text.push_str(value);
    } else {
        text.push('\'');
        text.push_str(&value.replace('\'', r"'\''"));
        text.push('\'');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_shell_would_read_otherwise() {
        let command = Command::new("muster iot hub device-identity show")
            .flag("--hub-name", "muster-hub")
            .flag("--device-id", "it's $5 (*)");
        assert_eq!(
            command.to_string(),
            r"muster iot hub device-identity show --hub-name muster-hub --device-id 'it'\''s $5 (*)'"
        );
    }
}
