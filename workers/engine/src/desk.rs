//! Where an application thread gets its requests.

use std::sync::Arc;

use crate::core::Core;
use crate::exchange::Exchange;
use crate::hub::Wait;
use crate::lead::Lead;
use crate::spool::Spool;

/// An application thread's end of the engine.
#[derive(Clone)]
pub struct Desk {
    core: Arc<Core>,
    lead: Arc<Lead>,
    thread: usize,
}

impl Desk {
    pub(crate) fn new(core: Arc<Core>, lead: Arc<Lead>, thread: usize) -> Self {
        core.board.show_thread(thread, monoceros_sys::thread::id());
        core.hub.crew.sit(thread);
        Self { core, lead, thread }
    }

    /// Takes the next request, without waiting. There is none either while
    /// answers are due to be written, which is a part of waiting.
    #[must_use]
    pub fn next(&self) -> Option<Exchange> {
        if self.core.hub.batch.is_due() {
            return None;
        }
        let job = self.core.hub.next(self.thread)?;
        Some(Exchange::new(Arc::clone(&self.core), self.thread, job))
    }

    /// Whether there are other workers now.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.core.is_shared()
    }

    /// Gives back the file of a body. Nobody else may be able to reach it: it
    /// will hold the body of somebody else's request.
    pub fn give_back(&self, file: Spool, length: u64) {
        // A process that the application has forked can reach it as well.
        if !self.core.has_forked() {
            self.core.spools.give_back(file, length);
        }
    }

    /// Waits until there may be a request. The access log is written out first:
    /// who looks at it sees everything that has been answered.
    #[must_use]
    pub fn wait(&self) -> Wait {
        let heard = self.core.hub.hear();
        if let Some(wait) = self.lead.run_while_idle(&self.core.hub) {
            return wait;
        }
        self.core.flush_access();
        self.core.hub.wait(heard)
    }
}
