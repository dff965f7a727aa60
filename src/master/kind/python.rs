//! A Python worker: the user's interpreter executes `boot.py`, which loads the extension
//! module, and communicates with the master through a channel, a scoreboard and a file for stacks.

use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use monoceros_config::{Loaded, Settings};
use monoceros_sys::process::Program;
use monoceros_wire::channel::pair;
use monoceros_wire::message::{Start, StartMold, ToWorker};
use monoceros_wire::scoreboard::{BoardShape, Scoreboard};
use monoceros_wire::stacks::Stacks;

use crate::master::act::invocation::Invocation;
use crate::master::kind::executable::c_string;
use crate::master::kind::extension::ExtensionFile;
use crate::master::kind::interpreter::{BOOT, find_python};
use crate::master::kind::link::{Endpoints, Link};
use crate::master::kind::native_worker::{NativeWorker, SharedMemory};
use crate::master::kind::worker_kind::{StartFacts, WorkerKind};

/// What applications find in `SERVER_SOFTWARE` of their process. web.py takes a process
/// without it for a development server, and shows details in error pages; other
/// applications look for the name of gunicorn, and then start no server of their own.
const SOFTWARE: &str = concat!("monoceros/", env!("CARGO_PKG_VERSION"), " (like gunicorn)");

/// Workers that are Python with the extension module.
#[derive(Debug)]
pub(crate) struct PythonKind;

impl WorkerKind for PythonKind {
    fn can_preload(&self) -> bool {
        true
    }

    fn can_check(&self) -> bool {
        true
    }

    /// Its clients use HTTP, and send first.
    fn clients_send_first(&self) -> bool {
        true
    }

    fn runs_python(&self) -> bool {
        true
    }

    fn opens_logs(&self) -> bool {
        true
    }

    fn ready_after(&self, _: &Settings) -> Option<Duration> {
        None
    }

    fn app(&self, loaded: &Loaded) -> Option<String> {
        loaded.app.clone()
    }

    fn variables(&self) -> &'static [(&'static str, &'static str)] {
        &[("SERVER_SOFTWARE", SOFTWARE)]
    }

    fn program(
        &self,
        loaded: &Loaded,
        invocation: &Invocation,
        directory: &Path,
    ) -> Result<Program, String> {
        check_application(loaded.app.as_deref(), directory)?;
        boot_program(&loaded.settings, invocation, directory)
    }

    fn extension(&self, invocation: &Invocation) -> Result<Option<Rc<ExtensionFile>>, String> {
        invocation.extension().map(Some)
    }

    fn connect(&self, start: Start, facts: StartFacts<'_>) -> io::Result<Endpoints> {
        let (channel, theirs) = pair()?;
        let listeners = start.addresses();
        let shape = BoardShape::of_threads(facts.threads).with_listeners(listeners.len());
        let scoreboard = Scoreboard::create(start.slot, start.generation, shape)?;
        let (stacks, clients) = (Stacks::create()?.into(), facts.clients);
        let files: Vec<_> = facts.spool_count.into_iter().chain(facts.logs).collect();
        channel.send_with(&ToWorker::Start(start), &files)?;
        if let Some(certificates) = facts.certificates {
            channel.send_with(&ToWorker::Tls, &[certificates])?;
        }
        if let Some(clients) = &clients {
            clients.send(&channel)?;
        }
        let shared = SharedMemory { scoreboard: Some(scoreboard), listeners, stacks, clients };
        let link = Link::Channel(NativeWorker::new(channel, shared).into());
        Ok(Endpoints { link, theirs: Some(theirs), variables: Vec::new() })
    }

    fn connect_mold(&self, start: StartMold, logs: &[BorrowedFd]) -> io::Result<Endpoints> {
        let (channel, theirs) = pair()?;
        channel.send_with(&ToWorker::StartMold(start), logs)?;
        let (stacks, clients) = (Stacks::create()?.into(), None);
        let listeners = Vec::new();
        let shared = SharedMemory { scoreboard: None, listeners, stacks, clients };
        let link = Link::Channel(NativeWorker::new(channel, shared).into());
        Ok(Endpoints { link, theirs: Some(theirs), variables: Vec::new() })
    }
}

/// The program of a mold that runs a configuration file in Python: it starts in this
/// directory, that of the master.
pub(crate) fn mold_program(
    settings: &Settings,
    invocation: &Invocation,
    directory: &Path,
) -> Result<Program, String> {
    let served = settings.directory(directory);
    let directory = Some(c_string(directory.as_os_str())?);
    Ok(Program { directory, ..boot_program(settings, invocation, &served)? })
}

/// The interpreter of an application in this directory, with the extension module.
fn boot_program(
    settings: &Settings,
    invocation: &Invocation,
    directory: &Path,
) -> Result<Program, String> {
    let extension = invocation.extension()?;
    let variable = |name: &str| invocation.variable(name);
    let set = settings.python.as_deref();
    let python =
        find_python(set, variable, &invocation.programs(), directory, settings.development)?;
    let path = c_string(python.as_os_str())?;
    let words = [OsStr::new("-c"), OsStr::new(BOOT), extension.path().as_os_str()];
    let words = words.into_iter().map(c_string).collect::<Result<Vec<_>, _>>()?;
    Ok(Program {
        arguments: [vec![path.clone()], words].concat(),
        path,
        environment: Vec::new(),
        directory: Some(c_string(directory.as_os_str())?),
        umask: None,
        credentials: None,
        // While it loads the application, for an unlimited time, it does not notice that the
        // master is gone, and would keep the listeners open. It takes this back when it reads
        // its channel.
        orphan_signal: Some(libc::SIGKILL),
    })
}

fn check_application(app: Option<&str>, directory: &Path) -> Result<(), String> {
    if app.is_some() || directory.join("manage.py").is_file() {
        return Ok(());
    }
    Err(format!(
        "no application given, and there is no manage.py of a Django project in {}; \
         name one as MODULE:CALLABLE",
        directory.display()
    ))
}
