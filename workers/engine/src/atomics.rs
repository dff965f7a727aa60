//! Atomic words that a model checker can take the place of: what decides between two
//! threads is generic over [`Word`], and its tests try every order of their steps.

use std::sync::atomic::{AtomicU8, Ordering};

/// An atomic word of one byte.
pub(crate) trait Word {
    fn new(value: u8) -> Self;
    fn load(&self, order: Ordering) -> u8;
    fn store(&self, value: u8, order: Ordering);
    fn swap(&self, value: u8, order: Ordering) -> u8;
    /// From `current` to `new`: what was there, and whether it was `current`.
    ///
    /// # Errors
    /// What was there instead.
    fn change(&self, current: u8, new: u8) -> Result<u8, u8>;
}

macro_rules! word {
    ($type:ty) => {
        impl Word for $type {
            fn new(value: u8) -> Self {
                Self::new(value)
            }

            fn load(&self, order: Ordering) -> u8 {
                self.load(order)
            }

            fn store(&self, value: u8, order: Ordering) {
                self.store(value, order);
            }

            fn swap(&self, value: u8, order: Ordering) -> u8 {
                self.swap(value, order)
            }

            fn change(&self, current: u8, new: u8) -> Result<u8, u8> {
                self.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
            }
        }
    };
}

word!(AtomicU8);

#[cfg(test)]
word!(loom::sync::atomic::AtomicU8);
