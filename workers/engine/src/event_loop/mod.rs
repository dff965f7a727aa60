//! A worker's event loop: its sources of events, and the order of a turn. Owns the poll
//! and the parts that a turn calls; called by the thread that owns the loop
//! (`handoff/loop_owner.rs`). It never enters the application.

pub(crate) mod control;
pub(crate) mod drain;
pub(crate) mod poll_round;

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Poll, Token};
use monoceros_sys::clock;
use monoceros_sys::fork::Mark;

use crate::connection::deadlines::{self, Idle};
use crate::connection::table::Connections;
use crate::event_loop::control::{ControlInput, ControlParts, Signal, WorkerCommand};
use crate::event_loop::drain::{Cause, DrainOrigin, Life, Open, Queue};
use crate::event_loop::poll_round::PollRound;
use crate::handoff::queue_age::QueueAge;
use crate::handoff::threads::ThreadSide;
use crate::listen::expected::FRESH_US;
use crate::listen::gate::Listener;
use crate::listen::listening::Listening;
use crate::record::figures::LONGEST_WAIT_MS;
use crate::shared::Shared;
use crate::trim;

/// Smaller tokens are those of connections; these are the loop's own sources.
const SOURCES: usize = usize::MAX / 2;
pub(crate) const WAKER: Token = Token(SOURCES);
const CHANNEL: Token = Token(SOURCES + 1);
const SIGNALS: Token = Token(SOURCES + 2);
const FIRST_LISTENER: usize = SOURCES + 16;

/// The waker, the channel and the signals.
const OWN_SOURCES: usize = 3;

/// Events that one call returns at most.
const EVENTS: usize = 256;

/// How long the I/O thread sleeps beside a busy application while requests wait: what
/// arrives meanwhile would wait behind them.
const PARK_QUEUED: Duration = Duration::from_millis(10);

/// As above, while no request waits.
const PARK_FULL: Duration = Duration::from_millis(1);

/// The longest sleep, and so the longest time between two heartbeats.
const BEAT: Duration = Duration::from_secs(1);

/// How long the loop sleeps while an application thread has the lock of a connection and
/// sends a share of its response. Trying again at once would take the
/// processor from it.
const CONTENDED: Duration = Duration::from_millis(1);

/// How long requests may wait beside a sleeping thread, in microseconds.
const NEGLECT_US: u64 = 1_000;

/// The loop of a worker.
pub(crate) struct EventLoop {
    shared: Arc<Shared>,
    poll: Poll,
    _mark: Mark,
    control: ControlInput,
    listening: Listening,
    connections: Connections,
    life: Life,
    /// When the deadlines are checked next, in milliseconds of the monotonic clock.
    next_sweep_ms: u64,
    /// When the waiting requests are checked next, in microseconds of the monotonic
    /// clock.
    look_after_us: u64,
    poll_round: PollRound,
    queue_age: QueueAge,
    /// Memory for events, used again in each turn.
    events: Option<Events>,
    /// How the current turn waits.
    pace: TurnPace,
    /// A signal was handled on this thread.
    interrupted: bool,
}

/// How a turn waits for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnPace {
    /// Until an event: this thread has nothing else to do.
    Idle,
    /// As `Idle`, beside application threads; may sleep without polling while they are
    /// busy.
    Beside,
    /// Not at all: this thread waits elsewhere, also for the loop's descriptor.
    NoWait,
}

/// The result of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The events have been handled.
    Done,
    /// As above; and a signal was handled on this thread.
    Interrupted,
    /// The process must end, whatever is open.
    Over,
}

