//! Reads a body from a spool, if it was too large for memory. `spooled.py` makes an
//! object of Python's own types from this reader.

use std::io::BufRead;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use monoceros_engine::Spool;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The number of bytes that are read at a time to find line ends.
const WINDOW: usize = 64 * 1024;

/// The spool of a body, and the position of the reader. The beginning of the body is
/// still in memory, and is read without a system call.
#[pyclass(frozen, module = "monoceros")]
pub(crate) struct SpooledFile {
    length: u64,
    /// Not held while the thread waits for the interpreter's lock or the disk.
    state: Mutex<ReadState>,
}

struct ReadState {
    /// `None` after it was closed or given back.
    spool: Option<Arc<Spool>>,
    at: u64,
    window: ReadWindow,
}

/// A piece of the part of the file that is not in memory.
#[derive(Default)]
struct ReadWindow {
    at: u64,
    bytes: Vec<u8>,
}

/// The range of one call.
struct ReadRange {
    spool: Arc<Spool>,
    at: u64,
    count: usize,
    /// The number of bytes up to the end of the body.
    left: usize,
}

#[pymethods]
impl SpooledFile {
    /// Reads `size` bytes; up to the end of the body for `None` or a negative size.
    #[pyo3(signature = (size=None))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let range = self.range(size)?;
        self.state().at += range.count as u64;
        match range.in_memory() {
            bytes if bytes.len() == range.count => Ok(PyBytes::new(py, bytes)),
            _ => PyBytes::new_with(py, range.count, |into| {
                Ok(py.detach(|| range.spool.read_at(into, range.at))?)
            }),
        }
    }

    /// Reads a line, or its first `size` bytes.
    #[pyo3(signature = (size=None))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let range = self.range(size)?;
        let bytes = range.in_memory();
        let end = line_end(bytes);
        if end.is_some() || bytes.len() == range.count {
            let line = &bytes[..end.unwrap_or(bytes.len())];
            self.state().at += line.len() as u64;
            return Ok(PyBytes::new(py, line));
        }
        let mut line = bytes.to_vec();
        let mut window = std::mem::take(&mut self.state().window);
        let read = py.detach(|| window.read_line(&range, &mut line));
        let mut state = self.state();
        state.window = window;
        read?;
        state.at += line.len() as u64;
        Ok(PyBytes::new(py, &line))
    }

    /// Changes the position, as `io.BytesIO` does.
    #[pyo3(signature = (offset, whence=0))]
    fn seek(&self, offset: i64, whence: i32) -> PyResult<u64> {
        let mut state = self.state();
        if state.spool.is_none() {
            return Err(closed());
        }
        let from = match whence {
            0 if offset < 0 => {
                return Err(PyValueError::new_err(format!("negative seek value {offset}")));
            }
            0 => 0,
            1 => state.at,
            2 => self.length,
            _ => {
                let text = format!("invalid whence ({whence}, should be 0, 1 or 2)");
                return Err(PyValueError::new_err(text));
            }
        };
        state.at = from.saturating_add_signed(offset);
        Ok(state.at)
    }

    /// The position of the next byte.
    fn tell(&self) -> PyResult<u64> {
        let state = self.state();
        if state.spool.is_some() { Ok(state.at) } else { Err(closed()) }
    }

    /// Closes the reader.
    fn close(&self) {
        self.state().spool = None;
    }
}

impl SpooledFile {
    pub(crate) fn new(spool: Spool, length: u64) -> Self {
        let state =
            ReadState { spool: Some(Arc::new(spool)), at: 0, window: ReadWindow::default() };
        Self { length, state: Mutex::new(state) }
    }

    /// Takes the spool and the length of its body; `None` if the reader is closed, or
    /// a thread reads.
    pub(crate) fn take(&self) -> Option<(Spool, u64)> {
        let spool = self.state().spool.take()?;
        Some((Arc::into_inner(spool)?, self.length))
    }

    fn state(&self) -> MutexGuard<'_, ReadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The range of a call with this size, from the current position.
    fn range(&self, size: Option<isize>) -> PyResult<ReadRange> {
        let state = self.state();
        let spool = Arc::clone(state.spool.as_ref().ok_or_else(closed)?);
        let left = self.length.saturating_sub(state.at);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        Ok(ReadRange { spool, at: state.at, count: size.min(left), left })
    }
}

impl ReadRange {
    /// The part of the range that is in memory.
    fn in_memory(&self) -> &[u8] {
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        let bytes = self.spool.start().get(at..).unwrap_or(&[]);
        &bytes[..bytes.len().min(self.count)]
    }
}

impl ReadWindow {
    /// Adds the rest of a line, which begins in this range.
    fn read_line(&mut self, range: &ReadRange, line: &mut Vec<u8>) -> std::io::Result<()> {
        while line.len() < range.count {
            let at = range.at + line.len() as u64;
            if self.bytes_at(at).is_empty() {
                // Usually the next line is read too.
                self.bytes.resize(WINDOW.min(range.left - line.len()), 0);
                self.at = at;
                range.spool.read_at(&mut self.bytes, at)?;
            }
            let bytes = self.bytes_at(at);
            let bytes = &bytes[..bytes.len().min(range.count - line.len())];
            let end = line_end(bytes);
            line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            if end.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn bytes_at(&self, at: u64) -> &[u8] {
        let offset = at.checked_sub(self.at).and_then(|offset| usize::try_from(offset).ok());
        offset.and_then(|offset| self.bytes.get(offset..)).unwrap_or(&[])
    }
}

/// The position after the first `\n`; `None` if there is none.
fn line_end(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    // Reading a slice cannot fail.
    let length = rest.skip_until(b'\n').unwrap_or(0);
    bytes[..length].ends_with(b"\n").then_some(length)
}

fn closed() -> PyErr {
    PyValueError::new_err("I/O operation on closed file.")
}
