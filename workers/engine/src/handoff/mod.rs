//! The two queues between the I/O thread and the application threads, and the
//! ways they wake each other as rarely as possible.
//!
//! Requests go one way, connections come back the other. The common response
//! needs neither a message nor a wake-up: the application thread writes it and
//! gives the connection back by one atomic word (see `link`).

pub(crate) mod batch;
pub(crate) mod crew;
pub(crate) mod loop_owner;
pub(crate) mod pace;
pub(crate) mod queue_age;
pub(crate) mod sleep_flag;
pub(crate) mod source;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monoceros_sys::clock;
use monoceros_sys::futex::{self, Wake};

use crate::handoff::batch::Batch;
use crate::handoff::crew::Crew;
use crate::handoff::queue_age::QueueSnapshot;
use crate::handoff::sleep_flag::SleepFlag;
use crate::stream::request::{QueuedRequest, Request, SpareRequests};
use crate::stream::shared_stream::SharedStream;

/// Requests that are kept to be used again, at most.
const SPARE_LIMIT: usize = 256;

/// An application whose requests take less than this on average is served by
/// few threads: waking more would only make them wait for each other.
const QUICK_US: u32 = 400;

/// An application whose requests take less than this on average keeps its
/// clients awake.
const INSTANT_US: u32 = 30;

/// The average before the first request: nothing is known to be quick.
const UNKNOWN_US: u32 = 100_000;

/// The I/O thread fetches more requests when one in so many of a batch is left.
const LOW_SHARE: usize = 8;

/// How long the I/O thread leaves the application alone before it looks
/// whether another thread is needed.
const PARK_STEP: Duration = Duration::from_micros(250);

/// The same where as many threads are at work as may be.
const LOOK_STEP: Duration = Duration::from_millis(1);

/// How often a thread that waits sees whether a signal was handled on it: one that
/// came just before it fell asleep has not woken it.
pub(crate) const SIGNALS: Duration = Duration::from_secs(1);

/// Why an application thread stopped waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// There may be a request.
    Look,
    /// A signal was handled on this thread, or may have been.
    Interrupted,
    /// The worker stops: nothing will come any more.
    Stop,
}

/// What both sides share.
#[derive(Debug)]
pub(crate) struct Handoff {
    pub(crate) crew: Crew,
    queue: Mutex<VecDeque<QueuedRequest>>,
    /// Changes when sleeping application threads are to look.
    bell: AtomicU32,
    /// Changes when the worker stops.
    stop_bell: AtomicU32,
    /// Application threads that sleep or are about to.
    idle: AtomicU32,
    /// Requests that are queued or running.
    in_flight: AtomicU32,
    /// Requests that the application has answered.
    finished: AtomicU32,
    /// Requests that were over when it was last seen that some wait.
    seen_waiting: AtomicU32,
    /// The end of a request after this time wakes the loop; 0 for none.
    watch_from_us: AtomicU64,
    /// Average time of a request in the application, in microseconds.
    service_us: AtomicU32,
    /// When so few requests wait, the I/O thread fetches more: the application
    /// goes on with these meanwhile, and need not fall asleep.
    low_mark: AtomicU32,
    /// 1 while the I/O thread leaves the application alone.
    parked: AtomicU32,
    /// The I/O thread wants to know when a slot gets free.
    slot_wanted: AtomicBool,
    returned: Mutex<Vec<Arc<SharedStream>>>,
    /// Responses among them that the application thread is to write.
    pub(crate) batch: Batch,
    /// The I/O thread sleeps in its loop, or is about to.
    sleep: SleepFlag,
    waker: mio::Waker,
    spare: Mutex<SpareRequests>,
    draining: AtomicBool,
    stopping: AtomicBool,
}

impl Handoff {
    pub(crate) fn new(crew: Crew, waker: mio::Waker) -> Self {
        Self {
            crew,
            queue: Mutex::default(),
            bell: AtomicU32::new(0),
            stop_bell: AtomicU32::new(0),
            idle: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            finished: AtomicU32::new(0),
            seen_waiting: AtomicU32::new(0),
            watch_from_us: AtomicU64::new(0),
            service_us: AtomicU32::new(UNKNOWN_US),
            low_mark: AtomicU32::new(0),
            parked: AtomicU32::new(0),
            slot_wanted: AtomicBool::new(false),
            returned: Mutex::default(),
            batch: Batch::default(),
            sleep: SleepFlag::new(),
            waker,
            spare: Mutex::default(),
            draining: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }
    }

    // The application side.

