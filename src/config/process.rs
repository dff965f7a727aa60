//! Types of settings: arguments, file mode creation mask, mode of files, environment variables,
//! and Python's search path.

use std::fmt;
use std::path::PathBuf;

use crate::raw::{bytes_of, text_of};
use crate::row::Bounds;
use crate::value::{Value, integer, not_empty};

/// A word of a program's command line; it may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument(pub String);

impl Value for Argument {
    const RAW: bool = true;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        // execve(2) takes strings that end in NUL.
        if text.contains('\0') {
            Err("has a NUL in it".to_owned())
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// The file mode creation mask (umask(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Umask(pub u32);

impl fmt::Display for Umask {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { out.write_str("0") } else { write!(out, "{:#05o}", self.0) }
    }
}

impl Value for Umask {
    /// A leading zero means octal, as in the shell and on gunicorn's command line.
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        match read_mask(text).and_then(|mask| u32::try_from(mask).ok()) {
            Some(mask) if mask <= 0o777 => Ok(Self(mask)),
            Some(_) => Err(format!("{text} is not between 0 and 0o777")),
            None => Err(format!("cannot read {text:?} as a umask; examples: 022, 0o22, 18")),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// Reads a mask of any size.
pub(crate) fn read_mask(text: &str) -> Option<u64> {
    let octal = text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.strip_prefix('0') {
        Some(digits) if octal => u64::from_str_radix(digits, 8).ok(),
        _ => integer(text),
    }
}

/// The mode of a file (chmod(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl fmt::Display for FileMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04o}", self.0)
    }
}

impl Value for FileMode {
    /// The number is octal and begins with a zero. Without the zero `440` could be decimal too:
    /// YAML makes 288 of `0o440`.
    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        let digits =
            text.strip_prefix('0').map(|digits| digits.strip_prefix('o').unwrap_or(digits));
        let mode = digits.and_then(|digits| {
            let is_octal = digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
            u32::from_str_radix(digits, 8).ok().filter(|_| is_octal)
        });
        match mode {
            Some(mode) if mode <= 0o777 => Ok(Self(mode)),
            Some(_) => Err(format!("{text} is not between 0000 and 0777")),
            None => Err(format!(
                "cannot read {text:?} as a mode in octal digits with a leading zero; examples: \
                 0660, 0600"
            )),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// An environment variable for the workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Its name, not empty.
    pub name: String,
    /// Its value; it may be empty.
    pub value: String,
}

impl Value for Assignment {
    const RAW: bool = true;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err(format!("cannot read {text:?} as NAME=VALUE")),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![format!("{}={}", self.name, self.value)]
    }
}

/// Directories for Python's module search path, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPath(pub Vec<PathBuf>);

impl Value for SearchPath {
    const RAW: bool = true;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        not_empty(text)?;
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(Self(names.map(|name| PathBuf::from(bytes_of(name))).collect()))
    }

    fn texts(&self) -> Vec<String> {
        let names: Vec<_> = self.0.iter().map(|path| text_of(path.as_os_str())).collect();
        if names.is_empty() { Vec::new() } else { vec![names.join(",")] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_umask_is_octal_hexadecimal_or_decimal() {
        for text in ["022", "0022", "0o22", "0x12", "18"] {
            assert_eq!(Umask::parse(text, None), Ok(Umask(0o22)), "{text}");
        }
        assert_eq!(Umask::parse("0", None), Ok(Umask(0)));
        for text in ["", "rwx", "088", "-1", "0o1000", "4294967296"] {
            assert!(Umask::parse(text, None).is_err(), "{text}");
        }
        assert_eq!(Umask(0o22).to_string(), "0o022");
    }

    #[test]
    fn a_mode_is_octal_with_a_leading_zero() {
        for text in ["0660", "0o660", "00660"] {
            assert_eq!(FileMode::parse(text, None), Ok(FileMode(0o660)), "{text}");
        }
        assert_eq!(FileMode(0o600).texts(), ["0600"]);
        assert_eq!(FileMode::parse(&FileMode(0).to_string(), None), Ok(FileMode(0)));
        for text in ["", "0", "660", "432", "0x1b0", "0668", "0+66", "u=rw", "01777"] {
            assert!(FileMode::parse(text, None).is_err(), "{text}");
        }
        let reason = FileMode::parse("660", None).unwrap_err();
        assert!(reason.starts_with("cannot read \"660\" as a mode in octal"), "{reason}");
    }

    #[test]
    fn an_argument_can_be_empty() {
        assert_eq!(Argument::parse("", None), Ok(Argument(String::new())));
        assert!(Argument::parse("a\0b", None).is_err());
    }

    #[test]
    fn an_assignment_has_a_name() {
        let assignment = Assignment::parse("A=b=c", None).unwrap();
        assert_eq!((assignment.name.as_str(), assignment.value.as_str()), ("A", "b=c"));
        assert!(Assignment::parse("A=", None).is_ok());
        for text in ["A", "=b", "", "A=\0"] {
            assert!(Assignment::parse(text, None).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_search_path_has_commas() {
        let path = SearchPath::parse("/a, b,", None).unwrap();
        assert_eq!(path.0, [PathBuf::from("/a"), PathBuf::from("b")]);
        assert_eq!(path.texts(), ["/a,b"]);
    }
}
