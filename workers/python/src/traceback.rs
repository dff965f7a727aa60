//! Formats Python's exceptions for the error log.

use pyo3::prelude::*;

use crate::own_code::OWN_FILE;

/// The traceback and message of an exception, without the frames before the
/// application's: the server's, and those of the import system.
pub(crate) fn describe(py: Python, error: &PyErr) -> String {
    format(py, error).unwrap_or_else(|_| error.to_string())
}

fn format(py: Python, error: &PyErr) -> PyResult<String> {
    let value = error.value(py);
    let traceback = error.traceback(py);
    let mut frames =
        traceback.map_or_else(|| py.None().into_bound(py), |traceback| traceback.into_any());
    while !frames.is_none() {
        let file = frames.getattr("tb_frame")?.getattr("f_code")?.getattr("co_filename")?;
        if !is_machinery(&file.str()?.to_string_lossy()) {
            break;
        }
        frames = frames.getattr("tb_next")?;
    }
    let lines = py
        .import("traceback")?
        .call_method1("format_exception", (value.get_type(), value, frames))?;
    let text = "".into_pyobject(py)?.call_method1("join", (lines,))?;
    // A str with the name of a file that is not UTF-8 cannot be encoded as UTF-8.
    let text = text.call_method1("encode", ("utf-8", "backslashreplace"))?;
    Ok(String::from_utf8_lossy(text.extract()?).trim_end().to_owned())
}

/// Whether a file belongs to the loading of the application, and not to the
/// application.
fn is_machinery(file: &str) -> bool {
    file == OWN_FILE
        || file.starts_with("<frozen importlib")
        || file.ends_with("/importlib/__init__.py")
}
