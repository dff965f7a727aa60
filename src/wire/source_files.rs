//! The files that a worker, or a mold, has read its code from: with `--reload` the master watches
//! them.

use serde::{Deserialize, Serialize};

/// A part of the files of one process. Paths are absolute, in the form that keeps their bytes
/// (`monoceros_config::raw`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SourceFiles {
    /// Files that it has read, or tried to, and directories of which every file counts.
    pub paths: Vec<String>,
    /// More parts follow: there are too many paths for one message.
    pub continues: bool,
}
