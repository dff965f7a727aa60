//! Whether a stream is over: decided by one atomic word, so that the end costs a
//! message only if the I/O thread has work to do then.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::atomics::Word;

/// The stream is over: the application side has no request.
const OVER: u32 = 0;
/// The application side has its request.
const RUNNING: u32 = 1;
/// As `RUNNING`, and the application side must report the end to the I/O thread by a
/// message.
const RUNNING_REPORTS: u32 = 2;

/// The end of one stream.
#[derive(Debug)]
pub(crate) struct StreamEnd<W = AtomicU32>(W);

impl<W: Word> StreamEnd<W> {
    /// No request has arrived.
    pub(crate) fn new() -> Self {
        Self(W::new(OVER))
    }

    /// The application side gets the request. With `reports` it reports the end to the
    /// I/O thread by a message, because more input waits already.
    pub(crate) fn run(&self, reports: bool) {
        self.0.store(if reports { RUNNING_REPORTS } else { RUNNING }, Ordering::Release);
    }

    /// The application side has finished, and ends the stream without a message.
    /// `false`: the I/O thread needs a message, and ends the stream.
    pub(crate) fn finish(&self) -> bool {
        self.0.change(RUNNING, OVER).is_ok()
    }

    /// The I/O thread ends the stream, after a message or by taking it from the
    /// application side. Returns whether more input was announced meanwhile.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(OVER, Ordering::AcqRel) == RUNNING_REPORTS
    }

    /// Whether the stream is over; if not, the application side will report its end by
    /// a message.
    pub(crate) fn watch(&self) -> bool {
        self.0.change(RUNNING, RUNNING_REPORTS) == Err(OVER)
    }

    /// Whether the stream is over.
    pub(crate) fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire) == OVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::atomic::AtomicU32 as ModelledU32;
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    type ModelledEnd = StreamEnd<ModelledU32>;

    #[test]
    fn an_undisturbed_stream_ends_without_a_message() {
        let end: StreamEnd = StreamEnd::new();
        end.run(false);
        assert!(!end.is_over());
        assert!(end.finish());
        assert!(end.is_over());
    }

    #[test]
    fn a_watched_stream_ends_by_message() {
        let end: StreamEnd = StreamEnd::new();
        end.run(false);
        assert!(!end.watch());
        assert!(!end.finish());
        assert!(!end.is_over());
        assert!(end.take(), "more has come");
        assert!(end.watch());
    }

    /// In every order of the two sides' steps, an event finds the stream over, or a
    /// message arrives; and the loop sees what the application side wrote before.
    #[test]
    fn no_event_is_lost_in_any_order_of_steps() {
        loom::model(|| {
            let end = Arc::new(ModelledEnd::new());
            let written = Arc::new(ModelledU32::new(0));
            let messages = Arc::new(Mutex::new(0));
            end.run(false);
            let application = {
                let (end, written) = (Arc::clone(&end), Arc::clone(&written));
                let messages = Arc::clone(&messages);
                thread::spawn(move || {
                    written.store(1, Ordering::Relaxed);
                    if !end.finish() {
                        *messages.lock().unwrap() += 1;
                    }
                })
            };
            let is_ours = end.watch();
            if is_ours {
                assert_eq!(written.load(Ordering::Relaxed), 1);
            }
            application.join().unwrap();
            let sent = *messages.lock().unwrap();
            assert_eq!(sent, i32::from(!is_ours), "exactly one way");
        });
    }
}
