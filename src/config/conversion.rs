//! A configuration file in Python as one in YAML, and what of it has to stay in Python.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use crate::error::{Error, Errors};
use crate::foreign_value::ForeignFinding;
use crate::invocation::{Command, load_with};
use crate::loaded::Loaded;
use crate::print_config::entry;
use crate::python_expression::{computed, line_of};
use crate::python_file::PythonValues;
use crate::table::{ROWS, Row};

/// The module that the file is while it runs: what is defined in it has this name.
const OWN_MODULE: &str = "__config__.";

/// What a file in Python becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The settings, as a configuration file.
    pub yaml: String,
    /// What has to stay in Python: texts for the operator.
    pub remains: Vec<String>,
    /// What the settings mean here, as far as it differs.
    pub warnings: Vec<String>,
}

/// What a run of the file has shown.
#[derive(Clone, Debug)]
pub struct PythonRun<'a> {
    /// The values that it sets.
    pub values: &'a PythonValues,
    /// The hooks that it sets.
    pub hooks: &'a [String],
    /// It configures the logging of Python.
    pub python_logging: bool,
    /// The text of the file.
    pub text: &'a str,
}

/// Converts a file in Python, which is named as on a command line.
///
/// # Errors
/// With what is wrong beside the values of the file.
pub fn convert(file: &OsString, cwd: &Path, run: &PythonRun) -> Result<Conversion, Errors> {
    let args = [OsString::from("--config"), file.clone()];
    let (loaded, refused) = load_accepted(&args, cwd, run.values)?;
    let name = file.to_string_lossy();
    let remains = remains(&loaded, run, &refused);
    let mut yaml = format!("# The settings of {name}.\n");
    for row in ROWS.iter().filter(|row| loaded.source(row).is_python() && row.in_file) {
        if is_own(row, &loaded) {
            continue;
        }
        if let Some(code) = row.gunicorn.and_then(|setting| computed(run.text, setting)) {
            push(
                &mut yaml,
                format_args!("\n# {name} computes it; this is its value here and now:\n"),
            );
            push(&mut yaml, format_args!("# {code}\n"));
        }
        push(&mut yaml, format_args!("{}\n", entry(row, &loaded)));
    }
    for text in without_effect(&loaded) {
        push(&mut yaml, format_args!("\n# {text}\n"));
    }
    for text in &remains {
        push(&mut yaml, format_args!("\n# Not converted: {text}\n"));
    }
    Ok(Conversion { yaml, remains, warnings: loaded.warnings })
}

/// The settings without the values that this server refuses, and why it refuses them.
fn load_accepted(
    args: &[OsString],
    cwd: &Path,
    values: &PythonValues,
) -> Result<(Loaded, Vec<Error>), Errors> {
    let (mut values, mut refused) = (values.clone(), Vec::new());
    loop {
        let errors = match load_with(args, &[], cwd, Some(&values)) {
            Ok(Command::Run(loaded)) => return Ok((loaded, refused)),
            Ok(_) => return Err(Errors::default()),
            Err(errors) => errors,
        };
        let is_about =
            |error: &Error, name: &str| error.origin.is_python() && error.subject == name;
        let count = values.values.len();
        values.values.retain(|(name, _)| !errors.0.iter().any(|error| is_about(error, name)));
        if values.values.len() == count {
            return Err(errors);
        }
        refused.extend(errors.0.into_iter().filter(|error| error.origin.is_python()));
    }
}

/// What is not converted, with the lines of the file.
fn remains(loaded: &Loaded, run: &PythonRun, refused: &[Error]) -> Vec<String> {
    let place = |name: &str| match line_of(run.text, name) {
        Some(line) => format!("{name} (line {line})"),
        None => name.to_owned(),
    };
    let hooks = run.hooks.iter();
    let hooks = hooks.map(|hook| format!("{}: a hook is a function in Python", place(hook)));
    let refused = refused.iter().map(|it| format!("{}: {}", place(&it.subject), it.reason));
    let own = ROWS.iter().filter(|row| is_own(row, loaded));
    let own = own.map(|row| {
        let name = place(row.gunicorn.unwrap_or(row.name));
        format!("{name}: its class is defined in the file; move it to a module to name it in YAML")
    });
    let logs = ["logger_class", "log_config", "log_config_json"];
    let logs = ROWS.iter().filter(|row| logs.contains(&row.name));
    let has_row = logs.into_iter().any(|row| loaded.source(row).is_python());
    let dictionary = (run.python_logging && !has_row).then(|| {
        let name = place("logconfig_dict");
        format!("{name}: write it to a file as JSON and name that as log-config-json")
    });
    refused.chain(hooks).chain(own).chain(dictionary).collect()
}

