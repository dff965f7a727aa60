//! What the workers know about the clients: how many requests each has sent, and how many
//! connections it has. One table in shared memory for all workers, which the master makes and
//! passes on to its successor, so that the limits hold over reloads, upgrades and killed
//! workers.
//!
//! There is no lock: a worker that is stopped or killed in the middle of a change holds up no
//! other one. The table has room for twice as many clients as it keeps in any case
//! ([`CLIENTS`]). Beyond that the clients give way whose requests would be forgotten first.
//! Each word of a client carries the number of the tenancy of its cell (`words.rs`), so what is
//! left of a client that gave way is never taken for another one's.

mod cells;
mod choice;
mod client_key;
mod journal;
mod rate;
mod rules;
mod table_word;
#[cfg(test)]
mod tests;
mod words;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use monoceros_sys::memory::SharedWords;

use cells::{CellChange, Cells, FoundCell};
use choice::{BLOCKS, CellChoice, SEEDS};
use rules::RuleRows;
use table_word::TableWord;
use words::{CellUse, ClientBucket, LATEST_S, MOST_CONNECTIONS};

pub use client_key::ClientKey;
pub use journal::{ConnectionJournal, JournalWriter};
pub use rate::Rate;
pub use rules::{RuleTag, TableRule};

/// How many clients the table keeps in any case.
pub const CLIENTS: u32 = 65_536;
/// How many cells there are. With half of them in use no two blocks of a client are full.
const CELLS: usize = 2 * CLIENTS as usize;
const PER_BLOCK: usize = CELLS / BLOCKS;
/// How many limits of requests can be in use: those of one generation, and as many of the next.
const ROWS: usize = 128;

/// The first word; another one for each layout of the table.
const SIGNATURE: u64 = u64::from_le_bytes(*b"clients\x01");
/// The places of the words of the head. They take a page of memory.
const SEED: usize = 1;
const RULES: usize = 8;
const HEAD: usize = 512;
/// The places of the cells' words.
const OWNERS: usize = HEAD;
const USES: usize = OWNERS + CELLS;
const BUCKETS: usize = USES + CELLS;
const WORDS: usize = BUCKETS + ROWS * CELLS;

/// The table, in any process.
#[derive(Debug)]
pub struct ClientTable {
    memory: SharedWords,
    choice: CellChoice,
}

/// What a worker is given.
#[derive(Debug)]
pub struct WorkerClients {
    /// The table of all workers.
    pub table: Arc<ClientTable>,
    /// Its own journal, if it limits connections.
    pub journal: Option<JournalWriter>,
}

impl WorkerClients {
    /// Maps the memory that came with [`ToWorker::Limits`](crate::message::ToWorker::Limits).
    ///
    /// # Errors
    /// Those of [`ClientTable::adopt`] and [`ConnectionJournal::adopt`]; `InvalidData` if a
    /// descriptor is missing.
    pub fn adopt(descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let mut descriptors = descriptors.into_iter();
        let table = descriptors.next().ok_or(io::ErrorKind::InvalidData)?;
        let journal = descriptors.next().map(ConnectionJournal::adopt).transpose()?;
        let journal = journal.map(JournalWriter::new);
        Ok(Self { table: Arc::new(ClientTable::adopt(table)?), journal })
    }
}

/// A request is beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRequests {
    /// The position of the limit among those that were asked about.
    pub rule: usize,
    /// When the client may send its next request.
    pub wait: Duration,
}

/// The result of counting a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionCount {
    /// The connection is counted, until [`ClientTable::disconnect`] is called with this number.
    Counted(u32),
    /// The client has as many as it may have.
    TooMany,
    /// The connection is allowed and not counted: every cell that the client could have is that
    /// of a client with connections, or the journal is full.
    Uncounted,
}

impl ClientTable {
    /// The addresses that a table takes in a process, in bytes.
    pub const SIZE: usize = WORDS * size_of::<AtomicU64>();

