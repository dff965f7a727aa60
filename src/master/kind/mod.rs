//! What is special to one kind of worker: which program it executes and how that
//! program is found.

pub(crate) mod executable;
pub(crate) mod interpreter;
