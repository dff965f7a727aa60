//! What is believed of the header fields in which proxies describe their clients. Only the
//! I/O thread asks, once for each request, at the end of its head.

pub(crate) mod forwarded;
mod ignored;

use std::net::IpAddr;
use std::sync::Arc;

use monoceros_config::{AddressSet, HeaderMap, NameList, RealIp, SchemeHeaders};
use monoceros_http::{AddressField, Head, PathPrefix, Reject};
use monoceros_wire::listener::Scheme;

use crate::connection::address::Address;
use crate::forwarding::forwarded::Forwarded;
use crate::forwarding::ignored::IgnoredFields;

/// The field in which a proxy names the prefix of the application's paths.
const SCRIPT_NAME: &[u8] = b"SCRIPT_NAME";

/// Two fields contradict each other, so one of them is not the proxy's.
const CONTRADICTORY_SCHEMES: Reject =
    Reject { status: 400, reason: "contradictory headers about the scheme" };
const CONTRADICTORY_PREFIXES: Reject = Reject { status: 400, reason: "contradictory SCRIPT_NAME" };
const NO_PREFIX: Reject =
    Reject { status: 400, reason: "SCRIPT_NAME is not the beginning of the path" };
const UNDERSCORE: Reject = Reject { status: 400, reason: "underscore in the name of a header" };

/// The settings for the header fields in which proxies describe their clients. By default no
/// proxy is trusted.
#[derive(Clone, Debug)]
pub struct Forwarding {
    trusted: AddressSet,
    /// Fields about the scheme, each with the value that means https.
    schemes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Fields with an underscore in their names that a trusted proxy may set.
    forwarders: Vec<Vec<u8>>,
    /// A trusted proxy may set each field with an underscore in its name.
    has_any_forwarder: bool,
    map: HeaderMap,
    /// The field with the client's address.
    address: Option<AddressField>,
    /// The lengths of the names that have a meaning here, as bits ([`Head::name_lengths`]): most
    /// requests have no name of these lengths.
    lengths: u64,
    ignored: Arc<IgnoredFields>,
}

/// The sender of a request, as the connection shows it.
#[derive(Clone, Copy)]
pub(crate) struct Sender<'a> {
    /// The address that the PROXY protocol names, otherwise that of the socket.
    pub(crate) peer: &'a Address,
    /// The address of the socket.
    pub(crate) socket_peer: &'a Address,
    /// [`Forwarding::trusts`] of the socket's address.
    pub(crate) is_trusted: bool,
}

/// What the fields of one request contain.
#[derive(Default)]
struct FieldScan<'a> {
    prefix: Option<PathPrefix>,
    /// The value of the last field with the client's address.
    address: Option<&'a [u8]>,
    /// There are several such fields.
    has_more_addresses: bool,
    /// A field that is not believed.
    ignored: Option<&'a [u8]>,
}

impl Default for Forwarding {
    fn default() -> Self {
        let trusted = AddressSet { all: false, networks: Vec::new(), unix: false };
        let (schemes, names) = (SchemeHeaders(Vec::new()), NameList(Vec::new()));
        Self::new(trusted, &schemes, &names, HeaderMap::Drop, RealIp::Off)
    }
}

impl Forwarding {
    /// Believes the proxies at these addresses; the names are those of the settings.
    #[must_use]
    pub fn new(
        forwarded_allow_ips: AddressSet,
        secure_scheme_headers: &SchemeHeaders,
        forwarder_headers: &NameList,
        header_map: HeaderMap,
        real_ip: RealIp,
    ) -> Self {
        let schemes = secure_scheme_headers.0.iter();
        let forwarders = forwarder_headers.0.iter().filter(|name| name.contains('_'));
        let mut forwarding = Self {
            trusted: forwarded_allow_ips,
            schemes: schemes.map(|it| (it.name.clone().into(), it.value.clone().into())).collect(),
            forwarders: forwarders.map(|name| name.clone().into()).collect(),
            has_any_forwarder: forwarder_headers.0.iter().any(|name| name == "*"),
            map: header_map,
            address: match real_ip {
                RealIp::Off => None,
                RealIp::XForwardedFor => Some(AddressField::XForwardedFor),
                RealIp::Forwarded => Some(AddressField::Forwarded),
            },
            lengths: 0,
            ignored: Arc::default(),
        };
        forwarding.lengths = forwarding.lengths();
        forwarding
    }

