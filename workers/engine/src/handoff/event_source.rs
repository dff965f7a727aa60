//! The source of requests of an application with its own event loop.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use monoceros_sys::thread as sys_thread;

use crate::handoff::events::{EventSide, StreamNews};
use crate::handoff::loop_owner::LoopOwner;
use crate::shared::Shared;
use crate::stream::exchange::Exchange;

/// An event, in the order of occurrence. Events name a stream by the number of its
/// request ([`Request::number`](crate::Request::number)).
#[derive(Debug)]
pub enum InboxEvent {
    /// A request has arrived. Its body may not be complete.
    Request(Box<Exchange>),
    /// More of a body has arrived, or its end, after a piece was asked for and there
    /// was none.
    Body(u64),
    /// There is room for more of a response, after [`Exchange::await_room`].
    Room(u64),
    /// The client has ended its side, or has gone.
    Disconnected(u64),
    /// The worker drains: the application must end streams that would not end by
    /// themselves, such as one with [`Exchange::upgrade`].
    Drain,
    /// The worker stops: no further event occurs.
    Stop,
}

/// The application's end of the engine. The application waits for its descriptor
/// ([`AsFd`]) to become readable, and then takes the events.
#[derive(Clone)]
pub struct EventSource {
    shared: Arc<Shared>,
    loop_owner: Arc<LoopOwner>,
}

impl EventSource {
    /// `None` where requests go to threads.
    pub(crate) fn new(shared: Arc<Shared>, loop_owner: Arc<LoopOwner>) -> Option<Self> {
        shared.handoff.events()?;
        shared.board.show_thread(0, sys_thread::id(), sys_thread::pthread());
        Some(Self { shared, loop_owner })
    }

    /// Takes all events since the last call, without waiting.
    #[must_use]
    pub fn take(&self) -> Vec<InboxEvent> {
        let news = self.side().take();
        let event = |news| match news {
            StreamNews::Request(job) => {
                InboxEvent::Request(Box::new(Exchange::new(Arc::clone(&self.shared), 0, job)))
            }
            StreamNews::Body(number) => InboxEvent::Body(number),
            StreamNews::Room(number) => InboxEvent::Room(number),
            StreamNews::Disconnected(number) => InboxEvent::Disconnected(number),
            StreamNews::Drain => InboxEvent::Drain,
            StreamNews::Stop => InboxEvent::Stop,
        };
        news.into_iter().map(event).collect()
    }

    /// Runs the engine's loop for one turn on this thread, without waiting: for an application
    /// that watches [`EventSource::loop_descriptor`] beside its own descriptors, in place of
    /// the I/O thread. Returns when the next turn is due if the descriptor does not become
    /// readable before; `None` while another thread runs the loop.
    #[must_use]
    pub fn turn_loop(&self) -> Option<Duration> {
        self.loop_owner.turn_now()
    }

    /// The descriptor of the engine's loop (`epoll(7)`).
    ///
    /// # Errors
    /// Those of `fcntl(2)`: no descriptor is left.
    pub fn loop_descriptor(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        self.loop_owner.descriptor()
    }

    fn side(&self) -> &EventSide {
        self.shared.handoff.events().expect("looked at where the source was made")
    }
}

impl AsFd for EventSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.side().as_fd()
    }
}
