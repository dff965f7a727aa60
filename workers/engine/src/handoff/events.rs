//! Requests for an application with its own event loop (ASGI, gevent): an inbox, and a
//! descriptor that is readable while the inbox has events. No thread waits here.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use monoceros_sys::eventfd::EventDescriptor;

use crate::handoff::queue_age::QueueSnapshot;
use crate::handoff::queue_limit::QueueLimit;
use crate::handoff::sleep_flag::SleepFlag;
use crate::handoff::wait::lock;
use crate::stream::request::QueuedRequest;

/// An event of a stream, with the number of its request.
#[derive(Debug)]
pub(crate) enum StreamNews {
    /// It begins.
    Request(QueuedRequest),
    /// Some of its body has arrived, or its end.
    Body(u64),
    /// There is room for more of its response.
    Room(u64),
    /// Its client has ended its side, or has gone.
    Disconnected(u64),
    /// The worker drains: the application must end streams that would not end by
    /// themselves.
    Drain,
    /// The worker stops: no further event occurs.
    Stop,
}

impl StreamNews {
    /// The number of its request; `None` for an event of the worker.
    fn number(&self) -> Option<u64> {
        match self {
            Self::Request(job) => Some(job.request.number),
            Self::Body(number) | Self::Room(number) | Self::Disconnected(number) => Some(*number),
            Self::Drain | Self::Stop => None,
        }
    }
}

/// The inbox of one application side.
#[derive(Debug)]
pub(crate) struct EventSide {
    news: Mutex<VecDeque<StreamNews>>,
    /// The application reads the inbox when the descriptor is readable: the first event
    /// makes it so, for all that follow.
    waits: SleepFlag,
    doorbell: EventDescriptor,
    /// How often the inbox was emptied; wraps.
    taken: AtomicU32,
}

impl EventSide {
    /// # Errors
    /// Those of `eventfd(2)`.
    pub(crate) fn new() -> io::Result<Self> {
        let side = Self {
            news: Mutex::default(),
            waits: SleepFlag::new(),
            doorbell: EventDescriptor::new()?,
            taken: AtomicU32::new(0),
        };
        side.waits.fall_asleep(|| true);
        Ok(side)
    }

    /// Adds an event, and makes the descriptor readable.
    pub(crate) fn push(&self, news: impl IntoIterator<Item = StreamNews>) {
        lock(&self.news).extend(news);
        if self.waits.must_wake() {
            self.doorbell.raise();
        }
    }

    /// Takes all events. The next event makes the descriptor readable again.
    pub(crate) fn take(&self) -> VecDeque<StreamNews> {
        self.doorbell.clear();
        self.waits.fall_asleep(|| true);
        self.taken.fetch_add(1, Ordering::Relaxed);
        std::mem::take(&mut *lock(&self.news))
    }

    /// Takes back the requests that the application has not taken.
    pub(crate) fn take_unbegun(&self) -> VecDeque<QueuedRequest> {
        let mut requests = VecDeque::new();
        let mut news = lock(&self.news);
        for item in std::mem::take(&mut *news) {
            match item {
                StreamNews::Request(request) => requests.push_back(request),
                other => news.push_back(other),
            }
        }
        requests
    }

    /// Takes back the requests that have waited for too long at `now_us`, and what has happened
    /// to their streams.
    pub(crate) fn take_overdue(&self, limit: QueueLimit, now_us: u64) -> VecDeque<QueuedRequest> {
        let mut overdue = VecDeque::new();
        let mut news = lock(&self.news);
        let is_over = |job: &QueuedRequest| limit.is_over(job.request.ready_us, now_us);
        if !first_request(&news).is_some_and(is_over) {
            return overdue;
        }
        for item in std::mem::take(&mut *news) {
            match item {
                StreamNews::Request(job) if is_over(&job) => overdue.push_back(job),
                other => news.push_back(other),
            }
        }
        news.retain(|item| {
            let number = item.number();
            number.is_none() || !overdue.iter().any(|job| Some(job.request.number) == number)
        });
        overdue
    }

    /// When the first waiting request arrived, in microseconds of the monotonic clock.
    pub(crate) fn first_us(&self) -> Option<u64> {
        first_request(&lock(&self.news)).map(|job| job.request.ready_us)
    }