    /// Takes the next request for a thread, without waiting. There is none while
    /// as many threads are at work as may be: they take it.
    pub(crate) fn next(&self, thread: usize) -> Option<QueuedRequest> {
        let mut queue = lock(&self.queue);
        if queue.is_empty() || self.crew.room() == 0 {
            return None;
        }
        let job = queue.pop_front();
        if let Some(job) = &job {
            self.crew.begin(thread, job.request.number);
        }
        let left = queue.len();
        drop(queue);
        if job.is_some() && left == self.low_mark.load(Ordering::Relaxed) as usize {
            self.unpark();
        }
        job
    }

    /// What [`Handoff::wait`] is to be told: a thread that looks for work elsewhere
    /// in between does not miss the bell.
    pub(crate) fn hear(&self) -> u32 {
        self.bell.load(Ordering::SeqCst)
    }

    /// Sleeps until there may be a request, unless the bell was rung since it was
    /// `heard`. The only thread looks for signals now and then.
    pub(crate) fn wait(&self, heard: u32) -> Wait {
        self.idle.fetch_add(1, Ordering::SeqCst);
        let has_requests = !lock(&self.queue).is_empty();
        if !has_requests {
            self.crew.note_dry();
        }
        let may_begin = has_requests && self.crew.room() > 0;
        let wake = if self.stopping.load(Ordering::SeqCst) || may_begin {
            Wake::Changed
        } else {
            if has_requests {
                // Only the loop can make room for this thread.
                self.unpark();
                self.wake_loop();
            }
            futex::wait(&self.bell, heard, self.crew.is_sole().then_some(SIGNALS))
        };
        self.idle.fetch_sub(1, Ordering::SeqCst);
        if self.stopping.load(Ordering::SeqCst) && lock(&self.queue).is_empty() {
            return Wait::Stop;
        }
        awoken(wake)
    }

    /// Sleeps until the worker stops or a signal may have been handled.
    pub(crate) fn wait_for_stop(&self) -> Wait {
        if self.stopping.load(Ordering::SeqCst) {
            return Wait::Stop;
        }
        awoken(futex::wait(&self.stop_bell, 0, Some(SIGNALS)))
    }

    /// Counts a thread's request of this number as done, which took so long, at
    /// `now_us`.
    pub(crate) fn finish(&self, thread: usize, number: u64, took_us: u64, now_us: u64) {
        self.crew.end(thread, number);
        let average = self.service_us.load(Ordering::Relaxed);
        let took = u32::try_from(took_us).unwrap_or(u32::MAX).min(10_000_000);
        self.service_us.store((average / 8 * 7).saturating_add(took / 8), Ordering::Relaxed);
        self.finished.fetch_add(1, Ordering::Relaxed);
        let left = self.in_flight.fetch_sub(1, Ordering::SeqCst) - 1;
        if left < self.crew.threads() && self.slot_wanted.swap(false, Ordering::SeqCst) {
            self.unpark();
            self.wake_loop();
        }
        let watch_from_us = self.watch_from_us.load(Ordering::Relaxed);
        if watch_from_us != 0 && now_us >= watch_from_us {
            self.watch_from_us.store(0, Ordering::Relaxed);
            self.unpark();
            self.wake_loop();
        }
    }

    /// Whether a response of a thread is cheaper to write in a batch: it runs
    /// the loop after a few requests, and has one more to begin with.
    pub(crate) fn is_batching(&self, thread: usize) -> bool {
        self.batch.is_open()
            && self.crew.is_working(thread)
            && (INSTANT_US..QUICK_US).contains(&self.service_us.load(Ordering::Relaxed))
            && self.has_requests()
    }

    /// Returns a connection to the I/O thread by message. One message that was
    /// not read yet says as much as two.
    pub(crate) fn call_back(&self, stream: Arc<SharedStream>) {
        let mut returned = lock(&self.returned);
        if !returned.last().is_some_and(|last| Arc::ptr_eq(last, &stream)) {
            returned.push(stream);
        }
        drop(returned);
        self.wake_loop();
    }

    /// Keeps a request's memory for the next.
    pub(crate) fn recycle(&self, mut request: Box<Request>) {
        request.clear();
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE_LIMIT {
            spare.push(request);
        }
    }

    /// Whether responses are to announce that the connection will be closed.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Wakes the thread that runs the loop.
    pub(crate) fn wake_loop(&self) {
        if self.sleep.must_wake() {
            // Fails only when the counter is full, and then a wake-up is due.
            self.waker.wake().ok();
        }
    }

    fn unpark(&self) {
        if self.parked.swap(0, Ordering::SeqCst) == 1 {
            futex::wake(&self.parked, 1);
        }
    }

    // The I/O side.

