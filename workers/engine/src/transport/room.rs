//! How much may wait for slow clients in a worker, in memory and on disk.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use monoceros_sys::clock;

use crate::record::line_window::LineWindow;

/// A response may take this part of the room on disk.
const SHARES: u64 = 4;

/// The room of a worker, and its used part.
#[derive(Debug)]
pub(crate) struct Room {
    memory: Pool,
    disk: Pool,
    /// The log's lines that the disk cannot be used.
    lines: Mutex<LineWindow>,
}

#[derive(Debug)]
struct Pool {
    limit: u64,
    taken: AtomicU64,
}

/// The part of a worker's room that a response uses; returned when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct RoomShare {
    room: Option<Arc<Room>>,
    memory: u64,
    disk: u64,
}

impl Room {
    pub(crate) fn new(memory: u64, disk: u64) -> Self {
        let pool = |limit| Pool { limit, taken: AtomicU64::new(0) };
        Self { memory: pool(memory), disk: pool(disk), lines: Mutex::default() }
    }

    /// Whether more is in memory than the limit: there was no room on disk.
    pub(crate) fn is_short(&self) -> bool {
        self.memory.taken.load(Ordering::Relaxed) > self.memory.limit
    }

    /// The limit of the file of one response, in bytes.
    pub(crate) fn share_of_disk(&self) -> u64 {
        self.disk.limit / SHARES
    }

    /// Logs that the disk cannot be used, a few times in a minute.
    pub(crate) fn complain(&self, error: &io::Error) {
        let now_ms = clock::monotonic_ms();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.end(now_ms, false);
        if lines.admit(now_ms) {
            log::warn!("cannot keep a response on disk, a slow client may hold a thread: {error}");
        }
    }

    /// Whether the disk has room for more.
    pub(crate) fn has_disk(&self) -> bool {
        self.disk.taken.load(Ordering::Relaxed) < self.disk.limit
    }
}

impl Pool {
    /// Takes room if there is enough.
    fn try_take(&self, amount: u64) -> bool {
        let fits = |taken: u64| taken.checked_add(amount).filter(|sum| *sum <= self.limit);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn give_back(&self, amount: u64) {
        self.taken.fetch_sub(amount, Ordering::Relaxed);
    }
}

impl RoomShare {
    fn of<'a>(&'a mut self, room: &Arc<Room>) -> &'a Room {
        self.room.get_or_insert_with(|| Arc::clone(room))
    }

    /// Takes memory if there is enough.
    pub(crate) fn try_memory(&mut self, room: &Arc<Room>, amount: usize) -> bool {
        let taken = self.of(room).memory.try_take(amount as u64);
        self.memory += if taken { amount as u64 } else { 0 };
        taken
    }

    /// Takes memory even if there is not enough.
    pub(crate) fn force_memory(&mut self, room: &Arc<Room>, amount: usize) {
        self.of(room).memory.taken.fetch_add(amount as u64, Ordering::Relaxed);
        self.memory += amount as u64;
    }

    /// Takes disk if there is enough.
    pub(crate) fn try_disk(&mut self, room: &Arc<Room>, amount: usize) -> bool {
        let taken = self.of(room).disk.try_take(amount as u64);
        self.disk += if taken { amount as u64 } else { 0 };
        taken
    }

    pub(crate) fn give_back_memory(&mut self, amount: usize) {
        let amount = (amount as u64).min(self.memory);
        self.memory -= amount;
        if let Some(room) = &self.room {
            room.memory.give_back(amount);
        }
    }

    pub(crate) fn give_back_disk(&mut self) {
        let amount = std::mem::take(&mut self.disk);
        if let Some(room) = &self.room {
            room.disk.give_back(amount);
        }
    }
}

impl Drop for RoomShare {
    fn drop(&mut self) {
        self.give_back_memory(usize::MAX);
        self.give_back_disk();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_returned_when_a_response_ends() {
        let room = Arc::new(Room::new(100, 40));
        let mut one = RoomShare::default();
        assert!(one.try_memory(&room, 60) && !one.try_memory(&room, 41));
        assert!(one.try_disk(&room, 40) && !one.try_disk(&room, 1));
        assert!(!room.is_short() && !room.has_disk());
        assert_eq!(room.share_of_disk(), 10);
        let mut two = RoomShare::default();
        two.force_memory(&room, 50);
        assert!(room.is_short());
        one.give_back_memory(10);
        assert!(!room.is_short());
        one.give_back_disk();
        assert!(room.has_disk());
        drop((one, two));
        assert!(RoomShare::default().try_memory(&room, 100), "all of it is free again");
    }
}
