//! The simulated molds that run a configuration file in Python, and its hooks.

use std::time::Duration;

use monoceros_wire::gunicorn::{GunicornValues, HookFailure, ServerHook};

use super::World;
use super::processes::SimulatedProcess;
use crate::master::decide::event::MasterEvent;
use crate::master::decide::id::WorkerId;

impl World {
    /// The first mold has run the file before the master began.
    pub(super) fn adopt_mold(&mut self, worker: WorkerId) {
        let busy = Some(self.now);
        let process = SimulatedProcess { has_file: true, busy, ..SimulatedProcess::default() };
        self.processes.insert(worker, process);
        self.plan(MasterEvent::Spawned { worker, pid: 1 }, 0);
    }

    /// A process is a mold with a file.
    pub(super) fn has_file_in(&self, worker: WorkerId) -> bool {
        self.processes.get(&worker).is_some_and(|process| process.has_file)
    }

    /// A mold runs the file, which may fail or hang.
    pub(super) fn run_file(&mut self, worker: WorkerId) {
        let event = if self.random.chance(self.boot_fails) {
            MasterEvent::ConfigFailed { worker, text: "NameError".to_owned(), code: 1 }
        } else {
            MasterEvent::ConfigRead { worker, values: Box::new(GunicornValues::default()) }
        };
        self.perform(worker, event, 2_000);
    }

    /// A mold gets its settings. The first time it becomes ready.
    pub(super) fn configure(&mut self, worker: WorkerId) {
        let Some(process) = self.processes.get_mut(&worker) else { return };
        if !std::mem::replace(&mut process.configured, true) {
            self.perform(worker, MasterEvent::Ready { worker, app: String::new() }, 2_000);
        }
    }

    /// A mold runs a hook, which may raise or hang.
    pub(super) fn run_hook(&mut self, worker: WorkerId, number: u64, hook: ServerHook) {
        self.check_hook(hook);
        let failure = self
            .random
            .chance(self.boot_fails)
            .then(|| HookFailure { text: "ValueError".to_owned(), code: 1 });
        if let Some(process) = self.processes.get_mut(&worker) {
            process.hooks += 1;
        }
        self.perform(worker, MasterEvent::HookEnded { worker, number, failure }, 200);
    }

    /// A mold does one thing after the other, each within so many milliseconds, and hangs in some
    /// of them.
    fn perform(&mut self, worker: WorkerId, event: MasterEvent, within: u64) {
        let (takes, hangs) = (self.random.below(within), self.random.chance(self.stubborn / 4));
        let now = self.now;
        let Some(process) = self.processes.get_mut(&worker) else { return };
        let Some(busy) = process.busy.filter(|_| !hangs) else {
            process.busy = None;
            return process.owed.push(event);
        };
        let end = busy.max(now) + Duration::from_millis(takes);
        process.busy = Some(end);
        self.plan_at(event, end);
    }

    /// What hangs goes on.
    pub(super) fn go_on(&mut self) {
        let now = self.now;
        let mut owed = Vec::new();
        for process in self.processes.values_mut() {
            process.busy.get_or_insert(now);
            owed.append(&mut process.owed);
        }
        owed.into_iter().for_each(|event| self.plan(event, 0));
    }
}
