//! Responses behind which another protocol follows (101, RFC 9110 section 7.8). An application
//! with an event loop passes its bytes through the exchange. One with threads takes over the
//! connection: what is sent on it is the application's own, and the response is no more than a
//! line of the access log.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use monoceros_http::{Head, Version, has_token};
use socket2::{SockRef, TcpKeepalive};

use super::Exchange;
use crate::connection::address::Address;
use crate::connection::relay::{Relay, RelayControl, StreamReturn};
use crate::stream::response::{Asked, Fault};

/// How long a connection is silent before the kernel asks the client's system for a sign of
/// life (`TCP_KEEPIDLE`, tcp(7)). Clients that have disappeared are noticed in this way.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// How often it asks until the connection is broken.
const KEEPALIVE_RETRIES: u32 = 4;

/// The time between two of these.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The application's end of a connection that it has taken over.
#[derive(Debug)]
pub struct SwitchedSocket {
    /// A copy of the connection's own descriptor, or one end of a pair of sockets.
    pub fd: OwnedFd,
    /// The addresses of the client and of the server; `None` if the descriptor has them.
    pub names: Option<(Address, Arc<Address>)>,
}

/// A connection that the application has taken over.
#[derive(Debug)]
pub(super) struct SwitchedConnection {
    back: Arc<StreamReturn>,
    /// What passes the bytes of a connection with a layer.
    relay: Option<RelayControl>,
}

impl Exchange {
    /// Begins a response behind which another protocol follows, such as `websocket`.
    /// Its head is sent with the first [`Exchange::write`], which may be empty. Later
    /// bytes of the application are sent unchanged, and bytes of the client arrive as
    /// pieces, to the end of the connection.
    ///
    /// # Errors
    /// The protocol's name is malformed; [`Fault::Upgrade`] when the client has not
    /// asked for another protocol (RFC 9110 section 7.8) or the request's body was not
    /// taken, or where requests go to threads.
    pub fn upgrade(&mut self, protocol: &[u8]) -> Result<(), Fault> {
        let head = &self.request().head;
        let is_asked = head.version() == Version::Http11 && head.field(b"upgrade").is_some();
        let has_events = self.shared.handoff.events().is_some();
        // Raw bytes last to the end of a connection, which other streams share.
        let may_follow = has_events && !self.link().is_multiplexed;
        if !is_asked || !may_follow || !self.stream.inbound.is_through() {
            return Err(Fault::Upgrade);
        }
        self.request_mut().response.upgrade(protocol)
    }

    /// Whether the application may take over the connection: the client asks for another
    /// protocol with HTTP/1.1, and has sent nothing behind the request.
    #[must_use]
    pub fn may_switch(&self) -> bool {
        let request = self.request();
        !self.link().is_multiplexed
            && asks_for_upgrade(&request.head)
            && !request.has_more
            && !self.handed_over
            && self.shared.handoff.threads().is_some()
    }

    /// Whether the application has taken over the connection.
    #[must_use]
    pub fn is_switched(&self) -> bool {
        self.switched.is_some()
    }

    /// Gives the connection to the application. From now on nothing of its response is sent.
    ///
    /// # Errors
    /// `InvalidInput` when the connection cannot be taken over or the response has begun;
    /// those of `fcntl(2)`, `socketpair(2)` and of starting a thread; `TimedOut` when the
    /// client has got another response meanwhile.
    pub fn switch(&mut self) -> io::Result<SwitchedSocket> {
        if self.is_committed() || !self.may_switch() {
            let text = "the connection cannot be taken over any more: the response has begun";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let (fd, near) = self.application_end()?;
        if !self.stream.claim.begin() {
            self.gone = true;
            let text = "the time of the request is over, and its client has got a response";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        self.conclude_switch();
        let link = self.link();
        link.switch();
        link.redeem();
        watch_for_loss(&link.socket);
        let names = near.is_some().then(|| (link.socket_peer().clone(), Arc::clone(&link.local)));
        let back = Arc::new(StreamReturn::new(&self.shared, &self.stream));
        let relay = near.map(|near| Relay::start(&back, near)).transpose();
        let (relay, failure) = match relay {
            Ok(relay) => (relay, None),
            Err(error) => (None, Some(error)),
        };
        self.switched = Some(Box::new(SwitchedConnection { back, relay }));
        self.shared.handoff.call_back(Arc::clone(&self.stream));
        failure.map_or(Ok(SwitchedSocket { fd, names }), Err)
    }

    /// The application has closed its end before the request is over: the client gets the end
    /// behind what was sent.
    pub fn end_switched(&self) {
        match self.switched.as_deref() {
            Some(SwitchedConnection { relay: Some(relay), .. }) => relay.end(),
            // The client may have ended the connection already.
            Some(SwitchedConnection { relay: None, .. }) => drop(self.link().end_writing()),
            None => {}
        }
    }

    /// The descriptor for the application, and the other end if it is one of a pair: a layer
    /// stands between its bytes and the connection.
    fn application_end(&self) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
        if self.link().is_plain {
            return Ok((self.link().as_fd().try_clone_to_owned()?, None));
        }
        let (near, far) = std::os::unix::net::UnixStream::pair()?;
        Ok((far.into(), Some(near.into())))
    }

    /// Makes the response one with another protocol behind it, for log and scoreboard.
    fn conclude_switch(&mut self) {
        let request = self.request_mut();
        let protocol = request.head.field(b"upgrade").unwrap_or_default().to_vec();
        // The field was checked when it arrived.
        request.response.upgrade(&protocol).ok();
        let own = self.shared.own_fields(self.scheme());
        let request = self.request.as_deref_mut().expect("present until the end");
        let (asked, response): (Asked, _) = request.asked(false, own);
        response.conclude(asked, None);
        self.streams = true;
        self.shared.board.show_stream(self.shown, true);
    }

    /// The request is over: so is the application's part of the connection. The client still
    /// gets what a relay has not sent.
    pub(super) fn return_switched(&self, switched: SwitchedConnection) {
        self.stream.claim.give();
        let SwitchedConnection { back, relay } = switched;
        if let Some(relay) = relay {
            relay.end();
        }
        StreamReturn::give_up_part(back);
    }
}

/// Whether a request asks for another protocol (RFC 9110 section 7.8).
fn asks_for_upgrade(head: &Head) -> bool {
    let is_option = |(name, value): (&[u8], &[u8])| {
        name.eq_ignore_ascii_case(b"connection") && has_token(value, b"upgrade")
    };
    head.version() == Version::Http11
        && head.field(b"upgrade").is_some()
        && head.fields().any(is_option)
}

/// Has the kernel notice when the client's system has disappeared: the server sends nothing by
/// itself. A unix socket has no such option, and needs none.
fn watch_for_loss(socket: &impl AsFd) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    SockRef::from(socket).set_tcp_keepalive(&keepalive).ok();
}
