//! Which side owns a connection: it changes hands by one word, and by a message only if
//! something has happened meanwhile.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::atomics::Word;

/// The I/O thread owns the connection.
const IO: u8 = 0;
/// The application side owns it.
const BUSY: u8 = 1;
/// The application side owns it, and the I/O thread has something to do with
/// it as soon as it is free.
const BUSY_WANTED: u8 = 2;

/// The owner of one connection.
#[derive(Debug)]
pub(crate) struct Owner<W = AtomicU8>(W);

impl<W: Word> Owner<W> {
    /// The I/O thread.
    pub(crate) fn new() -> Self {
        Self(W::new(IO))
    }

    /// Hands the connection to the application side. `wanted` says that more input waits
    /// already, so that the I/O thread wants it back by message.
    pub(crate) fn lend(&self, wanted: bool) {
        self.0.store(if wanted { BUSY_WANTED } else { BUSY }, Ordering::Release);
    }

    /// The application side gives the connection back now, without a message. `false`:
    /// the I/O thread has to be told, and owns it only then.
    pub(crate) fn give_back(&self) -> bool {
        self.0.change(BUSY, IO).is_ok()
    }

    /// The I/O thread takes the connection, having been told that it may: whether more
    /// input was announced meanwhile.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(IO, Ordering::AcqRel) == BUSY_WANTED
    }

    /// An event has come: whether the I/O thread owns the connection. If not, it will be
    /// told when it does.
    pub(crate) fn want(&self) -> bool {
        self.0.change(BUSY, BUSY_WANTED) == Err(IO)
    }

    /// Whether the I/O thread owns the connection.
    pub(crate) fn is_free(&self) -> bool {
        self.0.load(Ordering::Acquire) == IO
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::atomic::AtomicU8 as ModelledU8;
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    type ModelledOwner = Owner<ModelledU8>;

    #[test]
    fn an_undisturbed_connection_comes_back_without_a_message() {
        let owner: Owner = Owner::new();
        owner.lend(false);
        assert!(!owner.is_free());
        assert!(owner.give_back());
        assert!(owner.is_free());
    }

    #[test]
    fn a_wanted_connection_comes_back_by_message() {
        let owner: Owner = Owner::new();
        owner.lend(false);
        assert!(!owner.want());
        assert!(!owner.give_back());
        assert!(!owner.is_free());
        assert!(owner.take(), "more has come");
        assert!(owner.want());
    }

    /// In every order of the two sides' steps, an event finds the connection free, or a
    /// message comes; and what the application side wrote before is seen.
    #[test]
    fn no_event_is_lost_in_any_order() {
        loom::model(|| {
            let owner = Arc::new(ModelledOwner::new());
            let written = Arc::new(ModelledU8::new(0));
            let messages = Arc::new(Mutex::new(0));
            owner.lend(false);
            let application = {
                let (owner, written) = (Arc::clone(&owner), Arc::clone(&written));
                let messages = Arc::clone(&messages);
                thread::spawn(move || {
                    written.store(1, Ordering::Relaxed);
                    if !owner.give_back() {
                        *messages.lock().unwrap() += 1;
                    }
                })
            };
            let is_ours = owner.want();
            if is_ours {
                assert_eq!(written.load(Ordering::Relaxed), 1);
            }
            application.join().unwrap();
            let told = *messages.lock().unwrap();
            assert_eq!(told, i32::from(!is_ours), "exactly one way");
        });
    }
}