    fn lengths(&self) -> u64 {
        if self.has_any_forwarder || self.map == HeaderMap::Refuse {
            // Any name may have an underscore.
            return u64::MAX;
        }
        let schemes = self.schemes.iter().map(|(name, _)| name.len());
        let forwarders = self.forwarders.iter().map(Vec::len);
        let address = self.address.iter().map(|field| field.name().len());
        schemes.chain(forwarders).chain(address).map(Head::name_length).fold(0, |all, it| all | it)
    }

    /// Whether the proxy at an address is believed.
    pub(crate) fn trusts(&self, peer: &Address) -> bool {
        match peer {
            Address::Internet { ip, .. } => self.trusts_ip(*ip),
            Address::Unix(_) => self.trusted.contains_unix(),
        }
    }

    fn trusts_ip(&self, ip: IpAddr) -> bool {
        self.trusted.contains(ip)
    }

    /// Whether a field with an underscore in its name becomes a variable of the application.
    pub(crate) fn maps(&self, name: &[u8], is_trusted: bool) -> bool {
        self.map == HeaderMap::Dangerous || is_trusted && self.is_forwarder(name)
    }

    /// Whether a trusted proxy may set a field with an underscore in its name.
    fn is_forwarder(&self, name: &[u8]) -> bool {
        self.has_any_forwarder || self.forwarders.iter().any(|it| it.eq_ignore_ascii_case(name))
    }

    /// Reads the fields of a request.
    ///
    /// # Errors
    /// The fields contradict each other or the path, or the settings refuse one.
    pub(crate) fn read(&self, head: &Head, sender: Sender) -> Result<Forwarded, Reject> {
        let mut forwarded =
            Forwarded { is_from_trusted: sender.is_trusted, ..Forwarded::default() };
        if head.name_lengths() & self.lengths == 0 {
            return Ok(forwarded);
        }
        let mut scan = FieldScan::default();
        for (name, value) in head.fields() {
            if self.lengths & Head::name_length(name.len()) != 0 {
                self.take_field(name, value, &mut forwarded, &mut scan)?;
            }
        }
        if let Some(prefix) = scan.prefix {
            if !prefix.contains(head.path()) {
                return Err(NO_PREFIX);
            }
            forwarded.prefix = Some(Arc::new(prefix));
        }
        let (mut peer, mut ignored) = (sender.socket_peer, scan.ignored);
        if let (Some(field), Some(value)) = (self.address, scan.address) {
            let is_named = !std::ptr::eq(sender.peer, sender.socket_peer);
            if if is_named { self.trusts(sender.peer) } else { sender.is_trusted } {
                let client = if scan.has_more_addresses {
                    let is_it = |name: &[u8]| name.eq_ignore_ascii_case(field.name().as_bytes());
                    let fields = head.fields().filter(|(name, _)| is_it(name));
                    self.client(field, fields.map(|(_, value)| value))
                } else {
                    self.client(field, std::iter::once(value))
                };
                forwarded.client = client.map(Arc::new);
            } else if ignored.is_none() {
                (peer, ignored) = (sender.peer, Some(field.name().as_bytes()));
            }
        }
        if let Some(name) = ignored {
            self.ignored.note(name, peer);
        }
        Ok(forwarded)
    }

