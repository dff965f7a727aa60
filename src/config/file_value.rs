//! Makes the words of a setting of its value in the configuration file: a scalar, a list, or a
//! mapping.

use serde_yaml::{Mapping, Value};

use crate::item::{ItemForm, ItemPair};
use crate::row::Arity;
use crate::source_lines::ItemLines;
use crate::suggestion;
use crate::table::Row;

/// A word of a value, with its line.
pub(crate) type FileWord = (String, Option<usize>);

/// The reason why a value is refused, and its line if that is not the line of the key.
pub(crate) struct Refusal {
    pub(crate) line: Option<usize>,
    pub(crate) reason: String,
}

impl Refusal {
    fn new(line: Option<usize>, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }

    /// A refusal of a part of a value.
    fn within(self, name: &str) -> Self {
        Self { reason: format!("{name}: {}", self.reason), ..self }
    }
}

/// The words of a setting's value. `lines` are those of the setting.
pub(crate) fn words(
    row: &Row,
    value: &Value,
    lines: ItemLines<'_>,
) -> Result<Vec<FileWord>, Refusal> {
    match (value, row.item) {
        (Value::Sequence(items), _) if row.arity == Arity::List => {
            let items = items.iter().zip(lines.items(items.len()));
            let words: Result<Vec<_>, _> =
                items.map(|(item, lines)| item_words(row, item, lines)).collect();
            words.map(|words| words.concat())
        }
        (Value::Mapping(pairs), _) if row.mapping => {
            let pairs = pairs.iter().zip(lines.items(pairs.len()));
            pairs.map(|((name, value), lines)| pair_word(name, value, lines.first())).collect()
        }
        (Value::Mapping(pairs), Some(form)) => {
            item_text(form, pairs, lines).map(|text| vec![(text, lines.first())])
        }
        (Value::Sequence(_), _) => refuse("takes one value, not a list"),
        (Value::Null, _) => refuse("has no value; leave it out for the default"),
        (Value::Mapping(_) | Value::Tagged(_), _) => refuse("takes a word, not a mapping"),
        (Value::Bool(_) | Value::Number(_) | Value::String(_), _) => {
            Ok(scalar(value).map(|text| (text, lines.first())).into_iter().collect())
        }
    }
}

fn refuse<T>(reason: &str) -> Result<T, Refusal> {
    Err(Refusal::new(None, reason))
}

/// The words of an item of a list.
fn item_words(row: &Row, item: &Value, lines: ItemLines<'_>) -> Result<Vec<FileWord>, Refusal> {
    match (item, row.item) {
        (Value::Mapping(pairs), Some(form)) => {
            item_text(form, pairs, lines).map(|text| vec![(text, lines.first())])
        }
        (Value::Mapping(pairs), None) if row.mapping => {
            let word = |(name, value): (&Value, &Value)| {
                let line = scalar(name).and_then(|name| lines.line_of(&name));
                pair_word(name, value, line.or(lines.first()))
            };
            pairs.iter().map(word).collect()
        }
        _ => match scalar(item) {
            Some(text) => Ok(vec![(text, lines.first())]),
            None => Err(Refusal::new(lines.first(), "an item of the list is not a word")),
        },
    }
}

/// The word of a name with its value.
fn pair_word(name: &Value, value: &Value, line: Option<usize>) -> Result<FileWord, Refusal> {
    let (Some(name), Some(value)) = (scalar(name), scalar(value)) else {
        return Err(Refusal::new(line, "a name or value is not a word"));
    };
    if name.contains('=') {
        let reason = format!("{name}: a name has no = in it; in a path it is written %3D");
        return Err(Refusal::new(line, reason));
    }
    Ok((format!("{name}={value}"), line))
}

/// The text of an item that is a mapping.
fn item_text(form: &ItemForm, pairs: &Mapping, lines: ItemLines<'_>) -> Result<String, Refusal> {
    let mut texts: Vec<ItemPair<'_>> = Vec::new();
    for (name, value) in pairs {
        let Some(name) = scalar(name) else {
            return Err(Refusal::new(lines.first(), "the name of an option is not a word"));
        };
        let lines = lines.value_of(&name);
        let Some(key) = form.keys.iter().find(|key| name.replace('_', "-") == **key) else {
            let question = suggestion::question(&name.replace('_', "-"), form.keys);
            let known = form.keys.join(", ");
            let reason = format!("{name}: unknown option; known are {known}{question}");
            return Err(Refusal::new(lines.first(), reason));
        };
        if texts.iter().any(|(known, _)| known == key) {
            return Err(Refusal::new(lines.first(), format!("{name}: is set above already")));
        }
        let words = option_words(form, key, value, lines).map_err(|it| it.within(&name))?;
        texts.push((key, words));
    }
    (form.text)(&texts).map_err(|reason| Refusal::new(lines.first(), reason))
}

/// The words of an option of an item.
fn option_words(
    form: &ItemForm,
    key: &str,
    value: &Value,
    lines: ItemLines<'_>,
) -> Result<Vec<String>, Refusal> {
    let nested = form.nested_in(key);
    let word = |value: &Value, lines: ItemLines<'_>| match (value, nested) {
        (Value::Mapping(pairs), Some(form)) => item_text(form, pairs, lines),
        _ => {
            let text = scalar(value).ok_or_else(|| Refusal::new(lines.first(), "takes a word"))?;
            let checked = (form.check)(key, &text);
            checked.map(|()| text).map_err(|reason| Refusal::new(lines.first(), reason))
        }
    };
    match value {
        Value::Sequence(items) if nested.is_some() || form.lists.contains(&key) => {
            if items.is_empty() {
                return Err(Refusal::new(lines.first(), "the list is empty"));
            }
            let items = items.iter().zip(lines.items(items.len()));
            items.map(|(item, lines)| word(item, lines)).collect()
        }
        _ => word(value, lines).map(|word| vec![word]),
    }
}

/// The text of a value that is neither a list nor a mapping.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value.clone()),
        Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}
