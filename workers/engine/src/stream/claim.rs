//! Which side responds to a request: decided once, by one atomic word.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::atomics::Word;

/// No byte of the response has been sent.
const OPEN: u32 = 0;
/// The application side has the right to respond, and keeps it.
const BEGUN: u32 = 1;
/// It has given the whole response.
const GIVEN: u32 = 2;
/// The I/O thread has taken the right to respond.
const EXPIRED: u32 = 3;

/// The right to respond to one request.
#[derive(Debug)]
pub(crate) struct ResponseClaim<W = AtomicU32>(W);

/// The state of the response when its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Nothing was sent, and the application will send nothing: the I/O thread
    /// responds.
    Open,
    /// The application has begun the response, and may never end it.
    Begun,
    /// The application has given the whole response.
    Given,
}

impl<W: Word> ResponseClaim<W> {
    pub(crate) fn new() -> Self {
        Self(W::new(OPEN))
    }

    /// A request begins; no other thread has it.
    pub(crate) fn open(&self) {
        self.0.store(OPEN, Ordering::Relaxed);
    }

    /// The application side is about to respond. `false`: the I/O thread has responded,
    /// and no byte may be written any more.
    pub(crate) fn begin(&self) -> bool {
        self.0.change(OPEN, BEGUN).is_ok()
    }

    /// Whether neither side has begun to respond.
    pub(crate) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) == OPEN
    }

    /// Whether the application side has begun and not completed the response.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire) == BEGUN
    }

    /// The application side has given the whole response.
    pub(crate) fn give(&self) {
        self.0.store(GIVEN, Ordering::Release);
    }

    /// The I/O thread is about to respond in place of the application side.
    pub(crate) fn expire(&self) -> Expiry {
        match self.0.change(OPEN, EXPIRED) {
            Ok(_) => Expiry::Open,
            Err(GIVEN) => Expiry::Given,
            Err(_) => Expiry::Begun,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    type ModelledClaim = ResponseClaim<loom::sync::atomic::AtomicU32>;

    #[test]
    fn only_one_side_responds() {
        let claim: ResponseClaim = ResponseClaim::new();
        assert!(claim.begin());
        assert_eq!(claim.expire(), Expiry::Begun);
        claim.give();
        assert_eq!(claim.expire(), Expiry::Given);
        claim.open();
        assert_eq!(claim.expire(), Expiry::Open);
        assert!(!claim.begin());
        assert_eq!(claim.expire(), Expiry::Begun, "once is enough");
    }

    #[test]
    fn in_every_order_exactly_one_side_responds() {
        loom::model(|| {
            let claim = Arc::new(ModelledClaim::new());
            let application = {
                let claim = Arc::clone(&claim);
                thread::spawn(move || {
                    let is_ours = claim.begin();
                    if is_ours {
                        claim.give();
                    }
                    is_ours
                })
            };
            let expiry = claim.expire();
            let is_applications = application.join().unwrap();
            assert_ne!(is_applications, expiry == Expiry::Open);
            assert!(!claim.has_begun(), "what has begun was given");
        });
    }
}
