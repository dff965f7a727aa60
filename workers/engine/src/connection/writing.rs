//! Writing what the application could not send at once, and the steps after a response.

use std::sync::Arc;

use crate::connection::table::Connections;
use crate::connection::turn_work::Unfinished;
use crate::connection::{Connection, Phase};
use crate::stream::shared_stream::{After, SharedStream};
use crate::transport::file_range::Failure;
use crate::transport::outgoing::Flushed;

impl Connections {
    /// The application side returns a stream by message.
    pub(crate) fn take_back(&mut self, stream: &Arc<SharedStream>) {
        let token = stream.connection.token;
        if stream.connection.is_multiplexed {
            return self.take_stream_back(token, stream);
        }
        // An expired stream does not belong to the application any more.
        let is_ours = |connection: &Connection| {
            Arc::ptr_eq(&connection.stream, stream) && !connection.expired
        };
        if !self.slab.get(token).is_some_and(is_ours) {
            return;
        }
        let after = stream.tail().after.take();
        let Some(after) = after else {
            if stream.connection.is_switched() {
                return self.unwatch(token);
            }
            // The response continues; the socket may have got room since the
            // application found it full.
            self.write_for_application(token);
            let is_watched = self.register(token).is_ok();
            if !is_watched {
                stream.connection.fail();
            }
            if self.shared.handoff.events().is_some() {
                if !is_watched && let Some(connection) = self.slab.get(token) {
                    connection.notify_room(&mut self.work);
                }
                self.serve_body(token);
            }
            return;
        };
        let after = match after {
            After::KeepAlive if self.slab.get(token).is_some_and(Connection::lacks_body) => {
                After::Linger
            }
            other => other,
        };
        stream.inbound.close();
        let wanted = stream.end.take();
        if let Some(connection) = self.slab.get_mut(token) {
            connection.unread |= wanted;
            connection.enter(Phase::Writing(after));
        }
        self.write(token);
    }

    /// Writes what waits, and then takes the next step of the connection.
    pub(crate) fn write(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let after = match connection.phase {
            Phase::Writing(after) => after,
            Phase::Lent => return self.write_for_application(token),
            Phase::Carrying => return self.write_streams(token),
            _ => return,
        };
        let flushed = connection.link.flush();
        if let Some(after) = self.settle_flush(token, after, flushed) {
            self.end_response(token, after);
        }
    }

    /// Takes the next step of a connection that only writes, after an attempt to send what
    /// waits. Returns what follows the response, if everything was sent.
    pub(super) fn settle_flush(
        &mut self,
        token: usize,
        after: After,
        flushed: Result<Flushed, Failure>,
    ) -> Option<After> {
        match flushed {
            Err(failure) => self.fail_response(token, failure),
            Ok(Flushed::Paused(_)) => self.work.unfinished.push(Unfinished::Writing { token }),
            Ok(Flushed::Blocked(_)) => {
                if self.register(token).is_err() {
                    self.close(token);
                }
            }
            Ok(Flushed::Cold(_)) => {
                // The events of the client are needed meanwhile.
                if self.register(token).is_err() {
                    self.close(token);
                } else {
                    self.read_ahead(token);
                }
            }
            Ok(Flushed::All) => {
                let connection = self.slab.get(token)?;
                if connection.link.outlet().failed {
                    self.break_off(token);
                    return None;
                }
                connection.settle_account(&self.shared);
                return Some(after);
            }
        }
        None
    }

    /// A response was sent, and its connection continues or ends.
    pub(super) fn end_response(&mut self, token: usize, after: After) {
        match after {
            After::KeepAlive => self.await_request(token),
            After::Close => {
                if let Some(connection) = self.slab.get(token) {
                    connection.link.unguard();
                }
                self.close_politely(token, false);
            }
            After::Linger => self.close_politely(token, true),
            After::Abort => self.close(token),
            After::Reset => self.break_off(token),
        }
    }

    /// Writes for an application that continues its response; when the end is due, it
    /// is reported by message.
    pub(super) fn write_for_application(&mut self, token: usize) {
        let Some(connection) = self.slab.get(token) else { return };
        // The application side notices a client that has gone.
        match connection.link.try_flush() {
            None => self.work.unfinished.push(Unfinished::Contended { token }),
            Some(Ok(Flushed::Paused(_))) => {
                self.work.unfinished.push(Unfinished::Writing { token });
            }
            Some(Ok(Flushed::Cold(_))) => self.read_ahead(token),
            Some(Err(Failure::File(why))) => connection.log_unreadable(&self.shared, &why),
            Some(Err(Failure::Client(_))) if connection.link.is_multiplexed => {
                return self.break_off(token);
            }
            Some(Ok(Flushed::All | Flushed::Blocked(_)) | Err(Failure::Client(_))) => {}
        }
        if self.shared.handoff.events().is_some()
            && let Some(connection) = self.slab.get(token)
        {
            connection.notify_room(&mut self.work);
        }
    }
}
