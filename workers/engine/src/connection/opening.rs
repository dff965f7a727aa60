//! What precedes the first byte of the protocol: a header of the PROXY protocol, a look at
//! the first byte of a client that has to use TLS, and the handshake.
//!
//! The header and the first byte are looked at and left in the socket (`MSG_PEEK`,
//! `recv(2)`): what follows the header belongs to the client. Events are edge-triggered, and
//! a header may arrive in pieces. Each piece is an event of its own, whether the earlier ones
//! were read or not (`epoll(7)`), and so is the registration if a piece came before it.

use monoceros_sys::reason;
use monoceros_wire::listener::{ProxyProtocol, Scheme};
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::address::ProxiedConnection;
use crate::connection::opening_step::OpeningStep;
use crate::connection::table::Connections;
use crate::connection::{Connection, Phase};
use crate::protocol::proxy_header::{self, LONGEST, ProxyHeader, ProxyRead};
use crate::record::request_facts::RequestFacts;
use crate::shared::Shared;
use crate::stream::local::LocalResponse;
use crate::stream::response::Asked;
use crate::transport::file_range::is_for_now;
use crate::transport::socket::Socket;

/// What a client that uses plain HTTP at an https listener gets, behind the status.
const EXPLANATION: &str =
    "This port uses HTTPS: begin the address with https:// instead of http://.\n";

/// The result of a step.
enum Stepped {
    /// The next step follows; without one the connection is open.
    On(Option<OpeningStep>),
    /// More has to arrive.
    Waits,
    /// The connection is not opened.
    Over,
}

impl Connections {
    /// Continues what precedes the first request.
    pub(crate) fn open(&mut self, token: usize) {
        loop {
            let Some(connection) = self.slab.get_mut(token) else { return };
            let Phase::Opening(step) = connection.phase else { return };
            let stepped = match step {
                OpeningStep::ProxyHeader(expected) => self.read_proxy_header(token, expected),
                OpeningStep::FirstByte => self.look_at_first_byte(token),
                OpeningStep::Layer => self.open_layer(token),
            };
            let Some(connection) = self.slab.get_mut(token) else { return };
            if matches!((step, &stepped), (OpeningStep::ProxyHeader(_), Stepped::On(_))) {
                connection.begin_count(&self.shared);
            }
            match stepped {
                // The time of the whole opening is limited.
                Stepped::On(Some(step)) => connection.phase = Phase::Opening(step),
                Stepped::On(None) => {
                    connection.enter(Phase::opened(&connection.link));
                    // The event of the client's end occurs only once.
                    let to_end = connection.hung_up;
                    return self.read(token, to_end);
                }
                Stepped::Waits => return self.settle_reading(token),
                Stepped::Over => return,
            }
        }
    }

    fn read_proxy_header(&mut self, token: usize, expected: ProxyProtocol) -> Stepped {
        let Some(connection) = self.slab.get(token) else { return Stepped::Over };
        let (link, scratch) = (&connection.link, &mut self.work.scratch[..LONGEST]);
        let count = match link.socket.peek(scratch) {
            Ok(count @ 1..) => count,
            Err(error) if is_for_now(&error) => return Stepped::Waits,
            // A client that leaves without having sent anything is nothing to report.
            Ok(0) | Err(_) => return self.leave(token),
        };
        let found = proxy_header::read(&scratch[..count], expected);
        let is_allowed = self.shared.allows_proxy(link.socket_peer());
        let why = match found {
            Ok(ProxyRead::Absent) => {
                return Stepped::On(OpeningStep::behind_header(link.is_plain));
            }
            // What begins as a header may be something else.
            Ok(ProxyRead::Partial) if !connection.hung_up => return Stepped::Waits,
            Ok(ProxyRead::Whole(_)) if !is_allowed => {
                "it sends a PROXY header, and --proxy-allow-ips does not name it"
            }
            Ok(ProxyRead::Whole(ProxyHeader { length, addresses })) => {
                if !consume(&link.socket, &mut scratch[..length]) {
                    return self.leave(token);
                }
                if let Some((client, server)) = addresses {
                    link.set_proxied(ProxiedConnection::new(client, server));
                }
                return Stepped::On(OpeningStep::behind_header(link.is_plain));
            }
            Ok(ProxyRead::Partial) => "it ended within its PROXY header",
            Err(why) => why,
        };
        self.refuse_opening(token, GivenUp::ProxyHeader, why)
    }

