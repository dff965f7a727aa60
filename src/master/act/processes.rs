//! Owns the processes of workers and molds, and the forks that molds were asked for: starts
//! them, reads and sends their messages, reaps them. Called by the event loop only.

mod molds;
mod supplies;

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use monoceros_log::{RecordWriter, printable};
use monoceros_metrics::MetricsFormat;
use monoceros_sys::process::{self, ExitStatus};
use monoceros_sys::reason;
use monoceros_wire::Generation;
use monoceros_wire::client_table::ClientTable;
use monoceros_wire::gunicorn::HookFailure;
use monoceros_wire::message::{FromWorker, Start, ToWorker};
use monoceros_wire::scoreboard::Scoreboard;
use monoceros_wire::spool_count::SpoolCount;

use crate::master::act::former_workers::PassedWorker;
use crate::master::act::generations::Generations;
use crate::master::act::memory::OutOfMemory;
use crate::master::act::metrics_server::WorkerAsk;
use crate::master::act::pending_fork::{Forks, PendingFork};
use crate::master::act::poller::{PollSource, Poller};
use crate::master::act::record_relay::RecordRelay;
use crate::master::act::reported_sources::SourceReport;
use crate::master::act::spool_places::SpoolPlaces;
use crate::master::act::worker_process::{self, WorkerProcess};
use crate::master::act::worker_spec::WorkerSpec;
use crate::master::decide::action::WorkerSignal;
use crate::master::decide::event::{MasterEvent, SpawnError, WorkerExit};
use crate::master::decide::id::WorkerId;
use crate::master::decide::sample::{StacksRead, WorkerSample};
use crate::master::kind::link::LinkInput;

/// The most messages of one worker that are read before others have their turn.
const MAX_MESSAGES: usize = 100;

/// The processes of workers and molds.
pub(crate) struct Processes {
    running: BTreeMap<WorkerId, WorkerProcess>,
    /// The workers that molds were asked to fork.
    forks: Forks<PendingFork>,
    spool_places: SpoolPlaces,
    out_of_memory: OutOfMemory,
    /// The workers whose clients ask for metrics.
    metrics_asks: Vec<WorkerAsk>,
    records: RecordRelay,
    /// What was reported of files that were read, and was not taken yet.
    sources: Vec<SourceReport>,
}

