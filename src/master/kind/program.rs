//! Any program (`worker_class: exec`): it inherits the listeners, reports its state through
//! `sd_notify(3)`, and gets signals from the master.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use monoceros_config::raw::bytes_of;
use monoceros_config::{Loaded, Settings};
use monoceros_sys::process::Program;
use monoceros_wire::message::{Start, StartMold};

use crate::master::act::invocation::Invocation;
use crate::master::kind::executable::{c_string, find_program};
use crate::master::kind::extension::ExtensionFile;
use crate::master::kind::link::{Endpoints, Link};
use crate::master::kind::notify_receiver::NotifyReceiver;
use crate::master::kind::worker_kind::{StartFacts, WorkerKind};

/// Workers that are any program.
#[derive(Debug)]
pub(crate) struct ProgramKind;

impl WorkerKind for ProgramKind {
    fn can_preload(&self) -> bool {
        false
    }

    /// A program that is started serves at once.
    fn can_check(&self) -> bool {
        false
    }

    /// Some protocols have the server send first.
    fn clients_send_first(&self) -> bool {
        false
    }

    fn runs_python(&self) -> bool {
        false
    }

    fn opens_logs(&self) -> bool {
        false
    }

    fn ready_after(&self, settings: &Settings) -> Option<Duration> {
        settings.ready_after.length()
    }

    fn app(&self, loaded: &Loaded) -> Option<String> {
        let path = PathBuf::from(bytes_of(&loaded.settings.program.first()?.0));
        Some(path.file_name()?.to_string_lossy().into_owned())
    }

    fn variables(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn program(
        &self,
        loaded: &Loaded,
        invocation: &Invocation,
        directory: &Path,
    ) -> Result<Program, String> {
        let settings = &loaded.settings;
        let name = settings.program.first().map_or(OsString::new(), |word| bytes_of(&word.0));
        let set = settings.env.iter().find(|it| it.name == "PATH").map(|it| bytes_of(&it.value));
        let path = set.or_else(|| invocation.variable("PATH"));
        let found = find_program(&name, path.as_deref(), directory)?;
        let words = settings.program.iter().map(|word| c_string(&bytes_of(&word.0)));
        Ok(Program {
            path: c_string(found.as_os_str())?,
            arguments: words.collect::<Result<_, _>>()?,
            environment: Vec::new(),
            directory: Some(c_string(directory.as_os_str())?),
            umask: None,
            credentials: None,
            // It cannot notice by itself that the master is gone.
            orphan_signal: Some(libc::SIGTERM),
        })
    }

    fn extension(&self, _: &Invocation) -> Result<Option<Rc<ExtensionFile>>, String> {
        Ok(None)
    }

    fn connect(&self, start: Start, facts: StartFacts<'_>) -> io::Result<Endpoints> {
        let receiver = NotifyReceiver::open(facts.uid)?;
        let address = CString::new(format!("NOTIFY_SOCKET={}", receiver.address()));
        let (variables, app) = (address.into_iter().collect(), start.app.unwrap_or_default());
        Ok(Endpoints { link: Link::Notify { receiver, app }, theirs: None, variables })
    }

    fn connect_mold(&self, _: StartMold, _: &[BorrowedFd]) -> io::Result<Endpoints> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
