//! The hand-over from a master to its successor: what is passed on, and the channel between
//! the two. Each master has one end, which `handover.rs` owns.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use monoceros_config::{Bind, variable};
use monoceros_sys::process::{Detached, Ending, Program};
use monoceros_sys::{descriptor, path, reason};
use monoceros_tls::TicketKey;
use monoceros_wire::Generation;
use monoceros_wire::channel::{Channel, Incoming, ends};
use monoceros_wire::report::{ChangeReport, Totals};
use serde::{Deserialize, Serialize};

use crate::cli::roots;

use crate::master::act::bind_format::binds;
use crate::master::act::former_workers::{FormerRecord, PassedWorker};
use crate::master::act::invocation::Invocation;
use crate::master::act::listener::{ListenerRecord, OwnedListener};
use crate::master::act::path_format::optional_path;
use crate::master::kind::executable::find_program;

/// How many workers are passed on in one message, with their counts and two descriptors each.
const WORKERS_OF_MESSAGE: usize = 8;

/// The title of the attendant, which exists until the new master serves.
const ATTENDANT: &str = "monoceros: upgrade";

/// The messages of the predecessor.
#[derive(Debug, Serialize, Deserialize)]
enum ToSuccessor {
    /// The first message: it waits in the channel before the program runs. The descriptor of
    /// the table of clients comes with it, if there is one.
    Begin(HandoverState),
    /// Workers that still drain. The descriptors of the scoreboard and the process of each come
    /// with it. Further ones may follow; `PassedOn` is the last message.
    Workers(Vec<FormerRecord>),
    /// Everything belongs to the successor now.
    PassedOn(PassedOn),
}

/// The last message of the predecessor.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PassedOn {
    /// The number of workers, if an operator has changed it since [`ToSuccessor::Begin`].
    pub(crate) workers: Option<u16>,
    /// What the server has counted, without the workers that live.
    #[serde(default)]
    pub(crate) totals: Box<Totals>,
    /// The last reloads and upgrades, the newest first.
    #[serde(default)]
    pub(crate) changes: Vec<ChangeReport>,
}

/// The messages of the successor.
#[derive(Debug, Serialize, Deserialize)]
enum FromSuccessor {
    /// It serves with workers of its own.
    Ready {
        /// The addresses among those passed on that it does not serve.
        #[serde(with = "binds")]
        given_up: Vec<Bind>,
    },
}

/// What a successor takes over.
#[derive(Debug, Serialize, Deserialize)]
struct HandoverState {
    /// The highest number given to a generation.
    newest: Generation,
    /// The number of workers, if an operator has changed it.
    workers: Option<u16>,
    /// The path of the pid file; that of the successor may be another one.
    #[serde(default, with = "optional_path")]
    pid_path: Option<PathBuf>,
    /// The listeners; their sockets follow each other from descriptor 3 on.
    listeners: Vec<ListenerRecord>,
    /// The keys of session tickets, the newest first. A message of an older release has none.
    #[serde(default)]
    ticket_keys: Vec<TicketKey>,
    /// The directories in which the workers count with `prometheus_client`. A message of an
    /// older release has none.
    #[serde(default)]
    metrics_directories: Vec<String>,
    /// The listeners of the metrics addresses; their sockets follow the others.
    #[serde(default)]
    metrics: Vec<ListenerRecord>,
}

/// What a successor is started with beside the listeners.
pub(crate) struct SuccessorStart<'a> {
    /// The highest number that was given to a generation.
    pub(crate) newest: Generation,
    /// The number of workers, if an operator has changed it.
    pub(crate) workers: Option<u16>,
    /// The path of the pid file of this master.
    pub(crate) pid_path: Option<&'a Path>,
    /// The keys of session tickets, the newest first.
    pub(crate) ticket_keys: &'a [TicketKey],
    /// The table of clients, if there is one.
    pub(crate) clients: Option<BorrowedFd<'a>>,
    /// The directories in which the workers count with `prometheus_client`.
    pub(crate) metrics_directories: &'a [String],
    /// The listeners of the metrics addresses.
    pub(crate) metrics: &'a [Rc<OwnedListener>],
}

