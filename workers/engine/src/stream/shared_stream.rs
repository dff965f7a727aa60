//! The part of a stream that both sides of a worker hold. A stream is one request with
//! its response; a connection carries one at a time or several, depending on its
//! protocol.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::connection::shared::SharedConnection;
use crate::record::access::Draft;
use crate::stream::claim::ResponseClaim;
use crate::stream::end::StreamEnd;
use crate::stream::inbound::Inbound;
use crate::stream::label::RequestLabel;
use crate::transport::outgoing::Stores;

/// What is done with a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request is read.
    KeepAlive,
    /// The connection is closed when everything has been written.
    Close,
    /// As above, but the client may still be sending bytes that are not read: they are
    /// discarded for a while.
    Linger,
    /// The connection is closed at once: the response is broken, which the client
    /// notices by its framing.
    Abort,
    /// As above, for a response that ends with the connection: the client notices only
    /// by a reset that it is broken.
    Reset,
}

/// The part of a stream that an application thread and the I/O thread share. With
/// HTTP/1 it is used again for the next request of the connection.
#[derive(Debug)]
pub(crate) struct SharedStream {
    /// The connection that carries it.
    pub(crate) connection: Arc<SharedConnection>,
    /// The protocol's number for the stream; 0 with HTTP/1.
    pub(crate) id: u32,
    /// The client has given up the stream: the rest of the response is not sent.
    lost: AtomicBool,
    /// Which side may respond.
    pub(crate) claim: ResponseClaim,
    /// Whether the application side has its request.
    pub(crate) end: StreamEnd,
    finished_ms: AtomicU64,
    tail: Mutex<ResponseTail>,
    /// Its body, where the application takes it as it arrives.
    pub(crate) inbound: Inbound,
}

/// What the I/O thread does after a response, and what it records.
#[derive(Debug, Default)]
pub(crate) struct ResponseTail {
    /// Set when the application side has finished.
    pub(crate) after: Option<After>,
    /// The bytes behind the head are not of the protocol, in both directions.
    pub(crate) is_raw: bool,
    /// The request whose response waits.
    pub(crate) label: Option<RequestLabel>,
    /// The access log's line for when the response has gone, once the application side
    /// has finished.
    pub(crate) account: Option<Account>,
}

/// A line of the access log that waits for the end of its response.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) draft: Draft,
    /// The length of the response's head.
    pub(crate) head: u64,
    /// The length of its body.
    pub(crate) body: u64,
}

/// A response that was given up.
#[derive(Debug)]
pub(crate) struct Lost {
    /// Its request, in the log.
    pub(crate) label: Option<RequestLabel>,
    /// Bytes that the client can have got.
    pub(crate) sent: u64,
    pub(crate) account: Option<Account>,
}

impl Account {
    /// How much of the body is in so many bytes of the response; at most, as bytes of
    /// the framing are not distinguished.
    pub(crate) fn body_in(&self, bytes: u64) -> u64 {
        self.body.min(bytes.saturating_sub(self.head))
    }
}

impl SharedStream {
    /// A stream of which no request has arrived.
    pub(crate) fn new(connection: Arc<SharedConnection>) -> Self {
        Self::on(connection, 0)
    }

    /// As above, with the protocol's number.
    pub(crate) fn on(connection: Arc<SharedConnection>, id: u32) -> Self {
        Self {
            connection,
            id,
            lost: AtomicBool::new(false),
            claim: ResponseClaim::new(),
            end: StreamEnd::new(),
            finished_ms: AtomicU64::new(0),
            tail: Mutex::default(),
            inbound: Inbound::default(),
        }
    }

    /// Hands the request to the application side; nothing of its response has gone.
    /// With `reports` the application side reports the end to the I/O thread by a
    /// message.
    pub(crate) fn run(&self, reports: bool) {
        self.claim.open();
        self.end.run(reports);
    }

    /// The client has given up the stream.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether the client has given up the stream.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Whether the client has gone while the application side writes the response. A
    /// client that has only ended its side of the connection looks the same; it still
    /// gets the response.
    pub(crate) fn has_left(&self) -> bool {
        self.claim.has_begun() && self.connection.socket.has_ended()
    }

    /// The application side has finished, without a message. `false`: the I/O thread
    /// needs a message.
    pub(crate) fn finish(&self, now_ms: u64) -> bool {
        self.finished_ms.store(now_ms, Ordering::Relaxed);
        self.end.finish()
    }

    /// When the application side last finished a request, in milliseconds of the
    /// monotonic clock.
    pub(crate) fn finished_ms(&self) -> u64 {
        self.finished_ms.load(Ordering::Relaxed)
    }

