//! Join tokens as an issuer makes and keeps them: a file per token, with the digest of its secret and what it grants.

use crate::home::{Home, HomeError, random};
use dccache_protocol::control::{AddressRange, Grant, Signed, Subject};
use dccache_protocol::directory::SignerRole;
use dccache_protocol::enrol::EnrolRefusal;
use dccache_protocol::ids::{ClusterId, Label, Namespace, NodeId};
use dccache_protocol::limits::{TOKEN_LIFE_S, TOKENS_MAX};
use dccache_protocol::time::{Clock, UnixMillis};
use dccache_protocol::token::{JoinToken, Role, RootFingerprint, TokenDigest, TokenId, TokenSecret};
use dccache_transport::identity::{Issuer, KeyPair, read_private, write_private};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// Largest weight that a node's token grants unless told otherwise.
pub const DEFAULT_LARGEST_WEIGHT: u32 = 1000;

/// What a token is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenKind {
    /// For a node.
    Node {
        /// Zone that it must stand in; `None`: the one that it names.
        zone: Option<Label>,
        /// Largest weight.
        largest_weight: u32,
    },
    /// For a client that pushes.
    Writer {
        /// Who answers for it.
        operator: Label,
        /// Whether it is a build server.
        ci: Option<Ci>,
        /// Namespaces to which it may push; empty: all.
        namespaces: Vec<Namespace>,
    },
    /// For a client that only looks up.
    Reader {
        /// Who answers for it.
        operator: Label,
    },
}

/// Marks a build server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ci;

/// What an issuer keeps of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    digest: TokenDigest,
    /// Role of the certificate.
    pub(crate) role: Role,
    /// What the administrator granted.
    pub(crate) grant: Signed<Grant>,
    /// Whether a node chooses its own zone; the administrator's key, which lies here, then signs the grant again with it.
    any_zone: Option<Ci>,
}

/// An issuer's keys and tokens.
pub(crate) struct Tokens {
    directory: PathBuf,
    cluster: ClusterId,
    me: NodeId,
    addresses: Vec<SocketAddr>,
    root: RootFingerprint,
    issuer: Issuer,
    administrator: Option<KeyPair>,
    clock: Arc<dyn Clock>,
}

impl Tokens {
    /// Reads the authority of a node; `None` on a node that issues nothing.
    pub(crate) fn open(
        home: &Home,
        me: NodeId,
        cluster: ClusterId,
        addresses: Vec<SocketAddr>,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, HomeError> {
        let directory = home.path("authority");
        if !directory.join("issuer.key").exists() {
            return Ok(None);
        }
        let damaged = |name: &str| HomeError::Damaged(directory.join(name));
        let key = |name: &str| -> Result<KeyPair, HomeError> {
            KeyPair::from_pem(&read_private(&directory.join(name))?).map_err(|_| damaged(name))
        };
        let certificate = |name: &str| -> Result<CertificateDer<'static>, HomeError> {
            Ok(read_private(&directory.join(name))?.into())
        };
        let issuer = Issuer::new(cluster, key("issuer.key")?, certificate("issuer.der")?);
        let issuer = issuer.map_err(|_| damaged("issuer.der"))?;
        let administrator = key("administrator.key").ok();
        let root = RootFingerprint::of(&certificate("root.der")?);
        let directory = home.path("tokens");
        Ok(Some(Self { directory, cluster, me, addresses, root, issuer, administrator, clock }))
    }

    /// Returns the issuer that signs leaves.
    pub(crate) const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Makes a token; its secret is in the answer and nowhere else. `None` when the administrator's key is not here.
    pub(crate) fn make(&self, kind: &TokenKind) -> Result<Option<JoinToken>, HomeError> {
        let Some(administrator) = &self.administrator else { return Ok(None) };
        self.forget_expired();
        let id = TokenId(random(&self.directory)?);
        let secret = TokenSecret(random(&self.directory)?);
        let expires = self.clock.now().plus_ms(TOKEN_LIFE_S * 1000);
        let (role, subject) = self.subject(kind);
        let grant = Grant { cluster: self.cluster, token: id, expires, subject };
        let grant = Signed::new(grant, administrator.signing_key());
        let any_zone = matches!(kind, TokenKind::Node { zone: None, .. }).then_some(Ci);
        let kept = Kept { digest: secret.digest(), role, grant: grant.clone(), any_zone };
        let bytes = postcard::to_extend(&kept, Vec::new()).expect("a token always serializes");
        write_private(&self.directory.join(id.to_string()), &bytes)?;
        let grant = postcard::to_extend(&grant, Vec::new()).expect("a grant always serializes");
        let (cluster, root, issuer, addresses) = (self.cluster, self.root, self.me, self.addresses.clone());
        Ok(Some(JoinToken { cluster, root, issuer, addresses, role, id, secret, expires, grant }))
    }