/// The successor, seen from this master.
#[derive(Debug)]
pub(crate) struct SuccessorProcess {
    channel: Channel<ToSuccessor, FromSuccessor>,
    /// Not a child of this process: an init system relies on its own children only.
    process: Detached,
    program: Program,
    /// The addresses that it does not serve; empty until it serves.
    given_up: Vec<Bind>,
}

/// The predecessor, seen from this master.
#[derive(Debug)]
pub(crate) struct Predecessor {
    channel: Channel<FromSuccessor, ToSuccessor>,
    pid_path: Option<PathBuf>,
    /// Its workers that still drain.
    workers: Vec<PassedWorker<OwnedFd>>,
}

/// What this master was given.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// The predecessor.
    pub(crate) predecessor: Predecessor,
    /// The listeners of the predecessor.
    pub(crate) listeners: Vec<Rc<OwnedListener>>,
    /// The number of the first generation.
    pub(crate) generation: Generation,
    /// The number of workers, if an operator has changed it.
    pub(crate) workers: Option<u16>,
    /// The keys of session tickets, the newest first.
    pub(crate) ticket_keys: Vec<TicketKey>,
    /// The table of clients, if there is one.
    pub(crate) clients: Option<OwnedFd>,
    /// The directories in which the workers count with `prometheus_client`.
    pub(crate) metrics_directories: Vec<String>,
    /// The listeners of the metrics addresses.
    pub(crate) metrics: Vec<Rc<OwnedListener>>,
}

impl SuccessorProcess {
    /// Executes the program that is now at the path that this one was started from.
    pub(crate) fn start(
        invocation: &Invocation,
        listeners: &[Rc<OwnedListener>],
        start: &SuccessorStart,
    ) -> Result<Self, String> {
        if std::process::id() == 1 {
            return Err("the first process of a container cannot be replaced; \
                        start another container"
                .to_owned());
        }
        let cannot = |error: io::Error| format!("cannot start a new master: {}", reason(&error));
        let (ours, theirs) = ends().map_err(cannot)?;
        let records = |of: &[Rc<OwnedListener>]| of.iter().map(|it| it.record()).collect();
        let SuccessorStart { newest, workers, pid_path, ticket_keys, .. } = *start;
        let SuccessorStart { clients, metrics, metrics_directories, .. } = *start;
        let state = HandoverState {
            newest,
            workers,
            pid_path: pid_path.map(Path::to_owned),
            listeners: records(listeners),
            ticket_keys: ticket_keys.to_vec(),
            metrics_directories: metrics_directories.to_vec(),
            metrics: records(metrics),
        };
        let clients: Vec<_> = clients.into_iter().collect();
        ours.send_with(&ToSuccessor::Begin(state), &clients).map_err(cannot)?;
        let sockets = listeners.iter().chain(metrics).flat_map(|it| it.sockets());
        let mut descriptors: Vec<_> = sockets.collect();
        let program = program(invocation, descriptors.len())?;
        descriptors.push(theirs.as_fd());
        let process = Detached::start(&program, &descriptors, ATTENDANT).map_err(cannot)?;
        Ok(Self { channel: ours, process, program, given_up: Vec::new() })
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: i32) {
        if let Err(error) = self.process.signal(signal) {
            log::error!("cannot signal the new master: {}", reason(&error));
        }
    }

    /// Reads whether it serves. A message that cannot be understood is ignored: the exit of
    /// the successor or its deadline follows.
    pub(crate) fn is_ready(&mut self) -> bool {
        let received = self.channel.receive();
        let Ok(Incoming::Message(FromSuccessor::Ready { given_up })) = received else {
            return false;
        };
        self.given_up = given_up;
        true
    }

