//! Which objects read the very bytes of a file, so that the kernel can send them
//! without the object being asked.
//!
//! What an object's `read` gives is what the client is to get (PEP 3333,
//! "Optional Platform-Specific File Handling"). Many objects have a `fileno` and
//! read something else: unpacked, deciphered, up to some end. Hence only those
//! whose `read` is known count, and a type that is derived from a known one counts
//! only where it is certain that `read` is not its own.

use std::fs::File;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

/// How many objects may stand around a file: Django's `FieldFile` around the
/// storage's `File` around a temporary one around the real file, and some more.
const DEPTH: usize = 8;

/// What the methods are called that make up how a file is read.
const READING: [&str; 5] = ["read", "read1", "readinto", "readall", "tell"];

/// An object of Python's own that reads its file as it is.
pub(crate) struct PlainFile<'py>(Bound<'py, PyAny>);

/// A range of a file.
pub(crate) struct Extent {
    pub(crate) file: File,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl<'py> PlainFile<'py> {
    /// The plain file that an object reads from; `None` if its `read` may give
    /// anything else.
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

    /// From where `read` would go on, or from `start`, to the end of the file or
    /// `limit` bytes later. `None` for what is no regular file, and for one
    /// that has no length: it may have a content nevertheless, as in `/proc`.
    pub(crate) fn extent(&self, start: Option<u64>, limit: u64) -> PyResult<Option<Extent>> {
        // What was written and is still in the object's memory, readers see.
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

/// Whether this is an object of `io` itself that reads its descriptor, and
/// nothing about it was changed.
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

/// Whether the `read` of an object is that of its attribute `file`: the wrapper
/// of `tempfile`, and those of Django's files that leave it so.
fn hands_on(object: &Bound<PyAny>) -> PyResult<bool> {
    let py = object.py();
    let kind = object.get_type();
    if let Some(wrapper) = loaded(py, "tempfile", "_TemporaryFileWrapper")?
        && kind.is(&wrapper)
    {
        // The wrapper caches methods as attributes, and these may be replaced.
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

/// A class of a module, if the application has loaded that.
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

/// What a type says that an attribute is, as it stands in the class.
fn inherited<'py>(kind: &Bound<'py, PyType>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    for class in kind.getattr("__mro__")?.cast_into::<PyTuple>()? {
        let attributes = class.getattr("__dict__")?;
        if attributes.contains(name)? {
            return attributes.get_item(name).map(Some);
        }
    }
    Ok(None)
}

/// Whether attributes are looked up in the usual way of Python.
fn is_plain_attribute_access(kind: &Bound<PyType>) -> PyResult<bool> {
    let usual = kind.py().import("builtins")?.getattr("object")?.getattr("__getattribute__")?;
    Ok(kind.getattr("__getattribute__")?.is(&usual))
}
