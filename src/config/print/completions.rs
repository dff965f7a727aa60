//! The completions of shells, made of the command line's description.

use clap_complete::{Shell, generate};

use super::command_line::command_line;
use crate::shell_name::ShellName;

/// The text that the shell reads.
#[must_use]
pub fn completions(shell: ShellName) -> String {
    let generator = match shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    };
    let mut text = Vec::new();
    generate(generator, &mut command_line(), "monoceros", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
