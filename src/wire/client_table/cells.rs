//! Finding, taking and leaving cells: the part of the table that several processes change at
//! the same time, without locks. A process may be killed between any two steps, and no other
//! process waits for it.
//!
//! A cell has two words: whose it is ([`CellOwner`]) and what for ([`CellUse`]). It is taken in
//! three steps, each of which is one change of a word:
//!
//! 1. the use gets the next tenancy, which ends that of the last client: the cell is vacant;
//! 2. the owner becomes the new client, with this tenancy;
//! 3. something is kept in the use.
//!
//! Up to step 3 any process may take the cell away again. Two processes may add the same client
//! at the same time, in two cells. Each of them looks for other cells of the client between
//! steps 2 and 3, and the first cell in order remains. So a client never has two cells in
//! which something is kept.

use super::choice::Candidates;
use super::table_word::TableWord;
use super::words::{CellOwner, CellUse};

/// How often a change is tried. Each time another process has changed the same words.
const ATTEMPTS: u32 = 1000;

/// The cells of a table.
pub(super) struct Cells<'a, W> {
    /// The owners of all cells, one block behind another.
    pub(super) owners: &'a [W],
    /// The uses of the same cells.
    pub(super) uses: &'a [W],
    /// How many cells a block has.
    pub(super) per_block: usize,
}

/// A cell of a client, as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoundCell {
    pub(super) index: usize,
    pub(super) usage: CellUse,
}

/// The result of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CellChange {
    /// The cell as it is now.
    Done(FoundCell),
    /// The caller has refused the change.
    Refused,
    /// No cell is free for the client.
    NoCell,
}

/// A cell that the client may take.
#[derive(Clone, Copy)]
struct FreeCell {
    cell: FoundCell,
    owner: CellOwner,
    tag: u64,
}

/// What a block has for a client.
struct BlockView {
    /// How many cells have clients that need them.
    needed: usize,
    /// The cell that may be taken first.
    free: Option<FreeCell>,
}