    /// Queues requests in the order of their arrival, and wakes as many threads
    /// as they need; whether some have to wait for a thread.
    pub(crate) fn push(&self, jobs: &mut Vec<QueuedRequest>) -> bool {
        let count = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
        self.in_flight.fetch_add(count, Ordering::SeqCst);
        let mut queue = lock(&self.queue);
        for job in jobs.drain(..) {
            let ready_us = job.request.ready_us;
            if queue.back().is_some_and(|last| last.request.ready_us > ready_us) {
                let place = queue.partition_point(|other| other.request.ready_us <= ready_us);
                queue.insert(place, job);
            } else {
                queue.push_back(job);
            }
        }
        let queued = queue.len();
        drop(queue);
        self.low_mark.store(u32::try_from(queued / LOW_SHARE).unwrap_or(0), Ordering::Relaxed);
        let room = self.crew.room();
        if room > 0 {
            self.ring(if self.is_quick() { 1 } else { count });
        } else {
            self.relieve(clock::monotonic_us());
        }
        queued > (self.idle.load(Ordering::SeqCst).min(room)) as usize
    }

    /// Requests wait: wakes threads that may take them, after requests that take
    /// long have been set aside.
    pub(crate) fn relieve(&self, now_us: u64) {
        if self.idle.load(Ordering::SeqCst) == 0 || !self.has_requests() {
            return;
        }
        let was_full = self.crew.room() == 0;
        if was_full {
            self.crew.make_room(now_us);
        }
        let finished = self.finished();
        let stands = self.seen_waiting.swap(finished, Ordering::Relaxed) == finished;
        if was_full || stands {
            self.nudge();
        }
    }

    /// Judges from time to time how many threads should be at work.
    pub(crate) fn judge_pace(&self, now_us: u64) {
        if self.crew.judge_pace(now_us, self.has_requests(), self.finished()) {
            self.nudge();
        }
    }

    /// When the first of the requests that wait arrived, in microseconds of the
    /// rising clock.
    pub(crate) fn first_us(&self) -> Option<u64> {
        lock(&self.queue).front().map(|job| job.request.ready_us)
    }

    /// The first request that ends after this time wakes the loop.
    pub(crate) fn watch_ends(&self, from_us: Option<u64>) {
        self.watch_from_us.store(from_us.unwrap_or(0), Ordering::Relaxed);
    }

    /// Takes back the requests that no application thread has begun.
    pub(crate) fn take_unbegun(&self) -> VecDeque<QueuedRequest> {
        let jobs = std::mem::take(&mut *lock(&self.queue));
        let count = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
        self.in_flight.fetch_sub(count, Ordering::SeqCst);
        jobs
    }

    /// Whether the application usually answers faster than threads are woken.
    pub(crate) fn is_quick(&self) -> bool {
        self.service_us.load(Ordering::Relaxed) < QUICK_US
    }

    fn ring(&self, most: u32) {
        self.wake_threads(self.crew.wanted(self.idle.load(Ordering::SeqCst)).min(most));
    }

    fn wake_threads(&self, count: u32) {
        if count > 0 {
            self.bell.fetch_add(1, Ordering::SeqCst);
            futex::wake(&self.bell, count.cast_signed());
        }
    }

    /// Sleeps while requests wait to be taken, at most `limit`: while the
    /// application is busy, news from the network can wait for a moment, and a
    /// batch of it costs less than each alone. Wakes another thread when those
    /// awake seem to be stuck.
    pub(crate) fn park_while_queued(&self, limit: Duration) {
        let mut left = limit;
        while !left.is_zero() {
            let before = lock(&self.queue).len();
            // Where no thread is idle there is none to be woken.
            let is_idle = self.idle.load(Ordering::SeqCst) > 0;
            let longest = if self.crew.room() > 0 { PARK_STEP } else { LOOK_STEP };
            let step = if is_idle { left.min(longest) } else { left };
            let low_mark = self.low_mark.load(Ordering::Relaxed) as usize;
            if before <= low_mark || !self.park(step, || lock(&self.queue).len() > low_mark) {
                return;
            }
            left -= step;
            if lock(&self.queue).len() >= before {
                self.relieve(clock::monotonic_us());
            }
        }
        self.relieve(clock::monotonic_us());
    }

    /// Sleeps while every thread has a request and none waits, at most `limit`.
    pub(crate) fn park_while_full(&self, limit: Duration) {
        if !self.has_requests() {
            self.park_while_busy(limit);
        }
    }

    /// Sleeps while every thread has a request, whether or not others wait, at
    /// most `limit`.
    pub(crate) fn park_while_busy(&self, limit: Duration) {
        self.slot_wanted.store(true, Ordering::SeqCst);
        self.park(limit, || self.is_full());
    }

    /// Wakes a thread that sleeps, to look for itself; or one that is about to.
    pub(crate) fn ring_one(&self) {
        self.bell.fetch_add(1, Ordering::SeqCst);
        self.ring(1);
    }

