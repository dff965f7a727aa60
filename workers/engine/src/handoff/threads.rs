//! Requests for application threads (WSGI): a queue, and threads that wait at it.
//! Decides what is special to threads: how many are at work, when another is woken,
//! when the loop sleeps beside them, and which responses are written together.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use monoceros_sys::clock;
use monoceros_sys::futex::{self, Wake};

use crate::handoff::batch::Batch;
use crate::handoff::crew::Crew;
use crate::handoff::mailbox::Mailbox;
use crate::handoff::queue_age::QueueSnapshot;
use crate::handoff::queue_limit::QueueLimit;
use crate::handoff::sleep_flag::SleepFlag;
use crate::handoff::slots::Slots;
use crate::handoff::wait::{SIGNALS, Wait, awoken, lock};
use crate::stream::request::QueuedRequest;

/// An application whose requests take less than this on average is served by few
/// threads: more threads would only wait for each other.
const QUICK_US: u32 = 400;

/// An application whose requests take less than this on average keeps its
/// clients awake.
const INSTANT_US: u32 = 30;

/// The average before the first request, which counts as slow.
const UNKNOWN_US: u32 = 100_000;

/// The loop fetches more requests when one in so many of a batch is left.
const LOW_SHARE: usize = 8;

/// How long the I/O thread sleeps beside a busy application before it checks whether
/// another thread is needed.
const PARK_STEP: Duration = Duration::from_micros(250);

/// As above, where as many threads are at work as may be.
const LOOK_STEP: Duration = Duration::from_millis(1);

/// The application threads and the requests that wait for them.
#[derive(Debug)]
pub(crate) struct ThreadSide {
    pub(crate) crew: Crew,
    slots: Arc<Slots>,
    mailbox: Arc<Mailbox>,
    /// In the order of arrival.
    queue: Mutex<VecDeque<QueuedRequest>>,
    /// How long requests may wait there.
    limit: QueueLimit,
    /// Requests that have waited longer, which the loop refuses.
    overdue: Mutex<VecDeque<QueuedRequest>>,
    /// Changes when sleeping application threads must check the queue.
    bell: AtomicU32,
    /// Application threads that sleep or are about to.
    idle: AtomicU32,
    /// How many requests had ended when requests were last found waiting.
    seen_waiting: AtomicU32,
    /// Average time of a request in the application, in microseconds.
    service_us: AtomicU32,
    /// When so few requests wait, the loop fetches more: the application runs these
    /// meanwhile, and need not fall asleep.
    low_mark: AtomicU32,
    /// The I/O thread sleeps beside the busy application.
    parked: SleepFlag,
    /// Responses that the application thread writes when it runs the loop.
    pub(crate) batch: Batch,
    stopping: AtomicBool,
}

impl ThreadSide {
    /// So many threads, which share an interpreter lock unless `parallel`.
    pub(crate) fn new(
        count: u16,
        parallel: bool,
        limit: QueueLimit,
        shared: (Arc<Slots>, Arc<Mailbox>),
    ) -> Self {
        let (slots, mailbox) = shared;
        Self {
            crew: Crew::new(count, parallel),
            slots,
            mailbox,
            queue: Mutex::default(),
            limit,
            overdue: Mutex::default(),
            bell: AtomicU32::new(0),
            idle: AtomicU32::new(0),
            seen_waiting: AtomicU32::new(0),
            service_us: AtomicU32::new(UNKNOWN_US),
            low_mark: AtomicU32::new(0),
            parked: SleepFlag::new(),
            batch: Batch::default(),
            stopping: AtomicBool::new(false),
        }
    }

    // The application threads.

    /// Takes the next request for a thread, without waiting. There is none while as
    /// many threads are at work as may be: those threads take it.
    pub(crate) fn next(&self, thread: usize) -> Option<QueuedRequest> {
        let mut queue = lock(&self.queue);
        if queue.is_empty() || self.crew.room() == 0 {
            return None;
        }
        if self.limit.is_set() && self.set_overdue_aside(&mut queue) {
            self.unpark();
            self.mailbox.wake_loop();
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

    /// The argument of [`ThreadSide::wait`]: with it, a thread that looks for work
    /// elsewhere in between does not miss the bell.
    pub(crate) fn rings(&self) -> u32 {
        self.bell.load(Ordering::SeqCst)
    }

    /// Sleeps until there may be a request, unless the bell has changed since it was
    /// `rings`. The only thread checks for signals now and then.
    pub(crate) fn wait(&self, rings: u32) -> Wait {
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
                self.mailbox.wake_loop();
            }
            futex::wait(&self.bell, rings, self.crew.is_sole().then_some(SIGNALS))
        };
        self.idle.fetch_sub(1, Ordering::SeqCst);
        if self.stopping.load(Ordering::SeqCst) && lock(&self.queue).is_empty() {
            return Wait::Stop;
        }
        awoken(wake)
    }

