//! What the master has to know of a kind of worker.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use monoceros_config::{Loaded, Settings};
use monoceros_sys::process::Program;
use monoceros_wire::message::{Start, StartMold};

use crate::master::act::invocation::Invocation;
use crate::master::kind::client_memory::ClientMemory;
use crate::master::kind::extension::ExtensionFile;
use crate::master::kind::link::Endpoints;

/// What a worker is started with beside its first message.
#[derive(Debug)]
pub(crate) struct StartFacts<'a> {
    /// The number of its application threads.
    pub(crate) threads: u16,
    /// The user that it runs as.
    pub(crate) uid: u32,
    /// The file with its certificates and keys.
    pub(crate) certificates: Option<BorrowedFd<'a>>,
    /// The count of what bodies take of the disk, in all workers.
    pub(crate) spool_count: Option<BorrowedFd<'a>>,
    /// What it shares with other workers about clients, if it limits them.
    pub(crate) clients: Option<ClientMemory>,
    /// Its logs, in the order of `Start::logs`.
    pub(crate) logs: Vec<BorrowedFd<'a>>,
}

/// A kind of worker. The rest of the master treats all workers alike.
pub(crate) trait WorkerKind: fmt::Debug {
    /// The application can be loaded once, by a mold that forks the workers.
    fn can_preload(&self) -> bool;

    /// A check of the configuration can start one to see whether the application loads.
    fn can_check(&self) -> bool;

    /// Its clients always send first, so the kernel may hold back a connection on which
    /// nothing has arrived (`TCP_DEFER_ACCEPT` in `tcp(7)`).
    fn clients_send_first(&self) -> bool;

    /// Its application is Python, which may count with `prometheus_client`.
    fn runs_python(&self) -> bool;

    /// It writes to the log files of the server.
    fn opens_logs(&self) -> bool;

    /// The time after which one that does not notify counts as ready; `None` if it always
    /// notifies.
    fn ready_after(&self, settings: &Settings) -> Option<Duration>;

    /// What it serves, as the settings name it.
    fn app(&self, loaded: &Loaded) -> Option<String>;

    /// Environment variables that it finds beside those of the master.
    fn variables(&self) -> &'static [(&'static str, &'static str)];

    /// What is executed, without the environment, the umask and the user.
    fn program(
        &self,
        loaded: &Loaded,
        invocation: &Invocation,
        directory: &Path,
    ) -> Result<Program, String>;

    /// The extension module that it loads.
    fn extension(&self, invocation: &Invocation) -> Result<Option<Rc<ExtensionFile>>, String>;

    /// Makes both ends of the link between a new worker and the master. The first message,
    /// and what follows it, wait there before the worker runs.
    fn connect(&self, start: Start, facts: StartFacts<'_>) -> io::Result<Endpoints>;

    /// The same for a mold.
    ///
    /// # Errors
    /// `Unsupported` for a kind that cannot preload.
    fn connect_mold(&self, start: StartMold, logs: &[BorrowedFd]) -> io::Result<Endpoints>;
}
