//! Owns which concerns about the application are reported already, so that each is reported
//! once for a generation, whichever of its workers has found it. Called by `pool.rs` only.

use std::collections::BTreeSet;

use monoceros_wire::Generation;

use crate::master::decide::action::{Action, Actions};

/// The most concerns of a generation that are reported.
const MAX_CONCERNS: usize = 500;
/// The most characters of a concern.
const MAX_LENGTH: usize = 4000;

/// The concerns of the newest generation that were reported.
#[derive(Debug, Default)]
pub(crate) struct Concerns {
    generation: Generation,
    reported: BTreeSet<String>,
}

impl Concerns {
    /// Reports a concern of a worker of this generation, if it is new. Older generations have
    /// reported theirs.
    pub(crate) fn report(
        &mut self,
        generation: Generation,
        text: &str,
        is_grave: bool,
        actions: &mut Actions,
    ) {
        if generation > self.generation {
            *self = Self { generation, reported: BTreeSet::new() };
        }
        let text: String = text.chars().take(MAX_LENGTH).collect();
        let is_new = generation == self.generation && self.reported.insert(text.clone());
        if is_new && self.reported.len() <= MAX_CONCERNS {
            actions.push(Action::Concern { text, is_grave });
        } else if is_new {
            self.reported.remove(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::decide::state::Purpose;

    fn reported(concerns: &mut Concerns, generation: u32, text: &str) -> Vec<String> {
        let mut actions = Actions::new(Purpose::Serve);
        concerns.report(Generation(generation), text, false, &mut actions);
        let texts = actions.take().into_iter().map(|action| match action {
            Action::Concern { text, is_grave: false } => text,
            other => panic!("{other:?}"),
        });
        texts.collect()
    }

    #[test]
    fn a_concern_is_reported_once_for_a_generation() {
        let mut concerns = Concerns::default();
        assert_eq!(reported(&mut concerns, 1, "debug"), ["debug"]);
        assert!(reported(&mut concerns, 1, "debug").is_empty());
        assert_eq!(reported(&mut concerns, 1, "static"), ["static"]);
        assert_eq!(reported(&mut concerns, 2, "debug"), ["debug"]);
        assert!(reported(&mut concerns, 1, "static").is_empty(), "of an older generation");
    }

    #[test]
    fn the_number_and_length_of_concerns_have_a_limit() {
        let mut concerns = Concerns::default();
        let count =
            |it: usize, concerns: &mut Concerns| reported(concerns, 1, &it.to_string()).len();
        let all: usize = (0..2 * MAX_CONCERNS).map(|it| count(it, &mut concerns)).sum();
        assert_eq!(all, MAX_CONCERNS);
        let long = reported(&mut concerns, 2, &"é".repeat(2 * MAX_LENGTH)).concat();
        assert_eq!(long.chars().count(), MAX_LENGTH);
    }
}
