//! The I/O thread: one loop for connections, listeners, the master's messages
//! and signals. It never enters the application.

pub(crate) mod control;
pub(crate) mod deadlines;
pub(crate) mod drain;
pub(crate) mod poll_round;

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use monoceros_sys::clock;
use monoceros_sys::fork::Mark;
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::scoreboard::GivenUp;
use slab::Slab;

use crate::connection::displace::Pressure;
use crate::connection::shared::SharedConnection;
use crate::connection::shortage::Shortage;
use crate::connection::{Connection, Phase};
use crate::event_loop::control::{ControlInput, Hooks, Signal, WorkerCommand};
use crate::event_loop::deadlines::{Idle, Verdict};
use crate::event_loop::drain::{Cause, Life, Open, Queue};
use crate::event_loop::poll_round::PollRound;
use crate::handoff::queue_age::QueueAge;
use crate::listen::expected::{Expected, FRESH_US};
use crate::listen::gate::{Gate, Listener};
use crate::listen::pause::Pause;
use crate::listen::turns::Turns;
use crate::shared::Shared;
use crate::stream::request::{QueuedRequest, SpareRequests};
use crate::trim;

/// Connections have the tokens below; these are of the loop's own sources.
const SOURCES: usize = usize::MAX / 2;
pub(crate) const WAKER: Token = Token(SOURCES);
const CHANNEL: Token = Token(SOURCES + 1);
const SIGNALS: Token = Token(SOURCES + 2);
const FIRST_LISTENER: usize = SOURCES + 16;

/// The waker, the channel and the signals.
const OWN_SOURCES: usize = 3;

/// Events that are taken at once.
const EVENTS: usize = 256;

/// Bytes that are received at once.
const SCRATCH: usize = 64 * 1024;

/// How long the I/O thread leaves a busy application alone while requests wait
/// for it: what arrives meanwhile would wait behind them.
const PARK_QUEUED: Duration = Duration::from_millis(10);

/// The same while none waits.
const PARK_FULL: Duration = Duration::from_millis(1);

/// The longest sleep: the heart beats that often.
const BEAT: Duration = Duration::from_secs(1);

/// How long requests may wait beside a sleeping thread, in microseconds.
const NEGLECT_US: u64 = 1_000;

/// How long a draining worker keeps its listeners at least, in milliseconds:
/// clients that have just connected are about to send.
pub(crate) const LAST_CALL_MS: u64 = 50;

/// How long a worker that was told to drain by a signal keeps its listeners, in
/// milliseconds: the master may have been told as well.
const MOMENT_MS: u64 = 1_000;

/// A connection that has had its share of a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unfinished {
    /// There is more to be read.
    Reading {
        /// The connection.
        token: usize,
        /// Its client has sent the last of it.
        to_end: bool,
    },
    /// Requests have come that were not read.
    Input {
        /// The connection.
        token: usize,
    },
    /// There is more to be written.
    Writing {
        /// The connection.
        token: usize,
    },
}

/// The I/O thread's state.
pub(crate) struct EventLoop {
    pub(crate) shared: Arc<Shared>,
    _mark: Mark,
    pub(crate) poll: Poll,
    control: ControlInput,
    pub(crate) gate: Gate,
    pub(crate) connections: Slab<Connection>,
    pub(crate) jobs: Vec<QueuedRequest>,
    pub(crate) scratch: Vec<u8>,
    pub(crate) spare: SpareRequests,
    /// Requests that the application side was ever given.
    pub(crate) lent: u64,
    returned: Vec<Arc<SharedConnection>>,
    pub(crate) life: Life,
    next_sweep_ms: u64,
    /// When the requests that wait are to be looked after, in microseconds of the
    /// rising clock.
    look_after_us: u64,
    poll_round: PollRound,
    queue_age: QueueAge,
    /// Slow clients take all the room.
    pub(crate) shortage: Shortage,
    /// Connections cannot be accepted for a moment.
    pub(crate) pause: Pause,
    /// Connections whose first request is expected now.
    pub(crate) expected: Expected,
    /// What is known of there being too many connections.
    pub(crate) pressure: Pressure,
    /// The events at hand ended a sleep: the kernel may have woken no other
    /// worker for a connection.
    pub(crate) slept: bool,
    /// Connections that have more for us than is taken at a time.
    pub(crate) unfinished: Vec<Unfinished>,
    /// A draining worker lets no listener go before this time.
    pub(crate) last_call_ms: u64,
    /// What is taken while the gate is shut.
    pub(crate) turns: Turns,
    /// Used again at each turn.
    events: Option<Events>,
    /// This thread may sleep while the application is busy.
    parks: bool,
    /// A signal was handled on this thread.
    interrupted: bool,
}

