//! Reads the words of the commands to a running server, such as `monoceros reload`.
//! `src/ctl.rs` carries them out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches};

use crate::config_file::DEFAULT_FILE;
use crate::error::{Errors, ValueOrigin};
use crate::flags::{self, context, subject_of};
use crate::raw::{bytes_of, text_of};
use crate::sources::{SettingSources, merge_all};
use crate::suggestion;
use crate::value::Value;
use crate::verb::{FORMS, Verb, VerbForm};

/// A command to a running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlCommand {
    /// The kind of the command.
    pub verb: Verb,
    /// The server.
    pub target: ControlTarget,
    /// The maximum time to wait for the reply; `None` for no limit.
    pub timeout: Option<Duration>,
    /// Print JSON.
    pub json: bool,
    /// The configuration file that was read to find the server.
    pub config_file: Option<PathBuf>,
}

/// How a server is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlTarget {
    /// By its master's pid.
    Pid(i32),
    /// By the pid file that its master holds.
    PidFile(PathBuf),
}

/// The content of a command line that starts with a command.
pub(crate) enum ControlRead {
    /// A command to a running server.
    Command(ControlCommand),
    /// The help of the program.
    Help,
    /// The help of the commands.
    CommandHelp,
}

/// Reads a command line that starts with a command, if this one does.
pub(crate) fn read(
    args: &[OsString],
    env: &[(OsString, OsString)],
    cwd: &Path,
) -> Option<Result<ControlRead, Errors>> {
    let (first, rest) = args.split_first()?;
    if first == "help" && rest.is_empty() {
        return Some(Ok(ControlRead::Help));
    }
    let form = FORMS.iter().find(|form| first == form.name)?;
    let matches = match words(form).try_get_matches_from(rest.iter().map(|it| text_of(it))) {
        Ok(matches) => matches,
        Err(error) => return Some(Err(usage(&refusal(form, &error)))),
    };
    if matches.get_flag("help") {
        return Some(Ok(ControlRead::CommandHelp));
    }
    Some(order(form, &matches, env, cwd).map(ControlRead::Command))
}

/// The name of the word before the PID.
pub(crate) const ARGUMENT: &str = "ARGUMENT";

pub(crate) fn words(form: &VerbForm) -> clap::Command {
    let words = clap::Command::new("monoceros")
        .no_binary_name(true)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        // `-1` is a number of workers.
        .args(form.argument.map(|_| Arg::new(ARGUMENT).allow_negative_numbers(true)))
        .arg(Arg::new("PID"))
        .arg(Arg::new("pid").short('p').long("pid"))
        .arg(Arg::new("config").short('c').long("config"))
        .arg(Arg::new("timeout").long("timeout"))
        .arg(Arg::new("help").short('h').long("help").action(ArgAction::SetTrue));
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue);
    if form.has_json { words.arg(json) } else { words }
}

fn refusal(form: &VerbForm, error: &clap::Error) -> String {
    use clap::error::{ContextKind, ErrorKind};
    let subject = subject_of(&context(error, ContextKind::InvalidArg));
    let reason = match error.kind() {
        ErrorKind::UnknownArgument if subject.starts_with('-') => {
            let words = words(form);
            let known = words.get_arguments().filter_map(Arg::get_long);
            let known: Vec<_> = known.map(|name| format!("--{name}")).collect();
            format!("{} has no such flag{}", form.name, suggestion::question(&subject, &known))
        }
        ErrorKind::UnknownArgument => {
            let argument =
                form.argument.map_or(String::new(), |it| format!("{} and ", it.placeholder));
            format!("one word too many; {} takes {argument}one PID", form.name)
        }
        ErrorKind::InvalidValue => "a value is missing".to_owned(),
        ErrorKind::TooManyValues => "takes no value".to_owned(),
        ErrorKind::InvalidUtf8 => "a word is not UTF-8".to_owned(),
        kind => kind.to_string(),
    };
    if subject.is_empty() { reason } else { format!("{subject}: {reason}") }
}

fn usage(reason: &str) -> Errors {
    Errors::of_command_line("", reason)
}

