//! What wrapper and agent say to each other over the user's socket.
//!
//! Shape: each side first sends its [`Greeting`] (fixed 8 bytes). Then frames: a 4-byte little-endian length of the head, an 8-byte little-endian length
//! of the attachment, the head ([`Request`] or [`Reply`], a [`Format`] value), the attachment (the body of a bundle, or nothing).
//! The agent opens no path that it is told: the wrapper may live in another mount namespace, so bytes travel.

use crate::bundle::StoredBlob;
use crate::codec::{DecodeError, Format, at_most, byte_run, ensure};
use crate::digest::Digest;
use crate::entry::{Outcome, OutputRole};
use crate::ids::{Namespace, Partition, SignerId, ToolchainId};
use crate::keys::{DirectKey, EntryKey, ManifestKey, RootPath};
use crate::limits;
use crate::service::Bytes;
use serde::{Deserialize, Serialize};

/// Version of these messages.
pub const LOCAL_VERSION: u16 = 3;

/// First bytes of either side: `dcc1`, then both versions. A mismatch means: work without the agent, and the old agent drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Version of the messages.
    pub protocol: u16,
    /// Version of the local store's records.
    pub store: u16,
}

impl Greeting {
    const MAGIC: [u8; 4] = *b"dcc1";

    /// Writes the greeting.
    pub fn to_bytes(self) -> [u8; 8] {
        let (p, s) = (self.protocol.to_le_bytes(), self.store.to_le_bytes());
        let m = Self::MAGIC;
        [m[0], m[1], m[2], m[3], p[0], p[1], s[0], s[1]]
    }

    /// Reads a greeting; `None` for other bytes.
    pub fn from_bytes(bytes: &[u8; 8]) -> Option<Self> {
        let [a, b, c, d, p0, p1, s0, s1] = *bytes;
        ([a, b, c, d] == Self::MAGIC)
            .then(|| Self { protocol: u16::from_le_bytes([p0, p1]), store: u16::from_le_bytes([s0, s1]) })
    }
}

/// Everything about a compile that signing it, auditing it or running it elsewhere needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Namespace of the compile.
    pub namespace: Namespace,
    /// Key under which its bundle is stored: the direct one where the compile has one.
    pub key: EntryKey,
    /// Other keys of the same compile, at most [`limits::ALSO_KEYS_MAX`], each once and none of them `key`: they get an alias to `key`.
    #[serde(deserialize_with = "at_most::<{ limits::ALSO_KEYS_MAX }, _, _>")]
    pub also: Vec<EntryKey>,
    /// The manifest that gets a suggestion made of `inputs` and `absent`; only where [`Job::direct`] has a key that it can lead to.
    pub manifest: Option<ManifestKey>,
    /// Canonical arguments, the compiler first.
    #[serde(deserialize_with = "at_most::<{ limits::ARGV_ITEMS_MAX }, _, _>")]
    pub argv: Vec<Vec<u8>>,
    /// Environment that decides the output.
    #[serde(deserialize_with = "at_most::<{ limits::ARGV_ITEMS_MAX }, _, _>")]
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// Working directory as the compiler sees it.
    #[serde(with = "byte_run")]
    pub working_directory: Vec<u8>,
    /// Root of the compile.
    #[serde(with = "byte_run")]
    pub root: Vec<u8>,
    /// Toolchain.
    pub toolchain: ToolchainId,
    /// What was read.
    #[serde(deserialize_with = "at_most::<{ limits::INPUTS_MAX }, _, _>")]
    pub inputs: Vec<(RootPath, Digest)>,
    /// Names that were looked for and not found.
    #[serde(deserialize_with = "at_most::<{ limits::PROBES_MAX }, _, _>")]
    pub absent: Vec<RootPath>,
    /// Which outputs it has.
    pub roles: Vec<OutputRole>,
    /// Expected wall-clock time of the compile in ms; 0 when unknown.
    pub expected_ms: u32,
}

impl Job {
    /// Returns the direct key that the manifest's suggestion leads to: the first one in the manifest's partition. `None` without a manifest.
    pub fn direct(&self) -> Option<DirectKey> {
        let partition = Partition::of(self.manifest?.digest());
        let direct = |key: &EntryKey| match key {
            EntryKey::Direct(direct) if key.partition() == partition => Some(*direct),
            _ => None,
        };
        std::iter::once(&self.key).chain(&self.also).find_map(direct)
    }

