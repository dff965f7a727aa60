//! Messages of the master, and signals. Owns the channel and the signals; the loop asks
//! for what has arrived, and acts.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use monoceros_sys::reason;
use monoceros_sys::signal::{self, Signals};
use monoceros_tls::TlsServer;
use monoceros_wire::channel::{Incoming, WorkerEnd};
use monoceros_wire::message::{Drain, FromWorker, ToWorker};

use crate::event_loop::drain::{Cause, DrainOrigin, Queue};
use crate::master_line::MasterLine;
use crate::transport::tls_material::read_material;

/// The signals that are read in the loop.
const READ: [i32; 5] = [signal::TERM, signal::QUIT, signal::INT, signal::USR1, signal::HUP];

/// What the loop calls outside the engine.
pub(crate) struct Hooks {
    /// Goes on with the logs that the master has opened, in the order of `Start::logs`.
    pub(crate) reopen: Box<dyn FnMut(Vec<OwnedFd>) + Send>,
    /// Notifies the application that the worker begins to drain.
    pub(crate) announce: Box<dyn FnMut(DrainOrigin) + Send>,
    /// Notifies the application that a request has run for longer than `timeout`.
    pub(crate) expire: Box<dyn FnMut() + Send>,
}

/// A command to the worker.
#[derive(Debug)]
pub(crate) enum WorkerCommand {
    /// Drain: the cause, and how the queues are treated.
    Drain(Cause, Queue),
    /// Go on with these logs.
    Reopen(Vec<OwnedFd>),
    /// So many workers accept from the same listeners.
    Workers(u16),
    /// The server is about to end.
    Leave,
    /// The time of a request is over.
    Expire { request: u64 },
    /// Newer code cannot be loaded for this reason, or it can be.
    ShowFailure(Option<String>),
    /// Confirm that all commands before this one have been carried out.
    Confirm { number: u64 },
    /// New certificates and keys are in this file.
    ReplaceTls(Vec<OwnedFd>),
    /// The master has ended, or has sent something that cannot be decoded: the reason.
    Orphaned(String),
}

/// The effect of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// End at once (SIGINT, SIGQUIT).
    End,
    /// Drain (SIGTERM).
    Drain,
    /// None: SIGHUP and SIGUSR1 are for the master, which opens the logs. A signal that is sent
    /// to every process with the server's name must not end a worker.
    Nothing,
}

/// What the input is made from.
pub(crate) struct ControlParts {
    pub(crate) channel: WorkerEnd,
    /// The requests that wait for a reply.
    pub(crate) line: Option<MasterLine>,
    /// TLS, whose material a message replaces.
    pub(crate) tls: Option<TlsServer>,
    pub(crate) signals: Arc<SignalInput>,
    pub(crate) hooks: Hooks,
}

/// The channel to the master, and the signals.
pub(crate) struct ControlInput {
    channel: WorkerEnd,
    line: Option<MasterLine>,
    tls: Option<TlsServer>,
    has_master: bool,
    given: Arc<SignalInput>,
    /// The signals, once they are collected and registered.
    signals: Option<Signals>,
    hooks: Hooks,
}

/// The signals, on their way to the loop: a thread of the application collects them when the
/// application is loaded, whose handlers are called too.
#[derive(Debug, Default)]
pub(crate) struct SignalInput {
    collected: Mutex<Option<Signals>>,
    is_there: AtomicBool,
}

impl SignalInput {
    /// Collects the signals from now on.
    ///
    /// # Errors
    /// Those of [`Signals::collect`].
    pub(crate) fn collect(&self) -> io::Result<()> {
        let signals = Signals::collect(&READ)?;
        *self.collected.lock().unwrap_or_else(PoisonError::into_inner) = Some(signals);
        self.is_there.store(true, Ordering::Release);
        Ok(())
    }

    fn take(&self) -> Option<Signals> {
        let is_there = self.is_there.load(Ordering::Acquire);
        is_there.then(|| self.collected.lock().unwrap_or_else(PoisonError::into_inner).take())?
    }
}

