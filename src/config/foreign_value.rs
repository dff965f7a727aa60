//! A value of a setting of gunicorn that has no row, and what the operator is shown about it.

use crate::error::{Error, ValueOrigin};
use crate::gunicorn::{Foreign, ForeignVerdict};

/// A value in one source.
#[derive(Clone, Debug)]
pub(crate) struct ForeignValue {
    pub(crate) foreign: &'static Foreign,
    pub(crate) origin: ValueOrigin,
    /// None for an empty list.
    pub(crate) words: Vec<String>,
}

/// What follows from a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ForeignFinding {
    /// Nothing is shown.
    Silent,
    /// A text for the log at debug level.
    Note(String),
    Warning(String),
    Error(Error),
}

impl ForeignValue {
    /// What follows from the value.
    pub(crate) fn judge(&self) -> ForeignFinding {
        if self.foreign.is_usual(&self.words) {
            return ForeignFinding::Silent;
        }
        match self.foreign.verdict {
            ForeignVerdict::DefaultOf(_)
            | ForeignVerdict::Hook
            | ForeignVerdict::PythonValue(_) => ForeignFinding::Silent,
            ForeignVerdict::Accepted(reason) => {
                ForeignFinding::Note(self.error(format!("has no effect: {reason}")).to_string())
            }
            ForeignVerdict::Aid(reason) if self.origin.is_python() => {
                let text = format!("is not supported: {reason}");
                ForeignFinding::Warning(self.error(text).to_string())
            }
            ForeignVerdict::Aid(_) | ForeignVerdict::Refused(_) | ForeignVerdict::Missing => {
                ForeignFinding::Error(self.error(self.foreign.refusal()))
            }
        }
    }

    fn error(&self, reason: String) -> Error {
        let subject = if self.origin.is_python() { self.foreign.name } else { self.foreign.flag() };
        Error::new(self.origin.clone(), subject, reason)
    }
}

/// The values that count: of each setting the last one.
pub(crate) fn last_ones(values: Vec<ForeignValue>) -> Vec<ForeignValue> {
    let mut last: Vec<ForeignValue> = Vec::new();
    for value in values {
        last.retain(|known| known.foreign.name != value.foreign.name);
        last.push(value);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &str, words: &[&str], origin: ValueOrigin) -> String {
        let foreign = Foreign::find(name).expect(name);
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        match (ForeignValue { foreign, origin, words }).judge() {
            ForeignFinding::Silent => String::new(),
            ForeignFinding::Note(text) => format!("note: {text}"),
            ForeignFinding::Warning(text) => format!("warning: {text}"),
            ForeignFinding::Error(error) => format!("error: {error}"),
        }
    }

    fn file() -> ValueOrigin {
        ValueOrigin::PythonFile { name: "gunicorn.conf.py".to_owned() }
    }

    #[test]
    fn what_has_no_effect_is_a_note() {
        assert_eq!(
            finding("worker_tmp_dir", &["/dev/shm"], ValueOrigin::CommandLine),
            "note: --worker-tmp-dir: has no effect: heartbeats are kept in memory"
        );
        assert_eq!(
            finding("worker_tmp_dir", &["/dev/shm"], file()),
            "note: gunicorn.conf.py: worker_tmp_dir: has no effect: heartbeats are kept in memory"
        );
        assert_eq!(finding("default_proc_name", &["shop"], file()), "");
    }

    #[test]
    fn what_would_weaken_the_parser_is_refused() {
        let variable = ValueOrigin::Variable("GUNICORN_CMD_ARGS".to_owned());
        assert_eq!(
            finding("casefold_http_method", &["true"], variable),
            "error: GUNICORN_CMD_ARGS: --casefold-http-method: gunicorn's casefold_http_method \
             does not exist here: the parser is strict, and what it refuses has served attacks"
        );
        let refused = finding("strip_header_spaces", &["true"], file());
        assert!(refused.starts_with("error: gunicorn.conf.py: strip_header_spaces: "), "{refused}");
        assert_eq!(finding("strip_header_spaces", &["false"], file()), "");
    }

    #[test]
    fn a_help_for_development_is_refused_on_a_command_line_only() {
        assert_eq!(
            finding("spew", &["true"], file()),
            "warning: gunicorn.conf.py: spew: is not supported: use python -m trace"
        );
        let refused = finding("spew", &["true"], ValueOrigin::CommandLine);
        assert!(refused.starts_with("error: --spew: gunicorn's spew does"), "{refused}");
        assert_eq!(finding("spew", &["false"], file()), "");
    }

    #[test]
    fn what_is_done_here_anyway_is_accepted() {
        for (name, words) in [
            ("protocol", &["http"][..]),
            ("http_protocols", &["h1"]),
            ("http2_cleartext", &["Off"]),
            ("dirty_apps", &[]),
            ("logconfig_dict", &[]),
        ] {
            assert_eq!(finding(name, words, file()), "", "{name}");
        }
        for (name, word) in [("protocol", "uwsgi"), ("http_protocols", "h2,h1")] {
            let refused = finding(name, &[word], file());
            assert!(refused.ends_with("is not supported yet"), "{refused}");
        }
    }

    #[test]
    fn the_last_value_counts() {
        let value = |word: &str| ForeignValue {
            foreign: Foreign::find("protocol").unwrap(),
            origin: ValueOrigin::CommandLine,
            words: vec![word.to_owned()],
        };
        let last = last_ones(vec![value("uwsgi"), value("http")]);
        assert_eq!((last.len(), last[0].words[0].as_str()), (1, "http"));
    }
}
