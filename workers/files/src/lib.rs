//! Files that a worker sends by itself.
//!
//! [`FileServer`] finds the file of a request's path below the directories of the settings, and
//! makes the response that sends it. It reads no setting and no socket. [`AcceleratedFiles`] finds the files that responses of the application name.
//!
//! Names are looked up by `openat2(2)`, so that none leads out of its directory, not even while
//! links and directories are exchanged. What was found is used for a short time without another
//! look, and compared with the file system after that.

mod accelerated;
mod anchor;
mod caching;
mod complaints;
mod content;
mod directory;
mod effort;
mod hot_cache;
mod identity;
mod manifest;
mod mapping;
mod media_type;
mod representation;
mod requested_path;
mod resource;
mod response;
mod server;
mod survey;

pub use accelerated::{AcceleratedAnswer, AcceleratedFile, AcceleratedFiles, FileField};
pub use caching::CacheRules;
pub use effort::Effort;
pub use mapping::FileMapping;
pub use response::FileAnswer;
pub use server::{FileRules, FileServer};
