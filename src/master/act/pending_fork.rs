//! A fork that a mold was asked for, until the worker exists. Owned by `processes.rs`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use monoceros_sys::process::{self, Ancestry, Process};
use monoceros_sys::{reason, user};
use monoceros_wire::Generation;
use monoceros_wire::channel::{Incoming, MasterEnd, pair};
use monoceros_wire::client_table::ClientTable;
use monoceros_wire::message::{FromWorker, Start, ToWorker};
use monoceros_wire::scoreboard::{BoardShape, Scoreboard};
use monoceros_wire::spool_count::SpoolCount;
use monoceros_wire::stacks::Stacks;

use crate::master::act::logs::OpenLogs;
use crate::master::act::worker_process::WorkerProcess;
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::id::WorkerId;
use crate::master::kind::client_memory::ClientMemory;
use crate::master::kind::native_worker::SharedMemory;

/// Forks that were asked for and are not answered yet. Each is answered once: by the mold,
/// by the end of the mold, or because it is withdrawn.
#[derive(Debug)]
pub(crate) struct Forks<T> {
    asked: BTreeMap<WorkerId, (WorkerId, T)>,
    /// How many were asked for.
    count: u64,
}

impl<T> Default for Forks<T> {
    fn default() -> Self {
        Self { asked: BTreeMap::new(), count: 0 }
    }
}

impl<T> Forks<T> {
    /// Notes that a mold was asked for a worker.
    pub(crate) fn ask(&mut self, mold: WorkerId, worker: WorkerId, prepared: T) {
        self.asked.insert(worker, (mold, prepared));
        self.count += 1;
    }

    /// How many workers molds were asked for.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// What is prepared for a worker that does not exist yet.
    pub(crate) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut T> {
        self.asked.get_mut(&worker).map(|(_, prepared)| prepared)
    }

    /// What is prepared for a worker that does not exist yet.
    pub(crate) fn get(&self, worker: WorkerId) -> Option<&T> {
        self.asked.get(&worker).map(|(_, prepared)| prepared)
    }

    /// What is prepared for all workers that do not exist yet.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.asked.values_mut().map(|(_, prepared)| prepared)
    }

    /// The workers that do not exist yet.
    pub(crate) fn workers(&self) -> Vec<WorkerId> {
        self.asked.keys().copied().collect()
    }

    /// Removes what was prepared for a worker, if this mold was asked for it: its answer
    /// has come. An answer without a request came too late.
    pub(crate) fn answer(&mut self, mold: WorkerId, worker: WorkerId) -> Option<T> {
        self.asked.get(&worker).filter(|(asked, _)| *asked == mold)?;
        self.withdraw(worker)
    }

    /// Removes what was prepared for a worker that is withdrawn.
    pub(crate) fn withdraw(&mut self, worker: WorkerId) -> Option<T> {
        self.asked.remove(&worker).map(|(_, prepared)| prepared)
    }

    /// Removes everything that an ended mold was asked for.
    pub(crate) fn orphan(&mut self, mold: WorkerId) -> Vec<WorkerId> {
        let of_mold = self.asked.iter().filter(|(_, (asked, _))| *asked == mold);
        let workers: Vec<_> = of_mold.map(|(worker, _)| *worker).collect();
        workers.iter().for_each(|worker| drop(self.withdraw(*worker)));
        workers
    }
}

/// What the master has of a worker before its process exists. Dropping it ends a process
/// that comes later: its channel is closed, and it has not begun to serve.
#[derive(Debug)]
pub(crate) struct PendingFork {
    generation: Generation,
    start: Start,
    /// The user that it runs as when it announces itself.
    uid: u32,
    channel: MasterEnd,
    shared: SharedMemory,
    /// The count of what bodies take of the disk, which comes with its first message.
    spool_count: Option<Rc<SpoolCount>>,
    /// The certificates and keys that follow its first message.
    certificates: Option<Rc<File>>,
    /// The logs of its generation, which come with its first message.
    logs: Rc<OpenLogs>,
    /// Messages to send when it exists.
    later: Vec<ToWorker>,
}