    fn take_field<'a>(
        &self,
        name: &'a [u8],
        value: &'a [u8],
        forwarded: &mut Forwarded,
        scan: &mut FieldScan<'a>,
    ) -> Result<(), Reject> {
        let is_trusted = forwarded.is_from_trusted;
        let mut schemes = self.schemes.iter();
        if let Some((_, secure)) = schemes.find(|(it, _)| it.eq_ignore_ascii_case(name)) {
            let scheme = if value == secure { Scheme::Https } else { Scheme::Http };
            if !is_trusted {
                scan.ignored.get_or_insert(name);
            } else if *forwarded.scheme.get_or_insert(scheme) != scheme {
                return Err(CONTRADICTORY_SCHEMES);
            }
        }
        if let Some(field) = self.address
            && name.eq_ignore_ascii_case(field.name().as_bytes())
        {
            scan.has_more_addresses = scan.address.replace(value).is_some();
        }
        if !name.contains(&b'_') {
            return Ok(());
        }
        let is_forwarder = self.is_forwarder(name);
        let is_prefix = is_forwarder && name.eq_ignore_ascii_case(SCRIPT_NAME);
        if is_forwarder && is_trusted {
            if is_prefix {
                let prefix = PathPrefix::new(value);
                if *scan.prefix.get_or_insert_with(|| prefix.clone()) != prefix {
                    return Err(CONTRADICTORY_PREFIXES);
                }
            }
            return Ok(());
        }
        match self.map {
            HeaderMap::Refuse => return Err(UNDERSCORE),
            HeaderMap::Drop if is_forwarder => _ = scan.ignored.get_or_insert(name),
            HeaderMap::Dangerous if is_prefix => _ = scan.ignored.get_or_insert(name),
            HeaderMap::Drop | HeaderMap::Dangerous => {}
        }
        Ok(())
    }

    /// The client's address in the values of a field.
    fn client<'a>(
        &self,
        field: AddressField,
        values: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> Option<Address> {
        let found = field.client(values, |ip| self.trusts_ip(ip))?;
        // A port of 0 is none.
        Some(Address::internet((found.ip, found.port.unwrap_or(0)).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_options::LIMITS;

    /// The settings by default, but for these two; 127.0.0.1 is trusted.
    fn forwarding(map: HeaderMap, real_ip: RealIp) -> Forwarding {
        let networks = vec!["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        let trusted = AddressSet { all: false, networks, unix: true };
        let names = ["SCRIPT_NAME", "PATH_INFO", "REMOTE_USER"].map(str::to_owned);
        Forwarding::new(trusted, &SchemeHeaders::default(), &NameList(names.into()), map, real_ip)
    }

    fn usual() -> Forwarding {
        forwarding(HeaderMap::Drop, RealIp::Off)
    }

    fn head(target: &str, fields: &[&str]) -> Head {
        let fields: String = fields.iter().map(|it| format!("{it}\r\n")).collect();
        let mut head = Head::new();
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        head.read(text.as_bytes(), &LIMITS).unwrap().unwrap();
        head
    }

    fn address(ip: &str) -> Address {
        Address::internet((ip.parse::<IpAddr>().unwrap(), 1).into())
    }

    fn read(
        settings: &Forwarding,
        peer: &str,
        target: &str,
        fields: &[&str],
    ) -> Result<Forwarded, Reject> {
        let peer = address(peer);
        let is_trusted = settings.trusts(&peer);
        let sender = Sender { peer: &peer, socket_peer: &peer, is_trusted };
        settings.read(&head(target, fields), sender)
    }

    #[test]
    fn the_scheme_is_https_only_with_exactly_the_value_of_the_settings() {
        for (fields, scheme) in [
            (&["X-Forwarded-Proto: https"][..], Some(Scheme::Https)),
            (&["x-forwarded-ssl: on"], Some(Scheme::Https)),
            (&["X-Forwarded-Protocol:  ssl "], Some(Scheme::Https)),
            (&["X-Forwarded-Proto: https", "X-Forwarded-Ssl: on"], Some(Scheme::Https)),
            (&["X-Forwarded-Proto: http"], Some(Scheme::Http)),
            (&["X-Forwarded-Proto: HTTPS"], Some(Scheme::Http)),
            (&["X-Forwarded-Proto: https, http"], Some(Scheme::Http)),
            (&["X-Forwarded-Proto:"], Some(Scheme::Http)),
            (&["X-Forwarded-Protocol: https"], Some(Scheme::Http)),
            (&["X-Forwarded-Protox: https"], None),
            (&["X-Forwarded-Port: 443"], None),
            (&[], None),
        ] {
            let found = read(&usual(), "127.0.0.1", "/", fields).unwrap();
            assert_eq!(found.scheme, scheme, "{fields:?}");
            let found = read(&usual(), "192.0.2.1", "/", fields).unwrap();
            assert_eq!(found.scheme, None, "{fields:?} from a peer that is not trusted");
        }
    }

    #[test]
    fn contradictory_schemes_of_a_trusted_proxy_are_refused() {
        for fields in [
            &["X-Forwarded-Proto: https", "X-Forwarded-Ssl: off"][..],
            &["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"],
        ] {
            let refused = read(&usual(), "127.0.0.1", "/", fields).unwrap_err();
            assert_eq!(refused, CONTRADICTORY_SCHEMES, "{fields:?}");
            assert!(read(&usual(), "192.0.2.1", "/", fields).is_ok(), "{fields:?}");
        }
    }

    #[test]
    fn a_prefix_of_a_trusted_proxy_ends_at_the_end_of_a_segment() {
        for (fields, target, expected) in [
            (&["SCRIPT_NAME: /shop"][..], "/shop/a", Ok("/shop")),
            (&["script_name: /shop/"], "/shop", Ok("/shop")),
            (&["SCRIPT_NAME: /shop"], "/%73hop/a", Ok("/shop")),
            (&["SCRIPT_NAME: /shop", "SCRIPT_NAME: shop/"], "/shop", Ok("/shop")),
            (&["SCRIPT_NAME: /"], "/a", Ok("")),
            (&["SCRIPT_NAME:"], "/a", Ok("")),
            (&["SCRIPT_NAME: /shop"], "http://a/shop/a?b", Ok("/shop")),
            (&["SCRIPT_NAME: /shop"], "/shopping", Err(NO_PREFIX)),
            (&["SCRIPT_NAME: /shop"], "/", Err(NO_PREFIX)),
            (&["SCRIPT_NAME: /a", "SCRIPT_NAME: /a/b"], "/a/b", Err(CONTRADICTORY_PREFIXES)),
        ] {
            let found = read(&usual(), "10.1.2.3", target, fields);
            let found = found.map(|it| it.prefix.unwrap().as_bytes().to_vec());
            assert_eq!(found, expected.map(|it| it.as_bytes().to_vec()), "{fields:?} {target}");
            let found = read(&usual(), "192.0.2.1", target, fields).unwrap();
            assert_eq!(found.prefix, None, "{fields:?} from a peer that is not trusted");
        }
        let found = read(&usual(), "10.1.2.3", "/shop", &["Script-Name: /shop"]).unwrap();
        assert_eq!(found.prefix, None, "another name");
    }

    #[test]
    fn a_name_with_an_underscore_is_dropped_refused_or_mapped() {
        let fields = ["X_A: b"];
        for peer in ["127.0.0.1", "192.0.2.1"] {
            let is_trusted = peer == "127.0.0.1";
            for (map, expected) in [
                (HeaderMap::Drop, Ok(false)),
                (HeaderMap::Refuse, Err(UNDERSCORE)),
                (HeaderMap::Dangerous, Ok(true)),
            ] {
                let settings = forwarding(map, RealIp::Off);
                let found = read(&settings, peer, "/", &fields);
                let found = found.map(|it| settings.maps(b"X_A", it.is_from_trusted));
                assert_eq!(found, expected, "{map:?} from {peer}");
                let own = read(&settings, peer, "/", &["Remote_User: b"]);
                let own = own.map(|it| settings.maps(b"Remote_User", it.is_from_trusted));
                assert_eq!(own, if is_trusted { Ok(true) } else { expected }, "{map:?} {peer}");
            }
        }
    }

    #[test]
    fn an_asterisk_lets_a_trusted_proxy_set_all_names() {
        let trusted = AddressSet { all: true, networks: Vec::new(), unix: true };
        let names = NameList(vec!["*".to_owned()]);
        let schemes = SchemeHeaders(Vec::new());
        let settings = Forwarding::new(trusted, &schemes, &names, HeaderMap::Refuse, RealIp::Off);
        let found = read(&settings, "192.0.2.1", "/a/b", &["X_A: b", "SCRIPT_NAME: /a"]).unwrap();
        assert!(settings.maps(b"X_A", found.is_from_trusted));
        assert_eq!(found.prefix.as_deref(), Some(&PathPrefix::new(b"/a")));
    }

    #[test]
    fn no_name_that_has_a_meaning_is_missed_by_its_length() {
        let long = "X_".to_owned() + &"a".repeat(100);
        let names = NameList(vec![long.clone()]);
        let trusted = AddressSet { all: true, networks: Vec::new(), unix: true };
        let secure = SchemeHeaders::default();
        let settings = Forwarding::new(trusted, &secure, &names, HeaderMap::Drop, RealIp::Off);
        for name in [&long, "X-Forwarded-Proto"] {
            let head = head("/", &[&format!("{name}: a")]);
            assert_ne!(head.name_lengths() & settings.lengths, 0, "{name}");
        }
        assert_eq!(head("/", &["Accept: a"]).name_lengths() & settings.lengths, 0);
        assert_eq!(Forwarding::default().lengths, 0);
    }

    #[test]
    fn the_client_of_trusted_proxies_is_named_by_the_one_field_of_the_settings() {
        let fields = ["X-Forwarded-For: 1.2.3.4:5, 10.0.0.1", "Forwarded: for=\"[2001:db8::7]\""];
        for (real_ip, peer, expected) in [
            (RealIp::XForwardedFor, "127.0.0.1", Some("1.2.3.4:5")),
            (RealIp::Forwarded, "127.0.0.1", Some("[2001:db8::7]:0")),
            (RealIp::Forwarded, "::ffff:10.0.0.1", Some("[2001:db8::7]:0")),
            (RealIp::Off, "127.0.0.1", None),
            (RealIp::XForwardedFor, "192.0.2.1", None),
        ] {
            let found = read(&forwarding(HeaderMap::Drop, real_ip), peer, "/", &fields).unwrap();
            let client = found.client.map(|client| client.to_string());
            assert_eq!(client.as_deref(), expected, "{real_ip:?} {peer}");
        }
        let settings = forwarding(HeaderMap::Drop, RealIp::XForwardedFor);
        let found = read(&settings, "127.0.0.1", "/", &["X-Forwarded-For: unknown"]).unwrap();
        assert_eq!(found.client, None, "the peer's address stays");
    }

    #[test]
    fn the_walk_begins_with_the_address_of_the_proxy_protocol() {
        let settings = forwarding(HeaderMap::Drop, RealIp::XForwardedFor);
        let head = head("/", &["X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https"]);
        for (named, socket, client, scheme) in [
            ("10.0.0.7", "127.0.0.1", Some(address("1.2.3.4")), Some(Scheme::Https)),
            ("192.0.2.1", "127.0.0.1", None, Some(Scheme::Https)),
            ("10.0.0.7", "192.0.2.1", Some(address("1.2.3.4")), None),
        ] {
            let (peer, socket_peer) = (address(named), address(socket));
            let is_trusted = settings.trusts(&socket_peer);
            let sender = Sender { peer: &peer, socket_peer: &socket_peer, is_trusted };
            let found = settings.read(&head, sender).unwrap();
            let ip = |address: Option<&Address>| match address {
                Some(Address::Internet { ip, .. }) => Some(*ip),
                _ => None,
            };
            let facts = (ip(found.client.as_deref()), found.scheme);
            assert_eq!(facts, (ip(client.as_ref()), scheme), "{named} {socket}");
        }
    }

    #[test]
    fn a_peer_at_a_unix_socket_is_trusted_by_the_settings() {
        assert!(usual().trusts(&Address::Unix(<_>::default())));
        assert!(!Forwarding::default().trusts(&Address::Unix(<_>::default())));
    }
}
