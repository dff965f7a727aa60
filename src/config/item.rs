//! Items of lists that are mappings in the configuration file, such as
//! `{address: ':8000', proxy-protocol: v2}`.

/// A key of an item, and its words: one, or several of a list.
pub(crate) type ItemPair<'a> = (&'a str, Vec<String>);

/// The form of an item that is a mapping.
#[derive(Debug)]
pub(crate) struct ItemForm {
    /// The keys that it may have.
    pub(crate) keys: &'static [&'static str],
    /// The keys among them that may have a list of words.
    pub(crate) lists: &'static [&'static str],
    /// The keys among them whose value is a list of items of another form.
    pub(crate) nested: &'static [(&'static str, &'static Self)],
    /// Checks a word of a key, so that an error has the line of the key.
    pub(crate) check: fn(&str, &str) -> Result<(), String>,
    /// Makes the text of the item from its keys and their words, as on the command line.
    pub(crate) text: fn(&[ItemPair<'_>]) -> Result<String, String>,
}

impl ItemForm {
    /// The form of the items of a key, if it has such.
    pub(crate) fn nested_in(&self, key: &str) -> Option<&'static Self> {
        self.nested.iter().find(|(name, _)| *name == key).map(|(_, form)| *form)
    }
}
