//! What several settings together mean for listeners: their schemes and certificates, and
//! whether connections begin with a header of the PROXY protocol. Checks them against each
//! other.

use crate::bind_setting::{BindScheme, BindSetting};
use crate::findings::Findings;
use crate::forwarding::{ProxyMode, RealIp};
use crate::table::Settings;
use crate::tls::{CertReqs, CertificateSource};
use crate::worker::WorkerClass;

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

/// Checks the settings of TLS and of the PROXY protocol against each other.
pub(crate) fn check(settings: &Settings, findings: &mut Findings<'_>) {
    warn_of_no_effect(findings);
    check_addresses(settings, findings);
    if settings.worker_class == WorkerClass::Exec {
        check_exec(settings, findings);
        return;
    }
    check_keys(settings, findings);
    check_clients(settings, findings);
    check_redirection(settings, findings);
    check_proxies(settings, findings);
}

/// Settings that are accepted for configurations of gunicorn only.
fn warn_of_no_effect(findings: &mut Findings<'_>) {
    for (name, reason) in [
        ("ssl_version", "has no effect; tls-minimum-version sets the lowest version"),
        ("do_handshake_on_connect", "has no effect: no application thread does a handshake"),
        ("suppress_ragged_eofs", "has no effect: the end of a connection is never an exception"),
    ] {
        if findings.is_set(name) {
            findings.warn(name, reason);
        }
    }
}

fn check_addresses(settings: &Settings, findings: &mut Findings<'_>) {
    for (index, bind) in settings.bind.iter().enumerate() {
        let is_other = |other: &BindSetting| other.address == bind.address && other != bind;
        if settings.bind[..index].iter().any(is_other) {
            let reason = format!("{} is in it twice, with different options", bind.address);
            findings.refuse("bind", &reason);
        }
        if bind.scheme == BindScheme::Https && !settings.has_certificates() {
            let reason = format!("{bind} needs a certificate: set certfile or certificates");
            findings.refuse("bind", &reason);
        }
    }
}

/// A program of class exec has the sockets for itself: the server sees no connection.
fn check_exec(settings: &Settings, findings: &mut Findings<'_>) {
    let reason = "a worker of class exec has no TLS of the server: its program does that itself";
    let transport = [
        ("certfile", !settings.certfile.is_empty()),
        ("certificates", !settings.certificates.is_empty()),
        ("bind", settings.bind.iter().any(|bind| bind.scheme == BindScheme::Https)),
    ];
    findings.refuse_each(transport, reason);
    if settings.bind.iter().any(|bind| settings.proxy_mode(bind) != ProxyMode::Off) {
        let name =
            if settings.proxy_protocol == ProxyMode::Off { "bind" } else { "proxy_protocol" };
        findings.refuse(name, "a worker of class exec reads connections itself, with their header");
    }
}

/// Keys belong to certificates by their position.
fn check_keys(settings: &Settings, findings: &mut Findings<'_>) {
    let (certificates, keys) = (settings.certfile.len(), settings.keyfile.len());
    if keys > 0 && certificates == 0 {
        findings.refuse("keyfile", "needs a certificate: set certfile");
    } else if keys > 0 && certificates != keys {
        let reason = format!(
            "the number of keys is {keys}, and that of certificates (certfile) {certificates}; \
             set a key for each, or none if each file has its own"
        );
        findings.refuse("keyfile", &reason);
    }
}

/// Certificates of clients are asked for and verified on https listeners.
fn check_clients(settings: &Settings, findings: &mut Findings<'_>) {
    let has_listener = settings.bind.iter().any(|bind| settings.is_tls(bind));
    match (settings.cert_reqs, &settings.ca_certs) {
        (CertReqs::None, None) => {}
        // As in gunicorn, where such files are common.
        (CertReqs::Optional | CertReqs::Required, _)
            if !has_listener && findings.is_of_python("cert_reqs") =>
        {
            findings.warn("cert_reqs", "has no effect without a certificate: set certfile");
        }
        (CertReqs::None, Some(_)) => {
            findings.warn("ca_certs", "has no effect while cert-reqs is none");
        }
        (CertReqs::Optional | CertReqs::Required, None) => {
            findings.refuse("cert_reqs", "needs ca-certs, to verify the certificates of clients");
        }
        (CertReqs::Optional | CertReqs::Required, Some(_)) => {
            if !has_listener {
                let reason = "needs an https listener: set certfile, and bind https://";
                findings.refuse("cert_reqs", reason);
            }
        }
    }
}

