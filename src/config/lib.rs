//! The settings of Monoceros: the table, the sources of values, and the pages that are
//! printed from the table. Reading settings opens only the configuration file: no socket,
//! user database or log.

mod access_format;
mod address_set;
mod bind;
mod bind_setting;
mod choice;
mod constraints;
mod environment;
mod error;
mod file;
mod findings;
mod flags;
mod forwarding;
mod gunicorn;
mod help;
mod invocation;
mod item;
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
mod tls;
mod transport;
mod value;
pub mod variable;
mod worker;
mod worker_settings;
mod wrap;

pub use access_format::{AccessAtom, AccessFormat, AccessPiece};
pub use address_set::AddressSet;
pub use bind::Bind;
pub use bind_setting::{BindScheme, BindSetting};
pub use control_command::{ControlCommand, ControlTarget, Verb};
pub use error::{Error, Errors, ValueOrigin};
pub use forwarding::{HeaderMap, NameList, ProxyMode, RealIp, SchemeHeader, SchemeHeaders};
pub use invocation::{Command, load};
pub use loaded::Loaded;
pub use log::{LogLevel, LogTarget};
pub use process::{Argument, Assignment, SearchPath, Umask};
pub use row::{Arity, Effect, EnvDefault, Reader, Section, TableRow};
pub use signals::{SIGNALS, SignalCommand, SignalRow};
pub use size::Size;
pub use table::{ROWS, Row, Settings, WorkerSettings};
pub use tls::{CIPHERS, CertReqs, CertificateSource, CipherName, Ciphers, TlsVersionSetting};
pub use worker::{MOST_WORKERS, ReadyAfter, WorkerClass, Workers};
