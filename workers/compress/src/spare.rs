//! Encoders that are used again for the next response: to make one costs more than to encode a
//! small response with it.

use std::io;
use std::sync::{Arc, Mutex, TryLockError};

use monoceros_engine::{BodyEncoder, EncodingStep};

/// The most encoders of a coding that are kept. An encoder has up to 3 MiB.
const KEPT: usize = 8;

/// An encoder that can begin anew.
pub(crate) trait Renewable: BodyEncoder + Sized {
    /// Forgets what was encoded, and keeps its memory.
    ///
    /// # Errors
    /// It cannot be used again.
    fn renew(&mut self) -> io::Result<()>;
}

/// Encoders that no response uses.
pub(crate) struct Spare<Encoder>(Arc<Mutex<Vec<Encoder>>>);

impl<Encoder> Default for Spare<Encoder> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<Encoder: Renewable + 'static> Spare<Encoder> {
    /// An encoder for one response: one that is kept, or else what `make` makes.
    pub(crate) fn lend(
        &self,
        make: impl FnOnce() -> Option<Encoder>,
    ) -> Option<Box<dyn BodyEncoder>> {
        let kept = locked(&self.0, Vec::pop).flatten();
        let encoder = kept.or_else(make)?;
        Some(Box::new(LentEncoder { encoder: Some(encoder), home: Arc::clone(&self.0) }))
    }
}

/// Runs an action with the encoders, unless another thread has them: no thread waits, also not in
/// a process that the application has forked meanwhile.
fn locked<Encoder, T>(
    encoders: &Mutex<Vec<Encoder>>,
    action: impl FnOnce(&mut Vec<Encoder>) -> T,
) -> Option<T> {
    match encoders.try_lock() {
        Ok(mut encoders) => Some(action(&mut encoders)),
        Err(TryLockError::Poisoned(poisoned)) => Some(action(&mut poisoned.into_inner())),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The encoder of one response. It returns to the others when the response has ended.
struct LentEncoder<Encoder: Renewable> {
    /// `None` after an error: it is not used again.
    encoder: Option<Encoder>,
    home: Arc<Mutex<Vec<Encoder>>>,
}

impl<Encoder: Renewable> BodyEncoder for LentEncoder<Encoder> {
    fn encode(&mut self, bytes: &[u8], step: EncodingStep, out: &mut Vec<u8>) -> io::Result<()> {
        let failed = || io::Error::other("it has failed before");
        let encoded = self.encoder.as_mut().ok_or_else(failed)?.encode(bytes, step, out);
        if encoded.is_err() {
            self.encoder = None;
        }
        encoded
    }
}

impl<Encoder: Renewable> Drop for LentEncoder<Encoder> {
    fn drop(&mut self) {
        let Some(mut encoder) = self.encoder.take() else { return };
        if encoder.renew().is_ok() {
            locked(&self.home, |encoders| {
                if encoders.len() < KEPT {
                    encoders.push(encoder);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts its bytes, and fails when it gets none.
    #[derive(Default)]
    struct Counting(usize);

    impl BodyEncoder for Counting {
        fn encode(&mut self, bytes: &[u8], _: EncodingStep, out: &mut Vec<u8>) -> io::Result<()> {
            if bytes.is_empty() {
                return Err(io::Error::other("no bytes"));
            }
            self.0 += bytes.len();
            out.extend_from_slice(self.0.to_string().as_bytes());
            Ok(())
        }
    }

    impl Renewable for Counting {
        fn renew(&mut self) -> io::Result<()> {
            self.0 = 0;
            Ok(())
        }
    }

    fn kept(spare: &Spare<Counting>) -> usize {
        spare.0.lock().unwrap().len()
    }

    #[test]
    fn an_encoder_is_used_again_and_begins_anew() {
        let spare = Spare::default();
        let mut out = Vec::new();
        let mut first = spare.lend(|| Some(Counting(10))).unwrap();
        first.encode(b"ab", EncodingStep::Continue, &mut out).unwrap();
        drop(first);
        let mut second = spare.lend(|| unreachable!()).unwrap();
        second.encode(b"c", EncodingStep::Continue, &mut out).unwrap();
        assert_eq!(out, b"121");
        second.encode(b"", EncodingStep::Finish, &mut out).unwrap_err();
        second.encode(b"d", EncodingStep::Finish, &mut out).unwrap_err();
        drop(second);
        assert_eq!(kept(&spare), 0, "one that has failed is not used again");
        assert!(spare.lend(|| None).is_none());
    }

    #[test]
    fn only_some_encoders_are_kept() {
        let spare = Spare::default();
        let lent: Vec<_> = (0..2 * KEPT).map(|_| spare.lend(|| Some(Counting(0)))).collect();
        drop(lent);
        assert_eq!(kept(&spare), KEPT);
    }
}