    /// Whether it serves, and not at this listener's address.
    pub(crate) fn has_given_up(&self, listener: &OwnedListener) -> bool {
        listener.configured().is_some_and(|address| self.given_up.contains(address))
    }

    /// Sends the scoreboards of workers that still drain.
    pub(crate) fn pass_workers<'a>(
        &self,
        workers: impl Iterator<Item = PassedWorker<BorrowedFd<'a>>>,
    ) {
        let workers: Vec<_> = workers.collect();
        for some in workers.chunks(WORKERS_OF_MESSAGE) {
            let records = some.iter().map(|worker| worker.record.clone()).collect();
            let descriptors: Vec<_> =
                some.iter().flat_map(|worker| [worker.board, worker.process]).collect();
            let sent = self.channel.send_with(&ToSuccessor::Workers(records), &descriptors);
            if let Err(error) = sent {
                let why = reason(&error);
                log::error!("the new master does not know what the old workers count: {why}");
            }
        }
    }

    /// Sends the last message: everything belongs to the successor now.
    pub(crate) fn pass_on(&self, rest: PassedOn) {
        if let Err(error) = self.channel.send(&ToSuccessor::PassedOn(rest)) {
            // The end of the channel means the same.
            log::debug!("cannot tell the new master: {}", reason(&error));
        }
    }

    /// How it has ended, in words, if it has.
    pub(crate) fn ending(&mut self) -> Option<String> {
        Some(match self.process.ending()? {
            Ending { exec_error: Some(error), .. } => self.program.describe(&error),
            Ending { end: Some(end), .. } => {
                format!("the new master ended with {end} before it served")
            }
            Ending { end: None, .. } => {
                "the process that waits for the new master was killed".to_owned()
            }
        })
    }

    /// The descriptor that becomes readable at its end.
    pub(crate) fn end_descriptor(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// Makes it a child of the init system.
    pub(crate) fn release(&self) {
        if let Err(error) = self.process.release() {
            log::error!("cannot leave the new master to the init system: {}", reason(&error));
        }
    }
}

impl AsFd for SuccessorProcess {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl Predecessor {
    /// Reports that this master serves, and which addresses it does not serve.
    pub(crate) fn send_ready(&self, given_up: Vec<Bind>) {
        if let Err(error) = self.channel.send(&FromSuccessor::Ready { given_up }) {
            log::debug!("cannot send a message to the old master: {}", reason(&error));
        }
    }

    /// The path of its pid file.
    pub(crate) fn pid_path(&self) -> Option<&Path> {
        self.pid_path.as_deref()
    }

    /// The last message, when everything has been passed on. The end of the channel means
    /// the same.
    pub(crate) fn passed_on(&mut self) -> Option<PassedOn> {
        loop {
            match self.channel.receive_with() {
                Ok((Incoming::Nothing, _)) => return None,
                Ok((Incoming::Message(ToSuccessor::Workers(records)), descriptors)) => {
                    self.add_workers(records, descriptors);
                }
                Ok((Incoming::Message(ToSuccessor::PassedOn(rest)), _)) => return Some(rest),
                Ok((Incoming::Message(ToSuccessor::Begin(_)) | Incoming::Closed, _)) => {
                    return Some(PassedOn::default());
                }
                Err(error) => {
                    log::error!("cannot understand the old master: {error}");
                    return Some(PassedOn::default());
                }
            }
        }
    }

    fn add_workers(&mut self, records: Vec<FormerRecord>, descriptors: Vec<OwnedFd>) {
        let mut descriptors = descriptors.into_iter();
        for record in records {
            let (Some(board), Some(process)) = (descriptors.next(), descriptors.next()) else {
                return log::error!("the old master has sent too few descriptors");
            };
            self.workers.push(PassedWorker { record, board, process });
        }
    }

