//! Responses by status, in words that have one writer each: a word for each registered status,
//! and one for the others of each class, so that their number is bounded whatever an application
//! responds with.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::sole_writer::add;

/// The statuses that have a word of their own: those that are registered for final responses
/// (RFC 9110 section 16.2.1), with 101, after which the connection has another protocol.
const REGISTERED: [u16; 60] = [
    101,
    200,
    201,
    202,
    203,
    204,
    205,
    206,
    207,
    208,
    226,
    300,
    301,
    302,
    303,
    304,
    305,
    307,
    308,
    400,
    401,
    402,
    403,
    404,
    405,
    406,
    407,
    408,
    409,
    410,
    411,
    412,
    413,
    414,
    415,
    416,
    417,
    418,
    421,
    422,
    423,
    424,
    425,
    426,
    428,
    429,
    431,
    451,
    500,
    501,
    502,
    503,
    504,
    505,
    506,
    507,
    508,
    510,
    511,
    NO_RESPONSE,
];

/// The status of a request that got no response.
const NO_RESPONSE: u16 = 0;

/// The names of the words for statuses without one of their own.
const REST: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "other"];

/// How many words there are.
pub(super) const WORDS: usize = REGISTERED.len() + REST.len();

/// The statuses that the table covers.
const COVERED: usize = 600;

/// The word of each status.
static WORD_OF: [u8; COVERED] = make_table();

const fn make_table() -> [u8; COVERED] {
    let mut table = [(WORDS - 1) as u8; COVERED];
    let mut status = 200;
    while status < COVERED {
        table[status] = (REGISTERED.len() + status / 100 - 2) as u8;
        status += 1;
    }
    let mut word = 0;
    while word < REGISTERED.len() {
        table[REGISTERED[word] as usize] = word as u8;
        word += 1;
    }
    table
}

/// Counts a response in shared words that have no other writer.
pub(super) fn count(words: &[AtomicU64; WORDS], status: u16) {
    let word = WORD_OF.get(usize::from(status)).copied();
    add(&words[word.map_or(WORDS - 1, usize::from)], 1);
}

/// How many responses there were of each status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusCounts([u64; WORDS]);

impl Default for StatusCounts {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

impl StatusCounts {
    /// Adds what shared words have.
    pub(super) fn add_words(&mut self, words: &[AtomicU64; WORDS]) {
        for (sum, word) in self.0.iter_mut().zip(words) {
            *sum = sum.wrapping_add(word.load(Relaxed));
        }
    }

    /// The names of the statuses that have occurred, and how often: `404`, or `4xx` for all
    /// unregistered ones of a class; `none` for requests that got no response.
    pub fn named(&self) -> impl Iterator<Item = (String, u64)> {
        let counted = self.0.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.map(|(word, count)| (name_of(word), *count))
    }

    /// The counts of the classes 2xx to 5xx.
    #[must_use]
    pub fn by_class(&self) -> [u64; 4] {
        let mut classes = [0u64; 4];
        for (word, count) in self.0.iter().enumerate() {
            let class = match REGISTERED.get(word) {
                Some(status) => usize::from(status / 100).checked_sub(2),
                None => Some(word - REGISTERED.len()),
            };
            if let Some(sum) = class.and_then(|class| classes.get_mut(class)) {
                *sum = sum.wrapping_add(*count);
            }
        }
        classes
    }

    /// Responses with a status from 500 to 599.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.by_class()[3]
    }
}

fn name_of(word: usize) -> String {
    match REGISTERED.get(word) {
        Some(&NO_RESPONSE) => "none".to_owned(),
        Some(status) => status.to_string(),
        None => REST.get(word - REGISTERED.len()).copied().unwrap_or("other").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(statuses: impl IntoIterator<Item = u16>) -> StatusCounts {
        let words = std::array::from_fn(|_| AtomicU64::new(0));
        statuses.into_iter().for_each(|status| count(&words, status));
        let mut counts = StatusCounts::default();
        counts.add_words(&words);
        counts
    }

    #[test]
    fn registered_statuses_count_by_themselves_and_others_in_their_class() {
        let named = |status| of([status]).named().collect::<Vec<_>>();
        for (status, name) in [
            (101, "101"),
            (200, "200"),
            (226, "226"),
            (227, "2xx"),
            (306, "3xx"),
            (404, "404"),
            (499, "4xx"),
            (503, "503"),
            (599, "5xx"),
            (0, "none"),
            (100, "other"),
            (600, "other"),
            (u16::MAX, "other"),
        ] {
            assert_eq!(named(status), [(name.to_owned(), 1)], "{status}");
        }
    }

    #[test]
    fn every_status_counts_once() {
        let counts = of(0..1000);
        assert_eq!(counts.named().map(|(_, count)| count).sum::<u64>(), 1000);
        assert_eq!(counts.by_class(), [100; 4]);
        assert_eq!(counts.errors(), 100);
        assert_eq!(counts.named().count(), WORDS, "{:?}", counts.named().collect::<Vec<_>>());
    }
}