/// How a turn of the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// What has happened has been dealt with.
    Done,
    /// The same; and a signal was handled on this thread.
    Interrupted,
    /// The process is to end, whatever is open.
    Over,
}

impl EventLoop {
    /// Makes the loop. `poll` is the one that the handoff's waker wakes.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)` and `sigaction(2)`.
    pub(crate) fn new(
        shared: Arc<Shared>,
        poll: Poll,
        channel: WorkerEnd,
        listeners: Vec<Listener>,
        hooks: Hooks,
    ) -> io::Result<Self> {
        let control = ControlInput::new(poll.registry(), [CHANNEL, SIGNALS], channel, hooks)?;
        Ok(Self {
            shared,
            _mark: Mark::new(poll.registry().as_fd()),
            poll,
            control,
            gate: Gate::new(listeners, FIRST_LISTENER),
            connections: Slab::new(),
            jobs: Vec::new(),
            scratch: vec![0; SCRATCH],
            spare: Vec::new(),
            lent: 0,
            returned: Vec::new(),
            life: Life::Serving,
            next_sweep_ms: 0,
            look_after_us: 0,
            poll_round: PollRound::default(),
            queue_age: QueueAge::default(),
            shortage: Shortage::default(),
            pause: Pause::default(),
            expected: Expected::default(),
            pressure: Pressure::default(),
            slept: false,
            turns: Turns::default(),
            unfinished: Vec::new(),
            last_call_ms: 0,
            events: None,
            parks: true,
            interrupted: false,
        })
    }

    /// Waits for events and deals with them. `parks` says that this thread may
    /// sleep while the application is busy, which another thread runs.
    pub(crate) fn turn(&mut self, parks: bool) -> Turn {
        self.parks = parks;
        let begun_ms = clock::monotonic_ms();
        self.shared.board.beat(begun_ms);
        // Those that this turn closes were reported before others.
        let sources = self.connections.len() + self.gate.listeners.len() + OWN_SOURCES;
        let mut events = self.events.take().unwrap_or_else(|| Events::with_capacity(EVENTS));
        let over = self.sleep(&mut events).is_err() || self.take_events(&events).is_break();
        self.poll_round.note(begun_ms, sources, events.iter().count(), EVENTS);
        self.events = Some(events);
        if over {
            return Turn::Over;
        }
        if self.shared.leaves.load(Ordering::Relaxed) && self.life.is_serving() {
            self.drain(Cause::Told, Queue::Leave);
        }
        self.go_on();
        self.take_returned();
        self.sweep();
        self.admit_in_turn();
        self.push_jobs();
        if parks && !self.shared.handoff.crew.is_sole() {
            self.shared.handoff.judge_pace(clock::monotonic_us());
        }
        self.settle();
        if !self.life.is_serving() && self.life.is_over(clock::monotonic_ms()) {
            // It may be longer than thought since the last look at the requests.
            self.refuse_unbegun();
            return Turn::Over;
        }
        if std::mem::take(&mut self.interrupted) { Turn::Interrupted } else { Turn::Done }
    }

    /// Writes out what the loop still holds: responses that were left to it, as
    /// far as their clients take them at once, and the logs.
    pub(crate) fn flush(&mut self) {
        self.take_returned();
        self.give_up_unfinished();
        self.shared.tell_omitted(true);
        self.shared.flush_access();
    }

