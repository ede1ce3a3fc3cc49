//! The scenarios: each sets every contender the same task and checks that the object is there afterwards.

use crate::measure::{Contender, Samples, interleave};
use crate::peers::{Peers, Redis};
use crate::report::Table;
use crate::workload::Workload;
use anyhow::ensure;
use dccache::demo::Sources;
use dccache::loopback::{Interrupt, NodeProcess, Workstation};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything that the scenarios share; dropped, all of its processes end and its files go.
pub(crate) struct Stage<'a> {
    peers: &'a Peers,
    /// A workstation without a cluster.
    solo: Workstation,
    /// A workstation of a one-node cluster, mutual TLS on loopback.
    ringed: Workstation,
    _node: NodeProcess,
    redis: Option<Redis>,
    workload: Workload,
    home: tempfile::TempDir,
}

impl<'a> Stage<'a> {
    /// Starts the servers and writes the sources.
    pub(crate) fn set(peers: &'a Peers) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("dccache-bench-").tempdir()?;
        let node = NodeProcess::found(&peers.node, home.path(), &Interrupt::install())?;
        let ringed = Workstation::new(&home.path().join("ringed"), &peers.dccache);
        ringed.join(&node.token("--client")?)?;
        let solo = Workstation::new(&home.path().join("solo"), &peers.dccache);
        let redis = peers.redis.as_ref().map(|program| Redis::start(program, home.path())).transpose()?;
        let workload = Workload::write(&home.path().join("sources"))?;
        Ok(Self { peers, solo, ringed, _node: node, redis, workload, home })
    }

    fn ccache(&self, directory: &str, settings: &[(&str, &str)]) -> Option<impl Fn() -> Command + use<>> {
        let program = self.peers.ccache.clone()?;
        let directory = self.home.path().join(directory);
        let settings: Vec<(String, String)> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Some(move || {
            let mut command = Command::new(&program);
            command.env("CCACHE_DIR", &directory).envs(settings.iter().cloned());
            command
        })
    }
}

/// One scenario.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    about: &'static str,
    run: fn(&Stage<'_>, usize) -> anyhow::Result<Vec<Samples>>,
}

impl Scenario {
    /// Measures it.
    pub(crate) fn run(&self, stage: &Stage<'_>, rounds: usize) -> anyhow::Result<Table> {
        Ok(Table { name: self.name, about: self.about, samples: (self.run)(stage, rounds)? })
    }
}

/// Returns all scenarios in the order of the page.
pub(crate) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "local hit, C++ with about 200 headers, small object",
            about: "Whole process, warm caches, output absent before each round. dccache and `ccache preprocessed` run the preprocessor on a hit; `ccache direct` does not.",
            run: |stage, rounds| local_hit(stage, "g++", "many.cc", rounds),
        },
        Scenario {
            name: "local hit, C with few headers",
            about: "As above.",
            run: |stage, rounds| local_hit(stage, "gcc", "few.c", rounds),
        },
        Scenario {
            name: "local hit, C, object of 1 MiB that does not compress",
            about: "As above.",
            run: |stage, rounds| local_hit(stage, "gcc", "large.c", rounds),
        },
        Scenario {
            name: "remote hit, empty local store, C++ with about 200 headers",
            about: "dccache: one node, mutual TLS, signatures and digests checked, R = 1. ccache: plain Redis without TLS, local directory removed before each round (so it, too, preprocesses once or fetches its manifest).",
            run: remote_hit,
        },
        Scenario {
            name: "miss, C++ with about 200 headers",
            about: "A macro that shows in the preprocessed text changes in each round, so every round is a miss in every cache; CPU is user and system time of the whole process tree.",
            run: miss,
        },
        Scenario {
            name: "bypass",
            about: "A command that no cache handles: `gcc -E` of an empty file; the difference to the plain call is what the wrapper adds.",
            run: bypass,
        },
        Scenario {
            name: "whole build, zstd, 2 at a time",
            about: "All C files of zstd with -O2 -MMD. Cold: empty caches; warm: everything was built before.",
            run: whole_build,
        },
    ]
}

