//! The snapshot's encoding, and what must hold of every state: checked when a snapshot is read, and by the tests after every command.

use super::{Cluster, ControlState};
use dccache_protocol::codec::{DecodeError, Format, ensure};
use dccache_protocol::limits;

/// More than can ever be unfinished: what is allowed plus the removal of every node.
const LAYOUTS_MAX: usize = limits::UNFINISHED_LAYOUTS_MAX + limits::MEMBERS_MAX;

impl Format for ControlState {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::CONTROL_STATE_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        self.cluster.as_deref().map_or(Ok(()), Cluster::validate)
    }
}

impl Cluster {
    fn validate(&self) -> Result<(), DecodeError> {
        ensure((1..=limits::ROOTS_MAX).contains(&self.roots.len()), "number of roots")?;
        ensure(self.issuers.len() <= limits::ISSUERS_MAX, "number of issuers")?;
        ensure((1..=limits::MEMBERS_MAX).contains(&self.nodes.len()), "number of nodes")?;
        ensure(self.tokens.len() <= limits::TOKENS_MAX, "number of tokens")?;
        ensure((1..=limits::NAMESPACES_MAX).contains(&self.namespaces.len()), "number of namespaces")?;
        ensure(self.acknowledged.len() <= 2 * limits::MEMBERS_MAX, "number of acknowledgements")?;
        self.validate_layouts()?;
        self.directory.validate()?;
        ensure(self.directory.cluster == self.id, "cluster of the directory")?;
        ensure(self.directory_signatures.len() <= limits::VOTERS_MAX, "signatures of the directory")?;
        self.published.as_ref().map_or(Ok(()), Format::validate)?;
        self.revocations.as_ref().map_or(Ok(()), Format::validate)
    }

    fn validate_layouts(&self) -> Result<(), DecodeError> {
        ensure((1..=LAYOUTS_MAX).contains(&self.layouts.len()), "number of layouts")?;
        ensure(self.voter_changes.len() <= limits::VOTER_CHANGES_MAX, "number of changes of voters")?;
        let ascends = |layouts: &[_]| layouts.is_sorted_by(|a: &&_, b: &&_| epoch(a) < epoch(b));
        let all: Vec<_> = self.layouts.iter().chain(&self.waiting).collect();
        ensure(ascends(&all), "order of layouts")?;
        ensure(ascends(&self.voter_changes.iter().collect::<Vec<_>>()), "order of changes of voters")?;
        for signed in all.iter().copied().chain(&self.voter_changes) {
            signed.validate()?;
            ensure(signed.layout.cluster == self.id, "cluster of a layout")?;
        }
        let newest = &self.waiting.as_ref().unwrap_or(self.in_force()).layout;
        ensure(newest.members.iter().map(|member| &member.id).eq(self.nodes.keys()), "members")
    }
}

fn epoch(signed: &dccache_protocol::layout::SignedLayout) -> dccache_protocol::ids::Epoch {
    signed.layout.epoch
}
