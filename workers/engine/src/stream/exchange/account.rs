//! What the scoreboard and the access log are told of an exchange.

use std::sync::Arc;

use monoceros_wire::scoreboard::Finished;

use super::Exchange;
use crate::connection::expire::EXPIRED;
use crate::connection::shared::Account;
use crate::record::access::Record;

impl Exchange {
    pub(super) fn show_end(&self, took_us: u64, is_ours: bool) {
        let (request, answer) = (self.request(), self.answer());
        let finished = Finished {
            number: request.number,
            took_us,
            status: if is_ours { answer.status() } else { EXPIRED },
            bytes: answer.body_bytes(),
            counts: is_ours,
        };
        self.shared.board.finish(self.thread, &finished);
    }

    /// Tells the access log of the request: now, or when its answer has gone.
    pub(super) fn log(&mut self, now_us: u64, environ: &dyn Fn(&str) -> Option<String>) {
        if !self.is_slow && !self.gone {
            if let Some(access) = &self.shared.access {
                access.add(&self.record(now_us, environ));
            }
            return;
        }
        let shared = Arc::clone(&self.shared);
        let record = self.record(now_us, environ);
        let head = record.answer_head.len() as u64;
        let draft = shared.access.as_ref().map(|access| access.draft(&record));
        let body = record.body_bytes;
        let mut account = draft.map(|draft| Account { draft, head, body });
        let handed = std::mem::take(&mut self.handed);
        let sent = self.link.settle(handed, self.gone, &mut account);
        if let (Some(sent), Some(account), Some(access)) = (sent, account, &shared.access) {
            let body = if self.gone { account.body_in(sent) } else { account.body };
            access.add_draft(&account.draft, body);
        }
    }

    fn record<'a>(
        &'a self,
        now_us: u64,
        environ: &'a dyn Fn(&str) -> Option<String>,
    ) -> Record<'a> {
        let answer = self.answer();
        Record {
            peer: &self.link.peer,
            head: Some(&self.request().head),
            status: answer.status(),
            body_bytes: answer.body_bytes(),
            took_us: now_us.saturating_sub(self.request().begun_us),
            answer_head: answer.head(),
            environ,
        }
    }
}
