//! Certificate authorities of the bed's own, and certificates by them.
//!
//! Keys are made anew each time and are on nobody's disk but the bed's. It serves nothing.

use std::time::Duration;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, both PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub cert: String,
    /// Its key, PKCS #8.
    pub key: String,
}

/// Which time a certificate is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Valid {
    /// Now.
    Now,
    /// Until a day ago.
    Past,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.distinguished_name.push(DnType::CommonName, name);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = ca.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(ca, key), pem })
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate with this common name, for these hosts.
    ///
    /// # Errors
    /// When a host is none, or no key can be made.
    pub fn issue(&self, name: &str, hosts: &[&str], valid: Valid) -> Result<Certificate> {
        let key = KeyPair::generate()?;
        let mut params =
            CertificateParams::new(hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<String>>())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        if valid == Valid::Past {
            let now = std::time::SystemTime::now();
            params.not_before = (now - 10 * DAY).into();
            params.not_after = (now - DAY).into();
        }
        let cert = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Certificate { cert, key: key.serialize_pem() })
    }
}