    /// The work after the response. Its lock is taken after the connection's.
    pub(crate) fn tail(&self) -> MutexGuard<'_, ResponseTail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an interim response, unless the response has begun: bytes that the
    /// application sends under the connection's lock follow it.
    pub(crate) fn send_interim(&self, bytes: Vec<u8>, stores: Stores) {
        let mut outlet = self.connection.outlet();
        if !self.claim.is_open() || outlet.failed {
            return;
        }
        // So few bytes stay in memory, without a file.
        let spill = outlet.outgoing.push_bytes(Box::new(bytes), 0, stores);
        debug_assert!(spill.is_none());
        // Reading notices a client that has gone.
        outlet.outgoing.flush(&self.connection.socket).ok();
    }

    /// The application side has finished, and has passed so many bytes to the kernel
    /// that were not counted; `gone` is set when the client cannot be written to.
    /// Returns how many bytes of its response the client can have got; `None` if some
    /// wait, and `account` is kept until then.
    pub(crate) fn settle(
        &self,
        handed: u64,
        gone: bool,
        account: &mut Option<Account>,
    ) -> Option<u64> {
        let mut outlet = self.connection.outlet();
        outlet.handed += handed;
        if gone {
            outlet.fail(&self.connection.socket);
        }
        if !outlet.failed && !outlet.outgoing.is_empty() {
            self.tail().account = account.take();
            return None;
        }
        self.tail().label = None;
        let sent = outlet.sent();
        outlet.handed = 0;
        Some(sent)
    }

    /// All waiting bytes have been sent, and the application side has finished. Returns
    /// the access log's line, if it waits for that.
    pub(crate) fn settle_account(&self) -> Option<Account> {
        self.connection.outlet().handed = 0;
        let mut tail = self.tail();
        tail.label = None;
        tail.account.take()
    }

    /// Gives up writing, as [`SharedConnection::fail`]. Returns what was lost. Must be
    /// called before the connection is closed: afterwards the kernel does not report
    /// it.
    pub(crate) fn give_up(&self) -> Lost {
        let mut outlet = self.connection.outlet();
        outlet.fail(&self.connection.socket);
        let sent = outlet.sent();
        let (label, account) = {
            let mut tail = self.tail();
            (tail.label.take(), tail.account.take())
        };
        self.connection.wake(outlet);
        Lost { label, sent, account }
    }
}

/// A stream of a connection at a unix socket, for tests, and its client.
#[cfg(test)]
pub(crate) fn test_stream() -> (Arc<SharedStream>, std::os::unix::net::UnixStream) {
    let (connection, client) = crate::connection::shared::test_pair();
    (Arc::new(SharedStream::new(Arc::new(connection))), client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::shared::Waited;
    use crate::transport::outgoing::Flushed;
    use crate::transport::room::Room;
    use std::time::Duration;

    #[test]
    fn an_interim_response_does_not_follow_a_whole_response() {
        use std::io::Read;
        let (stream, mut client) = test_stream();
        let spools = crate::spool::test_spools(std::env::temp_dir());
        let room = Arc::new(Room::new(1 << 20, 0));
        let stores = || Stores { spools: &spools, room: &room };
        client.set_nonblocking(true).unwrap();
        stream.run(true);
        stream.send_interim(b"100".to_vec(), stores());
        assert_eq!(client.read(&mut [0; 10]).unwrap(), 3);
        assert!(stream.claim.begin());
        stream.claim.give();
        stream.send_interim(b"100".to_vec(), stores());
        assert!(client.read(&mut [0; 10]).is_err(), "nothing has come");
    }

    #[test]
    fn a_response_that_is_given_up_has_the_number_of_delivered_bytes() {
        let (stream, _client) = test_stream();
        let link = &stream.connection;
        let spools = crate::spool::test_spools(std::env::temp_dir());
        let room = Arc::new(Room::new(64 << 20, 0));
        let length = 8 << 20;
        link.leave(Box::new(vec![0; length]), 0, Stores { spools: &spools, room: &room });
        let Flushed::Blocked(gone) = link.flush().unwrap() else { panic!("all has gone") };
        let mut account =
            Some(Account { draft: Draft::Line(<_>::default()), head: 100, body: 1 << 30 });
        assert_eq!(stream.settle(7, false, &mut account), None, "some waits");
        let lost = stream.give_up();
        assert_eq!(lost.sent, gone + 7);
        assert_eq!(lost.account.unwrap().body_in(lost.sent), gone + 7 - 100);
        assert_eq!(link.wait_for_room(&room, false, Duration::ZERO), Waited::ClientDisconnected);
    }
}
