//! Owns the commands that wait for a reply: a reload until the generation that was read
//! for it, or a later one, serves or has failed; an upgrade until the successor has taken
//! over or is gone; a change of the number of workers, and the replacement of workers, until
//! those that were asked for serve. Called by the master only.

use std::collections::BTreeSet;
use std::time::Instant;

use monoceros_wire::Generation;
use monoceros_wire::control::{ControlReply, WorkerStatus};

use crate::master::decide::action::Actions;
use crate::master::decide::id::{ClientId, WorkerId};
use crate::master::decide::roster::{LeaveReason, Roster, WorkerEntry, WorkerState};

/// The reply to a command that the server cannot carry out because it ends.
pub(crate) const LEAVING: &str = "the server is stopping";
/// The reply to a command that was not carried out before the successor took over.
pub(crate) const REPLACED: &str = "a new master has taken over meanwhile; ask that one";

/// The clients that wait for a reply.
#[derive(Clone, Debug, Default)]
pub(crate) struct WaitingClients {
    /// For a reload, with the number of the generation that is read for it.
    reloads: Vec<(ClientId, Generation)>,
    /// For an upgrade.
    upgrades: Vec<ClientId>,
    /// For a number of workers.
    resizes: Vec<(ClientId, u16)>,
    /// For the replacement of workers.
    recycles: Vec<AwaitedReplacement>,
}

/// A client that waits for the replacement of workers.
#[derive(Clone, Debug)]
struct AwaitedReplacement {
    client: ClientId,
    /// Those that still serve.
    left: BTreeSet<WorkerId>,
    /// How many there were.
    workers: u16,
}

/// What the workers are at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolView<'a> {
    /// The workers and molds.
    pub(crate) roster: &'a Roster,
    /// The wanted number of workers.
    pub(crate) wanted: u16,
    /// All wanted workers are available, and no other one lives.
    pub(crate) is_reached: bool,
}

impl WaitingClients {
    /// A client waits until this generation, or a later one, serves.
    pub(crate) fn await_reload(&mut self, client: ClientId, generation: Generation) {
        self.reloads.push((client, generation));
    }

    /// A client waits for the end of the upgrade.
    pub(crate) fn await_upgrade(&mut self, client: ClientId) {
        self.upgrades.push(client);
    }

    /// A client waits until this number of workers serves.
    pub(crate) fn await_size(&mut self, client: ClientId, workers: u16) {
        self.resizes.push((client, workers));
    }

    /// A client waits until these workers are replaced.
    pub(crate) fn await_replacement(&mut self, client: ClientId, left: BTreeSet<WorkerId>) {
        let workers = u16::try_from(left.len()).unwrap_or(u16::MAX);
        self.recycles.push(AwaitedReplacement { client, left, workers });
    }

    /// Whether a client waits for workers.
    pub(crate) fn await_workers(&self) -> bool {
        !self.resizes.is_empty() || !self.recycles.is_empty()
    }

    /// Replies to the clients for which the workers have become what they asked for.
    pub(crate) fn note_workers(&mut self, view: PoolView, actions: &mut Actions) {
        let PoolView { roster, wanted, is_reached } = view;
        self.resizes.retain(|(client, asked)| {
            let reply = if *asked != wanted {
                let text = format!("the number of workers was changed to {wanted} meanwhile");
                ControlReply::failed(&text)
            } else if is_reached {
                ControlReply::Resized { workers: wanted }
            } else {
                return true;
            };
            actions.reply(*client, reply);
            false
        });
        self.recycles.retain_mut(|it| {
            it.left.retain(|id| roster.get(*id).is_some_and(WorkerEntry::is_live));
            let is_over = it.left.is_empty() && is_reached;
            if is_over {
                actions.reply(it.client, ControlReply::Recycled { workers: it.workers });
            }
            !is_over
        });
    }

