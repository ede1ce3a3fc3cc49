//! The scenarios: what is measured, as data; the modules below say how each kind is.

mod builds;
mod curves;
mod hits;
mod misses;
mod nodes;
mod stage;

pub(crate) use stage::Stage;

use crate::measure::Repeat;
use crate::report::{Curve, Table};
use crate::workload::Headers;
use std::time::Duration;

/// Longest measurement of one scenario, where whole builds may take three times as long.
const WITHIN: Duration = Duration::from_secs(60);

/// How often each scenario is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    /// Of calls that take milliseconds.
    pub(crate) short: Repeat,
    /// Of calls that compile.
    pub(crate) long: Repeat,
    /// Of whole builds.
    pub(crate) builds: Repeat,
    pub(crate) extent: Extent,
}

/// How far curves and builds go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// As far as the budgets ask.
    Full,
    /// Only so far that every scenario is seen to work.
    Quick,
}

impl Rounds {
    /// `count` of the shortest calls, fewer of longer ones.
    pub(crate) fn of(count: usize) -> Self {
        let repeat = |rounds, within| Repeat { rounds, within };
        Self {
            short: repeat(count, WITHIN),
            long: repeat((count / 4).max(3), WITHIN),
            builds: repeat((count / 20).max(3), 3 * WITHIN),
            extent: Extent::Full,
        }
    }

    /// How many headers the C++ sources include.
    pub(crate) fn headers(self) -> Headers {
        if self.extent == Extent::Full { Headers::Many } else { Headers::One }
    }

    /// As few as give a number.
    pub(crate) const QUICK: Self = {
        let once = Repeat { rounds: 1, within: WITHIN };
        Self { short: once, long: once, builds: once, extent: Extent::Quick }
    };
}

/// What is compiled where one file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    ManyHeaders,
    FewHeaders,
    Mebibyte,
}

/// How a cache finds what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As it comes.
    Default,
    /// By the preprocessor's output.
    Preprocessed,
    /// Without any preprocessor run: compiler and assembler list what they read.
    Depend,
}

/// What a project is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Zstd,
    Meshoptimizer,
}

/// Which cost grows with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Headers,
    Object,
    Entries,
}

/// What a node is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Get,
    Put,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Local(Unit, Mode),
    Ring(Duration),
    Miss(Mode),
    Bypass,
    Build(Which),
    Cost(Size),
    Node(Operation, usize),
}

/// One scenario.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    about: &'static str,
    kind: Kind,
}

/// What a scenario gives.
#[derive(Debug)]
pub(crate) enum Outcome {
    Table(Table),
    Curve(Curve),
}

const WARM: &str = "Whole process, warm caches; the object is absent before each round and compared with the plain compiler's after it.";
const FAR: &str = "Whole process, empty local store, object absent before each round. dccache: one node, mutual TLS, signatures and digests checked, R = 1; with the digests of the headers known to this machine, and without. ccache and sccache: Redis without TLS. All through the same kind of delay proxy.";
const MISS: &str = "A macro that shows in the object changes in each round, so every round is a miss in every cache. CPU is user and system time of the whole process tree.";
const BUILD: &str = "`make -j2` from a generated Makefile, objects and dependency files absent before each round; every object is compared with the plain compiler's. Cold: empty caches; warm: everything was built before; ring: the local store is empty, everything is on the ring (or Redis).";
const SERVE: &str = "Time of one request, 8 connections, one request at a time on each, server on one core and client on another. dccache-node: mutual TLS, R = 1, signature and digests of a PUT checked, log synced every second; Redis: TLS, `appendfsync everysec`, measured by `redis-benchmark`. A ratio of times is the inverse of a ratio of throughputs.";
const LINEAR: &str = "Whole process of a local hit.";

