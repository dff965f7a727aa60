//! Owns the other masters of an upgrade, each until it is gone: the successor that this
//! master has started, and the predecessor. Called by the event loop only; what is passed
//! on between two masters is in `upgrade.rs`.

use std::os::fd::AsFd;

use monoceros_sys::reason;

use crate::master::act::generations::Generations;
use crate::master::act::invocation::Invocation;
use crate::master::act::poller::{PollSource, Poller};
use crate::master::act::upgrade::{
    PassedOn, Predecessor, SuccessorProcess, SuccessorStart, check_program,
};
use crate::master::act::worker_process::number_of;
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::action::WorkerSignal;
use crate::master::decide::event::MasterEvent;

/// The successor and the predecessor.
pub(crate) struct Handover {
    successor: Option<SuccessorProcess>,
    /// Until it has passed everything on.
    predecessor: Option<Predecessor>,
}

impl Handover {
    /// A master that may have a predecessor.
    pub(crate) fn new(predecessor: Option<Predecessor>, poller: &Poller) -> std::io::Result<Self> {
        if let Some(predecessor) = &predecessor {
            poller.register(predecessor.as_fd(), PollSource::Predecessor)?;
        }
        Ok(Self { successor: None, predecessor })
    }

    /// A predecessor has not passed everything on yet.
    pub(crate) fn follows(&self) -> bool {
        self.predecessor.is_some()
    }

    /// The pid of the successor.
    pub(crate) fn successor(&self) -> Option<i32> {
        self.successor.as_ref().map(SuccessorProcess::pid)
    }

    /// Starts a successor.
    pub(crate) fn start(
        &mut self,
        start: &SuccessorStart,
        generations: &Generations,
        invocation: &Invocation,
        poller: &Poller,
    ) -> MasterEvent {
        // The successor would start without the file, and not know that there was one.
        if let Some(Err(text)) = generations.current().map(WorkerSpec::check_file) {
            return MasterEvent::SuccessorEnded { text };
        }
        if let Some(Err(text)) = generations.owner().map(|_| check_program(invocation)) {
            return MasterEvent::SuccessorEnded { text };
        }
        let listeners = generations.for_successor();
        let successor = match SuccessorProcess::start(invocation, listeners, start) {
            Ok(successor) => successor,
            Err(text) => return MasterEvent::SuccessorEnded { text },
        };
        let heard = poller
            .register(successor.as_fd(), PollSource::Successor)
            .and_then(|()| poller.register(successor.end_descriptor(), PollSource::SuccessorEnd));
        if let Err(error) = heard {
            successor.signal(libc::SIGKILL);
            let text = format!("cannot wait for the new master: {}", reason(&error));
            return MasterEvent::SuccessorEnded { text };
        }
        let pid = successor.pid();
        self.successor = Some(successor);
        MasterEvent::SuccessorStarted { pid }
    }

    /// Sends a signal to the successor.
    pub(crate) fn signal(&self, signal: WorkerSignal) {
        if let Some(successor) = &self.successor {
            successor.signal(number_of(signal));
        }
    }

    /// Reads the channel to the successor.
    pub(crate) fn read_successor(&mut self, poller: &Poller) -> Option<MasterEvent> {
        let successor = self.successor.as_mut()?;
        if successor.is_ready() {
            return Some(MasterEvent::SuccessorReady);
        }
        // The successor has closed its end. Its exit follows.
        poller.deregister(successor.as_fd());
        None
    }

    /// The successor has ended before it has taken over. Its last message, which may be
    /// `Ready`, does not count.
    pub(crate) fn note_end_of_successor(&mut self, poller: &Poller) -> Option<MasterEvent> {
        let text = self.successor.as_mut()?.ending()?;
        self.release_successor(poller);
        Some(MasterEvent::SuccessorEnded { text })
    }

    /// Lets go of the successor, which belongs to the init system from then on.
    pub(crate) fn release_successor(&mut self, poller: &Poller) -> Option<SuccessorProcess> {
        let successor = self.successor.take()?;
        poller.deregister(successor.as_fd());
        poller.deregister(successor.end_descriptor());
        successor.release();
        Some(successor)
    }

    /// Notifies the predecessor that this master serves, and of the addresses that it
    /// does not serve.
    pub(crate) fn notify_predecessor(&self, generations: &Generations) {
        let Some(predecessor) = &self.predecessor else { return };
        let given_up = generations.given_up();
        predecessor.send_ready(given_up.filter_map(|it| it.configured().cloned()).collect());
    }

    /// Lets go of the predecessor, if it has passed everything on.
    pub(crate) fn take_predecessor(&mut self, poller: &Poller) -> Option<(Predecessor, PassedOn)> {
        let passed_on = self.predecessor.as_mut()?.passed_on()?;
        let predecessor = self.predecessor.take()?;
        poller.deregister(predecessor.as_fd());
        Some((predecessor, passed_on))
    }
}