type Front<'a> = Box<dyn Fn() -> Command + 'a>;

/// A contender that compiles `source` behind `front` into an object of its own, absent before each round.
fn compile<'a>(
    name: &str,
    front: Front<'a>,
    stage: &'a Stage<'_>,
    compiler: &'a str,
    source: &'a str,
) -> Contender<'a> {
    let object = stage.home.path().join(format!("{}.o", name.replace([' ', ','], "-")));
    let (removed, made) = (object.clone(), object.clone());
    Contender {
        name: name.to_owned(),
        prepare: Box::new(move |_| Ok(remove(&removed)?)),
        command: Box::new(move |_| {
            let mut command = front();
            command.current_dir(&stage.workload.directory);
            command.args([compiler, "-O2", "-c", source, "-o"]).arg(&object);
            command
        }),
        check: Box::new(move |_| {
            ensure!(std::fs::metadata(&made)?.len() > 0, "empty object");
            Ok(())
        }),
    }
}

/// The plain contender's front is `env`, which only executes what follows; the other fronts take the same arguments.
fn plain<'a>() -> Front<'a> {
    Box::new(|| Command::new("env"))
}

fn local_hit(stage: &Stage<'_>, compiler: &str, source: &str, rounds: usize) -> anyhow::Result<Vec<Samples>> {
    let mut contenders = vec![compile("dccache", Box::new(|| stage.solo.command()), stage, compiler, source)];
    if let Some(direct) = stage.ccache("ccache-direct", &[]) {
        contenders.push(compile("ccache direct", Box::new(direct), stage, compiler, source));
    }
    if let Some(indirect) = stage.ccache("ccache-indirect", &[("CCACHE_NODIRECT", "1")]) {
        contenders.push(compile("ccache preprocessed", Box::new(indirect), stage, compiler, source));
    }
    contenders.push(compile("plain compiler", plain(), stage, compiler, source));
    interleave(contenders, rounds)
}

fn remote_hit(stage: &Stage<'_>, rounds: usize) -> anyhow::Result<Vec<Samples>> {
    let (compiler, source) = ("g++", "many.cc");
    let ring = || stage.ringed.command();
    let store = stage.ringed.directory().join("objects");
    let mut dccache = compile("dccache, mutual TLS", Box::new(ring), stage, compiler, source);
    let object = stage.home.path().join("dccache--mutual-TLS.o");
    dccache.prepare = Box::new(move |round| {
        if round == 0 {
            stage.ringed.flush()?;
        }
        remove(&object)?;
        Ok(remove(&store)?)
    });
    // The first compile fills the ring; the flush is its end.
    ensure!(
        ring()
            .args(["--", compiler, "-O2", "-c", source, "-o", "/dev/null"])
            .current_dir(&stage.workload.directory)
            .status()?
            .success()
    );
    stage.ringed.flush()?;
    let mut contenders = vec![dccache];
    if let Some(redis) = &stage.redis {
        let url = format!("redis://{}", redis.address);
        let settings = [("CCACHE_REMOTE_STORAGE", url.as_str()), ("CCACHE_SECONDARY_STORAGE", url.as_str())];
        if let Some(front) = stage.ccache("ccache-redis", &settings) {
            let mut ccache = compile("ccache, plain Redis", Box::new(front), stage, compiler, source);
            let (object, directory) =
                (stage.home.path().join("ccache--plain-Redis.o"), stage.home.path().join("ccache-redis"));
            ccache.prepare = Box::new(move |_| {
                remove(&object)?;
                Ok(remove(&directory)?)
            });
            contenders.push(ccache);
        }
    }
    contenders.push(compile("plain compiler", plain(), stage, compiler, source));
    interleave(contenders, rounds)
}

