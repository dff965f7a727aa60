//! The hooks of the configuration file in Python: when molds are asked to run them, and what
//! their ends mean for the server. Owns nothing. Called by the states of the master;
//! `decide/hooks.rs` has those that are pending.

use std::time::Instant;

use log::Level;
use monoceros_sys::process::ExitStatus;
use monoceros_wire::Generation;
use monoceros_wire::gunicorn::{HookFailure, ServerHook};
use monoceros_wire::message::BootFailure;

use super::Master;
use crate::master::decide::action::Action;
use crate::master::decide::boot_failures::last_line;
use crate::master::decide::hooks::{HookLimit, Introduction, OverdueHook};
use crate::master::decide::id::WorkerId;
use crate::master::decide::lifecycle::STOP_LIMIT;
use crate::master::decide::roster::{Role, WorkerEntry};
use crate::master::decide::state::{MasterState, Purpose};

/// The exit code of a server with a hook that does not end.
const HOOK_FAILURE: u8 = 1;

impl Master {
    /// The server begins: what fails now ends it.
    pub(super) fn is_starting(&self) -> bool {
        match self.state {
            MasterState::Starting | MasterState::Binding { .. } | MasterState::Booting => true,
            MasterState::Serving
            | MasterState::Delaying { .. }
            | MasterState::Draining
            | MasterState::Stopping
            | MasterState::Stopped => false,
        }
    }

    /// The mold that runs the hooks of the server. A check runs none.
    pub(super) fn find_hook_mold(&self) -> Option<WorkerId> {
        let mold = self.pool.hook_mold(&self.reload);
        mold.filter(|_| self.purpose == Purpose::Serve)
    }

    /// The first mold is ready and its hooks have ended: the addresses are bound.
    pub(super) fn note_start(&mut self) {
        let mold = self.pool.hook_mold(&self.reload);
        if mold.is_some_and(|mold| !self.hooks.is_running(mold)) {
            self.state = MasterState::Binding { retry: None, until: None };
            self.actions.push(Action::Bind);
        }
    }

    /// The addresses are bound: the first workers are started after `when_ready`.
    pub(super) fn note_bound(&mut self, now: Instant) {
        self.state = MasterState::Booting;
        if let Some(mold) = self.find_hook_mold() {
            self.pass_listeners(mold);
            self.ask_hook(mold, ServerHook::WhenReady, now);
        }
    }

    /// A mold has become ready: it runs the hooks that come before its first fork.
    pub(super) fn introduce_mold(&mut self, mold: WorkerId, now: Instant) {
        let entry = self.pool.roster().get(mold);
        let Some(entry) = entry.filter(|it| it.has_file && it.is_ready()) else { return };
        if self.purpose == Purpose::Check {
            return;
        }
        let (new, what) =
            (self.pool.size().workers(), self.hooks.take_introduction(entry.generation));
        let old = match what {
            Introduction::Start | Introduction::Again => None,
            Introduction::Reload { old } => old,
        };
        self.ask_hook(mold, ServerHook::NumWorkersChanged { new, old }, now);
        self.ask_hook(mold, ServerHook::OnStarting, now);
        match what {
            Introduction::Start => {}
            Introduction::Reload { .. } => {
                self.pass_listeners(mold);
                self.ask_hook(mold, ServerHook::OnReload, now);
                self.hooks.wait_for_others(mold);
            }
            Introduction::Again => {
                self.pass_listeners(mold);
                self.ask_hook(mold, ServerHook::WhenReady, now);
            }
        }
    }

    /// A reload has read the settings in the mold that serves on: its hooks of a reload.
    pub(super) fn ask_reload_hooks(&mut self, mold: WorkerId, now: Instant) {
        let (new, old) = (self.pool.size().workers(), self.hooks.workers());
        self.pass_listeners(mold);
        self.ask_hook(mold, ServerHook::NumWorkersChanged { new, old }, now);
        self.ask_hook(mold, ServerHook::OnReload, now);
    }

    /// What follows from the state: the number of workers has changed, or all molds but the one
    /// of a reload have ended.
    pub(super) fn ask_due_hooks(&mut self, now: Instant) {
        if let Some(mold) = self.hooks.waiting()
            && self.pool.roster().molds().all(|it| it.id == mold || !it.has_file)
        {
            self.hooks.stop_waiting();
            self.ask_hook(mold, ServerHook::WhenReady, now);
        }
        let new = self.pool.size().workers();
        let Some(old) = self.hooks.workers().filter(|old| *old != new) else { return };
        // A mold of a reload that is not ready yet gets the number when it is.
        let rolling = self.reload.rolling_to();
        if rolling.is_some_and(|generation| self.hooks.expects(generation)) {
            return;
        }
        if let Some(mold) = self.find_hook_mold() {
            self.ask_hook(mold, ServerHook::NumWorkersChanged { new, old: Some(old) }, now);
        }
    }

    /// The server ends, and its last worker has ended: `on_exit` runs.
    pub(super) fn ask_exit_hook(&mut self, now: Instant) {
        let Some(mold) = self.pool.exit_mold(&self.hooks) else { return };
        let roster = self.pool.roster();
        let runs_others = roster.molds().any(|it| self.hooks.is_running(it.id));
        if roster.workers().next().is_none() && !runs_others {
            self.ask_hook(mold, ServerHook::OnExit, now);
        }
    }