    fn look_at_first_byte(&mut self, token: usize) -> Stepped {
        let Some(connection) = self.slab.get(token) else { return Stepped::Over };
        let mut first = [0];
        match connection.link.socket.peek(&mut first) {
            Ok(1..) if connection.link.layer_admits(first[0]) => {
                Stepped::On(Some(OpeningStep::Layer))
            }
            Ok(1..) => self.refuse_plain_http(token),
            Err(error) if is_for_now(&error) => Stepped::Waits,
            // As above.
            Ok(0) | Err(_) => self.leave(token),
        }
    }

    fn open_layer(&mut self, token: usize) -> Stepped {
        let Some(connection) = self.slab.get(token) else { return Stepped::Over };
        match connection.link.open() {
            Ok(true) => {
                if let Some(session) = connection.link.session() {
                    self.shared.board.count_handshake(session.is_resumed);
                }
                Stepped::On(None)
            }
            Ok(false) => Stepped::Waits,
            Err(error) => self.refuse_opening(token, GivenUp::Handshake, &reason(&error)),
        }
    }

    fn leave(&mut self, token: usize) -> Stepped {
        self.close(token);
        Stepped::Over
    }

    /// Closes a connection that cannot be opened, and logs it.
    fn refuse_opening(&mut self, token: usize, kind: GivenUp, why: &str) -> Stepped {
        if let Some(connection) = self.slab.get(token) {
            let peer = connection.link.peer();
            self.shared.give_up(kind, None, format_args!("closed {peer}: {why}"));
        }
        self.leave(token)
    }

    /// Responds without the layer to a client that does not use it.
    fn refuse_plain_http(&mut self, token: usize) -> Stepped {
        let Some(connection) = self.slab.get(token) else { return Stepped::Over };
        let (peer, id) = (connection.link.peer(), self.work.id_of(None));
        let line = format_args!("refused {peer}: 400 plain HTTP at an https port (request {id})");
        self.shared.give_up(GivenUp::Refused, Some(RequestFacts::new(&id, None)), line);
        connection.link.remove_layer();
        let local = LocalResponse::explained_refusal(400, EXPLANATION);
        let own = self.shared.own_fields(Scheme::Http).with_id(&id);
        let local = local.conclude(Asked::last(false, own));
        self.shared.board.count_answer(400);
        connection.log_local(&self.shared, None, &id, &local);
        self.end_with(token, local);
        Stepped::Over
    }

    /// Closes a connection whose opening takes too long.
    pub(super) fn time_out_opening(&mut self, token: usize) {
        let Some(connection) = self.slab.get(token) else { return };
        let why = match connection.phase {
            Phase::Opening(OpeningStep::ProxyHeader(_)) => {
                "its PROXY header took longer than --tls-handshake-timeout"
            }
            _ => "its handshake took longer than --tls-handshake-timeout",
        };
        self.give_up_opening(token, why);
    }

    /// Closes a connection that is opening. One whose client has sent nothing is idle.
    pub(super) fn give_up_opening(&mut self, token: usize, why: &'static str) {
        let Some(connection) = self.slab.get(token) else { return };
        let kind = match connection.phase {
            Phase::Opening(OpeningStep::ProxyHeader(_)) => GivenUp::ProxyHeader,
            _ => GivenUp::Handshake,
        };
        if connection.has_begun_to_open() {
            self.refuse_opening(token, kind, why);
        } else {
            self.close(token);
        }
    }
}

impl Connection {
    /// Whether the client may be another one than the peer of the socket: a proxy may still name
    /// it.
    pub(super) fn awaits_proxy_header(&self) -> bool {
        matches!(self.phase, Phase::Opening(OpeningStep::ProxyHeader(_)))
    }

    /// The client is known: counts the connection among those of its client.
    pub(super) fn begin_count(&mut self, shared: &Shared) {
        let limit = shared.options.connection_limit.as_ref();
        self.counted = limit.map(|it| it.begin(self.link.peer(), self.link.listener));
    }

    /// The connection ends, and does not count any more.
    pub(super) fn end_count(&mut self, shared: &Shared) {
        if let (Some(limit), Some(counted)) =
            (&shared.options.connection_limit, self.counted.take())
        {
            limit.end(self.link.peer(), counted);
        }
    }

    /// Whether the client has sent something of the opening.
    fn has_begun_to_open(&self) -> bool {
        matches!(self.phase, Phase::Opening(OpeningStep::Layer)) || self.link.socket.has_arrived()
    }
}

/// Reads as many bytes as `into` has, which were looked at before. Returns whether they
/// were there.
fn consume(socket: &Socket, mut into: &mut [u8]) -> bool {
    while !into.is_empty() {
        match socket.receive(into) {
            Ok(count @ 1..) => into = &mut into[count..],
            Ok(0) | Err(_) => return false,
        }
    }
    true
}
