//! The variables by which an application and the access log get the facts of a connection's
//! encryption. The names are those of Apache's mod_ssl, which other servers use too.

use monoceros_tls::Session;

/// The variables of an encrypted connection with their values. A client cannot forge them:
/// the variables of its header fields begin with `HTTP_`.
pub fn session_variables(session: &Session) -> impl Iterator<Item = (&'static str, &str)> {
    let client = session.client.as_ref();
    let verified = if client.is_some() { "SUCCESS" } else { "NONE" };
    [
        Some(("HTTPS", "on")),
        Some(("SSL_PROTOCOL", session.protocol)),
        Some(("SSL_CIPHER", session.cipher)),
        session.asks_clients.then_some(("SSL_CLIENT_VERIFY", verified)),
        client.map(|it| ("SSL_CLIENT_S_DN", it.subject.as_str())),
        client.map(|it| ("SSL_CLIENT_I_DN", it.issuer.as_str())),
        client.map(|it| ("SSL_CLIENT_M_SERIAL", it.serial.as_str())),
    ]
    .into_iter()
    .flatten()
}

/// The value of a variable, by its name in any case.
pub(crate) fn find<'a>(session: &'a Session, name: &str) -> Option<&'a str> {
    let mut variables = session_variables(session);
    variables.find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_without_a_certificate_of_the_client_names_none() {
        for asks_clients in [false, true] {
            let (protocol, cipher) = ("TLSv1.3", "TLS_AES_256_GCM_SHA384");
            let session =
                Session { protocol, cipher, client: None, asks_clients, is_resumed: false };
            assert_eq!(find(&session, "https"), Some("on"));
            assert_eq!(find(&session, "SSL_PROTOCOL"), Some("TLSv1.3"));
            assert_eq!(find(&session, "ssl_cipher"), Some("TLS_AES_256_GCM_SHA384"));
            let verified = asks_clients.then_some("NONE");
            assert_eq!(find(&session, "SSL_CLIENT_VERIFY"), verified);
            assert_eq!(find(&session, "SSL_CLIENT_S_DN"), None);
        }
    }
}
