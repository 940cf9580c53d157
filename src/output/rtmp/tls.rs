//! TLS for RTMPS: the system's authorities, one more on request, and failures told apart.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};

use crate::rtmp::trouble::Trouble;

/// A configuration that trusts the system's authorities and those in `ca_file`. Without `ca_file` it is made once, since
/// the system's authorities are a few hundred kilobytes; a named file is read at each attempt, so that it can be put
/// right while the box is on air.
pub(super) fn config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, Trouble> {
    static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let Some(path) = ca_file else {
        return Ok(SYSTEM.get_or_init(|| client(system_authorities())).clone());
    };
    let unusable = |detail: String| Trouble::CaFile { detail: format!("{}: {detail}", path.display()) };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
    let mut authorities = system_authorities();
    let mut found = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        authorities.add(certificate).map_err(|error| unusable(error.to_string()))?;
        found += 1;
    }
    if found == 0 {
        return Err(unusable("no certificate in it".to_owned()));
    }
    Ok(client(authorities))
}

fn system_authorities() -> RootCertStore {
    let mut store = RootCertStore::empty();
    // A certificate that cannot be read makes the servers below it untrusted, and they will be called so.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    store
}

fn client(authorities: RootCertStore) -> Arc<ClientConfig> {
    Arc::new(ClientConfig::builder().with_root_certificates(authorities).with_no_client_auth())
}

/// Negotiates TLS for `host` on a connected socket.
pub(super) async fn negotiate(
    config: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Trouble> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Trouble::NameLookup)?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| trouble(&error))
}

fn trouble(error: &io::Error) -> Trouble {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) => Trouble::TlsNotSpoken,
        Some(Error::InvalidCertificate(problem)) => certificate_trouble(problem),
        Some(other) => Trouble::Tls { detail: other.to_string() },
        // The handshake did not fail: the connection did, which is how a server without TLS reacts to a ClientHello.
        None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            Trouble::TlsNotSpoken
        }
        None => Trouble::ConnectionLost { how: super::socket::lost_how(error) },
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library may add any number of problems with a certificate")]
fn certificate_trouble(problem: &CertificateError) -> Trouble {
    match problem {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Trouble::TlsName,
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Trouble::TlsDates,
        CertificateError::UnknownIssuer => Trouble::TlsUntrusted,
        // A self-signed certificate as OpenSSL makes it: its own authority.
        other if other.to_string().contains("CaUsedAsEndEntity") => Trouble::TlsUntrusted,
        other => Trouble::Tls { detail: other.to_string() },
    }
}
