//! An address to listen on, with the options of its listener: its scheme, whether connections
//! begin with a header of the PROXY protocol, and its rules of access.

use std::fmt;
use std::str::FromStr;

use crate::access_rule::{self, AccessRule};
use crate::bind::Bind;
use crate::choice::choice;
use crate::forwarding::ProxyMode;
use crate::item::{ItemForm, ItemPair};
use crate::row::{Arity, Bounds};
use crate::suggestion;
use crate::value::Value;

/// The port of an address with `http://` that names none.
const HTTP_PORT: u16 = 80;

/// The port of an address with `https://` that names none.
const HTTPS_PORT: u16 = 443;

choice! {
    /// The scheme of a listener.
    BindScheme, takes Arity::One;
    Auto = "auto", "https if there is a certificate, else http";
    Http = "http", "plain HTTP, also if there is a certificate";
    Https = "https", "HTTP over TLS";
}

/// An address to listen on, with its options. The address alone identifies the socket.
///
/// As text: the address, behind `https://` or `http://` for a TCP port, and before
/// `?NAME=VALUE&...` with options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindSetting {
    /// The address.
    pub address: Bind,
    /// The scheme as configured; [`crate::Settings::is_tls`] resolves `Auto`.
    pub scheme: BindScheme,
    /// The option `proxy-protocol`, if it differs from the setting of that name.
    pub proxy_protocol: Option<ProxyMode>,
    /// The option `access`: rules that come before those of the setting of that name. An empty
    /// list stands for no rules at all.
    pub access: Option<Vec<AccessRule>>,
}

/// The form of an item that is a mapping: `{address: ':8000', proxy-protocol: v2}`.
pub(crate) static ITEM: ItemForm = ItemForm {
    keys: &[ADDRESS, SCHEME, PROXY_PROTOCOL, ACCESS],
    lists: &[],
    nested: &[(ACCESS, &access_rule::ITEM)],
    check,
    text,
};
const ADDRESS: &str = "address";

/// The names of the options.
const OPTIONS: [&str; 3] = [SCHEME, PROXY_PROTOCOL, ACCESS];
const SCHEME: &str = "scheme";
const PROXY_PROTOCOL: &str = "proxy-protocol";
const ACCESS: &str = "access";

impl From<Bind> for BindSetting {
    fn from(address: Bind) -> Self {
        Self { address, scheme: BindScheme::Auto, proxy_protocol: None, access: None }
    }
}

impl FromStr for BindSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, options) = split_options(text);
        let mut setting = without_options(address)?;
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            setting.set_option(name, value).map_err(|reason| format!("{name}: {reason}"))?;
        }
        Ok(setting)
    }
}

impl fmt::Display for BindSetting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text())
    }
}

impl BindSetting {
    fn set_option(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            SCHEME => {
                let scheme = BindScheme::parse(value, None)?;
                if self.scheme != BindScheme::Auto && self.scheme != scheme {
                    return Err(format!("contradicts {}://", self.scheme.texts().concat()));
                }
                self.scheme = scheme;
            }
            PROXY_PROTOCOL => self.proxy_protocol = Some(ProxyMode::parse(value, None)?),
            ACCESS => {
                let rules = Vec::<AccessRule>::parse(value, None)?;
                let is_empty = rules.is_empty();
                let known = self.access.get_or_insert_default();
                known.extend(rules);
                if is_empty && !known.is_empty() {
                    return Err(format!("{value} cannot stand beside rules"));
                }
            }
            _ => {
                let known = OPTIONS.map(str::to_owned);
                return Err(format!(
                    "unknown option; known are {}{}",
                    OPTIONS.join(", "),
                    suggestion::question(name, &known)
                ));
            }
        }
        Ok(())
    }

    /// Writes the setting as text, also with any bytes in a path.
    #[must_use]
    pub fn text(&self) -> String {
        let is_tcp = matches!(self.address, Bind::Tcp { .. });
        let mut options = Vec::new();
        let mut text = String::new();
        if self.scheme != BindScheme::Auto {
            let scheme = self.scheme.texts().concat();
            if is_tcp {
                text = format!("{scheme}://");
            } else {
                options.push(format!("{SCHEME}={scheme}"));
            }
        }
        text.push_str(&self.address.text());
        if let Some(mode) = self.proxy_protocol {
            options.push(format!("{PROXY_PROTOCOL}={}", mode.texts().concat()));
        }
        for rule in self.access.iter().flat_map(Value::texts) {
            options.push(format!("{ACCESS}={rule}"));
        }
        // A path that ends like options is followed by an empty list of them.
        if !options.is_empty() || split_options(&text).0 != text {
            text.push('?');
            text.push_str(&options.join("&"));
        }
        text
    }
}

