//! The command line of `dccache-node`: what can be typed, and what it means.

use clap::{Args, Parser, Subcommand};
use dccache_node::{Ci, DEFAULT_LARGEST_WEIGHT, DEFAULT_PORT, EXIT_CODES, Settings, TokenKind};
use dccache_protocol::ids::{Label, Namespace};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A node of a dccache cluster.
#[derive(Debug, Parser)]
#[command(name = "dccache-node", version, about, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve. The first run founds a cluster and prints one line for nodes and one for clients.
    Serve(Serve),
    /// Make this machine a node of a cluster, and serve.
    Join(Join),
    /// Show what the running node holds and counts.
    Status(Query),
    /// Show the layout.
    Layout {
        #[command(subcommand)]
        command: Layout,
    },
    /// Invite machines.
    Ca {
        #[command(subcommand)]
        command: Ca,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Layout {
    /// Show members, weights and partitions.
    Show(Query),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ca {
    /// Make join tokens: each for one machine, once, within 24 hours.
    Token(Token),
    /// List the tokens that this node gave out.
    List(Query),
}

#[derive(Debug, Args)]
pub(crate) struct Data {
    /// Data directory.
    #[arg(long, value_name = "DIR", env = "DCCACHE_NODE_DATA")]
    data: Option<PathBuf>,
}

impl Data {
    /// Returns the data directory: as given, else under the user's data home, else for the system.
    pub(crate) fn directory(&self) -> PathBuf {
        let home = || std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
        let user = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
        let named = self.data.clone().or_else(|| home().or_else(user).map(|base| base.join("dccache-node")));
        named.unwrap_or_else(|| PathBuf::from("/var/lib/dccache-node"))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Address under which other machines reach this one [default: that of the default route, port 7373].
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen)]
    listen: Option<SocketAddr>,
    /// Where connections arrive when a forwarder stands at the address of --listen, as before a container [default: there].
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen)]
    bind: Option<SocketAddr>,
    /// Bytes to store at most, for example 50GiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    capacity: Option<u64>,
    /// Where the node stands; replicas prefer different zones.
    #[arg(long, value_name = "NAME")]
    zone: Option<Label>,
    /// Share of the keys relative to other nodes' weights.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    weight: Option<u32>,
}

impl Place {
    /// Returns the settings.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.data.directory());
        settings.listen = self.listen;
        settings.bind = self.bind;
        settings.capacity_bytes = self.capacity;
        settings.zone.clone_from(&self.zone);
        settings.weight = self.weight;
        settings
    }
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Replicas of a cluster that this run founds.
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub(crate) replicas: Option<u8>,
    /// Print the join tokens of a founded cluster as one line of JSON.
    #[arg(long)]
    pub(crate) print_join_json: bool,
    /// Write the address to this descriptor once the node serves.
    #[arg(long, value_name = "FD")]
    pub(crate) ready_fd: Option<i32>,
}

#[derive(Debug, Args)]
pub(crate) struct Join {
    /// What `dccache-node ca token --node` printed.
    pub(crate) token: String,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only enrol; `dccache-node serve` serves later.
    #[arg(long)]
    pub(crate) enrol_only: bool,
    /// Write the address to this descriptor once the node serves.
    #[arg(long, value_name = "FD")]
    pub(crate) ready_fd: Option<i32>,
}

#[derive(Debug, Args)]
pub(crate) struct Query {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("kind").required(true))]
pub(crate) struct Token {
    #[command(flatten)]
    pub(crate) query: Query,
    /// For a node.
    #[arg(long, group = "kind")]
    pub(crate) node: bool,
    /// For a client that looks up and pushes.
    #[arg(long, group = "kind")]
    client: bool,
    /// For a client that only looks up.
    #[arg(long, group = "kind")]
    reader: bool,
    /// How many tokens.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) count: u32,
    /// Zone in which the node must stand [default: the node says].
    #[arg(long, value_name = "NAME", requires = "node")]
    zone: Option<Label>,
    /// Largest weight that the node may take.
    #[arg(long, value_name = "N", requires = "node", default_value_t = DEFAULT_LARGEST_WEIGHT)]
    max_weight: u32,
    /// Who answers for the client's word.
    #[arg(long, value_name = "NAME", default_value = "default")]
    operator: Label,
    /// The client is a build server: policies can accept it alone.
    #[arg(long, requires = "client")]
    ci: bool,
    /// Namespace to which the client may push, can be given several times [default: all].
    #[arg(long = "namespace", value_name = "NAME", requires = "client")]
    namespaces: Vec<Label>,
}

impl Token {
    /// Returns what the token is for.
    pub(crate) fn kind(&self) -> TokenKind {
        let operator = self.operator.clone();
        if self.node {
            TokenKind::Node { zone: self.zone.clone(), largest_weight: self.max_weight.max(1) }
        } else if self.client {
            let namespaces: BTreeSet<Label> = self.namespaces.iter().cloned().collect();
            let namespaces = namespaces.into_iter().map(Namespace).collect();
            TokenKind::Writer { operator, ci: self.ci.then_some(Ci), namespaces }
        } else {
            TokenKind::Reader { operator }
        }
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let address = text
        .parse::<SocketAddr>()
        .or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, DEFAULT_PORT)))
        .map_err(|_| "give an address and a port, for example 192.168.1.10:7373".to_owned())?;
    if address.ip().is_unspecified() {
        return Err(format!(
            "{} is no identity; give the address under which other machines reach this one",
            address.ip()
        ));
    }
    Ok(address)
}

/// Parses a size with a unit: bytes, or K, M, G, T with or without B or iB; all powers of 1024, as disks' caches count.
fn parse_size(text: &str) -> Result<u64, String> {
    let bad = || "give a size, for example 50GiB or 500M".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| bad())?;
    let unit = text[digits..].trim().to_ascii_lowercase();
    let shift = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(bad()),
    };
    number.checked_mul(1 << shift).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_addresses_are_identities() {
        assert_eq!(parse_size("50GiB"), Ok(50 << 30));
        assert_eq!(parse_size("512"), Ok(512));
        assert_eq!(parse_size("3m"), Ok(3 << 20));
        assert!(
            parse_size("many").is_err() && parse_size("1x").is_err() && parse_size("99999999999T").is_err()
        );
        assert!(parse_listen("0.0.0.0:7373").is_err() && parse_listen("[::]:1").is_err());
        assert_eq!(parse_listen("127.0.0.1").unwrap().port(), DEFAULT_PORT);
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