/// Whether the value of a setting is defined in the file itself.
fn is_own(row: &Row, loaded: &Loaded) -> bool {
    let texts = row.texts(&loaded.settings);
    loaded.source(row).is_python() && texts.iter().any(|text| text.starts_with(OWN_MODULE))
}

/// The settings of gunicorn that mean nothing here, with the reason.
fn without_effect(loaded: &Loaded) -> Vec<String> {
    let notes = loaded.foreign.iter().filter_map(|value| match value.judge() {
        ForeignFinding::Note(text) => Some(text),
        ForeignFinding::Silent | ForeignFinding::Warning(_) | ForeignFinding::Error(_) => None,
    });
    notes.collect()
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(values: &[(&str, &str)], hooks: &[&str], text: &str) -> Conversion {
        let values = values
            .iter()
            .map(|(name, word)| ((*name).to_owned(), word.split('|').map(str::to_owned).collect()));
        let values = PythonValues { values: values.collect(), unknown: Vec::new() };
        let hooks: Vec<_> = hooks.iter().map(|hook| (*hook).to_owned()).collect();
        let run = PythonRun { values: &values, hooks: &hooks, python_logging: false, text };
        convert(&"gunicorn.conf.py".into(), Path::new("/nowhere"), &run).unwrap()
    }

    #[test]
    fn values_become_yaml() {
        let values = [("bind", ":80|[::1]:81"), ("workers", "3"), ("raw_env", "A=b c")];
        let text = "bind = [':80', '[::1]:81']\nworkers = 3\nraw_env = ['A=b c']\n";
        let found = converted(&values, &[], text);
        assert_eq!(found.remains, [""; 0]);
        assert_eq!(
            found.yaml,
            "# The settings of gunicorn.conf.py.\n\
             env:\n  - \"A=b c\"\nbind:\n  - \"0.0.0.0:80\"\n  - \"[::1]:81\"\nworkers: 3\n"
        );
    }

    #[test]
    fn computed_values_are_marked() {
        let found = converted(&[("workers", "9")], &[], "import os\nworkers = 2 * cpus() + 1\n");
        let comment = "# gunicorn.conf.py computes it; this is its value here and now:\n\
                       # workers = 2 * cpus() + 1\nworkers: 9\n";
        assert!(found.yaml.ends_with(comment), "{}", found.yaml);
    }

    #[test]
    fn a_value_that_is_refused_is_named_and_the_others_are_converted() {
        let text = "workers = 3\nworker_class = 'gevent'\n";
        let found = converted(&[("workers", "3"), ("worker_class", "gevent")], &[], text);
        assert!(found.yaml.contains("\nworkers: 3\n"), "{}", found.yaml);
        let [refused] = &found.remains[..] else { panic!("{:?}", found.remains) };
        assert!(refused.starts_with("worker_class (line 2): \"gevent\": "), "{refused}");
    }

    #[test]
    fn what_is_code_remains() {
        let text = "class Own: pass\nlogger_class = Own\ndef post_fork(s, w): pass\n";
        let values = [("logger_class", "__config__.Own"), ("worker_tmp_dir", "/dev/shm")];
        let found = converted(&values, &["post_fork"], text);
        assert_eq!(found.remains.len(), 2, "{:?}", found.remains);
        for part in
            ["# Not converted: post_fork (line 3): ", "# Not converted: logger_class (line 2): "]
        {
            assert!(found.yaml.contains(part), "{}", found.yaml);
        }
        assert!(found.yaml.contains("# gunicorn.conf.py: worker_tmp_dir: has no effect: "));
        assert!(!found.yaml.contains("\nlogger-class"), "{}", found.yaml);
    }
}