impl ControlInput {
    /// Registers the channel in the loop's epoll set, under this token.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    pub(crate) fn new(registry: &Registry, token: Token, parts: ControlParts) -> io::Result<Self> {
        let ControlParts { channel, line, tls, signals, hooks } = parts;
        let fd = channel.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        let (given, signals, has_master) = (signals, None, true);
        Ok(Self { channel, line, tls, has_master, given, signals, hooks })
    }

    /// Registers the signals under this token, as soon as they are collected.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    pub(crate) fn watch_signals(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if self.signals.is_none()
            && let Some(signals) = self.given.take()
        {
            let fd = signals.as_fd().as_raw_fd();
            registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
            self.signals = Some(signals);
        }
        Ok(())
    }

    /// Whether the channel to the master is still open.
    pub(crate) fn has_master(&self) -> bool {
        self.has_master
    }

    /// The next command of the received messages.
    pub(crate) fn next(&mut self, registry: &Registry) -> Option<WorkerCommand> {
        while self.has_master {
            let why = match self.channel.receive_with() {
                Ok((Incoming::Message(ToWorker::Tls), files)) => {
                    return Some(WorkerCommand::ReplaceTls(files));
                }
                Ok((Incoming::Message(ToWorker::Reopen), files)) => {
                    return Some(WorkerCommand::Reopen(files));
                }
                Ok((Incoming::Message(ToWorker::LogLevel(level)), _)) => {
                    monoceros_log::set_level(level);
                    continue;
                }
                Ok((Incoming::Message(ToWorker::Metrics { number, content_type }), files)) => {
                    if let Some(line) = &self.line {
                        line.deliver(number, content_type, files);
                    }
                    continue;
                }
                Ok((Incoming::Message(message), _)) => match command(&message) {
                    Some(command) => return Some(command),
                    None => continue,
                },
                Ok((Incoming::Nothing, _)) => return None,
                Ok((Incoming::Closed, _)) => "has gone".to_owned(),
                Err(error) => format!("cannot be understood: {error}"),
            };
            self.has_master = false;
            let fd = self.channel.as_fd().as_raw_fd();
            // The descriptor stays registered; the channel is not used otherwise.
            registry.deregister(&mut SourceFd(&fd)).ok();
            return Some(WorkerCommand::Orphaned(why));
        }
        None
    }

    /// Serves new connections with the certificates and keys in a file. Those before it
    /// stay if it cannot be used.
    pub(crate) fn replace_tls(&self, files: Vec<OwnedFd>) {
        let (Some(tls), Some(file)) = (&self.tls, files.into_iter().next()) else { return };
        let material = read_material(file).map_err(|error| reason(&error));
        if let Err(why) = material.and_then(|material| tls.replace(material)) {
            log::error!("cannot use the new certificates, the old ones stay: {why}");
        }
    }

    /// The effects of the signals that have arrived.
    pub(crate) fn signals(&mut self) -> Vec<Signal> {
        let arrived = self.signals.as_mut().map(Signals::take).unwrap_or_default();
        arrived.into_iter().map(meaning).collect()
    }

    /// Goes on with these logs.
    pub(crate) fn reopen_logs(&mut self, files: Vec<OwnedFd>) {
        (self.hooks.reopen)(files);
    }

    /// Sends the master the confirmation of this number.
    pub(crate) fn confirm(&self, number: u64) {
        if let Err(error) = self.channel.send(&FromWorker::Confirmed { number }) {
            log::error!("cannot confirm a message to the master: {}", reason(&error));
        }
    }

    /// Notifies the application that a request has run for longer than `timeout`.
    pub(crate) fn announce_expiry(&mut self) {
        (self.hooks.expire)();
    }

    /// Notifies the application that the worker begins to drain.
    pub(crate) fn announce_drain(&mut self, origin: DrainOrigin) {
        (self.hooks.announce)(origin);
    }
}

fn command(message: &ToWorker) -> Option<WorkerCommand> {
    Some(match *message {
        ToWorker::Drain(Drain::Refuse) => WorkerCommand::Drain(Cause::Stuck, Queue::Leave),
        ToWorker::Drain(Drain::ServeQueue) => WorkerCommand::Drain(Cause::Commanded, Queue::Serve),
        ToWorker::Drain(Drain::Retire) => WorkerCommand::Drain(Cause::Commanded, Queue::Leave),
        ToWorker::Workers(count) => WorkerCommand::Workers(count),
        ToWorker::Leave => WorkerCommand::Leave,
        ToWorker::Expire { request } => WorkerCommand::Expire { request },
        ToWorker::Confirm { number } => WorkerCommand::Confirm { number },
        ToWorker::ShowFailure(ref failure) => WorkerCommand::ShowFailure(failure.clone()),
        // The first messages, which were taken before the loop began, those that come with
        // files, and those that were obeyed at once.
        ToWorker::Start(_)
        | ToWorker::StartMold(_)
        | ToWorker::Fork { .. }
        | ToWorker::ReadConfig(_)
        | ToWorker::Configure(_)
        | ToWorker::Listeners { .. }
        | ToWorker::Hook { .. }
        | ToWorker::Tls
        | ToWorker::Reopen
        | ToWorker::LogLevel(_)
        | ToWorker::Record(_)
        | ToWorker::Limits
        | ToWorker::Metrics { .. } => return None,
    })
}

fn meaning(signal: i32) -> Signal {
    match signal {
        signal::INT | signal::QUIT => Signal::End,
        signal::TERM => Signal::Drain,
        _ => Signal::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_stuck_leaves_the_queue_to_others() {
        let drain = |how| command(&ToWorker::Drain(how));
        let stuck = drain(Drain::Refuse);
        assert!(matches!(stuck, Some(WorkerCommand::Drain(Cause::Stuck, Queue::Leave))));
        let last = drain(Drain::ServeQueue);
        assert!(matches!(last, Some(WorkerCommand::Drain(Cause::Commanded, Queue::Serve))));
    }

    #[test]
    fn every_signal_that_is_read_has_a_meaning() {
        let meanings = READ.map(meaning);
        use Signal::{Drain, End, Nothing};
        assert_eq!(meanings, [Drain, End, End, Nothing, Nothing]);
    }
}