    fn validate(&self) -> Result<(), DecodeError> {
        ensure(self.roles.len() <= limits::OUTPUTS_MAX, "number of outputs")?;
        let distinct = |(at, key): (usize, &EntryKey)| *key != self.key && !self.also[..at].contains(key);
        ensure(self.also.iter().enumerate().all(distinct), "other keys of a compile")?;
        ensure(
            self.manifest.is_none() || self.direct().is_some(),
            "manifest of a compile without a direct key",
        )
    }
}

/// A request to the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Looks for a compile on the ring.
    Find {
        /// Namespace of the compile.
        namespace: Namespace,
        /// Keys in order of preference.
        keys: Vec<EntryKey>,
        /// Time that the look-up may take in ms, extended while bulk bytes flow.
        budget_ms: u32,
    },
    /// Signs and pushes a compile in the background; the attachment is the body. Answered once it is in the journal.
    Push {
        /// The compile.
        job: Box<Job>,
        /// What it gave.
        outcome: Outcome,
        /// Blob table of the attachment.
        table: Vec<StoredBlob>,
    },
    /// Signs aliases for a compile whose bundle is on the ring already (found there, or pushed before), and sends the suggestion; no
    /// attachment. Answered once it is in the journal.
    Attach {
        /// The compile; its bundle lies under its key.
        job: Box<Job>,
        /// What it gave.
        outcome: Outcome,
    },
    /// Looks for suggestions on the ring; the attachment of the answer is the body of the newest suggested bundle.
    Suggestions {
        /// Namespace of the compile.
        namespace: Namespace,
        /// Manifest keys of one command, at most [`limits::PROBE_KEYS_MAX`], in one partition.
        keys: Vec<ManifestKey>,
        /// Time that the look-up may take in ms.
        budget_ms: u32,
    },
    /// Tells how the agent is.
    Status,
    /// Answers when everything queued now is pushed, or the time is over.
    Flush {
        /// Longest wait in ms.
        timeout_ms: u64,
    },
    /// Sums statistics over the ring.
    ClusterStatus,
    /// Ends the agent after what it has begun.
    Stop,
    /// As [`Request::Find`], after bytes that differed from what their entry names: the agent checks contents itself, and asks the next owner where they
    /// differ.
    FindChecked {
        /// Namespace of the compile.
        namespace: Namespace,
        /// Keys in order of preference.
        keys: Vec<EntryKey>,
        /// Time that the look-up may take in ms, extended while bulk bytes flow.
        budget_ms: u32,
    },
}

impl Format for Request {
    const VERSION: u8 = 2;
    const LIMIT: usize = limits::ARGV_BYTES_MAX + (8 << 20);

    fn validate(&self) -> Result<(), DecodeError> {
        match self {
            Self::Find { keys, .. } | Self::FindChecked { keys, .. } => {
                ensure(keys.len() <= limits::PROBE_KEYS_MAX, "number of keys")
            }
            Self::Suggestions { keys, .. } => ensure(keys.len() <= limits::PROBE_KEYS_MAX, "number of keys"),
            Self::Attach { job, outcome } => {
                job.validate()?;
                outcome.validate()
            }
            Self::Push { job, outcome, table } => {
                job.validate()?;
                ensure(table.len() == outcome.outputs.len() + 2, "length of the blob table")?;
                outcome.validate()
            }
            Self::Status | Self::Flush { .. } | Self::ClusterStatus | Self::Stop => Ok(()),
        }
    }
}

/// Why the ring gave no answer; each is a counter in the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Unavailable {
    /// No cluster is configured.
    #[error("this machine is in no cluster; `dccache join TOKEN` makes it a client")]
    NotJoined,
    /// No owner answered within the budget.
    #[error("no owner answered within the time budget")]
    TimedOut,
    /// The breaker of every owner is open.
    #[error("the owners failed a moment ago and are not asked again yet")]
    BreakerOpen,
    /// Certificates or addresses do not hold.
    #[error("the ring's certificates, addresses or our own do not hold")]
    NotTrusted,
    /// Owners refused.
    #[error("the ring refused the request")]
    Refused,
    /// Connections fail.
    #[error("the owners cannot be reached")]
    Unreachable,
    /// The agent is at one of its own bounds.
    #[error("the agent has as much work as it takes")]
    Busy,
}

/// Why a found entry was not used; each is a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Distrust {
    /// Its signer is unknown, retired, compromised or may not write to the namespace.
    #[error("its signer is not accepted")]
    Signer,
    /// Its signature does not hold, or it is about another key, namespace or cluster.
    #[error("its signature does not hold for this key")]
    Signature,
    /// A blob differs from its digest.
    #[error("its bytes differ from their digests")]
    Digest,
    /// It cannot be decoded.
    #[error("it is malformed")]
    Malformed,
}

