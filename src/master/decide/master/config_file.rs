//! Reloads whose configuration file is Python: a mold runs the file before its settings are
//! known. Owns nothing. Called by the states of the master; `decide/config_run.rs` has the run
//! that is under way.

use std::time::Instant;

use monoceros_wire::Generation;
use monoceros_wire::gunicorn::GunicornValues;

use super::Master;
use crate::master::decide::action::Action;
use crate::master::decide::config_run::ConfigRun;
use crate::master::decide::hooks::{HookLimit, Introduction};
use crate::master::decide::id::WorkerId;
use crate::master::decide::reload::ForkedGeneration;
use crate::master::decide::roster::{Role, WorkerState};
use crate::master::decide::settings::{ForkSource, deadline_after};

impl Master {
    /// The mold of the server runs the file again, or else a new mold.
    pub(super) fn run_file(&mut self, generation: Generation, name: String, now: Instant) {
        let settings = self.reload.settings();
        // Without a limit a mold that hangs at its start would be waited for without end.
        let limit = if settings.progress_deadline.is_zero() {
            HookLimit { setting: "boot-timeout", length: settings.boot_timeout }
        } else {
            HookLimit { setting: "progress-deadline", length: settings.progress_deadline }
        };
        let until = deadline_after(limit.length, now);
        let known = self.find_server_mold();
        let is_new = known.is_none();
        let mold = known.unwrap_or_else(|| {
            // Whose mold it is, is known when the file has run.
            let source = ForkSource::GenerationMold;
            let forked = ForkedGeneration { generation, source, has_file: true };
            self.pool.add_mold(Role::Mold, forked, None)
        });
        self.actions.push(match is_new {
            true => Action::SpawnReader { worker: mold, generation },
            false => Action::RunFile { worker: mold },
        });
        self.runs.begin(ConfigRun { generation, mold, is_new, name, limit, until });
    }

    /// The mold of the server, if the newest settings have one and it is ready.
    fn find_server_mold(&self) -> Option<WorkerId> {
        let is_used = self.reload.settings().fork_source() == ForkSource::ServerMold;
        let mold = self.pool.hook_mold(&self.reload).filter(|_| is_used)?;
        self.pool.roster().get(mold).filter(|it| it.role == Role::ServerMold).map(|it| it.id)
    }

    /// A mold has run the file: for a reload, or because it replaces a mold that has died.
    pub(super) fn note_config(&mut self, mold: WorkerId, values: Box<GunicornValues>) {
        if let Some(run) = self.runs.of(mold) {
            self.actions.push(Action::LoadSettings { generation: run.generation, values });
            return;
        }
        let entry = self.pool.roster().get(mold);
        if entry.is_some_and(|it| matches!(it.state, WorkerState::Booting { .. })) {
            let generation = self.generation_of_mold(mold);
            self.actions.push(Action::Configure { worker: mold, generation });
        }
    }

    /// The file that a mold has run cannot be used.
    pub(super) fn fail_config(&mut self, mold: WorkerId, text: &str, code: u8, now: Instant) {
        let Some(run) = self.runs.take_of(mold) else {
            return self.fail_boot(mold, code, text, now);
        };
        if run.is_new {
            self.pool.leave_failed(mold, now);
        }
        self.refuse_run(&run, text, now);
    }

    /// The mold that runs the file for a reload will not end that, for this reason.
    pub(super) fn lose_run(&mut self, mold: WorkerId, reason: &str, now: Instant) {
        if let Some(run) = self.runs.take_of(mold) {
            let text = format!("cannot run {}: {reason}", run.name);
            self.refuse_run(&run, &text, now);
        }
    }

    /// A new mold that runs the file for a reload has no process any more: it is forgotten.
    /// Returns whether it was one.
    pub(super) fn forget_reader(&mut self, mold: WorkerId, reason: &str, now: Instant) -> bool {
        let is_reader = self.runs.of(mold).is_some_and(|run| run.is_new);
        if is_reader {
            self.pool.forget(mold);
            self.lose_run(mold, reason, now);
        }
        is_reader
    }

    /// Ends a mold that hangs in the file.
    pub(super) fn note_run_deadline(&mut self, now: Instant) {
        let Some(run) = self.runs.take_overdue(now) else { return };
        let (name, HookLimit { setting, length }) = (&run.name, run.limit);
        let seconds = length.as_secs();
        let text = format!("{name} has not ended within {setting} ({seconds} s)");
        self.pool.abort_mold(run.mold, now, &mut self.actions);
        self.refuse_run(&run, &text, now);
    }

    fn refuse_run(&mut self, run: &ConfigRun, text: &str, now: Instant) {
        self.reload.note_read(run.generation);
        self.refuse_reload(run.generation, text, now);
    }

    /// The settings that a mold has read for this generation cannot be used. A mold that was
    /// started for that ends.
    pub(super) fn dismiss_reader(&mut self, generation: Generation, now: Instant) {
        if let Some(run) = self.runs.take(generation).filter(|run| run.is_new) {
            self.pool.retire_mold(run.mold, now, &mut self.actions);
        }
    }

    /// The settings that a mold has read take effect: the mold gets them.
    pub(super) fn adopt_reader(&mut self, run: &ConfigRun, now: Instant) {
        let (worker, generation, settings) = (run.mold, run.generation, self.reload.settings());
        let until = deadline_after(settings.boot_timeout, now);
        let introduction = Introduction::Reload { old: self.hooks.workers() };
        let role = match settings.fork_source() {
            ForkSource::Executed => {
                if run.is_new {
                    self.pool.retire_mold(worker, now, &mut self.actions);
                }
                return;
            }
            ForkSource::GenerationMold => Role::Mold,
            ForkSource::ServerMold => Role::ServerMold,
        };
        if run.is_new {
            self.pool.settle_mold(worker, role, until);
            self.hooks.plan_introduction(generation, introduction);
        } else if role == Role::Mold {
            // A mold with the application is started, which runs the file again.
            return self.hooks.plan_introduction(generation, introduction);
        }
        self.actions.push(Action::Configure { worker, generation });
        if !run.is_new {
            self.ask_reload_hooks(worker, now);
        }
    }

    /// A reload has failed: the mold of the server goes on with the settings before it.
    pub(super) fn restore_config(&mut self) {
        if let Some(worker) = self.find_server_mold() {
            let generation = self.reload.current();
            self.actions.push(Action::Configure { worker, generation });
            self.actions.push(Action::PassListeners { worker, generation });
        }
    }
}
