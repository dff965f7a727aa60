//! Python's standard streams.

use pyo3::prelude::*;

/// Flushes Python's standard output and standard error.
pub(crate) fn flush(py: Python) {
    for name in ["stdout", "stderr"] {
        // On an error the buffered text is lost with the process.
        py.import("sys")
            .and_then(|sys| sys.getattr(name)?.call_method0("flush"))
            .map(drop)
            .unwrap_or_default();
    }
}
