//! Reads `HOST:PORT`, the address of a network service, from text.

use crate::value::not_empty;

/// Reads a host and a port; `default_port` is that of a host without one. A host in brackets is
/// an IPv6 address, and no host is `default_host`. `refusal` is the error about a text that is
/// no address.
pub(crate) fn read_host_port(
    text: &str,
    default_host: &str,
    default_port: u16,
    refusal: fn(&str) -> String,
) -> Result<(String, u16), String> {
    not_empty(text)?;
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or_else(|| refusal(text))?)),
        None => match text.split_once(':') {
            Some((_, rest)) if text.contains("://") && !rest.is_empty() => {
                return Err(refusal(text));
            }
            Some((_, rest)) if rest.contains(':') => {
                return Err(format!("{}; an IPv6 address needs brackets", refusal(text)));
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if port.is_none() && host.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{host} is not an address; for the port {host} write :{host}"));
    }
    if host.contains(|c: char| c.is_whitespace() || "/[],@".contains(c)) {
        return Err(refusal(text));
    }
    let port = port.map_or(Ok(default_port), |port| {
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        port.parse().ok().filter(|_| digits).ok_or_else(|| format!("{port:?} is not a port"))
    })?;
    let host = if host.is_empty() { default_host.to_owned() } else { host.to_lowercase() };
    Ok((host, port))
}

/// Writes a host and a port; an IPv6 address gets brackets.
pub(crate) fn text_of_host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