    /// A worker was reaped: the mold that has forked it runs `child_exit`.
    pub(super) fn note_child_exit(&mut self, ended: &WorkerEntry, end: ExitStatus, now: Instant) {
        let lives = |mold: &WorkerId| {
            let entry = self.pool.roster().get(*mold);
            entry.is_some_and(|it| it.has_file && it.is_live())
        };
        let Some(mold) = ended.mold.filter(lives) else { return };
        if self.purpose == Purpose::Serve {
            let is_silent = self.code > 0 && is_boot_failure(end);
            let worker = ended.id.0;
            self.ask_hook(mold, ServerHook::ChildExit { worker, is_silent }, now);
        }
    }

    /// A hook has ended.
    pub(super) fn note_hook_end(
        &mut self,
        mold: WorkerId,
        number: u64,
        failure: Option<&HookFailure>,
        now: Instant,
    ) {
        let ended = self.hooks.note_end(mold, number, failure.is_some(), now);
        let Some(hook) = ended else { return };
        let name = hook.name();
        if let Some(HookFailure { text, code }) = failure {
            if self.is_starting() {
                self.actions.log(Level::Error, format!("the hook {name} has raised\n{text}"));
                let reason = format!("hook {name}: {}", last_line(text));
                return self.fail_start(*code, &reason, now);
            }
            let text = format!("the hook {name} has raised, and the server goes on\n{text}");
            self.actions.log(Level::Error, text);
        }
        if hook == ServerHook::PreExec {
            self.start_announced(now);
        }
    }

    /// Ends the molds whose hooks have taken all of their time.
    pub(super) fn note_overdue_hooks(&mut self, now: Instant) {
        while let Some(OverdueHook { mold, hook, limit }) = self.hooks.find_overdue(now) {
            let HookLimit { setting, length } = limit;
            let (name, seconds) = (hook.name(), length.as_secs());
            let text = format!("the hook {name} has not ended within {setting} ({seconds} s)");
            self.actions.log(Level::Error, format!("{text}; ending its mold"));
            let lost = self.hooks.forget(mold);
            self.pool.abort_mold(mold, now, &mut self.actions);
            if self.is_starting() {
                self.fail_start(HOOK_FAILURE, &text, now);
            }
            self.note_lost_hooks(&lost, now);
        }
    }

    /// A mold has ended, and with it the hooks that it was running. One that has ended its
    /// process itself, as by `os._exit`, ends a start with its exit code.
    pub(super) fn note_mold_end(&mut self, mold: WorkerId, end: ExitStatus, now: Instant) {
        let lost = self.hooks.forget(mold);
        if let Some(hook) = lost.first()
            && self.is_starting()
        {
            let text = format!("the mold has ended while it ran the hook {}", hook.name());
            self.actions.log(Level::Error, text.as_str());
            let code = match end {
                ExitStatus::Code(code) => (code & 0xff) as u8,
                ExitStatus::Signal(_) => HOOK_FAILURE,
            };
            self.fail_start(code, &text, now);
        }
        self.note_lost_hooks(&lost, now);
    }

    /// Hooks do not end any more. An upgrade goes on without its hook.
    fn note_lost_hooks(&mut self, lost: &[ServerHook], now: Instant) {
        if lost.contains(&ServerHook::PreExec) {
            self.start_announced(now);
        }
    }

    /// A hook or an address does not let the server begin. As in gunicorn, `on_exit` does not run
    /// then.
    pub(super) fn fail_start(&mut self, code: u8, reason: &str, now: Instant) {
        self.hooks.skip_exit();
        self.fail(code, reason, now);
    }

    /// Asks for a hook, which has the time that the state of the server allows.
    pub(super) fn ask_hook(&mut self, mold: WorkerId, hook: ServerHook, now: Instant) {
        let settings = self.settings();
        let (setting, length) = if hook == ServerHook::PreExec {
            ("upgrade-timeout", settings.upgrade_timeout)
        } else if self.is_starting() {
            ("boot-timeout", settings.boot_timeout)
        } else if matches!(self.state, MasterState::Serving | MasterState::Delaying { .. }) {
            ("progress-deadline", settings.progress_deadline)
        } else {
            return self.hooks.ask(mold, hook, self.exit_limit(), now, &mut self.actions);
        };
        let limit = HookLimit { setting, length };
        self.hooks.ask(mold, hook, limit, now, &mut self.actions);
    }

    /// The time that a hook has when the server ends.
    pub(super) fn exit_limit(&self) -> HookLimit {
        let length = self.settings().graceful_timeout.max(STOP_LIMIT);
        HookLimit { setting: "graceful-timeout", length }
    }

    /// Sends a mold the listening sockets of the generation that it forks for.
    pub(super) fn pass_listeners(&mut self, worker: WorkerId) {
        let generation = self.generation_of_mold(worker);
        self.actions.push(Action::PassListeners { worker, generation });
    }

    /// The generation whose settings a mold has: its own, or the newest for that of the server.
    pub(super) fn generation_of_mold(&self, mold: WorkerId) -> Generation {
        let newest = self.target().generation;
        match self.pool.roster().get(mold) {
            Some(entry) if entry.role == Role::Mold => entry.generation,
            Some(_) | None => newest,
        }
    }
}

/// A worker has ended so because it could not become ready.
fn is_boot_failure(end: ExitStatus) -> bool {
    let codes = [BootFailure::Boot, BootFailure::Application].map(BootFailure::exit_code);
    codes.iter().any(|code| end == ExitStatus::Code((*code).into()))
}
