//! Which addresses are one client.

use std::net::IpAddr;

/// The beginning of the keys of IPv4 addresses. As the beginning of an IPv6 address it is that
/// of multicast groups, which send nothing (RFC 4291 section 2.7).
const IPV4: u64 = 0xffff_ffff << 32;

/// A client, as limits count it: an IPv4 address, or an IPv6 network of 64 bits. A site has at
/// least such a network, and each of its hosts takes as many addresses of the network as it
/// likes (RFC 8981).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey(u64);

impl ClientKey {
    /// The key as a number; each client has its own.
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

impl From<IpAddr> for ClientKey {
    /// An IPv4-mapped IPv6 address is the IPv4 address.
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(IPV4 | u64::from(ip.to_bits())),
            IpAddr::V6(ip) => Self((ip.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(ip: &str) -> ClientKey {
        ClientKey::from(ip.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        assert_eq!(key("2001:db8:0:7::1"), key("2001:db8:0:7:ffff:1:2:3"));
        assert_ne!(key("2001:db8:0:7::1"), key("2001:db8:0:8::1"));
        assert_eq!(key("::1"), key("::2"));
    }

    #[test]
    fn each_ipv4_address_is_a_client_also_when_it_is_mapped() {
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        let all = ["192.0.2.1", "192.0.2.2", "0.0.0.0", "127.0.0.1", "::1", "fe80::1", "2000::"];
        for (index, one) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|other| key(other) != key(one)), "{one}");
        }
    }
}
