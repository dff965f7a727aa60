//! Molds that run a configuration file in Python. Owns nothing. Called by the event loop only.

use std::os::fd::BorrowedFd;
use std::rc::Rc;

use monoceros_sys::process;
use monoceros_sys::reason;
use monoceros_wire::Generation;
use monoceros_wire::gunicorn::MoldSettings;
use monoceros_wire::message::ToWorker;

use super::Processes;
use crate::master::act::logs::OpenLogs;
use crate::master::act::poller::Poller;
use crate::master::act::python_file::MoldFile;
use crate::master::act::worker_process::{self, WorkerProcess};
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::event::{MasterEvent, SpawnError};
use crate::master::decide::id::WorkerId;
use crate::master::kind::extension::ExtensionFile;

impl Processes {
    /// A mold that was started before the event loop is one of the processes from now on.
    pub(crate) fn adopt_mold(
        &mut self,
        worker: WorkerId,
        mold: WorkerProcess,
        poller: &Poller,
    ) -> MasterEvent {
        match process::adopt_orphans() {
            Ok(()) => self.keep(worker, mold, poller),
            Err(error) => {
                let error = format!("cannot take over orphans: {}", reason(&error)).into();
                MasterEvent::SpawnFailed { worker, error }
            }
        }
    }

    /// Starts a mold that runs the file. The master adopts the orphans that the mold makes.
    pub(crate) fn spawn_reader(
        &mut self,
        worker: WorkerId,
        generation: Generation,
        (file, extension): (&MoldFile, &ExtensionFile),
        poller: &Poller,
    ) -> MasterEvent {
        let adopts = process::adopt_orphans()
            .map_err(|error| format!("cannot take over orphans: {}", reason(&error)));
        let spawned = adopts
            .map_err(SpawnError::from)
            .and_then(|()| worker_process::spawn_reader(file, extension, generation));
        match spawned {
            Ok(process) => self.keep(worker, process, poller),
            Err(error) => MasterEvent::SpawnFailed { worker, error },
        }
    }

    /// Sends a mold the settings that take effect, and its logs.
    pub(crate) fn configure(
        &mut self,
        worker: WorkerId,
        settings: MoldSettings,
        logs: &Rc<OpenLogs>,
    ) {
        if let Some(mold) = self.running.get_mut(&worker) {
            mold.logs = Rc::clone(logs);
            mold.send_with(&ToWorker::Configure(settings), &logs.descriptors());
        }
    }

    /// Sends a mold the listening sockets of a generation.
    pub(crate) fn pass_listeners(&self, worker: WorkerId, spec: &WorkerSpec) {
        if let Some(mold) = self.running.get(&worker) {
            let sockets: Vec<BorrowedFd> =
                spec.listeners.iter().flat_map(|it| it.sockets()).collect();
            let message = ToWorker::Listeners {
                described: spec.descriptions().collect(),
                are_activated: spec.listeners.iter().any(|it| it.is_activated()),
            };
            mold.send_with(&message, &sockets);
        }
    }

    /// The server has closed its listening sockets: so do the molds that have them.
    pub(crate) fn close_listeners(&self) {
        let molds = self.running.values().filter(|process| process.has_file());
        let message = ToWorker::Listeners { described: Vec::new(), are_activated: false };
        molds.for_each(|mold| mold.send_with(&message, &[]));
    }
}
