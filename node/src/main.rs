//! `dccache-node`: runs a node until a signal, or asks the one that runs.

mod cli;

use anyhow::Context as _;
use clap::Parser as _;
use cli::{Ca, Cli, Command, Layout, Query, Serve, Token};
use dccache_node::{
    AdminAnswer, AdminRequest, Ci, DEFAULT_LARGEST_WEIGHT, Founded, Node, Settings, StartError, TokenKind,
    ask,
};
use dccache_protocol::ids::Label;
use dccache_protocol::token::JoinToken;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code when no node answers on the data directory.
const NOT_RUNNING: u8 = 17;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("DCCACHE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,dccache_node=info,openraft=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::from(error).context("the runtime does not start")),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// Prints one line with the whole chain of causes; the exit code says of which family it is.
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("dccache-node: {error:#}");
    ExitCode::from(error.downcast_ref::<StartError>().map_or(1, StartError::exit_code))
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(serve) => {
            let mut settings: Settings = serve.place.settings();
            settings.replicas = serve.replicas;
            let node = Node::serve(settings).await?;
            if node.founded() == Founded::Now {
                print_invitations(&node, &serve)?;
            }
            until_signal(node, serve.ready_fd).await
        }
        Command::Join(join) => {
            let token: JoinToken = join.token.parse().map_err(StartError::from)?;
            let settings = join.place.settings();
            if join.enrol_only {
                Node::enrol(settings, &token).await?;
                return Ok(ExitCode::SUCCESS);
            }
            let node = Node::join(settings, &token).await?;
            until_signal(node, join.ready_fd).await
        }
        Command::Status(query) => show(&query, AdminRequest::Status).await,
        Command::Layout { command: Layout::Show(query) } => show(&query, AdminRequest::Layout).await,
        Command::Ca { command: Ca::List(query) } => show(&query, AdminRequest::Tokens).await,
        Command::Ca { command: Ca::Token(token) } => make_tokens(&token).await,
    }
}

/// Serves until SIGTERM or SIGINT, then drains.
async fn until_signal(node: Node, ready_fd: Option<i32>) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    node.announce()?;
    println!("ready {}", node.address());
    std::io::stdout().flush()?;
    if let Some(descriptor) = ready_fd {
        let path = format!("/proc/self/fd/{descriptor}");
        let mut file = std::fs::File::options().write(true).open(&path).context("--ready-fd")?;
        writeln!(file, "{}", node.address())?;
    }
    let stale = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        stale = node.must_end() => Some(stale),
    };
    node.drain().await?;
    match stale {
        Some(error) => Err(error.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn print_invitations(node: &Node, serve: &Serve) -> anyhow::Result<()> {
    let missing = "the founder can always invite";
    let operator: Label = "default".parse()?;
    let for_node = TokenKind::Node { zone: None, largest_weight: DEFAULT_LARGEST_WEIGHT };
    let for_node = node.token(&for_node)?.context(missing)?;
    let for_client = node
        .token(&TokenKind::Writer { operator, ci: None::<Ci>, namespaces: Vec::new() })?
        .context(missing)?;
    if serve.print_join_json {
        println!("{}", serde_json::json!({"node": for_node.to_string(), "client": for_client.to_string()}));
        return Ok(());
    }
    println!("cluster {} is founded; each line is good for one machine, for 24 hours:", node.cluster());
    println!("  dccache-node join {for_node}");
    println!("  dccache join {for_client}");
    println!("more: dccache-node ca token --node | --client | --reader");
    Ok(())
}

async fn asked(query: &Query, request: &AdminRequest) -> Result<AdminAnswer, ExitCode> {
    let data = query.data.directory();
    ask(&data, request).await.map_err(|error| {
        eprintln!(
            "dccache-node: no node runs on {} ({error}); start it with `dccache-node serve`",
            data.display()
        );
        ExitCode::from(NOT_RUNNING)
    })
}

async fn make_tokens(token: &Token) -> anyhow::Result<ExitCode> {
    let request = AdminRequest::Token { kind: token.kind(), count: token.count };
    let tokens = match asked(&token.query, &request).await {
        Ok(AdminAnswer::Token(tokens)) => tokens,
        Ok(answer) => return refused(&answer),
        Err(code) => return Ok(code),
    };
    if token.query.json {
        println!("{}", serde_json::to_string(&tokens)?);
        return Ok(ExitCode::SUCCESS);
    }
    let program = if token.node { "dccache-node" } else { "dccache" };
    tokens.iter().for_each(|token| println!("{program} join {token}"));
    Ok(ExitCode::SUCCESS)
}

fn refused(answer: &AdminAnswer) -> anyhow::Result<ExitCode> {
    match answer {
        AdminAnswer::Failed(why) => anyhow::bail!("{why}"),
        _ => anyhow::bail!("the node gave an unexpected answer: node and command are of different versions"),
    }
}

async fn show(query: &Query, request: AdminRequest) -> anyhow::Result<ExitCode> {
    let answer = match asked(query, &request).await {
        Ok(answer) => answer,
        Err(code) => return Ok(code),
    };
    let json = match &answer {
        AdminAnswer::Status(status) => serde_json::to_string_pretty(status)?,
        AdminAnswer::Layout(layout) => serde_json::to_string_pretty(layout)?,
        AdminAnswer::Tokens(tokens) => serde_json::to_string_pretty(tokens)?,
        _ => return refused(&answer),
    };
    if query.json {
        println!("{json}")
    } else {
        print_text(&answer)
    }
    Ok(ExitCode::SUCCESS)
}

fn print_text(answer: &AdminAnswer) {
    match answer {
        AdminAnswer::Status(report) => {
            let status = &report.status;
            println!("node {} at {}, up {} s", status.node, report.address, status.uptime_s);
            println!("cluster {}, layout {} of {} nodes", report.cluster, report.epoch, report.members);
            println!("{} records, {} of {} bytes", status.records, status.bytes, status.capacity_bytes);
            println!("{} of {} look-ups hit, {} bytes out", status.hits, status.finds, status.bytes_out);
            println!(
                "{} bundles stored, {} bytes in, {} copies for others",
                status.puts, status.bytes_in, status.replicas
            );
            println!(
                "{} refused, {} quarantined, {} evicted",
                status.refusals, status.quarantined, status.evicted
            );
            println!("{} hints waiting, {} partitions to pull", status.hints, status.pending_partitions);
        }
        AdminAnswer::Layout(layout) => {
            println!("layout {}, {} replicas", layout.epoch, layout.replicas);
            for member in &layout.members {
                let addresses: Vec<String> = member.addresses.iter().map(ToString::to_string).collect();
                let votes = if member.votes { ", votes" } else { "" };
                println!(
                    "  {} {} zone {} weight {} partitions {}{votes}",
                    member.node,
                    addresses.join(" "),
                    member.zone,
                    member.weight,
                    member.partitions
                );
            }
        }
        AdminAnswer::Tokens(tokens) => {
            for token in tokens {
                let used = if token.used { "used" } else { "open" };
                println!("{} {} {used} until {} ms", token.token, token.role, token.expires_ms);
            }
        }
        AdminAnswer::Token(_) | AdminAnswer::Failed(_) => {}
    }
}