/// All of them, in the order of the page.
pub(crate) const ALL: &[Scenario] = &[
    scenario("local hit, C++ with about 200 headers", WARM, Kind::Local(Unit::ManyHeaders, Mode::Default)),
    scenario("local hit, C with few headers", WARM, Kind::Local(Unit::FewHeaders, Mode::Default)),
    scenario(
        "local hit, object of 1 MiB that does not compress",
        WARM,
        Kind::Local(Unit::Mebibyte, Mode::Default),
    ),
    scenario(
        "preprocessed hit, C++ with about 200 headers",
        WARM,
        Kind::Local(Unit::ManyHeaders, Mode::Preprocessed),
    ),
    scenario("ring hit, 0 ms", FAR, Kind::Ring(Duration::ZERO)),
    scenario("ring hit, 1 ms", FAR, Kind::Ring(Duration::from_millis(1))),
    scenario("ring hit, 10 ms", FAR, Kind::Ring(Duration::from_millis(10))),
    scenario("ring hit, 50 ms", FAR, Kind::Ring(Duration::from_millis(50))),
    scenario("miss, C++ with about 200 headers", MISS, Kind::Miss(Mode::Default)),
    scenario("miss in depend mode, C++ with about 200 headers", MISS, Kind::Miss(Mode::Depend)),
    scenario(
        "bypass",
        "A call that no cache handles and that ends at once (`gcc -dumpversion`): the difference to the plain call is what the wrapper adds.",
        Kind::Bypass,
    ),
    scenario("build, zstd in C", BUILD, Kind::Build(Which::Zstd)),
    scenario("build, meshoptimizer in C++", BUILD, Kind::Build(Which::Meshoptimizer)),
    scenario("node GET, 4 KiB", SERVE, Kind::Node(Operation::Get, 4 << 10)),
    scenario("node GET, 64 KiB", SERVE, Kind::Node(Operation::Get, 64 << 10)),
    scenario("node GET, 1 MiB", SERVE, Kind::Node(Operation::Get, 1 << 20)),
    scenario("node PUT, 4 KiB", SERVE, Kind::Node(Operation::Put, 4 << 10)),
    scenario("node PUT, 64 KiB", SERVE, Kind::Node(Operation::Put, 64 << 10)),
    scenario("node PUT, 1 MiB", SERVE, Kind::Node(Operation::Put, 1 << 20)),
    scenario("cost against headers", LINEAR, Kind::Cost(Size::Headers)),
    scenario("cost against object size", LINEAR, Kind::Cost(Size::Object)),
    scenario("cost against entries in the local store", LINEAR, Kind::Cost(Size::Entries)),
];

const fn scenario(name: &'static str, about: &'static str, kind: Kind) -> Scenario {
    Scenario { name, about, kind }
}

impl Scenario {
    /// Measures it.
    pub(crate) fn run(&self, stage: &Stage<'_>, rounds: Rounds) -> anyhow::Result<Outcome> {
        let (name, about) = (self.name.to_owned(), self.about.to_owned());
        let stage = stage.scene(self.name)?;
        let (reference, samples) = match self.kind {
            Kind::Local(unit, mode) => hits::local(&stage, unit, mode, rounds)?,
            Kind::Ring(round_trip) => hits::ring(&stage, round_trip, rounds)?,
            Kind::Miss(mode) => misses::miss(&stage, mode, rounds)?,
            Kind::Bypass => misses::bypass(&stage, rounds)?,
            Kind::Build(which) => builds::build(&stage, which, rounds)?,
            Kind::Node(operation, size) => nodes::serve(&stage, operation, size, rounds)?,
            Kind::Cost(size) => {
                let (axis, lines) = curves::cost(&stage, size, rounds)?;
                return Ok(Outcome::Curve(Curve { name, about, axis, lines }));
            }
        };
        Ok(Outcome::Table(Table { name, about, reference, samples }))
    }
}

/// What a kind of scenario returns.
type Measured = anyhow::Result<(crate::report::Reference, Vec<crate::measure::Samples>)>;
