//! Merges the sources of settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::environment;
use crate::error::{Error, Errors, ValueOrigin};
use crate::file;
use crate::flags::Line;
use crate::loaded::Loaded;
use crate::raw::bytes_of;
use crate::raw_setting::RawSetting;
use crate::table::{ROWS, Settings};

/// The configuration file that is read by default, if it exists.
pub(crate) const DEFAULT_FILE: &str = "monoceros.yaml";

/// Merges the values of all sources, or returns all their errors.
pub(crate) fn merge_all(
    line: Line,
    env: &[(OsString, OsString)],
    cwd: &Path,
    mut errors: Errors,
) -> Result<Loaded, Errors> {
    let environment = environment::read(env, &mut errors);
    let mut said = environment.arguments.said;
    said.extend(environment.variables);
    said.extend(line.said);

    let file = File::choose(&said, cwd).unwrap_or_else(|error| {
        errors.0.push(error);
        None
    });
    let mut levels = match &file {
        Some(file) => file::read(&file.path, &file.name, &mut errors),
        None => Vec::new(),
    };
    levels.extend(said);
    // The default of an environment variable is not checked if a stronger source replaces
    // it.
    let unsaid = |default: &RawSetting| levels.iter().all(|said| said.row.name != default.row.name);
    let mut all: Vec<_> = environment.defaults.into_iter().filter(unsaid).collect();
    all.extend(levels);

    let loaded = merge(&all, file, cwd, &mut errors);
    if errors.0.is_empty() { Ok(loaded) } else { Err(errors) }
}

fn merge(said: &[RawSetting], file: Option<File>, cwd: &Path, errors: &mut Errors) -> Loaded {
    let mut settings = Settings::default();
    let mut sources = vec![ValueOrigin::Default; ROWS.len()];
    for said in said {
        said.apply(&mut settings, errors);
        if let Some(index) = ROWS.iter().position(|row| row.name == said.row.name) {
            sources[index] = said.origin.clone();
        }
    }
    let mut warnings = Vec::new();
    if file.is_none() && cwd.join("gunicorn.conf.py").exists() {
        warnings.push(format!("gunicorn.conf.py is not read; settings belong into {DEFAULT_FILE}"));
    }
    let app = settings.app.clone();
    Loaded { settings, app, config_file: file.map(|file| file.path), warnings, sources }
}

/// The configuration file.
struct File {
    path: PathBuf,
    /// The name as written.
    name: String,
}

impl File {
    /// Chooses the file that was named last, else the one in `cwd` if it exists.
    fn choose(said: &[RawSetting], cwd: &Path) -> Result<Option<Self>, Error> {
        // An empty name is refused later, with all other values.
        let named = |said: &&RawSetting| {
            said.row.name == "config" && said.words.iter().all(|word| !word.text.is_empty())
        };
        let last = said.iter().rev().find(named);
        let Some((said, word)) = last.and_then(|said| said.words.last().map(|word| (said, word)))
        else {
            let path = cwd.join(DEFAULT_FILE);
            // A broken link counts as a file that cannot be read.
            let is_there = path.symlink_metadata().is_ok();
            return Ok(is_there.then(|| Self { path, name: DEFAULT_FILE.to_owned() }));
        };
        let name = word.text.clone();
        if name.starts_with("python:") || name.ends_with(".py") {
            let reason = "configuration in Python is not read; write the settings in YAML";
            return Err(Error::new(said.origin.clone(), &said.subject, reason));
        }
        let name = name.strip_prefix("file:").map_or(name.clone(), str::to_owned);
        let path = cwd.join(bytes_of(&name));
        Ok(Some(Self { path, name: bytes_of(&name).to_string_lossy().into_owned() }))
    }
}