impl PendingFork {
    /// Asks a mold to fork a worker of this age.
    pub(crate) fn ask(
        mold: &WorkerProcess,
        spec: &WorkerSpec,
        (worker, age): (WorkerId, u64),
        mut start: Start,
        spool_count: Option<Rc<SpoolCount>>,
        clients: Option<&Rc<ClientTable>>,
    ) -> Result<Self, String> {
        start.logs = spec.logs.roles();
        let logs = Rc::clone(&spec.logs);
        let cannot = |error: io::Error| format!("cannot ask the mold: {}", reason(&error));
        let (channel, theirs) = pair().map_err(cannot)?;
        channel.ask_for_senders().map_err(cannot)?;
        let Start { slot, generation, .. } = start;
        let listeners = start.addresses();
        let shape = BoardShape::of_threads(spec.settings.threads).with_listeners(listeners.len());
        let scoreboard = Scoreboard::create(slot, generation, shape).map_err(cannot)?;
        let stacks = Stacks::create().map_err(cannot)?;
        let clients = clients.map(|table| ClientMemory::create(table, spec.counted_connections()));
        let clients = clients.transpose().map_err(cannot)?;
        let mut given = vec![theirs.as_fd(), scoreboard.as_fd(), stacks.as_fd()];
        if spec.mold_file.is_some() || spec.listeners.iter().any(|it| it.is_anew()) {
            // The mold may have other sockets.
            given.extend(spec.listeners.iter().flat_map(|it| it.sockets()));
        }
        mold.ask_fork((worker, age), generation, &given).map_err(cannot)?;
        let stacks = stacks.into();
        let shared = SharedMemory { scoreboard: Some(scoreboard), listeners, stacks, clients };
        let later = Vec::new();
        // One that a configuration file's mold forks becomes the workers' user later, by itself.
        let owner = spec.owner.as_ref().filter(|_| spec.mold_file.is_none());
        let uid = owner.map_or_else(user::own_uid, |owner| owner.uid);
        let certificates = spec.sealed_certificates().cloned();
        Ok(Self { generation, start, uid, channel, shared, spool_count, certificates, logs, later })
    }

    /// Keeps a message until the process exists.
    pub(crate) fn send_later(&mut self, message: ToWorker) {
        self.later.push(message);
    }

    /// Its certificates were renewed, if it is of this generation.
    pub(crate) fn replace_certificates(&mut self, generation: Generation, file: &Rc<File>) {
        if generation == self.generation {
            self.certificates = Some(Rc::clone(file));
        }
    }

    /// The descriptor on which its first message arrives.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// Reads whether the process exists: its pid, or why there is none. Any process
    /// with the other end of the channel can send that; the kernel gives its pid.
    pub(crate) fn read(&self) -> Option<Result<i32, String>> {
        let text = |text: &str| Some(Err(text.to_owned()));
        match self.channel.receive_signed() {
            Ok((Incoming::Nothing, _)) => None,
            Ok((Incoming::Message(FromWorker::Forked), Some(pid))) => Some(Ok(pid)),
            Ok((Incoming::Message(FromWorker::Forked), None)) => {
                text("the kernel does not name the process that sent its first message")
            }
            Ok((Incoming::Message(_), _)) => {
                text("its first message is not that of a forked worker")
            }
            Ok((Incoming::Closed, _)) => text("it ended before it began"),
            Err(error) => Some(Err(format!("cannot understand it: {error}"))),
        }
    }

