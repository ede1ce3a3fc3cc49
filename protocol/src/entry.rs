//! The signed claim "this key gives these outputs", and its own second name, the alias.

use crate::codec::{DecodeError, Format, ensure};
use crate::digest::{BlobId, Digest};
use crate::ids::{ClusterId, Namespace, SignerId, ToolchainId};
use crate::keys::EntryKey;
use crate::limits;
use crate::signing::{PublicKey, Purpose, Signature, SigningKey};
use serde::{Deserialize, Serialize};

/// What an output is. Roles, never paths, travel; the wrapper that restores them knows the names that its own call gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OutputRole {
    /// Object file of `-c`.
    Object,
    /// Assembly of `-S`.
    Assembly,
    /// Dependencies as tokens, see [`crate::depend`].
    Depend,
    /// `.gcno` of `--coverage`.
    CoverageNotes,
    /// `.dwo` of `-gsplit-dwarf`.
    SplitDwarf,
    /// `.su` of `-fstack-usage`.
    StackUsage,
    /// `.ci` of `-fcallgraph-info`.
    CallGraph,
    /// `.dia` of `--serialize-diagnostics`.
    Diagnostics,
    /// Assembler listing of `-Wa,-a=F`.
    Listing,
    /// Precompiled header.
    PrecompiledHeader,
    /// File of `-fsave-optimization-record`.
    OptimizationRecord,
    /// File of `-fopt-info-*=F`.
    OptimizationInfo,
    /// File of `-aux-info F`.
    Prototypes,
}

/// Name and size of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlobRef {
    /// Size of the raw content in bytes.
    pub size: u64,
    /// Digest of the raw content.
    pub blob: BlobId,
}

impl BlobRef {
    /// Names content.
    pub fn of(content: &[u8]) -> Self {
        Self { size: content.len() as u64, blob: BlobId::of(content) }
    }
}

/// One output of a compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Output {
    /// What it is.
    pub role: OutputRole,
    /// Its bytes.
    pub content: BlobRef,
}

/// Whether the compiler gives the same bytes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Comparability {
    /// It does.
    Reproducible,
    /// It does with neutral options injected (opt-in).
    ReproducibleWhenSeeded,
    /// It does not, for example `-flto` and coverage without a seed.
    Varying,
}

/// Everything that a compile gave, without a claim about who ran it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Outcome {
    /// Output files, each role at most once, in ascending order of role.
    pub outputs: Vec<Output>,
    /// What the compiler wrote to stdout.
    pub stdout: BlobRef,
    /// What the compiler wrote to stderr.
    pub stderr: BlobRef,
    /// Exit code; only successes are stored, so 0 in this version.
    pub exit_code: u8,
    /// Toolchain that ran.
    pub toolchain: ToolchainId,
    /// Whether the bytes can be compared with another compile's.
    pub class: Comparability,
    /// Wall-clock time of the compile in ms, for the statistics of time saved and for budgets.
    pub wall_ms: u32,
    /// CPU time of the compile in ms.
    pub cpu_ms: u32,
}

impl Outcome {
    /// Iterates over all content in the order in which a bundle carries it: outputs, stdout, stderr.
    pub fn contents(&self) -> impl Iterator<Item = BlobRef> + '_ {
        self.outputs.iter().map(|output| output.content).chain([self.stdout, self.stderr])
    }

    /// Returns the bytes of all content, uncompressed.
    pub fn total_size(&self) -> u64 {
        self.contents().fold(0, |sum, content| sum.saturating_add(content.size))
    }

    /// Checks counts, order and sizes.
    ///
    /// # Errors
    /// [`DecodeError::OutOfRange`] names what is wrong.
    pub fn validate(&self) -> Result<(), DecodeError> {
        ensure(self.outputs.len() <= limits::OUTPUTS_MAX, "number of outputs")?;
        ensure(self.outputs.is_sorted_by(|a, b| a.role < b.role), "order of outputs")?;
        ensure(self.contents().all(|content| content.size <= limits::BLOB_MAX), "size of a blob")?;
        ensure(self.total_size() <= limits::OUTCOME_MAX, "size of all blobs")?;
        ensure(self.exit_code == 0, "exit code")
    }
}