    /// Whether requests wait to be taken.
    pub(crate) fn has_requests(&self) -> bool {
        first_request(&lock(&self.news)).is_some()
    }

    /// The age of the inbox: an application that does not take its events is stuck.
    pub(crate) fn sight(&self) -> QueueSnapshot {
        let queued = u32::try_from(lock(&self.news).len()).unwrap_or(u32::MAX);
        QueueSnapshot { queued, taken: self.taken.load(Ordering::Relaxed), has_free: true }
    }
}

fn first_request(news: &VecDeque<StreamNews>) -> Option<&QueuedRequest> {
    news.iter().find_map(|item| match item {
        StreamNews::Request(job) => Some(job),
        _ => None,
    })
}

impl AsFd for EventSide {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.doorbell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handoff::queue_age::QueueAge;
    use crate::stream::request::Request;
    use crate::stream::shared_stream::test_stream;
    use monoceros_sys::wait;

    fn is_ringing(side: &EventSide) -> bool {
        wait::is_readable(side.as_fd())
    }

    #[test]
    fn the_descriptor_is_readable_while_something_waits() {
        let side = EventSide::new().unwrap();
        assert!(!is_ringing(&side));
        for _ in 0..2 {
            side.push([StreamNews::Body(1), StreamNews::Room(2)]);
            side.push([StreamNews::Stop]);
            assert!(is_ringing(&side));
            assert_eq!(side.take().len(), 3);
            assert!(!is_ringing(&side));
        }
    }

    #[test]
    fn a_request_that_has_waited_for_too_long_is_taken_back_with_its_events() {
        let side = EventSide::new().unwrap();
        let request = |number, ready_us| {
            let (stream, _) = test_stream();
            let request = Box::new(Request { number, ready_us, ..Request::default() });
            StreamNews::Request(QueuedRequest { request, stream })
        };
        side.push([request(1, 10), StreamNews::Body(1), request(2, 20), StreamNews::Body(2)]);
        side.push([StreamNews::Drain]);
        let limit = QueueLimit::new(std::time::Duration::from_micros(100));
        assert!(side.take_overdue(limit, 109).is_empty());
        let overdue = side.take_overdue(limit, 110);
        assert!(overdue.len() == 1 && overdue[0].request.number == 1);
        let numbers: Vec<_> = side.take().iter().map(StreamNews::number).collect();
        assert_eq!(numbers, [Some(2), Some(2), None]);
    }

    #[test]
    fn the_age_of_an_inbox_grows_while_nothing_is_taken() {
        let side = EventSide::new().unwrap();
        let mut age = QueueAge::default();
        assert_eq!(age.look(side.sight(), 10), None);
        side.push([StreamNews::Body(1)]);
        assert_eq!(age.look(side.sight(), 20), Some(20));
        assert_eq!(age.look(side.sight(), 30), Some(20));
        side.take();
        side.push([StreamNews::Body(1)]);
        assert_eq!(age.look(side.sight(), 40), Some(40));
    }

    /// In every order of the two threads' steps, an added event is taken, or the
    /// descriptor becomes readable after the application has read the inbox.
    #[test]
    fn every_added_event_is_taken_in_any_order_of_steps() {
        use loom::sync::atomic::AtomicU32 as ModelledU32;
        use loom::sync::{Arc, Mutex};
        loom::model(|| {
            let waits = Arc::new(SleepFlag::<ModelledU32>::new());
            let news = Arc::new(Mutex::new(0));
            let rung = Arc::new(Mutex::new(false));
            waits.fall_asleep(|| true);
            let loops = {
                let (waits, news, rung) =
                    (Arc::clone(&waits), Arc::clone(&news), Arc::clone(&rung));
                loom::thread::spawn(move || {
                    for _ in 0..2 {
                        *news.lock().unwrap() += 1;
                        if waits.must_wake() {
                            *rung.lock().unwrap() = true;
                        }
                    }
                })
            };
            let mut seen = 0;
            let mut take = || {
                *rung.lock().unwrap() = false;
                waits.fall_asleep(|| true);
                seen += std::mem::take(&mut *news.lock().unwrap());
            };
            take();
            loops.join().unwrap();
            if *rung.lock().unwrap() {
                take();
            }
            assert_eq!(seen, 2);
        });
    }
}
