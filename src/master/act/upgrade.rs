//! The hand-over from a running master to the one that takes its place: what is
//! passed on, and the channel between the two. Each end is held by a shell;
//! nothing is decided here.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use monoceros_config::variable;
use monoceros_sys::process::{Detached, Ending, Program};
use monoceros_sys::{descriptor, path, reason};
use monoceros_wire::Generation;
use monoceros_wire::channel::{Channel, Incoming, ends};
use serde::{Deserialize, Serialize};

use crate::cli::roots;

use crate::master::act::invocation::Invocation;
use crate::master::act::listener;
use crate::master::act::listener::OwnedListener;
use crate::master::kind::executable::find_program;

/// The title of the attendant, which exists until the new master serves.
const ATTENDANT: &str = "monoceros: upgrade";

/// What the old master says.
#[derive(Debug, Serialize, Deserialize)]
enum ToSuccessor {
    /// The first message: it waits in the channel before the program runs.
    Begin(HandoverState),
    /// Everything is yours.
    PassedOn(PassedOn),
}

/// What the old master says at the end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PassedOn {
    /// How many workers an operator has asked for since [`ToSuccessor::Begin`].
    pub(crate) workers: Option<u16>,
}

/// What the new master says.
#[derive(Debug, Serialize, Deserialize)]
enum FromSuccessor {
    /// It serves with workers of its own.
    Ready {
        /// The addresses among those passed on that it does not serve.
        given_up: Vec<String>,
    },
}

/// What outlives a master.
#[derive(Debug, Serialize, Deserialize)]
struct HandoverState {
    /// The highest number given to a generation.
    newest: Generation,
    /// How many workers an operator has asked for, if not what is set.
    workers: Option<u16>,
    /// The pid file, which the new master may have elsewhere.
    #[serde(default, with = "optional_path")]
    pid_path: Option<PathBuf>,
    /// The listeners; their sockets follow each other from descriptor 3 on.
    listeners: Vec<listener::ListenerRecord>,
}

/// A path in a message, whatever bytes are in it.
pub(crate) mod raw_path {
    use std::path::{Path, PathBuf};

    use monoceros_config::raw::{bytes_of, text_of};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&text_of(path.as_os_str()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        String::deserialize(from).map(|text| PathBuf::from(bytes_of(&text)))
    }
}

/// As [`raw_path`], for a path that may be missing.
mod optional_path {
    use std::path::PathBuf;

    use monoceros_config::raw::{bytes_of, text_of};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        path.as_ref().map(|path| text_of(path.as_os_str())).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        Ok(text.map(|text| PathBuf::from(bytes_of(&text))))
    }
}

/// The new master, seen from the old one.
#[derive(Debug)]
pub(crate) struct SuccessorProcess {
    channel: Channel<ToSuccessor, FromSuccessor>,
    /// No child of this process: an init system relies on its own children only.
    process: Detached,
    program: Program,
    /// The addresses that it serves no more; none before it serves.
    given_up: Vec<String>,
}

/// The old master, seen from the new one.
#[derive(Debug)]
pub(crate) struct Predecessor {
    channel: Channel<FromSuccessor, ToSuccessor>,
    pid_path: Option<PathBuf>,
}

/// What a new master was given.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// The one before it.
    pub(crate) predecessor: Predecessor,
    /// Every socket that it had.
    pub(crate) listeners: Vec<Rc<OwnedListener>>,
    /// The number of the first generation.
    pub(crate) generation: Generation,
    /// How many workers there are to be, if not what is set.
    pub(crate) workers: Option<u16>,
}