    /// Its workers that still drain, as far as it has passed them on.
    pub(crate) fn take_workers(&mut self) -> Vec<PassedWorker<OwnedFd>> {
        std::mem::take(&mut self.workers)
    }
}

impl AsFd for Predecessor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// Takes what a predecessor passes on; `None` if there is no predecessor.
pub(crate) fn inherit(invocation: &Invocation) -> Result<Option<Inherited>, String> {
    let Some(text) = invocation.variable(variable::PREDECESSOR) else { return Ok(None) };
    let cannot = |why: String| format!("cannot take over from the old master: {why}");
    let number = text.to_str().and_then(|text| text.parse().ok());
    let number =
        number.ok_or_else(|| cannot(format!("{} is no descriptor", variable::PREDECESSOR)))?;
    let fd = descriptor::take_inherited(number).map_err(|error| cannot(reason(&error)))?;
    let channel = Channel::<FromSuccessor, ToSuccessor>::from(fd);
    let (state, descriptors) = match channel.receive_with() {
        Ok((Incoming::Message(ToSuccessor::Begin(state)), descriptors)) => (state, descriptors),
        Ok(_) => return Err(cannot("its first message is not the expected one".to_owned())),
        Err(error) => return Err(cannot(reason(&error))),
    };
    let mut next = descriptor::FIRST;
    let mut take = |records: Vec<ListenerRecord>| {
        let taken =
            records.into_iter().map(|it| OwnedListener::inherit(it, &mut next).map(Rc::new));
        taken.collect::<Result<Vec<_>, _>>().map_err(|it| cannot(it.text))
    };
    let (listeners, metrics) = (take(state.listeners)?, take(state.metrics)?);
    Ok(Some(Inherited {
        predecessor: Predecessor { channel, pid_path: state.pid_path, workers: Vec::new() },
        listeners,
        generation: Generation(state.newest.0.saturating_add(1)),
        workers: state.workers,
        ticket_keys: state.ticket_keys,
        metrics_directories: state.metrics_directories,
        clients: descriptors.into_iter().next(),
        metrics,
    }))
}

fn program(invocation: &Invocation, sockets: usize) -> Result<Program, String> {
    let path = find(invocation)?;
    let channel = usize::try_from(descriptor::FIRST).unwrap_or_default() + sockets;
    let mut dropped = [&variable::LISTEN[..], &["WATCHDOG_PID", variable::PREDECESSOR]].concat();
    if !invocation.is_watched() {
        dropped.push("WATCHDOG_USEC");
    }
    let kept = invocation.env.iter().filter(|(name, _)| !dropped.iter().any(|it| name == it));
    let kept = kept.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    let own = format!("{}={channel}", variable::PREDECESSOR).into_bytes();
    let text = |bytes: Vec<u8>| {
        CString::new(bytes).map_err(|_| "cannot start a new master: a NUL in a text".to_owned())
    };
    let arguments = std::iter::once(&invocation.name).chain(&invocation.args);
    let arguments: Result<_, _> =
        arguments.map(|argument| text(argument.as_bytes().to_vec())).collect();
    let environment: Result<_, _> = kept.chain([own]).map(text).collect();
    Ok(Program {
        path: text(path.into_os_string().into_encoded_bytes())?,
        arguments: arguments?,
        environment: environment?,
        directory: Some(text(invocation.directory.as_os_str().as_bytes().to_vec())?),
        umask: None,
        credentials: None,
        orphan_signal: None,
    })
}

/// Fails if another user than root can change the program that an upgrade executes
/// with root's rights.
pub(crate) fn check_program(invocation: &Invocation) -> Result<(), String> {
    let path = find(invocation)?;
    path::follow_to_file(&path, &roots()).map(drop).map_err(|error| {
        let (path, why) = (path.display(), reason(&error));
        format!("{path} is not to be executed by root, since others can change it: {why}")
    })
}

/// The path of the program to execute: the name that this one was called by is looked up
/// again, since another file may have it now.
fn find(invocation: &Invocation) -> Result<PathBuf, String> {
    find_program(&invocation.name, invocation.variable("PATH").as_deref(), &invocation.directory)
}