impl Value for BindSetting {
    const RAW: bool = true;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        text.parse()
    }

    fn texts(&self) -> Vec<String> {
        vec![self.text()]
    }
}

/// Checks a word of an item that is a mapping.
fn check(name: &str, word: &str) -> Result<(), String> {
    if name == ADDRESS {
        return word.parse::<BindSetting>().map(drop);
    }
    BindSetting::from(Bind::local()).set_option(name, word)
}

/// The text of an item that is a mapping.
fn text(pairs: &[ItemPair<'_>]) -> Result<String, String> {
    let is_address = |pair: &&ItemPair<'_>| pair.0 == ADDRESS;
    let address = pairs.iter().find(is_address).map(|(_, words)| words.concat());
    let address = address.ok_or_else(|| format!("{ADDRESS} is missing"))?;
    let options = pairs.iter().filter(|pair| !is_address(pair));
    let options = options.flat_map(|(name, words)| words.iter().map(move |it| (name, it)));
    let options: Vec<_> = options.map(|(name, word)| format!("{name}={word}")).collect();
    let text =
        if options.is_empty() { address } else { format!("{address}?{}", options.join("&")) };
    text.parse::<BindSetting>().map(|_| text)
}

fn without_options(text: &str) -> Result<BindSetting, String> {
    for scheme in ["https", "http"] {
        let rest = text.strip_prefix(scheme).and_then(|it| it.strip_prefix("://"));
        let is_other = |it: &&str| it.starts_with("unix:") || it.starts_with("fd://");
        if let Some(address) = rest.filter(is_other) {
            return Err(format!(
                "{scheme}:// stands before HOST:PORT only; write {address}?{SCHEME}={scheme}"
            ));
        }
    }
    let (scheme, address) = if let Some(rest) = text.strip_prefix("https://") {
        (BindScheme::Https, Bind::tcp(rest, HTTPS_PORT))
    } else if let Some(rest) = text.strip_prefix("http://") {
        (BindScheme::Http, Bind::tcp(rest, HTTP_PORT))
    } else {
        (BindScheme::Auto, text.parse())
    };
    Ok(BindSetting { scheme, ..address?.into() })
}

/// The address, and the options behind its last question mark. The path of a unix socket
/// may have question marks too: what does not look like options belongs to the path.
fn split_options(text: &str) -> (&str, &str) {
    let is_option = |option: &str| {
        let name = option.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        })
    };
    match text.rsplit_once('?') {
        Some((address, options)) if options.is_empty() || options.split('&').all(is_option) => {
            (address, options)
        }
        _ => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Bind {
        Bind::Tcp { host: host.to_owned(), port, interface: None }
    }

    fn setting(address: Bind, scheme: BindScheme, mode: Option<ProxyMode>) -> BindSetting {
        BindSetting { address, scheme, proxy_protocol: mode, access: None }
    }

    #[test]
    fn a_scheme_stands_before_an_address_and_options_behind_it() {
        use BindScheme::{Auto, Http, Https};
        for (text, address, scheme, mode) in [
            (":8000", tcp("0.0.0.0", 8000), Auto, None),
            ("https://:443", tcp("0.0.0.0", 443), Https, None),
            ("https://[::1]:8443", tcp("::1", 8443), Https, None),
            ("https://shop.example", tcp("shop.example", 443), Https, None),
            ("http://0.0.0.0", tcp("0.0.0.0", 80), Http, None),
            ("tcp://h:1?proxy-protocol=v2", tcp("h", 1), Auto, Some(ProxyMode::V2)),
            ("h:1?scheme=https&proxy-protocol=auto", tcp("h", 1), Https, Some(ProxyMode::Auto)),
            ("https://h:1?proxy-protocol=off", tcp("h", 1), Https, Some(ProxyMode::Off)),
            ("unix:/run/a?scheme=https", Bind::Unix("/run/a".into()), Https, None),
            ("unix:/run/a?b.sock", Bind::Unix("/run/a?b.sock".into()), Auto, None),
            ("unix:/run/a?b=c?", Bind::Unix("/run/a?b=c".into()), Auto, None),
            ("unix:@a?scheme=http", Bind::Abstract("a".to_owned()), Http, None),
            ("fd://3?scheme=https", Bind::Fd(3), Https, None),
        ] {
            let read: BindSetting = text.parse().unwrap();
            assert_eq!(read, setting(address, scheme, mode), "{text}");
            assert_eq!(read.text().parse(), Ok(read.clone()), "{}", read.text());
        }
    }

    #[test]
    fn an_address_can_have_its_own_rules_of_access() {
        let rules = |text: &str| text.parse::<BindSetting>().unwrap().access.unwrap().texts();
        let two = "https://:443?proxy-protocol=v2&access=allow=::1;path=/a%26b&access=deny=all";
        assert_eq!(rules(two), ["allow=::1;path=/a%26b", "deny=all"]);
        assert_eq!(rules("unix:/a?access=none"), ["none"]);
        for text in [two, "unix:/a?access=none", "h:1%eth0?access=deny=10.0.0.0/8,unix"] {
            let read: BindSetting = text.parse().unwrap();
            assert_eq!(read.text().parse(), Ok(read.clone()), "{}", read.text());
        }
        let tcp: BindSetting = "http://0.0.0.0:80%eth0".parse().unwrap();
        assert_eq!(tcp.address.to_string(), "0.0.0.0:80%eth0");
        assert_eq!(tcp.text(), "http://0.0.0.0:80%eth0");
    }

    #[test]
    fn refusals_name_the_option() {
        for (text, reason) in [
            ("h:1?proxy-protocol=v3", "proxy-protocol: \"v3\" is not one of off, auto, v1, v2"),
            ("h:1?scheme=ftp", "scheme: \"ftp\" is not one of auto, http, https"),
            ("https://h:1?scheme=http", "scheme: contradicts https://"),
            (
                "h:1?proxy-protokol=v1",
                "proxy-protokol: unknown option; known are scheme, proxy-protocol, access; did \
                 you mean proxy-protocol?",
            ),
            (
                "h:1?access=deny=x",
                "access: deny: \"x\" is not an address; examples: 10.0.0.7, \
                 10.0.0.0/8, 2001:db8::/32, all",
            ),
            ("h:1?access=deny=all&access=none", "access: none cannot stand beside rules"),
            (
                "h:1?access=",
                "access: a rule needs allow or deny; example: \
                 deny=10.0.0.0/8;path=/admin",
            ),
        ] {
            assert_eq!(text.parse::<BindSetting>().unwrap_err(), reason, "{text}");
        }
        for text in ["ftp://h:21", "ssl://:443", "https://unix:/a"] {
            assert!(text.parse::<BindSetting>().is_err(), "{text}");
        }
        let error = "http://unix:/run/a".parse::<BindSetting>().unwrap_err();
        assert!(error.ends_with("write unix:/run/a?scheme=http"), "{error}");
    }
}