    /// Whether requests wait to be taken.
    pub(crate) fn has_requests(&self) -> bool {
        !lock(&self.queue).is_empty()
    }

    /// Whether the worker stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Sleeps while `needed`, which changes only before an unpark; whether the
    /// time was over.
    fn park(&self, limit: Duration, needed: impl Fn() -> bool) -> bool {
        self.parked.store(1, Ordering::SeqCst);
        let elapsed = needed() && futex::wait(&self.parked, 1, Some(limit)) == Wake::Elapsed;
        self.parked.store(0, Ordering::SeqCst);
        elapsed
    }

    /// Whether every application thread has a request.
    pub(crate) fn is_full(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) >= self.crew.threads()
    }

    /// Requests that are queued or running.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Whether requests wait although a thread sleeps: one was thought to be
    /// enough.
    pub(crate) fn is_neglected(&self) -> bool {
        self.idle.load(Ordering::SeqCst) > 0 && !lock(&self.queue).is_empty()
    }

    /// Wakes a thread for each request that waits, as far as threads may take one;
    /// also where a thread that is awake was expected to take it.
    fn nudge(&self) {
        let queued = u32::try_from(lock(&self.queue).len()).unwrap_or(u32::MAX);
        let idle = self.idle.load(Ordering::SeqCst);
        self.wake_threads(idle.min(self.crew.room()).min(queued));
    }

    /// The queue as it is now.
    pub(crate) fn sight(&self) -> QueueSnapshot {
        let queued = lock(&self.queue).len();
        QueueSnapshot {
            queued: u32::try_from(queued).unwrap_or(u32::MAX),
            in_flight: self.in_flight(),
            finished: self.finished(),
            threads: self.crew.threads(),
        }
    }

    /// How many requests the application has answered; wraps.
    pub(crate) fn finished(&self) -> u32 {
        self.finished.load(Ordering::Relaxed)
    }

    /// Asks for a wake-up when a slot gets free, if none is; whether it asked.
    /// To be asked before the decision that depends on it.
    pub(crate) fn want_slot(&self) -> bool {
        let wanted = self.is_full();
        self.slot_wanted.store(wanted, Ordering::SeqCst);
        wanted
    }

    /// Announces that the loop is going to sleep; `false` when something was
    /// returned in between, or a slot has got free that it has asked for.
    pub(crate) fn fall_asleep(&self, slot_wanted: bool) -> bool {
        self.sleep.fall_asleep(|| {
            let slot_free = slot_wanted && !self.slot_wanted.load(Ordering::SeqCst);
            lock(&self.returned).is_empty() && !slot_free
        })
    }

    /// Announces that the I/O thread is awake.
    pub(crate) fn wake_up(&self) {
        self.sleep.wake_up();
    }

    /// Takes the connections that were returned by message.
    pub(crate) fn take_returned(&self, into: &mut Vec<Arc<SharedStream>>) {
        std::mem::swap(&mut *lock(&self.returned), into);
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
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Lets the application threads go when they have finished.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.bell.fetch_add(1, Ordering::SeqCst);
        futex::wake(&self.bell, i32::MAX);
        self.stop_bell.store(1, Ordering::SeqCst);
        futex::wake(&self.stop_bell, i32::MAX);
    }
}

/// What the end of a sleep means: nothing else ends it by time.
fn awoken(wake: Wake) -> Wait {
    match wake {
        Wake::Changed => Wait::Look,
        Wake::Interrupted | Wake::Elapsed => Wait::Interrupted,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No holder of these locks can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::shared_stream::test_stream;

    fn job(number: u64) -> QueuedRequest {
        let (stream, _) = test_stream();
        QueuedRequest { request: Box::new(Request { number, ..Request::default() }), stream }
    }

    #[test]
    fn a_thread_that_may_not_begin_what_waits_wakes_the_loop() {
        let mut poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let handoff = Handoff::new(Crew::new(2, false), waker);
        handoff.push(&mut vec![job(1), job(2)]);
        assert!(handoff.next(0).is_some() && handoff.next(1).is_none());
        assert!(handoff.fall_asleep(false));
        let mut events = mio::Events::with_capacity(1);
        std::thread::scope(|scope| {
            scope.spawn(|| handoff.wait(handoff.hear()));
            poll.poll(&mut events, Some(Duration::from_secs(30))).unwrap();
            handoff.finish(0, 1, 0, 0);
            handoff.stop();
        });
        assert!(!events.is_empty() && handoff.next(1).is_some());
    }

    #[test]
    fn a_bell_that_rang_before_the_sleep_is_heard() {
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let handoff = Handoff::new(Crew::new(2, false), waker);
        let heard = handoff.hear();
        handoff.ring_one();
        assert_eq!(handoff.wait(heard), Wait::Look);
    }
}
