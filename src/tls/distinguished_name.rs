//! Distinguished names as text (RFC 2253), as nginx and OpenSSL write them.

use std::fmt::Write;

use x509_parser::asn1_rs::{Any, Tag, ToDer};
use x509_parser::x509::X509Name;

/// Attributes by their identifiers, with OpenSSL's short names.
const ATTRIBUTES: [(&str, &str); 27] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL"),
    ("1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST"),
    ("1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC"),
];

/// A name as text: the last attribute first, in ASCII without control characters.
pub(crate) fn text(name: &X509Name) -> String {
    let mut out = String::new();
    let relative: Vec<_> = name.iter_rdn().collect();
    for rdn in relative.iter().rev() {
        let attributes: Vec<_> = rdn.iter().collect();
        for (index, attribute) in attributes.iter().rev().enumerate() {
            if !out.is_empty() {
                out.push(if index == 0 { ',' } else { '+' });
            }
            push_attribute(&mut out, &attribute.attr_type().to_id_string(), attribute.attr_value());
        }
    }
    out
}

fn push_attribute(out: &mut String, identifier: &str, value: &Any) {
    let known = ATTRIBUTES.iter().find(|(known, _)| *known == identifier);
    out.push_str(known.map_or(identifier, |(_, short)| short));
    out.push('=');
    match characters(value).filter(|_| known.is_some()) {
        Some(characters) => push_escaped(out, &characters),
        // OpenSSL writes values that it does not know as the bytes of their encoding.
        None => {
            out.push('#');
            push_hex(out, &value.to_der_vec().unwrap_or_default());
        }
    }
}

/// The characters of a value that is a string; `None` for other types.
fn characters(value: &Any) -> Option<String> {
    let bytes = value.data;
    match value.tag() {
        Tag::Utf8String => String::from_utf8(bytes.to_vec()).ok(),
        Tag::BmpString if bytes.len().is_multiple_of(2) => {
            let units: Vec<_> =
                bytes.chunks(2).map(|it| u16::from_be_bytes([it[0], it[1]])).collect();
            String::from_utf16(&units).ok()
        }
        Tag::UniversalString if bytes.len().is_multiple_of(4) => bytes
            .chunks(4)
            .map(|it| char::from_u32(u32::from_be_bytes([it[0], it[1], it[2], it[3]])))
            .collect(),
        Tag::PrintableString
        | Tag::NumericString
        | Tag::Ia5String
        | Tag::VisibleString
        | Tag::T61String => Some(bytes.iter().copied().map(char::from).collect()),
        _ => None,
    }
}

fn push_escaped(out: &mut String, characters: &str) {
    let last = characters.chars().count().saturating_sub(1);
    for (index, character) in characters.chars().enumerate() {
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => {
                out.push('\\');
                out.push(character);
            }
            '#' | ' ' if index == 0 => {
                out.push('\\');
                out.push(character);
            }
            ' ' if index == last => out.push_str("\\ "),
            ' '..='~' => out.push(character),
            other => {
                for byte in other.encode_utf8(&mut [0; 4]).bytes() {
                    out.push('\\');
                    push_hex(out, &[byte]);
                }
            }
        }
    }
}

/// Appends bytes as hexadecimal digits in upper case.
pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        write!(out, "{byte:02X}").ok();
    }
}
