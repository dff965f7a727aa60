//! Molds that run a configuration file in Python: they are started, and sent the settings that
//! take effect. Owns nothing. Called by the event loop only.

use monoceros_config::Loaded;
use monoceros_config::raw::text_of;
use monoceros_wire::Generation;
use monoceros_wire::gunicorn::{GunicornValues, MoldSettings, WorkerOwner};
use monoceros_wire::message::{Start, ToWorker};

use super::MasterLoop;
use crate::master::act::config_reader::FirstMold;
use crate::master::act::python_file::{MoldFile, values_of};
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::event::MasterEvent;
use crate::master::decide::id::WorkerId;
use crate::master::decide::settings::MasterSettings;

impl MasterLoop {
    /// The mold that has run the file before this loop began becomes one of the processes.
    pub(super) fn adopt_mold(&mut self, worker: WorkerId) -> MasterEvent {
        match self.first_mold.take().and_then(FirstMold::into_process) {
            Some(mold) => self.processes.adopt_mold(worker, mold, &self.poller),
            None => MasterEvent::SpawnFailed { worker, error: "there is no mold".into() },
        }
    }

    /// Starts a mold that runs the file for a generation whose settings are not known yet.
    pub(super) fn spawn_reader(&mut self, worker: WorkerId, generation: Generation) -> MasterEvent {
        let file = self.invocation.load().and_then(|it| MoldFile::new(&it, &self.invocation));
        let spawned = file.and_then(|file| Ok((file, self.invocation.extension()?)));
        match spawned {
            Ok((file, extension)) => {
                let made = (&file, extension.as_ref());
                self.processes.spawn_reader(worker, generation, made, &self.poller)
            }
            Err(text) => MasterEvent::SpawnFailed { worker, error: text.into() },
        }
    }

    /// Asks a mold to run the file again.
    pub(super) fn run_file(&mut self, worker: WorkerId) -> Option<MasterEvent> {
        match self.invocation.load().and_then(|it| MoldFile::new(&it, &self.invocation)) {
            Ok(file) => self.processes.send(worker, ToWorker::ReadConfig(file.request)),
            Err(text) => Some(MasterEvent::ConfigFailed { worker, text, code: 1 }),
        }
    }

    /// Sends a mold the settings of a generation.
    pub(super) fn configure(&mut self, worker: WorkerId, generation: Generation) {
        let Ok(spec) = self.generations.find(generation) else { return };
        let Some(file) = &spec.mold_file else { return };
        let metrics = spec.metrics_directory.as_ref().filter(|directory| directory.is_own());
        let settings = MoldSettings {
            generation,
            app: spec.app.clone(),
            settings: spec.pairs.clone(),
            overrides: file.overrides.clone(),
            directory: text_of(spec.directory.as_os_str()),
            preload: spec.settings.preload,
            workers: spec.master_settings().workers,
            logs: spec.logs.roles(),
            metrics_directory: metrics.map(|it| text_of(it.path().as_os_str())),
            print: file.prints,
            check: spec.check.is_some(),
            is_lenient: file.is_lenient,
            serving: self.generations.oldest().unwrap_or(generation),
        };
        self.processes.configure(worker, settings, &spec.logs);
    }

    /// Sends a mold the listening sockets of a generation.
    pub(super) fn pass_listeners(&mut self, worker: WorkerId, generation: Generation) {
        if let Ok(spec) = self.generations.find(generation) {
            self.processes.pass_listeners(worker, spec);
        }
    }

    /// Reads the settings for a new generation. A reload opens the logs again, as gunicorn's does,
    /// so that all processes go on in the same files, also those of the old generation.
    pub(super) fn read_settings(&mut self, generation: Generation) -> MasterEvent {
        if let Err(error) = self.reopen_logs() {
            log::error!("{error}; still writing to the old file");
        }
        self.processes.pass_logs();
        let loaded = match self.invocation.load() {
            Ok(loaded) => loaded,
            Err(text) => return MasterEvent::SettingsRead { generation, settings: Err(text) },
        };
        if loaded.is_partial()
            && let Some(source) = &loaded.python_source
        {
            return MasterEvent::FileFound { generation, name: source.origin().to_string() };
        }
        let settings = self.use_settings(generation, &loaded);
        MasterEvent::SettingsRead { generation, settings }
    }

    /// Reads the settings again, with what the configuration file in Python sets.
    pub(super) fn load_settings(
        &mut self,
        generation: Generation,
        values: GunicornValues,
    ) -> MasterEvent {
        let loaded = self.invocation.load_with(&values_of(values));
        let settings = loaded.and_then(|loaded| self.use_settings(generation, &loaded));
        MasterEvent::SettingsRead { generation, settings }
    }

    /// Makes a generation of settings that were read.
    fn use_settings(
        &mut self,
        generation: Generation,
        loaded: &Loaded,
    ) -> Result<MasterSettings, String> {
        let settings = self.generations.read(generation, loaded, &self.invocation)?;
        if let Err(text) = self.note_generation() {
            self.generations.forget(generation);
            return Err(text);
        }
        self.pid_file.renew(self.generations.owner());
        Ok(settings)
    }

    /// What a worker does by itself that a mold with a configuration file forks: the mold has the
    /// master's user, and its umask.
    pub(super) fn with_own_steps(start: Start, spec: &WorkerSpec) -> Start {
        if spec.mold_file.is_none() {
            return start;
        }
        let owner = spec.owner.as_ref().map(|owner| WorkerOwner {
            uid: owner.uid,
            gid: owner.gid,
            groups: owner.groups.clone(),
        });
        Start { owner, umask: spec.program.umask, ..start }
    }
}
