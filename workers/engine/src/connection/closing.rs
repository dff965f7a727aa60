//! The end of a connection.

use std::io;

use monoceros_sys::clock;

use crate::connection::Phase;
use crate::connection::table::{Connections, SHARE};
use crate::connection::turn_work::Unfinished;
use crate::handoff::events::StreamNews;
use crate::stream::inbound::BodyEnd;

impl Connections {
    /// Closes a connection after a response. Unread bytes would make the kernel send a
    /// reset, which can destroy the response on its way. So our side is closed first,
    /// and the rest is read and discarded (RFC 9112 section 9.6).
    pub(crate) fn close_politely(&mut self, token: usize, is_sending: bool) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        connection.link.redeem();
        let may_have_more = is_sending
            || connection.http1.has_input()
            || connection.unread
            || connection.registered
            || (connection.had_body && connection.link.socket.has_arrived());
        if connection.read_closed || !may_have_more {
            return self.close(token);
        }
        connection.http1.drop_input();
        match connection.link.end_writing() {
            Ok(()) => {}
            // The layer announces the end when the socket has room.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return self.close(token),
        }
        connection.enter(Phase::Lingering { received_ms: clock::monotonic_ms() });
        self.linger(token);
    }

    pub(super) fn linger(&mut self, token: usize) {
        if self.register(token).is_err() {
            return self.close(token);
        }
        // Not the scratch memory: the refused bytes may be there.
        let mut waste = [0; 16 * 1024];
        for _ in 0..SHARE {
            let Some(connection) = self.slab.get_mut(token) else { return };
            match connection.link.socket.receive(&mut waste) {
                Ok(1..) => {
                    connection.phase = Phase::Lingering { received_ms: clock::monotonic_ms() };
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => return self.close(token),
            }
        }
        self.work.unfinished.push(Unfinished::Reading { token, to_end: false });
    }

    /// Closes a connection.
    pub(crate) fn close(&mut self, token: usize) {
        let Some(mut connection) = self.slab.try_remove(token) else { return };
        connection.end_count(&self.shared);
        connection.http1.drop_input();
        let streams = connection.streams.take();
        if !streams.is_empty() {
            // Wakes threads that wait for room.
            connection.link.fail();
            self.work.lose_streams(streams);
        }
        self.pressure.freed_ms = clock::monotonic_ms();
        self.unregister(&connection);
        // An application thread that still writes gets an error, and a process that the
        // application has forked cannot hold the connection open.
        if matches!(connection.phase, Phase::Lent) && !connection.stream.end.is_over() {
            connection.link.fail();
            connection.stream.inbound.end(BodyEnd::Broken);
            self.work.notify(StreamNews::Disconnected(connection.lent.number));
        }
        if !matches!(connection.phase, Phase::Opening(_) | Phase::Lent)
            && !connection.link.is_guarded()
            && !connection.expired
        {
            connection.link.announce_end();
        }
        if connection.link.is_guarded() {
            // The response is not complete, which the client notices only by a reset.
            // An application thread may have the descriptor, too.
            connection.link.reset();
        } else if self.shared.has_forked() || connection.expired || connection.link.is_switched() {
            connection.link.socket.end();
        }
        connection.count_last_bytes(&self.shared.board);
        if let Some(request) = connection.take_request() {
            self.shared.handoff.recycle(request);
        }
    }
}