    /// A worker cannot be started that is to be one more, or to replace another one. The
    /// master goes on trying.
    pub(crate) fn note_lost_worker(&mut self, reason: &str, actions: &mut Actions) {
        let reply = ControlReply::failed(&format!("{reason}; the server tries again"));
        self.reply_about_workers(&reply, actions);
    }

    fn reply_about_workers(&mut self, reply: &ControlReply, actions: &mut Actions) {
        let resizes = std::mem::take(&mut self.resizes).into_iter().map(|(client, _)| client);
        let recycles = std::mem::take(&mut self.recycles).into_iter().map(|it| it.client);
        resizes.chain(recycles).for_each(|client| actions.reply(client, reply.clone()));
    }

    /// The settings for a generation cannot be used. Reloads that wait for another
    /// generation, which is on its way, still wait.
    pub(crate) fn reload_unread(
        &mut self,
        generation: Generation,
        reason: &str,
        actions: &mut Actions,
    ) {
        let reply = ControlReply::failed(reason);
        self.reply_to_reloads(|asked| asked == generation, &reply, actions);
    }

    /// A generation serves. That completes every reload that was asked for before its
    /// settings were read.
    pub(crate) fn reload_done(
        &mut self,
        generation: Generation,
        workers: u16,
        actions: &mut Actions,
    ) {
        let reply = ControlReply::Reloaded { generation, workers };
        self.reply_to_reloads(|asked| asked <= generation, &reply, actions);
    }

    /// A generation cannot serve.
    pub(crate) fn reload_abandoned(
        &mut self,
        generation: Generation,
        reason: &str,
        actions: &mut Actions,
    ) {
        let reply = ControlReply::failed(reason);
        self.reply_to_reloads(|asked| asked <= generation, &reply, actions);
    }

    /// Reloads that were put off, so that their settings are not read yet, do not begin.
    pub(crate) fn dismiss_put_off(&mut self, newest: Generation, actions: &mut Actions) {
        let reply = ControlReply::failed(LEAVING);
        self.reply_to_reloads(|asked| asked > newest, &reply, actions);
    }

    /// The upgrade has ended.
    pub(crate) fn upgrade_ended(&mut self, reply: &ControlReply, actions: &mut Actions) {
        for client in std::mem::take(&mut self.upgrades) {
            actions.reply(client, reply.clone());
        }
    }

    /// This master replaces no worker any more: replies to all clients.
    pub(crate) fn dismiss_all(&mut self, reason: &str, actions: &mut Actions) {
        let reply = ControlReply::failed(reason);
        self.reply_to_reloads(|_| true, &reply, actions);
        self.upgrade_ended(&reply, actions);
        self.reply_about_workers(&reply, actions);
    }

    fn reply_to_reloads(
        &mut self,
        which: impl Fn(Generation) -> bool,
        reply: &ControlReply,
        actions: &mut Actions,
    ) {
        for (client, asked) in std::mem::take(&mut self.reloads) {
            if which(asked) {
                actions.reply(client, reply.clone());
            } else {
                self.reloads.push((client, asked));
            }
        }
    }
}

/// The rows of `monoceros status`.
pub(crate) fn list_workers(roster: &Roster, now: Instant) -> Vec<WorkerStatus> {
    let mut workers: Vec<_> = roster.everyone().map(|worker| describe(worker, now)).collect();
    workers.sort_by_key(|it| (it.slot, it.generation, it.pid));
    workers
}

fn describe(worker: &WorkerEntry, now: Instant) -> WorkerStatus {
    WorkerStatus {
        slot: worker.slot(),
        generation: worker.generation,
        pid: worker.pid,
        state: state_word(worker).to_owned(),
        age: worker.is_ready().then(|| worker.lived(now).as_secs()),
        requests: worker.observed.requests,
    }
}

