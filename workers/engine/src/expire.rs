//! Requests that the application has had for too long: the I/O thread, which is
//! not stuck, tells their clients.

use std::os::fd::AsFd;

use monoceros_http::{Head, date, reply};
use monoceros_sys::{clock, socket};

use crate::connection::Phase;
use crate::io::Io;
use crate::link::{After, Expiry};
use crate::traffic::body_length;

/// Gateway Timeout: what a client gets from a proxy too when the application
/// does not answer.
pub(crate) const EXPIRED: u16 = 504;

impl Io {
    /// Ends the connection of a request that runs on this application thread.
    /// What the thread still says is thrown away.
    pub(crate) fn expire(&mut self, thread: u16, number: u64) {
        if !self.core.board.is_running(thread.into(), number) {
            return;
        }
        let Some(token) = self.find_lent(number) else { return };
        let Some(connection) = self.connections.get_mut(token) else { return };
        let expiry = connection.link.expire();
        self.core.board.count_timeout();
        match expiry {
            Expiry::Unanswered => {
                connection.expired = true;
                connection.link.take();
                self.answer_expired(token);
            }
            // Whatever the framing says, the client is to see that it is not
            // the whole answer.
            Expiry::Begun => {
                // A connection that is gone already needs no end.
                socket::reset(connection.link.as_fd()).ok();
                self.close(token);
            }
            // The application is at something else that it does in the request.
            Expiry::Answered => {
                connection.expired = true;
                connection.link.take();
                connection.enter(Phase::Writing(After::Close));
                self.write(token);
            }
        }
    }

    /// The connection whose request of this number is with the application.
    fn find_lent(&self, number: u64) -> Option<usize> {
        let mut lent = self.connections.iter().filter(|(_, connection)| {
            matches!(connection.phase, Phase::Lent) && !connection.link.is_free()
        });
        lent.find(|(_, connection)| connection.lent.number == number).map(|(token, _)| token)
    }

    fn answer_expired(&mut self, token: usize) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        let lent = std::mem::take(&mut connection.lent);
        let mut answer = Vec::with_capacity(256);
        let date = date::imf_fixdate(clock::wall_seconds().unsigned_abs());
        reply::refusal(EXPIRED, &mut answer, &date);
        if lent.is_head {
            answer.truncate(answer.len() - body_length(&answer));
        }
        self.core.board.count_answer(EXPIRED);
        let mut head = Head::new();
        let read = head.read(&lent.head, &self.core.options.limits);
        let head = Some(&head).filter(|_| matches!(read, Ok(Some(_))));
        self.log_own(token, EXPIRED, head, lent.begun_us, &answer);
        self.end_with(token, &answer);
    }
}
