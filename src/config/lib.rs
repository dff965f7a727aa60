//! The settings of Monoceros: the table, its sources, and what is printed from
//! it. Reading settings touches nothing but the one configuration file; no
//! socket, user database or log.

mod access_format;
mod agreement;
mod bind;
mod environment;
mod error;
mod file;
mod flags;
mod gunicorn;
mod help;
mod listing;

mod log;
mod markup;
mod order;
mod pairs;
pub mod print;
mod process;
pub mod raw;
mod row;
mod said;
mod shell;
mod signals;
mod size;
mod source;
mod suggestion;
mod table;
mod value;
mod worker;

pub use bind::Bind;
pub use error::{Error, Errors, Place};
pub use log::{LogFile, LogLevel};
pub use order::{Order, Target, Verb};
pub use process::{Argument, Assignment, SearchPath, Umask};
pub use row::{Ambient, Effect, Reader, Row, Section, Takes};
pub use signals::{SIGNALS, Signal, Wish};
pub use size::Size;
pub use source::{Command, Loaded, load};
pub use table::{ROWS, Settings};
pub use worker::{ReadyAfter, WorkerClass, Workers};