impl SuccessorProcess {
    /// Starts the program that is now where this one was started from.
    pub(crate) fn start(
        invocation: &Invocation,
        listeners: &[Rc<OwnedListener>],
        pid_path: Option<&Path>,
        newest: Generation,
        workers: Option<u16>,
    ) -> Result<Self, String> {
        if std::process::id() == 1 {
            return Err("the first process of a container cannot be replaced; \
                        start another container"
                .to_owned());
        }
        let cannot = |error: io::Error| format!("cannot start a new master: {}", reason(&error));
        let (ours, theirs) = ends().map_err(cannot)?;
        let records = listeners.iter().map(|listener| listener.record()).collect();
        let pid_path = pid_path.map(Path::to_owned);
        let heritage = HandoverState { newest, workers, pid_path, listeners: records };
        ours.send(&ToSuccessor::Begin(heritage)).map_err(cannot)?;
        let mut descriptors: Vec<_> = listeners.iter().flat_map(|it| it.sockets()).collect();
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

    /// Hears whether it serves. What it says is not believed if it cannot be
    /// understood: its end, or the time, will tell.
    pub(crate) fn is_ready(&mut self) -> bool {
        let said = self.channel.receive();
        let Ok(Incoming::Message(FromSuccessor::Ready { given_up })) = said else { return false };
        self.given_up = given_up;
        true
    }

    /// Whether it serves, and not at this listener's address.
    pub(crate) fn has_given_up(&self, listener: &OwnedListener) -> bool {
        listener.configured_address().is_some_and(|address| self.given_up.contains(&address))
    }

    /// Tells it that everything is its own, and so many workers are wanted.
    pub(crate) fn pass_on(&self, workers: Option<u16>) {
        if let Err(error) = self.channel.send(&ToSuccessor::PassedOn(PassedOn { workers })) {
            // It takes the end of the channel for the same.
            log::debug!("cannot tell the new master: {}", reason(&error));
        }
    }

    /// How it has ended, for people, if it has.
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

    /// Where its end is told, to wait for.
    pub(crate) fn end_descriptor(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// Makes it the init system's own child.
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
    /// Tells it that this master serves, and where it does not.
    pub(crate) fn tell_ready(&self, given_up: Vec<String>) {
        if let Err(error) = self.channel.send(&FromSuccessor::Ready { given_up }) {
            log::debug!("cannot tell the old master: {}", reason(&error));
        }
    }

    /// Its pid file.
    pub(crate) fn pid_path(&self) -> Option<&Path> {
        self.pid_path.as_deref()
    }

    /// Takes what it says when everything has been passed on; it may also just
    /// be gone.
    pub(crate) fn passed_on(&self) -> Option<PassedOn> {
        match self.channel.receive() {
            Ok(Incoming::Nothing) => None,
            Ok(Incoming::Message(ToSuccessor::PassedOn(rest))) => Some(rest),
            Ok(Incoming::Message(ToSuccessor::Begin(_)) | Incoming::Closed) => {
                Some(PassedOn::default())
            }
            Err(error) => {
                log::error!("cannot understand the old master: {error}");
                Some(PassedOn::default())
            }
        }
    }
}

impl AsFd for Predecessor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// Takes what the master before this one passes on; nothing if there is none.
pub(crate) fn inherit(invocation: &Invocation) -> Result<Option<Inherited>, String> {
    let Some(text) = invocation.variable(variable::PREDECESSOR) else { return Ok(None) };
    let cannot = |why: String| format!("cannot take over from the old master: {why}");
    let number = text.to_str().and_then(|text| text.parse().ok());
    let number =
        number.ok_or_else(|| cannot(format!("{} is no descriptor", variable::PREDECESSOR)))?;
    let fd = descriptor::take_inherited(number).map_err(|error| cannot(reason(&error)))?;
    let channel = Channel::<FromSuccessor, ToSuccessor>::from(fd);
    let heritage = match channel.receive() {
        Ok(Incoming::Message(ToSuccessor::Begin(heritage))) => heritage,
        Ok(_) => return Err(cannot("it has not said what to do".to_owned())),
        Err(error) => return Err(cannot(reason(&error))),
    };
    let mut next = descriptor::FIRST;
    let mut listeners = Vec::new();
    for record in heritage.listeners {
        let listener = OwnedListener::inherit(record, &mut next).map_err(|it| cannot(it.text))?;
        listeners.push(Rc::new(listener));
    }
    Ok(Some(Inherited {
        predecessor: Predecessor { channel, pid_path: heritage.pid_path },
        listeners,
        generation: Generation(heritage.newest.0.saturating_add(1)),
        workers: heritage.workers,
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

/// Where the program is now that this one was started from: by the name it was
/// called by, since what that leads to may have changed.
fn find(invocation: &Invocation) -> Result<PathBuf, String> {
    find_program(&invocation.name, invocation.variable("PATH").as_deref(), &invocation.directory)
}