/// A compile of what no round compiled before.
fn fresh<'a>(stage: &'a Stage<'a>, name: &str, front: Front<'a>) -> Contender<'a> {
    let base = compile(name, front, stage, "g++", "round.cc");
    let mut command = base.command;
    Contender {
        command: Box::new(move |round| {
            let mut command = command(round);
            command.arg(format!("-DROUND={round}"));
            command
        }),
        ..base
    }
}

fn miss(stage: &Stage<'_>, rounds: usize) -> anyhow::Result<Vec<Samples>> {
    let mut contenders = vec![
        fresh(stage, "plain compiler", plain()),
        fresh(stage, "dccache", Box::new(|| stage.solo.command())),
    ];
    if let Some(front) = stage.ccache("ccache-miss", &[]) {
        contenders.push(fresh(stage, "ccache", Box::new(front)));
    }
    interleave(contenders, rounds)
}

fn bypass(stage: &Stage<'_>, rounds: usize) -> anyhow::Result<Vec<Samples>> {
    let call = |name: &str, front: Front<'static>| Contender {
        name: name.to_owned(),
        prepare: Box::new(|_| Ok(())),
        command: Box::new(move |_| {
            let mut command = front();
            command.args(["gcc", "-E", "-x", "c", "/dev/null"]);
            command
        }),
        check: Box::new(|_| Ok(())),
    };
    let (program, directory) = (stage.peers.dccache.clone(), stage.solo.directory().to_owned());
    let dccache = move || {
        let mut command = Command::new(&program);
        command.env("DCCACHE_DIR", &directory);
        command
    };
    let mut contenders =
        vec![call("plain compiler, through env", plain()), call("dccache", Box::new(dccache))];
    if let Some(front) = stage.ccache("ccache-direct", &[]) {
        contenders.push(call("ccache", Box::new(front)));
    }
    interleave(contenders, rounds)
}

fn whole_build(stage: &Stage<'_>, rounds: usize) -> anyhow::Result<Vec<Samples>> {
    let sources = Sources::unpack(&stage.home.path().join("zstd"))?;
    let list = sources.units.iter().map(|unit| unit.display().to_string() + "\n").collect::<String>();
    std::fs::write(sources.root.join("units"), list)?;
    let build = |name: &str, front: String, wipe: Option<PathBuf>| -> Contender<'_> {
        let root = sources.root.clone();
        Contender {
            name: name.to_owned(),
            prepare: Box::new(move |_| wipe.as_deref().map_or(Ok(()), |directory| Ok(remove(directory)?))),
            command: Box::new(move |_| {
                let mut command = Command::new("xargs");
                command.current_dir(&root).args(["-a", "units", "-P", "2", "-I", "{}", "sh", "-c"]);
                command.arg(format!(
                    "exec {front} gcc -O2 -MMD -DXXH_NAMESPACE=ZSTD_ -c {{}} -o $(echo {{}} | tr / _).o"
                ));
                command
            }),
            check: Box::new(|_| Ok(())),
        }
    };
    let dccache = |directory: &Path| {
        format!("env DCCACHE_DIR={} {}", directory.display(), stage.peers.dccache.display())
    };
    let (cold, warm) = (stage.home.path().join("build-cold"), stage.solo.directory().to_owned());
    let mut contenders = vec![
        build("plain compiler", "env".into(), None),
        build("dccache, cold", dccache(&cold), Some(cold.clone())),
        build("dccache, warm", dccache(&warm), None),
    ];
    if let Some(ccache) = &stage.peers.ccache {
        let front = |directory: &Path| format!("env CCACHE_DIR={} {}", directory.display(), ccache.display());
        let (cold, warm) = (stage.home.path().join("ccache-cold"), stage.home.path().join("ccache-warm"));
        contenders.push(build("ccache, cold", front(&cold), Some(cold.clone())));
        contenders.push(build("ccache, warm", front(&warm), None));
    }
    interleave(contenders, (rounds / 10).max(3))
}

/// Removes a file or a directory that may be absent.
fn remove(path: &Path) -> std::io::Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
