//! Reads the command line: its flags are made from the table, and clap splits it.
//!
//! `GUNICORN_CMD_ARGS` is read in the same way. Values stay text here, so that every wrong
//! value is reported, and not only the first.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::error::{Errors, ValueOrigin};
use crate::flag_words::{arrange, full_flag};
use crate::foreign_value::ForeignValue;
use crate::gunicorn::{FOREIGN, Foreign};
use crate::raw::text_of;
use crate::raw_setting::RawSetting;
use crate::row::Arity;
use crate::suggestion;
use crate::table::{ROWS, Row};

/// Lists that a flag has as one word. Of several such flags the last one counts, as in gunicorn.
const REPLACED: [&str; 3] = ["forwarded_allow_ips", "proxy_allow_ips", "forwarder_headers"];

/// The content of a command line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) help: bool,
    pub(crate) version: bool,
    pub(crate) said: Vec<RawSetting>,
    /// The values of gunicorn's settings that have no row.
    pub(crate) foreign: Vec<ForeignValue>,
}

/// Reads the words of a command line; unknown ones are added to `errors`.
pub(crate) fn read(words: &[OsString], origin: &ValueOrigin, errors: &mut Errors) -> Line {
    // Names of files may have bytes that are not UTF-8.
    let words: Vec<_> = words.iter().map(|it| text_of(it)).collect();
    let mut words = arrange(&words, matches!(origin, ValueOrigin::Variable(_)));
    let mut unknown = false;
    loop {
        let error = match command().try_get_matches_from(&words) {
            Ok(matches) => return line(&matches, origin),
            Err(error) => error,
        };
        let subject = context(&error, ContextKind::InvalidArg);
        let is_flag = subject.starts_with('-');
        // After an unknown flag, its value looks like a superfluous word.
        if is_flag || !unknown {
            errors.add(origin.clone(), &subject_of(&subject), refusal(&error, &subject));
        }
        unknown |= is_flag;
        // The rest is read without that word, for further errors.
        match words.iter().position(|word| is_word(word, &subject)) {
            Some(index) => words.remove(index),
            None => return Line::default(),
        };
    }
}

/// The flags of the table, gunicorn's others, help and version.
fn command() -> Command {
    Command::new("monoceros")
        .no_binary_name(true)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(ROWS.iter().map(arg))
        .args(FOREIGN.iter().filter(|foreign| !foreign.flags.is_empty()).map(foreign_arg))
        .arg(Arg::new("help").short('h').long("help").action(ArgAction::SetTrue))
        .arg(
            Arg::new("version")
                .short('V')
                .short_alias('v')
                .long("version")
                .action(ArgAction::SetTrue),
        )
}

fn arg(row: &'static Row) -> Arg {
    let arg = with_values(Arg::new(row.name), row.arity);
    if row.positional {
        // The words after `--` are one list, also those that look like flags.
        return if row.arity == Arity::List { arg.last(true).num_args(1..) } else { arg };
    }
    let arg = arg.long(row.key()).aliases(row.aliases);
    match row.short {
        Some(short) => arg.short(short),
        None => arg,
    }
}

fn foreign_arg(foreign: &'static Foreign) -> Arg {
    let mut arg = with_values(Arg::new(foreign.name), foreign.arity);
    for flag in foreign.flags {
        let short = flag.chars().nth(1).filter(|c| *c != '-');
        arg = match (short, flag.strip_prefix("--")) {
            (Some(short), _) => arg.short(short),
            (None, Some(long)) if arg.get_long().is_none() => arg.long(long),
            (None, Some(long)) => arg.alias(long),
            (None, None) => arg,
        };
    }
    arg
}

fn with_values(arg: Arg, arity: Arity) -> Arg {
    match arity {
        // `--daemon=false` overrides a file.
        Arity::Switch | Arity::Optional => {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true")
        }
        Arity::One => arg.action(ArgAction::Set),
        Arity::List => arg.action(ArgAction::Append),
    }
}

