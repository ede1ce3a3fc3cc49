//! Join tokens: one line of text that turns a machine into a node or a client of a cluster.
//!
//! ```text
//! "dccache-" | base32 (a-z 2-7, no padding) of: version u8 | body length u16 LE | body (postcard) | first 4 bytes of BLAKE3(body)
//! ```
//!
//! The length finds a token that was cut while copying, the checksum one with a wrong letter. Neither is for secrecy: the secret inside
//! is what the issuer checks, and the issuer keeps only its digest.

use crate::codec::decode_exact;
use crate::digest::{Digest, digest_type};
use crate::ids::{ClusterId, NodeId};
use crate::limits;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// What every token starts with.
pub const TOKEN_PREFIX: &str = "dccache-";

/// Version byte of a token.
const TOKEN_VERSION: u8 = 1;

/// Bytes of checksum at the end: one in four billion typing errors passes, and then the secret does not fit.
const CHECKSUM: usize = 4;

/// Most bytes of a token's body: addresses and grant are the only parts of open length.
const BODY_MAX: usize = 2048;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What the holder of a certificate may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Member of the ring; bound to its addresses.
    Node,
    /// Client that looks up and pushes.
    Writer,
    /// Client that looks up.
    Reader,
    /// Client that looks up and publishes verdicts.
    Auditor,
    /// Administration of the cluster over the network.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Node, Self::Writer, Self::Reader, Self::Auditor, Self::Admin];

    /// Returns the word that stands for the role in certificates and on command lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// Parses a role's word; `None` for anything else.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

digest_type! {
    /// Digest of a root certificate's DER; a joining machine pins its cluster with it.
    RootFingerprint
}

impl RootFingerprint {
    /// Returns the fingerprint of a root certificate, DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self::from_digest(Digest::of(certificate))
    }
}

digest_type! {
    /// Digest of a token's secret: all that an issuer keeps of it.
    TokenDigest
}

/// Random name of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenId(pub [u8; 16]);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The part of a token that proves that its bearer was given it. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSecret(pub [u8; 32]);

impl TokenSecret {
    /// Returns what an issuer keeps and compares.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::from_digest(Digest::of(&self.0))
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret")
    }
}

/// An invitation into a cluster, for one machine, from one issuer, for a limited time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// The cluster.
    pub cluster: ClusterId,
    /// The root certificate to which the issuer's certificates must lead.
    pub root: RootFingerprint,
    /// The node that redeems it.
    pub issuer: NodeId,
    /// Where that node can be reached, preferred first; 1 to [`limits::ADDRESSES_MAX`].
    pub addresses: Vec<SocketAddr>,
    /// What the machine becomes.
    pub role: Role,
    /// The token's name.
    pub id: TokenId,
    /// The token's secret.
    pub secret: TokenSecret,
    /// When it can no longer be redeemed.
    pub expires: UnixMillis,
    /// Administrator-signed grant in the control plane's encoding; opaque to the bearer.
    pub grant: Vec<u8>,
}

/// Why a text is no token; the text itself is not repeated, since most of it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not start with the prefix.
    #[error("a token starts with \"{TOKEN_PREFIX}\"; copy the whole line that `dccache-node` printed")]
    Prefix,
    /// A character that no token contains.
    #[error("the token has a wrong character at position {0}; copy it again")]
    Character(usize),
    /// It ends too early.
    #[error("the token is cut off: {found} of {expected} bytes; copy the whole line")]
    Truncated {
        /// Bytes found.
        found: usize,
        /// Bytes announced.
        expected: usize,
    },
    /// It goes on after its end.
    #[error("the token is longer than it says; copy it again, alone")]
    TooLong,
    /// A letter differs.
    #[error("the token's checksum does not fit: a character was changed; copy it again")]
    Checksum,
    /// It was made by another version.
    #[error("the token has version {0}, this program reads version {TOKEN_VERSION}")]
    Version(u8),
    /// It reads well but its content makes no sense.
    #[error("the token is malformed; ask for a new one")]
    Malformed,
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = postcard::to_extend(self, Vec::new()).map_err(|_| fmt::Error)?;
        let length = u16::try_from(body.len()).map_err(|_| fmt::Error)?;
        let mut bytes = vec![TOKEN_VERSION];
        bytes.extend(length.to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(&Digest::of(&body).as_bytes()[..CHECKSUM]);
        write!(f, "{TOKEN_PREFIX}{}", to_base32(&bytes))
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim().strip_prefix(TOKEN_PREFIX).ok_or(TokenError::Prefix)?;
        let bytes = from_base32(text)?;
        let cut = |expected| TokenError::Truncated { found: bytes.len(), expected };
        let (&version, rest) = bytes.split_first().ok_or(cut(3 + CHECKSUM))?;
        if version != TOKEN_VERSION {
            return Err(TokenError::Version(version));
        }
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(cut(3 + CHECKSUM))?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (body, checksum) = rest.split_at_checked(length).ok_or(cut(3 + length + CHECKSUM))?;
        if checksum.len() < CHECKSUM {
            return Err(cut(3 + length + CHECKSUM));
        }
        if checksum.len() > CHECKSUM || length > BODY_MAX {
            return Err(TokenError::TooLong);
        }
        if Digest::of(body).as_bytes()[..CHECKSUM] != *checksum {
            return Err(TokenError::Checksum);
        }
        let token: Self = decode_exact(body).map_err(|_| TokenError::Malformed)?;
        let reachable = (1..=limits::ADDRESSES_MAX).contains(&token.addresses.len());
        if reachable { Ok(token) } else { Err(TokenError::Malformed) }
    }
}

