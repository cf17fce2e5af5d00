//! Connections with TLS for servers of the bed.
//!
//! Which certificate they show is the caller's; clients show none.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::pki::Certificate;

/// A listener on the loopback that encrypts, for axum.
pub(crate) struct Encrypted {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Encrypted {
    /// Listens on a free port, with this certificate.
    ///
    /// # Errors
    /// When no port can be had, or the certificate is none.
    pub async fn bind(certificate: &Certificate) -> Result<Self> {
        Ok(Self { tcp: TcpListener::bind("127.0.0.1:0").await?, acceptor: acceptor(certificate)? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.tcp.local_addr()?)
    }
}

fn acceptor(certificate: &Certificate) -> Result<TlsAcceptor> {
    let chain = vec![CertificateDer::from_pem_slice(certificate.cert.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl axum::serve::Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // One that ends amid the handshake is not worth a word: it does not trust us.
            if let Ok((tcp, address)) = self.tcp.accept().await
                && let Ok(tls) = self.acceptor.accept(tcp).await
            {
                return (tls, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}
