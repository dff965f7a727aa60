//! Verifies the certificates of clients.
//!
//! rustls verifies chains, but takes any certificate for an authority whose name and key it was
//! given, and does not know when one expires. So it is given only those that are authorities and
//! valid at the time. A certificate that was signed by its own key verifies itself: the client that
//! has exactly this certificate.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use x509_parser::certificate::X509Certificate;

use crate::certificate;
use crate::roots::{self, RootKind};

/// Verifies the certificates of clients.
pub struct ClientVerifier {
    provider: Arc<CryptoProvider>,
    is_mandatory: bool,
    authorities: Vec<ClientAuthority>,
    /// The certificates that verify themselves, in DER.
    own: Vec<Vec<u8>>,
    /// The subjects of the authorities, which the server names to clients.
    hints: Vec<DistinguishedName>,
    valid: Mutex<Option<Arc<ValidAuthorities>>>,
}

/// The certificate of an authority.
struct ClientAuthority {
    der: Vec<u8>,
    subject: Vec<u8>,
    validity: Validity,
}

/// From when to when a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy)]
struct Validity {
    not_before: i64,
    not_after: i64,
}

/// The authorities that are valid in a time.
struct ValidAuthorities {
    /// Seconds since 1970; `until` is not in the time.
    from: i64,
    until: i64,
    /// `None` if there are none.
    chains: Option<Arc<dyn ClientCertVerifier>>,
}

/// The authority that has issued a certificate is not valid now.
#[derive(Debug)]
pub(crate) struct AuthorityNotValid;

impl fmt::Display for AuthorityNotValid {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("the authority that has issued it has expired, or is not valid yet")
    }
}

impl std::error::Error for AuthorityNotValid {}

impl Validity {
    fn of(certificate: &X509Certificate) -> Self {
        let validity = certificate.validity();
        Self {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        }
    }

    /// Whether it has the time, in seconds since 1970.
    fn has(self, now: i64) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

impl ClientVerifier {
    /// One that verifies with these certificates in DER. Without `is_mandatory` a client may have
    /// none.
    ///
    /// # Errors
    /// Why they cannot be used, in one line.
    pub(crate) fn new(
        roots: &[Vec<u8>],
        provider: Arc<CryptoProvider>,
        is_mandatory: bool,
    ) -> Result<Self, String> {
        let (mut authorities, mut own) = (Vec::new(), Vec::new());
        for der in roots {
            let parsed = certificate::parse(der)?;
            let subject = parsed.subject().as_raw();
            if subject == parsed.issuer().as_raw() {
                own.push(der.clone());
            }
            if RootKind::of(&parsed) == RootKind::Authority {
                let (der, subject, validity) =
                    (der.clone(), subject.to_vec(), Validity::of(&parsed));
                authorities.push(ClientAuthority { der, subject, validity });
            }
        }
        let hints = roots::store(authorities.iter().map(|it| it.der.as_slice()))?.subjects();
        let valid = Mutex::default();
        let verifier = Self { provider, is_mandatory, authorities, own, hints, valid };
        // Those that are not valid now may be later.
        verifier.chains(verifier.authorities.iter())?;
        Ok(verifier)
    }

    /// Checks again what may have changed since the certificates of a resumed session were
    /// verified: they, or all authorities that can have issued them, may have expired. `now` is in
    /// seconds since 1970.
    ///
    /// # Errors
    /// Why the client must not use the connection.
    pub(crate) fn check_again(&self, chain: &[CertificateDer], now: i64) -> Result<(), String> {
        let mut is_issued = false;
        for der in chain {
            let parsed = certificate::parse(der)?;
            if Validity::of(&parsed).not_after < now {
                return Err("the client's certificate has expired".to_owned());
            }
            is_issued |= self.own.iter().any(|it| it == der.as_ref());
            is_issued |= self.issuers(&parsed).any(|it| it.validity.not_after >= now);
        }
        if is_issued {
            return Ok(());
        }
        Err(format!("the client's certificate is refused: {AuthorityNotValid}"))
    }

