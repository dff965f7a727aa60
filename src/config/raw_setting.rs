//! The value of one setting in one source, as text with its origin.

use crate::error::{Errors, ValueOrigin};
use crate::row::Arity;
use crate::table::{Row, Settings};

/// One word of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RawText {
    pub(crate) text: String,
    pub(crate) origin: ValueOrigin,
}

/// The value of a setting in one source.
#[derive(Clone, Debug)]
pub(crate) struct RawSetting {
    pub(crate) row: &'static Row,
    /// The key or flag as written; empty if the origin names it.
    pub(crate) subject: String,
    pub(crate) origin: ValueOrigin,
    pub(crate) words: Vec<RawText>,
}

impl RawSetting {
    /// Makes a value of words with the same origin.
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

    /// The words as text.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.words.iter().map(|word| word.text.clone()).collect()
    }

    /// The same with these words. Words that stay keep their lines in a file.
    pub(crate) fn with_texts(&self, texts: &[String]) -> Self {
        if self.texts() == texts {
            return self.clone();
        }
        Self::new(self.row, self.origin.clone(), self.subject.clone(), texts.to_vec())
    }

    /// Sets the value in `settings`, or adds all errors to `errors`.
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
        if let Err(reason) = (self.row.set)(settings, &self.texts(), self.row.range) {
            errors.add(self.origin.clone(), &self.subject, reason);
        }
    }
}