    /// The process exists: sends it its first message. `known` are the pids of other
    /// processes of this server.
    pub(crate) fn adopt(self, pid: i32, known: &[i32]) -> Result<WorkerProcess, String> {
        check_ancestry(pid, process::ancestry(pid), self.uid, known)?;
        let process = Process::adopt(pid)
            .map_err(|error| format!("cannot address pid {pid}: {}", reason(&error)))?;
        let Self {
            generation, start, channel, shared, spool_count, certificates, logs, later, ..
        } = self;
        let slot = start.slot;
        let spool_count = spool_count.iter().map(|it| it.as_fd());
        let files: Vec<_> = spool_count.chain(logs.descriptors()).collect();
        let sent = channel.send_with(&ToWorker::Start(start), &files);
        let sent = sent.and_then(|()| match &certificates {
            Some(file) => channel.send_with(&ToWorker::Tls, &[file.as_fd()]),
            None => Ok(()),
        });
        let sent = sent.and_then(|()| match &shared.clients {
            Some(clients) => clients.send(&channel),
            None => Ok(()),
        });
        drop(files);
        let worker = WorkerProcess::forked(slot, generation, channel, process, shared, logs);
        if sent.is_ok() {
            later.iter().for_each(|message| worker.send(message));
        }
        Ok(worker)
    }
}

/// A mold runs the application, and so does what it forks. Only a child of this master, of
/// the workers' user, is taken for a worker: it stays a child, so it will be reaped, and no
/// other process has its pid until then.
fn check_ancestry(
    pid: i32,
    origin: io::Result<Ancestry>,
    uid: u32,
    known: &[i32],
) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("pid {pid} says that it is a forked worker: {why}"));
    let own = std::process::id().cast_signed();
    match origin {
        _ if known.contains(&pid) => refuse("it is another process of this server"),
        Ok(origin) if origin.parent != own => refuse("it is no child of the master"),
        Ok(origin) if origin.users != [uid; 4] => refuse("it is not the workers' user's"),
        Ok(_) => Ok(()),
        Err(error) => refuse(&reason(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: WorkerId = WorkerId(1);
    const TWO: WorkerId = WorkerId(2);

    fn asked() -> Forks<&'static str> {
        let mut forks = Forks::default();
        forks.ask(ONE, WorkerId(10), "a");
        forks.ask(TWO, WorkerId(20), "b");
        forks.ask(ONE, WorkerId(11), "c");
        forks
    }

    #[test]
    fn each_fork_is_answered_once() {
        let mut forks = asked();
        assert_eq!(forks.answer(ONE, WorkerId(11)), Some("c"));
        assert_eq!(forks.answer(ONE, WorkerId(11)), None);
        assert_eq!(forks.answer(ONE, WorkerId(12)), None, "it was not asked for");
        assert_eq!(forks.withdraw(WorkerId(10)), Some("a"));
        assert_eq!(forks.answer(ONE, WorkerId(10)), None, "the answer comes too late");
    }

    #[test]
    fn a_mold_answers_only_what_it_was_asked() {
        let mut forks = asked();
        assert_eq!(forks.answer(TWO, WorkerId(10)), None);
        assert_eq!(forks.answer(ONE, WorkerId(10)), Some("a"));
    }

    #[test]
    fn the_end_of_a_mold_answers_what_is_left() {
        let mut forks = asked();
        assert_eq!(forks.answer(ONE, WorkerId(10)), Some("a"));
        assert_eq!(forks.orphan(ONE), [WorkerId(11)]);
        assert_eq!(forks.orphan(ONE), []);
        assert_eq!(forks.get_mut(WorkerId(20)), Some(&mut "b"));
    }

    #[test]
    fn only_a_child_of_the_workers_user_that_is_nothing_else_is_believed() {
        let own = std::process::id().cast_signed();
        let child = Ancestry { parent: own, users: [7; 4] };
        let check = |origin, known: &[i32]| check_ancestry(5, origin, 7, known);
        assert_eq!(check(Ok(child), &[1, 6]), Ok(()));
        let refused = [
            (Ok(child), "another process of this server"),
            (Ok(Ancestry { parent: 1, ..child }), "no child of the master"),
            (Ok(Ancestry { users: [7, 0, 7, 7], ..child }), "not the workers' user's"),
            (Err(io::ErrorKind::NotFound.into()), ""),
        ];
        for (index, (origin, why)) in refused.into_iter().enumerate() {
            let error = check(origin, if index == 0 { &[5] } else { &[] }).unwrap_err();
            assert!(error.ends_with(why), "{error}");
        }
    }
}
