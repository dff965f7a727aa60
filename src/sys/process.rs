//! Starts, identifies, signals and reaps processes.

mod detached;
mod end;
mod exec_error;
mod fork;
mod mask;
mod privileges;
mod program;

pub use self::detached::{Detached, Ending};
pub use self::end::{
    Ancestry, ExitStatus, adopt_orphans, ancestry, ended, outlive_parent, reap, refuse_orphans,
};
pub use self::exec_error::ExecError;
pub use self::fork::{ForkSide, await_new_parent, fork_orphan, lacks_room};
pub use self::privileges::become_user;
pub use self::program::{Process, Program, check_kernel, exit_now, has_terminal};
