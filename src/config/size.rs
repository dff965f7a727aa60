//! A type of settings: an amount of memory.

use std::fmt;

use crate::row::Bounds;
use crate::value::Value;

/// The units, the largest first, as powers of two.
const UNITS: [(char, u32); 3] = [('G', 30), ('M', 20), ('K', 10)];

/// An amount of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    /// Writes the amount in the largest unit that divides it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, power): &(char, u32)| self.0 > 0 && self.0.is_multiple_of(1 << power);
        match UNITS.iter().find(|unit| whole(unit)) {
            Some((unit, power)) => write!(out, "{}{unit}", self.0 >> power),
            None => self.0.fmt(out),
        }
    }
}

impl Value for Size {
    /// Reads a whole number with a unit: K, M, G (powers of 1024), or none for bytes.
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let number = upper.strip_suffix('B').unwrap_or(&upper);
        let number = number.strip_suffix('I').unwrap_or(number);
        let unit = UNITS.iter().find(|(unit, _)| number.ends_with(*unit));
        let (digits, power) = match unit {
            Some((unit, power)) => (number.strip_suffix(*unit).unwrap_or(number), *power),
            None => (number, 0),
        };
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let count = plain.then(|| digits.parse::<u64>().ok()).flatten();
        let bytes = count.and_then(|count| count.checked_mul(1 << power));
        bytes.map(Self).ok_or_else(|| {
            format!("cannot read {text:?} as an amount of memory; examples: 512M, 2G, 1048576")
        })
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("4K", 4096),
            ("512m", 512 << 20),
            ("512MB", 512 << 20),
            ("512MiB", 512 << 20),
            ("2G", 2 << 30),
        ] {
            assert_eq!(Size::parse(text, None), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "M", "-1", "1.5G", "1T", "2 G", "1MM", "99999999999G"] {
            assert!(Size::parse(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_so_that_they_read_back() {
        for (bytes, text) in [(0, "0"), (1000, "1000"), (512 << 20, "512M"), (3 << 30, "3G")] {
            assert_eq!(Size(bytes).to_string(), text);
            assert_eq!(Size::parse(text, None), Ok(Size(bytes)));
        }
    }
}
