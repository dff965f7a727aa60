//! The shells that have completions.

use crate::choice::choice;
use crate::row::Arity;

choice! {
    /// A shell that has completions.
    ShellName, takes Arity::One;
    Bash = "bash", "bash";
    Zsh = "zsh", "zsh";
    Fish = "fish", "fish";
}
