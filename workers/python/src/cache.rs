//! A cache of Python strings that many requests have.

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::ffi;

/// The number of places in a cache; a power of two.
const PLACES: usize = 256;

/// The maximum length of a text in a cache, in bytes.
const LONGEST: usize = 64;

/// Python strings by the bytes that they were made from. Each text has one place,
/// which holds the last text that was looked up there. So a client can replace
/// texts, but cannot make the cache grow.
#[derive(Debug)]
pub(crate) struct Cache {
    places: Vec<Option<CachedString>>,
    make: fn(Python, &[u8]) -> PyResult<Py<PyString>>,
}

/// A text and the string that was made from it.
type CachedString = (Box<[u8]>, Py<PyString>);

impl Cache {
    /// A cache of strings with the characters of the text.
    pub(crate) fn of_texts() -> Self {
        Self::new(|py, text| Ok(ffi::latin1(py, text)?.unbind()))
    }

    /// A cache of keys of the WSGI environment, by names of fields (PEP 3333, RFC
    /// 3875 section 4.1.18).
    pub(crate) fn of_variables() -> Self {
        Self::new(|py, name| {
            let mut key = b"HTTP_".to_vec();
            key.extend(name.iter().map(|byte| match byte {
                b'-' => b'_',
                byte => byte.to_ascii_uppercase(),
            }));
            Ok(ffi::latin1(py, &key)?.unbind())
        })
    }

    fn new(make: fn(Python, &[u8]) -> PyResult<Py<PyString>>) -> Self {
        Self { places: (0..PLACES).map(|_| None).collect(), make }
    }

    /// The string for `text`.
    pub(crate) fn find<'py>(
        &mut self,
        py: Python<'py>,
        text: &[u8],
    ) -> PyResult<Bound<'py, PyString>> {
        let place = &mut self.places[place_of(text)];
        if let Some((known, string)) = place
            && known.as_ref() == text
        {
            return Ok(string.bind(py).clone());
        }
        let made = (self.make)(py, text)?;
        let string = made.bind(py).clone();
        if text.len() <= LONGEST {
            *place = Some((text.into(), made));
        }
        Ok(string)
    }
}

/// The place of a text: a hash of its length, its ends and its middle, in which
/// names of fields and addresses differ.
fn place_of(text: &[u8]) -> usize {
    let at = |index: usize| usize::from(text.get(index).copied().unwrap_or(0));
    let length = text.len();
    let mixed = length
        .wrapping_mul(31)
        .wrapping_add(at(0).wrapping_mul(7))
        .wrapping_add(at(length / 2).wrapping_mul(13))
        .wrapping_add(at(length.wrapping_sub(1)).wrapping_mul(61))
        .wrapping_add(at(length.wrapping_sub(2)).wrapping_mul(17))
        .wrapping_add(at(length.wrapping_sub(3)).wrapping_mul(3));
    mixed % PLACES
}
