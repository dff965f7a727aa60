//! The positions in the memory: the head, a row for each listener, a row for each application
//! side, and the entries of all sides, one side's behind another's. Each begins with a cache
//! line.

use super::shape::BoardShape;
use super::{entry, head, listener_row, side};

/// How many words there are.
pub(super) fn words(shape: BoardShape) -> usize {
    entry_start(shape, first_place(shape, usize::from(shape.sides)))
}

/// The position of a side's row; `None` if there is no such side.
pub(super) fn row_start(shape: BoardShape, side: usize) -> Option<usize> {
    (side < usize::from(shape.sides)).then(|| rows_start(shape) + side * side::WORDS)
}

/// The position of a listener's row; `None` if there is no such listener.
pub(super) fn listener_start(shape: BoardShape, listener: usize) -> Option<usize> {
    let start = head::WORDS + listener * listener_row::WORDS;
    (listener < usize::from(shape.listeners)).then_some(start)
}

/// The position of the first side's row.
fn rows_start(shape: BoardShape) -> usize {
    head::WORDS + usize::from(shape.listeners) * listener_row::WORDS
}

/// The position of an entry, by its index among those of all sides.
pub(super) fn entry_start(shape: BoardShape, place: u32) -> usize {
    rows_start(shape) + usize::from(shape.sides) * side::WORDS + place as usize * entry::WORDS
}

/// The index of a side's first entry.
pub(super) fn first_place(shape: BoardShape, side: usize) -> u32 {
    side as u32 * u32::from(shape.entries)
}