    fn subject(&self, kind: &TokenKind) -> (Role, Subject) {
        match kind {
            TokenKind::Node { zone, largest_weight } => {
                let zone = zone.clone().unwrap_or_else(|| "default".parse().expect("the word is a name"));
                let (largest_weight, ranges) = (*largest_weight, self.ranges());
                (Role::Node, Subject::Node { zone, largest_weight, ranges })
            }
            TokenKind::Writer { operator, ci, namespaces } => {
                let roles = vec![if ci.is_some() { SignerRole::Ci } else { SignerRole::Writer }];
                let (operator, namespaces) = (operator.clone(), namespaces.clone());
                (Role::Writer, Subject::Client { operator, roles, namespaces })
            }
            TokenKind::Reader { operator } => {
                let subject =
                    Subject::Client { operator: operator.clone(), roles: Vec::new(), namespaces: Vec::new() };
                (Role::Reader, subject)
            }
        }
    }

    /// Where a node may be: on loopback when this one is, else anywhere; that it is there is proved by connecting back.
    fn ranges(&self) -> Vec<AddressRange> {
        let here = |address: &SocketAddr| address.ip().is_loopback();
        if self.addresses.iter().all(here) {
            return vec![AddressRange { network: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 }];
        }
        vec![
            AddressRange { network: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 },
            AddressRange { network: IpAddr::V6(Ipv6Addr::UNSPECIFIED), prefix: 0 },
        ]
    }

    /// Returns what a token grants whose secret is right.
    ///
    /// # Errors
    /// [`EnrolRefusal::UnknownToken`] and [`EnrolRefusal::TokenExpired`].
    pub(crate) fn check(&self, id: TokenId, secret: &TokenSecret) -> Result<Kept, EnrolRefusal> {
        let unknown = EnrolRefusal::UnknownToken;
        let bytes = std::fs::read(self.directory.join(id.to_string())).map_err(|_| unknown)?;
        let kept: Kept = postcard::from_bytes(&bytes).map_err(|_| unknown)?;
        // Digests are compared, so the time that the comparison takes says nothing of the secret.
        if kept.digest != secret.digest() {
            return Err(unknown);
        }
        if kept.grant.statement.expires <= self.clock.now() {
            return Err(EnrolRefusal::TokenExpired);
        }
        Ok(kept)
    }

    /// Returns the grant for a node that stands in `zone`.
    ///
    /// # Errors
    /// [`EnrolRefusal::OutsideGrant`].
    pub(crate) fn grant_in(&self, kept: &Kept, zone: &Label) -> Result<Signed<Grant>, EnrolRefusal> {
        let mut grant = kept.grant.clone();
        let Subject::Node { zone: granted, .. } = &mut grant.statement.subject else {
            return Err(EnrolRefusal::OutsideGrant);
        };
        if granted == zone {
            return Ok(grant);
        }
        match (&self.administrator, kept.any_zone) {
            (Some(administrator), Some(Ci)) => {
                granted.clone_from(zone);
                Ok(Signed::new(grant.statement, administrator.signing_key()))
            }
            _ => Err(EnrolRefusal::OutsideGrant),
        }
    }

    /// Lists the tokens that are kept: name, role, end.
    pub(crate) fn list(&self) -> Vec<(String, Role, UnixMillis)> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let kept = entries.filter_map(|entry| {
            let kept: Kept = postcard::from_bytes(&std::fs::read(entry.path()).ok()?).ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), kept.role, kept.grant.statement.expires))
        });
        let mut list: Vec<_> = kept.take(TOKENS_MAX).collect();
        list.sort_by_key(|(_, _, expires)| *expires);
        list
    }

    fn forget_expired(&self) {
        let now = self.clock.now();
        // A day longer, so that whoever comes late hears that the token has expired rather than that it never was.
        let is_old = |expires: UnixMillis| expires.plus_ms(TOKEN_LIFE_S * 1000) <= now;
        for (name, _, expires) in self.list() {
            if is_old(expires) {
                let _ = std::fs::remove_file(self.directory.join(name));
            }
        }
    }
}
