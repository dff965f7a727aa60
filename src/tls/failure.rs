//! The errors of rustls for a log: in one line, from the server's point of view.

use crate::client_verifier::AuthorityNotValid;
use rustls::{CertificateError, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};

/// The text of an error of a connection; `name` is the name that the client has asked for.
pub fn explain(error: &Error, name: Option<&str>) -> String {
    match error {
        Error::AlertReceived(alert) => format!("the client has refused: {alert:?}"),
        Error::InvalidCertificate(why) => {
            format!("the client's certificate is refused: {}", refusal(why))
        }
        Error::NoCertificatesPresented => "the client has sent no certificate".to_owned(),
        Error::NoApplicationProtocol => {
            "the client offers no protocol that the server has (ALPN)".to_owned()
        }
        Error::PeerIncompatible(why) => incompatibility(why),
        // rustls refuses such a client before a certificate is chosen.
        Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName) => {
            "the client asks for a name that no host can have (SNI)".to_owned()
        }
        Error::PeerMisbehaved(why) => format!("the client violates TLS: {why:?}"),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the client has sent something else than TLS".to_owned()
        }
        Error::InvalidMessage(why) => format!("the client has sent a damaged message: {why:?}"),
        Error::DecryptError => "the client has sent a record that does not decrypt".to_owned(),
        // The only error of the library that stands for a refused name.
        Error::General(why) if why.starts_with("no server certificate") => {
            format!("no certificate is valid for {}", name.unwrap_or("an unnamed server"))
        }
        other => other.to_string(),
    }
}

/// What a client does not offer.
fn incompatibility(error: &PeerIncompatible) -> String {
    let missing = match error {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::SupportedVersionsExtensionRequired => "version of TLS",
        PeerIncompatible::NoCipherSuitesInCommon => "cipher suite",
        PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::KeyShareExtensionRequired => "group for the key exchange",
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => "signature algorithm",
        PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::EcPointsExtensionRequired
        | PeerIncompatible::UncompressedEcPointsRequired => "format of points on a curve",
        other => return format!("the client is incompatible: {other:?}"),
    };
    format!("the client offers no {missing} that the server accepts")
}

const UNKNOWN_EXTENSION: &str = "it has a critical extension that the server does not know";
const UNKNOWN_SIGNATURE: &str = "it is signed in a way that the server cannot verify";

/// Why a client's certificate is refused, of the library's own text for that, such as
/// `UnsupportedCertVersion` or `UnsupportedSignatureAlgorithmContext { .. }`.
fn library_refusal(text: &str) -> String {
    let name = text.split(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or("");
    let known = match name {
        "AuthorityNotValid" => return AuthorityNotValid.to_string(),
        "UnsupportedCertVersion" => "it is of version 1, and only version 3 can be verified",
        "CaUsedAsEndEntity" => "it is the certificate of an authority, not of a client",
        "UnsupportedCriticalExtension" => UNKNOWN_EXTENSION,
        name if name.starts_with("UnsupportedSignatureAlgorithm") => UNKNOWN_SIGNATURE,
        name => return format!("it cannot be verified ({name})"),
    };
    known.to_owned()
}

/// Why a client's certificate is refused.
fn refusal(error: &CertificateError) -> String {
    let text = match error {
        CertificateError::UnknownIssuer => "no authority that the server trusts has issued it",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not one for clients (extendedKeyUsage)"
        }
        // Also where an authority has the name of a trusted one, but another key.
        CertificateError::BadSignature => "no key of an authority that the server trusts fits it",
        CertificateError::BadEncoding => "it is damaged",
        CertificateError::UnhandledCriticalExtension => UNKNOWN_EXTENSION,
        // The library's error is of a crate that it does not export.
        CertificateError::Other(other) => return library_refusal(&format!("{:?}", other.0)),
        other => {
            let text = format!("{other:?}");
            if text.starts_with("UnsupportedSignatureAlgorithm") {
                UNKNOWN_SIGNATURE
            } else {
                return other.to_string();
            }
        }
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_what_a_client_does_not_offer() {
        for (error, expected) in [
            (PeerIncompatible::Tls12NotOfferedOrEnabled, "version of TLS"),
            (PeerIncompatible::NoCipherSuitesInCommon, "cipher suite"),
            (PeerIncompatible::NoKxGroupsInCommon, "group for the key exchange"),
            (PeerIncompatible::SignatureAlgorithmsExtensionRequired, "signature algorithm"),
        ] {
            let text = explain(&Error::PeerIncompatible(error), None);
            let expected = format!("the client offers no {expected} that the server accepts");
            assert_eq!(text, expected);
        }
    }
}
