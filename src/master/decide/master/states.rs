//! The states of the master: for each state one function, whose `match` has an arm for
//! each event. There is no catch-all: an event that is added does not compile until every
//! state answers it. Called by `Master::step`; what an arm does is in the files beside
//! this one.

use std::time::Instant;

use monoceros_config::SignalCommand;

use super::Master;
use crate::master::decide::action::Action;
use crate::master::decide::event::MasterEvent;
use crate::master::decide::state::MasterState;

impl Master {
    /// The first mold gets ready and runs hooks. No other process exists.
    pub(super) fn step_starting(&mut self, event: MasterEvent, now: Instant) {
        match event {
            MasterEvent::Signalled(SignalCommand::Drain | SignalCommand::Stop) => {
                self.give_up_start(now)
            }
            MasterEvent::Signalled(command) => self.adjust(command, now),
            MasterEvent::Spawned { worker, pid } => self.note_spawned(worker, pid, now),
            MasterEvent::SpawnFailed { worker, error } => {
                self.note_spawn_failure(worker, &error, now);
            }
            MasterEvent::Ready { worker, app } => self.note_ready(worker, app, now),
            MasterEvent::Concerned { worker, text, is_grave } => {
                self.pool.note_concern(worker, &text, is_grave, &mut self.actions);
            }
            MasterEvent::Failed { worker, failure, text } => {
                self.note_failure(worker, failure, &text, now);
            }
            MasterEvent::ConfigFailed { worker, text, code } => {
                self.fail_config(worker, &text, code, now);
            }
            MasterEvent::HookEnded { worker, number, failure } => {
                self.note_hook_end(worker, number, failure.as_ref(), now);
            }
            MasterEvent::Exited { worker, exit } => self.note_exit(worker, &exit, now),
            MasterEvent::Inspected(samples) => self.note_samples(&samples, now),
            MasterEvent::Requested { client, request } => self.take_command(client, request, now),
            MasterEvent::Confirmed { worker, number } => self.confirmations.note(worker, number),
            MasterEvent::StacksRead(read) => self.stacks.note(self.pool.roster(), &read),
            MasterEvent::TookOver { workers, totals, changes, draining } => {
                self.take_over(workers, &totals, changes, draining);
            }
            MasterEvent::FormerWorkerEnded { counts, draining } => {
                self.note_former_end(&counts, draining);
            }
            MasterEvent::CertificatesChecked { concern } => self.status.set_concern(concern),
            MasterEvent::SourcesChanged { text } => self.note_sources(&text, now),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::RetirementAsked { .. }
            | MasterEvent::Allotted { .. }
            | MasterEvent::Bound(_)
            | MasterEvent::SuccessorStarted { .. }
            | MasterEvent::SuccessorReady
            | MasterEvent::SuccessorEnded { .. }
            | MasterEvent::FileFound { .. }
            | MasterEvent::ConfigRead { .. }
            | MasterEvent::SettingsRead { .. } => {}
        }
    }

    /// No worker exists yet, so no event about a worker or a successor is expected. A mold may
    /// exist.
    pub(super) fn step_binding(
        &mut self,
        event: MasterEvent,
        retry: Option<Instant>,
        until: Option<Instant>,
        now: Instant,
    ) {
        match event {
            MasterEvent::Bound(Ok(())) => self.note_bound(now),
            MasterEvent::Bound(Err(failure)) => self.retry_binding(failure, until, now),
            MasterEvent::Signalled(SignalCommand::Drain | SignalCommand::Stop) => {
                self.give_up_start(now)
            }
            MasterEvent::Exited { worker, exit } => self.note_exit(worker, &exit, now),
            MasterEvent::HookEnded { worker, number, failure } => {
                self.note_hook_end(worker, number, failure.as_ref(), now);
            }
            MasterEvent::Inspected(samples) => self.note_samples(&samples, now),
            MasterEvent::Confirmed { worker, number } => self.confirmations.note(worker, number),
            MasterEvent::StacksRead(read) => self.stacks.note(self.pool.roster(), &read),
            MasterEvent::Signalled(command) => self.adjust(command, now),
            MasterEvent::Requested { client, request } => self.take_command(client, request, now),
            MasterEvent::TookOver { workers, totals, changes, draining } => {
                self.take_over(workers, &totals, changes, draining);
            }
            MasterEvent::FormerWorkerEnded { counts, draining } => {
                self.note_former_end(&counts, draining);
            }
            MasterEvent::CertificatesChecked { concern } => self.status.set_concern(concern),
            MasterEvent::SourcesChanged { text } => self.note_sources(&text, now),
            MasterEvent::Elapsed => {
                self.note_deadlines(now);
                if retry.is_some_and(|retry| retry <= now) {
                    self.state = MasterState::Binding { retry: None, until };
                    self.actions.push(Action::Bind);
                }
            }
            MasterEvent::Spawned { .. }
            | MasterEvent::SpawnFailed { .. }
            | MasterEvent::Ready { .. }
            | MasterEvent::Concerned { .. }
            | MasterEvent::RetirementAsked { .. }
            | MasterEvent::Allotted { .. }
            | MasterEvent::Failed { .. }
            | MasterEvent::FileFound { .. }
            | MasterEvent::ConfigRead { .. }
            | MasterEvent::ConfigFailed { .. }
            | MasterEvent::SuccessorStarted { .. }
            | MasterEvent::SuccessorReady
            | MasterEvent::SuccessorEnded { .. }
            | MasterEvent::SettingsRead { .. } => {}
        }
    }

