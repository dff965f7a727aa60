//! The source of requests of an application thread.

use std::sync::Arc;

use monoceros_sys::thread as sys_thread;

use crate::handoff::loop_owner::LoopOwner;
use crate::handoff::threads::ThreadSide;
use crate::handoff::wait::Wait;
use crate::shared::Shared;
use crate::spool::spool_file::Spool;
use crate::stream::exchange::Exchange;

/// An application thread's end of the engine.
#[derive(Clone)]
pub struct RequestSource {
    shared: Arc<Shared>,
    loop_owner: Arc<LoopOwner>,
    thread: usize,
}

impl RequestSource {
    pub(crate) fn new(shared: Arc<Shared>, loop_owner: Arc<LoopOwner>, thread: usize) -> Self {
        shared.board.show_thread(thread, sys_thread::id(), sys_thread::pthread());
        if let Some(threads) = shared.handoff.threads() {
            threads.crew.sit(thread);
        }
        Self { shared, loop_owner, thread }
    }

    /// Takes the next request, without waiting. There is none either while responses
    /// must be written, which `wait` does.
    #[must_use]
    pub fn next(&self) -> Option<Exchange> {
        let threads = self.threads()?;
        if threads.batch.is_due() {
            return None;
        }
        let job = threads.next(self.thread)?;
        Some(Exchange::new(Arc::clone(&self.shared), self.thread, job))
    }

    /// `None` where the application takes events instead.
    fn threads(&self) -> Option<&ThreadSide> {
        self.shared.handoff.threads()
    }

    /// Whether there are other workers now.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.is_shared()
    }

    /// Gives back the file of a body. The caller must hold the file's only descriptor,
    /// because the file will hold the body of another client's request.
    pub fn give_back(&self, file: Spool, length: u64) {
        // A process that the application has forked can reach it as well.
        if !self.shared.has_forked() {
            self.shared.spools.give_back(file, length);
        }
    }

    /// Waits until there may be a request. Writes the buffered lines of the access log
    /// first, so that its readers see every finished request.
    #[must_use]
    pub fn wait(&self) -> Wait {
        let Some(threads) = self.threads() else { return self.shared.handoff.wait_for_stop() };
        let rings = threads.rings();
        if let Some(wait) = self.loop_owner.run_while_idle(&self.shared.handoff, threads) {
            return wait;
        }
        self.shared.flush_access();
        threads.wait(rings)
    }
}
