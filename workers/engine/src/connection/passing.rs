//! Bodies that go to the application as they arrive, and the events of a connection
//! that an application with its own event loop gets.

use std::io;

use monoceros_http::{Fields, h1};
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::Phase;
use crate::connection::table::{Connections, SHARE, Unfinished};
use crate::handoff::events::StreamNews;
use crate::protocol::upload::{PassState, Passed};
use crate::stream::inbound::BodyEnd;

impl Connections {
    /// The application has the request of a connection; a part of its body may have
    /// arrived.
    pub(super) fn begin_passing(&mut self, token: usize, asks: bool) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let inbound = &connection.stream.inbound;
        if connection.http1.passes_body() {
            let asks = asks && !connection.http1.has_input();
            inbound.open(self.shared.options.application.body_buffer(), asks);
        } else {
            inbound.close();
        }
    }

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
                let room = inbound.room().min(self.scratch.len());
                if room == 0 {
                    connection.unread = true;
                    return;
                }
                match connection.link.read(&mut self.scratch[..room]) {
                    Ok(0) => return self.end_passing(token),
                    Ok(received) => count = received,
                    Err(error) if is_for_later(&error) => {
                        connection.unread = false;
                        return;
                    }
                    Err(_) => return self.end_passing(token),
                }
                is_all = count < room && connection.link.is_plain && !connection.hung_up;
            }
            let passed = connection.http1.pass(&self.scratch[..count], inbound);
            let goes_on = self.note_passed(token, passed);
            let Some(connection) = self.slab.get_mut(token) else { return };
            if !goes_on {
                connection.unread = true;
                return;
            }
            if is_all && !connection.http1.has_input() {
                connection.unread = false;
                return;
            }
        }
        self.unfinished.push(Unfinished::Passing { token });
    }

    /// Notifies the application of what became of a part of a body. Returns whether
    /// more can come.
    fn note_passed(&mut self, token: usize, passed: Passed) -> bool {
        let Some(connection) = self.slab.get(token) else { return false };
        let is_over = matches!(passed.state, PassState::Ended | PassState::Malformed(_));
        let (number, has_left) = (connection.lent.number, is_over && connection.hung_up);
        let goes_on = match passed.state {
            PassState::More => true,
            PassState::Full | PassState::Ended => false,
            PassState::Malformed(reject) => {
                let (peer, reason) = (&connection.link.peer, reject.reason);
                let line = format_args!("broke off the body of a request of {peer}: {reason}");
                self.shared.give_up(GivenUp::Refused, line);
                false
            }
        };
        if passed.is_news {
            self.notify(StreamNews::Body(number));
        }
        if has_left {
            // The event that reported the end does not come again.
            self.notify(StreamNews::Disconnected(number));
        }
        goes_on
    }

    /// The client has ended its side while the application takes what it sends.
    fn end_passing(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        connection.read_closed = true;
        let end = if connection.http1.is_raw() { BodyEnd::Whole } else { BodyEnd::Broken };
        self.break_body(token, end);
        if end == BodyEnd::Broken {
            self.notify_disconnected(token);
        }
    }

    /// A body that the application takes as it arrives made too little progress.
    pub(super) fn give_up_body(&mut self, token: usize) {
        let Some(connection) = self.slab.get(token) else { return };
        let line = format_args!(
            "broke off the body of a request of {}: too little progress within --body-timeout",
            connection.link.peer
        );
        self.shared.give_up(GivenUp::Late, line);
        self.break_body(token, BodyEnd::Broken);
    }

    /// Nothing more of the body goes to the application.
    pub(super) fn break_body(&mut self, token: usize, end: BodyEnd) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        connection.http1.stop_passing();
        let number = connection.lent.number;
        if connection.stream.inbound.end(end) {
            self.notify(StreamNews::Body(number));
        }
    }

    /// Notifies the application that the client has ended its side, or has gone.
    pub(super) fn notify_disconnected(&mut self, token: usize) {
        if let Some(connection) = self.slab.get(token) {
            let number = connection.lent.number;
            self.notify(StreamNews::Disconnected(number));
        }
    }

    /// Notifies an application with an event loop. It gets the requests of this turn
    /// first, because the event may be about one of them.
    pub(super) fn notify(&mut self, news: StreamNews) {
        if self.shared.handoff.events().is_some() {
            if !self.jobs.is_empty() {
                self.shared.handoff.push(&mut self.jobs);
            }
            self.shared.handoff.notify(news);
        }
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
            // RFC 9110 section 15.2.1.
            let mut bytes = Vec::new();
            h1::push_interim(&mut bytes, 100, &Fields::default());
            stream.send_interim(bytes, self.shared.stores());
        }
        self.go_on_passing(token);
    }

    /// Whether the connection of a request with a response cannot continue, because a
    /// part of the request's body did not arrive.
    pub(super) fn lacks_body(&self, token: usize) -> bool {
        self.slab.get(token).is_some_and(|connection| {
            connection.http1.passes_body() || connection.stream.inbound.is_broken()
        })
    }

    /// Notifies applications that wait for room, if there is some now.
    pub(super) fn notify_room(&mut self, token: usize) {
        let Some(connection) = self.slab.get(token) else { return };
        for number in connection.link.take_awaiting(&self.shared.room) {
            self.notify(StreamNews::Room(number));
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
