//! Passes the bytes of a connection that the application has taken over, where a layer such as
//! TLS stands between them and the socket: the application has one end of a pair of sockets.
//! A thread for each of these connections, which occupies an application thread in any case.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use monoceros_sys::fork::Private;
use monoceros_sys::wait::{Readiness, wait};
use monoceros_sys::{socket, thread as sys_thread};

use crate::connection::shared::SharedConnection;
use crate::shared::Shared;
use crate::stream::shared_stream::{After, SharedStream};
use crate::transport::file_range::is_for_now;
use crate::transport::outgoing::Flushed;

/// The most bytes that are passed at once, in either direction.
const PIECE: usize = 16 * 1024;

/// How many pieces are passed in one direction before the other one is looked at.
const SHARE: usize = 4;

/// The memory of the thread's stack.
const STACK: usize = 256 * 1024;

/// Returns a stream to the loop when both the request and the relay are over.
#[derive(Debug)]
pub(crate) struct StreamReturn {
    shared: Arc<Shared>,
    stream: Arc<SharedStream>,
}

impl StreamReturn {
    pub(crate) fn new(shared: &Arc<Shared>, stream: &Arc<SharedStream>) -> Self {
        Self { shared: Arc::clone(shared), stream: Arc::clone(stream) }
    }

    /// One of the holders needs the stream no longer. The last one returns it: the client gets
    /// the end, and what it still sends is read.
    pub(crate) fn give_up_part(part: Arc<Self>) {
        if let Some(Self { shared, stream }) = Arc::into_inner(part) {
            stream.tail().after = Some(After::Linger);
            shared.handoff.call_back(stream);
        }
    }
}

/// The application side's hold on a relay.
#[derive(Debug)]
pub(crate) struct RelayControl {
    near: Arc<Private>,
}

impl RelayControl {
    /// The application sends nothing more: what it has sent still goes to the client.
    pub(crate) fn end(&self) {
        // Fails only if both ends are closed.
        socket::shutdown(self.near.as_fd()).ok();
    }
}

/// What a direction waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// Nothing: there may be more.
    Again,
    /// The client's socket.
    Client(Readiness),
    /// The application's end.
    Application(Readiness),
    /// It has ended.
    Over,
}

/// Bytes that were read and not taken.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    taken: usize,
}

impl Held {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// Replaces the bytes, which were taken, by what `read` has read.
    fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        self.bytes.resize(PIECE, 0);
        self.taken = PIECE;
        let count = read(&mut self.bytes)?;
        self.bytes.truncate(count);
        self.taken = 0;
        Ok(count)
    }
}

/// A relay, on its thread.
pub(crate) struct Relay {
    back: Arc<StreamReturn>,
    near: Arc<Private>,
    from_client: Held,
    from_application: Held,
}

impl Relay {
    /// Starts to pass bytes between the connection and this end of a pair.
    ///
    /// # Errors
    /// Those of `fcntl(2)`, and of starting a thread.
    pub(crate) fn start(back: &Arc<StreamReturn>, near: OwnedFd) -> io::Result<RelayControl> {
        let near = Arc::new(Private::from(near));
        let relay = Self {
            back: Arc::clone(back),
            near: Arc::clone(&near),
            from_client: Held::default(),
            from_application: Held::default(),
        };
        let builder = thread::Builder::new().name("monoceros-relay".to_owned()).stack_size(STACK);
        builder.spawn(move || relay.run())?;
        Ok(RelayControl { near })
    }

    fn run(mut self) {
        // Signal handlers of the application interrupt its own threads only.
        sys_thread::block_signals().ok();
        while !self.turn() {}
        let link = self.link();
        if !link.outlet().failed {
            // The loop announces what cannot be announced now.
            link.end_writing().ok();
        }
        socket::shutdown(self.near.as_fd()).ok();
        StreamReturn::give_up_part(self.back);
    }

    fn link(&self) -> &SharedConnection {
        &self.back.stream.connection
    }

    /// Passes what there is, and waits for more. Returns whether the relay is over.
    fn turn(&mut self) -> bool {
        let (up, down) = (self.pass_to_application(), self.pass_to_client());
        if down == Direction::Over {
            return true;
        }
        let is_busy = up == Direction::Again || down == Direction::Again;
        let asked: Vec<_> = [up, down].into_iter().filter_map(|it| self.event(it)).collect();
        wait(&asked, is_busy.then_some(Duration::ZERO)).is_err()
    }

    /// The event that a direction waits for.
    fn event(&self, direction: Direction) -> Option<(BorrowedFd<'_>, Readiness)> {
        match direction {
            Direction::Client(readiness) => Some((self.link().as_fd(), readiness)),
            Direction::Application(readiness) => Some((self.near.as_fd(), readiness)),
            Direction::Again | Direction::Over => None,
        }
    }

    /// Passes what the client has sent. When that ends, the application reads an end.
    fn pass_to_application(&mut self) -> Direction {
        let link = &self.back.stream.connection;
        for _ in 0..SHARE {
            if self.from_client.rest().is_empty() {
                match self.from_client.fill(|into| link.read(into).map(|(count, _)| count)) {
                    Ok(1..) => {}
                    Err(error) if is_for_now(&error) => {
                        return Direction::Client(Readiness::Readable);
                    }
                    Ok(0) | Err(_) => {
                        // Fails if the application has closed its end.
                        socket::shutdown_write(self.near.as_fd()).ok();
                        return Direction::Over;
                    }
                }
            }
            match socket::send(self.near.as_fd(), self.from_client.rest(), false) {
                Ok(count) => self.from_client.taken += count,
                Err(error) if is_for_now(&error) => {
                    return Direction::Application(Readiness::Writable);
                }
                // The application reads nothing more.
                Err(_) => return Direction::Over,
            }
        }
        Direction::Again
    }

    /// Passes what the application has sent, to its end.
    fn pass_to_client(&mut self) -> Direction {
        let link = &self.back.stream.connection;
        for _ in 0..SHARE {
            match flush(link) {
                Ok(None) => {}
                Ok(Some(direction)) => return direction,
                Err(Gone) => return Direction::Over,
            }
            if self.from_application.rest().is_empty() {
                let near = self.near.as_fd();
                match self.from_application.fill(|into| socket::receive(near, into)) {
                    Ok(1..) => {}
                    Err(error) if is_for_now(&error) => {
                        return Direction::Application(Readiness::Readable);
                    }
                    Ok(0) | Err(_) => return Direction::Over,
                }
            }
            let Ok((count, _)) = link.send_through_layer(&[self.from_application.rest()]) else {
                return Direction::Over;
            };
            self.from_application.taken += count;
        }
        Direction::Again
    }
}

/// The client cannot be written to any more.
struct Gone;

/// Sends what the layer holds. Returns what has to be waited for, if some is left.
fn flush(link: &SharedConnection) -> Result<Option<Direction>, Gone> {
    match link.flush() {
        Ok(Flushed::All) if link.outlet().failed => Err(Gone),
        Ok(Flushed::All) => Ok(None),
        Ok(Flushed::Blocked(_)) => Ok(Some(Direction::Client(Readiness::Writable))),
        Ok(Flushed::Paused(_) | Flushed::Cold(_)) => Ok(Some(Direction::Again)),
        Err(_) => Err(Gone),
    }
}