impl EventLoop {
    /// Makes the loop. `poll` is the one that the handoff's waker wakes.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    pub(crate) fn new(
        shared: Arc<Shared>,
        poll: Poll,
        control: ControlParts,
        listeners: Vec<Listener>,
    ) -> io::Result<Self> {
        let registry = poll.registry();
        let control = ControlInput::new(registry, CHANNEL, control)?;
        let connections = Connections::new(Arc::clone(&shared), registry)?;
        let listening = Listening::new(Arc::clone(&shared), registry, listeners, FIRST_LISTENER)?;
        Ok(Self {
            shared,
            _mark: Mark::new(registry.as_fd()),
            poll,
            control,
            listening,
            connections,
            life: Life::Serving,
            next_sweep_ms: 0,
            look_after_us: 0,
            poll_round: PollRound::default(),
            queue_age: QueueAge::default(),
            events: None,
            pace: TurnPace::Beside,
            interrupted: false,
        })
    }

    /// A copy of the epoll descriptor.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.poll.registry().as_fd().try_clone_to_owned()
    }

    /// Waits for events as long as `pace` allows, and handles them.
    pub(crate) fn turn(&mut self, pace: TurnPace) -> Turn {
        self.pace = pace;
        let begun_ms = clock::monotonic_ms();
        self.shared.board.beat(begun_ms);
        if let Err(error) = self.control.watch_signals(self.poll.registry(), SIGNALS) {
            log::error!("cannot watch signals: {error}");
        }
        // Connections that this turn closes were reported before others.
        let sources = self.connections.len() + self.listening.len() + OWN_SOURCES;
        let mut events = self.events.take().unwrap_or_else(|| Events::with_capacity(EVENTS));
        let over = self.sleep(&mut events).is_err() || self.take_events(&events).is_break();
        self.poll_round.note(begun_ms, sources, events.iter().count(), EVENTS);
        self.events = Some(events);
        if over {
            return Turn::Over;
        }
        if self.shared.leaves.load(Ordering::Relaxed) && self.life.is_serving() {
            self.drain(Cause::Commanded, Queue::Leave, DrainOrigin::Application);
        }
        self.connections.go_on();
        self.connections.take_returned();
        self.sweep();
        self.listening.admit_in_turn(&mut self.connections);
        self.push_jobs();
        self.connections.refuse_overdue();
        if let Some(threads) = self.shared.handoff.threads()
            && pace == TurnPace::Beside
            && !threads.crew.is_sole()
        {
            threads.judge_pace(clock::monotonic_us());
        }
        self.settle();
        self.shared.send_figures(begun_ms);
        if !self.life.is_serving() && self.life.is_over(clock::monotonic_ms()) {
            // More time may have passed since the last check of the requests than
            // expected.
            self.connections.refuse_unbegun();
            return Turn::Over;
        }
        if std::mem::take(&mut self.interrupted) { Turn::Interrupted } else { Turn::Done }
    }

    /// Writes what the loop still has: responses that were left to it, as far as their
    /// sockets have room, and the logs.
    pub(crate) fn flush(&mut self) {
        self.connections.take_returned();
        self.connections.give_up_unfinished();
        self.connections.show_census();
        self.shared.losses.log_omitted(true);
        self.shared.flush_access();
        if let Some(figures) = &self.shared.figures {
            figures.flush();
        }
    }

    /// Listeners first: the request of a connection may take the slot for which the
    /// kernel has woken this worker.
    fn take_events(&mut self, events: &Events) -> ControlFlow<()> {
        for listeners in [true, false] {
            for event in events.iter().filter(|event| is_of_listener(event) == listeners) {
                self.take_event(event)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Waits for events, after leaving to other workers the connections that this
    /// worker cannot serve now.
    fn sleep(&mut self, events: &mut Events) -> io::Result<()> {
        if self.pace == TurnPace::NoWait {
            // Any sleep of this thread was before this turn.
            self.listening.note_sleep(true);
            self.shared.handoff.mailbox.wake_up();
            let result = self.poll(events, Some(Duration::ZERO));
            self.look_after_queue();
            return result;
        }
        self.listening.note_sleep(false);
        let is_full = self.pace == TurnPace::Beside
            && self.listening.is_open()
            && self.listening.load(&mut self.connections).is_busy();
        if let Some(threads) = self.beside()
            && is_full
        {
            // Most requests end before it would pay to deregister the listeners.
            threads.park_while_full(PARK_FULL);
        }
        let longest = self.prepare_sleep();
        if longest.is_none() {
            let result = self.poll(events, Some(Duration::ZERO));
            self.look_after_queue();
            return result;
        }
        if let Some(threads) = self.shared.handoff.threads()
            && self.pace == TurnPace::Idle
        {
            threads.crew.note_dry();
        }
        let result = self.poll(events, longest);
        self.listening.note_sleep(true);
        self.look_after_queue();
        self.shared.handoff.mailbox.wake_up();
        result
    }

    /// Prepares a sleep. Returns how long it may be; `None` when an application thread
    /// has returned something meanwhile.
    pub(crate) fn prepare_sleep(&mut self) -> Option<Duration> {
        let slot_wanted = self.shared.handoff.slots.want_one();
        self.listening.settle_gate(&mut self.connections);
        self.shared.flush_access();
        let is_quiet = self.shared.handoff.fall_asleep(slot_wanted);
        is_quiet.then(|| self.longest_sleep())
    }

    /// The application threads beside which this thread runs the loop.
    fn beside(&self) -> Option<&ThreadSide> {
        self.shared.handoff.threads().filter(|_| self.pace == TurnPace::Beside)
    }

    /// Wakes, now and then, threads that may take the waiting requests.
    fn look_after_queue(&mut self) {
        let now_us = clock::monotonic_us();
        if let Some(threads) = self.shared.handoff.threads()
            && self.pace == TurnPace::Beside
            && now_us >= self.look_after_us
        {
            self.look_after_us = now_us + NEGLECT_US;
            threads.relieve(now_us);
        }
    }

    fn poll(&mut self, events: &mut Events, limit: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(events, limit) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.interrupted = true;
                // Events may have occurred nevertheless, if a signal has stopped this
                // process. A poll that does not wait is not interrupted.
                self.poll(events, Some(Duration::ZERO))
            }
            Err(error) => {
                log::error!("cannot wait for events: {error}");
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    fn longest_sleep(&self) -> Duration {
        if self.connections.has_unfinished() {
            return Duration::ZERO;
        }
        if self.connections.has_contended() {
            return CONTENDED;
        }
        if self.beside().is_some_and(ThreadSide::is_neglected) {
            return Duration::from_micros(NEGLECT_US);
        }
        if self.connections.has_expected() {
            return Duration::from_micros(FRESH_US);
        }
        let looks = self.listening.next_look();
        let overdue = self.shared.handoff.overdue_in_us().map(Duration::from_micros);
        let figures = self.shared.has_figures().then(|| Duration::from_millis(LONGEST_WAIT_MS));
        let earlier = looks.into_iter().chain(overdue).chain(figures);
        earlier.fold(self.longest_beside_queues(), Duration::min)
    }

    fn longest_beside_queues(&self) -> Duration {
        let is_quiet = self.connections.is_empty() && !self.listening.is_paused();
        if is_quiet && self.life.is_serving() {
            return BEAT;
        }
        let now_ms = clock::monotonic_ms();
        let left = self.next_sweep_ms.saturating_sub(now_ms);
        let last_call = self.listening.last_call_left_ms(now_ms);
        let left = if last_call > 0 { left.min(last_call) } else { left };
        Duration::from_millis(left.clamp(1, deadlines::INTERVAL_MS))
    }

    fn take_event(&mut self, event: &Event) -> ControlFlow<()> {
        match event.token() {
            WAKER => {}
            CHANNEL => self.obey_master(),
            SIGNALS => return self.take_signals(),
            Token(token) => match self.listening.index(token) {
                Some(index) => self.listening.accept(&mut self.connections, index),
                None => self.connections.take_traffic(token, event),
            },
        }
        ControlFlow::Continue(())
    }

    fn obey_master(&mut self) {
        while let Some(command) = self.control.next(self.poll.registry()) {
            match command {
                WorkerCommand::Drain(cause, queue) => self.drain(cause, queue, DrainOrigin::Master),
                WorkerCommand::Reopen(files) => {
                    self.shared.flush_access();
                    self.control.reopen_logs(files);
                }
                WorkerCommand::Workers(count) => {
                    self.shared.workers.store(count, Ordering::Relaxed)
                }
                WorkerCommand::Leave => self.shared.options.health.leave(),
                WorkerCommand::Expire { request } => {
                    self.connections.expire(request);
                    self.control.announce_expiry();
                }
                WorkerCommand::ShowFailure(failure) => {
                    self.shared.options.failure.note_newer(failure);
                }
                WorkerCommand::Confirm { number } => self.control.confirm(number),
                WorkerCommand::ReplaceTls(files) => self.control.replace_tls(files),
                WorkerCommand::Orphaned(why) => {
                    if self.life.is_serving() {
                        log::warn!("the master {why}; finishing what is open");
                    }
                    self.drain(Cause::Orphaned, Queue::Leave, DrainOrigin::Master);
                }
            }
        }
    }

    fn take_signals(&mut self) -> ControlFlow<()> {
        for signal in self.control.signals() {
            match signal {
                Signal::End => {
                    self.shared.is_interrupted.store(true, Ordering::SeqCst);
                    return ControlFlow::Break(());
                }
                Signal::Drain if self.life.is_serving() => {
                    self.drain(Cause::Commanded, Queue::Keep, DrainOrigin::Signal)
                }
                Signal::Drain | Signal::Nothing => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn drain(&mut self, cause: Cause, queue: Queue, origin: DrainOrigin) {
        let begins = self.life.is_serving();
        let now_ms = clock::monotonic_ms();
        self.shared.options.health.leave();
        self.life.drain(cause, now_ms, &self.shared.options);
        self.shared.board.show_state(self.life.state());
        self.shared.handoff.drain();
        self.connections.drain();
        self.next_sweep_ms = 0;
        self.listening.drain(queue, now_ms);
        if begins {
            self.control.announce_drain(origin);
            // If this thread has handled the signal, no call is interrupted.
            self.interrupted = true;
        }
    }

    fn push_jobs(&mut self) {
        let jobs = self.connections.jobs();
        if !jobs.is_empty()
            && self.shared.handoff.push(jobs)
            && let Some(threads) = self.beside()
        {
            threads.park_while_queued(PARK_QUEUED);
        }
    }

    /// Checks the deadlines of the connections.
    fn sweep(&mut self) {
        let now_ms = clock::monotonic_ms();
        if now_ms < self.next_sweep_ms {
            return;
        }
        self.next_sweep_ms = self.life.next_look(now_ms, now_ms + deadlines::INTERVAL_MS);
        if self.life.refuses(now_ms) {
            self.connections.refuse_unbegun();
        }
        if self.life.gives_up(now_ms) {
            self.connections.give_up_unfinished();
        }
        self.connections.relieve(now_ms, || self.listening.has_waiting());
        self.shared.losses.log_omitted(false);
        monoceros_log::flush();
        self.shared.spools.look(now_ms);
        trim::look(now_ms);
        let sight = self.shared.handoff.sight();
        self.shared.board.show_queued(sight.queued);
        self.shared.board.show_stuck(self.queue_age.look(sight, now_ms));
        let idle = match self.life {
            Life::Draining { idle, .. } => Idle::draining(idle),
            Life::Serving | Life::Stopping { .. } => Idle::serving(&self.shared.options),
        };
        self.connections.judge(idle, self.poll_round.until_ms());
        self.connections.show_census();
    }

    /// Enters the next state of the worker's end when nothing is open any more.
    fn settle(&mut self) {
        if self.life.is_serving() {
            return;
        }
        self.listening.serve_queues(&mut self.connections, self.control.has_master());
        let open = Open {
            connections: self.connections.len(),
            requests: self.shared.handoff.slots.in_flight(),
            listeners: self.listening.len(),
        };
        if self.life.settle(open, clock::monotonic_ms()) {
            // A process that reads the state finds every response in the logs.
            self.shared.flush_access();
            self.shared.losses.log_omitted(true);
            self.connections.show_census();
            self.shared.board.show_state(self.life.state());
            self.shared.handoff.stop();
        }
    }
}

/// Whether an event is one of a listener.
fn is_of_listener(event: &Event) -> bool {
    event.token().0 >= FIRST_LISTENER
}
