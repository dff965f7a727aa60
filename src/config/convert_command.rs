//! The words of the command `convert`, which prints a file of gunicorn as YAML.

use std::ffi::OsString;

use crate::command_words::{CommandRead, read_words, superfluous};
use crate::error::Errors;

/// The word that a command line with it starts with.
pub(crate) const NAME: &str = "convert";

/// Reads a command line that starts with `convert`, if this one does.
pub(crate) fn read(args: &[OsString]) -> Option<Result<CommandRead<OsString>, Errors>> {
    read_words(NAME, args, |rest| match rest {
        [] => Err("names no file; example: convert gunicorn.conf.py".to_owned()),
        [file] => Ok(file.clone()),
        [_, second, ..] => Err(superfluous(second)),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Command, load};

    #[test]
    fn one_file_is_named() {
        let load = |words: &str| {
            let args: Vec<_> = words.split_whitespace().map(OsString::from).collect();
            load(&args, &[], Path::new("/nowhere"))
        };
        let Ok(Command::Convert(file)) = load("convert a.conf.py") else { panic!("no command") };
        assert_eq!(file, "a.conf.py");
        assert!(matches!(load("convert -h"), Ok(Command::Help(_))));
        assert!(load("convert").unwrap_err().to_string().starts_with("convert: names no file"));
        let superfluous = load("convert a b").unwrap_err();
        assert_eq!(superfluous.to_string(), "convert: b: one word too many");
    }
}
