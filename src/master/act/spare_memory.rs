//! Owns the decision when the master returns memory that it does not need for a while: after the
//! server has begun to serve, after a reload, after a report or a look at all scoreboards, and when
//! a process has ended. Such work uses much of the program, and of the scoreboards, that waiting
//! for events does not. Called by the event loop, and by what makes reports.

use std::time::{Duration, Instant};

use monoceros_sys::{memory, program_pages};
use monoceros_wire::scoreboard::Scoreboard;

/// The shortest time between two releases. Mapping the pages again takes some tens of
/// microseconds, which must not add up while reports follow each other.
const INTERVAL: Duration = Duration::from_millis(200);

/// Memory that can be released.
#[derive(Debug, Default)]
pub(crate) struct SpareMemory {
    /// Work of this kind has been done since the last release.
    is_due: bool,
    last: Option<Instant>,
}

impl SpareMemory {
    /// Work has been done that needs more of the program, and more memory, than waiting for
    /// events.
    pub(crate) fn note_work(&mut self) {
        self.is_due = true;
    }

    /// Releases memory, if it is time for that. Called before the event loop waits.
    pub(crate) fn release<'a>(
        &mut self,
        now: Instant,
        boards: impl Iterator<Item = &'a Scoreboard>,
    ) {
        if self.take_due(now) {
            boards.for_each(Scoreboard::unmap_pages);
            memory::trim();
            program_pages::release();
        }
    }

    /// Whether a release is due now; notes it if so. Without another event it is not made later:
    /// no timer is worth it.
    fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.is_due && self.last.is_none_or(|last| last + INTERVAL <= now);
        if is_due {
            *self = Self { is_due: false, last: Some(now) };
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_released_after_work_and_some_times_in_a_second_at_most() {
        let (mut memory, began) = (SpareMemory::default(), Instant::now());
        let due = |memory: &mut SpareMemory, millis| {
            memory.take_due(began + Duration::from_millis(millis))
        };
        assert!(!due(&mut memory, 0), "no work");
        memory.note_work();
        assert!(due(&mut memory, 1) && !due(&mut memory, 5000));
        memory.note_work();
        assert!(due(&mut memory, 5001));
        memory.note_work();
        assert!(!due(&mut memory, 5002) && !due(&mut memory, 5200));
        assert!(due(&mut memory, 5201), "the work before counts");
    }
}
