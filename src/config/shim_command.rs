//! The words of the command `install-gunicorn-shim`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::command_words::{CommandRead, read_words, superfluous, unknown_flag};
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

/// Reads a command line that starts with `install-gunicorn-shim`, if this one does.
pub(crate) fn read(
    args: &[OsString],
    cwd: &Path,
) -> Option<Result<CommandRead<ShimCommand>, Errors>> {
    read_words(NAME, args, |rest| parse(rest, cwd))
}

fn parse(rest: &[OsString], cwd: &Path) -> Result<ShimCommand, String> {
    let is_flag = |word: &&OsString| word.as_encoded_bytes().starts_with(b"-");
    let (flags, words): (Vec<_>, Vec<_>) = rest.iter().partition(is_flag);
    if let Some(flag) = flags.iter().find(|flag| **flag != REPLACE) {
        return Err(unknown_flag(flag));
    }
    match words.as_slice() {
        [] => Err("names no environment; example: install-gunicorn-shim .venv".to_owned()),
        [environment] => {
            Ok(ShimCommand { environment: cwd.join(environment), replaces: !flags.is_empty() })
        }
        [_, second, ..] => Err(superfluous(second)),
    }
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
