//! The simulated processes: how they start, react to messages and signals, and end.

use std::time::Duration;

use monoceros_wire::Generation;
use monoceros_wire::message::BootFailure;
use monoceros_wire::report::Totals;
use monoceros_wire::scoreboard::Losses;

use super::World;
use crate::master::decide::action::WorkerSignal;
use crate::master::decide::event::{MasterEvent, SpawnError, WorkerExit};
use crate::master::decide::id::WorkerId;
use crate::master::decide::sample::{ResponseProgress, RunningRequest, StacksRead, WorkerSample};
use monoceros_sys::process::ExitStatus;

/// A simulated process.
#[derive(Clone, Debug, Default)]
pub(super) struct SimulatedProcess {
    /// It ends at the time of this event.
    pub(super) ending: bool,
    /// Will not end by anything but SIGKILL.
    pub(super) stubborn: bool,
    /// Runs a request that does not end.
    pub(super) stuck: bool,
    /// Takes no requests.
    pub(super) numb: bool,
    /// Has been stopped by a signal.
    pub(super) stopped: bool,
    /// Was asked for its stacks.
    pub(super) traced: bool,
    /// Was asked for its stacks by a command.
    pub(super) dumped: bool,
    /// It is a mold that runs the configuration file and its hooks.
    pub(super) has_file: bool,
    /// It was sent its settings.
    pub(super) configured: bool,
    /// How many hooks it has not ended.
    pub(super) hooks: usize,
    /// When it has ended what it was asked for; `None` if it hangs in that.
    pub(super) busy: Option<Duration>,
    /// What it would have reported, if it did not hang.
    pub(super) owed: Vec<MasterEvent>,
    /// Was sent SIGKILL.
    pub(super) killed: bool,
    /// When it was first asked to end.
    pub(super) asked: Option<Duration>,
}

/// A simulated successor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SimulatedSuccessor {
    /// It ends at the time of an event that is planned.
    pub(super) ending: bool,
    /// It was asked to end.
    pub(super) dismissed: bool,
}

impl World {
    pub(super) fn strike(&mut self, change: impl FnOnce(&mut SimulatedProcess)) {
        let count = self.processes.len() as u64;
        if count > 0 {
            let index = usize::try_from(self.random.below(count)).unwrap();
            change(self.processes.values_mut().nth(index).unwrap());
        }
    }

    pub(super) fn crash(&mut self) {
        let ids: Vec<_> = self.processes.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[usize::try_from(self.random.below(ids.len() as u64)).unwrap()];
        let exit =
            if self.random.chance(50) { ExitStatus::Code(0) } else { ExitStatus::Signal(11) };
        self.plan_exit(id, exit, 0);
    }

    pub(super) fn spawn(&mut self, worker: WorkerId, generation: Generation) {
        if self.random.chance(self.spawn_fails) {
            let error = SpawnError {
                text: "no process".to_owned(),
                is_temporary: self.random.chance(50),
                code: None,
            };
            return self.plan(MasterEvent::SpawnFailed { worker, error }, 0);
        }
        let stubborn = self.random.chance(self.stubborn);
        let has_file = self.master.pool.roster().get(worker).is_some_and(|it| it.has_file);
        let busy = Some(self.now);
        let process = SimulatedProcess { stubborn, has_file, busy, ..SimulatedProcess::default() };
        self.processes.insert(worker, process);
        // Pids are used again.
        let pid = 1 + i32::try_from(self.random.below(4)).unwrap();
        self.plan(MasterEvent::Spawned { worker, pid }, 0);
        let boot = 50 + self.random.below(3_000);
        if self.broken.contains(&generation) || self.random.chance(self.boot_fails) {
            match self.random.below(3) {
                0 => return self.plan_exit(worker, ExitStatus::Code(1), boot),
                1 => return, // hangs
                _ => {}
            }
            let failure = BootFailure::Application;
            self.tell(MasterEvent::Failed { worker, failure, text: "traceback".to_owned() }, boot);
            return self.plan_exit(worker, ExitStatus::Code(4), boot + 10);
        }
        if self.random.chance(20) {
            let text = "debug".to_owned();
            self.tell(MasterEvent::Concerned { worker, text, is_grave: true }, boot);
        }
        if has_file {
            return self.run_file(worker);
        }
        self.tell(MasterEvent::Ready { worker, app: "app".to_owned() }, boot);
    }

    /// A message arrives, unless it is lost.
    fn tell(&mut self, event: MasterEvent, after: u64) {
        if !self.random.chance(self.lost) {
            self.plan(event, after);
        }
    }

    pub(super) fn signal(&mut self, worker: WorkerId, signal: WorkerSignal) {
        self.ask(worker);
        match signal {
            WorkerSignal::Kill => {
                if let Some(process) = self.processes.get_mut(&worker) {
                    process.killed = true;
                }
                self.plan_exit(worker, ExitStatus::Signal(9), 1);
            }
            WorkerSignal::Hup | WorkerSignal::Term | WorkerSignal::Quit | WorkerSignal::Abort => {
                self.end(worker, 100);
            }
        }
    }

    /// Notes when a process was first asked to end.
    pub(super) fn ask(&mut self, worker: WorkerId) {
        if let Some(process) = self.processes.get_mut(&worker) {
            process.asked.get_or_insert(self.now);
        }
    }