    /// Listeners first: what a connection brings may take the slot for which
    /// the kernel has woken this worker.
    fn take_events(&mut self, events: &Events) -> ControlFlow<()> {
        for listeners in [true, false] {
            for event in events.iter().filter(|event| is_of_listener(event) == listeners) {
                self.take_event(event)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Waits for events, having made sure that others get the connections that
    /// this worker cannot serve now.
    fn sleep(&mut self, events: &mut Events) -> io::Result<()> {
        self.slept = false;
        if self.parks && self.gate.is_open() && self.load().is_full() {
            // Most requests are over before leaving the listeners would pay.
            self.shared.handoff.park_while_full(PARK_FULL);
        }
        let slot_wanted = self.shared.handoff.want_slot();
        let open = self.accepts() && self.load().admits();
        self.gate.set(self.poll.registry().as_fd(), open);
        self.shared.flush_access();
        if !self.shared.handoff.fall_asleep(slot_wanted) {
            let result = self.poll(events, Some(Duration::ZERO));
            self.look_after_queue();
            return result;
        }
        if !self.parks {
            self.shared.handoff.crew.note_dry();
        }
        let result = self.poll(events, Some(self.longest_sleep()));
        self.slept = true;
        self.look_after_queue();
        self.shared.handoff.wake_up();
        result
    }

    /// Wakes, now and then, threads that may take the requests that wait.
    fn look_after_queue(&mut self) {
        let now_us = clock::monotonic_us();
        if self.parks && now_us >= self.look_after_us {
            self.look_after_us = now_us + NEGLECT_US;
            self.shared.handoff.relieve(now_us);
        }
    }

    fn poll(&mut self, events: &mut Events, limit: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(events, limit) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.interrupted = true;
                // Something may have come nevertheless, if the signal has stopped
                // this process; what does not wait is not interrupted.
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
        if !self.unfinished.is_empty() {
            return Duration::ZERO;
        }
        if self.parks && self.shared.handoff.is_neglected() {
            return Duration::from_micros(NEGLECT_US);
        }
        if !self.expected.is_empty() {
            return Duration::from_micros(FRESH_US);
        }
        let is_quiet = self.connections.is_empty() && !self.pause.is_set();
        if is_quiet && self.life.is_serving() {
            return BEAT;
        }
        let now_ms = clock::monotonic_ms();
        let left = self.next_sweep_ms.saturating_sub(now_ms);
        let last_call = self.last_call_ms.saturating_sub(now_ms);
        let left = if last_call > 0 { left.min(last_call) } else { left };
        Duration::from_millis(left.clamp(1, deadlines::INTERVAL_MS))
    }

    fn take_event(&mut self, event: &Event) -> ControlFlow<()> {
        match event.token() {
            WAKER => {}
            CHANNEL => self.obey_master(),
            SIGNALS => return self.take_signals(),
            Token(token) => match self.gate.index(token) {
                Some(index) => self.accept(index),
                None => self.take_traffic(token, event),
            },
        }
        ControlFlow::Continue(())
    }

    fn obey_master(&mut self) {
        while let Some(command) = self.control.next(self.poll.registry()) {
            match command {
                WorkerCommand::Drain(cause, queue) => self.drain_untold(cause, queue),
                WorkerCommand::Reopen => self.reopen_logs(),
                WorkerCommand::Workers(count) => {
                    self.shared.workers.store(count, Ordering::Relaxed)
                }
                WorkerCommand::Expire { thread, request } => self.expire(thread, request),
                WorkerCommand::Orphaned(why) => {
                    if self.life.is_serving() {
                        log::warn!("the master {why}; finishing what is open");
                    }
                    self.drain_untold(Cause::Orphaned, Queue::Leave);
                }
            }
        }
    }

    /// Drains for a reason that the application does not know.
    fn drain_untold(&mut self, cause: Cause, queue: Queue) {
        let begins = self.life.is_serving();
        self.drain(cause, queue);
        if begins {
            self.control.announce_drain();
            // If it was this thread that has got the signal, nothing is interrupted.
            self.interrupted = true;
        }
    }

    fn take_signals(&mut self) -> ControlFlow<()> {
        for signal in self.control.signals() {
            match signal {
                Signal::End => return ControlFlow::Break(()),
                Signal::Drain if self.life.is_serving() => self.drain(Cause::Told, Queue::Keep),
                Signal::Reopen => self.reopen_logs(),
                Signal::Drain | Signal::Nothing => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn reopen_logs(&mut self) {
        self.control.reopen_log();
        if let Some(Err(error)) = self.shared.access.as_ref().map(|access| access.reopen()) {
            log::error!("{error}");
        }
    }

    fn drain(&mut self, cause: Cause, queue: Queue) {
        let now_ms = clock::monotonic_ms();
        self.life.drain(cause, now_ms, &self.shared.options);
        self.shared.board.show_state(self.life.state());
        self.shared.handoff.drain();
        self.next_sweep_ms = 0;
        self.last_call_ms = now_ms + if queue == Queue::Keep { MOMENT_MS } else { LAST_CALL_MS };
        for index in (0..self.gate.listeners.len()).rev() {
            let listener = &mut self.gate.listeners[index];
            if queue == Queue::Serve || listener.refuses_new() {
                listener.serve_rest();
                listener.stop_deferring();
            } else if queue == Queue::Keep {
                listener.serve_rest();
            } else {
                self.close_listener(index);
            }
        }
    }

    fn take_returned(&mut self) {
        let mut returned = std::mem::take(&mut self.returned);
        self.shared.handoff.take_returned(&mut returned);
        for link in returned.drain(..) {
            self.take_back(&link);
        }
        self.returned = returned;
    }

    fn push_jobs(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        if self.shared.handoff.push(&mut self.jobs) && self.parks {
            self.shared.handoff.park_while_queued(PARK_QUEUED);
        }
    }

    /// Goes on with the connections that had more.
    fn go_on(&mut self) {
        for unfinished in std::mem::take(&mut self.unfinished) {
            match unfinished {
                Unfinished::Reading { token, to_end } => self.read(token, to_end),
                Unfinished::Input { token } => self.go_on_reading(token),
                Unfinished::Writing { token } => self.write(token),
            }
        }
    }

    /// Looks at the deadlines of the connections.
    fn sweep(&mut self) {
        let now_ms = clock::monotonic_ms();
        if now_ms < self.next_sweep_ms {
            return;
        }
        self.next_sweep_ms = self.life.next_look(now_ms, now_ms + deadlines::INTERVAL_MS);
        if self.life.refuses(now_ms) {
            self.refuse_unbegun();
        }
        if self.life.gives_up(now_ms) {
            self.give_up_unfinished();
        }
        self.relieve(now_ms);
        self.shared.tell_omitted(false);
        self.shared.spools.look(now_ms);
        trim::look(now_ms);
        self.shared.board.show_connections(self.connections.len() as u64);
        self.shared.board.show_stuck(self.queue_age.look(self.shared.handoff.sight(), now_ms));
        let idle = match self.life {
            Life::Draining { idle, .. } => Idle::draining(idle),
            Life::Serving | Life::Stopping { .. } => Idle::serving(&self.shared.options),
        };
        let tokens: Vec<usize> = self.connections.iter().map(|(token, _)| token).collect();
        for token in tokens {
            self.judge(token, idle, self.poll_round.until_ms());
        }
    }

    fn judge(&mut self, token: usize, idle: Idle, now_ms: u64) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        connection.notice_return();
        match connection.phase {
            Phase::Lent | Phase::Writing(_) => {
                connection.link.note_progress(now_ms);
                if matches!(connection.phase, Phase::Lent) && connection.link.has_left() {
                    self.shared.board.show_left(connection.lent.number, now_ms);
                }
            }
            Phase::Idle { used: true } => connection.note_delivery(&self.shared.options, now_ms),
            _ => {}
        }
        match deadlines::judge(connection, &self.shared.options, idle, now_ms) {
            Verdict::Keep => {}
            Verdict::Measure => connection.measure(now_ms),
            Verdict::Close => self.close(token),
            Verdict::GiveUp => {
                let why = "its client has taken nothing for --write-timeout";
                self.give_up_response(token, GivenUp::Untaken, why);
            }
            Verdict::Refuse(reason) => self.time_out(token, reason),
        }
    }

    /// Goes on with the end of the worker's life when nothing is open any more.
    fn settle(&mut self) {
        if self.life.is_serving() {
            return;
        }
        self.serve_queues();
        let open = Open {
            connections: self.connections.len(),
            requests: self.shared.handoff.in_flight(),
            listeners: self.gate.listeners.len(),
        };
        if self.life.settle(open, clock::monotonic_ms()) {
            // A reader of the state finds all that was answered in the logs.
            self.shared.flush_access();
            self.shared.tell_omitted(true);
            self.shared.board.show_state(self.life.state());
            self.shared.handoff.stop();
        }
    }

    /// Takes what waits in the queues, as far as there is room: that one is
    /// empty by now, no event would tell.
    fn serve_queues(&mut self) {
        for index in (0..self.gate.listeners.len()).rev() {
            if self.load().admits() {
                self.accept(index);
            } else if !self.control.has_master() && self.gate.listeners[index].has_ended() {
                // The master is gone, and another server wants the address.
                self.end_queue(index);
            }
        }
    }

    /// Lets a listener go.
    pub(crate) fn close_listener(&mut self, index: usize) {
        self.gate.close(self.poll.registry().as_fd(), index);
    }

    /// Has the loop get a connection's events.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`.
    pub(crate) fn register(&mut self, token: usize) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        if !connection.registered {
            let fd = connection.link.as_fd().as_raw_fd();
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut SourceFd(&fd), Token(token), both)?;
            connection.registered = true;
        }
        Ok(())
    }
}

/// Whether an event tells of a listener.
fn is_of_listener(event: &Event) -> bool {
    event.token().0 >= FIRST_LISTENER
}
