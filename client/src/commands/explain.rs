//! `dccache explain`: what was done with a compile or a build, and why.

use super::open_home;
use super::stats::parse_time;
use crate::explain::{
    Build, Explained, Known, as_json, as_text, build_as_json, build_as_text, causes, causes_of, read,
    signer_name,
};
use crate::front::foresee_call;
use crate::home::Home;
use crate::say::{answer, complain, say};
use crate::stats::{Event, events_since};
use clap::Args;
use serde_json::json;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Shown behind the options.
const MORE: &str = "\
  dccache explain                   the last compile in this directory, else the last one of all
  dccache explain a.o               the last compile that wrote a.o; a source is found as well
  dccache explain -- gcc -c a.c     what would happen to this call now, and what happened last; nothing is compiled
  dccache explain --build           all compiles since the last pause of two minutes, misses by cause
  dccache explain --build src       of those only the ones in src and below
It works from records: of compiles (a month, some 10,000 of them) and of what they read. `stats = false` keeps none.

Exit codes:
  0  explained
  1  nothing is recorded of it
  2  the call or the configuration is not understood";

/// Arguments of `dccache explain`.
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub(super) struct ExplainCommand {
    /// An object or source, or `last`; with --build a directory
    what: Option<OsString>,
    /// Sum the last build: misses by cause, largest saving first
    #[arg(long)]
    build: bool,
    /// With --build: what happened in this time, such as 10m, in place of what happened since the last pause
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "build")]
    since: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Behind two dashes, a call as it would follow `dccache`
    #[arg(last = true, value_name = "CALL", conflicts_with_all = ["what", "build"])]
    call: Vec<OsString>,
}

/// Runs it; returns the exit code.
pub(super) fn run(command: &ExplainCommand) -> i32 {
    let (home, config) = match open_home() {
        Ok(opened) => opened,
        Err(code) => return code,
    };
    let events = events_since(&home, 0);
    if !command.call.is_empty() {
        return explain_call(command, &home, &events);
    }
    if events.is_empty() {
        match config.stats {
            true => complain!("dccache: nothing was compiled yet; try `dccache gcc -c x.c`"),
            false => complain!(
                "dccache: nothing is recorded, since `stats` is off: `dccache config set stats true`"
            ),
        }
        say_where_else();
        return 1;
    }
    let records = read(&home, now_ms());
    let known = Known::new(&home, &records);
    let directory = std::env::current_dir().unwrap_or_default();
    let what = command.what.as_deref().filter(|what| *what != "last");
    if command.build {
        return explain_build(command, &known, &events, what.map(|what| directory.join(what)).as_deref());
    }
    let found = match what {
        Some(what) => events.iter().rev().find(|event| names(event, &directory, what)),
        None => {
            let here = |event: &&Event| event.directory == directory.as_os_str().as_bytes();
            events.iter().rev().find(here).or_else(|| events.last())
        }
    };
    let Some(event) = found else {
        let what = what.unwrap_or_default().display();
        complain!(
            "dccache: no compile is recorded that wrote or read {what}; `dccache explain` takes the last one"
        );
        say_where_else();
        return 1;
    };
    tell(&home, &known, event, command.json);
    0
}

/// What ccache's name leads to is configured by ccache's variables, which say nothing to a command of our own.
fn say_where_else() {
    complain!(
        "dccache: what is compiled under the name `ccache` with CCACHE_DIR is recorded there: `DCCACHE_DIR=$CCACHE_DIR dccache explain ...`"
    );
}

fn tell(home: &Home, known: &Known<'_>, event: &Event, json: bool) {
    let causes = causes(known, event);
    let signer = event.signer.map(|id| signer_name(home, &id));
    let explained = Explained { event, causes: &causes, signer };
    match json {
        true => say!("{:#}", as_json(&explained)),
        false => answer(format_args!("{}", as_text(&explained))),
    }
}

/// Tells what would happen to a call now, and what happened when it was made last.
fn explain_call(command: &ExplainCommand, home: &Home, events: &[Event]) -> i32 {
    let foreseen = match foresee_call(&command.call) {
        Ok(foreseen) => foreseen,
        Err(code) => return code,
    };
    let records = read(home, now_ms());
    let known = Known::new(home, &records).with_texts(&foreseen.dates);
    let event = &foreseen.event;
    let signer = |event: &Event| event.signer.map(|id| signer_name(home, &id));
    let now_causes = causes_of(&known, event, foreseen.record.as_ref());
    let now = Explained { event, causes: &now_causes, signer: signer(event) };
    let same = |other: &&Event| {
        other.directory == event.directory && !event.output.is_empty() && other.output == event.output
    };
    let last = events.iter().rev().find(same);
    let last_causes = last.map(|last| causes(&known, last)).unwrap_or_default();
    let last = last.map(|last| Explained { event: last, causes: &last_causes, signer: signer(last) });
    if command.json {
        let mut told = as_json(&now);
        told["verify"] = json!(foreseen.verify);
        say!("{:#}", json!({ "now": told, "last": last.as_ref().map(as_json) }));
        return 0;
    }
    let verify = foreseen.verify.as_ref().map(|share| {
        let which = if share == "always" { "it is".to_owned() } else { format!("{share} of all hits are") };
        format!("{:<12} {which} compiled as well, and the compiler's outputs are delivered\n", "verify")
    });
    let last = last.as_ref().map(|last| {
        format!("\nWhat happened when {} was written last:\n{}", event.output.escape_ascii(), as_text(last))
    });
    let (now, verify, last) = (as_text(&now), verify.unwrap_or_default(), last.unwrap_or_default());
    answer(format_args!("What would happen now:\n{now}{verify}{last}"));
    0
}

fn explain_build(
    command: &ExplainCommand,
    known: &Known<'_>,
    events: &[Event],
    within: Option<&Path>,
) -> i32 {
    let within = within.map(normal);
    let inside = |event: &&Event| {
        within
            .as_ref()
            .is_none_or(|within| Path::new(OsStr::from_bytes(&event.directory)).starts_with(within))
    };
    let chosen: Vec<Event> = events.iter().filter(inside).cloned().collect();
    let since = command.since.map(|seconds| now_ms().saturating_sub(seconds.saturating_mul(1000)));
    let build = Build::of(known, &chosen, since);
    if build.compiles() == 0 {
        complain!("dccache: nothing was compiled there in that time");
        return 1;
    }
    match command.json {
        true => say!("{:#}", build_as_json(&build)),
        false => answer(format_args!("{}", build_as_text(&build))),
    }
    0
}

/// Tells whether a compile wrote or read a file that is named from a directory.
fn names(event: &Event, directory: &Path, what: &OsStr) -> bool {
    let wanted = normal(&directory.join(what));
    let place =
        |name: &[u8]| normal(&Path::new(OsStr::from_bytes(&event.directory)).join(OsStr::from_bytes(name)));
    [&event.output, &event.source].into_iter().any(|name| !name.is_empty() && place(name) == wanted)
}

/// Returns a path with the links of its directory followed, where that exists, and its dots.
fn normal(path: &Path) -> PathBuf {
    let name = path.file_name().map(OsStr::to_owned);
    let real = path.parent().and_then(|parent| parent.canonicalize().ok());
    if let (Some(name), Some(real)) = (name, real) {
        return real.join(name);
    }
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
