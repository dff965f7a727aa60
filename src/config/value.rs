//! The trait that reads values from text and writes them as text. Every type in the table
//! implements it; the general types implement it here. Special types are in files of
//! their own.

use std::path::PathBuf;
use std::time::Duration;

use crate::raw::{bytes_of, text_of};
use crate::row::{Arity, Bounds};

/// A type of settings.
pub(crate) trait Value: Sized {
    /// The number of words of a value.
    const TAKES: Arity = Arity::One;

    /// Whether a word may stand for bytes that are not UTF-8 ([`crate::raw`]).
    const RAW: bool = false;

    /// Words of which each stands for no value, or for the empty list of such items; the first
    /// one is written.
    const NONE: &'static [&'static str] = &[];

    /// Whether a word of a list may have several such items, separated by commas.
    const SPLIT: bool = false;

    /// Reads one word. The error has the reason, and names the word.
    fn parse(text: &str, range: Bounds) -> Result<Self, String>;

    /// Writes the value as words; none if it is unset.
    fn texts(&self) -> Vec<String>;

    /// Reads all words of one source; the last one wins.
    fn read(texts: &[String], range: Bounds) -> Result<Self, String> {
        Self::parse(texts.last().map_or("", String::as_str), range)
    }

    /// Joins the words of an item that has spaces, between which a variable's text was split.
    fn join(words: Vec<String>) -> Vec<String> {
        words
    }

    /// Checks the items of a list against each other.
    fn check_list(_items: &[Self]) -> Result<(), String> {
        Ok(())
    }
}

