//! What the master does to one process: let it drain, stop it, abort it, kill it. Owns
//! nothing: each function changes an entry of the roster and adds the actions that belong
//! to the change. Called by `pool.rs`, `reconcile.rs` and `monitoring.rs`.

use std::time::{Duration, Instant};

use monoceros_wire::message::{Drain, ToWorker};

use crate::master::decide::action::{Action, Actions, WorkerSignal};
use crate::master::decide::id::WorkerId;
use crate::master::decide::roster::{LeaveReason, Roster, WorkerState};

/// The time that a worker has to stop at once.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(2);
/// The time that a hung worker has to write its stacks after SIGABRT.
const ABORT_LIMIT: Duration = Duration::from_secs(1);

/// Lets a worker drain for at most `limit`. A mold, and a worker that is not ready, has
/// no request to finish and gets SIGTERM. A worker that leaves already gets no more time.
pub(crate) fn drain(
    roster: &mut Roster,
    id: WorkerId,
    reason: LeaveReason,
    limit: Duration,
    now: Instant,
    actions: &mut Actions,
) {
    let Some(worker) = roster.get_mut(id) else { return };
    let serves = worker.is_ready() && worker.slot().is_some();
    match worker.state {
        WorkerState::Booting { .. } | WorkerState::Ready { .. } if !serves => {
            // A mold that is ready ends what the application has started at import. A worker that
            // starts runs its last hooks.
            let (is_ready, has_file) = (worker.is_ready(), worker.has_file);
            worker.state = WorkerState::Leaving { until: now + STOP_LIMIT, reason };
            // A mold with hooks ignores the signals that an init system or a terminal sends to
            // all processes: it has hooks to run after its workers.
            match is_ready && has_file {
                true => actions.send(id, ToWorker::Drain(Drain::Retire)),
                false => actions.signal(id, WorkerSignal::Term),
            }
        }
        WorkerState::Booting { .. } | WorkerState::Ready { .. } => {
            worker.state = WorkerState::Leaving { until: now + limit, reason };
            send_drain(id, drain_kind(reason), actions);
        }
        WorkerState::Leaving { until, reason } => {
            worker.state = WorkerState::Leaving { until: until.min(now + limit), reason };
        }
        WorkerState::Killed { .. } => {}
    }
}

/// Lets all workers drain. Their molds end after them.
pub(crate) fn drain_workers(
    roster: &mut Roster,
    reason: LeaveReason,
    limit: Duration,
    now: Instant,
    actions: &mut Actions,
) {
    let ids: Vec<_> = roster.workers().map(|worker| worker.id).collect();
    for id in ids {
        drain(roster, id, reason, limit, now, actions);
    }
}

/// A worker became ready after it was asked to leave. It may have accepted connections, so
/// it drains as any other worker does.
pub(crate) fn drain_late(
    roster: &mut Roster,
    id: WorkerId,
    limit: Duration,
    now: Instant,
    actions: &mut Actions,
) {
    let Some(worker) = roster.get_mut(id) else { return };
    if let WorkerState::Leaving {
        reason: reason @ (LeaveReason::Retired | LeaveReason::Stopped),
        ..
    } = worker.state
        && worker.slot().is_some()
    {
        worker.state = WorkerState::Leaving { until: now + limit, reason };
        send_drain(id, Drain::Retire, actions);
    }
}

/// What a draining worker does with requests that it has not begun.
fn drain_kind(reason: LeaveReason) -> Drain {
    match reason {
        LeaveReason::Stopped => Drain::ServeQueue,
        LeaveReason::Hung => Drain::Refuse,
        LeaveReason::Retired | LeaveReason::Failed | LeaveReason::Late => Drain::Retire,
    }
}

fn send_drain(worker: WorkerId, drain: Drain, actions: &mut Actions) {
    actions.push(Action::RefuseConnections { worker, at_all: drain == Drain::ServeQueue });
    actions.send(worker, ToWorker::Drain(drain));
}

/// Stops a process at once.
pub(crate) fn stop(roster: &mut Roster, id: WorkerId, now: Instant, actions: &mut Actions) {
    let Some(worker) = roster.get_mut(id) else { return };
    let (signal, until, reason) = match worker.state {
        WorkerState::Booting { .. } => (WorkerSignal::Term, now + STOP_LIMIT, LeaveReason::Stopped),
        WorkerState::Ready { .. } => (WorkerSignal::Quit, now + STOP_LIMIT, LeaveReason::Stopped),
        WorkerState::Leaving { until, reason } => {
            (WorkerSignal::Quit, until.min(now + STOP_LIMIT), reason)
        }
        WorkerState::Killed { .. } => return,
    };
    worker.state = WorkerState::Leaving { until, reason };
    // One that has failed, is late or hangs ends already, and may be writing the cause.
    if matches!(reason, LeaveReason::Retired | LeaveReason::Stopped) {
        actions.signal(id, signal);
    }
}

