//! The size of a scoreboard.

/// How many requests a thread that runs one at a time shows: the one that it runs, and
/// those before it.
const ENTRIES_OF_THREAD: u16 = 64;

/// How many application sides and listeners a worker has, and how many requests each side can
/// show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoardShape {
    /// Application sides: application threads, or event loops.
    pub sides: u16,
    /// Requests of a side that are shown, also those that it has finished. A side that
    /// never runs more at one time shows all that it runs.
    pub entries: u16,
    /// Listeners that the worker is given.
    pub listeners: u16,
}

impl BoardShape {
    /// The shape for so many application threads, each of which runs one request at a
    /// time.
    #[must_use]
    pub fn of_threads(threads: u16) -> Self {
        Self { sides: threads, entries: ENTRIES_OF_THREAD, listeners: 0 }
    }

    /// The same with rows for so many listeners.
    #[must_use]
    pub fn with_listeners(self, count: usize) -> Self {
        Self { listeners: u16::try_from(count).unwrap_or(u16::MAX), ..self }
    }
}