/// The statement that a signer signs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// Cluster in which it was made; an entry is worth nothing in another.
    pub cluster: ClusterId,
    /// Namespace in which it was made.
    pub namespace: Namespace,
    /// The key, with its type.
    pub key: EntryKey,
    /// What the compile gave.
    pub outcome: Outcome,
    /// Who ran it.
    pub signer: SignerId,
}

impl Claim {
    /// Tells whether the claim is about what was asked for. A consumer asks this of every entry that a peer hands it:
    /// the signature alone does not say that the entry lies under the right key.
    pub fn answers(&self, cluster: ClusterId, namespace: &Namespace, key: EntryKey) -> bool {
        self.cluster == cluster && self.namespace == *namespace && self.key == key
    }
}

impl Format for Claim {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::BUNDLE_HEAD_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        self.outcome.validate()
    }
}

/// A claim with its signature.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// What is claimed.
    pub claim: Claim,
    /// Signature of `claim.signer` over the claim's encoding.
    pub signature: Signature,
}

impl Entry {
    /// Signs a claim. `claim.signer` is overwritten by the key's own name, so that nobody signs for another by mistake.
    pub fn sign(mut claim: Claim, key: &SigningKey) -> Self {
        claim.signer = key.public().signer_id();
        let signature = key.sign(Purpose::Entry, &claim.to_bytes());
        Self { claim, signature }
    }

    /// Checks that `key` belongs to the claimed signer and made the signature.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.signer_id() == self.claim.signer
            && key.verifies(Purpose::Entry, &self.claim.to_bytes(), &self.signature)
    }
}

impl Format for Entry {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::BUNDLE_HEAD_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        self.claim.validate()
    }
}

/// The statement of an alias: a key names the bundle that lies under another key of the same compile.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AliasClaim {
    /// Cluster in which it was made.
    pub cluster: ClusterId,
    /// Namespace in which it was made.
    pub namespace: Namespace,
    /// The second name, with its type.
    pub key: EntryKey,
    /// Where the bundle lies.
    pub target: EntryKey,
    /// [`outcome_digest`] of the target: an alias cannot be bent to other outputs under the same target.
    pub outcome: Digest,
    /// Who says so.
    pub signer: SignerId,
}

impl Format for AliasClaim {
    const VERSION: u8 = 2;
    const LIMIT: usize = limits::ALIAS_MAX;
}

impl AliasClaim {
    /// Tells whether the alias makes `entry` the answer for `key`: same cluster and namespace, this target, these outputs.
    pub fn leads(&self, cluster: ClusterId, namespace: &Namespace, key: EntryKey, entry: &Claim) -> bool {
        let asked = self.cluster == cluster && self.namespace == *namespace && self.key == key;
        asked
            && entry.answers(cluster, namespace, self.target)
            && self.outcome == outcome_digest(&entry.outcome)
    }
}

/// An alias claim with its signature. It is its signer's own claim, judged by policy like any entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Alias {
    /// What is claimed.
    pub claim: AliasClaim,
    /// Signature of `claim.signer` over the claim's encoding.
    pub signature: Signature,
}

impl Alias {
    /// Signs a claim under the key's own name.
    pub fn sign(mut claim: AliasClaim, key: &SigningKey) -> Self {
        claim.signer = key.public().signer_id();
        let signature = key.sign(Purpose::Alias, &claim.to_bytes());
        Self { claim, signature }
    }

    /// Checks that `key` belongs to the claimed signer and made the signature.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.signer_id() == self.claim.signer
            && key.verifies(Purpose::Alias, &self.claim.to_bytes(), &self.signature)
    }
}

impl Format for Alias {
    const VERSION: u8 = 2;
    const LIMIT: usize = limits::ALIAS_MAX;
}

/// Digest of what a compile gave, without how long it took: two honest signers of one compile agree on it.
///
/// An [`AliasClaim`] carries it, so that a second push of the same bytes by a slower machine leaves the alias good.
pub fn outcome_digest(outcome: &Outcome) -> Digest {
    let timeless = Outcome { wall_ms: 0, cpu_ms: 0, ..outcome.clone() };
    let bytes = postcard::to_extend(&timeless, Vec::new()).expect("an outcome always serializes");
    Digest::of(&bytes)
}