fn order(
    form: &VerbForm,
    matches: &ArgMatches,
    env: &[(OsString, OsString)],
    cwd: &Path,
) -> Result<ControlCommand, Errors> {
    let said = |name: &str| matches.get_one::<String>(name);
    let argument = form.argument.and_then(|_| said(ARGUMENT));
    let verb = (form.make)(argument.map(String::as_str))
        .map_err(|reason| usage(&format!("{}: {reason}", form.name)))?;
    let timeout = said("timeout").map(|text| Duration::parse(text, None)).transpose();
    let timeout = timeout.map_err(|reason| usage(&format!("--timeout: {reason}")))?;
    let timeout = timeout.filter(|timeout| !timeout.is_zero());
    let (target, config_file) = match (said("PID"), said("pid")) {
        (Some(_), Some(_)) => return Err(usage("either PID or --pid FILE names the server")),
        (Some(text), None) => {
            (ControlTarget::Pid(pid(text).map_err(|reason| usage(&reason))?), None)
        }
        (None, Some(file)) => (ControlTarget::PidFile(cwd.join(bytes_of(file))), None),
        (None, None) => {
            let (file, config_file) = pid_file(form, said("config"), env, cwd)?;
            (ControlTarget::PidFile(file), config_file)
        }
    };
    let json = form.has_json && matches.get_flag("json");
    Ok(ControlCommand { verb, target, timeout, json, config_file })
}

/// The words of a command before the PID.
fn usage_of(form: &VerbForm) -> String {
    match form.argument {
        // In brackets is what may be left out, and a PID needs it before itself.
        Some(argument) if argument.placeholder.starts_with('[') => format!("{} all", form.name),
        Some(argument) => format!("{} {}", form.name, argument.placeholder),
        None => form.name.to_owned(),
    }
}

fn pid(text: &str) -> Result<i32, String> {
    let pid = text.parse().ok().filter(|pid| *pid > 0 && !text.starts_with('+'));
    pid.ok_or_else(|| format!("{text:?} is no PID; name a file with --pid FILE"))
}

