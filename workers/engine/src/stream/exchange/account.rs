//! What the scoreboard, the access log and decisions get of an exchange.

use std::sync::Arc;

use monoceros_sys::clock;
use monoceros_wire::scoreboard::Finished;

use super::Exchange;
use crate::connection::expire::EXPIRED;
use crate::record::access::AccessLog;
use crate::record::access_facts::AccessFacts;
use crate::record::access_record::Record;
use crate::stream::local::Arrival;
use crate::stream::shared_stream::Account;

impl Exchange {
    /// The request as the decision at the end of its head has seen it.
    #[must_use]
    pub fn arrival(&self) -> Arrival<'_> {
        Arrival {
            head: &self.request().head,
            peer: self.peer(),
            local: self.local(),
            prefix: self.prefix(),
            listener: self.link().listener,
            scheme: self.scheme(),
            connection_scheme: self.link().scheme,
        }
    }

    /// How many bytes of the body have been taken for sending.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.response().body_bytes()
    }

    /// Sends what is missing of the response, and logs it, while the application thread keeps
    /// the request: what it still does is neither waited for nor part of the logged duration.
    pub fn conclude(&mut self, environ: &dyn Fn(&str) -> Option<Vec<u8>>) {
        self.complete();
        if self.completed && self.is_committed() {
            self.log(clock::monotonic_us(), environ);
        }
    }

    pub(super) fn show_end(&self, took_us: u64, is_ours: bool) {
        let response = self.response();
        let finished = Finished {
            took_us,
            status: if is_ours { response.status() } else { EXPIRED },
            bytes: response.body_bytes(),
            counts: is_ours,
        };
        self.shared.board.finish(self.thread, self.shown, &finished);
    }

    /// Writes the access log's line of the request, once: now, or when its response has gone.
    pub(super) fn log(&mut self, now_us: u64, environ: &dyn Fn(&str) -> Option<Vec<u8>>) {
        if std::mem::replace(&mut self.logged, true) {
            return;
        }
        let (status, begun_us) = (self.response().status(), self.request().begun_us);
        self.shared.add_to_figures(status, begun_us, now_us);
        // The bytes of one of several streams are not distinguished once they wait, and
        // the end of a stream is not the end of the connection.
        if !self.is_slow && !self.gone || self.link().is_multiplexed {
            if !self.link().sends_directly() {
                self.link().outlet().handed = 0;
            }
            if let Some(access) = self.access_log() {
                access.add(&self.record(now_us, environ));
            }
            return;
        }
        let shared = Arc::clone(&self.shared);
        let record = self.record(now_us, environ);
        let draft = self.access_log().and_then(|access| access.draft(&record));
        let (head, body) = (self.response().head_bytes(), self.response().body_bytes());
        let mut account = draft.map(|draft| Account { draft, head, body });
        let handed = std::mem::take(&mut self.handed);
        let sent = self.stream.settle(handed, self.gone, &mut account);
        if let (Some(sent), Some(account), Some(access)) = (sent, account, &shared.access) {
            let body = if self.gone { account.body_in(sent) } else { account.body };
            access.add_draft(account.draft, body);
        }
    }

    /// Takes the facts of the request out of the access log, if that is a log of the application
    /// side. To be called when the response is complete or given up, before the end of the exchange.
    pub fn take_access_facts(&mut self) -> Option<AccessFacts> {
        let is_due = self.shared.access.as_ref().is_some_and(AccessLog::has_sink);
        // Without a head, the I/O thread may have responded: it has the record.
        if !is_due || self.is_recorded || !self.is_committed() {
            return None;
        }
        self.is_recorded = true;
        let record = self.record(clock::monotonic_us(), &|_| None);
        self.shared.access.as_ref()?.facts(&record)
    }

    /// The access log, unless the application side has the facts already.
    fn access_log(&self) -> Option<&AccessLog> {
        self.shared.access.as_ref().filter(|_| !self.is_recorded)
    }

    fn record<'a>(
        &'a self,
        now_us: u64,
        environ: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Record<'a> {
        Record {
            peer: self.peer(),
            head: Some(&self.request().head),
            took_us: now_us.saturating_sub(self.request().begun_us),
            queued_us: Some(self.taken_us.saturating_sub(self.request().ready_us)),
            scheme: self.scheme(),
            response: self.response(),
            environ,
            session: self.session(),
            request_id: self.request().id(),
        }
    }
}
