//! How this process was called: its arguments, its environment, its directory. The settings
//! are read from there, at the start and at each reload.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::rc::Rc;

use monoceros_config::{Command, Loaded, PythonValues};
use monoceros_sys::reason;

use crate::cli::{check_file, with_found_application};
use crate::directory::working_directory;

use crate::master::kind::executable::{find_program, links, own_program};
use crate::master::kind::extension::ExtensionFile;

/// The arguments and the environment of this process, as it was started.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// The name that it was called by.
    pub(super) name: OsString,
    /// The path of this program, where the next release may be later.
    program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) directory: PathBuf,
    extension: OnceCell<Rc<ExtensionFile>>,
}

impl Invocation {
    /// This process's own arguments and environment, as it was started.
    pub(crate) fn own() -> Result<Self, String> {
        let mut args = std::env::args_os();
        let name = args.next().unwrap_or_default();
        let args = args.collect();
        let env: Vec<_> = std::env::vars_os().collect();
        let directory = working_directory(&env)
            .map_err(|error| format!("cannot find the working directory: {}", reason(&error)))?;
        let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
        let program = own_program(&name, path, &directory)?;
        Ok(Self { name, program, args, env, directory, extension: OnceCell::new() })
    }

    /// A call with these arguments and no environment, for tests of other files.
    #[cfg(test)]
    pub(crate) fn with_args(args: &[&str]) -> Self {
        Self {
            name: "monoceros".into(),
            program: PathBuf::new(),
            args: args.iter().map(OsString::from).collect(),
            env: Vec::new(),
            directory: std::env::temp_dir(),
            extension: OnceCell::new(),
        }
    }

    /// Reads the settings again. Those of a configuration file in Python are not among them.
    pub(crate) fn load(&self) -> Result<Loaded, String> {
        self.load_from(None)
    }

    /// Reads the settings again, with what the configuration file in Python sets.
    pub(crate) fn load_with(&self, python: &PythonValues) -> Result<Loaded, String> {
        self.load_from(Some(python))
    }

    /// Reads the settings again for gunicorn's form of them: those that this server refuses are
    /// left out.
    pub(crate) fn load_leniently(&self, python: &PythonValues) -> Loaded {
        monoceros_config::load_leniently(&self.args, &self.env, &self.directory, python)
    }

    fn load_from(&self, python: Option<&PythonValues>) -> Result<Loaded, String> {
        match monoceros_config::load_with(&self.args, &self.env, &self.directory, python) {
            Ok(
                Command::Run(loaded)
                | Command::CheckConfig(loaded)
                | Command::PrintConfig(loaded)
                | Command::Check { loaded, .. },
            ) => {
                check_file(loaded.config_file.as_deref())?;
                with_found_application(loaded, &self.env, &self.directory)
            }
            Ok(
                Command::Completions(_)
                | Command::InstallShim(_)
                | Command::Init(_)
                | Command::Convert(_)
                | Command::Help(_)
                | Command::Version(_)
                | Command::Control(_),
            ) => Err("this command line has no settings to read".to_owned()),
            Err(errors) => Err(errors.to_string()),
        }
    }

    /// The paths of this program: the one it was called by, those that links lead to
    /// from there, and its file's.
    pub(crate) fn programs(&self) -> Vec<PathBuf> {
        let path = self.variable("PATH");
        let called = find_program(&self.name, path.as_deref(), &self.directory);
        let called = called.into_iter().flat_map(links);
        called.chain([self.program.clone()]).collect()
    }

    /// The extension module. It is opened when it is first needed, and kept: the workers
    /// of a master are of its own version, whatever is installed meanwhile.
    pub(crate) fn extension(&self) -> Result<Rc<ExtensionFile>, String> {
        if let Some(known) = self.extension.get() {
            return Ok(Rc::clone(known));
        }
        let opened = Rc::new(ExtensionFile::open(&self.programs())?);
        Ok(Rc::clone(self.extension.get_or_init(|| opened)))
    }

    /// The value of an environment variable of this process.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        let found = self.env.iter().find(|(known, _)| known == OsStr::new(name));
        found.map(|(_, value)| value.clone())
    }

    /// `WATCHDOG_USEC` is meant for this process (`sd_watchdog_enabled(3)`), or
    /// for the one that it follows.
    pub(crate) fn is_watched(&self) -> bool {
        let pid = self.variable("WATCHDOG_PID");
        pid.is_none_or(|pid| pid.to_str() == Some(&std::process::id().to_string()))
    }
}
