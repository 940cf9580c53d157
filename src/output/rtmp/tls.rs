//! TLS for RTMPS: the system's authorities, one more on request, and failures told apart.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};

use crate::rtmp::trouble::Trouble;

/// How long the disk may take with the authorities.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// Threads that read authorities at once; a disk that hangs keeps those that it has.
static READERS: Semaphore = Semaphore::const_new(4);
/// A configuration that trusts the system's authorities, once it is made.
static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();

/// A configuration that trusts the system's authorities and those in `ca_file`. Without `ca_file` it is made once, since
/// the system's authorities are a few hundred kilobytes; a named file is read at each attempt, so that it can be put
/// right while the box is on air.
///
/// They are read on a thread of their own: all destinations, and the programme, are on the caller's, and a disk that hangs
/// costs this attempt only.
pub(super) async fn config(ca_file: Option<PathBuf>) -> Result<Arc<ClientConfig>, Trouble> {
    if let (None, Some(config)) = (&ca_file, SYSTEM.get()) {
        return Ok(config.clone());
    }
    let name = ca_file.as_ref().map(|path| path.display().to_string());
    let unusable = |detail: &str| match &name {
        Some(path) => Trouble::CaFile { detail: format!("{path}: {detail}") },
        None => Trouble::Tls { detail: format!("the system's authorities cannot be read: {detail}") },
    };
    let reading = async {
        let reader = READERS.acquire().await.map_err(|_| unusable("nobody reads any more"))?;
        let (told, read) = oneshot::channel();
        let work = move || {
            let _reader = reader;
            // Whoever waited may have given up.
            let _ = told.send(read_config(ca_file.as_deref()));
        };
        let started = thread::Builder::new().name("authorities".to_owned()).spawn(work);
        started.map_err(|error| unusable(&format!("a thread could not be started ({error})")))?;
        read.await.unwrap_or_else(|_| Err(unusable("the reader died")))
    };
    timeout(READ_WITHIN, reading).await.unwrap_or_else(|_| Err(unusable("the disk does not answer")))
}

fn read_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, Trouble> {
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
