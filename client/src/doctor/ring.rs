//! What connects this machine to its cluster: membership, certificate, clock, the way to every node.

use super::Check;
use crate::agent::chain;
use crate::cluster::Membership;
use crate::home::Home;
use dccache_protocol::directory::Standing;
use dccache_protocol::layout::Member;
use dccache_protocol::time::{Clock, UnixMillis};
use dccache_transport::clock::SystemClock;
use dccache_transport::dial::{DialFault, Dialer};
use dccache_transport::endpoint::{Channel, Endpoint};
use dccache_transport::identity::{Renewal, Subject};
use dccache_transport::trust::Trust;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest time for one address: a person waits.
const DIAL: Duration = Duration::from_secs(2);

/// Issuers date certificates back by this much, in ms.
const BACKDATED_MS: u64 = 3_600_000;

/// Difference of clocks that disturbs nothing, in ms.
const CLOCK_SLACK_MS: u64 = 60_000;

const HOUR_MS: u64 = 3_600_000;

/// Looks at everything that has to do with a cluster.
pub(super) fn examine(home: &Home) -> Vec<Check> {
    let directory = home.path().join("cluster");
    let membership = match Membership::load(&directory) {
        Ok(None) => {
            return vec![Check::ok("cluster", "in none; `dccache join TOKEN` makes this machine a client")];
        }
        Ok(Some(membership)) => membership,
        Err(error) => {
            return vec![Check::fail("cluster", chain(&error), "join again with a new token")];
        }
    };
    let clock = Arc::new(SystemClock::from_environment());
    let now = clock.now();
    let cluster = membership.member.cluster.to_string();
    let text = format!(
        "{} as {} for {}, layout {}, directory {}",
        &cluster[..12],
        membership.member.role,
        membership.member.operator,
        membership.layout.layout().epoch.0,
        membership.signers.number()
    );
    let mut checks = vec![Check::ok("cluster", text)];
    checks.extend(signer(&membership));
    checks.push(certificate(&membership, now));
    let own = membership.identity.subject().clone();
    let members = membership.layout.layout().members.clone();
    let trust = Trust::new(membership.member.cluster, membership.roots, clock);
    let (trust, runtime) = match (trust, tokio::runtime::Builder::new_current_thread().enable_all().build()) {
        (Ok(trust), Ok(runtime)) => (trust, runtime),
        (Err(error), _) => {
            checks.push(Check::fail("roots", chain(&error), "join again with a new token"));
            return checks;
        }
        (_, Err(error)) => {
            checks.push(Check::fail("nodes", error.to_string(), "free some file descriptors"));
            return checks;
        }
    };
    let dialer = Dialer::new(Endpoint::new(membership.identity, trust));
    let asked =
        runtime.block_on(futures::future::join_all(members.iter().map(|member| ask(&dialer, member))));
    let seen: Vec<Subject> = asked.iter().filter_map(|(_, subject)| subject.clone()).collect();
    checks.push(clock_check(now, seen.iter().chain([&own])));
    checks.extend(asked.into_iter().map(|(check, _)| check));
    checks
}

fn signer(membership: &Membership) -> Option<Check> {
    let id = membership.signer.as_ref()?.public().signer_id();
    let name = id.to_string();
    Some(match membership.signers.signer(&id).map(|record| record.standing) {
        Some(Standing::Active) => Check::ok("signer", &name[..12]),
        Some(Standing::Retired(_)) => {
            Check::fail("signer", format!("{} is retired", &name[..12]), "join again with a new token")
        }
        Some(Standing::CompromisedSince(_)) => Check::fail(
            "signer",
            format!("{} counts as compromised: nothing that it signs is accepted", &name[..12]),
            "ask the administrator; a new token with a fresh DCCACHE_DIR makes a new signer",
        ),
        None => Check::warn(
            "signer",
            format!("{} is not in the directory that this machine knows", &name[..12]),
            "pushes may be refused; it is looked up again with the next unknown entry",
        ),
    })
}

fn certificate(membership: &Membership, now: UnixMillis) -> Check {
    let hours = |until: UnixMillis| until.since(now) / HOUR_MS;
    let end = membership.identity.subject().not_after;
    match membership.identity.renewal(now) {
        Renewal::NotBefore(_) => Check::ok("certificate", format!("valid for {} h", hours(end))),
        Renewal::Due(end) => Check::warn(
            "certificate",
            format!("ends in {} h and is not renewed yet", hours(end)),
            "the agent renews it; if this stays, see the nodes below",
        ),
        Renewal::Expired(last) => Check::fail(
            "certificate",
            format!("has expired; it can renew itself for {} h more", hours(last)),
            "compile something or run `dccache agent flush`: the agent renews it when an issuer answers",
        ),
        Renewal::Lost => {
            Check::fail("certificate", "ended too long ago to be renewed", "join again with a new token")
        }
    }
}