    /// Makes an empty table. Only the pages that are used take memory.
    ///
    /// # Errors
    /// Those of `memfd_create(2)` and `mmap(2)`.
    pub fn create() -> io::Result<Self> {
        let memory = SharedWords::create("monoceros-clients", WORDS)?;
        let seeds = CellChoice::random();
        let words = memory.words();
        seeds.iter().zip(&words[SEED..]).for_each(|(seed, word)| word.store(*seed, Relaxed));
        words[0].store(SIGNATURE, Relaxed);
        Ok(Self { memory, choice: CellChoice::new(seeds) })
    }

    /// Maps a table that another process has made.
    ///
    /// # Errors
    /// Those of `mmap(2)`; `InvalidData` if it has another layout.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let memory = SharedWords::adopt(fd)?;
        let words = memory.words();
        if words.len() != WORDS || words[0].load(Relaxed) != SIGNATURE {
            let why = "a table of clients with another layout";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let seeds: [u64; SEEDS] = std::array::from_fn(|index| words[SEED + index].load(Relaxed));
        Ok(Self { memory, choice: CellChoice::new(seeds) })
    }

    // The master.

    /// Gives rows to the limits that are wanted. Those of the limits that are neither wanted nor
    /// among `recent` are free for them; if these are not enough, those of `recent` too. A
    /// worker with a limit that has lost its row does not apply it any more.
    ///
    /// # Errors
    /// Those of `fallocate(2)`; `StorageFull` if more limits are wanted than there are rows.
    pub fn assign_rules(&self, wanted: &[RuleTag], recent: &[RuleTag]) -> io::Result<()> {
        self.free_rows(|tag| wanted.contains(&tag) || recent.contains(&tag))?;
        for tag in wanted {
            if self.rules().find(*tag).is_some() || self.rules().add(*tag) {
                continue;
            }
            self.free_rows(|tag| wanted.contains(&tag))?;
            if !self.rules().add(*tag) {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Ok(())
    }

    /// Empties the rows of all other limits.
    fn free_rows(&self, is_kept: impl Fn(RuleTag) -> bool) -> io::Result<()> {
        for row in self.rules().without(is_kept) {
            self.rules().free(row);
            self.memory.clear(BUCKETS + row * CELLS, CELLS)?;
        }
        Ok(())
    }

    /// The limits that have rows.
    #[must_use]
    pub fn assigned_rules(&self) -> Vec<RuleTag> {
        self.rules().all().collect()
    }

    /// Subtracts the connections of a worker that has ended.
    pub fn disconnect_all(&self, journal: &ConnectionJournal) {
        let counted = journal.take_all().filter(|cell| cell.index < CELLS);
        counted.for_each(|cell| self.cells().subtract_connection(cell));
    }

    // A worker.

    /// The limit with this tag; `None` if the master has given it no row.
    #[must_use]
    pub fn rule(&self, tag: RuleTag, rate: Rate) -> Option<TableRule> {
        self.rules().find(tag).map(|row| TableRule { tag, rate, row })
    }

    /// Counts a request of a client for all of these limits, if all of them allow it.
    ///
    /// # Errors
    /// The limit that makes the client wait the longest. A request that is refused is not
    /// counted.
    pub fn count_request<'a>(
        &self,
        client: ClientKey,
        rules: impl Iterator<Item = &'a TableRule> + Clone,
        now_us: u64,
    ) -> Result<(), TooManyRequests> {
        let rules = rules.enumerate().filter(|(_, rule)| self.rules().is_of(rule));
        let candidates = self.choice.of(client);
        let cells = self.cells();
        let found = cells.find(&candidates);
        let mut latest_us = None;
        let mut refusal: Option<(u64, usize)> = None;
        for (index, rule) in rules.clone() {
            let full_at_us = found.map_or(0, |cell| self.full_at_us(rule, cell));
            match rule.rate.take(full_at_us, now_us) {
                Ok(next_us) => latest_us = latest_us.max(Some(next_us)),
                Err(wait_us) => refusal = refusal.max(Some((wait_us, index))),
            }
        }
        if let Some((wait_us, rule)) = refusal {
            return Err(TooManyRequests { rule, wait: Duration::from_micros(wait_us) });
        }
        let Some(latest_us) = latest_us else { return Ok(()) };
        let until_s = (seconds(latest_us) + 1).min(LATEST_S);
        let cell = match found {
            Some(cell) if cell.usage.until_s >= until_s => cell,
            _ => {
                let change = cells.change(&candidates, seconds(now_us), |cell| {
                    let until_s = until_s.max(cell.usage.until_s);
                    Some(CellUse { until_s, ..cell.usage })
                });
                // Without a cell the request is allowed.
                let CellChange::Done(cell) = change else { return Ok(()) };
                cell
            }
        };
        for (taken, (index, rule)) in rules.clone().enumerate() {
            if let Err(wait_us) = self.take(rule, cell, now_us) {
                // Another request of the client came between.
                rules.take(taken).for_each(|(_, rule)| self.give_back(rule, cell));
                let wait = Duration::from_micros(wait_us);
                return Err(TooManyRequests { rule: index, wait });
            }
        }
        Ok(())
    }

    /// When the bucket of a client is full.
    fn full_at_us(&self, rule: &TableRule, cell: FoundCell) -> u64 {
        own_bucket(self.bucket(rule, cell).read(), cell)
    }

    /// Takes a request from the bucket of a client.
    fn take(&self, rule: &TableRule, cell: FoundCell, now_us: u64) -> Result<(), u64> {
        let bucket = self.bucket(rule, cell);
        loop {
            let before = bucket.read();
            let full_at_us = rule.rate.take(own_bucket(before, cell), now_us)?;
            let after = ClientBucket { tenancy: cell.usage.tenancy, full_at_us };
            if bucket.replace(before, after.word()) {
                return Ok(());
            }
        }
    }

    /// Puts a request back into the bucket of a client.
    fn give_back(&self, rule: &TableRule, cell: FoundCell) {
        let bucket = self.bucket(rule, cell);
        loop {
            let before = bucket.read();
            let full_at_us = rule.rate.give_back(own_bucket(before, cell));
            let after = ClientBucket { tenancy: cell.usage.tenancy, full_at_us };
            let is_own = ClientBucket::of(before).tenancy == cell.usage.tenancy;
            if !is_own || bucket.replace(before, after.word()) {
                return;
            }
        }
    }

    /// Counts a connection of a client, unless it has `limit` already.
    pub fn connect(
        &self,
        client: ClientKey,
        limit: u32,
        journal: &JournalWriter,
        now_us: u64,
    ) -> ConnectionCount {
        let limit = limit.min(MOST_CONNECTIONS);
        let Some(line) = journal.take_line() else { return ConnectionCount::Uncounted };
        let change = self.cells().change(&self.choice.of(client), seconds(now_us), |cell| {
            if cell.usage.connections >= limit {
                return None;
            }
            journal.write(line, cell);
            Some(CellUse { connections: cell.usage.connections + 1, ..cell.usage })
        });
        let uncounted = match change {
            CellChange::Done(_) => return ConnectionCount::Counted(line.0),
            CellChange::Refused => ConnectionCount::TooMany,
            CellChange::NoCell => ConnectionCount::Uncounted,
        };
        journal.release(line);
        uncounted
    }

    /// Subtracts a connection that was counted with this number.
    pub fn disconnect(&self, number: u32, journal: &JournalWriter) {
        let line = journal::JournalLine(number);
        if let Some(cell) = journal.read(line) {
            self.cells().subtract_connection(cell);
            journal.release(line);
        }
    }

    fn cells(&self) -> Cells<'_, AtomicU64> {
        let words = self.memory.words();
        Cells { owners: &words[OWNERS..USES], uses: &words[USES..BUCKETS], per_block: PER_BLOCK }
    }

    fn rules(&self) -> RuleRows<'_> {
        RuleRows(&self.memory.words()[RULES..RULES + ROWS])
    }

    fn bucket(&self, rule: &TableRule, cell: FoundCell) -> &AtomicU64 {
        &self.memory.words()[BUCKETS + rule.row * CELLS + cell.index]
    }
}

impl AsFd for ClientTable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

/// When a bucket is full: at once, if the word is that of another client.
fn own_bucket(word: u64, cell: FoundCell) -> u64 {
    let bucket = ClientBucket::of(word);
    if bucket.tenancy == cell.usage.tenancy { bucket.full_at_us } else { 0 }
}

fn seconds(us: u64) -> u32 {
    u32::try_from(us / 1_000_000).unwrap_or(LATEST_S).min(LATEST_S)
}
