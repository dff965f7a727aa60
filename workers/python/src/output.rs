//! Python's standard streams.

use pyo3::prelude::*;

/// Writes out what Python has buffered.
pub(crate) fn flush(py: Python) {
    for name in ["stdout", "stderr"] {
        // What cannot be flushed is lost with the process in any case.
        py.import("sys")
            .and_then(|sys| sys.getattr(name)?.call_method0("flush"))
            .map(drop)
            .unwrap_or_default();
    }
}
