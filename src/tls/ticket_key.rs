//! Keys of session tickets, and their rotation.

use aws_lc_rs::rand;

use crate::material::TicketKey;

/// How long a key encrypts tickets, in seconds.
const USE: u64 = 6 * 60 * 60;

/// How many keys are kept: with these, a ticket is accepted for at least 12 hours.
const KEPT: usize = 3;

impl TicketKey {
    /// A new key; `now` is in seconds since 1970.
    ///
    /// # Panics
    /// The system has no random numbers.
    #[must_use]
    pub fn generate(now: u64) -> Self {
        let mut key = Self { name: [0; 16], secret: [0; 32], made_at: now };
        let filled = rand::fill(&mut key.name).and_then(|()| rand::fill(&mut key.secret));
        filled.expect("the system has random numbers");
        key
    }
}

/// Puts a new key before the others when the first one has been used for 6 hours, and drops
/// those that are too old. Returns whether that has changed something. `now` is in seconds
/// since 1970.
pub fn rotate(keys: &mut Vec<TicketKey>, now: u64) -> bool {
    // A key of the future was made before the clock was set back.
    let is_fresh = |key: &TicketKey| key.made_at <= now && now - key.made_at < USE;
    if keys.first().is_some_and(is_fresh) {
        return false;
    }
    keys.insert(0, TicketKey::generate(now));
    keys.truncate(KEPT);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_replaced_every_six_hours_and_three_are_kept() {
        let mut keys = Vec::new();
        assert!(rotate(&mut keys, 1_000));
        assert!(!rotate(&mut keys, 1_000 + USE - 1));
        let first = keys[0].clone();
        assert!(rotate(&mut keys, 1_000 + USE));
        assert!(rotate(&mut keys, 1_000 + 2 * USE));
        assert_eq!(keys[2], first);
        assert!(rotate(&mut keys, 1_000 + 3 * USE));
        assert!(keys.len() == 3 && !keys.contains(&first));
        assert!(keys[0].name != keys[1].name && keys[0].secret != keys[1].secret);
        assert!(rotate(&mut keys, 1_000), "the clock was set back");
        assert!(!rotate(&mut keys, 1_000));
    }
}