    /// A process ends within this many milliseconds, unless it ignores that it is asked to.
    pub(super) fn end(&mut self, worker: WorkerId, within: u64) {
        let after = self.random.below(within);
        match self.processes.get(&worker) {
            Some(process) if !process.stubborn && !process.stopped => {
                self.plan_exit(worker, ExitStatus::Code(0), after);
            }
            _ => {}
        }
    }

    /// A successor that is ready, fails, or hangs.
    pub(super) fn start_successor(&mut self) {
        assert_eq!(self.successor, None, "one upgrade at a time");
        let failed = || MasterEvent::SuccessorEnded { text: "no".to_owned() };
        match self.random.below(5) {
            0 => return self.plan(failed(), 0),
            1 => self.plan(failed(), 2_000),
            2 => {}
            // It may be too late.
            _ => {
                let boot = 1 + self.random.below(8_000);
                self.plan(MasterEvent::SuccessorReady, boot);
            }
        }
        self.successor = Some(SimulatedSuccessor::default());
        self.plan(MasterEvent::SuccessorStarted { pid: 9 }, 0);
    }

    pub(super) fn signal_successor(&mut self, signal: WorkerSignal) {
        let Some(successor) = &mut self.successor else { return };
        successor.dismissed |= signal != WorkerSignal::Hup;
        let listens = signal == WorkerSignal::Kill || self.random.chance(50);
        if listens && !std::mem::replace(&mut successor.ending, true) {
            self.queue.retain(|_, it| {
                !matches!(it, MasterEvent::SuccessorEnded { .. } | MasterEvent::SuccessorReady)
            });
            self.plan(MasterEvent::SuccessorEnded { text: "ended".to_owned() }, 1);
        }
    }

    pub(super) fn inspect(&mut self) {
        let label = || "GET /".to_owned();
        let lasted = Duration::from_secs(3_600);
        let is_whole = self.random.below(2) == 0;
        let response =
            if is_whole { ResponseProgress::Whole } else { ResponseProgress::Left(lasted) };
        let run = || RunningRequest {
            number: 1,
            label: label(),
            lasted,
            response,
            ..RunningRequest::default()
        };
        let mut samples = Vec::new();
        for (worker, process) in &mut self.processes {
            let asked = process.traced;
            let shows = asked && !process.stopped && self.random.below(2) == 0;
            process.traced = asked && !shows;
            samples.push(WorkerSample {
                worker: *worker,
                queued: 0,
                silent: Some(if process.stopped { lasted } else { Duration::ZERO }),
                stopped: process.stopped,
                running: process.stuck.then(run).into_iter().collect(),
                sides: 1,
                stuck: process.numb.then_some(lasted),
                requests: if self.calm { 0 } else { self.random.below(200) },
                losses: Losses::default(),
                memory: Some(if self.calm { 0 } else { self.random.below(200) }),
                stacks: shows.then(|| "File a.py".to_owned()),
                asked: asked && !shows,
            });
        }
        self.plan(MasterEvent::Inspected(samples), 0);
    }

    /// A process is asked for its stacks by a command.
    pub(super) fn begin_dump(&mut self, worker: WorkerId) {
        if let Some(process) = self.processes.get_mut(&worker) {
            process.dumped = true;
        }
    }

    /// A process has written the stacks that a command has asked for, or not yet.
    pub(super) fn read_stacks(&mut self, workers: &[WorkerId]) {
        let mut read = Vec::new();
        for worker in workers {
            let shown = match self.processes.get(worker) {
                None => StacksRead::Unable("no process".to_owned()),
                Some(process) if !process.dumped => StacksRead::Unable("not asked".to_owned()),
                Some(process) if process.stopped => StacksRead::Pending,
                Some(_) if self.random.chance(50) => StacksRead::Pending,
                Some(_) => StacksRead::Written("File a.py".to_owned()),
            };
            read.push((*worker, shown));
        }
        self.plan(MasterEvent::StacksRead(read), 0);
    }

    /// A process confirms its messages, unless it is stopped.
    pub(super) fn confirm(&mut self, worker: WorkerId, number: u64) {
        let after = self.random.below(3_000);
        if self.processes.get(&worker).is_none_or(|process| !process.stopped) {
            self.plan(MasterEvent::Confirmed { worker, number }, after);
        }
    }

    /// A process ends once. SIGKILL comes before any other end that was planned.
    fn plan_exit(&mut self, worker: WorkerId, exit: ExitStatus, after: u64) {
        let Some(process) = self.processes.get_mut(&worker) else { return };
        if std::mem::replace(&mut process.ending, true) {
            if exit != ExitStatus::Signal(9) {
                return;
            }
            self.queue.retain(
                |_, event| !matches!(event, MasterEvent::Exited { worker: it, .. } if *it == worker),
            );
        }
        let exit = WorkerExit {
            out_of_memory: self.random.chance(5),
            counts: Box::new(counts(self.random.below(100))),
            ..WorkerExit::of(exit)
        };
        self.plan(MasterEvent::Exited { worker, exit }, after);
    }
}

/// The counts of a process that has responded to so many requests.
pub(super) fn counts(requests: u64) -> Totals {
    Totals { requests: [("200".to_owned(), requests)].into(), ..Totals::default() }
}
