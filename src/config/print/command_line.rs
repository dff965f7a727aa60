//! The command line with its descriptions, for completions. The program itself reads it
//! with `flags.rs` and `control_command.rs`, which have no descriptions.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, Command, ValueHint};

use crate::check_command;
use crate::control_command::{self, COMMANDS, FLAGS, Verb};
use crate::row::Arity;
use crate::table::{ROWS, Row};

/// The whole command line: the settings, and the commands to a running server.
#[must_use]
pub fn command_line() -> Command {
    let switch = |name: &'static str, short, text: &'static str| {
        Arg::new(name).short(short).long(name).action(ArgAction::SetTrue).help(text)
    };
    Command::new("monoceros")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args(ROWS.iter().map(setting))
        .arg(switch("help", 'h', "Print a summary of the flags"))
        .arg(switch("version", 'V', "Print the version"))
        .subcommands(COMMANDS.iter().map(|(name, text)| command(name, text)))
}

fn setting(row: &'static Row) -> Arg {
    let arg = Arg::new(row.name).help(plain(&row.summary()));
    let arg = match row.arity {
        Arity::Switch => arg.action(ArgAction::SetTrue),
        Arity::Optional => arg.num_args(0..=1).value_hint(hint(row.placeholder)),
        Arity::One => arg.action(ArgAction::Set).value_hint(hint(row.placeholder)),
        Arity::List => arg.action(ArgAction::Append).value_hint(hint(row.placeholder)),
    };
    if row.positional {
        // The words after `--` are a program and its arguments.
        return if row.arity == Arity::List {
            arg.last(true).num_args(1..).value_hint(ValueHint::CommandWithArguments)
        } else {
            arg
        };
    }
    let arg = arg.long(row.key()).visible_aliases(row.aliases);
    let arg = row.short.into_iter().fold(arg, Arg::short);
    // In a format string the words are only parts.
    if row.choices.is_empty() || row.placeholder == "FORMAT" {
        return arg;
    }
    let words = row.choices.iter().map(|(word, text)| PossibleValue::new(word).help(plain(text)));
    arg.value_parser(PossibleValuesParser::new(words))
}

/// The kind of word that a placeholder stands for.
fn hint(placeholder: &str) -> ValueHint {
    match placeholder {
        "FILE" => ValueHint::FilePath,
        "DIRECTORY" | "DIRECTORIES" => ValueHint::DirPath,
        "PATH" => ValueHint::ExecutablePath,
        "USER" => ValueHint::Username,
        _ => ValueHint::Other,
    }
}

fn command(name: &'static str, text: &str) -> Command {
    if name == check_command::NAME {
        let deploy = Arg::new("deploy").long("deploy").action(ArgAction::SetTrue);
        let settings = ROWS.iter().map(setting);
        let texts = FLAGS.iter().filter(|(flag, _)| *flag == "--deploy");
        let deploy = texts.fold(deploy, |arg, (_, text)| arg.help(plain(text)));
        return Command::new(name)
            .about(plain(text))
            .disable_help_flag(true)
            .arg(deploy)
            .args(settings);
    }
    let verb = Verb::ALL.into_iter().find(|verb| verb.to_string() == name);
    let command =
        verb.map_or_else(|| Command::new(name), |verb| control_command::words(verb).name(name));
    command.about(plain(text)).disable_help_flag(true).mut_args(|arg| {
        let long = arg.get_long().map(|long| format!("--{long}")).unwrap_or_default();
        let explained = FLAGS.iter().find(|(flag, _)| flag.split(' ').any(|word| word == long));
        match explained {
            Some((flag, text)) if flag.ends_with("FILE") => {
                arg.help(plain(text)).value_hint(hint("FILE"))
            }
            Some((_, text)) => arg.help(plain(text)),
            None if long == "--help" => arg.help("Print the commands and their flags"),
            None => arg.help("The pid of the server's master"),
        }
    })
}

/// The first sentence for shells: without backquotes and without its period.
fn plain(text: &str) -> String {
    let text = text.replace('`', "");
    let sentence = text.split(". ").next().unwrap_or_default();
    sentence.strip_suffix('.').unwrap_or(sentence).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_contradiction_in_it() {
        command_line().debug_assert();
    }
}
