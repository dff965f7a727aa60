//! The guard against debuggers that were left on (`debug-guard`): they show code and settings
//! to every client, and some of them run code that a client sends.

use monoceros_config::DebugGuard;
use monoceros_wire::channel::WorkerEnd;
use monoceros_wire::message::{BootFailure, Start};

use crate::boot_failure::give_up;
use crate::concern;

/// The line above and below the warning.
const FRAME: &str = "****************************************************************";

/// Warns of debuggers if other machines can reach a listener, or ends this process as one that
/// cannot serve. A check before a deployment lists them in any case.
pub(crate) fn apply(channel: &WorkerEnd, start: &Start, guard: DebugGuard, debuggers: &[String]) {
    let is_deployment = start.check.as_ref().is_some_and(|check| check.deploy);
    if is_deployment {
        return list(channel, debuggers, "");
    }
    let addresses = public_addresses(start).join(", ");
    if debuggers.is_empty() || addresses.is_empty() {
        return;
    }
    match guard {
        DebugGuard::Off => {}
        DebugGuard::Warn if start.check.is_some() => {
            list(channel, debuggers, &format!("; other machines can reach {addresses}"));
        }
        DebugGuard::Warn => concern::report(channel, warning(debuggers, &addresses), true),
        DebugGuard::Refuse => {
            let found = debuggers.join(", ");
            let reason =
                format!("debug-guard: refuse: {found}, and other machines can reach {addresses}");
            give_up(channel, BootFailure::Boot, &reason)
        }
    }
}

/// Reports each debugger as one line.
fn list(channel: &WorkerEnd, debuggers: &[String], end: &str) {
    for debugger in debuggers {
        concern::report(channel, format!("debug: {debugger}{end}"), false);
    }
}

/// The listeners that other machines can reach, in the form of URLs. A check of the settings
/// opens no listener, and has their addresses.
fn public_addresses(start: &Start) -> Vec<String> {
    let listeners = start.listeners.iter().filter(|listener| listener.address.is_public());
    let configured = start.check.iter().flat_map(|check| check.public.iter().cloned());
    listeners.map(ToString::to_string).chain(configured).collect()
}

fn warning(debuggers: &[String], addresses: &str) -> String {
    let debuggers: Vec<_> = debuggers.iter().map(|it| format!("  {it}\n")).collect();
    format!(
        "DEBUG IS ON\n{FRAME}\n{}and other machines can reach {addresses}.\nTurn debugging off, \
         or listen on 127.0.0.1 only. With debug-guard: refuse the server does not start like \
         this.\n{FRAME}",
        debuggers.concat(),
    )
}
