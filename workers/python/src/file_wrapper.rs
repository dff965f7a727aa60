//! `wsgi.file_wrapper`: makes a file-like object an iterable that the kernel can send
//! (PEP 3333, "Optional Platform-Specific File Handling").

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::plain_file::{Extent, PlainFile};

/// The default size of a block, in bytes.
const BLOCK: usize = 8192;

/// The argument of `seek` for a distance from the current position (`io.SEEK_CUR`).
const FROM_HERE: u8 = 1;

/// Wraps a file-like object, and iterates over its blocks.
///
/// It can seek if the object can: werkzeug seeks to respond to a range, and otherwise
/// reads everything before it. Middleware may set attributes, also `close`.
#[pyclass(frozen, dict, weakref, module = "monoceros")]
pub(crate) struct FileWrapper {
    /// The file-like object.
    #[pyo3(get)]
    filelike: Py<PyAny>,
    /// The size of a block, in bytes.
    #[pyo3(get)]
    blksize: usize,
    /// The number of bytes that it still gives at most.
    left: AtomicU64,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, blksize = BLOCK))]
    fn new(filelike: Py<PyAny>, blksize: usize) -> Self {
        Self { filelike, blksize, left: AtomicU64::new(u64::MAX) }
    }

    fn __iter__(this: PyRef<Self>) -> PyRef<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let left = self.left.load(Ordering::Relaxed);
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(self.blksize);
        if left == 0 {
            return Ok(None);
        }
        let block = self.filelike.bind(py).call_method1("read", (size,))?;
        if !block.is_truthy()? {
            return Ok(None);
        }
        if left != u64::MAX {
            let length = block.len()? as u64;
            self.left.store(left.saturating_sub(length), Ordering::Relaxed);
        }
        Ok(Some(block))
    }

    fn __getitem__<'py>(&self, py: Python<'py>, _index: usize) -> PyResult<Bound<'py, PyAny>> {
        self.__next__(py)?.ok_or_else(|| PyIndexError::new_err("the file has ended"))
    }

    /// Whether the file-like object can seek.
    fn seekable(&self, py: Python) -> PyResult<bool> {
        let filelike = self.filelike.bind(py);
        match filelike.getattr_opt("seekable")? {
            Some(seekable) => seekable.call0()?.is_truthy(),
            None => filelike.hasattr("seek"),
        }
    }

    /// Seeks in the file-like object.
    #[pyo3(signature = (*arguments))]
    fn seek(&self, py: Python, arguments: &Bound<PyTuple>) -> PyResult<Py<PyAny>> {
        self.filelike.call_method1(py, "seek", arguments)
    }

    /// The position of the file-like object.
    fn tell(&self, py: Python) -> PyResult<Py<PyAny>> {
        self.filelike.call_method0(py, "tell")
    }

    /// The part from byte `start` up to `stop`, which WebOb requests to respond to a
    /// range. After `None` WebOb sends the whole.
    fn app_iter_range(&self, py: Python, start: u64, stop: Option<u64>) -> PyResult<Option<Self>> {
        if !self.seekable(py)? {
            return Ok(None);
        }
        let left = self.left.load(Ordering::Relaxed).saturating_sub(start);
        let length = stop.map_or(u64::MAX, |stop| stop.saturating_sub(start));
        self.filelike.call_method1(py, "seek", (start, FROM_HERE))?;
        Ok(Some(Self {
            filelike: self.filelike.clone_ref(py),
            blksize: self.blksize,
            left: AtomicU64::new(left.min(length)),
        }))
    }

    /// Closes the file-like object, if it can be closed.
    fn close(&self, py: Python) -> PyResult<()> {
        let filelike = self.filelike.bind(py);
        if filelike.hasattr("close")? {
            filelike.call_method0("close")?;
        }
        Ok(())
    }
}

/// The range of a regular file that the kernel can send in place of a body. `None` for
/// everything else, which is iterated over.
pub(crate) fn extent(body: &Bound<PyAny>) -> Option<Extent> {
    // An exception here does not fail the request: the body is read instead.
    find_extent(body).unwrap_or(None)
}

fn find_extent(body: &Bound<PyAny>) -> PyResult<Option<Extent>> {
    let py = body.py();
    if let Ok(wrapper) = body.cast_exact::<FileWrapper>() {
        let wrapper = wrapper.get();
        let Some(file) = PlainFile::of(wrapper.filelike.bind(py))? else { return Ok(None) };
        return file.extent(None, wrapper.left.load(Ordering::Relaxed));
    }
    let Some((wrapper, start, length)) = range_of_werkzeug(body)? else { return Ok(None) };
    match PlainFile::of(wrapper.get().filelike.bind(py))? {
        Some(file) => file.extent(Some(start), length),
        None => Ok(None),
    }
}

/// The wrapper in a response of werkzeug's to a range, with the first byte and the
/// number of bytes, if nothing was read from it.
fn range_of_werkzeug<'py>(
    body: &Bound<'py, PyAny>,
) -> PyResult<Option<(Bound<'py, FileWrapper>, u64, u64)>> {
    let kind = body.get_type();
    if kind.name()? != "_RangeWrapper" || kind.module()? != "werkzeug.wsgi" {
        return Ok(None);
    }
    let Ok(wrapper) = body.getattr("iterable")?.cast_into_exact::<FileWrapper>() else {
        return Ok(None);
    };
    let read: u64 = body.getattr("read_length")?.extract()?;
    let is_untouched = read == 0
        && wrapper.get().left.load(Ordering::Relaxed) == u64::MAX
        && body.getattr("seekable")?.is_truthy()?
        && !body.getattr("end_reached")?.is_truthy()?;
    let start: u64 = body.getattr("start_byte")?.extract()?;
    let end: Option<u64> = body.getattr("end_byte")?.extract()?;
    let length = end.map_or(u64::MAX, |end| end.saturating_sub(start));
    Ok(is_untouched.then_some((wrapper, start, length)))
}
