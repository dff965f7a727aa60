//! Owns the commands that wait until every process has confirmed a message: that it has
//! opened its logs again, for example. Called by the master only.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use monoceros_wire::control::ControlReply;
use monoceros_wire::message::ToWorker;

use crate::master::decide::action::Actions;
use crate::master::decide::id::{ClientId, WorkerId};
use crate::master::decide::roster::Roster;

/// The time that the processes have. A worker that loads its application reads its messages
/// afterwards.
const CONFIRM_LIMIT: Duration = Duration::from_secs(60);

/// The commands that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Confirmations {
    /// The number of the next request for a confirmation.
    next: u64,
    waiting: Vec<AwaitedConfirmation>,
}

/// A command, and the processes that have not confirmed it yet.
#[derive(Clone, Debug)]
struct AwaitedConfirmation {
    client: ClientId,
    number: u64,
    left: BTreeSet<WorkerId>,
    /// How many have confirmed it, the master among them.
    processes: u32,
    /// When the command fails.
    until: Instant,
}

impl Confirmations {
    /// A client waits until all processes have carried out the messages that they were sent
    /// before.
    pub(crate) fn await_all(
        &mut self,
        client: ClientId,
        roster: &Roster,
        now: Instant,
        actions: &mut Actions,
    ) {
        let number = self.next;
        self.next += 1;
        let left: BTreeSet<_> = roster.everyone().map(|worker| worker.id).collect();
        for id in &left {
            actions.send(*id, ToWorker::Confirm { number });
        }
        let until = now + CONFIRM_LIMIT;
        self.waiting.push(AwaitedConfirmation { client, number, left, processes: 1, until });
    }

    /// A process has confirmed the request of this number.
    pub(crate) fn note(&mut self, worker: WorkerId, number: u64) {
        for it in self.waiting.iter_mut().filter(|it| it.number == number) {
            it.processes += u32::from(it.left.remove(&worker));
        }
    }

    /// Replies to the commands that all processes have confirmed, and to those whose time is
    /// over. A process that has ended need not confirm.
    pub(crate) fn settle(&mut self, roster: &Roster, now: Instant, actions: &mut Actions) {
        for mut it in std::mem::take(&mut self.waiting) {
            it.left.retain(|id| roster.get(*id).is_some());
            let late = it.left.first().and_then(|id| roster.get(*id));
            let reply = match late {
                None => ControlReply::Confirmed { processes: it.processes },
                Some(late) if it.until <= now => {
                    let seconds = CONFIRM_LIMIT.as_secs();
                    ControlReply::failed(&format!("{late} has not done so within {seconds} s"))
                }
                Some(_) => {
                    self.waiting.push(it);
                    continue;
                }
            };
            actions.reply(it.client, reply);
        }
    }

    /// When the next command fails.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|it| it.until).min()
    }

    /// Moves these times by a suspend of the master.
    pub(crate) fn shift(&mut self, by: Duration) {
        self.waiting.iter_mut().for_each(|it| it.until += by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::decide::action::Action;
    use crate::master::decide::state::Purpose;

    struct ConfirmationBench {
        confirmations: Confirmations,
        roster: Roster,
        actions: Actions,
        now: Instant,
    }

    impl ConfirmationBench {
        fn of(workers: u16) -> Self {
            let now = Instant::now();
            let roster = Roster::of_ready(workers, now);
            let actions = Actions::new(Purpose::Serve);
            Self { confirmations: Confirmations::default(), roster, actions, now }
        }

        /// A client asks; returns the number that the workers are to confirm.
        fn ask(&mut self, client: u64) -> u64 {
            let Self { confirmations, roster, actions, now } = self;
            confirmations.await_all(ClientId(client), roster, *now, actions);
            let sent = actions.take().into_iter().map(|action| match action {
                Action::Send { message: ToWorker::Confirm { number }, .. } => number,
                other => panic!("{other:?}"),
            });
            let numbers: Vec<_> = sent.collect();
            assert_eq!(numbers.len(), self.roster.everyone().count());
            numbers.first().copied().unwrap_or_default()
        }

        fn settle(&mut self) -> Vec<(u64, ControlReply)> {
            let Self { confirmations, roster, actions, now } = self;
            confirmations.settle(roster, *now, actions);
            let replies = actions.take().into_iter().map(|action| match action {
                Action::Reply { client, reply } => (client.0, reply),
                other => panic!("{other:?}"),
            });
            replies.collect()
        }
    }

    #[test]
    fn a_command_is_over_when_each_process_has_confirmed_it_or_has_ended() {
        let mut bench = ConfirmationBench::of(2);
        let (first, second) = (bench.ask(1), bench.ask(2));
        assert_ne!(first, second);
        assert_eq!(bench.settle(), []);
        bench.confirmations.note(WorkerId(0), first);
        bench.confirmations.note(WorkerId(0), first);
        bench.confirmations.note(WorkerId(1), second);
        assert_eq!(bench.settle(), []);
        bench.roster.remove(WorkerId(1));
        assert_eq!(bench.settle(), [(1, ControlReply::Confirmed { processes: 2 })]);
        bench.confirmations.note(WorkerId(0), second);
        assert_eq!(bench.settle(), [(2, ControlReply::Confirmed { processes: 3 })]);
        assert_eq!(bench.confirmations.deadline(), None);
    }

    #[test]
    fn a_process_that_does_not_confirm_in_time_is_named() {
        let mut bench = ConfirmationBench::of(1);
        bench.ask(1);
        bench.now = bench.confirmations.deadline().unwrap();
        let text = "worker=0 gen=1 has not done so within 60 s".to_owned();
        assert_eq!(bench.settle(), [(1, ControlReply::Failed(text))]);
    }

    #[test]
    fn without_a_process_a_command_is_over_at_once() {
        let mut bench = ConfirmationBench::of(0);
        bench.ask(1);
        assert_eq!(bench.settle(), [(1, ControlReply::Confirmed { processes: 1 })]);
    }
}
