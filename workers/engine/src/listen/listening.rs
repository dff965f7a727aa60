//! When the worker accepts connections, and from which listener. Owns the listeners and
//! the state of their queues. Only the thread that runs the loop has it; the loop calls
//! it.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use mio::Registry;
use monoceros_sys::fork::Mark;
use monoceros_sys::{clock, reason, socket};

use crate::connection::table::Connections;
use crate::event_loop::drain::Queue;
use crate::listen::gate::{Gate, Listener, Load};
use crate::listen::pause::Pause;
use crate::listen::turns::Turns;
use crate::shared::Shared;

/// Requests that a single worker reads ahead while its application is quick: no other
/// worker could serve them, and a batch costs less than each alone.
const AHEAD: usize = 32;

/// How often a full worker checks for connections while requests end, in microseconds.
const LOOK_US: u64 = 2_000;

/// How often a worker that waits for no connections checks whether some wait that no other
/// worker accepts, in microseconds.
const QUEUE_LOOK_US: u64 = 10_000;

/// As above, after it has seen some.
const CROWD_LOOK_US: u64 = 1_000;

/// How long a draining worker keeps its listeners at least, in milliseconds:
/// clients that have just connected are about to send.
pub(super) const LAST_CALL_MS: u64 = 50;

/// How long a worker that drains by a signal keeps its listeners, in milliseconds: the
/// master may have got the signal as well.
const MOMENT_MS: u64 = 1_000;

/// The listeners, and when this worker accepts from them.
pub(crate) struct Listening {
    pub(super) shared: Arc<Shared>,
    registry: Registry,
    _mark: Mark,
    pub(super) gate: Gate,
    /// Accepting pauses.
    pause: Pause,
    /// The turns of connections that are accepted while the gate is shut.
    pub(super) turns: Turns,
    /// The current events ended a sleep: the kernel may have woken no other worker for
    /// a connection.
    pub(super) slept: bool,
    /// A draining worker closes no listener before this time.
    pub(super) last_call_ms: u64,
    /// The worker accepts without a limit.
    pub(super) is_serving: bool,
    /// The gate is shut, but connections that no other worker accepts could be accepted.
    has_reserve: bool,
}

impl Listening {
    /// Takes the listeners. Events of the listener number `n` have the token
    /// `first_token + n` of the loop that `registry` belongs to.
    ///
    /// # Errors
    /// Those of `fcntl(2)`: no descriptor is left.
    pub(crate) fn new(
        shared: Arc<Shared>,
        registry: &Registry,
        listeners: Vec<Listener>,
        first_token: usize,
    ) -> io::Result<Self> {
        let registry = registry.try_clone()?;
        Ok(Self {
            shared,
            _mark: Mark::new(registry.as_fd()),
            registry,
            gate: Gate::new(listeners, first_token),
            pause: Pause::default(),
            turns: Turns::default(),
            slept: false,
            last_call_ms: 0,
            is_serving: true,
            has_reserve: false,
        })
    }

    /// How many listeners there are.
    pub(crate) fn len(&self) -> usize {
        self.gate.listeners.len()
    }

    /// The listener of a token of the loop.
    pub(crate) fn index(&self, token: usize) -> Option<usize> {
        self.gate.index(token)
    }

    /// Whether the worker waits for connections.
    pub(crate) fn is_open(&self) -> bool {
        self.gate.is_open()
    }

    /// Whether accepting pauses.
    pub(crate) fn is_paused(&self) -> bool {
        self.pause.is_set()
    }

    /// Notes whether the events that follow have ended a sleep.
    pub(crate) fn note_sleep(&mut self, slept: bool) {
        self.slept = slept;
    }

    /// Waits for connections from now on if the worker can serve them, and otherwise
    /// leaves them to other workers.
    pub(crate) fn settle_gate(&mut self, connections: &mut Connections) {
        let accepts = self.accepts();
        let load = self.load(connections);
        let open = accepts && load.admits();
        self.has_reserve = accepts && !open && load.has_reserve(true);
        self.gate.set(self.registry.as_fd(), open);
    }