    /// The first generation starts. No reload and no upgrade is under way.
    pub(super) fn step_booting(&mut self, event: MasterEvent, now: Instant) {
        match event {
            MasterEvent::Signalled(SignalCommand::Drain) => self.begin_shutdown(now),
            MasterEvent::Signalled(SignalCommand::Stop) => self.stop(0, now),
            MasterEvent::Signalled(command) => self.adjust(command, now),
            MasterEvent::Spawned { worker, pid } => self.note_spawned(worker, pid, now),
            MasterEvent::SpawnFailed { worker, error } => {
                self.note_spawn_failure(worker, &error, now);
            }
            MasterEvent::Ready { worker, app } => self.note_ready(worker, app, now),
            MasterEvent::Concerned { worker, text, is_grave } => {
                self.pool.note_concern(worker, &text, is_grave, &mut self.actions);
            }
            MasterEvent::Failed { worker, failure, text } => {
                self.note_failure(worker, failure, &text, now);
            }
            MasterEvent::ConfigRead { worker, values } => self.note_config(worker, values),
            MasterEvent::ConfigFailed { worker, text, code } => {
                self.fail_config(worker, &text, code, now);
            }
            MasterEvent::HookEnded { worker, number, failure } => {
                self.note_hook_end(worker, number, failure.as_ref(), now);
            }
            MasterEvent::Exited { worker, exit } => self.note_exit(worker, &exit, now),
            MasterEvent::RetirementAsked { worker, reason } => {
                self.pool.note_retirement(worker, &reason, &mut self.actions);
            }
            MasterEvent::Allotted { worker, requests } => {
                self.pool.note_allotment(worker, requests);
            }
            MasterEvent::Inspected(samples) => self.note_samples(&samples, now),
            MasterEvent::Requested { client, request } => self.take_command(client, request, now),
            MasterEvent::Confirmed { worker, number } => self.confirmations.note(worker, number),
            MasterEvent::StacksRead(read) => self.stacks.note(self.pool.roster(), &read),
            MasterEvent::TookOver { workers, totals, changes, draining } => {
                self.take_over(workers, &totals, changes, draining);
            }
            MasterEvent::FormerWorkerEnded { counts, draining } => {
                self.note_former_end(&counts, draining);
            }
            MasterEvent::CertificatesChecked { concern } => self.note_certificates(concern),
            MasterEvent::SourcesChanged { text } => self.note_sources(&text, now),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::Bound(_)
            | MasterEvent::SuccessorStarted { .. }
            | MasterEvent::SuccessorReady
            | MasterEvent::SuccessorEnded { .. }
            | MasterEvent::FileFound { .. }
            | MasterEvent::SettingsRead { .. } => {}
        }
    }

