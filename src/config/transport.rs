//! What several settings together mean for a listener: its scheme, its certificates, and
//! whether its connections begin with a header of the PROXY protocol.

use crate::bind_setting::{BindScheme, BindSetting};
use crate::forwarding::ProxyMode;
use crate::table::Settings;
use crate::tls::CertificateSource;

impl Settings {
    /// Whether there is a certificate.
    #[must_use]
    pub fn has_certificates(&self) -> bool {
        !self.certfile.is_empty() || !self.certificates.is_empty()
    }

    /// All certificates: those of `certfile` and `keyfile`, then those of `certificates`. The
    /// first one is the default.
    #[must_use]
    pub fn certificate_sources(&self) -> Vec<CertificateSource> {
        let pairs = self.certfile.iter().enumerate().map(|(index, certfile)| {
            let keyfile = self.keyfile.get(index).cloned();
            CertificateSource::Pair { certfile: certfile.clone(), keyfile }
        });
        pairs.chain(self.certificates.iter().cloned()).collect()
    }

    /// Whether the connections of a listener are encrypted. Without a scheme they are if
    /// there is a certificate, as in gunicorn, also on unix sockets.
    #[must_use]
    pub fn is_tls(&self, bind: &BindSetting) -> bool {
        match bind.scheme {
            BindScheme::Auto => self.has_certificates(),
            BindScheme::Http => false,
            BindScheme::Https => true,
        }
    }

    /// The mode of the PROXY protocol on a listener.
    #[must_use]
    pub fn proxy_mode(&self, bind: &BindSetting) -> ProxyMode {
        bind.proxy_protocol.unwrap_or(self.proxy_protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_decides_where_no_scheme_is_set() {
        let plain = Settings::default();
        let with = Settings { certfile: vec!["a".into()], ..Settings::default() };
        for (text, expected) in [
            (":1", (false, true)),
            ("unix:/a", (false, true)),
            ("http://:1", (false, false)),
            ("https://:1", (true, true)),
        ] {
            let bind = text.parse().unwrap();
            assert_eq!((plain.is_tls(&bind), with.is_tls(&bind)), expected, "{text}");
        }
    }

    #[test]
    fn certificates_are_pairs_by_position() {
        let directory = CertificateSource::Directory("d".into());
        let settings = Settings {
            certfile: vec!["a".into(), "b".into()],
            keyfile: vec!["c".into(), "d".into()],
            certificates: vec![directory.clone()],
            ..Settings::default()
        };
        let pair = |certfile: &str, keyfile: &str| CertificateSource::Pair {
            certfile: certfile.into(),
            keyfile: Some(keyfile.into()),
        };
        let expected = [pair("a", "c"), pair("b", "d"), directory];
        assert_eq!(settings.certificate_sources(), expected);
    }

    #[test]
    fn an_option_of_an_address_is_stronger_than_the_setting() {
        let settings = Settings { proxy_protocol: ProxyMode::V1, ..Settings::default() };
        for (text, mode) in [(":1", ProxyMode::V1), (":1?proxy-protocol=off", ProxyMode::Off)] {
            assert_eq!(settings.proxy_mode(&text.parse().unwrap()), mode);
        }
    }
}
