//! Requests that the application has had for too long, and requests that it will not
//! begin any more. The I/O thread, which is not stuck, responds to their clients.

use std::sync::Arc;

use monoceros_http::Reject;
use monoceros_wire::scoreboard::GivenUp;

use crate::connection::responding::Answered;
use crate::connection::table::Connections;
use crate::connection::{Connection, Lent, Phase};
use crate::protocol::http1::ArrivalStage;
use crate::stream::claim::Expiry;
use crate::stream::inbound::BodyEnd;
use crate::stream::local::LocalResponse;
use crate::stream::request::QueuedRequest;
use crate::stream::response::Asked;
use crate::stream::shared_stream::After;

/// Gateway Timeout: a proxy sends the same when the application does not respond.
pub(crate) const EXPIRED: u16 = 504;

/// Service Unavailable: another worker may serve what this one cannot.
const UNBEGUN: Reject = Reject { status: 503, reason: "the worker ends before it can be begun" };

/// Service Unavailable: a later try may find the worker less busy.
const OVERDUE: Reject =
    Reject { status: 503, reason: "it waited longer than --queue-timeout for the application" };

impl Connections {
    /// Ends the connection of a request that the application is running. What the
    /// application still sends is discarded.
    pub(crate) fn expire(&mut self, number: u64) {
        if !self.shared.board.is_running(number) {
            return;
        }
        let carries = |(_, it): &(usize, &Connection)| {
            it.streams.iter().any(|stream| stream.number() == Some(number))
        };
        if let Some((token, _)) = self.slab.iter().find(carries) {
            self.shared.board.count_timeout();
            // The master has written a line to the log.
            self.shared.board.count_given_up(GivenUp::Expired);
            return self.expire_stream(token, number);
        }
        let Some(token) = self.find_lent(number) else { return };
        let Some(connection) = self.slab.get_mut(token) else { return };
        let expiry = connection.stream.claim.expire();
        self.shared.board.count_timeout();
        // The master has written the line in the log.
        self.shared.board.count_given_up(GivenUp::Expired);
        connection.end_body(&mut self.work, BodyEnd::Broken);
        connection.notify_disconnected(&mut self.work);
        match expiry {
            Expiry::Open => {
                connection.expired = true;
                connection.stream.end.take();
                self.respond_expired(token);
            }
            // Whatever the framing is, the client must notice that the response is not
            // complete.
            Expiry::Begun => self.break_off(token),
            // The application has begun something else in the request.
            Expiry::Given => {
                connection.expired = true;
                connection.stream.end.take();
                connection.enter(Phase::Writing(After::Close));
                self.write(token);
            }
        }
    }

    /// Refuses the requests that no application thread has begun, and those that are
    /// still arriving: the process ends soon. Without a response their clients could
    /// not know that the requests were not served.
    pub(crate) fn refuse_unbegun(&mut self) {
        for job in self.shared.handoff.take_unbegun() {
            self.refuse_queued(job, GivenUp::Unbegun, UNBEGUN);
        }
        for token in self.tokens() {
            self.refuse_arriving(token, UNBEGUN);
            let Some(connection) = self.slab.get_mut(token) else { continue };
            let stage = connection.arrival();
            if stage == Some(ArrivalStage::Blank) {
                continue;
            }
            match connection.take_request() {
                Some(request) => self.refuse(token, GivenUp::Unbegun, UNBEGUN, Some(request)),
                None if stage == Some(ArrivalStage::Head) => {
                    self.refuse(token, GivenUp::Unbegun, UNBEGUN, None);
                }
                None => {}
            }
        }
    }

    /// Refuses the requests that have waited for too long for an application thread.
    pub(crate) fn refuse_overdue(&mut self) {
        for job in self.shared.handoff.take_overdue() {
            self.refuse_queued(job, GivenUp::Overdue, OVERDUE);
        }
    }

    /// Refuses a request that the application has not begun, and that was taken back.
    fn refuse_queued(&mut self, job: QueuedRequest, kind: GivenUp, reject: Reject) {
        let QueuedRequest { request, stream } = job;
        let is_its = |connection: &&Connection| Arc::ptr_eq(&connection.stream, &stream);
        let token = stream.connection.token;
        if stream.connection.is_multiplexed {
            self.refuse_queued_stream(token, request, kind, reject);
        } else if self.slab.get(token).filter(is_its).is_some() {
            stream.end.take();
            self.refuse(token, kind, reject, Some(request));
        } else {
            // Its client has been given up meanwhile.
            self.shared.handoff.recycle(request);
        }
    }

    /// The connection of the request with this number, which the application has.
    fn find_lent(&self, number: u64) -> Option<usize> {
        let mut lent = self.slab.iter().filter(|(_, connection)| {
            matches!(connection.phase, Phase::Lent) && !connection.stream.end.is_over()
        });
        lent.find(|(_, connection)| connection.lent.number == number).map(|(token, _)| token)
    }

    fn respond_expired(&mut self, token: usize) {
        let Some(connection) = self.slab.get_mut(token) else { return };
        let lent = std::mem::take(&mut connection.lent);
        let id = self.shared.ids.id_of(&lent.head, lent.number);
        let own = connection.own_fields(&self.shared, &lent.forwarded).with_id(&id);
        let asked = Asked::last(lent.is_head, own);
        let local = LocalResponse::refusal(EXPIRED).conclude(asked);
        self.shared.board.count_answer(EXPIRED);
        let Lent { head, forwarded, begun_us, .. } = &lent;
        let answered = Answered { head, forwarded, begun_us: *begun_us };
        connection.log_local(&self.shared, Some(answered), &id, &local);
        self.end_with(token, local);
    }
}