fn to_base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut held, mut bits) = (0u32, 0);
    for &byte in bytes {
        held = held << 8 | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(held >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(held << (5 - bits) & 31) as usize]));
    }
    text
}

fn from_base32(text: &str) -> Result<Vec<u8>, TokenError> {
    if text.len() > (BODY_MAX + 3 + CHECKSUM) * 8 / 5 + 1 {
        return Err(TokenError::TooLong);
    }
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut held, mut bits) = (0u32, 0);
    for (position, character) in text.bytes().enumerate() {
        let value = match character {
            b'a'..=b'z' => character - b'a',
            b'2'..=b'7' => character - b'2' + 26,
            _ => return Err(TokenError::Character(TOKEN_PREFIX.len() + position)),
        };
        held = held << 5 | u32::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> JoinToken {
        JoinToken {
            cluster: ClusterId::from_digest(Digest::of(b"cluster")),
            root: RootFingerprint::of(b"root"),
            issuer: NodeId([3; 16]),
            addresses: vec!["127.0.0.1:7070".parse().unwrap(), "[::1]:7070".parse().unwrap()],
            role: Role::Writer,
            id: TokenId([4; 16]),
            secret: TokenSecret([5; 32]),
            expires: UnixMillis(1_800_000_000_000),
            grant: vec![6; 100],
        }
    }

    #[test]
    fn a_token_survives_the_round_trip_on_one_line() {
        let text = token().to_string();
        assert!(text.starts_with(TOKEN_PREFIX) && !text.contains(char::is_whitespace));
        assert_eq!(text.parse(), Ok(token()));
        assert_eq!(format!("  {text}\n").parse(), Ok(token()));
    }

    #[test]
    fn a_token_keeps_its_text() {
        let golden = concat!(
            "dccache-aedqcyyajrjzshrlyvoaxvoezy3yu6ldrixnafaap4y4sowwj7af2iruskrlpb5anvzhfx2d5l4hvtb3tq",
            "otcxlz2wm5mhbilgbuqpsddgmagaydambqgaydambqgaydambqgaqap4aaaam6g4aqaaaaaaaaaaaaaaaaaaaaaaaa",
            "dhrxaecaibaeaqcaibaeaqcaibaeaqcakbifaucqkbifaucqkbifaucqkbifaucqkbifaucqkbifaucqkbmaudy4fm",
            "jumqdambqgaydambqgaydambqgaydambqgaydambqgaydambqgaydambqgaydambqgaydambqgaydambqgaydambqg",
            "aydambqgaydambqgaydambqgaydambqgaydambqgaydambqgaydambqgaydambqgaydambqgazjc4gfx",
        );
        assert_eq!(token().to_string(), golden);
    }

    #[test]
    fn every_cut_is_called_a_cut() {
        let text = token().to_string();
        for end in TOKEN_PREFIX.len()..text.len() - 1 {
            let found = text[..end].parse::<JoinToken>();
            assert!(matches!(found, Err(TokenError::Truncated { .. })), "{end}: {found:?}");
        }
        assert_eq!("dccache".parse::<JoinToken>(), Err(TokenError::Prefix));
    }

    #[test]
    fn every_changed_letter_is_noticed() {
        let text = token().to_string();
        // The last character's low bits are padding and carry nothing.
        for at in TOKEN_PREFIX.len()..text.len() - 1 {
            let other = if text.as_bytes()[at] == b'a' { "b" } else { "a" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(changed.parse::<JoinToken>().is_err(), "{at}");
        }
        let upper = text.replacen(&text[20..21], "!", 1);
        assert!(matches!(
            upper.parse::<JoinToken>(),
            Err(TokenError::Character(_)) | Err(TokenError::Prefix)
        ));
        assert_eq!(format!("{text}aaaaaaaa").parse::<JoinToken>(), Err(TokenError::TooLong));
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert!(!format!("{:?}", token()).contains("5, 5"));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,200}", letters in "[a-z2-7]{0,300}") {
            let _ = text.parse::<JoinToken>();
            let _ = format!("{TOKEN_PREFIX}{letters}").parse::<JoinToken>();
        }
    }
}
