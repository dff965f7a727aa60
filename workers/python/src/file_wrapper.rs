//! `wsgi.file_wrapper`: a file-like object as an iterable that can be sent
//! without being read (PEP 3333, "Optional Platform-Specific File Handling").

use std::fs::File;

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;

/// Bytes that are read at once where the application says nothing.
const BLOCK: usize = 8192;

/// Wraps a file-like object; iterates over its blocks.
#[pyclass(frozen, module = "monoceros")]
pub(crate) struct FileWrapper {
    /// The file-like object.
    #[pyo3(get)]
    filelike: Py<PyAny>,
    /// How many bytes are read at once.
    #[pyo3(get)]
    blksize: usize,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, blksize = BLOCK))]
    fn new(filelike: Py<PyAny>, blksize: usize) -> Self {
        Self { filelike, blksize }
    }

    fn __iter__(this: PyRef<Self>) -> PyRef<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let block = self.filelike.bind(py).call_method1("read", (self.blksize,))?;
        Ok(if block.is_truthy()? { Some(block) } else { None })
    }

    fn __getitem__<'py>(&self, py: Python<'py>, _index: usize) -> PyResult<Bound<'py, PyAny>> {
        self.__next__(py)?.ok_or_else(|| PyIndexError::new_err("the file has ended"))
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

/// The rest of a real file.
pub(crate) struct Rest {
    pub(crate) file: File,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl FileWrapper {
    /// The file that can be sent by the kernel: a regular one, from where its
    /// object stands. `None` for everything else, which is read instead.
    pub(crate) fn rest(&self, py: Python) -> Option<Rest> {
        let filelike = self.filelike.bind(py);
        let number: i32 = filelike.call_method0("fileno").ok()?.extract().ok()?;
        // Text has to be read: its object stands at no byte. So does what is
        // unpacked on the way, such as gzip, whose fileno is the packed file.
        let is_plain = is_plain_file(filelike).unwrap_or(false);
        let offset: u64 = filelike.call_method0("tell").ok()?.extract().ok()?;
        if !is_plain || number < 0 {
            return None;
        }
        let file = File::from(monoceros_sys::file::duplicate(number).ok()?);
        let metadata = file.metadata().ok()?;
        let length = metadata.len().checked_sub(offset)?;
        // A file of no length may have a content all the same, as in /proc.
        (metadata.is_file() && length > 0).then_some(Rest { file, offset, length })
    }
}

/// Whether an object reads the very bytes of its file.
fn is_plain_file(filelike: &Bound<PyAny>) -> PyResult<bool> {
    let io = filelike.py().import("io")?;
    for name in ["BufferedReader", "BufferedRandom"] {
        if filelike.is_exact_instance(&io.getattr(name)?) {
            return Ok(filelike.getattr("raw")?.is_exact_instance(&io.getattr("FileIO")?));
        }
    }
    if filelike.is_exact_instance(&io.getattr("FileIO")?) {
        return Ok(true);
    }
    // tempfile's wrappers and Django's File have the real one in `file`.
    match filelike.getattr("file") {
        Ok(inner) if !inner.is(filelike) => is_plain_file(&inner),
        _ => Ok(false),
    }
}
