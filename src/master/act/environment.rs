//! The environment of workers: that of this process, then what the server sets in its
//! place, then what the setting `env` sets in place of both.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use monoceros_config::raw::bytes_of;
use monoceros_config::{Settings, variable};
use monoceros_sys::reason;
use monoceros_sys::user::{Credentials, Login};

use crate::master::act::invocation::Invocation;
use crate::master::kind::executable::c_string;
use crate::master::kind::worker_kind::WorkerKind;

/// Variables that concern the master only, so workers do not inherit them.
const MASTERS_OWN: [&[&str]; 3] =
    [&variable::MASTER, &["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"], &variable::LISTEN];

/// A variable and its value; `None` removes it.
type ServerVariable = (&'static str, Option<OsString>);

/// The environment of the workers of this kind.
pub(crate) fn environment(
    kind: &dyn WorkerKind,
    settings: &Settings,
    invocation: &Invocation,
    owner: Option<&Credentials>,
) -> Result<Vec<CString>, String> {
    let server = server_variables(kind, settings, owner)?;
    let is_set = |name: &OsStr| settings.env.iter().any(|it| OsStr::new(&it.name) == name);
    let is_own = |name: &OsStr| {
        let own = MASTERS_OWN.iter().copied().flatten().chain(&variable::WORKER);
        own.into_iter().any(|own| OsStr::new(own) == name)
    };
    let is_server = |name: &OsStr| server.iter().any(|(known, _)| OsStr::new(known) == name);
    let kept = |name: &OsStr| !is_set(name) && !is_own(name) && !is_server(name);
    let inherited = invocation.env.iter().filter(|(name, _)| kept(name));
    let mut environment = Vec::new();
    for (name, value) in inherited {
        environment.push(c_string(&assign(name, value))?);
    }
    for (name, value) in &server {
        let value = value.as_ref().filter(|_| !is_set(OsStr::new(name)));
        if let Some(value) = value {
            environment.push(c_string(&assign(name, value))?);
        }
    }
    for it in settings.env.iter().filter(|it| !is_own(OsStr::new(&it.name))) {
        environment.push(c_string(&assign(bytes_of(&it.name), bytes_of(&it.value)))?);
    }
    Ok(environment)
}

/// The variables that the server sets.
fn server_variables(
    kind: &dyn WorkerKind,
    settings: &Settings,
    owner: Option<&Credentials>,
) -> Result<Vec<ServerVariable>, String> {
    let mut variables = match owner {
        Some(owner) if settings.user.is_some() => login(owner.uid)?,
        Some(_) | None => Vec::new(),
    };
    variables.extend(kind.variables().iter().map(|(name, value)| (*name, Some(value.into()))));
    Ok(variables)
}

/// The variables of the workers' user, in place of those of the user that has started the
/// server (`environ(7)`).
fn login(uid: u32) -> Result<Vec<ServerVariable>, String> {
    let login =
        Login::of(uid).map_err(|error| format!("cannot look up user {uid}: {}", reason(&error)))?;
    Ok(match login {
        Some(Login { name, home }) => vec![
            ("HOME", Some(home.into_os_string())),
            ("USER", Some(OsString::from(&name))),
            ("LOGNAME", Some(name.into())),
        ],
        // The user of a container often has a number only.
        None => vec![("HOME", Some("/".into())), ("USER", None), ("LOGNAME", None)],
    })
}

/// `NAME=VALUE`.
fn assign(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> OsString {
    let (name, value) = (name.as_ref().as_bytes(), value.as_ref().as_bytes());
    OsString::from_vec([name, b"=", value].concat())
}
