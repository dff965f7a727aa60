//! The words of the command `check`, which takes the flags of a server.

use std::ffi::OsString;

/// The word that a command line with it starts with.
pub(crate) const NAME: &str = "check";

/// The content of a command line that starts with `check`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CheckWords {
    /// `--deploy` is among the words.
    pub(crate) deploy: bool,
    /// The flags of the server, and its application.
    pub(crate) settings: Vec<OsString>,
}

/// Reads a command line that starts with `check`, if this one does. The words behind `--`
/// belong to a program.
pub(crate) fn read(args: &[OsString]) -> Option<CheckWords> {
    let (_, rest) = args.split_first().filter(|(first, _)| *first == NAME)?;
    let end = rest.iter().position(|word| word == "--").unwrap_or(rest.len());
    let (own, program) = rest.split_at(end);
    let is_deploy = |word: &&OsString| *word == "--deploy";
    let settings = own.iter().filter(|word| !is_deploy(word)).chain(program);
    Some(CheckWords {
        deploy: own.iter().any(|word| is_deploy(&word)),
        settings: settings.cloned().collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Command, load};

    fn check(words: &str) -> Command {
        let args: Vec<_> = words.split_whitespace().map(OsString::from).collect();
        load(&args, &[], Path::new("/nowhere")).unwrap()
    }

    #[test]
    fn it_takes_the_flags_of_a_server() {
        for (words, expected) in [
            ("check shop:app -w 3", false),
            ("check --deploy shop:app -w 3", true),
            ("check -w 3 shop:app --deploy", true),
        ] {
            let Command::Check { loaded, deploy } = check(words) else { panic!("{words}") };
            assert_eq!((loaded.app.as_deref(), deploy), (Some("shop:app"), expected), "{words}");
        }
        let words = "check -k exec -- run --deploy";
        let Command::Check { loaded, deploy } = check(words) else { panic!("{words}") };
        assert_eq!((loaded.settings.program.len(), deploy), (2, false));
    }

    #[test]
    fn other_command_lines_are_not_its_own() {
        assert!(matches!(check("check:app"), Command::Run(_)));
        assert!(matches!(check("-w 2 check"), Command::Run(_)));
        let Command::Help(text) = check("check --help") else { panic!("no help") };
        assert!(text.contains("--deploy"));
        let args = ["check", "--deplooy"].map(OsString::from);
        assert!(load(&args, &[], Path::new("/nowhere")).is_err());
    }
}
