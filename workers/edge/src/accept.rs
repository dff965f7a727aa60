//! The clients whose connections are closed at accept: the access rules refuse whatever they may
//! send.

use monoceros_config::{AddressSet, RealIp, WorkerSettings};
use monoceros_engine::{AcceptDecision, AcceptedPeer};
use monoceros_wire::listener::{ListenerDescription, ProxyProtocol};

use crate::access::AccessRules;

/// The access rules of each listener, with what may name another client than the peer of the
/// socket.
pub(crate) struct AcceptRules {
    listeners: Vec<ListenerRules>,
    /// The proxies that may send a header of the PROXY protocol.
    proxies: AddressSet,
    /// The proxies that may report the client's address in a header field; `None` if the settings
    /// ignore these fields.
    forwarders: Option<AddressSet>,
}

/// The rules of a listener.
struct ListenerRules {
    rules: AccessRules,
    proxy_protocol: ProxyProtocol,
}

impl AcceptRules {
    /// The decision at accept, with the access rules of each listener; `None` if no rule closes a
    /// connection.
    pub(crate) fn decision(
        settings: &WorkerSettings,
        listeners: &[ListenerDescription],
        rules: &[AccessRules],
    ) -> Option<AcceptDecision> {
        if !rules.iter().any(AccessRules::may_refuse_everything) {
            return None;
        }
        let reports_address = *settings.real_ip() != RealIp::Off;
        let accept = Self {
            listeners: listeners
                .iter()
                .zip(rules)
                .map(|(listener, rules)| ListenerRules {
                    rules: rules.clone(),
                    proxy_protocol: listener.options.proxy_protocol,
                })
                .collect(),
            proxies: settings.proxy_allow_ips().clone(),
            forwarders: reports_address.then(|| settings.forwarded_allow_ips().clone()),
        };
        Some(AcceptDecision::new(move |peer| accept.admits(peer)))
    }

    /// Whether a connection is served: one of its requests may be allowed.
    pub(crate) fn admits(&self, peer: &AcceptedPeer) -> bool {
        let Some(listener) = self.listeners.get(peer.listener) else { return true };
        !listener.rules.refuse_everything(peer.ip) || self.may_name_another(listener, peer)
    }

    /// Whether the peer is a proxy that may report another address as the client's.
    fn may_name_another(&self, listener: &ListenerRules, peer: &AcceptedPeer) -> bool {
        let has = |set: &AddressSet| match peer.ip {
            Some(ip) => set.contains(ip),
            None => set.contains_unix(),
        };
        let has_header = listener.proxy_protocol != ProxyProtocol::Off && has(&self.proxies);
        has_header || self.forwarders.as_ref().is_some_and(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monoceros_config::AccessRule;

    fn set(networks: &[&str], unix: bool) -> AddressSet {
        let networks = networks.iter().map(|it| it.parse().unwrap()).collect();
        AddressSet { all: false, networks, unix }
    }

    /// Two listeners: at the second one connections may begin with a header.
    fn rules(reports_address: bool) -> AcceptRules {
        let rule: AccessRule = "deny=all".parse().unwrap();
        let listener = |proxy_protocol| {
            let rules = AccessRules::new([&rule]);
            ListenerRules { rules, proxy_protocol }
        };
        AcceptRules {
            listeners: vec![listener(ProxyProtocol::Off), listener(ProxyProtocol::Auto)],
            proxies: set(&["10.0.0.1/32"], false),
            forwarders: reports_address.then(|| set(&["10.0.0.2/32"], true)),
        }
    }

    #[test]
    fn a_peer_that_may_name_another_client_is_served() {
        for (ip, listener, without, with) in [
            (Some("10.0.0.1"), 0, false, false),
            (Some("10.0.0.1"), 1, true, true),
            (Some("10.0.0.2"), 0, false, true),
            (Some("10.0.0.2"), 1, false, true),
            (Some("10.0.0.3"), 1, false, false),
            (None, 0, false, true),
            (None, 1, false, true),
            // No such listener: no rule is known that refuses the client.
            (Some("10.0.0.3"), 2, true, true),
        ] {
            let peer = AcceptedPeer { ip: ip.map(|it| it.parse().unwrap()), listener };
            for (reports_address, is_served) in [(false, without), (true, with)] {
                let found = rules(reports_address).admits(&peer);
                assert_eq!(found, is_served, "{ip:?} {listener} {reports_address}");
            }
        }
    }
}