    /// The authorities that can have issued a certificate.
    fn issuers(&self, certificate: &X509Certificate) -> impl Iterator<Item = &ClientAuthority> {
        let issuer = certificate.issuer().as_raw();
        self.authorities.iter().filter(move |it| it.subject == issuer)
    }

    /// What verifies chains at this time, in seconds since 1970.
    fn valid_at(&self, now: i64) -> Result<Arc<ValidAuthorities>, Error> {
        let mut valid = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(valid) = valid.as_ref().filter(|it| it.from <= now && now < it.until) {
            return Ok(Arc::clone(valid));
        }
        let validities = self.authorities.iter().map(|it| it.validity);
        let turns = validities.flat_map(|it| [it.not_before, it.not_after.saturating_add(1)]);
        let (before, after) = turns.partition::<Vec<_>, _>(|turn| *turn <= now);
        let chains = self.chains(self.authorities.iter().filter(|it| it.validity.has(now)));
        let new = Arc::new(ValidAuthorities {
            from: before.into_iter().max().unwrap_or(i64::MIN),
            until: after.into_iter().min().unwrap_or(i64::MAX),
            chains: chains.map_err(Error::General)?,
        });
        *valid = Some(Arc::clone(&new));
        Ok(new)
    }

    /// What verifies chains up to these authorities; `None` without any.
    fn chains<'a>(
        &self,
        authorities: impl Iterator<Item = &'a ClientAuthority>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
        let store = roots::store(authorities.map(|it| it.der.as_slice()))?;
        if store.is_empty() {
            return Ok(None);
        }
        let provider = Arc::clone(&self.provider);
        let built = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build();
        Ok(Some(built.map_err(|error| format!("cannot verify clients: {error}"))?))
    }

    /// Verifies a chain of certificates up to a valid authority.
    fn verify_chain(
        &self,
        client: &CertificateDer,
        intermediates: &[CertificateDer],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let valid = self.valid_at(seconds(now))?;
        let verified = match &valid.chains {
            Some(chains) => chains.verify_client_cert(client, intermediates, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let is_unknown =
            matches!(&verified, Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)));
        if is_unknown && self.has_invalid_issuer(client, intermediates, seconds(now)) {
            let error = OtherError(Arc::new(AuthorityNotValid));
            return Err(CertificateError::Other(error).into());
        }
        verified
    }

    /// Whether an authority can have issued one of these certificates, and is not valid now.
    fn has_invalid_issuer(
        &self,
        client: &CertificateDer,
        intermediates: &[CertificateDer],
        now: i64,
    ) -> bool {
        let all = intermediates.iter().chain([client]);
        let mut parsed = all.filter_map(|der| certificate::parse(der).ok());
        parsed.any(|it| self.issuers(&it).any(|issuer| !issuer.validity.has(now)))
    }
}

/// Verifies a certificate that the operator has named itself: of its content only the time and
/// the purpose count. That the client has its key is in the signature of the handshake.
fn verify_own(client: &CertificateDer, now: i64) -> Result<ClientCertVerified, CertificateError> {
    let parsed = certificate::parse(client).map_err(|_| CertificateError::BadEncoding)?;
    let validity = Validity::of(&parsed);
    if now < validity.not_before {
        return Err(CertificateError::NotValidYet);
    } else if now > validity.not_after {
        return Err(CertificateError::Expired);
    }
    match parsed.extended_key_usage() {
        Ok(None) => {}
        Ok(Some(usage)) if usage.value.client_auth || usage.value.any => {}
        Ok(Some(_)) | Err(_) => return Err(CertificateError::InvalidPurpose),
    }
    Ok(ClientCertVerified::assertion())
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer,
        intermediates: &[CertificateDer],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.own.iter().any(|it| it == end_entity.as_ref()) {
            return Ok(verify_own(end_entity, seconds(now))?);
        }
        self.verify_chain(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("ClientVerifier")
    }
}
