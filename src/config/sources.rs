//! Merges the sources of settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::adapted_value::{AdaptedValue, adapt};
use crate::config_file::{ChosenFile, ConfigFile};
use crate::dev_command;
use crate::environment;
use crate::error::{Error, Errors, ValueOrigin};
use crate::file;
use crate::flags::Line;
use crate::foreign_value::{ForeignFinding, ForeignValue, last_ones};
use crate::loaded::Loaded;
use crate::python_file::{PythonSettings, PythonValues, questions};
use crate::raw::{bytes_of, text_of};
use crate::raw_setting::RawSetting;
use crate::table::{ROWS, Row, Settings};

/// What the values beside the command line come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SettingSources<'a> {
    /// The environment.
    pub(crate) env: &'a [(OsString, OsString)],
    /// The directory that relative names start from.
    pub(crate) cwd: &'a Path,
    /// What a configuration file in Python has set, if that is known.
    pub(crate) python: Option<&'a PythonValues>,
    /// The command is `dev`, which has other values than production.
    pub(crate) is_dev: bool,
}

/// Merges the values of all sources, or returns all their errors.
pub(crate) fn merge_all(
    line: Line,
    given: SettingSources,
    mut errors: Errors,
) -> Result<Loaded, Errors> {
    let loaded = merge(line, given, &mut errors);
    if errors.0.is_empty() { Ok(loaded) } else { Err(errors) }
}

/// Merges the values of all sources. Those with an error are left out.
pub(crate) fn merge(line: Line, given: SettingSources, errors: &mut Errors) -> Loaded {
    let SettingSources { env, cwd, python, is_dev } = given;
    let environment = environment::read(env, errors);
    let mut merge = Merge::default();
    merge.foreign.extend(environment.arguments.foreign);
    merge.foreign.extend(line.foreign);
    let mut arguments = environment.arguments.said;
    let has_arguments = environment.has_arguments;
    let said: Vec<_> = environment.variables.into_iter().chain(line.said).collect();
    let sources: Vec<_> = arguments.iter().chain(&said).cloned().collect();
    let chosen = ChosenFile::new(&sources, cwd);
    let is_meant = said.iter().any(|said| said.row.name == "config");
    merge.warnings.extend(chosen.warning);
    let (mut path, mut source, mut levels) = (None, None, Vec::new());
    let mut defaults = environment.defaults;
    match chosen.file {
        Some(ConfigFile::Yaml { path: yaml, name }) => {
            levels = file::read(&yaml, &name, errors);
            path = Some(yaml);
        }
        Some(ConfigFile::Python(python_source)) => {
            if let Some(values) = python {
                let origin = python_source.origin();
                let settings = PythonSettings::new(values, &origin);
                merge.slips = questions(values, &origin);
                merge.foreign.splice(0..0, settings.foreign);
                merge.has_default_name = !settings.defaults.is_empty();
                defaults.extend(settings.defaults);
                levels = settings.said;
            }
            source = Some(python_source);
        }
        None => {}
    }
    if is_dev {
        let stays = |said: &RawSetting| !dev_command::leaves_out(said.row);
        levels.retain(|said| is_meant || stays(said));
        arguments.retain(stays);
        defaults = defaults.iter().filter_map(dev_command::local_default).collect();
        levels.splice(0..0, dev_values(&defaults));
    }
    levels.extend(arguments);
    levels.extend(said);
    // The default of an environment variable is not checked if a stronger source replaces
    // it.
    let unsaid = |default: &RawSetting| levels.iter().all(|said| said.row.name != default.row.name);
    let mut all: Vec<_> = defaults.into_iter().filter(unsaid).collect();
    all.extend(levels);

    merge.set_all(all, errors);
    merge.judge_foreign(errors);
    let mut loaded = merge.into_loaded(path, cwd);
    loaded.is_partial = source.is_some() && python.is_none();
    loaded.has_gunicorn_source = has_arguments || source.is_some();
    loaded.python_source = source;
    loaded
}

/// The values of `dev` that no default from the environment replaces.
fn dev_values(defaults: &[RawSetting]) -> Vec<RawSetting> {
    let is_replaced = |row: &Row| defaults.iter().any(|default| default.row.name == row.name);
    dev_command::values().filter(|value| !is_replaced(value.row)).collect()
}

/// The values of all sources, while they are merged.
#[derive(Debug, Default)]
struct Merge {
    /// Of each row the value that counts.
    last: Vec<(RawSetting, AdaptedValue)>,
    foreign: Vec<ForeignValue>,
    warnings: Vec<String>,
    notes: Vec<String>,
    slips: Vec<String>,
    has_default_name: bool,
}

impl Merge {
    /// Takes all values, from the weakest to the strongest. Each is checked.
    fn set_all(&mut self, all: Vec<RawSetting>, errors: &mut Errors) {
        let mut checked = Settings::default();
        for said in all {
            let adapted = if said.row.gunicorn.is_some() && said.origin.is_gunicorns() {
                adapt(said.row, &said.texts())
            } else {
                AdaptedValue { words: Some(said.texts()), warnings: Vec::new() }
            };
            if let Some(words) = &adapted.words {
                said.with_texts(words).apply(&mut checked, errors);
            }
            self.last.retain(|(known, _)| known.row.name != said.row.name);
            self.last.push((said, adapted));
        }
    }

    /// Looks at the settings of gunicorn that have no row.
    fn judge_foreign(&mut self, errors: &mut Errors) {
        self.foreign = last_ones(std::mem::take(&mut self.foreign));
        for value in &self.foreign {
            match value.judge() {
                ForeignFinding::Silent => {}
                ForeignFinding::Note(text) => self.notes.push(text),
                ForeignFinding::Warning(text) => self.warnings.push(text),
                ForeignFinding::Error(error) => errors.0.push(error),
            }
        }
    }

    fn into_loaded(self, config_file: Option<PathBuf>, cwd: &Path) -> Loaded {
        let mut settings = Settings::default();
        let mut sources = vec![ValueOrigin::Default; ROWS.len()];
        let mut typed = vec![None; ROWS.len()];
        let mut warnings = self.warnings;
        let has_logger = self.last.iter().any(|(said, _)| said.row.name == "logger_class");
        for (said, adapted) in self.last {
            let index = ROWS.iter().position(|row| row.name == said.row.name);
            let (Some(index), Some(words)) = (index, adapted.words) else { continue };
            said.with_texts(&words).apply(&mut settings, &mut Errors::default());
            let about = |text| Error::new(said.origin.clone(), &said.subject, text).to_string();
            // A logger in Python has values of its own.
            if said.row.name != "access_logformat" || !has_logger {
                warnings.extend(adapted.warnings.into_iter().map(about));
            }
            typed[index] = said.origin.is_gunicorns().then(|| said.texts());
            sources[index] = said.origin;
        }
        // gunicorn finds this file before it changes its directory.
        let paste = settings.paste.as_ref().map(|file| cwd.join(bytes_of(file)));
        let paste = paste.map(|path| format!("config:{}", text_of(path.as_os_str())));
        let app = paste.or_else(|| settings.app.clone());
        Loaded {
            settings,
            app,
            config_file,
            python_source: None,
            warnings,
            notes: self.notes,
            slips: self.slips,
            has_gunicorn_source: false,
            is_partial: false,
            has_default_name: self.has_default_name,
            sources,
            typed,
            foreign: self.foreign,
        }
    }
}
