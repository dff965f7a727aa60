//! Bytes to send that the engine does not own.

use std::fmt;

/// Bytes that are not moved until they have been sent, whatever owns them: the Python
/// bridge's objects are sent without a copy.
pub trait Payload: Send {
    /// The bytes; the same at each call.
    fn bytes(&self) -> &[u8];
}

impl Payload for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for dyn Payload {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "Payload({} bytes)", self.bytes().len())
    }
}
