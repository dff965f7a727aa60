//! Bodies that go to the application as they arrive, and the events of a connection
//! that an application with its own event loop gets.

use monoceros_wire::request_id::RequestId;

use crate::connection::responding::request_for_body;
use crate::connection::table::{Connections, SHARE};
use crate::connection::turn_work::{TurnWork, Unfinished};
use crate::connection::{Connection, Phase};
use crate::handoff::events::StreamNews;
use crate::protocol::upload::{PassState, Passed};
use crate::record::request_facts::RequestFacts;
use crate::shared::Shared;
use crate::stream::inbound::BodyEnd;
use crate::transport::file_range::is_for_now;

impl Connections {
    /// Continues a body that the application takes as it arrives: passes on what waits,
    /// and reads more while there is room.
    pub(super) fn go_on_passing(&mut self, token: usize) {
        for _ in 0..SHARE {
            let Some(connection) = self.slab.get_mut(token) else { return };
            if !matches!(connection.phase, Phase::Lent) || !connection.http1.passes_body() {
                return;
            }
            let inbound = &connection.stream.inbound;
            let mut count = 0;
            let mut is_all = false;
            if !connection.http1.has_input() {
                if self.work.scratch.is_empty() {
                    // The bytes in it are being handled: they have begun this request. No
                    // event announces bytes that are in the socket already.
                    break;
                }
                let room = inbound.room().min(self.work.scratch.len());
                if room == 0 {
                    connection.unread = true;
                    return;
                }
                match connection.link.read(&mut self.work.scratch[..room]) {
                    Ok((0, _)) => return connection.end_passing(&mut self.work),
                    Ok((received, more)) => {
                        count = received;
                        is_all = !more && !connection.hung_up;
                    }
                    Err(error) if is_for_now(&error) => {
                        connection.unread = false;
                        return;
                    }
                    Err(_) => return connection.end_passing(&mut self.work),
                }
            }
            let passed = connection.http1.pass(&self.work.scratch[..count], inbound);
            if !connection.note_passed(&mut self.work, passed) {
                connection.unread = true;
                return;
            }
            if is_all && !connection.http1.has_input() {
                connection.unread = false;
                return;
            }
        }
        self.work.unfinished.push(Unfinished::Passing { token });
    }

    /// The application has taken some of a body, waits for more, or has changed the
    /// protocol.
    pub(super) fn serve_body(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let stream = &connection.stream;
        if std::mem::take(&mut stream.tail().is_raw) {
            connection.http1.pass_raw();
        }
        if stream.inbound.is_to_ask() {
            stream.send_interim(request_for_body(), self.shared.stores());
        }
        self.go_on_passing(token);
    }
}

impl Connection {
    /// The application has the request of the connection; a part of its body may have
    /// arrived.
    pub(super) fn begin_passing(&self, shared: &Shared, asks: bool) {
        let inbound = &self.stream.inbound;
        if self.http1.passes_body() {
            let asks = asks && !self.http1.has_input();
            inbound.open(shared.options.application.body_buffer(), asks);
        } else {
            inbound.close();
        }
    }

    /// Notifies the application of what became of a part of a body. Returns whether
    /// more can come.
    fn note_passed(&self, work: &mut TurnWork, passed: Passed) -> bool {
        let is_over = matches!(passed.state, PassState::Ended | PassState::Refused(..));
        let goes_on = match passed.state {
            PassState::More => true,
            PassState::Full | PassState::Ended => false,
            PassState::Refused(kind, reject) => {
                let id = self.lent_id(&work.shared);
                let facts = RequestFacts::new(&id, Some(&self.lent.head));
                work.shared.give_up_body(kind, self.link.peer(), reject.reason, facts);
                false
            }
        };
        if passed.is_news {
            work.notify(StreamNews::Body(self.lent.number));
        }
        if is_over && self.hung_up {
            // The event that reported the end does not come again.
            self.notify_disconnected(work);
        }
        goes_on
    }

    /// The client has ended its side while the application takes what it sends.
    fn end_passing(&mut self, work: &mut TurnWork) {
        self.read_closed = true;
        let end = if self.http1.is_raw() { BodyEnd::Whole } else { BodyEnd::Broken };
        self.end_body(work, end);
        if end == BodyEnd::Broken {
            self.notify_disconnected(work);
        }
    }

    /// A body that the application takes as it arrives made too little progress.
    pub(super) fn give_up_body(&mut self, work: &mut TurnWork) {
        let id = self.lent_id(&work.shared);
        let facts = RequestFacts::new(&id, Some(&self.lent.head));
        work.shared.give_up_slow_body(self.link.peer(), facts);
        self.end_body(work, BodyEnd::Broken);
    }

    /// The identifier of the request that the application has.
    pub(super) fn lent_id(&self, shared: &Shared) -> RequestId {
        shared.ids.id_of(&self.lent.head, self.lent.number)
    }

    /// Nothing more of the body goes to the application.
    pub(super) fn end_body(&mut self, work: &mut TurnWork, end: BodyEnd) {
        self.http1.stop_passing();
        if self.stream.inbound.end(end) {
            work.notify(StreamNews::Body(self.lent.number));
        }
    }

    /// Notifies the application that the client has ended its side, or has gone.
    pub(super) fn notify_disconnected(&self, work: &mut TurnWork) {
        work.notify(StreamNews::Disconnected(self.lent.number));
    }

    /// Whether the connection of a request with a response cannot continue, because a
    /// part of the request's body did not arrive.
    pub(super) fn lacks_body(&self) -> bool {
        self.http1.passes_body() || self.stream.inbound.is_broken()
    }

    /// Notifies applications that wait for room, if there is some now.
    pub(super) fn notify_room(&self, work: &mut TurnWork) {
        for number in self.link.take_awaiting(&work.shared.room) {
            work.notify(StreamNews::Room(number));
        }
    }
}
