//! What command lines of commands that need no server have in common.

use std::ffi::OsString;

use crate::error::Errors;

/// The content of a command line that starts with the word of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CommandRead<T> {
    /// What the command is about.
    Command(T),
    /// The help of the commands.
    CommandHelp,
}

/// Reads the words behind the word of a command by `parse`, if a command line starts with it.
pub(crate) fn read_words<T>(
    name: &str,
    args: &[OsString],
    parse: impl FnOnce(&[OsString]) -> Result<T, String>,
) -> Option<Result<CommandRead<T>, Errors>> {
    let (_, rest) = args.split_first().filter(|(first, _)| *first == name)?;
    if rest.iter().any(|word| word == "--help" || word == "-h") {
        return Some(Ok(CommandRead::CommandHelp));
    }
    let read = parse(rest).map(CommandRead::Command);
    Some(read.map_err(|reason| Errors::of_command_line(name, reason)))
}

/// The error for a word that is superfluous.
pub(crate) fn superfluous(word: &OsString) -> String {
    format!("{}: one word too many", word.to_string_lossy())
}

/// The error for a flag that the command lacks.
pub(crate) fn unknown_flag(flag: &OsString) -> String {
    format!("{} is no flag of it", flag.to_string_lossy())
}
