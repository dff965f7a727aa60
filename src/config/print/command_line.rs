//! The command line with its descriptions, for completions. The program itself reads it
//! with `flags.rs` and `control_command.rs`, which have no descriptions.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, Command, ValueHint};

use crate::check_command;
use crate::command_texts::{COMMANDS, CommandText, FLAGS};
use crate::completions_command;
use crate::control_command::{self, ARGUMENT};
use crate::convert_command;
use crate::dev_command;
use crate::init_command;
use crate::row::Arity;
use crate::shell_name::ShellName;
use crate::shim_command;
use crate::table::{ROWS, Row};
use crate::verb::{FORMS, VerbForm};

/// The whole command line: the settings, and the commands to a running server.
pub(super) fn command_line() -> Command {
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
        .subcommands(COMMANDS.iter().map(command))
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
    if row.placeholder == "FORMAT" { arg } else { one_of(arg, row.choices) }
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

fn command(command: &CommandText) -> Command {
    let form = FORMS.iter().find(|form| form.name == command.name);
    let words = match (command.name, form) {
        (name, Some(form)) => control(form).name(name),
        (check_command::NAME, None) => check(),
        (dev_command::NAME, None) => Command::new(dev_command::NAME).args(ROWS.iter().map(setting)),
        (init_command::NAME, None) => {
            Command::new(init_command::NAME).arg(Arg::new("APP").value_hint(ValueHint::Other))
        }
        (convert_command::NAME, None) => {
            let file = Arg::new("FILE").value_hint(ValueHint::FilePath);
            Command::new(convert_command::NAME).arg(file)
        }
        (completions_command::NAME, None) => Command::new(completions_command::NAME)
            .arg(one_of(Arg::new("SHELL"), ShellName::CHOICES)),
        (shim_command::NAME, None) => shim(),
        (name, None) => Command::new(name),
    };
    words.about(plain(command.text)).disable_help_flag(true)
}

fn check() -> Command {
    Command::new(check_command::NAME).arg(own_switch("deploy")).args(ROWS.iter().map(setting))
}

fn shim() -> Command {
    let environment = Arg::new("ENVIRONMENT").value_hint(ValueHint::DirPath);
    Command::new(shim_command::NAME).arg(own_switch("replace")).arg(environment)
}

/// A flag without a value that one command has, with its description.
fn own_switch(name: &'static str) -> Arg {
    let switch = Arg::new(name).long(name).action(ArgAction::SetTrue);
    let texts = FLAGS.iter().filter(|(flag, _)| flag.strip_prefix("--") == Some(name));
    texts.fold(switch, |arg, (_, text)| arg.help(plain(text)))
}

fn control(form: &VerbForm) -> Command {
    control_command::words(form).mut_args(|arg| {
        let long = arg.get_long().map(|long| format!("--{long}")).unwrap_or_default();
        let explained = FLAGS.iter().find(|(flag, _)| flag.split(' ').any(|word| word == long));
        match explained {
            Some((flag, text)) if flag.ends_with("FILE") => {
                arg.help(plain(text)).value_hint(hint("FILE"))
            }
            Some((_, text)) => arg.help(plain(text)),
            None if long == "--help" => arg.help("Print the commands and their flags"),
            None => match form.argument.filter(|_| arg.get_id() == ARGUMENT) {
                Some(argument) => one_of(arg.help(argument.text), argument.choices),
                None => arg.help("The pid of the server's master"),
            },
        }
    })
}

/// Offers words, with their meanings.
fn one_of(arg: Arg, choices: &'static [(&str, &str)]) -> Arg {
    if choices.is_empty() {
        return arg;
    }
    let words = choices.iter().map(|(word, text)| PossibleValue::new(word).help(plain(text)));
    arg.value_parser(PossibleValuesParser::new(words))
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
