//! Which certificates are trusted: those of the system, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// What encrypts connections, made with the first of them.
pub(crate) struct Trust {
    /// A file of further certificates, where the environment names none.
    more: Mutex<Option<PathBuf>>,
    made: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Trust {
    pub(crate) fn new() -> Self {
        Self { more: Mutex::new(None), made: OnceLock::new() }
    }

    /// Too late once something has been encrypted.
    pub(crate) fn also(&self, more: PathBuf) {
        *self.more.lock().unwrap_or_else(PoisonError::into_inner) = Some(more);
    }

    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.made.get_or_init(|| made(&self.certificates()).map_err(|error| error.to_string())).clone()
    }

    fn certificates(&self) -> Vec<CertificateDer<'static>> {
        let mut certificates = rustls_native_certs::load_native_certs().certs;
        let more = self.more.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(more) = more.filter(|_| std::env::var_os("SSL_CERT_FILE").is_none_or(|name| name.is_empty())) {
            certificates.extend(CertificateDer::pem_file_iter(more).into_iter().flatten().flatten());
        }
        certificates
    }
}

fn made(certificates: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.iter().cloned());
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let verifier = Verifier { usual, named: certificates.iter().cloned().collect(), provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()))
}

/// The usual checks, and a server's own certificate where it is one of those that are trusted: what tools make for a server
/// of one's own says that it signs others, and is refused as a server's for that alone.
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    named: HashSet<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// The name is all that is left to be checked: the times have been before.
    fn is_named(&self, error: &Error, certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
        let Error::InvalidCertificate(CertificateError::Other(cause)) = error else { return false };
        matches!(cause.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
            && self.named.contains(certificate)
            && ParsedCertificate::try_from(certificate).and_then(|parsed| verify_server_name(&parsed, name)).is_ok()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Verifier({} certificates)", self.named.len())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.usual.verify_server_cert(certificate, between, name, ocsp, now);
        verified.or_else(|error| {
            if self.is_named(&error, certificate, name) { Ok(ServerCertVerified::assertion()) } else { Err(error) }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
