//! Which configuration file is read: one in YAML, or one in Python.

use std::path::{Path, PathBuf};

use crate::python_file::PythonSource;
use crate::raw::bytes_of;
use crate::raw_setting::RawSetting;

/// The configuration file that is read by default, if it exists.
pub(crate) const DEFAULT_FILE: &str = "monoceros.yaml";

/// gunicorn's, which is read if the other one does not exist.
const PYTHON_FILE: &str = "gunicorn.conf.py";

/// The files of which one is read by default, if it exists.
pub const DEFAULT_FILES: [&str; 2] = [DEFAULT_FILE, PYTHON_FILE];

/// The configuration file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConfigFile {
    /// A file in YAML.
    Yaml {
        path: PathBuf,
        /// The name as written.
        name: String,
    },
    Python(PythonSource),
}

/// The configuration file, with a warning about another one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ChosenFile {
    pub(crate) file: Option<ConfigFile>,
    pub(crate) warning: Option<String>,
}

impl ChosenFile {
    /// Chooses the file that was named last, else one that is in `cwd`.
    pub(crate) fn new(said: &[RawSetting], cwd: &Path) -> Self {
        // An empty name is refused later, or means none.
        let named = |said: &&RawSetting| {
            said.row.name == "config" && said.words.iter().all(|word| !word.text.trim().is_empty())
        };
        let last = said.iter().rev().find(named);
        match last.and_then(|said| said.words.last()) {
            Some(word) => Self { file: Some(ConfigFile::named(&word.text, cwd)), warning: None },
            None => Self::found(cwd),
        }
    }

    fn found(cwd: &Path) -> Self {
        // A broken link counts as a file that cannot be read.
        let is_there = |name: &str| cwd.join(name).symlink_metadata().is_ok();
        let (yaml, python) = (is_there(DEFAULT_FILE), is_there(PYTHON_FILE));
        let file = match (yaml, python) {
            (true, _) => Some(ConfigFile::named(DEFAULT_FILE, cwd)),
            (false, true) => Some(ConfigFile::named(PYTHON_FILE, cwd)),
            (false, false) => None,
        };
        let both = format!("{PYTHON_FILE} is not read, because there is {DEFAULT_FILE}");
        Self { file, warning: (yaml && python).then_some(both) }
    }
}

impl ConfigFile {
    /// The file with this name. Every ending but that of YAML means Python, as in gunicorn.
    fn named(text: &str, cwd: &Path) -> Self {
        if let Some(module) = text.strip_prefix("python:") {
            return Self::Python(PythonSource::Module(module.to_owned()));
        }
        let name = bytes_of(text.strip_prefix("file:").unwrap_or(text));
        let path = cwd.join(&name);
        let is_yaml = path.extension().is_some_and(|it| it == "yaml" || it == "yml");
        let name = name.to_string_lossy().into_owned();
        if is_yaml {
            Self::Yaml { path, name }
        } else {
            Self::Python(PythonSource::File { path, name })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ValueOrigin;
    use crate::table::Row;

    fn chosen(name: &str) -> ChosenFile {
        let row = Row::find("config").unwrap();
        let said =
            RawSetting::new(row, ValueOrigin::CommandLine, "--config", vec![name.to_owned()]);
        ChosenFile::new(&[said], Path::new("/nowhere"))
    }

    #[test]
    fn the_ending_decides() {
        let file = |path: &str, name: &str| PythonSource::File {
            path: PathBuf::from(path),
            name: name.to_owned(),
        };
        for (name, source) in [
            ("gunicorn.conf.py", file("/nowhere/gunicorn.conf.py", "gunicorn.conf.py")),
            ("/etc/shop.conf", file("/etc/shop.conf", "/etc/shop.conf")),
            ("file:settings", file("/nowhere/settings", "settings")),
            ("/dev/fd/63", file("/dev/fd/63", "/dev/fd/63")),
            ("python:shop.conf", PythonSource::Module("shop.conf".to_owned())),
        ] {
            assert_eq!(chosen(name).file, Some(ConfigFile::Python(source)), "{name}");
        }
        for name in ["shop.yaml", "file:shop.yml"] {
            assert!(matches!(chosen(name).file, Some(ConfigFile::Yaml { .. })), "{name}");
        }
        assert_eq!(chosen(" ").file, None);
    }
}
