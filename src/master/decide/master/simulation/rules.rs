//! The rules that must hold in every schedule. Each is checked when something happens that
//! can break it.

use std::time::Duration;

use monoceros_config::SignalCommand;
use monoceros_wire::Generation;
use monoceros_wire::control::{ControlReply, ControlRequest, ProcessStacks};
use monoceros_wire::gunicorn::ServerHook;

use super::World;
use crate::master::decide::action::{Action, Notification, WorkerSignal};
use crate::master::decide::event::MasterEvent;
use crate::master::decide::id::{ClientId, WorkerId};
use crate::master::decide::roster::{Roster, WorkerEntry, WorkerState};
use crate::master::decide::server_facts::{ReportReader, ServerFacts};
use crate::master::decide::state::MasterState;

/// What the init system was notified of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notified {
    /// The server is ready.
    ready: bool,
    /// A reload is under way.
    reloading: bool,
    /// The server is to end.
    pub(super) stopping: bool,
}

impl Notified {
    /// After `STOPPING=1` no `READY=1` is sent.
    pub(super) fn hear(&mut self, notification: &Notification) {
        match notification {
            Notification::Stopping => {
                assert!(!std::mem::replace(&mut self.stopping, true), "announced twice");
            }
            Notification::Ready | Notification::Reloading => {
                assert!(!self.stopping, "{notification:?} of a server that is to end");
                self.ready |= *notification == Notification::Ready;
                self.reloading = *notification == Notification::Reloading;
            }
            Notification::Alive | Notification::Status(_) | Notification::Extend(_) => {}
        }
    }

    /// The init system knows the state of a server that has just become its own.
    pub(super) fn check_known(&self) {
        let is_known = self.ready || self.reloading || self.stopping;
        assert!(is_known, "the init system was notified of nothing after a takeover");
    }

    /// The init system knows that a server is ready in which nothing is under way.
    pub(super) fn check_serving(&self) {
        assert!(self.ready, "the init system does not know that the server serves");
        assert!(!self.reloading, "the init system was not notified of the end of a reload");
    }
}

impl World {
    /// A command gets one reply: what it asked for, or a failure.
    pub(super) fn answer(&mut self, client: ClientId, answer: &ControlReply) {
        let asked = self.clients.remove(&client);
        let (request, least) = asked.expect("no client waits for this reply");
        match (request, answer) {
            (ControlRequest::Reload, ControlReply::Reloaded { generation, .. }) => {
                assert!(*generation >= least, "the settings were read before the command came");
                assert_eq!(*generation, self.master.reload.current());
            }
            (ControlRequest::Upgrade, ControlReply::Upgraded { .. }) => {
                assert!(self.passed_on, "no successor has taken over");
            }
            (ControlRequest::Status, ControlReply::Status(status)) => {
                // More may have been spawned at once.
                assert!(status.workers.len() <= self.master.pool.roster().everyone().count());
            }
            (ControlRequest::Stop, ControlReply::Stopping) => {
                let state = self.master.state;
                let goes_on = matches!(state, MasterState::Binding { .. } | MasterState::Booting);
                assert!(!goes_on && state != MasterState::Serving, "it goes on");
            }
            (ControlRequest::Stop, ControlReply::Failed(_)) => {
                assert!(self.passed_on, "it can always stop")
            }
            (ControlRequest::Workers(_), ControlReply::Resized { workers }) => {
                assert_eq!(*workers, self.master.pool.size().workers());
                assert_eq!(self.count_serving(self.master.pool.roster()), usize::from(*workers));
            }
            (ControlRequest::Recycle { .. }, ControlReply::Recycled { .. }) => {
                let now = self.start + self.now;
                let target = self.master.target();
                assert!(target.is_reached(self.master.pool.roster(), now), "none is replaced");
            }
            (
                ControlRequest::Reopen | ControlRequest::LogLevel(_),
                ControlReply::Confirmed { processes },
            ) => {
                assert!(*processes > 0, "the master is one");
            }
            (
                ControlRequest::Reload
                | ControlRequest::Upgrade
                | ControlRequest::Workers(_)
                | ControlRequest::Recycle { .. }
                | ControlRequest::Stacks { .. }
                | ControlRequest::LogLevel(_)
                | ControlRequest::Reopen,
                ControlReply::Failed(_),
            ) => {}
            (
                ControlRequest::Reload
                | ControlRequest::Upgrade
                | ControlRequest::Stop
                | ControlRequest::Status
                | ControlRequest::Report { .. }
                | ControlRequest::Workers(_)
                | ControlRequest::Recycle { .. }
                | ControlRequest::Stacks { .. }
                | ControlRequest::LogLevel(_)
                | ControlRequest::Reopen,
                _,
            ) => {
                panic!("{answer:?} to {request:?}")
            }
        }
    }

    /// A report has every worker, and is made at once.
    pub(super) fn take_report(&mut self, reader: ReportReader, facts: &ServerFacts) {
        let ReportReader::Command { client, .. } = reader;
        let asked = self.clients.remove(&client);
        assert!(asked.is_some_and(|(it, _)| it == ControlRequest::Report { recent: false }));
        assert!(!facts.is_ready || self.master.pool.roster().ready().next().is_some());
        assert_eq!(facts.tally.totals, *self.master.tally.totals());
    }