/// Compares this machine's clock with what certificates say: an issuer's clock was at `not_before` and an hour when it signed.
fn clock_check<'a>(now: UnixMillis, seen: impl Iterator<Item = &'a Subject>) -> Check {
    let newest = seen.map(|subject| subject.not_before.plus_ms(BACKDATED_MS)).max().unwrap_or_default();
    let behind = newest.since(now);
    if behind > CLOCK_SLACK_MS {
        let text = format!("this machine's clock is at least {} min behind the issuers'", behind / 60_000);
        return Check::fail("clock", text, "set the clock; run an NTP service");
    }
    Check::ok("clock", "agrees with every certificate seen")
}

async fn ask(dialer: &Dialer, member: &Member) -> (Check, Option<Subject>) {
    let id = member.id.to_string();
    let name = format!("node {}", &id[..8]);
    let mut last = None;
    for &address in &member.addresses {
        let begun = Instant::now();
        match dialer.dial(member.id, address, Channel::Rpc, begun + DIAL).await {
            Ok(outbound) => {
                let text = format!("{address} answers in {} ms", begun.elapsed().as_millis());
                return (Check::ok(name, text), Some(outbound.peer.subject.clone()));
            }
            Err(error) => last = Some((address, error)),
        }
    }
    let Some((address, error)) = last else {
        return (Check::fail(name, "no address is known", "join again with a new token"), None);
    };
    let (found, advice) = explain(address, error.fault());
    (Check::fail(name, found, advice), None)
}

fn explain(address: SocketAddr, fault: DialFault) -> (String, &'static str) {
    let (what, advice) = match fault {
        DialFault::TimedOut => {
            ("did not answer in time", "is the machine up, and does a firewall drop the packets?")
        }
        DialFault::Refused => ("refuses the connection", "start `dccache-node serve` there"),
        DialFault::Unreachable => ("cannot be reached", "check the network, VPN or route to it"),
        DialFault::NodeExpired => (
            "shows an expired certificate",
            "the node renews it by itself when an issuer answers; or this machine's clock is ahead",
        ),
        DialFault::NodeNotYetValid => (
            "shows a certificate that is not valid yet",
            "one of the two clocks is wrong; this machine's is behind?",
        ),
        DialFault::NodeForeign => (
            "shows a certificate of another CA",
            "does another cluster's node run at this address? else join again",
        ),
        DialFault::OwnExpired => (
            "says that this machine's certificate has expired",
            "compare the clocks; the agent renews certificates",
        ),
        DialFault::OwnForeign => {
            ("does not accept this machine's certificate", "join again with a new token")
        }
        DialFault::Imposter(_) => (
            "is another node, or its certificate does not list this address",
            "has the node moved? it renews its certificate for a new address",
        ),
        DialFault::TurnedAway(_) => {
            ("turns this machine away", "ask the administrator whether this machine is revoked")
        }
        DialFault::Busy => ("has as many connections as it takes", "try again; add nodes if this stays"),
        DialFault::Protocol => (
            "does not speak the protocol",
            "another program, or another version of dccache-node, listens there",
        ),
    };
    (format!("{address} {what}"), advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dccache_protocol::digest::Digest;
    use dccache_protocol::ids::{ClusterId, NodeId};
    use dccache_protocol::signing::SigningKey;
    use dccache_protocol::token::Role;
    use dccache_transport::identity::PeerName;

    fn made_at(ms: u64) -> Subject {
        Subject {
            cluster: ClusterId::from_digest(Digest::of(b"c")),
            role: Role::Node,
            name: PeerName::Node(NodeId([1; 16])),
            addresses: Vec::new(),
            key: SigningKey::from_seed(&[1; 32]).public(),
            not_before: UnixMillis(ms - BACKDATED_MS),
            not_after: UnixMillis(ms + BACKDATED_MS),
        }
    }

    #[test]
    fn a_clock_behind_the_newest_certificate_fails_and_one_ahead_of_it_does_not() {
        let now = UnixMillis(1_800_000_000_000);
        let at = |offset: i64| made_at(now.0.saturating_add_signed(offset));
        let state = |subjects: &[Subject]| clock_check(now, subjects.iter()).state;
        assert_eq!(state(&[at(-86_400_000), at(-1)]), super::super::State::Ok);
        assert_eq!(state(&[at(-86_400_000), at(30_000)]), super::super::State::Ok);
        assert_eq!(state(&[at(-86_400_000), at(2 * 3_600_000)]), super::super::State::Fail);
        assert_eq!(state(&[]), super::super::State::Ok);
    }
}
