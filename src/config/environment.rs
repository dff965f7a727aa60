//! Reads settings from the environment: `MONOCEROS_*`, `GUNICORN_CMD_ARGS`, and the
//! variables that replace a default. An empty variable is ignored.

use std::ffi::{OsStr, OsString};

use crate::error::{Errors, GUNICORN_ARGUMENTS, ValueOrigin};
use crate::flags::{self, Line};
use crate::gunicorn::Foreign;
use crate::raw::{bytes_of, text_of};
use crate::raw_setting::RawSetting;
use crate::row::Arity;
use crate::shell_words;
use crate::suggestion;
use crate::table::{ROWS, Row};
use crate::variable::{self, PREFIX};

/// The settings in the environment, from the weakest to the strongest.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// `WEB_CONCURRENCY`, `PORT` and `FORWARDED_ALLOW_IPS`: weaker than the configuration file.
    pub(crate) defaults: Vec<RawSetting>,
    /// `GUNICORN_CMD_ARGS`.
    pub(crate) arguments: Line,
    /// Whether that variable is there.
    pub(crate) has_arguments: bool,
    /// `MONOCEROS_*`.
    pub(crate) variables: Vec<RawSetting>,
}

/// Reads the environment. Other variables are ignored.
pub(crate) fn read(variables: &[(OsString, OsString)], errors: &mut Errors) -> Environment {
    let mut environment = Environment::default();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| is_ours(name, value) && !value.is_empty())
        else {
            continue;
        };
        let origin = ValueOrigin::Variable(name.to_owned());
        let value = &text_of(value);
        if name == GUNICORN_ARGUMENTS {
            environment.arguments = arguments(value, &origin, errors);
            environment.has_arguments = true;
        } else if let Some(key) = name.strip_prefix(PREFIX) {
            environment.variables.extend(read_variable(key, value, origin, errors));
        } else {
            environment.defaults.extend(default(name, value, origin));
        }
    }
    environment
}

/// Whether Kubernetes, and not the operator, has set a variable. If a service is called
/// `monoceros` or `monoceros-web`, every container of its namespace has its addresses, such
/// as `MONOCEROS_SERVICE_HOST` and `MONOCEROS_WEB_PORT_80_TCP`.
fn is_of_a_service(key: &str, value: &OsStr) -> bool {
    let mut after_port = key.split("PORT_").skip(1);
    key.ends_with("SERVICE_HOST")
        || key.contains("SERVICE_PORT")
        || after_port.any(|rest| rest.starts_with(|it: char| it.is_ascii_digit()))
        || key.ends_with("PORT") && value.to_str().is_some_and(|value| value.contains("://"))
}

fn is_ours(name: &str, value: &OsStr) -> bool {
    let is_setting = |key| !variable::is_internal(name) && !is_of_a_service(key, value);
    name == GUNICORN_ARGUMENTS
        || name.strip_prefix(PREFIX).is_some_and(is_setting)
        || ROWS
            .iter()
            .any(|row| row.env_default.is_some_and(|env_default| env_default.variable == name))
}

fn arguments(value: &str, origin: &ValueOrigin, errors: &mut Errors) -> Line {
    match shell_words::split(value) {
        Ok(words) => {
            let words: Vec<_> = words.iter().map(|word| bytes_of(word)).collect();
            flags::read(&words, origin, errors)
        }
        Err(reason) => {
            errors.add(origin.clone(), "", reason);
            Line::default()
        }
    }
}

fn read_variable(
    key: &str,
    value: &str,
    origin: ValueOrigin,
    errors: &mut Errors,
) -> Option<RawSetting> {
    let Some(row) = Row::find(&key.to_lowercase()) else {
        errors.add(origin, "", unknown(key));
        return None;
    };
    // Split as by a shell, so that a value can have spaces: 'A=1 B="two words"'.
    let texts = if row.arity == Arity::List {
        shell_words::split(value).map(row.join)
    } else {
        Ok(vec![value.to_owned()])
    };
    match texts {
        Ok(texts) => Some(RawSetting::new(row, origin, "", texts)),
        Err(reason) => {
            errors.add(origin, "", reason);
            None
        }
    }
}

fn unknown(key: &str) -> String {
    if let Some(foreign) = Foreign::find(&key.to_lowercase()) {
        return foreign.refusal();
    }
    let known: Vec<_> = ROWS.iter().map(Row::variable).collect();
    format!("unknown setting{}", suggestion::question(&format!("{PREFIX}{key}"), &known))
}

