//! The words of the command `completions`, which prints the completions of a shell.

use std::ffi::OsString;

use crate::command_words::{CommandRead, read_words, superfluous};
use crate::error::Errors;
use crate::shell_name::ShellName;
use crate::value::Value;

/// The word that a command line with it starts with.
pub(crate) const NAME: &str = "completions";

/// Reads a command line that starts with `completions`, if this one does.
pub(crate) fn read(args: &[OsString]) -> Option<Result<CommandRead<ShellName>, Errors>> {
    read_words(NAME, args, |rest| match rest {
        [] => Err("names no shell; examples: completions bash, completions zsh".to_owned()),
        [shell] => ShellName::parse(&shell.to_string_lossy(), None),
        [_, second, ..] => Err(superfluous(second)),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::print::completions;
    use crate::{Command, load};

    fn read_words(words: &str) -> Result<Command, Errors> {
        let args: Vec<_> = words.split_whitespace().map(OsString::from).collect();
        load(&args, &[], Path::new("/nowhere"))
    }

    #[test]
    fn each_shell_has_its_completions() {
        for (shell, part) in [
            ("bash", "complete -F _monoceros"),
            ("zsh", "#compdef monoceros"),
            ("fish", "complete -c monoceros"),
        ] {
            let read = read_words(&format!("completions {shell}"));
            let Ok(Command::Completions(name)) = read else { panic!("{shell}: {read:?}") };
            let text = completions(name);
            assert!(text.contains(part) && text.contains("keep-alive"), "{shell}");
        }
        assert!(matches!(read_words("completions --help"), Ok(Command::Help(_))));
        assert!(matches!(read_words("completions:app"), Ok(Command::Run(_))));
    }

    #[test]
    fn a_wrong_shell_is_an_error_of_the_command_line() {
        for (words, reason) in [
            ("completions", "completions: names no shell; examples: completions bash, "),
            ("completions tcsh", "completions: \"tcsh\" is not one of bash, zsh, fish"),
            ("completions bash zsh", "completions: zsh: one word too many"),
        ] {
            let errors = read_words(words).unwrap_err();
            assert_eq!(errors.exit_code(), 2);
            assert!(errors.to_string().starts_with(reason), "{errors}");
        }
    }
}