/// An entry that passed verification and policy; its body travels as the attachment. Its blobs are checked by whoever takes them out: what differs is
/// asked for once more, with [`Request::FindChecked`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vetted {
    /// Under which key it was found.
    pub key: EntryKey,
    /// Under which key the bundle lies: that one, or the target of the alias that led to it. A further alias must lead there, for none leads to
    /// an alias.
    pub lies: EntryKey,
    /// What the compile gave.
    pub outcome: Outcome,
    /// Who signed it.
    pub signer: SignerId,
    /// Directory number under which it was accepted.
    pub trust_epoch: u64,
    /// Blob table of the attachment.
    pub table: Vec<StoredBlob>,
}

impl Vetted {
    fn validate(&self) -> Result<(), DecodeError> {
        ensure(self.table.len() == self.outcome.outputs.len() + 2, "length of the blob table")?;
        self.outcome.validate()
    }
}

/// The agent's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// An entry under one of the keys that were asked for.
    Found(Box<Vetted>),
    /// Suggestions of some of the manifests that were asked for.
    Suggestions {
        /// Encoded [`crate::manifest::Manifest`]s as they came from the ring: nobody has looked into them.
        #[serde(deserialize_with = "at_most::<{ limits::PROBE_KEYS_MAX }, _, _>")]
        manifests: Vec<(ManifestKey, Bytes)>,
        /// The newest bundle suggested, when it was at hand. Of use only to whoever derives the same key from what is read now.
        newest: Option<Box<Vetted>>,
    },
    /// The ring has no entry, or no suggestion.
    Missed,
    /// The ring has an entry that was not accepted.
    Distrusted(Distrust),
    /// The ring gave no answer.
    Unavailable(Unavailable),
    /// The push is in the journal.
    Queued,
    /// The journal is full; the push is dropped.
    QueueFull,
    /// How the agent is.
    Status(Box<AgentStatus>),
    /// Result of a flush: entries that still wait.
    Flushed {
        /// Entries that still wait.
        waiting: u64,
    },
    /// One line per node; `None` for one that gave no answer.
    Cluster(
        #[serde(deserialize_with = "at_most::<{ limits::MEMBERS_MAX }, _, _>")]
        Vec<(String, Option<crate::service::NodeStatus>)>,
    ),
    /// The agent ends.
    Stopping,
    /// Bulk bytes of the entry asked for arrive; the answer follows, and the time to wait for it begins anew.
    Flowing,
}

impl Format for Reply {
    const VERSION: u8 = 2;
    const LIMIT: usize = 1 << 20;

    fn validate(&self) -> Result<(), DecodeError> {
        match self {
            Self::Found(vetted) | Self::Suggestions { newest: Some(vetted), .. } => vetted.validate(),
            _ => Ok(()),
        }
    }
}

/// How an agent is. Counts since its start unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Process id.
    pub pid: u32,
    /// Seconds since its start.
    pub uptime_s: u64,
    /// Cluster that it belongs to, as hexadecimal digits; empty when none.
    pub cluster: String,
    /// Epoch of the layout that it knows.
    pub epoch: u64,
    /// Number of the directory that it knows.
    pub trust_epoch: u64,
    /// Its signer, as hexadecimal digits; empty for a reader.
    pub signer: String,
    /// Entries that wait in the journal now.
    pub waiting: u64,
    /// Bytes that wait in the journal now.
    pub waiting_bytes: u64,
    /// Entries acknowledged by the ring.
    pub pushed: u64,
    /// Entries dropped because the journal was full or the ring refused them for good.
    pub dropped: u64,
    /// Look-ups.
    pub finds: u64,
    /// Look-ups answered with an entry.
    pub hits: u64,
    /// Look-ups of suggestions.
    pub manifests: u64,
    /// Look-ups of suggestions answered with some.
    pub suggested: u64,
    /// Entries found and not accepted.
    pub distrusted: u64,
    /// Unix time in ms when the leaf certificate expires; 0 without one.
    pub leaf_expires_ms: u64,
    /// Per node: name, address, breaker state (`closed`, `open`, `half-open`) and the last failure in words.
    #[serde(deserialize_with = "at_most::<{ limits::MEMBERS_MAX }, _, _>")]
    pub nodes: Vec<(String, String, String, String)>,
}