impl Value for bool {
    const TAKES: Arity = Arity::Switch;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(format!("cannot read {text:?} as true or false")),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Value for u16 {
    fn parse(text: &str, range: Bounds) -> Result<Self, String> {
        let number = whole(text, range)?;
        Self::try_from(number).map_err(|_| outside(text, (0, Self::MAX.into())))
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Value for u32 {
    fn parse(text: &str, range: Bounds) -> Result<Self, String> {
        let number = whole(text, range)?;
        Self::try_from(number).map_err(|_| outside(text, (0, Self::MAX.into())))
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Value for Duration {
    /// The range is in seconds.
    fn parse(text: &str, range: Bounds) -> Result<Self, String> {
        let length = length(text).ok_or_else(|| {
            format!("cannot read {text:?} as seconds; examples: 30, 30s, 500ms, 2m")
        })?;
        match range {
            Some((least, most))
                if length < Self::from_secs(least) || length > Self::from_secs(most) =>
            {
                Err(format!("{text} is not between {least} and {most} seconds"))
            }
            _ => Ok(length),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![if self.subsec_millis() == 0 {
            format!("{}s", self.as_secs())
        } else {
            format!("{}ms", self.as_millis())
        }]
    }
}

impl Value for String {
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        not_empty(text)?;
        Ok(text.to_owned())
    }

    fn texts(&self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl Value for PathBuf {
    const RAW: bool = true;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        not_empty(text)?;
        Ok(Self::from(bytes_of(text)))
    }

    fn texts(&self) -> Vec<String> {
        vec![text_of(self.as_os_str())]
    }
}

/// If the type has words that stand for no value, the first one is written for it: a master
/// sends its workers that word, which differs from their default.
impl<T: Value> Value for Option<T> {
    const TAKES: Arity = T::TAKES;
    const RAW: bool = T::RAW;

    fn parse(text: &str, range: Bounds) -> Result<Self, String> {
        if T::NONE.contains(&text) { Ok(None) } else { T::parse(text, range).map(Some) }
    }

    fn texts(&self) -> Vec<String> {
        match self {
            Some(value) => value.texts(),
            None => T::NONE.iter().take(1).map(|word| (*word).to_owned()).collect(),
        }
    }

    fn read(texts: &[String], range: Bounds) -> Result<Self, String> {
        match texts.last() {
            Some(word) if T::NONE.contains(&word.as_str()) => Ok(None),
            Some(_) | None => T::read(texts, range).map(Some),
        }
    }
}

impl<T: Value> Value for Vec<T> {
    const TAKES: Arity = Arity::List;
    const RAW: bool = T::RAW;

    fn parse(text: &str, range: Bounds) -> Result<Self, String> {
        Self::read(&[text.to_owned()], range)
    }

    fn join(words: Vec<String>) -> Vec<String> {
        T::join(words)
    }

    fn texts(&self) -> Vec<String> {
        if self.is_empty() {
            return T::NONE.iter().take(1).map(|word| (*word).to_owned()).collect();
        }
        self.iter().flat_map(Value::texts).collect()
    }

    fn read(texts: &[String], range: Bounds) -> Result<Self, String> {
        let words = if T::SPLIT { split_list(texts)? } else { texts.to_vec() };
        alone_if_none(&words, T::NONE)?;
        if words.iter().any(|word| T::NONE.contains(&word.as_str())) {
            return Ok(Self::new());
        }
        let items: Self =
            words.iter().map(|word| T::parse(word, range)).collect::<Result<_, _>>()?;
        T::check_list(&items)?;
        Ok(items)
    }
}

/// The words between commas.
fn split_list(texts: &[String]) -> Result<Vec<String>, String> {
    let words = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    let words: Vec<_> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
    if words.is_empty() { Err("must not be empty".to_owned()) } else { Ok(words) }
}

/// Fails if an item is in a list twice.
pub(crate) fn each_once<T: Value + PartialEq>(items: &[T]) -> Result<(), String> {
    let mut numbered = items.iter().enumerate();
    match numbered.find(|(index, item)| items[..*index].contains(item)) {
        Some((_, item)) => Err(format!("{} is in it twice", item.texts().concat())),
        None => Ok(()),
    }
}

/// Fails if a word that stands for an empty list is not the only one.
pub(crate) fn alone_if_none(texts: &[String], words: &[&str]) -> Result<(), String> {
    match texts.iter().find(|text| words.contains(&text.as_str())) {
        Some(word) if texts.len() > 1 => Err(format!("{word} cannot stand beside other values")),
        _ => Ok(()),
    }
}

pub(crate) fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(()) }
}

fn whole(text: &str, range: Bounds) -> Result<u64, String> {
    let number = integer(text).ok_or_else(|| format!("cannot read {text:?} as a whole number"))?;
    match range {
        Some((least, most)) if number < least || number > most => Err(outside(text, (least, most))),
        _ => Ok(number),
    }
}

fn outside(text: &str, (least, most): (u64, u64)) -> String {
    format!("{text} is not between {least} and {most}")
}

/// Reads digits, or `0x`, `0o` and `0b` with digits, as Python's `int(text, 0)`.
pub(crate) fn integer(text: &str) -> Option<u64> {
    let (digits, radix) = match text.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (&text[2..], 16),
        Some("0o") => (&text[2..], 8),
        Some("0b") => (&text[2..], 2),
        _ => (text, 10),
    };
    // `from_str_radix` also takes a sign.
    if digits.starts_with(['+', '-']) { None } else { u64::from_str_radix(digits, radix).ok() }
}

/// Reads a number with at most three decimals and a unit: ms, s (the default), m, h.
fn length(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    if decimals.len() > 3 || decimals.is_empty() {
        return None;
    }
    let thousandths: u64 = format!("{decimals:0<3}").parse().ok()?;
    let thousandths = whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)?;
    Some(Duration::from_millis(thousandths.checked_mul(milliseconds)? / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_units() {
        for (text, milliseconds) in
            [("30", 30_000), ("30s", 30_000), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(length(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(length("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(length("0.25m"), Some(Duration::from_secs(15)));
        for text in ["", "s", "30x", "-1", "1e3", "1.", ".5.5", "1 s", "99999999999999999999"] {
            assert_eq!(length(text), None, "{text}");
        }
    }

    #[test]
    fn lengths_are_written_so_that_they_read_back() {
        for milliseconds in [0, 1, 999, 1000, 1500, 60_000] {
            let length = Duration::from_millis(milliseconds);
            assert_eq!(Duration::read(&length.texts(), None), Ok(length));
        }
    }

    #[test]
    fn integers_are_pythons() {
        for (text, number) in [("10", 10), ("0x10", 16), ("0o17", 15), ("0b11", 3), ("007", 7)] {
            assert_eq!(integer(text), Some(number), "{text}");
        }
        for text in ["", "+1", "-1", "0x", "0x-1", "1.0", "ten", " 1"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_outside_the_range_are_refused() {
        assert_eq!(u16::parse("0", Some((1, 9))), Err("0 is not between 1 and 9".to_owned()));
        assert_eq!(u16::parse("65536", None), Err("65536 is not between 0 and 65535".to_owned()));
        assert_eq!(
            Duration::parse("2m", Some((0, 60))),
            Err("2m is not between 0 and 60 seconds".to_owned())
        );
    }

    #[test]
    fn booleans_have_several_words() {
        assert_eq!(bool::parse("Yes", None), Ok(true));
        assert_eq!(bool::parse("off", None), Ok(false));
        assert!(bool::parse("", None).is_err());
    }
}
