//! The name in a host, `example.com:8000`.

/// The name in a valid host, without its port.
pub(crate) fn without_port(host: &[u8]) -> &[u8] {
    let end = if host.starts_with(b"[") {
        host.iter().position(|&byte| byte == b']').map(|at| at + 1)
    } else {
        host.iter().position(|&byte| byte == b':')
    };
    &host[..end.unwrap_or(host.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_left_out() {
        for (host, name) in [
            ("a", "a"),
            ("a:80", "a"),
            ("a:", "a"),
            ("", ""),
            ("[::1]", "[::1]"),
            ("[2001:db8::7]:443", "[2001:db8::7]"),
        ] {
            assert_eq!(without_port(host.as_bytes()), name.as_bytes(), "{host}");
        }
    }
}
