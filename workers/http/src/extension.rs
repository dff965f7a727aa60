//! Chunk extensions (RFC 9112 section 7.1.1): their grammar is checked, and their content is
//! ignored.

use crate::class::{TOKEN, is_control};

/// The position of the last byte in `*( BWS ";" BWS name [ BWS "=" BWS value ] )`. White space is
/// accepted where the grammar has it, which is never at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    /// White space before a semicolon.
    BeforeSemicolon,
    /// A semicolon, or white space after it.
    BeforeName,
    Name,
    /// White space after a name: an equals sign or a semicolon must follow.
    AfterName,
    /// An equals sign, or white space after it.
    BeforeValue,
    Value,
    Quoted,
    /// A backslash in a quoted string.
    Escape,
    /// The closing quote.
    AfterQuoted,
}

impl Extension {
    /// Begins an extension with the byte after the size of the chunk.
    pub(crate) fn begin(byte: u8) -> Option<Extension> {
        match byte {
            b';' => Some(Extension::BeforeName),
            b' ' | b'\t' => Some(Extension::BeforeSemicolon),
            _ => None,
        }
    }

    /// Takes the next byte; `None` if the grammar does not allow it here.
    pub(crate) fn step(self, byte: u8) -> Option<Extension> {
        use Extension::*;
        let blank = byte == b' ' || byte == b'\t';
        let token = TOKEN[usize::from(byte)];
        match self {
            BeforeSemicolon | BeforeName | AfterName | BeforeValue if blank => Some(self),
            BeforeSemicolon => (byte == b';').then_some(BeforeName),
            BeforeName | Name if token => Some(Name),
            BeforeName => None,
            Name if blank => Some(AfterName),
            Name | AfterName => match byte {
                b'=' => Some(BeforeValue),
                b';' => Some(BeforeName),
                _ => None,
            },
            BeforeValue if byte == b'"' => Some(Quoted),
            BeforeValue | Value if token => Some(Value),
            BeforeValue => None,
            Value | AfterQuoted => Extension::begin(byte),
            Quoted if byte == b'"' => Some(AfterQuoted),
            Quoted if byte == b'\\' => Some(Escape),
            Quoted | Escape => (!is_control(byte)).then_some(Quoted),
        }
    }

    /// Whether the line may end here.
    pub(crate) fn may_end(self) -> bool {
        matches!(self, Extension::Name | Extension::Value | Extension::AfterQuoted)
    }
}
