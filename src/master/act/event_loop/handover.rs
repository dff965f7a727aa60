//! The part of the event loop for upgrades: the channels to the successor and to the
//! predecessor, and what is passed on between them.

use std::collections::VecDeque;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use mio::Interest;
use mio::unix::SourceFd;
use monoceros_sys::reason;
use monoceros_sys::user::Credentials;
use monoceros_wire::Generation;

use super::{MasterLoop, SUCCESSOR, SUCCESSOR_END};
use crate::master::act::notify_sender::NotifySender;
use crate::master::act::owner_rights::reach;
use crate::master::act::pid_file::PidFile;
use crate::master::act::upgrade::{PassedOn, Predecessor, SuccessorProcess, check_program};
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::event::MasterEvent;

impl MasterLoop {
    pub(super) fn start_successor(
        &mut self,
        newest: Generation,
        workers: Option<u16>,
    ) -> MasterEvent {
        // The successor would start without the file, and not know that there was one.
        if let Some(Err(text)) = self.specs.values().next().map(WorkerSpec::check_file) {
            return MasterEvent::SuccessorEnded { text };
        }
        if let Some(Err(text)) = self.owner().map(|_| check_program(&self.invocation)) {
            return MasterEvent::SuccessorEnded { text };
        }
        let listeners = if self.activated.is_empty() { &self.listeners } else { &self.activated };
        let pid_path = self.pid_path.as_deref();
        match SuccessorProcess::start(&self.invocation, listeners, pid_path, newest, workers) {
            Ok(successor) => {
                let pid = successor.pid();
                let register = |fd: BorrowedFd, token| {
                    let fd = fd.as_raw_fd();
                    self.poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE)
                };
                let heard = register(successor.as_fd(), SUCCESSOR)
                    .and_then(|()| register(successor.end_descriptor(), SUCCESSOR_END));
                if let Err(error) = heard {
                    successor.signal(libc::SIGKILL);
                    let text = format!("cannot wait for the new master: {}", reason(&error));
                    return MasterEvent::SuccessorEnded { text };
                }
                self.successor = Some(successor);
                MasterEvent::SuccessorStarted { pid }
            }
            Err(text) => MasterEvent::SuccessorEnded { text },
        }
    }

    pub(super) fn read_successor(&mut self, events: &mut VecDeque<MasterEvent>) {
        if self.successor.as_mut().is_some_and(SuccessorProcess::is_ready) {
            events.push_back(MasterEvent::SuccessorReady);
        } else {
            // The successor has closed its end. Its exit follows.
            let fd = self.successor.as_ref().map(|it| it.as_fd().as_raw_fd());
            fd.map(|fd| self.poll.registry().deregister(&mut SourceFd(&fd)));
        }
    }

    /// The successor has ended before it has taken over. Its last message, which may be
    /// `Ready`, does not count.
    pub(super) fn note_end_of_successor(&mut self, events: &mut VecDeque<MasterEvent>) {
        let Some(text) = self.successor.as_mut().and_then(SuccessorProcess::ending) else { return };
        self.release_successor();
        events.push_back(MasterEvent::SuccessorEnded { text });
    }

    /// Lets go of the successor, which belongs to the init system from then on.
    fn release_successor(&mut self) -> Option<SuccessorProcess> {
        let successor = self.successor.take()?;
        for fd in [successor.as_fd(), successor.end_descriptor()] {
            // Its descriptor is not registered any more if it has closed its end before.
            drop(self.poll.registry().deregister(&mut SourceFd(&fd.as_raw_fd())));
        }
        successor.release();
        Some(successor)
    }

    /// Tells the predecessor that this master serves.
    pub(super) fn notify_predecessor(&self) {
        let Some(predecessor) = &self.predecessor else { return };
        let given_up = self.listeners.iter().filter(|it| it.is_borrowed() && !self.is_used(it));
        predecessor.send_ready(given_up.filter_map(|it| it.configured().cloned()).collect());
    }

    /// Leaves the pid file, the files of unix sockets and the init system to the successor.
    /// The init system is notified when the successor is its own child: it would not wait
    /// for the child of another process (`systemd.kill(5)`). The successor is told last,
    /// when this master holds nothing any more. The workers of this master are the last to
    /// serve the listeners that the successor does not have.
    pub(super) fn pass_on(&mut self, workers: Option<u16>) {
        let Some(successor) = self.release_successor() else { return };
        self.passed_on = true;
        let given_up = self.listeners.iter().filter(|it| successor.has_given_up(it));
        given_up.for_each(|listener| listener.refuse_new());
        if let Some(pid_file) = self.pid_file.take() {
            pid_file.leave();
        }
        std::mem::take(&mut self.notify_sender).pass_on(successor.pid());
        successor.pass_on(workers);
    }

    /// Takes over from the predecessor, once it has passed everything on.
    pub(super) fn read_predecessor(&mut self, events: &mut VecDeque<MasterEvent>) {
        let passed_on = self.predecessor.as_ref().and_then(Predecessor::passed_on);
        let Some(PassedOn { workers }) = passed_on else { return };
        let Some(predecessor) = self.predecessor.take() else { return };
        let fd = predecessor.as_fd().as_raw_fd();
        drop(self.poll.registry().deregister(&mut SourceFd(&fd)));
        let (left, own) = (predecessor.pid_path(), self.pid_path.as_deref());
        let same = left == own;
        if let Some(left) = left.filter(|_| !same) {
            // The pid in it is that of the predecessor, which ends.
            drop(reach(left, self.owner(), |it| fs::remove_file(it), |it| fs::remove_file(it)));
        }
        let write = if same { PidFile::take_over } else { PidFile::write };
        if let Err(text) = self.write_pid_file(write) {
            log::error!("{text}");
        }
        match NotifySender::open(self.invocation.variable("NOTIFY_SOCKET").as_deref()) {
            Ok(notify_sender) => self.notify_sender = notify_sender,
            Err(error) => log::error!("cannot use NOTIFY_SOCKET: {}", reason(&error)),
        }
        self.listeners.iter().for_each(|listener| listener.own());
        self.close_unused();
        events.push_back(MasterEvent::TookOver { workers });
    }

    pub(super) fn write_pid_file(
        &mut self,
        write: impl Fn(&Path, Option<&Credentials>) -> Result<PidFile, String>,
    ) -> Result<(), String> {
        let path = self.pid_path.as_deref();
        self.pid_file = path.map(|path| write(path, self.owner())).transpose()?;
        Ok(())
    }

    /// The user of the workers, if it is not that of the master.
    pub(super) fn owner(&self) -> Option<&Credentials> {
        self.specs.values().next()?.other_user()
    }
}
