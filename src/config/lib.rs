//! The settings of Monoceros: the table, the sources of values, and the pages that are
//! printed from the table. Reading settings opens only the configuration file: no socket,
//! user database or log.

mod access_format;
mod bind;
mod constraints;
mod environment;
mod error;
mod file;
mod flags;
mod gunicorn;
mod help;
mod invocation;
mod loaded;
mod print_config;

mod control_command;
mod log;
pub mod print;
mod process;
pub mod raw;
mod raw_setting;
mod row;
mod shell_words;
mod signals;
mod size;
mod sources;
mod suggestion;
mod table;
mod value;
pub mod variable;
mod worker;
mod worker_settings;
mod wrap;

pub use access_format::{AccessAtom, AccessFormat, AccessPiece};
pub use bind::Bind;
pub use control_command::{ControlCommand, ControlTarget, Verb};
pub use error::{Error, Errors, ValueOrigin};
pub use invocation::{Command, load};
pub use loaded::Loaded;
pub use log::{LogLevel, LogTarget};
pub use process::{Argument, Assignment, SearchPath, Umask};
pub use row::{Arity, Effect, EnvDefault, Reader, Section, TableRow};
pub use signals::{SIGNALS, SignalCommand, SignalRow};
pub use size::Size;
pub use table::{ROWS, Row, Settings, WorkerSettings};
pub use worker::{MOST_WORKERS, ReadyAfter, WorkerClass, Workers};