fn line(matches: &ArgMatches, origin: &ValueOrigin) -> Line {
    let texts = |name: &str| -> Option<Vec<String>> {
        matches.get_many(name).map(|words| words.cloned().collect())
    };
    let said = ROWS.iter().filter_map(|row| {
        let mut words = texts(row.name)?;
        if REPLACED.contains(&row.name) {
            words.drain(..words.len().saturating_sub(1));
        }
        Some(RawSetting::new(row, origin.clone(), row.subject(), words))
    });
    let with_flags = FOREIGN.iter().filter(|foreign| !foreign.flags.is_empty());
    let foreign = with_flags.filter_map(|foreign| {
        Some(ForeignValue { foreign, origin: origin.clone(), words: texts(foreign.name)? })
    });
    Line {
        help: matches.get_flag("help"),
        version: matches.get_flag("version"),
        said: said.collect(),
        foreign: foreign.collect(),
    }
}

/// A part of clap's error, as text.
pub(crate) fn context(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    }
}

/// The flag in clap's `--timeout <timeout>`: `--timeout`.
pub(crate) fn subject_of(subject: &str) -> String {
    subject.split([' ', '[', '=']).next().unwrap_or_default().to_owned()
}

fn refusal(error: &clap::Error, subject: &str) -> String {
    match error.kind() {
        ErrorKind::UnknownArgument if subject.starts_with('-') => {
            let subject = subject_of(subject);
            if let Some(full) = full_flag(&subject) {
                return format!("is not written in full; write {full}");
            }
            let known = ROWS.iter().filter(|row| !row.positional).map(Row::flag);
            let foreign = FOREIGN.iter().flat_map(|foreign| foreign.flags);
            let foreign = foreign.filter(|it| it.starts_with("--")).map(|it| (*it).to_owned());
            let known: Vec<_> = known.chain(foreign).collect();
            format!("unknown flag{}", suggestion::question(&subject, &known))
        }
        ErrorKind::UnknownArgument => "one word too many; only APP has no flag".to_owned(),
        ErrorKind::InvalidValue => "a value is missing".to_owned(),
        ErrorKind::TooManyValues => "takes no value".to_owned(),
        ErrorKind::InvalidUtf8 => "a word is not UTF-8".to_owned(),
        kind => kind.to_string(),
    }
}

