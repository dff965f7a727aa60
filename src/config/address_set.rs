//! A type of settings: a set of addresses, such as those of trusted proxies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::row::{Arity, Bounds};
use crate::value::{Value, alone_if_none};

/// A set of addresses.
///
/// As text: addresses, networks (`10.0.0.0/8`), `*` for all addresses, and `no-unix`.
/// `unix` alone has unix sockets only. `none` is the empty set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSet {
    /// Every internet address is in it.
    pub all: bool,
    /// The networks in it; a single address is a network of one. IPv4-mapped IPv6 networks
    /// are stored as IPv4.
    pub networks: Vec<IpNet>,
    /// The clients of unix sockets are in it.
    pub unix: bool,
}

impl AddressSet {
    /// This machine: gunicorn's default. gunicorn trusts unix sockets always.
    pub(crate) fn local() -> Self {
        let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        Self { all: false, networks: addresses.map(IpNet::from).to_vec(), unix: true }
    }

    /// Whether an address is in the set. An IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.all || self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.all && self.networks.is_empty() && !self.unix
    }

    /// Whether the clients of unix sockets are in the set.
    #[must_use]
    pub fn contains_unix(&self) -> bool {
        self.unix
    }
}

impl Value for AddressSet {
    const TAKES: Arity = Arity::List;

    fn parse(text: &str, range: Bounds) -> Result<Self, String> {
        Self::read(&[text.to_owned()], range)
    }

    fn texts(&self) -> Vec<String> {
        let mut words: Vec<_> = self.networks.iter().map(text_of_network).collect();
        if self.all {
            words.insert(0, "*".to_owned());
        }
        match (words.is_empty(), self.unix) {
            (true, true) => words.push("unix".to_owned()),
            (true, false) => words.push("none".to_owned()),
            (false, true) => {}
            (false, false) => words.push("no-unix".to_owned()),
        }
        vec![words.join(",")]
    }

    fn read(texts: &[String], _: Bounds) -> Result<Self, String> {
        let words = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
        let words: Vec<_> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
        alone_if_none(&words, &["none"])?;
        let mut set = Self { all: false, networks: Vec::new(), unix: true };
        for word in &words {
            match word.as_str() {
                "*" => set.all = true,
                "unix" => {}
                "none" | "no-unix" => set.unix = false,
                word => set.networks.push(read_network(word, "*")?),
            }
        }
        if !set.unix && words.iter().any(|word| word == "unix") {
            return Err("unix and no-unix contradict each other".to_owned());
        }
        Ok(set)
    }
}

/// Reads an address or a network. Bits behind the prefix are an error, as in gunicorn. `all` is
/// the word for every address, which an error names.
pub(crate) fn read_network(word: &str, all: &str) -> Result<IpNet, String> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let network: IpNet = word.parse().map_err(|_| {
        format!("{word:?} is not an address; examples: 10.0.0.7, 10.0.0.0/8, 2001:db8::/32, {all}")
    })?;
    if network.addr() != network.network() {
        return Err(format!("{word} has bits behind its prefix; write {}", network.trunc()));
    }
    Ok(as_ipv4(network).unwrap_or(network))
}

/// The IPv4 network of an IPv4-mapped one (`::ffff:10.0.0.0/104`).
fn as_ipv4(network: IpNet) -> Option<IpNet> {
    /// The length of the prefix that all mapped addresses share.
    const MAPPED: u8 = 96;
    let IpNet::V6(network) = network else { return None };
    let prefix = network.prefix_len().checked_sub(MAPPED)?;
    let address = Ipv6Net::network(&network).to_ipv4_mapped()?;
    Ipv4Net::new(address, prefix).ok().map(IpNet::V4)
}