impl Processes {
    /// Without any process. Molds may take the records of this error log.
    pub(crate) fn new(log: &RecordWriter) -> Self {
        let records = RecordRelay::default();
        records.offer(log);
        Self {
            records,
            running: BTreeMap::new(),
            forks: Forks::default(),
            spool_places: SpoolPlaces::new(),
            out_of_memory: OutOfMemory::watch(),
            metrics_asks: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// Starts a worker, or asks this mold to fork one; then the event comes later.
    pub(crate) fn spawn(
        &mut self,
        worker: WorkerId,
        spec: &WorkerSpec,
        mut start: Start,
        clients: Option<&Rc<ClientTable>>,
        mold: Option<WorkerId>,
        poller: &Poller,
    ) -> Option<MasterEvent> {
        spec.logs.follow_names();
        let spool = self.spool_places.take(worker, |worker| {
            self.running.contains_key(&worker) || self.forks.get(worker).is_some()
        });
        start.spool_place = spool.as_ref().map(|it| it.number);
        let count = spool.map(|it| it.count);
        let spawned = match mold {
            Some(mold) => {
                let asked = self.ask_mold((mold, worker), spec, (start, count), clients, poller);
                asked.map(|()| None).map_err(SpawnError::from)
            }
            None => {
                let spawned = worker_process::spawn(spec, start, count.as_deref(), clients);
                spawned.map(|it| Some(self.keep(worker, it, poller)))
            }
        };
        spawned.unwrap_or_else(|error| Some(MasterEvent::SpawnFailed { worker, error }))
    }

    /// Starts a mold. The master adopts the orphans that the mold makes.
    pub(crate) fn spawn_mold(
        &mut self,
        worker: WorkerId,
        generation: Generation,
        spec: &WorkerSpec,
        poller: &Poller,
    ) -> MasterEvent {
        spec.logs.follow_names();
        if let (Some(file), Some(extension)) = (&spec.mold_file, &spec.extension) {
            return self.spawn_reader(worker, generation, (file, extension.as_ref()), poller);
        }
        let adopts = process::adopt_orphans()
            .map_err(|error| format!("cannot take over orphans: {}", reason(&error)));
        let spawned = adopts
            .map_err(SpawnError::from)
            .and_then(|()| worker_process::spawn_mold(spec, generation));
        match spawned {
            Ok(process) => self.keep(worker, process, poller),
            Err(error) => MasterEvent::SpawnFailed { worker, error },
        }
    }

    /// Asks a mold to fork a worker. The event comes later.
    fn ask_mold(
        &mut self,
        (mold, worker): (WorkerId, WorkerId),
        spec: &WorkerSpec,
        (start, count): (Start, Option<Rc<SpoolCount>>),
        clients: Option<&Rc<ClientTable>>,
        poller: &Poller,
    ) -> Result<(), String> {
        let process = self.running.get(&mold).ok_or("its mold is gone")?;
        let age = self.forks.count() + 1;
        let pending = PendingFork::ask(process, spec, (worker, age), start, count, clients)?;
        if let Err(error) = poller.register(pending.descriptor(), PollSource::Worker(worker)) {
            log_unheard(&error);
        }
        self.forks.ask(mold, worker, pending);
        Ok(())
    }

    fn keep(&mut self, worker: WorkerId, process: WorkerProcess, poller: &Poller) -> MasterEvent {
        if let Err(error) = poller.register(process.descriptor(), PollSource::Worker(worker)) {
            log_unheard(&error);
        }
        let pid = process.pid();
        self.running.insert(worker, process);
        MasterEvent::Spawned { worker, pid }
    }

    /// Sends a message. A worker that is not forked yet gets it when it is. A program without a
    /// channel has got signals in place of earlier messages, so these count as confirmed.
    pub(crate) fn send(&mut self, worker: WorkerId, message: ToWorker) -> Option<MasterEvent> {
        if let Some(process) = self.running.get(&worker) {
            if let ToWorker::Confirm { number } = message
                && !process.has_channel()
            {
                return Some(MasterEvent::Confirmed { worker, number });
            }
            if matches!(message, ToWorker::Drain(_)) {
                self.records.end(worker);
            }
            process.send(&message);
        } else if let Some(pending) = self.forks.get_mut(worker) {
            pending.send_later(message);
        }
        None
    }

    /// Sends a signal. A worker that is not forked yet is withdrawn, which results in an
    /// event.
    pub(crate) fn signal(&mut self, worker: WorkerId, signal: WorkerSignal) -> Option<MasterEvent> {
        if let Some(process) = self.running.get(&worker) {
            self.records.end(worker);
            process.signal(signal);
            return None;
        }
        self.forks.withdraw(worker)?;
        Some(MasterEvent::SpawnFailed { worker, error: "it is not wanted any more".into() })
    }

    /// Asks for the stacks of a worker's threads.
    pub(crate) fn ask_for_stacks(&self, worker: WorkerId) {
        if let Some(process) = self.running.get(&worker) {
            process.ask_for_stacks();
        }
    }

    /// A command asks for the stacks of a process.
    pub(crate) fn begin_dump(&self, worker: WorkerId) {
        if let Some(process) = self.running.get(&worker) {
            process.begin_dump();
        }
    }

    /// Reads the stacks that commands have asked these processes for.
    pub(crate) fn read_dumps(&self, workers: &[WorkerId]) -> Vec<(WorkerId, StacksRead)> {
        let no_process = || StacksRead::Unable("it has no process yet".to_owned());
        let read = |worker: &WorkerId| {
            let process = self.running.get(worker);
            (*worker, process.map_or_else(no_process, WorkerProcess::read_dump))
        };
        workers.iter().map(read).collect()
    }

    /// How many workers exist.
    pub(crate) fn workers(&self) -> usize {
        self.running.values().filter(|process| !process.is_mold()).count()
    }

    /// The process exists.
    pub(crate) fn is_running(&self, worker: WorkerId) -> bool {
        self.running.contains_key(&worker)
    }

    /// Takes what processes have reported of the files that they have read.
    pub(crate) fn take_sources(&mut self) -> Vec<SourceReport> {
        std::mem::take(&mut self.sources)
    }

    /// The generation of a process.
    pub(crate) fn generation_of(&self, worker: WorkerId) -> Option<Generation> {
        self.running.get(&worker).map(|process| process.generation)
    }

    /// The generations of all processes but this one that were not asked to leave.
    pub(crate) fn generations_beside(&self, worker: WorkerId) -> Vec<Generation> {
        let others = self.running.iter().filter(|(id, it)| **id != worker && !it.is_draining());
        others.map(|(_, process)| process.generation).collect()
    }

    /// The scoreboard of a worker.
    pub(crate) fn find_board(&self, worker: WorkerId) -> Option<&Scoreboard> {
        self.running.get(&worker)?.board().map(|(board, _)| board)
    }

    /// The scoreboards of all workers, with the addresses of the listeners in them.
    pub(crate) fn boards(&self) -> impl Iterator<Item = (&Scoreboard, &[String])> {
        self.running.values().filter_map(WorkerProcess::board)
    }

    /// The worker is any program, of which only its end is known.
    pub(crate) fn is_program(&self, worker: WorkerId) -> bool {
        self.running.get(&worker).is_some_and(WorkerProcess::is_program)
    }

    /// What a successor is sent about the workers.
    pub(crate) fn passed(&self) -> impl Iterator<Item = PassedWorker<BorrowedFd<'_>>> {
        self.running.values().filter_map(WorkerProcess::passed)
    }

    /// A sample of each process.
    pub(crate) fn inspect(&mut self, generations: &Generations) -> Vec<WorkerSample> {
        self.running.values().for_each(WorkerProcess::send_missing_logs);
        let processes = self.running.iter_mut();
        processes
            .map(|(worker, it)| it.sample(*worker, generations.memory_limit(it.generation)))
            .collect()
    }

    /// Reads the messages of a process, or whether a worker that a mold was asked for
    /// exists. No such worker can have the pid of the successor.
    pub(crate) fn read(
        &mut self,
        worker: WorkerId,
        successor: Option<i32>,
        poller: &Poller,
        events: &mut VecDeque<MasterEvent>,
    ) {
        for _ in 0..MAX_MESSAGES {
            let Some(process) = self.running.get(&worker) else {
                let Some(event) = self.read_pending_fork(worker, successor) else { return };
                events.push_back(event);
                continue;
            };
            match process.read() {
                Ok(LinkInput::Message(message)) if is_from_mold(&message) && !process.is_mold() => {
                    log::error!("pid {} sends a message that only a mold may send", process.pid());
                    return poller.deregister(process.descriptor());
                }
                Ok(LinkInput::Message(message)) => events.extend(self.note(worker, message)),
                Ok(LinkInput::Noise) => {}
                Ok(LinkInput::Nothing) => return,
                Ok(LinkInput::Closed) => return poller.deregister(process.descriptor()),
                Err(error) => {
                    log::error!("cannot understand pid {}: {error}", process.pid());
                    return poller.deregister(process.descriptor());
                }
            }
        }
        let Some(process) = self.running.get(&worker) else { return };
        if let Err(error) = poller.report_again(process.descriptor(), PollSource::Worker(worker)) {
            log_unheard(&error);
        }
    }

    /// Takes a message of a process. Returns the event that it is.
    fn note(&mut self, worker: WorkerId, message: FromWorker) -> Option<MasterEvent> {
        Some(match message {
            FromWorker::Ready { app } => MasterEvent::Ready { worker, app: printable::line(&app) },
            FromWorker::Concern { text, is_grave } => {
                MasterEvent::Concerned { worker, text: printable::text(&text), is_grave }
            }
            FromWorker::AskMetrics { number, accept } => {
                let format = MetricsFormat::accepted([accept.as_bytes()]);
                self.metrics_asks.push(WorkerAsk { worker, number, format });
                return None;
            }
            FromWorker::Failed { failure, text } => {
                MasterEvent::Failed { worker, failure, text: printable::text(&text) }
            }
            FromWorker::Confirmed { number } => MasterEvent::Confirmed { worker, number },
            FromWorker::Retire { reason } => {
                MasterEvent::RetirementAsked { worker, reason: printable::line(&reason) }
            }
            FromWorker::Allotment { requests } => MasterEvent::Allotted { worker, requests },
            FromWorker::NotForked { worker: forked, text, passes, code } => {
                let text = printable::text(&text);
                let error = SpawnError { text, is_temporary: passes, code };
                return self.note_not_forked(worker, WorkerId(forked), error);
            }
            FromWorker::ConfigRead { values } => {
                MasterEvent::ConfigRead { worker, values: Box::new(values) }
            }
            FromWorker::ConfigFailed { text, code } => {
                MasterEvent::ConfigFailed { worker, text: printable::text(&text), code }
            }
            FromWorker::HookEnded { number, failure } => {
                let failure = failure.map(|HookFailure { text, code }| HookFailure {
                    text: printable::text(&text),
                    code,
                });
                MasterEvent::HookEnded { worker, number, failure }
            }
            FromWorker::TakesRecords(takes) => {
                match self.running.get(&worker).filter(|_| takes) {
                    Some(mold) => self.records.begin(worker, mold.descriptor()),
                    None => self.records.end(worker),
                }
                return None;
            }
            FromWorker::Sources(files) => {
                let generation = self.generation_of(worker)?;
                self.sources.push(SourceReport { worker, generation, files });
                return None;
            }
            // It comes by the channel of a fork.
            FromWorker::Forked => return None,
        })
    }

    fn read_pending_fork(
        &mut self,
        worker: WorkerId,
        successor: Option<i32>,
    ) -> Option<MasterEvent> {
        let heard = self.forks.get(worker)?.read()?;
        let pending = self.forks.withdraw(worker)?;
        let known: Vec<_> =
            self.running.values().map(WorkerProcess::pid).chain(successor).collect();
        Some(match heard.and_then(|pid| pending.adopt(pid, &known)) {
            Ok(process) => {
                let pid = process.pid();
                self.running.insert(worker, process);
                MasterEvent::Spawned { worker, pid }
            }
            Err(text) => MasterEvent::SpawnFailed { worker, error: text.into() },
        })
    }

    /// A mold could not fork a worker.
    fn note_not_forked(
        &mut self,
        mold: WorkerId,
        worker: WorkerId,
        error: SpawnError,
    ) -> Option<MasterEvent> {
        self.forks.answer(mold, worker).map(|_| MasterEvent::SpawnFailed { worker, error })
    }

    /// Reaps every process that has ended. Processes that are not workers have become
    /// children of this process because it is the first one (PID 1), or because it adopts
    /// all orphans for the workers that molds fork.
    pub(crate) fn reap(
        &mut self,
        successor: Option<i32>,
        generations: &Generations,
        poller: &Poller,
        events: &mut VecDeque<MasterEvent>,
    ) {
        loop {
            let pid = match process::ended() {
                Ok(Some(pid)) => pid,
                Ok(None) => return,
                Err(error) => return log::error!("cannot reap: {}", reason(&error)),
            };
            let mut known = self.find(pid);
            if known.is_none() {
                // A forked worker sends `Forked` first of all, so it may be known now.
                for worker in self.forks.workers() {
                    events.extend(self.read_pending_fork(worker, successor));
                }
                known = self.find(pid);
            }
            if let Some(worker) = known {
                // Read the remaining messages before the exit is reported, so that the
                // cause of a failure is not lost.
                self.read(worker, successor, poller, events);
            }
            let end = match process::reap(pid) {
                Ok(end) => end,
                Err(error) => return log::error!("cannot reap pid {pid}: {}", reason(&error)),
            };
            if let Some(worker) = known {
                events.extend(self.collect_exit(worker, end, generations, poller));
                self.fail_forks_of(worker, events);
            }
        }
    }

    fn find(&self, pid: i32) -> Option<WorkerId> {
        let found = self.running.iter().find(|(_, process)| process.pid() == pid);
        found.map(|(worker, _)| *worker)
    }

    fn collect_exit(
        &mut self,
        worker: WorkerId,
        end: ExitStatus,
        generations: &Generations,
        poller: &Poller,
    ) -> Option<MasterEvent> {
        let process = self.running.remove(&worker)?;
        self.records.end(worker);
        self.spool_places.release(worker);
        poller.deregister(process.descriptor());
        process.disconnect_clients();
        let spec = generations.find(process.generation).ok();
        if let Some(text) = spec.and_then(|it| process.start_error(&it.program, end)) {
            return Some(MasterEvent::SpawnFailed { worker, error: text.into() });
        }
        let out_of_memory = self.out_of_memory.has_struck();
        let (running, stacks) = (process.running(), process.stacks());
        let counts = Box::new(process.counts());
        let exit = WorkerExit { status: end, out_of_memory, running, stacks, counts };
        Some(MasterEvent::Exited { worker, exit })
    }

    /// The forks that a mold was asked for fail when it has ended.
    fn fail_forks_of(&mut self, mold: WorkerId, events: &mut VecDeque<MasterEvent>) {
        let failed =
            |worker| MasterEvent::SpawnFailed { worker, error: "its mold has ended".into() };
        events.extend(self.forks.orphan(mold).into_iter().map(failed));
    }
}

/// Only a mold sends it, or a worker before it has a first message.
fn is_from_mold(message: &FromWorker) -> bool {
    match message {
        FromWorker::ConfigRead { .. }
        | FromWorker::ConfigFailed { .. }
        | FromWorker::HookEnded { .. }
        | FromWorker::TakesRecords(_)
        | FromWorker::Forked
        | FromWorker::NotForked { .. } => true,
        FromWorker::Ready { .. }
        | FromWorker::Concern { .. }
        | FromWorker::AskMetrics { .. }
        | FromWorker::Failed { .. }
        | FromWorker::Confirmed { .. }
        | FromWorker::Retire { .. }
        | FromWorker::Sources(_)
        | FromWorker::Allotment { .. } => false,
    }
}

/// The messages of a process will not be read. Without its READY, `boot-timeout` ends it.
fn log_unheard(error: &std::io::Error) {
    log::error!("cannot wait for a worker: {}", reason(error));
}

#[cfg(test)]
mod tests;
