//! Atomic words that a model checker can replace: the code that decides between two
//! threads is generic over [`Word`], and its tests try every order of their steps.

use std::sync::atomic::{AtomicU32, Ordering};

/// An atomic word of the size that `futex(2)` uses.
pub(crate) trait Word {
    fn new(value: u32) -> Self;
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
    fn swap(&self, value: u32, order: Ordering) -> u32;
    /// Changes `current` to `new`. Returns the previous value.
    ///
    /// # Errors
    /// The value, if it was not `current`.
    fn change(&self, current: u32, new: u32) -> Result<u32, u32>;
}

macro_rules! word {
    ($type:ty) => {
        impl Word for $type {
            fn new(value: u32) -> Self {
                Self::new(value)
            }

            fn load(&self, order: Ordering) -> u32 {
                self.load(order)
            }

            fn store(&self, value: u32, order: Ordering) {
                self.store(value, order);
            }

            fn swap(&self, value: u32, order: Ordering) -> u32 {
                self.swap(value, order)
            }

            fn change(&self, current: u32, new: u32) -> Result<u32, u32> {
                self.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
            }
        }
    };
}

word!(AtomicU32);

#[cfg(test)]
word!(loom::sync::atomic::AtomicU32);