    /// Notes what the processes have counted that this event is about.
    pub(super) fn note_counts(&mut self, event: &MasterEvent) {
        let counts = match event {
            MasterEvent::Exited { worker, exit } => {
                let entry = self.master.pool.roster().get(*worker);
                entry.filter(|it| it.slot().is_some()).map(|_| &exit.counts)
            }
            MasterEvent::TookOver { totals, .. } => Some(totals),
            MasterEvent::FormerWorkerEnded { counts, .. } => {
                self.former_ended += 1;
                Some(counts)
            }
            _ => None,
        };
        self.counted += counts.map_or(0, |counts| counts.requests.values().sum());
    }

    /// Each worker counts once: while it lives, or as an exit. What it has counted is added once,
    /// when it ends.
    pub(super) fn check_counts(&self) {
        if self.master.state == MasterState::Stopped {
            return;
        }
        let (totals, roster) = (self.master.tally.totals(), self.master.pool.roster());
        assert_eq!(totals.requests.values().sum::<u64>(), self.counted, "counts are lost");
        let living = roster.workers().filter(|worker| worker.spawned.is_some()).count() as u64;
        let exits = totals.exits.values().sum::<u64>() - self.former_ended;
        assert_eq!(totals.spawns, living + exits, "{totals:?} with {roster:?}");
    }

    /// A command for stacks gets those of each process that it meant and that lives.
    pub(super) fn show_stacks(&mut self, client: ClientId, stacks: &[ProcessStacks]) {
        let asked = self.clients.remove(&client);
        let (request, _) = asked.expect("no client waits for these stacks");
        assert!(matches!(request, ControlRequest::Stacks { .. }), "stacks for {request:?}");
        assert!(stacks.iter().all(|it| it.stacks.is_some() != it.error.is_some()), "{stacks:?}");
    }

    /// A mold forks no worker while it runs a hook: hooks come before the forks that follow.
    pub(super) fn check_origin(&self, mold: Option<WorkerId>) {
        let Some(mold) = mold else { return };
        let entry = self.master.pool.roster().get(mold);
        assert!(entry.is_some_and(WorkerEntry::is_ready), "{mold:?} is asked for a worker");
        let busy = self.processes.get(&mold).is_some_and(|process| process.hooks > 0);
        assert!(!busy, "a worker is forked while a hook runs");
    }

    /// How many molds are ready, without those that a newer one has replaced, and that stay for
    /// the workers that they have forked.
    pub(super) fn count_molds(&self) -> usize {
        let roster = self.master.pool.roster();
        let stays = |mold: &WorkerEntry| {
            let has_workers = roster.workers().any(|it| it.mold == Some(mold.id));
            has_workers && roster.molds().any(|it| it.is_ready() && it.id > mold.id)
        };
        roster.molds().filter(|it| it.is_ready() && !stays(it)).count()
    }

    /// `on_exit` runs when no worker is left.
    pub(super) fn check_hook(&self, hook: ServerHook) {
        let workers = self.master.pool.roster().workers().count();
        assert!(
            hook != ServerHook::OnExit || workers == 0,
            "on_exit runs beside {workers} workers"
        );
    }

    /// A hook has ended.
    pub(super) fn note_hook(&mut self, event: &MasterEvent) {
        if let MasterEvent::HookEnded { worker, .. } = event
            && let Some(process) = self.processes.get_mut(worker)
        {
            process.hooks -= 1;
        }
    }

