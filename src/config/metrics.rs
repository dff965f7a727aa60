//! A type of settings: the addresses at which the master serves its metrics.

use crate::bind::Bind;
use crate::row::Bounds;
use crate::value::{Value, each_once};

/// The port of an address that names none.
const PORT: u16 = 9180;

/// An address at which the master serves metrics: a TCP port or a unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetricsAddress(pub Bind);

impl Value for MetricsAddress {
    const RAW: bool = true;
    const NONE: &'static [&'static str] = &["none", "off", "false"];

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        let is_socket = text.starts_with("unix:");
        let address = if is_socket {
            text.parse()
        } else {
            Bind::tcp(text, PORT).map_err(|it| refusal(text, &it))
        };
        address.map(Self)
    }

    fn texts(&self) -> Vec<String> {
        vec![self.0.text()]
    }

    fn check_list(addresses: &[Self]) -> Result<(), String> {
        each_once(addresses)
    }
}

/// The error about a text that is no address. That of [`Bind`] has examples with schemes, which
/// these addresses do not have.
fn refusal(text: &str, reason: &str) -> String {
    let is_general = reason.starts_with("cannot read");
    if is_general {
        format!(
            "cannot read {text:?} as an address; examples: 127.0.0.1:9180, [::1]:9180, unix:PATH"
        )
    } else {
        reason.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Result<Vec<String>, String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        Vec::<MetricsAddress>::read(&words, None).map(|read| read.texts())
    }

    #[test]
    fn an_address_is_a_port_or_a_unix_socket() {
        for (text, written) in [
            ("127.0.0.1:9180", "127.0.0.1:9180"),
            ("localhost", "localhost:9180"),
            (":9180", "0.0.0.0:9180"),
            ("[::1]", "[::1]:9180"),
            (":80%eth0", "0.0.0.0:80%eth0"),
            ("unix:///run/shop/metrics", "unix:/run/shop/metrics"),
            ("unix:@shop", "unix:@shop"),
            ("none", "none"),
        ] {
            assert_eq!(texts(&[text]).unwrap(), [written], "{text}");
        }
        assert_eq!(texts(&[":1", "unix:a"]).unwrap(), ["0.0.0.0:1", "unix:a"]);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let general = "examples: 127.0.0.1:9180, [::1]:9180, unix:PATH";
        for (words, part) in [
            (&["http://localhost:9180"][..], general),
            (&["fd://3"], general),
            (&["::1:9180"], general),
            (&["9180"], "9180 is not an address; for the port 9180 write :9180"),
            (&["localhost:x"], "\"x\" is not a port"),
            (&["unix:"], "a path is missing after unix:"),
            (&[""], "must not be empty"),
            (&[":1", "0.0.0.0:1"], "0.0.0.0:1 is in it twice"),
            (&[":1", "none"], "none cannot stand beside other values"),
        ] {
            let reason = texts(words).unwrap_err();
            assert!(reason.contains(part), "{words:?}: {reason}");
        }
    }
}