/// The state of a worker or a mold, as reports have it.
pub(crate) fn state_word(worker: &WorkerEntry) -> &'static str {
    match worker.state {
        WorkerState::Booting { .. } => "booting",
        WorkerState::Ready { .. } if worker.is_doomed() => "hung",
        WorkerState::Ready { .. } => "ready",
        WorkerState::Leaving { reason: LeaveReason::Retired | LeaveReason::Stopped, .. } => {
            "draining"
        }
        WorkerState::Leaving {
            reason: LeaveReason::Failed | LeaveReason::Late | LeaveReason::Hung,
            ..
        } => "stopping",
        WorkerState::Killed { .. } => "killed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::decide::action::Action;
    use crate::master::decide::state::Purpose;

    fn replied(actions: &mut Actions) -> Vec<u64> {
        let replies = actions.take().into_iter().filter_map(|action| match action {
            Action::Reply { client, .. } => Some(client.0),
            _ => None,
        });
        replies.collect()
    }

    #[test]
    fn a_reload_is_done_by_its_generation_or_a_later_one() {
        let (mut clients, mut actions) = (WaitingClients::default(), Actions::new(Purpose::Serve));
        for (client, generation) in [(1, 2), (2, 3), (3, 4), (4, 5)] {
            clients.await_reload(ClientId(client), Generation(generation));
        }
        clients.reload_unread(Generation(3), "broken file", &mut actions);
        assert_eq!(replied(&mut actions), [2]);
        clients.reload_done(Generation(4), 1, &mut actions);
        assert_eq!(replied(&mut actions), [1, 3]);
        clients.dismiss_put_off(Generation(4), &mut actions);
        assert_eq!(replied(&mut actions), [4]);
    }

    #[test]
    fn a_number_of_workers_is_waited_for_until_it_serves_or_is_another_one() {
        let (mut clients, mut actions) = (WaitingClients::default(), Actions::new(Purpose::Serve));
        let roster = Roster::default();
        let view = |wanted, is_reached| PoolView { roster: &roster, wanted, is_reached };
        clients.await_size(ClientId(1), 3);
        clients.note_workers(view(3, false), &mut actions);
        assert!(replied(&mut actions).is_empty());
        clients.await_size(ClientId(2), 4);
        clients.note_workers(view(4, false), &mut actions);
        assert_eq!(replied(&mut actions), [1]);
        clients.note_workers(view(4, true), &mut actions);
        assert_eq!(replied(&mut actions), [2]);
    }

    #[test]
    fn a_replacement_is_over_when_the_old_worker_leaves_and_the_new_one_serves() {
        use crate::master::decide::roster::Role;
        use monoceros_wire::Slot;
        let (mut clients, mut actions) = (WaitingClients::default(), Actions::new(Purpose::Serve));
        let (mut roster, now) = (Roster::default(), Instant::now());
        let ready = WorkerState::Ready { since: now };
        let id = roster.add(Role::Worker(Slot(0)), Generation(1), ready);
        clients.await_replacement(ClientId(1), [id].into());
        let mut note = |roster: &Roster, is_reached| {
            clients.note_workers(PoolView { roster, wanted: 1, is_reached }, &mut actions);
            replied(&mut actions)
        };
        assert!(note(&roster, true).is_empty(), "it is not replaced yet");
        let leaving = WorkerState::Leaving { until: now, reason: LeaveReason::Retired };
        roster.get_mut(id).unwrap().state = leaving;
        assert!(note(&roster, false).is_empty());
        assert_eq!(note(&roster, true), [1]);
    }

    #[test]
    fn every_client_gets_one_reply() {
        let (mut clients, mut actions) = (WaitingClients::default(), Actions::new(Purpose::Serve));
        clients.await_reload(ClientId(1), Generation(2));
        clients.await_upgrade(ClientId(2));
        clients.await_size(ClientId(3), 2);
        clients.await_replacement(ClientId(4), BTreeSet::new());
        clients.dismiss_all(LEAVING, &mut actions);
        assert_eq!(replied(&mut actions), [1, 2, 3, 4]);
        clients.dismiss_all(LEAVING, &mut actions);
        assert!(replied(&mut actions).is_empty());
    }
}