    /// A master that ends leaves nothing behind.
    pub(super) fn check_end(&self) {
        assert!(self.exit.is_some(), "the master goes on: {:?}", self.master);
        assert!(self.processes.is_empty(), "the master left a process behind");
        assert!(self.successor.is_none() || self.passed_on, "the master left a successor behind");
        assert!(self.clients.is_empty(), "commands without an answer: {:?}", self.clients);
        let is_announced = self.notified.stopping || self.passed_on || !self.bound;
        assert!(is_announced, "the init system does not know that the server ends");
        assert_eq!(self.master.next_deadline(), None);
        let mut once = self.reaped.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), self.reaped.len());
    }

    /// The server serves, if only for some time.
    pub(super) fn serves(&self) -> bool {
        matches!(self.master.state, MasterState::Serving | MasterState::Delaying { .. })
    }

    /// Notes how long clients may rely on a server that is asked to end.
    pub(super) fn note_end(&mut self, event: &MasterEvent) {
        let is_stop = matches!(event, MasterEvent::Requested { request: ControlRequest::Stop, .. });
        match event {
            MasterEvent::Signalled(SignalCommand::Stop) => self.serves_until = None,
            // A second SIGTERM ends the delay.
            MasterEvent::Signalled(SignalCommand::Drain) if self.serves_until.is_some() => {
                self.serves_until = None
            }
            MasterEvent::Signalled(SignalCommand::Drain) | MasterEvent::Requested { .. }
                if self.master.state == MasterState::Serving
                    && self.master.pool.size().workers() > 0
                    && (is_stop || matches!(event, MasterEvent::Signalled(_))) =>
            {
                self.serves_until = Some(self.now + self.master.settings().shutdown_delay);
            }
            _ => {}
        }
    }

    /// Clients that rely on `shutdown-delay` are served until it is over.
    pub(super) fn check_delay(&self) {
        let over = self.serves_until.is_none_or(|until| until <= self.now);
        assert!(over, "the server ends before its delay is over: {:?}", self.master);
    }

    /// All listeners of a worker refuse connections only if no process serves them any
    /// more: this server ends, and there is no successor.
    pub(super) fn check_refusal(&self, at_all: bool) {
        assert!(!at_all || !self.serves(), "all refuse while the server serves");
        assert!(!at_all || !self.passed_on, "all refuse although the successor serves them");
    }

    /// Everything is passed on once, to a successor that was not asked to end.
    pub(super) fn check_pass_on(&self) {
        let successor = self.successor.expect("there is no successor to pass on to");
        assert!(!successor.dismissed, "passed on to a successor that was asked to end");
        assert!(!self.passed_on, "passed on twice");
    }

    /// Neither a successor nor a command that waits for it outlives the announcement that
    /// the server ends, unless the successor has taken over.
    pub(super) fn check_successor(&self) {
        if !self.notified.stopping || self.passed_on {
            return;
        }
        let is_left = self.successor.is_some_and(|it| !it.dismissed);
        assert!(!is_left, "a successor goes on though the server is to end");
        let waits = self.clients.values().any(|(request, _)| *request == ControlRequest::Upgrade);
        assert!(!waits, "a client waits for an upgrade that will not end");
    }

    /// The first SIGTERM after the successor has taken over cuts no request: the operator
    /// may have meant the server, and this master drains already.
    pub(super) fn check_first_drain(&mut self, actions: &[Action]) {
        let is_first = !std::mem::replace(&mut self.drained_again, true);
        let quits = |it: &Action| matches!(it, Action::Signal { signal: WorkerSignal::Quit, .. });
        assert!(!is_first || !actions.iter().any(quits), "the drain is cut short");
    }

    /// How many serve, as the master's target is now.
    pub(super) fn count_serving(&self, roster: &Roster) -> usize {
        let (now, target) = (self.start + self.now, self.master.target());
        let serves = |worker: &&WorkerEntry| {
            let counts = !target.wants(worker) || worker.is_available(target.min_ready, now);
            counts && !worker.is_doomed()
        };
        roster.ready().filter(serves).count()
    }

    /// The master itself never makes fewer workers serve, or more live, than is allowed.
    pub(super) fn check_numbers(&self, before: &Roster, gone: bool) {
        if !self.serves() {
            return;
        }
        let (workers, limits) = (self.master.pool.size().workers(), self.master.settings().limits);
        let serving = self.count_serving(self.master.pool.roster());
        let serving_before = self.count_serving(before);
        let least = usize::from(workers.saturating_sub(limits.max_unavailable));
        assert!(
            gone || serving >= serving_before || serving >= least,
            "{serving} of {least} serve, {serving_before} did: {:?}",
            self.master.pool.roster()
        );
        let live = self.master.pool.roster().live().count();
        let most = before.live().count().max(usize::from(workers + limits.surge()));
        assert!(live <= most, "{live} of at most {most} are alive");
    }

    /// The new generation, if this event shows that its code cannot serve: one of its
    /// workers fails to boot before any has been available. Its reload fails at once.
    pub(super) fn find_broken(&self, event: &MasterEvent) -> Option<Generation> {
        let worker = match event {
            MasterEvent::Failed { worker, .. } | MasterEvent::Exited { worker, .. } => worker,
            _ => return None,
        };
        let entry = self.master.pool.roster().get(*worker)?;
        let boots = matches!(entry.state, WorkerState::Booting { .. });
        let is_broken = boots && self.serves() && self.master.reload.is_unproven(entry);
        is_broken.then_some(entry.generation)
    }

    /// With `timeout`, every worker that hangs, or runs a request without end, has been
    /// replaced after a while.
    pub(super) fn check_hangs(&self) {
        if self.master.settings().timeout.is_zero() {
            return;
        }
        for worker in self.master.pool.roster().ready() {
            let process = &self.processes[&worker.id];
            let hangs = process.stuck || process.numb || process.stopped;
            assert!(!hangs, "{worker} hangs and stays: {process:?}");
        }
    }

    /// No process outlives its deadline: one that was asked to end has ended, or was sent
    /// SIGKILL, within the longest time that it may have.
    pub(super) fn check_deadlines(&self) {
        let longest = Duration::from_secs(10 + 4);
        for (worker, process) in &self.processes {
            let Some(asked) = process.asked else { continue };
            let over = self.now.saturating_sub(asked) > longest + self.paused;
            assert!(!over || process.killed, "{worker:?} outlives its deadline");
        }
    }
}
