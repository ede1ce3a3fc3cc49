//! The first start: a root, an administrator, an issuer, a node and the layout that has only it.

use crate::error::StartError;
use crate::home::{Home, NodeFile, random};
use crate::layouts::{Book, Layouts};
use crate::settings::{DEFAULT_CAPACITY, DEFAULT_REPLICAS, DEFAULT_WEIGHT, Settings};
use dccache_protocol::codec::Format as _;
use dccache_protocol::control::{Command, Founding, Issuer, Root};
use dccache_protocol::ids::NodeId;
use dccache_protocol::layout::{Member, SignedLayout};
use dccache_ring::accept::Trusted;
use dccache_ring::plan::{Wanted, plan_first};
use dccache_transport::identity::{
    Authority, Identity, KeyPair, LeafTerms, create_private_dir, write_private,
};
use std::net::SocketAddr;
use std::sync::Arc;

/// Founds a cluster in an unused data directory. Nothing outside of it is touched; the last file makes it count, and until then a
/// repeated call begins anew.
pub(crate) fn found(home: &Home, settings: &Settings, listen: SocketAddr) -> Result<NodeFile, StartError> {
    let now = settings.clock.now();
    let id = NodeId(random(home.root())?);
    let authority = Authority::found(id, now)?;
    let cluster = authority.root.cluster();
    let key = Arc::new(KeyPair::generate()?);
    let chain = authority.issuer.issue(&LeafTerms::node(id, key.public(), vec![listen.ip()]), now)?;
    Identity::new(key, chain)?.save(&home.path("identity"), &[authority.root.certificate().clone()])?;
    save_authority(home, &authority)?;
    let voter = home.make_voter_key()?;
    let weight = settings.weight.unwrap_or(DEFAULT_WEIGHT);
    let member = Member {
        id,
        addresses: vec![listen],
        weight,
        zone: settings.first_zone(),
        voter_key: voter.public(),
    };
    let replicas = settings.replicas.unwrap_or(DEFAULT_REPLICAS);
    let wanted = Wanted { members: vec![member], voters: vec![id], replicas };
    let layout = plan_first(cluster, wanted).map_err(|error| StartError::State(error.to_string()))?;
    let layout = SignedLayout::by_root(layout, authority.root.key().signing_key());
    let founding = Founding {
        cluster,
        roots: vec![Root {
            key: authority.root.key().public(),
            certificate: authority.root.certificate().to_vec(),
        }],
        issuers: vec![Issuer {
            key: authority.issuer.key().public(),
            node: id,
            certificate: authority.issuer.certificate().to_vec(),
        }],
        administrator: authority.administrator.public(),
        layout: layout.clone(),
    };
    write_private(&home.path("founding.bin"), &Command::Found(Box::new(founding)).to_bytes())?;
    let trusted = Trusted::vouched(layout, cluster).map_err(|error| StartError::State(error.to_string()))?;
    Book::create(&home.path("layouts"), &Layouts::begin(trusted))?;
    let capacity = settings.capacity_bytes.unwrap_or(DEFAULT_CAPACITY);
    let node = NodeFile::new(id, cluster, listen, settings.first_zone(), weight, capacity);
    home.finish(&node)?;
    Ok(node)
}

fn save_authority(home: &Home, authority: &Authority) -> Result<(), StartError> {
    let directory = home.path("authority");
    create_private_dir(&directory)?;
    create_private_dir(&home.path("tokens"))?;
    write_private(&directory.join("root.key"), authority.root.key().to_pem().as_bytes())?;
    write_private(&directory.join("root.der"), authority.root.certificate())?;
    write_private(&directory.join("administrator.key"), authority.administrator.to_pem().as_bytes())?;
    write_private(&directory.join("issuer.key"), authority.issuer.key().to_pem().as_bytes())?;
    write_private(&directory.join("issuer.der"), authority.issuer.certificate())?;
    Ok(())
}

/// Reads the founding command; `None` on a node that joined.
pub(crate) fn read(home: &Home) -> Option<Command> {
    let bytes = std::fs::read(home.path("founding.bin")).ok()?;
    Command::from_bytes(&bytes).ok()
}