    /// How long until the queues of the listeners must be checked; `None` if an event shows
    /// that a connection waits, or none could be accepted.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        let length = if self.turns.has_crowd() { CROWD_LOOK_US } else { QUEUE_LOOK_US };
        self.has_reserve.then(|| Duration::from_micros(length))
    }

    /// The facts for the gate's decision.
    pub(crate) fn load(&self, connections: &mut Connections) -> Load {
        let options = &self.shared.options;
        let limit = options.connections;
        let expected = connections.count_expected(clock::monotonic_us);
        Load {
            requests: self.shared.handoff.slots.in_flight() as usize
                + connections.jobs().len()
                + expected.fresh,
            // Without another worker there is none to leave a connection to.
            openings: if self.shared.is_shared() { expected.opening } else { 0 },
            capacity: options.application.capacity() as usize + self.ahead(),
            reserve: options.reserve,
            connections: connections.len(),
            limit,
            has_idle: connections.len() >= limit && connections.can_make_room(),
        }
    }

    /// Requests that are read although every thread has one.
    fn ahead(&self) -> usize {
        if !self.shared.is_shared() && self.shared.handoff.is_quick() { AHEAD } else { 0 }
    }

    /// Accepts connections although every thread has a request, or the limit of
    /// requests is reached: as many as requests have ended since the last time. They
    /// join the waiting requests in the order of arrival.
    pub(crate) fn admit_in_turn(&mut self, connections: &mut Connections) {
        if self.gate.is_open() || !self.accepts() || !self.load(connections).has_room() {
            self.turns.rest();
            self.shared.handoff.slots.watch_ends(None);
            return;
        }
        let finished = self.shared.handoff.slots.finished();
        let now_us = clock::monotonic_us();
        let due = self.turns.due(finished, self.shared.options.application.capacity());
        let share = if due > 0 { self.share(now_us) } else { 0 };
        if share > 0 {
            self.turns.settle(finished);
            self.take_waiting(connections, due.min(share));
        }
        self.use_reserve(connections, finished, now_us);
        self.shared.handoff.slots.watch_ends(Some(now_us + LOOK_US));
    }

    /// The share of this worker in the waiting connections: all of them if it is alone,
    /// otherwise an equal part of those that no other worker accepts.
    fn share(&mut self, now_us: u64) -> u32 {
        if !self.shared.is_shared() {
            return u32::MAX;
        }
        let crowd = self.crowd();
        let is_crowded = self.turns.is_crowded(crowd > 0, now_us);
        if is_crowded { crowd.div_ceil(self.shared.workers().into()) } else { 0 }
    }

    /// Accepts so many connections, one from each listener in turn. A worker that
    /// shares its listeners accepts none that arrived after its own waiting requests:
    /// another worker may be free earlier.
    fn take_waiting(&mut self, connections: &mut Connections, mut due: u32) {
        let mut is_empty = false;
        while due > 0 && !is_empty {
            is_empty = true;
            for index in (0..self.gate.listeners.len()).rev() {
                if due > 0 && self.is_turn_of_waiting() && self.accept_one(connections, index, true)
                {
                    due -= 1;
                    is_empty = false;
                }
            }
        }
    }

    /// Accepts connections that no other worker accepts, although requests of connections
    /// that are being opened may be about to arrive, and, when no request ends, although all
    /// threads have one: a handshake, or a response of the server itself, needs no thread.
    fn use_reserve(&mut self, connections: &mut Connections, finished: u32, now_us: u64) {
        let is_stuck = self.turns.is_stuck(finished, now_us);
        if !self.load(connections).has_reserve(is_stuck) {
            return;
        }
        let crowd = self.crowd();
        if !self.turns.is_crowded(crowd > 0, now_us) {
            return;
        }
        let mut left = crowd.div_ceil(self.shared.workers().into());
        for index in (0..self.gate.listeners.len()).rev() {
            while left > 0
                && self.load(connections).has_reserve(is_stuck)
                && self.accept_one(connections, index, true)
            {
                left -= 1;
            }
        }
    }

    /// How many connections wait at the listeners.
    fn crowd(&self) -> u32 {
        self.gate.listeners.iter().map(Listener::crowd).sum()
    }

    fn is_turn_of_waiting(&self) -> bool {
        !self.shared.is_shared() || self.turns.may_be_first(self.shared.handoff.first_us())
    }

    /// Stops accepting for a moment: descriptors or memory are short.
    pub(super) fn pause(&mut self, error: &io::Error) {
        if self.pause.begin(clock::monotonic_ms()) {
            log::error!("cannot accept connections: {}; trying again", reason(error));
        }
    }

    /// Whether a listener is open and accepting does not pause.
    fn accepts(&mut self) -> bool {
        !self.pause.goes_on(clock::monotonic_ms) && !self.gate.listeners.is_empty()
    }

    /// Whether connections wait at a listener. Where the kernel does not report the
    /// length of the queue, the answer is yes.
    pub(crate) fn has_waiting(&self) -> bool {
        let waits = |it: &Listener| socket::queue_length(it.as_fd()) != Some(0);
        self.gate.listeners.iter().any(waits)
    }

    /// The worker drains from `now_ms` on.
    pub(crate) fn drain(&mut self, queue: Queue, now_ms: u64) {
        self.is_serving = false;
        self.last_call_ms = now_ms + if queue == Queue::Keep { MOMENT_MS } else { LAST_CALL_MS };
        for index in (0..self.gate.listeners.len()).rev() {
            let listener = &mut self.gate.listeners[index];
            if queue == Queue::Serve || listener.refuses_new() {
                listener.serve_rest();
                listener.stop_deferring();
            } else if queue == Queue::Keep {
                listener.serve_rest();
            } else {
                self.close(index);
            }
        }
    }

    /// How long until listeners may be closed, in milliseconds; 0 if they may be.
    pub(crate) fn last_call_left_ms(&self, now_ms: u64) -> u64 {
        self.last_call_ms.saturating_sub(now_ms)
    }

    /// Takes what waits in the queues, as far as there is room. This runs in each turn,
    /// because no event shows that a queue has become empty.
    pub(crate) fn serve_queues(&mut self, connections: &mut Connections, has_master: bool) {
        for index in (0..self.gate.listeners.len()).rev() {
            if self.load(connections).admits() {
                self.accept(connections, index);
            } else if !has_master && self.gate.listeners[index].has_ended() {
                // The master has ended, and another server wants the address.
                self.end_queue(index);
            }
        }
    }

    /// Puts this worker behind the others that wait for a listener.
    pub(super) fn rotate(&self, index: usize) {
        self.gate.rotate(self.registry.as_fd(), index);
    }

    /// Closes a listener.
    pub(super) fn close(&mut self, index: usize) {
        self.gate.close(self.registry.as_fd(), index);
    }
}