/// The worker reported why it cannot serve. It ends by itself.
pub(crate) fn leave_failed(roster: &mut Roster, id: WorkerId, now: Instant) -> bool {
    let Some(worker) = roster.get_mut(id) else { return false };
    let boots = matches!(worker.state, WorkerState::Booting { .. });
    if boots {
        let (until, reason) = (now + STOP_LIMIT, LeaveReason::Failed);
        worker.state = WorkerState::Leaving { until, reason };
    }
    boots
}

/// Ends a worker that does not respond. It first has a moment to write its stacks.
pub(crate) fn abort(
    roster: &mut Roster,
    id: WorkerId,
    reason: LeaveReason,
    now: Instant,
    actions: &mut Actions,
) {
    let Some(worker) = roster.get_mut(id) else { return };
    worker.state = WorkerState::Leaving { until: now + ABORT_LIMIT, reason };
    actions.signal(id, WorkerSignal::Abort);
}

/// Sends SIGKILL.
pub(crate) fn kill(roster: &mut Roster, id: WorkerId, reason: LeaveReason, actions: &mut Actions) {
    let Some(worker) = roster.get_mut(id) else { return };
    worker.state = WorkerState::Killed { reason };
    actions.signal(id, WorkerSignal::Kill);
}

#[cfg(test)]
mod tests {
    use monoceros_wire::{Generation, Slot};

    use super::*;
    use crate::master::decide::roster::Role;
    use crate::master::decide::state::Purpose;

    const SECOND: Duration = Duration::from_secs(1);

    fn roster(role: Role, ready: bool, now: Instant) -> (Roster, WorkerId) {
        let mut roster = Roster::default();
        let id =
            roster.add(role, Generation(1), WorkerState::Booting { until: None, ready_at: None });
        if ready {
            roster.get_mut(id).unwrap().state = WorkerState::Ready { since: now };
        }
        (roster, id)
    }

    fn drained(role: Role, ready: bool, reason: LeaveReason) -> (Vec<Action>, Duration) {
        let now = Instant::now();
        let (mut roster, id) = roster(role, ready, now);
        let mut actions = Actions::new(Purpose::Serve);
        drain(&mut roster, id, reason, 9 * SECOND, now, &mut actions);
        (actions.take(), roster.deadline().unwrap() - now)
    }

    #[test]
    fn a_worker_that_serves_drains_after_its_listeners_refuse() {
        let role = Role::Worker(Slot(0));
        for (reason, at_last, kind) in [
            (LeaveReason::Retired, false, Drain::Retire),
            (LeaveReason::Stopped, true, Drain::ServeQueue),
            (LeaveReason::Hung, false, Drain::Refuse),
        ] {
            let (actions, limit) = drained(role, true, reason);
            assert_eq!(limit, 9 * SECOND);
            assert!(
                matches!(
                    &actions[..],
                    [Action::RefuseConnections { at_all, .. }, Action::Send { message, .. }]
                        if *at_all == at_last && *message == ToWorker::Drain(kind)
                ),
                "{actions:?}"
            );
        }
    }

    #[test]
    fn what_serves_no_client_is_stopped_by_a_signal() {
        for (role, ready) in
            [(Role::Worker(Slot(0)), false), (Role::Mold, false), (Role::Mold, true)]
        {
            let (actions, limit) = drained(role, ready, LeaveReason::Retired);
            assert_eq!(limit, STOP_LIMIT);
            assert!(matches!(actions[..], [Action::Signal { signal: WorkerSignal::Term, .. }]));
        }
    }

    #[test]
    fn one_that_leaves_never_gets_more_time() {
        let now = Instant::now();
        let (mut roster, id) = roster(Role::Worker(Slot(0)), true, now);
        let mut actions = Actions::new(Purpose::Serve);
        drain(&mut roster, id, LeaveReason::Retired, SECOND, now, &mut actions);
        drain(&mut roster, id, LeaveReason::Stopped, 5 * SECOND, now, &mut actions);
        assert_eq!(roster.deadline(), Some(now + SECOND));
        kill(&mut roster, id, LeaveReason::Retired, &mut actions);
        stop(&mut roster, id, now, &mut actions);
        assert_eq!(roster.deadline(), None);
    }
}