impl<W: TableWord> Cells<'_, W> {
    /// The cell in which something is kept for a client.
    pub(super) fn find(&self, client: &Candidates) -> Option<FoundCell> {
        self.cells_of(client).find(|cell| cell.usage.is_kept())
    }

    /// Changes what is kept for a client, in its cell or in a new one: to what `change` makes of
    /// the cell, if it makes something. `change` may be called more than once.
    pub(super) fn change(
        &self,
        client: &Candidates,
        now_s: u32,
        mut change: impl FnMut(FoundCell) -> Option<CellUse>,
    ) -> CellChange {
        for _ in 0..ATTEMPTS {
            let Some(cell) = self.find(client).or_else(|| self.cells_of(client).next()) else {
                let Some(free) = self.find_free(client, now_s) else { return CellChange::NoCell };
                self.take(&free);
                continue;
            };
            if !cell.usage.is_kept() && !self.is_only_one(client, cell) {
                continue;
            }
            let Some(next) = change(cell) else { return CellChange::Refused };
            if self.replace_use(cell, next) {
                return CellChange::Done(FoundCell { usage: next, ..cell });
            }
        }
        CellChange::NoCell
    }

    /// Takes one connection from the number of those of a cell, if its client still has it and
    /// has connections. The number of attempts has a limit, since the master subtracts too, and
    /// does not rely on what workers do with their memory.
    pub(super) fn subtract_connection(&self, cell: FoundCell) {
        for _ in 0..ATTEMPTS {
            let usage = self.usage(cell.index);
            if usage.tenancy != cell.usage.tenancy || usage.connections == 0 {
                return;
            }
            let less = CellUse { connections: usage.connections - 1, ..usage };
            if self.replace_use(FoundCell { usage, ..cell }, less) {
                return;
            }
        }
    }

    /// Every cell of a client, in the order of the cells. More than one only while processes
    /// add the client.
    fn cells_of(&self, client: &Candidates) -> impl Iterator<Item = FoundCell> {
        let places = client.blocks.into_iter().zip(client.tags);
        places.flat_map(move |(block, tag)| {
            self.block(block).filter_map(move |index| {
                let owner = self.owner(index);
                if owner.tag != tag || !owner.tenancy.is_some() {
                    return None;
                }
                let usage = self.usage(index);
                (usage.tenancy == owner.tenancy).then_some(FoundCell { index, usage })
            })
        })
    }

    /// Whether a cell, in which nothing is kept yet, is the one that the client gets. Its other
    /// cells are taken from it, or this one if another one has precedence.
    fn is_only_one(&self, client: &Candidates, cell: FoundCell) -> bool {
        // Another process that has added the client before its own fence is seen here, or that
        // process sees this cell behind its fence.
        W::fence();
        let mut is_behind = false;
        for other in self.cells_of(client) {
            if other.index == cell.index {
                is_behind = true;
            } else if other.usage.is_kept() || !is_behind {
                self.vacate(cell);
                return false;
            } else if !self.vacate(other) {
                return false;
            }
        }
        is_behind
    }

    /// The cell that a new client takes: in the block in which fewer cells are needed, a vacant
    /// one, or the one that has been needed least of late. If all of both blocks are needed, it
    /// is the one that is needed for the shortest time. Cells with connections are not free.
    fn find_free(&self, client: &Candidates, now_s: u32) -> Option<FreeCell> {
        let [first, second] =
            [0, 1].map(|which| self.view_block(client.blocks[which], client.tags[which], now_s));
        let are_full = [&first, &second].iter().all(|it| it.needed == self.per_block);
        let (one, other) = if second.needed < first.needed {
            (second.free, first.free)
        } else {
            (first.free, second.free)
        };
        match (one, other) {
            (Some(one), Some(other))
                if are_full && other.cell.usage.until_s < one.cell.usage.until_s =>
            {
                Some(other)
            }
            (one, other) => one.or(other),
        }
    }

    fn view_block(&self, block: usize, tag: u64, now_s: u32) -> BlockView {
        let mut view = BlockView { needed: 0, free: None };
        let mut least = None;
        for index in self.block(block) {
            let (owner, usage) = (self.owner(index), self.usage(index));
            // The use of a vacant cell has nothing in it.
            view.needed += usize::from(usage.is_needed(now_s));
            let rank = (owner.tenancy == usage.tenancy, usage.until_s);
            if usage.connections == 0 && least.is_none_or(|least| rank < least) {
                least = Some(rank);
                view.free = Some(FreeCell { cell: FoundCell { index, usage }, owner, tag });
            }
        }
        view
    }

    /// Makes a free cell that of a new client, unless another process is faster.
    fn take(&self, free: &FreeCell) {
        let FreeCell { cell, owner, tag } = *free;
        let usage = if owner.tenancy == cell.usage.tenancy {
            if !self.vacate(cell) {
                return;
            }
            cell.usage.vacated()
        } else {
            cell.usage
        };
        let new = CellOwner { tag, tenancy: usage.tenancy };
        self.owners[cell.index].replace(owner.word(), new.word());
    }

    /// Ends the tenancy of a cell. Returns whether its use was still the one that was found.
    fn vacate(&self, cell: FoundCell) -> bool {
        self.replace_use(cell, cell.usage.vacated())
    }

    fn replace_use(&self, cell: FoundCell, next: CellUse) -> bool {
        self.uses[cell.index].replace(cell.usage.word(), next.word())
    }

    fn block(&self, block: usize) -> std::ops::Range<usize> {
        block * self.per_block..(block + 1) * self.per_block
    }

    fn owner(&self, index: usize) -> CellOwner {
        CellOwner::of(self.owners[index].read())
    }

    fn usage(&self, index: usize) -> CellUse {
        CellUse::of(self.uses[index].read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU64;
    use loom::thread;

    /// A table of two blocks with two cells each.
    struct SmallTable {
        owners: Vec<AtomicU64>,
        uses: Vec<AtomicU64>,
    }

    impl SmallTable {
        fn new() -> Arc<Self> {
            let words = || (0..4).map(|_| AtomicU64::new(0)).collect();
            Arc::new(Self { owners: words(), uses: words() })
        }

        fn cells(&self) -> Cells<'_, AtomicU64> {
            Cells { owners: &self.owners, uses: &self.uses, per_block: 2 }
        }

        fn connect(&self, client: &Candidates, limit: u32) -> CellChange {
            self.cells().change(client, 1, |cell| {
                let connections = cell.usage.connections + 1;
                (connections <= limit).then_some(CellUse { connections, ..cell.usage })
            })
        }

        /// The cells in which something is kept, with the numbers of connections.
        fn kept(&self, client: &Candidates) -> Vec<u32> {
            let cells = self.cells();
            let kept = cells.cells_of(client).filter(|cell| cell.usage.is_kept());
            kept.map(|cell| cell.usage.connections).collect()
        }
    }

    fn client(number: u64, first: usize) -> Candidates {
        Candidates { blocks: [first, 1 - first], tags: [number << 1, number << 1 | 1] }
    }

    /// Every order with at most so many switches in the middle of a step.
    fn check(switches: usize, model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(switches);
        builder.check(model);
    }

    #[test]
    fn a_client_that_several_processes_add_at_once_has_one_cell_in_any_order_of_steps() {
        check(2, || {
            let table = SmallTable::new();
            let one = client(1, 0);
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.connect(&one, 9))
            };
            let first = table.connect(&one, 9);
            let second = other.join().unwrap();
            for change in [first, second] {
                assert!(matches!(change, CellChange::Done(_)), "{change:?}");
            }
            assert_eq!(table.kept(&one), [2]);
        });
    }

    impl SmallTable {
        /// Steps 1 and 2 of a process that adds the client, and has found this cell to be free.
        fn take(&self, client: &Candidates, index: usize) {
            let cells = self.cells();
            let (owner, usage) = (cells.owner(index), cells.usage(index));
            let which = usize::from(index / cells.per_block != client.blocks[0]);
            let (cell, tag) = (FoundCell { index, usage }, client.tags[which]);
            cells.take(&FreeCell { cell, owner, tag });
        }
    }

    /// They have found the table in different states, so that another cell was free first.
    #[test]
    fn a_client_that_two_processes_add_in_two_cells_keeps_one_in_any_order_of_steps() {
        for (mine, theirs) in [(0, 1), (1, 0), (3, 0), (1, 2)] {
            check(2, move || {
                let table = SmallTable::new();
                let one = client(1, 0);
                let other = {
                    let table = Arc::clone(&table);
                    thread::spawn(move || {
                        table.take(&one, theirs);
                        table.connect(&one, 1)
                    })
                };
                table.take(&one, mine);
                let first = table.connect(&one, 1);
                let second = other.join().unwrap();
                let refused = [first, second].into_iter().filter(|it| *it == CellChange::Refused);
                assert_eq!((refused.count(), table.kept(&one)), (1, vec![1]));
            });
        }
    }

    #[test]
    fn a_limit_is_exact_in_any_order_of_steps() {
        check(2, || {
            let table = SmallTable::new();
            let one = client(1, 0);
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.connect(&one, 1))
            };
            let first = table.connect(&one, 1);
            let second = other.join().unwrap();
            let refused = [first, second].iter().filter(|it| **it == CellChange::Refused).count();
            assert_eq!((refused, table.kept(&one)), (1, vec![1]));
        });
    }

    #[test]
    fn two_clients_that_want_the_same_cell_get_one_each_in_any_order_of_steps() {
        check(2, || {
            let table = SmallTable::new();
            let (one, two) = (client(1, 0), client(2, 0));
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.connect(&two, 9))
            };
            table.connect(&one, 9);
            other.join().unwrap();
            assert_eq!((table.kept(&one), table.kept(&two)), (vec![1], vec![1]));
        });
    }

    /// A process that was killed after its first or second step leaves such a cell.
    #[test]
    fn a_cell_that_was_not_taken_completely_is_no_obstacle_in_any_order_of_steps() {
        check(2, || {
            let table = SmallTable::new();
            let one = client(1, 0);
            // The last cell of the client's second block, and the first one of its first.
            table.take(&one, 3);
            table.take(&one, 0);
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.connect(&one, 9))
            };
            table.connect(&one, 9);
            other.join().unwrap();
            assert_eq!(table.kept(&one), [2]);
        });
    }

    #[test]
    fn a_connection_that_ends_leaves_those_of_the_next_client_alone_in_any_order_of_steps() {
        check(2, || {
            let table = SmallTable::new();
            let (one, two) = (client(1, 0), client(2, 0));
            let CellChange::Done(cell) = table.connect(&one, 9) else { panic!("no cell") };
            table.cells().subtract_connection(cell);
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.connect(&two, 9))
            };
            // Too late, as if by a second reading of a record: the cell may be the other
            // client's.
            table.cells().subtract_connection(cell);
            other.join().unwrap();
            assert!(table.kept(&one).is_empty());
            assert_eq!(table.kept(&two), [1]);
        });
    }

    /// Without a model: one step behind another.
    fn in_order(test: impl Fn(&SmallTable) + Sync + Send + 'static) {
        check(0, move || test(&SmallTable::new()));
    }

    fn remember(table: &SmallTable, client: &Candidates, now_s: u32, until_s: u32) -> CellChange {
        table.cells().change(client, now_s, |cell| Some(CellUse { until_s, ..cell.usage }))
    }

    #[test]
    fn the_client_that_is_remembered_for_the_shortest_time_gives_way() {
        in_order(|table| {
            let clients: Vec<_> = (1..=4).map(|number| client(number, 0)).collect();
            for (one, until_s) in clients.iter().zip([14, 12, 13, 15]) {
                remember(table, one, 10, until_s);
            }
            let new = client(9, 0);
            remember(table, &new, 11, 20);
            let gone: Vec<_> = clients.iter().map(|it| table.cells().find(it).is_none()).collect();
            assert_eq!(gone, [false, true, false, false]);
            assert!(table.cells().find(&new).is_some());
        });
    }

    #[test]
    fn a_client_whose_time_is_over_gives_way_before_one_that_is_remembered() {
        in_order(|table| {
            let clients: Vec<_> = (1..=4).map(|number| client(number, 0)).collect();
            for (one, until_s) in clients.iter().zip([100, 100, 12, 100]) {
                remember(table, one, 10, until_s);
            }
            remember(table, &client(9, 1), 50, 90);
            let is_gone = |it| table.cells().find(it).is_none();
            assert_eq!(
                clients.iter().map(is_gone).collect::<Vec<_>>(),
                [false, false, true, false]
            );
        });
    }

    #[test]
    fn a_client_with_connections_never_gives_way() {
        in_order(|table| {
            for number in 1..=4 {
                let change = table.connect(&client(number, 0), 1);
                assert!(matches!(change, CellChange::Done(_)));
            }
            assert_eq!(table.connect(&client(9, 0), 1), CellChange::NoCell);
            let CellChange::Done(cell) = remember(table, &client(2, 0), 10, 99) else { panic!() };
            table.cells().subtract_connection(cell);
            assert!(matches!(table.connect(&client(9, 0), 1), CellChange::Done(_)));
            assert!(table.kept(&client(2, 0)).is_empty());
        });
    }
}
