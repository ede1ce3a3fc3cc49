//! Whose word suffices: the consumer's `trust.accept` list and its judgement of one signer.
//!
//! Invariant: fails closed. A signer that is unknown, out of its namespace, not in good standing, or named by no line of the
//! list is not accepted.

use dccache_protocol::digest::Digest;
use dccache_protocol::directory::{SignerRecord, SignerRole, Standing};
use dccache_protocol::ids::{Namespace, SignerId};
use dccache_protocol::time::ReceiptStamp;
use std::fmt;
use std::str::FromStr;

/// Most lines of the list; more is a mistake in a configuration.
const ACCEPT_MAX: usize = 256;

/// One line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// What this machine signed itself.
    Own,
    /// What a signer with this role signed.
    Role(SignerRole),
    /// What this signer signed.
    Signer(SignerId),
}

impl FromStr for Accept {
    type Err = BadAccept;

    fn from_str(text: &str) -> Result<Self, BadAccept> {
        let bad = || BadAccept(text.chars().take(80).collect());
        match text {
            "self" => Ok(Self::Own),
            "role:ci" => Ok(Self::Role(SignerRole::Ci)),
            "role:writer" | "any" => Ok(Self::Role(SignerRole::Writer)),
            _ => {
                let digits = text.strip_prefix("signer:").ok_or_else(bad)?;
                Digest::from_hex(digits).map(|id| Self::Signer(SignerId::from_digest(id))).ok_or_else(bad)
            }
        }
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("self"),
            Self::Role(SignerRole::Ci) => f.write_str("role:ci"),
            Self::Role(SignerRole::Writer) => f.write_str("role:writer"),
            Self::Role(SignerRole::Auditor) => f.write_str("role:auditor"),
            Self::Signer(id) => write!(f, "signer:{id}"),
        }
    }
}

/// What a line of the list may be.
pub const ALLOWED: &str =
    "self, role:ci, role:writer, any, or signer: and its 64 digits, separated by commas";

/// A line that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not allowed in trust.accept; {ALLOWED}")]
pub struct BadAccept(pub String);

/// Whose entries are accepted; any one line suffices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy(Vec<Accept>);

impl Default for Policy {
    /// Any registered writer: what an office wants.
    fn default() -> Self {
        Self(vec![Accept::Role(SignerRole::Writer)])
    }
}

impl FromStr for Policy {
    type Err = BadAccept;

    /// Reads lines separated by commas. An empty list accepts nobody.
    fn from_str(text: &str) -> Result<Self, BadAccept> {
        let lines = text.split(',').map(str::trim).filter(|line| !line.is_empty());
        let lines = lines.map(str::parse).collect::<Result<Vec<_>, _>>()?;
        if lines.len() <= ACCEPT_MAX {
            Ok(Self(lines))
        } else {
            Err(BadAccept(lines[ACCEPT_MAX].to_string()))
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Accept::to_string).collect();
        f.write_str(&lines.join(","))
    }
}

impl Policy {
    /// Tells whether a signer's entry, received by the ring at `stamp`, counts in `namespace`. `own` is this machine's signer.
    pub fn accepts(
        &self,
        signer: &SignerRecord,
        own: Option<SignerId>,
        namespace: &Namespace,
        stamp: ReceiptStamp,
    ) -> bool {
        self.names(signer, own) && may_write(signer, namespace) && signer.standing.allows(stamp)
    }

    /// As [`Policy::accepts`], for a statement whose time of receipt is unknown: only a signer in good standing counts.
    pub fn accepts_now(&self, signer: &SignerRecord, own: Option<SignerId>, namespace: &Namespace) -> bool {
        signer.standing == Standing::Active && self.names(signer, own) && may_write(signer, namespace)
    }

    fn names(&self, signer: &SignerRecord, own: Option<SignerId>) -> bool {
        let id = signer.key.signer_id();
        self.0.iter().any(|line| match line {
            Accept::Own => own == Some(id),
            // A build server writes as well.
            Accept::Role(SignerRole::Writer) => writes(signer),
            Accept::Role(role) => signer.roles.contains(role),
            Accept::Signer(named) => *named == id,
        })
    }
}

fn writes(signer: &SignerRecord) -> bool {
    signer.roles.contains(&SignerRole::Writer) || signer.roles.contains(&SignerRole::Ci)
}

fn may_write(signer: &SignerRecord, namespace: &Namespace) -> bool {
    writes(signer) && signer.covers(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dccache_protocol::signing::SigningKey;

    const STAMP: ReceiptStamp = ReceiptStamp(100);

    fn signer(seed: u8, roles: &[SignerRole]) -> SignerRecord {
        SignerRecord {
            key: SigningKey::from_seed(&[seed; 32]).public(),
            operator: "op".parse().unwrap(),
            roles: roles.to_vec(),
            namespaces: Vec::new(),
            standing: Standing::Active,
        }
    }

    fn accepts(policy: &str, signer: &SignerRecord) -> bool {
        let own = SigningKey::from_seed(&[1; 32]).public().signer_id();
        policy.parse::<Policy>().unwrap().accepts(signer, Some(own), &Namespace::default(), STAMP)
    }

    #[test]
    fn each_line_accepts_whom_it_names_and_nobody_else() {
        let (own, ci) = (signer(1, &[SignerRole::Writer]), signer(2, &[SignerRole::Ci]));
        let (other, auditor) = (signer(3, &[SignerRole::Writer]), signer(4, &[SignerRole::Auditor]));
        let by_name = format!("signer:{}", other.key.signer_id());
        let table = [
            ("self", [true, false, false, false]),
            ("role:ci", [false, true, false, false]),
            ("role:writer", [true, true, true, false]),
            ("any", [true, true, true, false]),
            (by_name.as_str(), [false, false, true, false]),
            ("self, role:ci", [true, true, false, false]),
            ("", [false; 4]),
        ];
        for (policy, expected) in table {
            assert_eq!(
                [&own, &ci, &other, &auditor].map(|signer| accepts(policy, signer)),
                expected,
                "{policy}"
            );
        }
    }

    #[test]
    fn a_signer_named_in_person_still_needs_role_namespace_and_standing() {
        let mut record = signer(3, &[SignerRole::Writer]);
        let policy = format!("signer:{}", record.key.signer_id());
        for (standing, expected) in [
            (Standing::Retired(ReceiptStamp(100)), true),
            (Standing::Retired(ReceiptStamp(99)), false),
            (Standing::CompromisedSince(ReceiptStamp(101)), true),
            (Standing::CompromisedSince(ReceiptStamp(100)), false),
        ] {
            record.standing = standing;
            assert_eq!(accepts(&policy, &record), expected, "{standing:?}");
            let parsed: Policy = policy.parse().unwrap();
            assert!(!parsed.accepts_now(&record, None, &Namespace::default()));
        }
        record.standing = Standing::Active;
        record.namespaces = vec![Namespace("elsewhere".parse().unwrap())];
        assert!(!accepts(&policy, &record));
        record.namespaces.clear();
        record.roles = vec![SignerRole::Auditor];
        assert!(!accepts(&policy, &record));
    }

    #[test]
    fn what_is_not_a_line_is_refused_and_named() {
        for bad in ["quorum:2", "role:auditor", "signer:12", "everyone", "self;role:ci"] {
            let error = bad.parse::<Policy>().unwrap_err();
            assert!(error.to_string().contains(bad), "{error}");
        }
        let text = format!("self,role:ci,signer:{}", "ab".repeat(32));
        assert_eq!(text.parse::<Policy>().unwrap().to_string(), text);
    }
}
