//! Values that tests of several modules begin with.

use dccache_protocol::digest::Digest;
use dccache_protocol::entry::{BlobRef, Comparability, Outcome, Output, OutputRole};
use dccache_protocol::ids::ToolchainId;

/// What a compile gave that wrote this object and nothing else.
pub(crate) fn outcome(object: &[u8]) -> Outcome {
    Outcome {
        outputs: vec![Output { role: OutputRole::Object, content: BlobRef::of(object) }],
        stdout: BlobRef::of(b""),
        stderr: BlobRef::of(b""),
        exit_code: 0,
        toolchain: ToolchainId::from_digest(Digest::of(b"t")),
        class: Comparability::Reproducible,
        wall_ms: 1,
        cpu_ms: 1,
    }
}
