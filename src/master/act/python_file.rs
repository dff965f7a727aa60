//! The configuration file in Python, as molds are asked to run it: which program a mold is, and
//! what it is sent. Owned by `worker_spec.rs`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use monoceros_config::raw::text_of;
use monoceros_config::{Loaded, PythonSource, PythonValues, Settings};
use monoceros_sys::process::Program;
use monoceros_wire::Generation;
use monoceros_wire::gunicorn::{GunicornValues, MoldSettings, PythonFile, ReadConfig};
use monoceros_wire::message::StartMold;

use crate::master::act::environment::environment;
use crate::master::act::invocation::Invocation;
use crate::master::kind::{mold_program, python_kind};

/// What molds need to run the file.
#[derive(Debug)]
pub(crate) struct MoldFile {
    /// The file as the user named it.
    pub(crate) name: String,
    /// The path of the file; a module has none.
    pub(crate) path: Option<PathBuf>,
    /// What is executed as a mold: with the master's user, directory and environment, as
    /// gunicorn's own process runs the file.
    pub(crate) program: Program,
    /// The request to run the file.
    pub(crate) request: ReadConfig,
    /// What stronger sources set in place of the file.
    pub(crate) overrides: Vec<(String, Vec<String>)>,
    /// The mold prints all settings, in gunicorn's form.
    pub(crate) prints: bool,
    /// The server only checks its settings, as gunicorn does.
    pub(crate) is_lenient: bool,
}

impl MoldFile {
    /// The file of these settings; for settings without one, only other sources of gunicorn.
    pub(crate) fn new(loaded: &Loaded, invocation: &Invocation) -> Result<Self, String> {
        let source = loaded.python_source.as_ref();
        let (name, path, file) = match source {
            Some(PythonSource::File { path, name }) => {
                let file = PythonFile::File(text_of(path.as_os_str()));
                (name.clone(), Some(path.clone()), Some(file))
            }
            Some(PythonSource::Module(module)) => {
                (format!("python:{module}"), None, Some(PythonFile::Module(module.clone())))
            }
            None => ("GUNICORN_CMD_ARGS".to_owned(), None, None),
        };
        let settings = Settings::default();
        let program = Program {
            environment: environment(python_kind(), &settings, invocation, None)?,
            ..mold_program(&loaded.settings, invocation, &invocation.directory)?
        };
        let words = [&invocation.name].into_iter().chain(&invocation.args);
        let arguments = words.map(|word| text_of(OsStr::new(word))).collect();
        Ok(Self {
            name,
            path,
            program,
            request: ReadConfig { source: file, arguments, as_written: false },
            overrides: loaded.gunicorn_overrides(),
            prints: false,
            is_lenient: false,
        })
    }

    /// The message after which a mold that has run the file prints all settings, also those that
    /// the server refuses.
    pub(crate) fn settings_to_print(&self, loaded: &Loaded, directory: &Path) -> MoldSettings {
        let directory = loaded.settings.directory(directory);
        MoldSettings {
            app: loaded.app.clone(),
            overrides: self.overrides.clone(),
            directory: text_of(directory.as_os_str()),
            print: true,
            check: true,
            is_lenient: true,
            ..MoldSettings::default()
        }
    }

    /// The first message to a mold that runs the file.
    pub(crate) fn first_message(&self, generation: Generation) -> StartMold {
        StartMold { generation, config: Some(self.request.clone()), ..StartMold::default() }
    }
}

/// What a mold has reported, as the settings are made from it.
pub(crate) fn values_of(reported: GunicornValues) -> PythonValues {
    let GunicornValues { values, unknown, .. } = reported;
    PythonValues { values, unknown }
}
