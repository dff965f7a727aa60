//! Recognises objects whose `read` gives the bytes of a file unchanged, so that the
//! kernel can send the file in their place.
//!
//! The client must get what the object's `read` returns (PEP 3333, "Optional
//! Platform-Specific File Handling"). Many objects have a `fileno` but read something
//! else: decompressed, decrypted, or up to a limit. So only objects of known types are
//! accepted, and those of a derived type only if `read` is inherited.

use std::fs::File;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

/// The maximum number of objects around a file: Django's `FieldFile` around the
/// storage's `File` around a temporary file around the real file, and some more.
const DEPTH: usize = 8;

/// The names of the methods that decide how a file is read.
const READING: [&str; 5] = ["read", "read1", "readinto", "readall", "tell"];

/// An object of Python's `io` that reads its file unchanged.
pub(crate) struct PlainFile<'py>(Bound<'py, PyAny>);

/// A range of a file.
pub(crate) struct Extent {
    pub(crate) file: File,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl<'py> PlainFile<'py> {
    /// The plain file that an object reads from; `None` if its `read` may return other
    /// bytes.
    pub(crate) fn of(object: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let io = object.py().import("io")?;
        let mut object = object.clone();
        for _ in 0..DEPTH {
            if is_plain(&io, &object)? {
                return Ok(Some(Self(object)));
            }
            if !hands_on(&object)? {
                return Ok(None);
            }
            object = object.getattr("file")?;
        }
        Ok(None)
    }

    /// The range from the file's position, or from `start`, to the end of the file, with
    /// at most `limit` bytes. `None` for anything but a regular file, and for one of length
    /// 0, which can have content nevertheless, as in `/proc`.
    pub(crate) fn extent(&self, start: Option<u64>, limit: u64) -> PyResult<Option<Extent>> {
        // Readers would see what was written to the object and is not in the file yet.
        self.0.call_method0("flush")?;
        let number: i32 = self.0.call_method0("fileno")?.extract()?;
        if number < 0 || !self.0.call_method0("readable")?.is_truthy()? {
            return Ok(None);
        }
        let offset = match start {
            Some(start) => start,
            None => self.0.call_method0("tell")?.extract()?,
        };
        let file = File::from(monoceros_sys::descriptor::duplicate(number)?);
        let metadata = file.metadata()?;
        let length = metadata.len().saturating_sub(offset).min(limit);
        Ok((metadata.is_file() && length > 0).then_some(Extent { file, offset, length }))
    }
}

/// Whether an object is of a type of `io` that reads its descriptor, with unchanged
/// methods.
fn is_plain(io: &Bound<PyModule>, object: &Bound<PyAny>) -> PyResult<bool> {
    if object.is_exact_instance(&io.getattr("FileIO")?) {
        return Ok(!has_own(object, &READING)?);
    }
    for name in ["BufferedReader", "BufferedRandom"] {
        if object.is_exact_instance(&io.getattr(name)?) {
            let raw = object.getattr("raw")?;
            let is_raw = raw.is_exact_instance(&io.getattr("FileIO")?);
            return Ok(is_raw && !has_own(object, &READING)? && !has_own(&raw, &READING)?);
        }
    }
    Ok(false)
}

/// Whether the `read` of an object is that of its attribute `file`, as for the wrapper
/// of `tempfile` and for Django's files that do not override it.
fn hands_on(object: &Bound<PyAny>) -> PyResult<bool> {
    let py = object.py();
    let kind = object.get_type();
    if let Some(wrapper) = loaded(py, "tempfile", "_TemporaryFileWrapper")?
        && kind.is(&wrapper)
    {
        // The wrapper caches methods as attributes, which the application may replace.
        return Ok(!has_own(object, &["read"])?);
    }
    let Some(mixin) = loaded(py, "django.core.files.utils", "FileProxyMixin")? else {
        return Ok(false);
    };
    if !is_plain_attribute_access(&kind)? {
        return Ok(false);
    }
    let known = mixin.getattr("__dict__")?.get_item("read")?;
    Ok(inherited(&kind, "read")?.is_some_and(|found| found.is(&known)))
}

/// A class of a module, if the module is loaded.
fn loaded<'py>(py: Python<'py>, module: &str, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    match modules.get_item(module)? {
        Some(module) => module.getattr_opt(name),
        None => Ok(None),
    }
}

/// Whether an object itself, and not its type, has one of these attributes.
fn has_own(object: &Bound<PyAny>, names: &[&str]) -> PyResult<bool> {
    let Some(own) = object.getattr_opt("__dict__")? else { return Ok(false) };
    for name in names {
        if own.contains(name)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An attribute of a type or its bases, without calling descriptors.
fn inherited<'py>(kind: &Bound<'py, PyType>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    for class in kind.getattr("__mro__")?.cast_into::<PyTuple>()? {
        let attributes = class.getattr("__dict__")?;
        if attributes.contains(name)? {
            return attributes.get_item(name).map(Some);
        }
    }
    Ok(None)
}

/// Whether a type uses Python's default lookup of attributes.
fn is_plain_attribute_access(kind: &Bound<PyType>) -> PyResult<bool> {
    let usual = kind.py().import("builtins")?.getattr("object")?.getattr("__getattribute__")?;
    Ok(kind.getattr("__getattribute__")?.is(&usual))
}