fn default(name: &str, value: &str, origin: ValueOrigin) -> Option<RawSetting> {
    let row = ROWS.iter().find(|row| row.env_default.is_some_and(|a| a.variable == name))?;
    let text = row.env_default?.template.replace("{}", value);
    Some(RawSetting::new(row, origin, "", vec![text]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(variables: &[(&str, &str)]) -> (Environment, String) {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut errors = Errors::default();
        (read(&variables, &mut errors), errors.to_string())
    }

    fn words(said: &RawSetting) -> Vec<&str> {
        said.words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn a_list_is_split_as_in_a_shell() {
        let (environment, errors) = parse(&[("MONOCEROS_ENV", "A=1 B='two words'")]);
        assert_eq!(errors, "");
        assert_eq!(words(&environment.variables[0]), ["A=1", "B=two words"]);
    }

    #[test]
    fn a_rate_with_a_burst_needs_no_quotes() {
        let (environment, errors) =
            parse(&[("MONOCEROS_LIMIT_RATE", "20/s burst 40 /a=5/m '/b=1/h burst 2' burst")]);
        assert_eq!(errors, "");
        assert_eq!(
            words(&environment.variables[0]),
            ["20/s burst 40", "/a=5/m", "/b=1/h burst 2", "burst"]
        );
    }

    #[test]
    fn the_addresses_of_a_service_of_kubernetes_are_no_settings() {
        let (environment, errors) = parse(&[
            ("MONOCEROS_SERVICE_HOST", "10.0.0.11"),
            ("MONOCEROS_SERVICE_PORT_HTTP", "8000"),
            ("MONOCEROS_PORT", "tcp://10.0.0.11:8000"),
            ("MONOCEROS_PORT_8000_TCP_ADDR", "10.0.0.11"),
            ("MONOCEROS_WEB_SERVICE_HOST", "10.0.0.12"),
            ("MONOCEROS_WEB_SERVICE_PORT", "80"),
            ("MONOCEROS_WEB_PORT", "tcp://10.0.0.12:80"),
            ("MONOCEROS_WEB_PORT_80_TCP_PROTO", "tcp"),
        ]);
        assert_eq!((environment.variables.len(), errors.as_str()), (0, ""));
        let (_, errors) = parse(&[("MONOCEROS_PORT", "8000")]);
        assert!(errors.starts_with("MONOCEROS_PORT: unknown setting"), "{errors}");
        for name in ROWS.iter().flat_map(Row::names) {
            let key = name.to_uppercase();
            assert!(!is_of_a_service(&key, OsStr::new("a://b")), "{key} is a setting");
        }
    }

    #[test]
    fn gunicorns_names_are_known() {
        let (environment, _) = parse(&[("MONOCEROS_ERRORLOG", "-")]);
        assert_eq!(environment.variables[0].row.name, "error_logfile");
    }

    #[test]
    fn defaults_come_from_three_variables() {
        let (environment, errors) = parse(&[
            ("WEB_CONCURRENCY", "3"),
            ("PORT", "5000"),
            ("FORWARDED_ALLOW_IPS", "10.0.0.1, 10.0.0.2"),
            ("HOME", "/root"),
        ]);
        assert_eq!(errors, "");
        let said: Vec<_> = environment.defaults.iter().flat_map(words).collect();
        assert_eq!(said, ["3", "0.0.0.0:5000", "10.0.0.1, 10.0.0.2"]);
    }

    #[test]
    fn empty_and_internal_variables_are_not_read() {
        let (environment, errors) =
            parse(&[("WEB_CONCURRENCY", ""), ("MONOCEROS_SLOT", "1"), ("MONOCEROS_BIND", "")]);
        assert_eq!(errors, "");
        assert!(environment.defaults.is_empty() && environment.variables.is_empty());
    }

    #[test]
    fn an_unknown_variable_is_an_error() {
        let (_, errors) = parse(&[("MONOCEROS_TIMOUT", "1"), ("MONOCEROS_SPEW", "1")]);
        assert_eq!(
            errors,
            "MONOCEROS_TIMOUT: unknown setting; did you mean MONOCEROS_TIMEOUT?\n\
             MONOCEROS_SPEW: gunicorn's spew does not exist here: use python -m trace"
        );
    }

    #[test]
    fn gunicorns_arguments_name_their_variable() {
        let (environment, errors) = parse(&[("GUNICORN_CMD_ARGS", "-w 3 --bogus-flag")]);
        assert_eq!(errors, "GUNICORN_CMD_ARGS: --bogus-flag: unknown flag");
        assert_eq!(words(&environment.arguments.said[0]), ["3"]);
        let (_, errors) = parse(&[("GUNICORN_CMD_ARGS", "-n 'shop")]);
        assert_eq!(errors, "GUNICORN_CMD_ARGS: a quote is not closed");
    }
}
