//! Between the loop and the application: requests go one way, streams come back the other.
//!
//! ```text
//!  loop  ── push ──>  ApplicationSide   ThreadSide: a queue, and threads that wait (WSGI)
//!    ^                                  EventSide: an inbox with a doorbell (ASGI, gevent)
//!    └── Mailbox <── call_back ──┘      streams that end by message, and what wakes the loop
//!           ^ results
//!        Background                     threads that wait for disks in place of the loop
//!        Slots                          how many requests there are; both sides count
//! ```
//!
//! `loop_owner` decides which thread runs the loop. The common response needs neither a message
//! nor a wake-up: the application thread writes it and ends the stream by one atomic word
//! (`stream/end.rs`).

pub(crate) mod background;
pub(crate) mod batch;
pub(crate) mod crew;
pub(crate) mod event_source;
pub(crate) mod events;
pub(crate) mod loop_owner;
pub(crate) mod mailbox;
pub(crate) mod pace;
pub(crate) mod queue_age;
pub(crate) mod queue_limit;
pub(crate) mod sleep_flag;
pub(crate) mod slots;
pub(crate) mod source;
pub(crate) mod task;
pub(crate) mod threads;
pub(crate) mod wait;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use monoceros_sys::{clock, futex};

use crate::handoff::events::{EventSide, StreamNews};
use crate::handoff::mailbox::Mailbox;
use crate::handoff::queue_age::QueueSnapshot;
use crate::handoff::queue_limit::QueueLimit;
use crate::handoff::slots::Slots;
use crate::handoff::threads::ThreadSide;
use crate::handoff::wait::{SIGNALS, Wait, awoken, lock};
use crate::options::ApplicationKind;
use crate::stream::request::{QueuedRequest, Request, SpareRequests};
use crate::stream::shared_stream::SharedStream;

/// The most requests that are kept to be used again.
const SPARE_LIMIT: usize = 256;

/// How requests reach the application. Each kind has one file; a further kind must
/// implement every method that [`Handoff`] calls on the two.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a worker has one, and asks it all the time")]
pub(crate) enum ApplicationSide {
    Threads(ThreadSide),
    Events(EventSide),
}

/// What the loop and the application share.
#[derive(Debug)]
pub(crate) struct Handoff {
    side: ApplicationSide,
    /// How long requests may wait for the application.
    limit: QueueLimit,
    pub(crate) slots: Arc<Slots>,
    pub(crate) mailbox: Arc<Mailbox>,
    spare: Mutex<SpareRequests>,
    draining: AtomicBool,
    /// 1 when the worker stops.
    stop_bell: AtomicU32,
}

impl Handoff {
    /// Requests may wait for `queue_timeout`; `waker` wakes the loop.
    ///
    /// # Errors
    /// Those of `eventfd(2)`.
    pub(crate) fn new(
        kind: ApplicationKind,
        queue_timeout: Duration,
        waker: mio::Waker,
    ) -> io::Result<Self> {
        let limit = QueueLimit::new(queue_timeout);
        let slots = Arc::new(Slots::new(kind.capacity()));
        let mailbox = Arc::new(Mailbox::new(waker));
        let shared = (Arc::clone(&slots), Arc::clone(&mailbox));
        let side = match kind {
            ApplicationKind::Threads { count, parallel } => {
                ApplicationSide::Threads(ThreadSide::new(count, parallel, limit, shared))
            }
            ApplicationKind::Events { .. } => ApplicationSide::Events(EventSide::new()?),
        };
        Ok(Self {
            side,
            limit,
            slots,
            mailbox,
            spare: Mutex::default(),
            draining: AtomicBool::new(false),
            stop_bell: AtomicU32::new(0),
        })
    }

    /// The application threads, if it has some that wait for requests.
    pub(crate) fn threads(&self) -> Option<&ThreadSide> {
        match &self.side {
            ApplicationSide::Threads(threads) => Some(threads),
            ApplicationSide::Events(_) => None,
        }
    }

    /// The inbox, if the application has one.
    pub(crate) fn events(&self) -> Option<&EventSide> {
        match &self.side {
            ApplicationSide::Threads(_) => None,
            ApplicationSide::Events(events) => Some(events),
        }
    }

    // The application side.

    /// Sleeps until the worker stops or a signal may have been handled.
    pub(crate) fn wait_for_stop(&self) -> Wait {
        if self.is_stopping() {
            return Wait::Stop;
        }
        awoken(futex::wait(&self.stop_bell, 0, Some(SIGNALS)))
    }

    /// A request of this number begins on an application thread, at `now_us`.
    pub(crate) fn note_begin(&self, thread: usize, now_us: u64) {
        if let Some(threads) = self.threads() {
            threads.crew.note_begin(thread, now_us);
        }
    }

    /// Counts a thread's request of this number as done, which took so long, at
    /// `now_us`.
    pub(crate) fn finish(&self, thread: usize, number: u64, took_us: u64, now_us: u64) {
        if let Some(threads) = self.threads() {
            threads.note_end(thread, number, took_us);
        }
        if self.slots.finish(now_us) {
            self.wake_loop();
        }
    }

