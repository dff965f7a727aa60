//! The words of the command `init`, which writes a configuration file.

use std::ffi::OsString;

use crate::command_words::{CommandRead, read_words, superfluous, unknown_flag};
use crate::error::Errors;
use crate::raw::text_of;

/// The word that a command line with it starts with.
pub(crate) const NAME: &str = "init";

/// Reads a command line that starts with `init`, if this one does: the application that it names,
/// if it names one.
pub(crate) fn read(args: &[OsString]) -> Option<Result<CommandRead<Option<String>>, Errors>> {
    read_words(NAME, args, |rest| match rest {
        [] => Ok(None),
        [app] if !app.as_encoded_bytes().starts_with(b"-") => Ok(Some(text_of(app))),
        [flag] => Err(unknown_flag(flag)),
        [_, second, ..] => Err(superfluous(second)),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Command, load};

    #[test]
    fn an_application_may_be_named() {
        let load = |words: &str| {
            let args: Vec<_> = words.split_whitespace().map(OsString::from).collect();
            load(&args, &[], Path::new("/nowhere"))
        };
        assert!(matches!(load("init"), Ok(Command::Init(None))));
        let Ok(Command::Init(Some(app))) = load("init shop:app") else { panic!("no command") };
        assert_eq!(app, "shop:app");
        assert!(matches!(load("init --help"), Ok(Command::Help(_))));
        for (words, reason) in [
            ("init --force", "init: --force is no flag of it"),
            ("init a b", "init: b: one word too many"),
        ] {
            let errors = load(words).unwrap_err();
            assert_eq!((errors.to_string().as_str(), errors.exit_code()), (reason, 2));
        }
    }
}