/// Plain listeners redirect to https listeners. The default address is not counted as a
/// listener without http: sockets that were passed in may take its place.
fn check_redirection(settings: &Settings, findings: &mut Findings<'_>) {
    if settings.redirect_https && !settings.bind.iter().any(|bind| settings.is_tls(bind)) {
        let reason = "needs an https listener: set certfile, and bind https://";
        findings.refuse("redirect_https", reason);
    } else if findings.is_set("bind") && settings.bind.iter().all(|bind| settings.is_tls(bind)) {
        let reason = "has no effect: bind has no http:// listener";
        for (name, is_set) in [
            ("redirect_https", settings.redirect_https),
            ("acme_webroot", settings.acme_webroot.is_some()),
        ] {
            if is_set {
                findings.warn(name, reason);
            }
        }
    }
}

fn check_proxies(settings: &Settings, findings: &mut Findings<'_>) {
    let has_header = settings.bind.iter().any(|bind| settings.proxy_mode(bind) != ProxyMode::Off);
    if has_header && settings.proxy_allow_ips.is_empty() {
        let reason = "no proxy may send the header of proxy-protocol, which would close every \
                      connection that has one";
        findings.refuse("proxy_allow_ips", reason);
    }
    if settings.real_ip != RealIp::Off && settings.forwarded_allow_ips.is_empty() {
        findings.warn("real_ip", "has no effect: forwarded-allow-ips trusts no proxy");
    }
    if settings.real_ip != RealIp::Off && settings.forwarded_allow_ips.all {
        let reason = "each client can choose its own address, since forwarded-allow-ips has *; \
                      list the proxies instead";
        findings.warn("real_ip", reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::of_command_line;

    /// The errors of a command line, else its warnings.
    fn findings(args: &str) -> String {
        of_command_line::findings(&args.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        for (args, error) in [
            ("--keyfile k", "--keyfile: needs a certificate: set certfile"),
            (
                "--certfile a --certfile b --keyfile k",
                "--keyfile: the number of keys is 1, and that of certificates (certfile) 2; set a \
                 key for each, or none if each file has its own",
            ),
            (
                "-b https://:443",
                "--bind: https://0.0.0.0:443 needs a certificate: set certfile or certificates",
            ),
            (
                "-b :1 -b :1?proxy-protocol=v1",
                "--bind: 0.0.0.0:1 is in it twice, with different options",
            ),
            (
                "--redirect-https",
                "--redirect-https: needs an https listener: set certfile, and bind https://",
            ),
            (
                "--redirect-https --certfile a -b http://:80",
                "--redirect-https: needs an https listener: set certfile, and bind https://",
            ),
            (
                "--certfile a --cert-reqs 2",
                "--cert-reqs: needs ca-certs, to verify the certificates of clients",
            ),
            (
                "--cert-reqs optional --ca-certs c",
                "--cert-reqs: needs an https listener: set certfile, and bind https://",
            ),
            (
                "-k exec --certfile a -- run",
                "--certfile: a worker of class exec has no TLS of the server: its program does \
                 that itself",
            ),
            (
                "-k exec --proxy-protocol -- run",
                "--proxy-protocol: a worker of class exec reads connections itself, with their \
                 header",
            ),
            (
                "--proxy-protocol v2 --proxy-allow-from none",
                "--proxy-allow-ips: no proxy may send the header of proxy-protocol, which would \
                 close every connection that has one",
            ),
        ] {
            assert_eq!(findings(args), error, "{args}");
        }
    }

    #[test]
    fn settings_without_an_effect_are_warned_of() {
        for (args, warning) in [
            ("--ssl-version TLS", "--ssl-version: has no effect; tls-minimum-version sets"),
            ("--do-handshake-on-connect", "--do-handshake-on-connect: has no effect: "),
            ("--suppress-ragged-eofs", "--suppress-ragged-eofs: has no effect: "),
            ("--certfile a --ca-certs c", "--ca-certs: has no effect while cert-reqs is none"),
            (
                "--certfile a -b :1 --redirect-https",
                "--redirect-https: has no effect: bind has no http:// listener",
            ),
            ("--certfile a -b :1 --acme-webroot w", "--acme-webroot: has no effect: bind has no"),
            (
                "--real-ip forwarded --forwarded-allow-ips none",
                "--real-ip: has no effect: forwarded-allow-ips trusts no proxy",
            ),
            (
                "--real-ip forwarded --forwarded-allow-ips *",
                "--real-ip: each client can choose its own address, since forwarded-allow-ips",
            ),
        ] {
            let text = findings(args);
            assert!(text.starts_with(warning) && text.lines().count() == 1, "{args}: {text}");
        }
    }

    #[test]
    fn settings_that_fit_together_are_accepted() {
        for args in [
            "--certfile a --keyfile k --cert-reqs required --ca-certs c",
            "--certfile a -b https://:443 -b http://:80 --redirect-https --acme-webroot w",
            "--certificates d -b :1 -b :2",
            "--certfile a --redirect-https",
            "--proxy-protocol --real-ip x-forwarded-for",
            "-k exec -b http://:80 -- run",
            "--acme-webroot w",
        ] {
            assert_eq!(findings(args), "", "{args}");
        }
    }

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