    /// A thread has finished its request of this number, which took so long.
    pub(crate) fn note_end(&self, thread: usize, number: u64, took_us: u64) {
        self.crew.end(thread, number);
        let average = self.service_us.load(Ordering::Relaxed);
        let took = u32::try_from(took_us).unwrap_or(u32::MAX).min(10_000_000);
        self.service_us.store((average / 8 * 7).saturating_add(took / 8), Ordering::Relaxed);
    }

    /// Whether a response of a thread is cheaper to write in a batch: the thread runs
    /// the loop after a few requests, and has another request to begin.
    pub(crate) fn is_batching(&self, thread: usize) -> bool {
        self.batch.is_open()
            && self.crew.is_working(thread)
            && (INSTANT_US..QUICK_US).contains(&self.service_us.load(Ordering::Relaxed))
            && self.has_requests()
    }

    /// Ends the sleep of the I/O thread beside a busy application.
    pub(crate) fn unpark(&self) {
        self.parked.wake();
    }

    // The loop.

    /// Queues requests in the order of their arrival, and wakes as many threads as they
    /// need. Returns whether some have to wait for a thread.
    pub(crate) fn push(&self, jobs: &mut Vec<QueuedRequest>) -> bool {
        let count = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
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

    /// Requests wait: wakes threads that may take them, after requests that take long
    /// have been set aside.
    pub(crate) fn relieve(&self, now_us: u64) {
        if self.idle.load(Ordering::SeqCst) == 0 || !self.has_requests() {
            return;
        }
        let was_full = self.crew.room() == 0;
        if was_full {
            self.crew.make_room(now_us);
        }
        let finished = self.slots.finished();
        let stands = self.seen_waiting.swap(finished, Ordering::Relaxed) == finished;
        if was_full || stands {
            self.nudge();
        }
    }

    /// Judges from time to time how many threads should be at work.
    pub(crate) fn judge_pace(&self, now_us: u64) {
        if self.crew.judge_pace(now_us, self.has_requests(), self.slots.finished()) {
            self.nudge();
        }
    }

    /// When the first waiting request arrived, in microseconds of the monotonic clock.
    pub(crate) fn first_us(&self) -> Option<u64> {
        lock(&self.queue).front().map(|job| job.request.ready_us)
    }

    /// Takes back the requests that no thread has begun.
    pub(crate) fn take_unbegun(&self) -> VecDeque<QueuedRequest> {
        let mut unbegun = std::mem::take(&mut *lock(&self.overdue));
        unbegun.append(&mut lock(&self.queue));
        unbegun
    }

    /// Takes back the requests that have waited for too long.
    pub(crate) fn take_overdue(&self) -> VecDeque<QueuedRequest> {
        self.set_overdue_aside(&mut lock(&self.queue));
        std::mem::take(&mut *lock(&self.overdue))
    }

    /// Whether the loop has to refuse requests that a thread has found overdue.
    pub(crate) fn has_overdue(&self) -> bool {
        self.limit.is_set() && !lock(&self.overdue).is_empty()
    }

    /// Removes from the queue what has waited for too long. Returns whether there was some.
    fn set_overdue_aside(&self, queue: &mut VecDeque<QueuedRequest>) -> bool {
        let now_us = clock::monotonic_us();
        let is_over = |job: &QueuedRequest| self.limit.is_over(job.request.ready_us, now_us);
        let count = queue.iter().take_while(|job| is_over(job)).count();
        if count > 0 {
            lock(&self.overdue).extend(queue.drain(..count));
        }
        count > 0
    }

    /// Whether the application usually responds faster than threads are woken.
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

    /// Sleeps while requests wait to be taken, at most `limit`: while the application
    /// is busy, events of the network can wait for a moment, and a batch costs less
    /// than each alone. Wakes another thread when the awake threads seem to be stuck.
    pub(crate) fn park_while_queued(&self, limit: Duration) {
        let mut left = limit;
        while !left.is_zero() {
            let before = lock(&self.queue).len();
            // Without an idle thread, none can be woken.
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
        self.slots.want();
        self.park(limit, || self.slots.is_full());
    }

    /// Wakes a thread that sleeps, or is about to, so that it checks the queue.
    pub(crate) fn ring_one(&self) {
        self.bell.fetch_add(1, Ordering::SeqCst);
        self.ring(1);
    }

    /// Whether requests wait to be taken.
    pub(crate) fn has_requests(&self) -> bool {
        !lock(&self.queue).is_empty()
    }

    /// Sleeps while `needed`, which changes only before an unpark. Returns whether the
    /// time was over.
    fn park(&self, limit: Duration, needed: impl Fn() -> bool) -> bool {
        let sleeps = self.parked.fall_asleep(needed);
        let elapsed = sleeps && self.parked.sleep(Some(limit)) == Wake::Elapsed;
        self.parked.wake_up();
        elapsed
    }

    /// Whether requests wait although a thread sleeps: fewer threads were woken than
    /// are needed.
    pub(crate) fn is_neglected(&self) -> bool {
        self.idle.load(Ordering::SeqCst) > 0 && !lock(&self.queue).is_empty()
    }

    /// Wakes a thread for each waiting request, as far as threads may take one; also
    /// where a thread that is awake was expected to take it.
    fn nudge(&self) {
        let queued = u32::try_from(lock(&self.queue).len()).unwrap_or(u32::MAX);
        let idle = self.idle.load(Ordering::SeqCst);
        self.wake_threads(idle.min(self.crew.room()).min(queued));
    }

    /// The queue as it is now.
    pub(crate) fn sight(&self) -> QueueSnapshot {
        let queued = u32::try_from(lock(&self.queue).len()).unwrap_or(u32::MAX);
        // The parts are not read at one instant.
        let running = self.slots.in_flight().saturating_sub(queued);
        QueueSnapshot {
            queued,
            taken: self.slots.finished().wrapping_add(running),
            has_free: running < self.crew.threads(),
        }
    }

    /// Lets the threads end when no request waits any more.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.bell.fetch_add(1, Ordering::SeqCst);
        futex::wake(&self.bell, i32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::request::Request;
    use crate::stream::shared_stream::test_stream;

    fn job(number: u64) -> QueuedRequest {
        let (stream, _) = test_stream();
        QueuedRequest { request: Box::new(Request { number, ..Request::default() }), stream }
    }

    fn side(limit: Duration) -> (mio::Poll, ThreadSide) {
        let limit = QueueLimit::new(limit);
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let shared = (Arc::new(Slots::new(2)), Arc::new(Mailbox::new(waker)));
        (poll, ThreadSide::new(2, false, limit, shared))
    }

    #[test]
    fn a_thread_that_may_not_begin_a_waiting_request_wakes_the_loop() {
        let (mut poll, side) = side(Duration::MAX);
        side.push(&mut vec![job(1), job(2)]);
        assert!(side.next(0).is_some() && side.next(1).is_none());
        assert!(side.mailbox.fall_asleep(|| true));
        let mut events = mio::Events::with_capacity(1);
        std::thread::scope(|scope| {
            scope.spawn(|| side.wait(side.rings()));
            poll.poll(&mut events, Some(Duration::from_secs(30))).unwrap();
            side.note_end(0, 1, 0);
            side.stop();
        });
        assert!(!events.is_empty() && side.next(1).is_some());
    }

    #[test]
    fn a_request_that_has_waited_for_too_long_goes_to_the_loop_and_not_to_a_thread() {
        let (_poll, side) = side(Duration::from_micros(1));
        let mut recent = job(2);
        recent.request.ready_us = u64::MAX;
        side.push(&mut vec![recent, job(1)]);
        assert!(!side.has_overdue());
        assert_eq!(side.next(0).map(|job| job.request.number), Some(2));
        assert!(side.has_overdue() && !side.has_requests());
        let numbers: Vec<_> = side.take_overdue().iter().map(|job| job.request.number).collect();
        assert_eq!(numbers, [1]);
        assert!(!side.has_overdue());
    }

    #[test]
    fn a_bell_that_rang_before_the_sleep_ends_the_sleep() {
        let (_poll, side) = side(Duration::MAX);
        let rings = side.rings();
        side.ring_one();
        assert_eq!(side.wait(rings), Wait::Look);
    }
}