    /// Returns a stream to the loop by message.
    pub(crate) fn call_back(&self, stream: Arc<SharedStream>) {
        self.mailbox.push(stream);
    }

    /// Keeps a request's memory for the next.
    pub(crate) fn recycle(&self, mut request: Box<Request>) {
        request.clear();
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE_LIMIT {
            spare.push(request);
        }
    }

    /// Whether responses must announce that the connection will be closed.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Wakes the thread that runs the loop, wherever it sleeps.
    pub(crate) fn wake_loop(&self) {
        if let Some(threads) = self.threads() {
            threads.unpark();
        }
        self.mailbox.wake_loop();
    }

    // The loop.

    /// Gives requests to the application, in the order of their arrival. Returns
    /// whether some have to wait for a thread.
    pub(crate) fn push(&self, jobs: &mut Vec<QueuedRequest>) -> bool {
        self.slots.begin(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
        match &self.side {
            ApplicationSide::Threads(threads) => threads.push(jobs),
            ApplicationSide::Events(events) => {
                events.push(jobs.drain(..).map(StreamNews::Request));
                false
            }
        }
    }

    /// Notifies the application of what has happened to a stream, if it takes events.
    pub(crate) fn notify(&self, news: StreamNews) {
        if let Some(events) = self.events() {
            events.push([news]);
        }
    }

    /// Takes back the requests that the application has not begun.
    pub(crate) fn take_unbegun(&self) -> VecDeque<QueuedRequest> {
        let jobs = match &self.side {
            ApplicationSide::Threads(threads) => threads.take_unbegun(),
            ApplicationSide::Events(events) => events.take_unbegun(),
        };
        self.slots.withdraw(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
        jobs
    }

    /// Whether requests that have waited for too long are refused.
    pub(crate) fn limits_waits(&self) -> bool {
        self.limit.is_set()
    }

    /// Takes back the requests that have waited for too long.
    pub(crate) fn take_overdue(&self) -> VecDeque<QueuedRequest> {
        if !self.limit.is_set() {
            return VecDeque::new();
        }
        let jobs = match &self.side {
            ApplicationSide::Threads(threads) => threads.take_overdue(),
            ApplicationSide::Events(events) => {
                events.take_overdue(self.limit, clock::monotonic_us())
            }
        };
        self.slots.withdraw(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
        jobs
    }

    /// How long until a waiting request has waited for too long, in microseconds.
    pub(crate) fn overdue_in_us(&self) -> Option<u64> {
        if !self.limit.is_set() {
            return None;
        }
        let first_us = match &self.side {
            ApplicationSide::Threads(threads) => threads.first_us(),
            ApplicationSide::Events(events) => events.first_us(),
        };
        self.limit.left_us(first_us?, clock::monotonic_us())
    }

    /// When the first request that waits for a thread arrived, in microseconds of the monotonic
    /// clock.
    pub(crate) fn first_us(&self) -> Option<u64> {
        self.threads().and_then(ThreadSide::first_us)
    }

    /// Whether requests wait to be taken.
    pub(crate) fn has_requests(&self) -> bool {
        match &self.side {
            ApplicationSide::Threads(threads) => threads.has_requests(),
            ApplicationSide::Events(events) => events.has_requests(),
        }
    }

    /// Whether the application usually responds faster than threads are woken.
    pub(crate) fn is_quick(&self) -> bool {
        self.threads().is_some_and(ThreadSide::is_quick)
    }

    /// The state of the queue for the application.
    pub(crate) fn sight(&self) -> QueueSnapshot {
        match &self.side {
            ApplicationSide::Threads(threads) => threads.sight(),
            ApplicationSide::Events(events) => events.sight(),
        }
    }

    /// Announces that the loop is going to sleep; `false` when a stream was returned in
    /// between, a slot has become free that the loop has asked for, or a request must be refused
    /// that has waited for too long.
    pub(crate) fn fall_asleep(&self, slot_wanted: bool) -> bool {
        self.mailbox.fall_asleep(|| {
            let is_free = slot_wanted && self.slots.is_one_free();
            !is_free && !self.threads().is_some_and(ThreadSide::has_overdue)
        })
    }

    /// Takes memory for a request.
    pub(crate) fn spare_request(&self, local: &mut SpareRequests) -> Box<Request> {
        if local.is_empty() {
            std::mem::swap(&mut *lock(&self.spare), local);
        }
        local.pop().unwrap_or_default()
    }

    /// Responses announce from now on that connections will be closed.
    pub(crate) fn drain(&self) {
        if !self.draining.swap(true, Ordering::Relaxed) {
            self.notify(StreamNews::Drain);
        }
    }

    /// Whether the worker stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop_bell.load(Ordering::SeqCst) == 1
    }

    /// Lets the application side end when no request is left.
    pub(crate) fn stop(&self) {
        self.stop_bell.store(1, Ordering::SeqCst);
        match &self.side {
            ApplicationSide::Threads(threads) => threads.stop(),
            ApplicationSide::Events(events) => events.push([StreamNews::Stop]),
        }
        futex::wake(&self.stop_bell, i32::MAX);
    }
}
