//! What one source says about one setting: text and its place, not yet read.

use crate::error::{Errors, ValueOrigin};
use crate::row::Arity;
use crate::table::{Row, Settings};

/// One word of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RawText {
    pub(crate) text: String,
    pub(crate) origin: ValueOrigin,
}

/// What was said about a setting in one place.
#[derive(Clone, Debug)]
pub(crate) struct RawSetting {
    pub(crate) row: &'static Row,
    /// The key or flag as written; empty where the place says it all.
    pub(crate) subject: String,
    pub(crate) origin: ValueOrigin,
    pub(crate) words: Vec<RawText>,
}

impl RawSetting {
    /// Words that were all said in the same place.
    pub(crate) fn new(
        row: &'static Row,
        origin: ValueOrigin,
        subject: impl Into<String>,
        texts: Vec<String>,
    ) -> Self {
        let words =
            texts.into_iter().map(|text| RawText { text, origin: origin.clone() }).collect();
        Self { row, subject: subject.into(), origin, words }
    }

    /// Puts the value into `settings`, or every reason why not into `errors`.
    pub(crate) fn apply(&self, settings: &mut Settings, errors: &mut Errors) {
        let before = errors.0.len();
        for word in &self.words {
            if let Err(reason) = self.row.refuse(&word.text) {
                errors.add(word.origin.clone(), &self.subject, reason);
            }
        }
        if self.row.arity == Arity::List && self.words.is_empty() {
            errors.add(self.origin.clone(), &self.subject, "the list is empty");
        }
        if errors.0.len() > before {
            return;
        }
        let texts: Vec<_> = self.words.iter().map(|word| word.text.clone()).collect();
        if let Err(reason) = (self.row.set)(settings, &texts, self.row.range) {
            errors.add(self.origin.clone(), &self.subject, reason);
        }
    }
}