/// The pid file in the settings of a server that is started here, and the configuration
/// file that was read.
fn pid_file(
    form: &VerbForm,
    config: Option<&String>,
    env: &[(OsString, OsString)],
    cwd: &Path,
) -> Result<(PathBuf, Option<PathBuf>), Errors> {
    let config = config.map(|file| [OsString::from("--config"), bytes_of(file)]);
    let args: Vec<_> = config.into_iter().flatten().collect();
    let mut errors = Errors::default();
    let line = flags::read(&args, &ValueOrigin::CommandLine, &mut errors);
    let loaded = merge_all(line, SettingSources { env, cwd, python: None, is_dev: false }, errors)?;
    let settings = loaded.settings;
    let directory = settings.chdir.map_or(cwd.to_owned(), |directory| cwd.join(directory));
    let file = settings.pid.map(|file| directory.join(file)).ok_or_else(|| {
        usage(&format!(
            "which server? name its PID (monoceros {} PID), its pid file (--pid FILE), or set \
             pid in {DEFAULT_FILE}",
            usage_of(form)
        ))
    })?;
    Ok((file, loaded.config_file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::log::LogLevel;
    use crate::verb::WorkersChange;

    fn load(words: &str, variables: &[(&str, &str)]) -> Result<Command, Errors> {
        let args: Vec<_> = words.split_whitespace().map(OsString::from).collect();
        let env: Vec<_> =
            variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        crate::load(&args, &env, Path::new("/nowhere"))
    }

    fn order(words: &str) -> ControlCommand {
        match load(words, &[]) {
            Ok(Command::Control(order)) => order,
            other => panic!("{words}: {other:?}"),
        }
    }

    fn refused(words: &str) -> String {
        let errors = load(words, &[]).unwrap_err();
        assert_eq!(errors.exit_code(), 2, "{words}");
        errors.to_string()
    }

    #[test]
    fn clap_finds_no_contradiction_in_the_words() {
        FORMS.iter().for_each(|form| words(form).debug_assert());
    }

    #[test]
    fn the_first_word_is_a_command() {
        let file = ControlTarget::PidFile(PathBuf::from("/nowhere/a.pid"));
        for (words, verb, target) in [
            ("reload 12", Verb::Reload, ControlTarget::Pid(12)),
            ("reload --pid a.pid", Verb::Reload, file.clone()),
            ("upgrade -p a.pid", Verb::Upgrade, file.clone()),
            ("stop 12", Verb::Stop, ControlTarget::Pid(12)),
            ("status --pid=/b", Verb::Status, ControlTarget::PidFile(PathBuf::from("/b"))),
            ("workers -2 12", Verb::Workers(WorkersChange::Remove(2)), ControlTarget::Pid(12)),
            ("log-level DEBUG 12", Verb::LogLevel(LogLevel::Debug), ControlTarget::Pid(12)),
            ("stacks all 12", Verb::Stacks { worker: None }, ControlTarget::Pid(12)),
            ("stacks -p a.pid", Verb::Stacks { worker: None }, file.clone()),
            ("recycle 3 -p a.pid", Verb::Recycle { worker: Some(3) }, file.clone()),
            ("top 12", Verb::Top, ControlTarget::Pid(12)),
        ] {
            let order = order(words);
            assert_eq!((order.verb, order.target), (verb, target), "{words}");
            assert_eq!((order.timeout, order.json), (None, false));
        }
        let order = order("status 1 --timeout 500ms --json");
        assert_eq!((order.timeout, order.json), (Some(Duration::from_millis(500)), true));
    }

    #[test]
    fn an_application_can_have_the_name_of_a_command() {
        for words in ["reload:application", "status:app -w 2", "-w 2 reload"] {
            assert!(matches!(load(words, &[]), Ok(Command::Run(_))), "{words}");
        }
    }

    #[test]
    fn the_settings_name_the_pid_file() {
        let variables = [("MONOCEROS_PID", "run/a.pid"), ("MONOCEROS_CHDIR", "shop")];
        let Ok(Command::Control(order)) = load("status", &variables) else { panic!("no order") };
        assert_eq!(order.target, ControlTarget::PidFile(PathBuf::from("/nowhere/shop/run/a.pid")));
        assert!(refused("reload").starts_with("which server? name its PID (monoceros reload PID)"));
        assert!(refused("stacks").contains("(monoceros stacks all PID)"));
        assert!(refused("workers =2").contains("(monoceros workers +N|-N|=N PID)"));
        let wrong = load("reload", &[("MONOCEROS_TIMEOUT", "soon")]).unwrap_err();
        assert_eq!(wrong.exit_code(), 1);
        let missing = load("reload --config missing.yaml", &[]).unwrap_err();
        assert!(missing.to_string().contains("missing.yaml"), "{missing}");
    }

    #[test]
    fn each_error_of_a_command_has_its_text() {
        for (words, text) in [
            ("reload 1 2", "2: one word too many; reload takes one PID"),
            ("stacks 1 2 3", "3: one word too many; stacks takes [WORKER] and one PID"),
            (
                "stacks 12345",
                "stacks: \"12345\" is no worker: 0 to 1023, or all; a PID stands behind it, as in \
                 monoceros stacks all PID",
            ),
            ("workers 3 1", "workers: \"3\" is neither +N, -N nor =N; for 3 workers write =3"),
            ("workers", "workers: names no number; examples: workers +2, workers -1, workers =8"),
            ("log-level", "log-level: names no level; examples: log-level debug, log-level info"),
            ("reload 1 --pid a", "either PID or --pid FILE names the server"),
            ("reload 1 --timout 3", "--timout: reload has no such flag; did you mean --timeout?"),
            ("top 1 --json", "--json: top has no such flag"),
            ("status 1 --timeout", "--timeout: a value is missing"),
            ("status 1 --json=yes", "--json: takes no value"),
        ] {
            assert_eq!(refused(words), text, "{words}");
        }
        assert!(refused("status 1 --timeout soon").starts_with("--timeout: cannot read"));
        for pid in ["0", "-1", "+1", "a.pid", "99999999999"] {
            refused(&format!("status {pid}"));
        }
    }

    #[test]
    fn help_is_given() {
        for words in ["help", "--help"] {
            let Ok(Command::Help(text)) = load(words, &[]) else { panic!("{words}") };
            assert!(text.contains("reload") && text.contains("--workers"), "{words}");
        }
        let Ok(Command::Help(text)) = load("upgrade --help", &[]) else { panic!("no help") };
        assert!(text.contains("--pid FILE") && !text.contains("--workers"));
    }
}
