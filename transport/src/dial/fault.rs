//! What a failed dial means, in the kinds that a person or a policy tells apart.

use super::DialError;
use crate::peer::Refused;
use rustls::{AlertDescription, CertificateError, Error};
use std::io;

/// What a failed dial means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DialFault {
    /// No answer in time: switched off, a black hole on the way, or stuck.
    TimedOut,
    /// The machine answers, but nothing listens there.
    Refused,
    /// The network has no way there, or the connection broke.
    Unreachable,
    /// The node's certificate has expired by this machine's clock.
    NodeExpired,
    /// The node's certificate is not valid yet by this machine's clock: one of the two clocks is wrong.
    NodeNotYetValid,
    /// The node's certificate leads to no root that this machine trusts, or is damaged.
    NodeForeign,
    /// The node says that this machine's certificate has expired or is not yet valid; TLS has one word for both.
    OwnExpired,
    /// The node does not accept this machine's certificate.
    OwnForeign,
    /// What answers is not the node that it should be.
    Imposter(Refused),
    /// The node turns this machine away.
    TurnedAway(Refused),
    /// The node has as many connections as it takes.
    Busy,
    /// What answers does not speak the protocol.
    Protocol,
}

impl DialError {
    /// Says what the failure means.
    pub fn fault(&self) -> DialFault {
        match self {
            Self::Deadline(_) => DialFault::TimedOut,
            Self::Connect { source, .. } => of_connect(source),
            Self::Handshake { source, .. } => of_handshake(source),
            Self::Untrusted { source, .. } => DialFault::Imposter(*source),
            Self::RefusedByPeer { source: Refused::Connections, .. } => DialFault::Busy,
            Self::RefusedByPeer { source, .. } => DialFault::TurnedAway(*source),
        }
    }
}

fn of_connect(error: &io::Error) -> DialFault {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DialFault::Refused,
        io::ErrorKind::TimedOut => DialFault::TimedOut,
        _ => DialFault::Unreachable,
    }
}

fn of_handshake(error: &io::Error) -> DialFault {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return DialFault::Unreachable;
    };
    match tls {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            DialFault::NodeExpired
        }
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => DialFault::NodeNotYetValid,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => DialFault::Imposter(Refused::Node),
        Error::InvalidCertificate(_) => DialFault::NodeForeign,
        Error::AlertReceived(AlertDescription::CertificateExpired) => DialFault::OwnExpired,
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateRequired
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError,
        ) => DialFault::OwnForeign,
        _ => DialFault::Protocol,
    }
}