    /// The server serves: whatever an operator asks for can begin.
    pub(super) fn step_serving(&mut self, event: MasterEvent, now: Instant) {
        match event {
            MasterEvent::Signalled(SignalCommand::Drain) => self.begin_shutdown(now),
            MasterEvent::Signalled(SignalCommand::Stop) => self.stop(0, now),
            MasterEvent::Signalled(command) => self.adjust(command, now),
            MasterEvent::SettingsRead { generation, settings: Ok(settings) } => {
                self.begin_rollout(generation, settings, now)
            }
            MasterEvent::SettingsRead { generation, settings: Err(text) } => {
                self.dismiss_reader(generation, now);
                self.refuse_reload(generation, &text, now);
            }
            MasterEvent::Spawned { worker, pid } => self.note_spawned(worker, pid, now),
            MasterEvent::SpawnFailed { worker, error } => {
                self.note_spawn_failure(worker, &error, now);
            }
            MasterEvent::Ready { worker, app } => self.note_ready(worker, app, now),
            MasterEvent::Concerned { worker, text, is_grave } => {
                self.pool.note_concern(worker, &text, is_grave, &mut self.actions);
            }
            MasterEvent::Failed { worker, failure, text } => {
                self.note_failure(worker, failure, &text, now);
            }
            MasterEvent::FileFound { generation, name } => self.run_file(generation, name, now),
            MasterEvent::ConfigRead { worker, values } => self.note_config(worker, values),
            MasterEvent::ConfigFailed { worker, text, code } => {
                self.fail_config(worker, &text, code, now);
            }
            MasterEvent::HookEnded { worker, number, failure } => {
                self.note_hook_end(worker, number, failure.as_ref(), now);
            }
            MasterEvent::Exited { worker, exit } => self.note_exit(worker, &exit, now),
            MasterEvent::RetirementAsked { worker, reason } => {
                self.pool.note_retirement(worker, &reason, &mut self.actions);
            }
            MasterEvent::Allotted { worker, requests } => {
                self.pool.note_allotment(worker, requests);
            }
            MasterEvent::Inspected(samples) => self.note_samples(&samples, now),
            MasterEvent::SuccessorStarted { pid } => {
                self.succession.note_started(pid, &mut self.actions)
            }
            MasterEvent::SuccessorReady => self.hand_over(now),
            MasterEvent::SuccessorEnded { text } => self.lose_successor(&text, now),
            MasterEvent::Requested { client, request } => self.take_command(client, request, now),
            MasterEvent::Confirmed { worker, number } => self.confirmations.note(worker, number),
            MasterEvent::StacksRead(read) => self.stacks.note(self.pool.roster(), &read),
            MasterEvent::TookOver { workers, totals, changes, draining } => {
                self.take_over(workers, &totals, changes, draining);
            }
            MasterEvent::FormerWorkerEnded { counts, draining } => {
                self.note_former_end(&counts, draining);
            }
            MasterEvent::CertificatesChecked { concern } => self.note_certificates(concern),
            MasterEvent::SourcesChanged { text } => self.note_sources(&text, now),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::Bound(_) => {}
        }
    }

    /// As while the server serves, but nothing begins that would outlast this master.
    pub(super) fn step_delaying(&mut self, event: MasterEvent, until: Instant, now: Instant) {
        match event {
            MasterEvent::Signalled(SignalCommand::Drain) => self.drain(now),
            MasterEvent::Signalled(
                SignalCommand::Reload | SignalCommand::Upgrade | SignalCommand::Withdraw,
            ) => self.refuse_signal(),
            MasterEvent::SuccessorEnded { .. } => drop(self.succession.note_ended()),
            MasterEvent::SuccessorReady | MasterEvent::SourcesChanged { .. } => {}
            MasterEvent::Elapsed => {
                self.note_deadlines(now);
                if until <= now {
                    self.drain(now);
                }
            }
            event @ (MasterEvent::Signalled(
                SignalCommand::Stop
                | SignalCommand::Add
                | SignalCommand::Remove
                | SignalCommand::Reopen,
            )
            | MasterEvent::Bound(_)
            | MasterEvent::Spawned { .. }
            | MasterEvent::SpawnFailed { .. }
            | MasterEvent::Ready { .. }
            | MasterEvent::Concerned { .. }
            | MasterEvent::RetirementAsked { .. }
            | MasterEvent::Allotted { .. }
            | MasterEvent::Failed { .. }
            | MasterEvent::Exited { .. }
            | MasterEvent::Inspected(_)
            | MasterEvent::FileFound { .. }
            | MasterEvent::ConfigRead { .. }
            | MasterEvent::ConfigFailed { .. }
            | MasterEvent::HookEnded { .. }
            | MasterEvent::SettingsRead { .. }
            | MasterEvent::SuccessorStarted { .. }
            | MasterEvent::Requested { .. }
            | MasterEvent::Confirmed { .. }
            | MasterEvent::StacksRead(_)
            | MasterEvent::CertificatesChecked { .. }
            | MasterEvent::TookOver { .. }
            | MasterEvent::FormerWorkerEnded { .. }) => self.step_serving(event, now),
        }
    }

