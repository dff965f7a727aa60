//! A task of a background thread: what may wait for a disk, so that the loop does not.

use crate::stream::content::FilePart;
use crate::stream::local::Decision;

/// What waits for the end of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The connection.
    pub(crate) token: usize,
    /// The number of the task: another connection may have the same token later.
    pub(crate) number: u64,
}

/// The work.
pub(crate) enum Task {
    /// Decides on a request.
    Decide(Box<dyn FnOnce() -> Decision + Send>),
    /// Reads a part of a file, so that it is in memory.
    ReadAhead(FilePart),
}

/// The result of the work.
#[derive(Debug)]
pub(crate) enum TaskResult {
    /// The decision; `None` if the call has failed by a panic.
    Decided(Option<Decision>),
    /// The file was read up to this offset, or cannot be read. Sending it has the same error.
    ReadAhead(u64),
}

/// A task that has ended.
pub(crate) type FinishedTask = (Ticket, TaskResult);