/// Whether this word of the command line is the one in clap's error, which has the long
/// flag if there is one.
fn is_word(word: &OsStr, subject: &str) -> bool {
    let (word, subject) = (word.to_string_lossy(), subject_of(subject));
    let row = ROWS.iter().find(|row| !row.positional && row.flag() == subject);
    let short = match subject.strip_prefix('-').map(|rest| rest.chars().collect::<Vec<_>>()) {
        Some(letters) if letters.len() == 1 && letters != ['-'] => letters.first().copied(),
        _ => row.and_then(|row| row.short),
    };
    let in_shorts =
        |short| word.starts_with('-') && !word.starts_with("--") && word.contains(short);
    !subject.is_empty()
        && (word.split('=').next() == Some(&subject) || short.is_some_and(in_shorts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> (Line, String) {
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        let mut errors = Errors::default();
        let line = read(&words, &ValueOrigin::CommandLine, &mut errors);
        (line, errors.to_string())
    }

    fn texts(line: &Line, name: &str) -> Vec<String> {
        let said = line.said.iter().find(|said| said.row.name == name);
        said.map_or(Vec::new(), |said| said.words.iter().map(|word| word.text.clone()).collect())
    }

    #[test]
    fn clap_finds_no_contradiction_in_the_table() {
        command().debug_assert();
    }

    #[test]
    fn flags_are_read_in_every_spelling() {
        let (line, errors) =
            parse(&["-w4", "-b", ":1", "--bind=:2", "-D", "shop:app", "--timeout", "5"]);
        assert_eq!(errors, "");
        assert_eq!(texts(&line, "workers"), ["4"]);
        assert_eq!(texts(&line, "bind"), [":1", ":2"]);
        assert_eq!(texts(&line, "daemon"), ["true"]);
        assert_eq!(texts(&line, "app"), ["shop:app"]);
        assert_eq!(texts(&line, "timeout"), ["5"]);
    }

    #[test]
    fn the_last_one_counts_and_a_switch_can_be_turned_off() {
        let (line, errors) =
            parse(&["-t1", "-t2", "--daemon", "--daemon=false", "--log-file", "-"]);
        assert_eq!(errors, "");
        assert_eq!(texts(&line, "timeout"), ["2"]);
        assert_eq!(texts(&line, "daemon"), ["false"]);
        assert_eq!(texts(&line, "error_logfile"), ["-"]);
        let words = ["--forwarded-allow-ips=*", "-e", "A=1", "-e", "B=2"];
        let (line, _) = parse(&[&words[..], &["--forwarded-allow-ips", "10.0.0.1"]].concat());
        assert_eq!(texts(&line, "forwarded_allow_ips"), ["10.0.0.1"]);
        assert_eq!(texts(&line, "env"), ["A=1", "B=2"]);
    }

    #[test]
    fn every_unknown_flag_is_reported_with_a_suggestion() {
        let (_, errors) = parse(&["--timout", "3", "--nonsense=x", "-Z", "a:b"]);
        assert_eq!(
            errors,
            "--timout: unknown flag; did you mean --timeout?\n\
             --nonsense: unknown flag\n\
             -Z: unknown flag"
        );
        assert_eq!(
            parse(&["--worker-tmpdir=x"]).1,
            "--worker-tmpdir: unknown flag; did you mean --worker-tmp-dir?"
        );
    }

    #[test]
    fn flags_without_a_row_keep_their_values() {
        let (line, errors) =
            parse(&["--worker-tmp-dir", "/dev/shm", "-R", "--no-sendfile", "a:b", "--spew"]);
        assert_eq!(errors, "");
        let found: Vec<_> =
            line.foreign.iter().map(|it| (it.foreign.name, it.words.concat())).collect();
        let expected = [
            ("spew", "true"),
            ("sendfile", "true"),
            ("worker_tmp_dir", "/dev/shm"),
            ("enable_stdio_inheritance", "true"),
        ];
        assert_eq!(found, expected.map(|(name, word)| (name, word.to_owned())));
        assert_eq!(texts(&line, "app"), ["a:b"]);
    }

    #[test]
    fn abbreviations_are_for_gunicorns_variable() {
        let (_, errors) = parse(&["--log-l", "debug", "--worker-con=3"]);
        assert_eq!(
            errors,
            "--log-l: is not written in full; write --log-level\n\
             --worker-con: is not written in full; write --worker-connections"
        );
        let words = ["--log-l", "debug", "--worker-con=3", "--no-send"].map(OsString::from);
        let origin = ValueOrigin::Variable("GUNICORN_CMD_ARGS".to_owned());
        let mut errors = Errors::default();
        let line = read(&words, &origin, &mut errors);
        assert_eq!(errors.to_string(), "");
        assert_eq!(texts(&line, "log_level"), ["debug"]);
        assert_eq!(texts(&line, "worker_connections"), ["3"]);
        assert_eq!(line.foreign.len(), 1);
    }

    /// The command lines of images that many people use.
    #[test]
    fn command_lines_of_images_are_read() {
        for words in [
            "-b [::]:5000 --name redash -w4 redash.wsgi:app --max-requests 1000 \
             --max-requests-jitter 100 --timeout 60 --limit-request-line 0",
            "--bind 0.0.0.0:8088 --access-logfile - --error-logfile - --workers 1 \
             --worker-class gthread --threads 20 --log-level info --timeout 60 --keep-alive 2 \
             --max-requests 0 --limit-request-line 0 --limit-request-field_size 0 \
             --statsd-host=h:8125 --statsd-prefix=superset superset:app",
            "-u www-data -g www-data --access-logfile - --error-logfile - --log-file - \
             --forwarded-allow-ips=10.0.0.1,10.0.0.2 -w 4 -b :1 shop:create_app()",
            "--worker-tmp-dir /dev/shm --bind 0.0.0.0:8000 --threads 2 app.wsgi",
        ] {
            let words: Vec<_> = words.split_whitespace().map(OsString::from).collect();
            let read = crate::invocation::load(&words, &[], std::path::Path::new("/nowhere"));
            assert!(matches!(read, Ok(crate::Command::Run(_))), "{words:?}: {read:?}");
        }
    }

    #[test]
    fn missing_values_and_superfluous_words_are_errors() {
        assert_eq!(parse(&["--timeout"]).1, "--timeout: a value is missing");
        let (line, errors) = parse(&["-t", "-w", "3"]);
        assert_eq!(errors, "--timeout: a value is missing");
        assert_eq!(texts(&line, "workers"), ["3"]);
        assert_eq!(parse(&["a:b", "c:d"]).1, "c:d: one word too many; only APP has no flag");
    }

    #[test]
    fn everything_behind_two_dashes_is_the_program() {
        let (line, errors) = parse(&["-k", "exec", "--", "run", "-k", "--", "--bind=x", "", "-Z"]);
        assert_eq!(errors, "");
        assert_eq!(texts(&line, "worker_class"), ["exec"]);
        assert_eq!(texts(&line, "program"), ["run", "-k", "--", "--bind=x", "", "-Z"]);
        assert_eq!(texts(&parse(&["a:b", "--"]).0, "program"), [""; 0]);
        let (line, errors) = parse(&["--bogus", "--", "run", "--bogus"]);
        assert_eq!(errors, "--bogus: unknown flag");
        assert_eq!(texts(&line, "program"), ["run", "--bogus"]);
    }

    #[test]
    fn only_names_of_files_may_have_any_bytes() {
        use std::os::unix::ffi::OsStringExt as _;
        let load = |flag: &str| {
            let words = [OsString::from(flag), OsString::from_vec(b"/a\xff".to_vec())];
            crate::invocation::load(&words, &[], std::path::Path::new("/nowhere"))
        };
        assert_eq!(load("--name").unwrap_err().to_string(), "--name: is not UTF-8");
        let Ok(crate::Command::Run(loaded)) = load("--chdir") else { panic!("refused") };
        assert_eq!(loaded.settings.chdir.unwrap().into_os_string().into_encoded_bytes(), b"/a\xff");
    }

    #[test]
    fn a_value_may_be_left_out() {
        for (words, mode, app) in [
            (&["--proxy-protocol"][..], "true", ""),
            (&["--proxy-protocol", "shop:app"], "true", "shop:app"),
            (&["--proxy-protocol", "v2", "shop:app"], "v2", "shop:app"),
            (&["--proxy-protocol=v1", "shop:app"], "v1", "shop:app"),
            (&["--proxy-protocol", "-w", "2"], "true", ""),
        ] {
            let (line, errors) = parse(words);
            assert_eq!((errors.as_str(), texts(&line, "proxy_protocol")), ("", vec![mode.into()]));
            assert_eq!(texts(&line, "app").concat(), app, "{words:?}");
        }
        let (line, _) = parse(&["-k", "exec", "--", "run", "--proxy-protocol", "v2"]);
        assert_eq!(texts(&line, "program"), ["run", "--proxy-protocol", "v2"]);
        assert!(texts(&line, "proxy_protocol").is_empty());
    }

    #[test]
    fn help_and_version_are_flags() {
        assert!(parse(&["-h"]).0.help && parse(&["--help"]).0.help);
        assert!(parse(&["-V"]).0.version && parse(&["-v"]).0.version);
    }
}
