//! Sessions that are resumed with tickets.

use std::sync::Arc;

use monoceros_tls::{ClientAuthentication, Material, Session, TicketKey, TlsServer, rotate};
use rcgen::date_time_ymd;
use rustls::ClientConfig;

use crate::authority::Authority;
use crate::serving::{VERSIONS, asking, client, material, open, open_at};

fn serve(material: &Material) -> TlsServer {
    TlsServer::new(material.clone()).unwrap()
}

fn is_resumed(server: &TlsServer, config: &Arc<ClientConfig>) -> bool {
    open(server, config, "localhost").unwrap().is_resumed
}

#[test]
fn every_server_with_the_same_keys_resumes_a_session() {
    let authority = Authority::new();
    for version in VERSIONS {
        let pair = authority.issue("localhost", &["localhost"]).pair();
        let one = material(vec![pair]);
        let config = Arc::new(client(version, None));
        assert!(!is_resumed(&serve(&one), &config));
        assert!(is_resumed(&serve(&one), &config), "another process");
        // Another certificate, as after a renewal.
        let pairs = vec![authority.issue("localhost", &["localhost"]).pair()];
        let renewed = Material { pairs, ..one.clone() };
        assert!(is_resumed(&serve(&renewed), &config));
        // Rotated twice, the key is still there.
        let mut rotated = one.clone();
        for round in 1..=2 {
            rotate(&mut rotated.ticket_keys, round * 21_600 + 1);
        }
        assert_eq!(rotated.ticket_keys.len(), 3);
        assert!(is_resumed(&serve(&rotated), &config));
        let strange = Material { ticket_keys: vec![TicketKey::generate(1)], ..one };
        assert!(!is_resumed(&serve(&strange), &config));
    }
}

#[test]
fn no_session_is_resumed_without_keys() {
    let pair = Authority::new().issue("localhost", &["localhost"]).pair();
    for version in VERSIONS {
        let server = serve(&Material { ticket_keys: Vec::new(), ..material(vec![pair.clone()]) });
        let config = Arc::new(client(version, None));
        assert!(!is_resumed(&server, &config) && !is_resumed(&server, &config));
    }
}

#[test]
fn a_resumed_session_has_the_same_client() {
    let authority = Authority::new();
    let server = serve(&asking(ClientAuthentication::Required, &authority));
    let identity = authority.issue("alice", &[]);
    for version in VERSIONS {
        let config = Arc::new(client(version, Some(&identity)));
        let first = open(&server, &config, "localhost").unwrap();
        let second = open(&server, &config, "localhost").unwrap();
        assert!(!first.is_resumed && second.is_resumed);
        assert!(!first.session.is_resumed && second.session.is_resumed);
        let again = Session { is_resumed: true, ..first.session };
        assert_eq!(again, second.session);
        assert_eq!(second.session.client.unwrap().subject, "CN=alice");
    }
}

#[test]
fn a_session_is_not_resumed_with_a_certificate_that_has_expired() {
    let authority = Authority::new();
    let server = serve(&asking(ClientAuthentication::Optional, &authority));
    // rcgen lets certificates expire in the year 4096.
    let (before, after) = (67_090_000_000, 67_100_000_000);
    for version in VERSIONS {
        let identity = authority.issue("alice", &[]);
        let config = Arc::new(client(version, Some(&identity)));
        open_at(&server, &config, "localhost", after).expect("rustls verifies full handshakes");
        assert!(open_at(&server, &config, "localhost", before).unwrap().is_resumed);
        let error = open_at(&server, &config, "localhost", after).err().unwrap();
        assert_eq!(error, "the client's certificate has expired");
        // A session without a client does not expire with a certificate.
        let config = Arc::new(client(version, None));
        open_at(&server, &config, "localhost", after).unwrap();
        assert!(open_at(&server, &config, "localhost", after).unwrap().is_resumed);
    }
}

#[test]
fn a_session_is_not_resumed_when_the_authority_of_its_client_has_expired() {
    let authority = Authority::with(|it| it.not_after = date_time_ymd(2900, 1, 1));
    let server = serve(&asking(ClientAuthentication::Optional, &authority));
    for version in VERSIONS {
        let config = Arc::new(client(version, Some(&authority.issue("alice", &[]))));
        open(&server, &config, "localhost").unwrap();
        assert!(is_resumed(&server, &config));
        // The year 2902.
        let error = open_at(&server, &config, "localhost", 29_411_000_000).err().unwrap();
        assert!(error.contains("the authority that has issued it has expired"), "{error}");
    }
}

#[test]
fn tickets_are_worthless_when_the_conditions_for_clients_have_changed() {
    use ClientAuthentication::{None, Optional, Required};
    let authority = Authority::new();
    let identity = authority.issue("alice", &[]);
    let required = asking(Required, &authority);
    for version in VERSIONS {
        for (before, after) in [(None, Required), (Optional, Required), (Required, Optional)] {
            let with = |how| Material { client_authentication: how, ..required.clone() };
            let config = Arc::new(client(version, Some(&identity)));
            let server = serve(&with(before));
            open(&server, &config, "localhost").unwrap();
            server.replace(with(after)).unwrap();
            let opened = open(&server, &config, "localhost").unwrap();
            assert!(!opened.is_resumed, "{before:?} {after:?}");
        }
        // The authority of the client is not trusted any more: its ticket does not help.
        let config = Arc::new(client(version, Some(&identity)));
        let server = serve(&required);
        open(&server, &config, "localhost").unwrap();
        assert!(is_resumed(&server, &config));
        let other = asking(Required, &Authority::new());
        let keys = required.ticket_keys.clone();
        server.replace(Material { ticket_keys: keys, ..other }).unwrap();
        let error = open(&server, &config, "localhost").err().unwrap();
        assert!(error.starts_with("the client's certificate is refused: "), "{error}");
    }
}
