//! A configuration file in Python: where it is, and what it sets. The master does not run it; a
//! mold does, and reports the values.

use std::path::PathBuf;

use crate::error::{Error, ValueOrigin};
use crate::foreign_value::ForeignValue;
use crate::gunicorn::{FOREIGN, Foreign, ForeignVerdict};
use crate::raw_setting::RawSetting;
use crate::suggestion::nearest;
use crate::table::{ROWS, Row};

/// A configuration file in Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PythonSource {
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// The file as the user named it.
        name: String,
    },
    /// A module that the interpreter finds (`python:MODULE`).
    Module(String),
}

impl PythonSource {
    /// The origin of the values that it sets.
    #[must_use]
    pub fn origin(&self) -> ValueOrigin {
        let name = match self {
            Self::File { name, .. } => name.clone(),
            Self::Module(name) => format!("python:{name}"),
        };
        ValueOrigin::PythonFile { name }
    }
}

/// What a configuration file in Python sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PythonValues {
    /// gunicorn's names of settings with the words of their values: `true` and `false`, numbers in
    /// decimal, the items of a list, `NAME=VALUE` for those of a mapping. A value of `None` is
    /// left out.
    pub values: Vec<(String, Vec<String>)>,
    /// Other names that the file sets.
    pub unknown: Vec<String>,
}

/// The same in the form of the other sources.
#[derive(Debug, Default)]
pub(crate) struct PythonSettings {
    /// Values that replace a default.
    pub(crate) defaults: Vec<RawSetting>,
    pub(crate) said: Vec<RawSetting>,
    pub(crate) foreign: Vec<ForeignValue>,
}

impl PythonSettings {
    /// The values, from this origin.
    pub(crate) fn new(values: &PythonValues, origin: &ValueOrigin) -> Self {
        let mut settings = Self::default();
        // The name of the file in the file itself has no effect.
        for (name, words) in values.values.iter().filter(|(name, _)| name != "config") {
            let raw = |row| RawSetting::new(row, origin.clone(), name, words.clone());
            let foreign = FOREIGN.iter().find(|foreign| foreign.name == name);
            if let Some(row) = ROWS.iter().find(|row| row.gunicorn == Some(name)) {
                settings.said.push(raw(row));
            } else if let Some(Foreign { verdict: ForeignVerdict::DefaultOf(row), .. }) = foreign {
                settings.defaults.extend(Row::find(row).map(raw));
            } else if let Some(foreign) = foreign {
                let (origin, words) = (origin.clone(), words.clone());
                settings.foreign.push(ForeignValue { foreign, origin, words });
            }
        }
        settings
    }
}

/// Questions about names that are no settings, but nearly so.
pub(crate) fn questions(values: &PythonValues, origin: &ValueOrigin) -> Vec<String> {
    let names = values.unknown.iter().filter_map(|name| Some((name, meant(name)?)));
    let texts = names.map(|(name, meant)| {
        let reason = format!("is not a setting; did you mean {meant}?");
        Error::new(origin.clone(), name, reason).to_string()
    });
    texts.collect()
}

/// The setting of gunicorn that a name may stand for: its flag or its name here is a usual slip.
fn meant(name: &str) -> Option<String> {
    let own = Row::find(name).and_then(|row| row.gunicorn);
    let foreign = || Foreign::find(name).map(|foreign| foreign.name);
    if let Some(known) = own.or_else(foreign) {
        return Some(known.to_owned());
    }
    let known = ROWS.iter().filter_map(|row| row.gunicorn);
    let known: Vec<_> = known.chain(FOREIGN.iter().map(|foreign| foreign.name)).collect();
    nearest(name, &known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_asked_about() {
        for (name, setting) in [
            ("access_logfile", "accesslog"),
            ("log_file", "errorlog"),
            ("log_level", "loglevel"),
            ("keep_alive", "keepalive"),
            ("preload", "preload_app"),
            ("name", "proc_name"),
            ("pid_file", "pidfile"),
            ("max_request", "max_requests"),
            ("grateful_timeout", "graceful_timeout"),
            ("when_read", "when_ready"),
            ("log_config", "logconfig"),
        ] {
            assert_eq!(meant(name).as_deref(), Some(setting), "{name}");
        }
        for name in ["command", "debug", "x_forwarded_for_header", "cores"] {
            assert_eq!(meant(name), None, "{name}");
        }
        let unknown = ["access_logfile", "cores"].map(str::to_owned).to_vec();
        let origin = PythonSource::Module("shop.conf".to_owned()).origin();
        let values = PythonValues { unknown, ..PythonValues::default() };
        assert_eq!(
            questions(&values, &origin),
            ["python:shop.conf: access_logfile: is not a setting; did you mean accesslog?"]
        );
    }
}
