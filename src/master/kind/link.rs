//! The link between the master and a process: a channel with shared memory, or
//! `sd_notify(3)` and signals.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use monoceros_config::variable;
use monoceros_wire::Generation;
use monoceros_wire::channel::{Incoming, WorkerEnd};
use monoceros_wire::message::{FromWorker, ToWorker};
use monoceros_wire::report::Totals;
use monoceros_wire::scoreboard::Scoreboard;

use crate::master::decide::id::WorkerId;
use crate::master::decide::sample::{StacksRead, WorkerSample};
use crate::master::kind::native_worker::NativeWorker;
use crate::master::kind::notify_receiver::NotifyReceiver;

/// The master's end.
#[derive(Debug)]
pub(crate) enum Link {
    /// The process runs our extension.
    Channel(Box<NativeWorker>),
    /// The process is any program.
    Notify {
        /// Where it announces itself.
        receiver: NotifyReceiver,
        /// The name of the program.
        app: String,
    },
}

/// Both ends, before the process exists.
#[derive(Debug)]
pub(crate) struct Endpoints {
    /// The master's end.
    pub(crate) link: Link,
    /// The end of the channel that the process inherits.
    pub(crate) theirs: Option<WorkerEnd>,
    /// Variables with the number of the process's end of the link.
    pub(crate) variables: Vec<CString>,
}

/// What was read from a process.
#[derive(Debug)]
pub(crate) enum LinkInput {
    /// A message that the master acts on.
    Message(FromWorker),
    /// A message without a meaning for the master.
    Noise,
    /// No message is left to read.
    Nothing,
    /// The process has closed its end.
    Closed,
}

impl Endpoints {
    /// The descriptors that the process inherits, by the variables that name them.
    pub(crate) fn given(&self) -> Vec<(&'static str, BorrowedFd<'_>)> {
        let theirs = self.theirs.as_ref().map(|theirs| (variable::CHANNEL, theirs.as_fd()));
        let shared = match &self.link {
            Link::Channel(native) => native.given(),
            Link::Notify { .. } => Vec::new(),
        };
        theirs.into_iter().chain(shared).collect()
    }
}

impl Link {
    /// Reads the next message of the process with this pid.
    pub(crate) fn read(&self, pid: i32) -> io::Result<LinkInput> {
        match self {
            Self::Channel(native) => Ok(match native.read()? {
                Incoming::Message(message) => LinkInput::Message(message),
                Incoming::Nothing => LinkInput::Nothing,
                Incoming::Closed => LinkInput::Closed,
            }),
            Self::Notify { receiver, app } => read_notification(receiver, app, pid),
        }
    }

    /// Sends a message. Returns whether the process gets it: one without a channel, or
    /// that does not read it, gets a signal instead.
    pub(crate) fn send(&self, message: &ToWorker) -> bool {
        self.native().is_some_and(|native| native.send(message).is_ok())
    }

    /// Sends a message with copies of descriptors; fails if the process does not get it now.
    pub(crate) fn send_with(&self, message: &ToWorker, files: &[BorrowedFd]) -> io::Result<()> {
        self.native().ok_or(io::ErrorKind::Unsupported)?.send_with(message, files)
    }

    /// Asks a mold to fork a worker of this generation, which gets these descriptors.
    pub(crate) fn ask_fork(
        &self,
        (worker, age): (WorkerId, u64),
        generation: Generation,
        given: &[BorrowedFd],
    ) -> io::Result<()> {
        let native = self.native().ok_or(io::ErrorKind::Unsupported)?;
        native.ask_fork((worker, age), generation, given)
    }

    /// The process has ended without having read its first message, so the program was
    /// not the one that was meant.
    pub(crate) fn was_foreign(&self) -> bool {
        self.native().is_some_and(NativeWorker::was_foreign)
    }

    /// The thread that writes the stacks of all threads when it gets a signal.
    pub(crate) fn trace(&self) -> Option<i32> {
        self.native().and_then(NativeWorker::trace)
    }

    /// A command asks for its stacks. Returns the thread that writes them when it gets a signal,
    /// or `None` in its place if any thread of the process may be the one. A program writes
    /// none.
    pub(crate) fn begin_dump(&self) -> Option<Option<i32>> {
        self.native().map(NativeWorker::begin_dump)
    }

    /// The stacks that a command has asked for, as far as they are written.
    pub(crate) fn read_dump(&self) -> StacksRead {
        let no_program = || StacksRead::Unable("it is a program that shows no stacks".to_owned());
        self.native().map_or_else(no_program, NativeWorker::read_dump)
    }

    /// It has a channel.
    pub(crate) fn has_channel(&self) -> bool {
        self.native().is_some()
    }

    /// The requests that it is running, as far as it shows them.
    pub(crate) fn running(&self) -> Vec<String> {
        self.native().map(NativeWorker::running).unwrap_or_default()
    }

    /// Its scoreboard, and the addresses of the listeners in it.
    pub(crate) fn board(&self) -> Option<(&Scoreboard, &[String])> {
        self.native()?.board()
    }

    /// What it has counted, as far as it shows that.
    pub(crate) fn counts(&self) -> Totals {
        self.native().map(NativeWorker::counts).unwrap_or_default()
    }

    /// The process is any program, of which only its end is known.
    pub(crate) fn is_program(&self) -> bool {
        self.native().is_none()
    }

    /// The process has ended: its connections do not count for its clients any more.
    pub(crate) fn disconnect_clients(&self) {
        self.native().into_iter().for_each(NativeWorker::disconnect_clients);
    }

    /// The stacks of its threads when it crashed or was last asked, if it shows them.
    pub(crate) fn stacks(&self) -> String {
        self.native().map(NativeWorker::stacks).unwrap_or_default()
    }

    /// A sample without its memory.
    pub(crate) fn sample(&mut self, worker: WorkerId, pid: i32) -> WorkerSample {
        match self {
            Self::Channel(native) => native.sample(worker, pid),
            Self::Notify { .. } => WorkerSample { worker, ..WorkerSample::default() },
        }
    }

    fn native(&self) -> Option<&NativeWorker> {
        match self {
            Self::Channel(native) => Some(native),
            Self::Notify { .. } => None,
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Channel(native) => native.as_fd(),
            Self::Notify { receiver, .. } => receiver.as_fd(),
        }
    }
}

fn read_notification(receiver: &NotifyReceiver, app: &str, pid: i32) -> io::Result<LinkInput> {
    let notification = match receiver.read() {
        Ok(notification) => notification,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Ok(LinkInput::Nothing);
        }
        Err(error) => return Err(error),
    };
    if let Some(status) = &notification.status {
        log::debug!("pid {pid} says: {status}");
    }
    if notification.stopping {
        log::debug!("pid {pid} says that it stops");
    }
    let ready = FromWorker::Ready { app: app.to_owned() };
    Ok(if notification.ready { LinkInput::Message(ready) } else { LinkInput::Noise })
}
