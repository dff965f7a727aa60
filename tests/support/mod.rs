//! The tools of the black-box tests: a server that ends with its test, a client that sends
//! bytes unchanged, conditions with a deadline, and the checks after each test.

pub(crate) mod aftermath;
pub(crate) mod browser;
pub(crate) mod cases;
pub(crate) mod certificate;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod console;
pub(crate) mod crowd;
pub(crate) mod directory;
pub(crate) mod environment;
pub(crate) mod init;
pub(crate) mod interpreters;
pub(crate) mod load;
pub(crate) mod need;
pub(crate) mod pipe;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod setup;
pub(crate) mod shim;
pub(crate) mod tls;
pub(crate) mod until;
pub(crate) mod user;
