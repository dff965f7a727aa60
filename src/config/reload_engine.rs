//! How changes of files are noticed.

use crate::choice::choice;
use crate::row::Arity;

choice! {
    /// How changes of files are noticed.
    ReloadEngine, takes Arity::One;
    Auto = "auto", "the kernel reports changes, and polling is for files of which it cannot";
    Inotify = "inotify", "the kernel reports changes (`inotify(7)`), also on network file systems";
    Poll = "poll", "every file is looked at again and again";
}
