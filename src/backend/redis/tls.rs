//! Whom to believe behind TLS, where it is not one of the system's authorities.

use fred::rustls::ClientConfig;
use fred::rustls::RootCertStore;
use fred::rustls::pki_types::CertificateDer;
use fred::rustls::pki_types::pem::PemObject;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// A configuration that believes certificates of these authorities (PEM) and no others.
pub(super) fn believing(authorities: &[u8]) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities) {
        let certificate = certificate.map_err(|source| unusable().caused_by(source))?;
        roots
            .add(certificate)
            .map_err(|source| unusable().caused_by(source))?;
    }
    if roots.is_empty() {
        return Err(unusable());
    }
    Ok(ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn unusable() -> Error {
    Error::new(
        ErrorKind::Config,
        "the authority to believe for the cache server is no certificate in PEM",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        for pem in [
            "",
            "tea",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let error = believing(pem.as_bytes()).map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{pem}");
        }
    }
}