    /// The workers finish their requests. Nothing begins any more.
    pub(super) fn step_draining(&mut self, event: MasterEvent, now: Instant) {
        match event {
            // It drains already, since its successor serves.
            MasterEvent::Signalled(SignalCommand::Drain) if self.succession.take_first_drain() => {}
            MasterEvent::Signalled(SignalCommand::Drain | SignalCommand::Stop) => self.stop(0, now),
            MasterEvent::Signalled(SignalCommand::Reopen) => self.reopen(),
            MasterEvent::Spawned { worker, pid } => self.note_spawned(worker, pid, now),
            MasterEvent::SpawnFailed { worker, .. } => self.forget(worker),
            MasterEvent::HookEnded { worker, number, failure } => {
                self.note_hook_end(worker, number, failure.as_ref(), now);
            }
            MasterEvent::Exited { worker, exit } => self.note_exit(worker, &exit, now),
            MasterEvent::Inspected(samples) => self.note_samples(&samples, now),
            MasterEvent::SuccessorStarted { pid } => {
                self.succession.note_started(pid, &mut self.actions)
            }
            MasterEvent::SuccessorEnded { .. } => drop(self.succession.note_ended()),
            MasterEvent::Requested { client, request } => self.take_command(client, request, now),
            MasterEvent::Confirmed { worker, number } => self.confirmations.note(worker, number),
            MasterEvent::StacksRead(read) => self.stacks.note(self.pool.roster(), &read),
            MasterEvent::TookOver { workers, totals, changes, draining } => {
                self.take_over(workers, &totals, changes, draining);
            }
            MasterEvent::FormerWorkerEnded { counts, draining } => {
                self.note_former_end(&counts, draining);
            }
            MasterEvent::CertificatesChecked { concern } => self.note_certificates(concern),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::Ready { worker, .. } => self.note_late_ready(worker, now),
            MasterEvent::Signalled(
                SignalCommand::Reload
                | SignalCommand::Add
                | SignalCommand::Remove
                | SignalCommand::Upgrade
                | SignalCommand::Withdraw,
            )
            | MasterEvent::Bound(_)
            | MasterEvent::Concerned { .. }
            | MasterEvent::RetirementAsked { .. }
            | MasterEvent::Allotted { .. }
            | MasterEvent::Failed { .. }
            | MasterEvent::SuccessorReady
            | MasterEvent::SourcesChanged { .. }
            | MasterEvent::FileFound { .. }
            | MasterEvent::ConfigRead { .. }
            | MasterEvent::ConfigFailed { .. }
            | MasterEvent::SettingsRead { .. } => {}
        }
    }

    /// All processes end at once. Their exits are awaited.
    pub(super) fn step_stopping(&mut self, event: MasterEvent, now: Instant) {
        match event {
            MasterEvent::Signalled(SignalCommand::Reopen) => self.reopen(),
            MasterEvent::Spawned { worker, pid } => self.note_spawned(worker, pid, now),
            MasterEvent::SpawnFailed { worker, .. } => self.forget(worker),
            MasterEvent::HookEnded { worker, number, failure } => {
                self.note_hook_end(worker, number, failure.as_ref(), now);
            }
            MasterEvent::Exited { worker, exit } => self.note_exit(worker, &exit, now),
            MasterEvent::SuccessorStarted { pid } => {
                self.succession.note_started(pid, &mut self.actions)
            }
            MasterEvent::SuccessorEnded { .. } => drop(self.succession.note_ended()),
            MasterEvent::Requested { client, request } => self.take_command(client, request, now),
            MasterEvent::Confirmed { worker, number } => self.confirmations.note(worker, number),
            MasterEvent::StacksRead(read) => self.stacks.note(self.pool.roster(), &read),
            MasterEvent::TookOver { workers, totals, changes, draining } => {
                self.take_over(workers, &totals, changes, draining);
            }
            MasterEvent::FormerWorkerEnded { counts, draining } => {
                self.note_former_end(&counts, draining);
            }
            MasterEvent::CertificatesChecked { concern } => self.note_certificates(concern),
            MasterEvent::Elapsed => self.note_deadlines(now),
            MasterEvent::Signalled(
                SignalCommand::Drain
                | SignalCommand::Stop
                | SignalCommand::Reload
                | SignalCommand::Add
                | SignalCommand::Remove
                | SignalCommand::Upgrade
                | SignalCommand::Withdraw,
            )
            | MasterEvent::Bound(_)
            | MasterEvent::Ready { .. }
            | MasterEvent::Concerned { .. }
            | MasterEvent::RetirementAsked { .. }
            | MasterEvent::Allotted { .. }
            | MasterEvent::Failed { .. }
            | MasterEvent::Inspected(_)
            | MasterEvent::SuccessorReady
            | MasterEvent::SourcesChanged { .. }
            | MasterEvent::FileFound { .. }
            | MasterEvent::ConfigRead { .. }
            | MasterEvent::ConfigFailed { .. }
            | MasterEvent::SettingsRead { .. } => {}
        }
    }
}
