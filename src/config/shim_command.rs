//! The words of the command `install-gunicorn-shim`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::Errors;

/// The word that a command line with it starts with.
pub(crate) const NAME: &str = "install-gunicorn-shim";

/// The flag that allows to remove another gunicorn.
pub(crate) const REPLACE: &str = "--replace";

/// Installs the program `gunicorn` into an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShimCommand {
    /// The environment: the directory that has `bin/python`.
    pub environment: PathBuf,
    /// Also if another gunicorn is installed there.
    pub replaces: bool,
}

/// The content of a command line that starts with `install-gunicorn-shim`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ShimRead {
    /// The command.
    Command(ShimCommand),
    /// The help of the commands.
    CommandHelp,
}

/// Reads a command line that starts with `install-gunicorn-shim`, if this one does.
pub(crate) fn read(args: &[OsString], cwd: &Path) -> Option<Result<ShimRead, Errors>> {
    let (_, rest) = args.split_first().filter(|(first, _)| *first == NAME)?;
    if rest.iter().any(|word| word == "--help" || word == "-h") {
        return Some(Ok(ShimRead::CommandHelp));
    }
    let is_flag = |word: &&OsString| word.as_encoded_bytes().starts_with(b"-");
    let (flags, words): (Vec<_>, Vec<_>) = rest.iter().partition(is_flag);
    let unknown = flags.iter().find(|flag| **flag != REPLACE);
    let environment = match (unknown, words.as_slice()) {
        (Some(flag), _) => Err(format!("{} is no flag of it", flag.to_string_lossy())),
        (None, []) => Err("names no environment; example: install-gunicorn-shim .venv".to_owned()),
        (None, [environment]) => Ok(cwd.join(environment)),
        (None, [_, second, ..]) => Err(format!("{}: one word too many", second.to_string_lossy())),
    };
    let replaces = !flags.is_empty();
    let read =
        environment.map(|environment| ShimRead::Command(ShimCommand { environment, replaces }));
    Some(read.map_err(|reason| Errors::of_command_line(NAME, reason)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, load};

    fn read_words(words: &str) -> Result<Command, Errors> {
        let args: Vec<_> = words.split_whitespace().map(OsString::from).collect();
        load(&args, &[], Path::new("/nowhere"))
    }

    #[test]
    fn the_environment_is_named() {
        for (words, environment, replaces) in [
            ("install-gunicorn-shim .venv", "/nowhere/.venv", false),
            ("install-gunicorn-shim --replace /venv", "/venv", true),
            ("install-gunicorn-shim /venv --replace", "/venv", true),
        ] {
            let Ok(Command::InstallShim(command)) = read_words(words) else { panic!("{words}") };
            assert_eq!(command, ShimCommand { environment: environment.into(), replaces });
        }
        assert!(matches!(read_words("install-gunicorn-shim --help"), Ok(Command::Help(_))));
    }

    #[test]
    fn a_wrong_word_is_an_error_of_the_command_line() {
        for (words, reason) in [
            ("install-gunicorn-shim", "install-gunicorn-shim: names no environment"),
            ("install-gunicorn-shim a b", "install-gunicorn-shim: b: one word too many"),
            ("install-gunicorn-shim --force a", "install-gunicorn-shim: --force is no flag of it"),
        ] {
            let errors = read_words(words).unwrap_err();
            assert_eq!(errors.exit_code(), 2);
            assert!(errors.to_string().starts_with(reason), "{errors}");
        }
    }
}
