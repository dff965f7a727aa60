//! Calls of Python's C API that PyO3 has no safe function for. The only unsafe code of
//! the bridge.
#![allow(unsafe_code)]

use std::borrow::Cow;

use monoceros_engine::Payload;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// Makes a string whose characters are the bytes (ISO 8859-1), as PEP 3333 requires
/// for all text from a request.
pub(crate) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let length = bytes.len() as pyo3::ffi::Py_ssize_t;
    // SAFETY: the bytes are valid for their length; null errors means strict,
    // and every byte is a character.
    let made = unsafe {
        let at = bytes.as_ptr().cast();
        let object = pyo3::ffi::PyUnicode_DecodeLatin1(at, length, std::ptr::null());
        Bound::from_owned_ptr_or_err(py, object)?
    };
    Ok(made.cast_into::<PyString>()?)
}

/// The bytes of a string in ISO 8859-1.
///
/// # Errors
/// `UnicodeEncodeError` when a character is above 255.
pub(crate) fn latin1_bytes<'a>(text: &'a Bound<PyString>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(text) = text.to_str()
        && text.is_ascii()
    {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    // SAFETY: the argument is a string, and the result a new bytes object.
    let encoded = unsafe {
        let object = pyo3::ffi::PyUnicode_AsLatin1String(text.as_ptr());
        Bound::from_owned_ptr_or_err(text.py(), object)?
    };
    Ok(Cow::Owned(encoded.cast_into::<PyBytes>()?.as_bytes().to_vec()))
}

/// The number of references to an object.
pub(crate) fn references(object: &Bound<PyAny>) -> isize {
    // SAFETY: the object is alive while it is borrowed.
    unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) }
}

/// A bytes object that is kept until it has been sent. It is read without the
/// interpreter's lock.
pub(crate) struct SentBytes {
    at: *const u8,
    length: usize,
    /// PyO3 releases it as soon as a thread holds the interpreter's lock.
    _owner: Py<PyBytes>,
}

// SAFETY: a bytes object never changes, nor moves while it is referred to; the
// reference is released by PyO3 under the interpreter's lock.
unsafe impl Send for SentBytes {}

impl SentBytes {
    pub(crate) fn new(bytes: &Bound<PyBytes>) -> Self {
        let slice = bytes.as_bytes();
        Self { at: slice.as_ptr(), length: slice.len(), _owner: bytes.clone().unbind() }
    }
}

impl Payload for SentBytes {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the owner keeps the memory, and nothing writes to it.
        unsafe { std::slice::from_raw_parts(self.at, self.length) }
    }
}

/// Prepares a fork as `os.fork` does: runs hooks, and takes the locks that another
/// thread must not hold in the copy (`PyOS_BeforeFork`).
pub(crate) fn before_fork(_py: Python) {
    // SAFETY: the interpreter's lock is held.
    unsafe { pyo3::ffi::PyOS_BeforeFork() }
}

/// Finishes a fork in the process that has forked, or has failed to, as `os.fork` does.
pub(crate) fn after_fork_in_parent(_py: Python) {
    // SAFETY: the interpreter's lock is held, and `before_fork` was called.
    unsafe { pyo3::ffi::PyOS_AfterFork_Parent() }
}

/// Finishes a fork in the new process, as `os.fork` does: removes the other threads,
/// makes locks anew, and runs hooks.
pub(crate) fn after_fork_in_child(_py: Python) {
    // SAFETY: this is a copy of the thread that called `before_fork` with the
    // interpreter's lock held.
    unsafe { pyo3::ffi::PyOS_AfterFork_Child() }
}
