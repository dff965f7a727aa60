//! Which cells a client may have: those of two blocks, so that no block is full before the
//! table has many more clients than it has to keep.

use std::hash::{BuildHasher, RandomState};

use super::client_key::ClientKey;

/// The number of blocks is 2 to this power.
const BLOCK_BITS: u32 = 14;
/// How many blocks there are.
pub(super) const BLOCKS: usize = 1 << BLOCK_BITS;

/// How many random numbers make a choice.
pub(super) const SEEDS: usize = 4;

/// Chooses the blocks of each client. The seeds are random, so that no client can aim at the
/// blocks of another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellChoice([u64; SEEDS]);

/// The blocks in which the cell of a client is, and its tag in each of them. No other client
/// has the same tag in the same block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidates {
    pub(super) blocks: [usize; 2],
    pub(super) tags: [u64; 2],
}

impl CellChoice {
    /// Takes random numbers of the system, as the maps of std do.
    pub(super) fn random() -> [u64; SEEDS] {
        let random = RandomState::new();
        std::array::from_fn(|index| random.hash_one(index))
    }

    pub(super) fn new(seeds: [u64; SEEDS]) -> Self {
        Self(seeds)
    }

    /// The number of a client is changed into another one, and every step can be reversed. The
    /// first bits of the new number are the first block, the others are the tag. They and the
    /// tag's last bit, which is the position of the block, they are the whole number again.
    pub(super) fn of(&self, client: ClientKey) -> Candidates {
        let [mask, first, second, distance] = self.0;
        let mut number = client.number() ^ mask;
        for odd in [first | 1, second | 1] {
            number ^= number >> 32;
            number = number.wrapping_mul(odd);
        }
        number ^= number >> 32;
        let rest = number & (u64::MAX >> BLOCK_BITS);
        let block = block_of(number);
        // An odd distance leads to another block.
        let other = block ^ (block_of(rest.wrapping_mul(distance | 1)) | 1);
        Candidates { blocks: [block, other], tags: [rest << 1, rest << 1 | 1] }
    }
}

/// The first bits of a number.
fn block_of(number: u64) -> usize {
    (number >> (u64::BITS - BLOCK_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    fn keys() -> impl Iterator<Item = ClientKey> {
        let v4 = (0..40_000_u32).map(|n| IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0000 | n)));
        let v6 = (0..40_000_u128).map(|n| Ipv6Addr::from_bits(0x2001_0db8 << 96 | n << 64));
        v4.chain(v6.map(IpAddr::V6)).map(ClientKey::from)
    }

    #[test]
    fn no_two_clients_have_the_same_tag_in_a_block() {
        let choice = CellChoice::new(CellChoice::random());
        let mut tags = HashMap::new();
        for key in keys() {
            let Candidates { blocks, tags: own } = choice.of(key);
            assert!(blocks.iter().all(|block| *block < BLOCKS) && blocks[0] != blocks[1]);
            for place in blocks.into_iter().zip(own) {
                assert_eq!(tags.insert(place, key), None, "{place:?}");
            }
        }
    }

    #[test]
    fn clients_whose_addresses_follow_each_other_are_spread_over_the_blocks() {
        let choice = CellChoice::new(CellChoice::random());
        let mut counts = vec![[0_u32; 2]; BLOCKS];
        for key in keys() {
            let blocks = choice.of(key).blocks;
            blocks.into_iter().enumerate().for_each(|(which, block)| counts[block][which] += 1);
        }
        // 80,000 clients, about 5 in each block.
        let most = counts.iter().flatten().max();
        assert!(most.is_some_and(|most| *most < 30), "{most:?}");
    }
}
