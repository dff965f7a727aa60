//! Items of lists that are mappings in the configuration file, such as
//! `{address: ':8000', proxy-protocol: v2}`.

/// A key of an item, and its value.
pub(crate) type ItemPair<'a> = (&'a str, String);

/// The form of an item that is a mapping of words.
#[derive(Debug)]
pub(crate) struct ItemForm {
    /// The keys that it may have.
    pub(crate) keys: &'static [&'static str],
    /// Makes the text of the item from its keys and their values, as on the command line.
    pub(crate) text: fn(&[ItemPair<'_>]) -> Result<String, String>,
}