/// Writes a network; one of a single address as that address.
pub(crate) fn text_of_network(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// Clients that may use something. As text: addresses, networks, `unix` for the clients of unix
/// sockets, and `all`. Those of unix sockets are in it by `all` and `unix` only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSet(pub AddressSet);

impl Value for ClientSet {
    const TAKES: Arity = Arity::List;

    fn parse(text: &str, _: Bounds) -> Result<Self, String> {
        read_clients(text).map(Self)
    }

    fn texts(&self) -> Vec<String> {
        vec![text_of_clients(&self.0)]
    }

    fn read(texts: &[String], range: Bounds) -> Result<Self, String> {
        Self::parse(&texts.join(","), range)
    }
}

/// Reads clients; see [`ClientSet`].
pub(crate) fn read_clients(text: &str) -> Result<AddressSet, String> {
    let mut set = AddressSet { all: false, networks: Vec::new(), unix: false };
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "all" | "*" => (set.all, set.unix) = (true, true),
            "unix" => set.unix = true,
            word => set.networks.push(read_network(word, "all")?),
        }
    }
    if set.is_empty() { Err("names no client; all means every client".to_owned()) } else { Ok(set) }
}

/// Writes clients; see [`ClientSet`].
pub(crate) fn text_of_clients(set: &AddressSet) -> String {
    let word = match (set.all, set.unix) {
        (true, _) => Some("all".to_owned()),
        (false, true) => Some("unix".to_owned()),
        (false, false) => None,
    };
    word.into_iter().chain(set.networks.iter().map(text_of_network)).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> AddressSet {
        AddressSet::parse(text, None).unwrap()
    }

    fn contains(set: &AddressSet, address: &str) -> bool {
        set.contains(address.parse().unwrap())
    }

    #[test]
    fn addresses_and_networks_are_found() {
        let set = set("10.0.0.0/8, 192.168.1.7,2001:db8::/32,");
        for address in ["10.1.2.3", "192.168.1.7", "2001:db8::1", "::ffff:10.1.2.3"] {
            assert!(contains(&set, address), "{address}");
        }
        for address in ["11.0.0.1", "192.168.1.8", "2001:db9::1", "::1", "::ffff:11.0.0.1"] {
            assert!(!contains(&set, address), "{address}");
        }
    }

    #[test]
    fn the_default_is_this_machine() {
        let local = AddressSet::local();
        assert_eq!(local, set("127.0.0.1,::1"));
        assert!(contains(&local, "127.0.0.1") && contains(&local, "::ffff:127.0.0.1"));
        assert!(!contains(&local, "127.0.0.2") && local.contains_unix());
    }

    #[test]
    fn mapped_networks_count_as_ipv4() {
        for text in ["::ffff:10.0.0.0/104", "::ffff:10.1.2.3"] {
            assert!(contains(&set(text), "10.1.2.3"), "{text}");
        }
        assert!(!contains(&set("::/0"), "10.1.2.3"));
        assert!(contains(&set("0.0.0.0/0"), "::ffff:1.2.3.4"));
    }

    #[test]
    fn unix_sockets_are_trusted_unless_excluded() {
        for (text, unix) in [
            ("*", true),
            ("", true),
            ("unix", true),
            ("10.0.0.1", true),
            ("10.0.0.1,no-unix", false),
            ("*,no-unix", false),
            ("none", false),
        ] {
            let set = set(text);
            assert_eq!(set.contains_unix(), unix, "{text}");
            assert_eq!(contains(&set, "1.2.3.4"), text.contains('*'), "{text}");
            assert_eq!(AddressSet::read(&set.texts(), None), Ok(set), "{text}");
        }
    }

    #[test]
    fn clients_of_unix_sockets_are_named() {
        let clients = |texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
            ClientSet::read(&texts, None)
        };
        for (texts, written, unix) in [
            (&["10.0.0.0/8", "::1"][..], "10.0.0.0/8,::1", false),
            (&["10.0.0.1,unix"], "unix,10.0.0.1", true),
            (&["*"], "all", true),
        ] {
            let set = clients(texts).unwrap();
            assert_eq!((set.texts(), set.0.contains_unix()), (vec![written.to_owned()], unix));
            assert_eq!(clients(&[written]), Ok(set));
        }
        assert_eq!(clients(&[","]).unwrap_err(), "names no client; all means every client");
        assert!(clients(&["none"]).unwrap_err().starts_with("\"none\" is not an address"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, part) in [
            ("10.0.0.1/8", "write 10.0.0.0/8"),
            ("10.0.0.0/33", "is not an address"),
            ("localhost", "is not an address"),
            ("10.0.0.0/", "is not an address"),
            ("none,10.0.0.1", "none cannot stand beside"),
            ("unix,no-unix", "contradict"),
        ] {
            let reason = AddressSet::parse(text, None).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }
}
