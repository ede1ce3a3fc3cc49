//! Hits: from the local store, and from a ring (or Redis) that is some way off while the local store is empty.

use super::stage::{Scene, compile};
use super::{Extent, Measured, Mode, Rounds, Unit};
use crate::counts::Counts;
use crate::front::{Family, Forget, Front};
use crate::measure::{Contender, Repeat, interleave};
use crate::report::Reference;
use crate::workload::{self, Task};
use anyhow::ensure;
use std::time::Duration;

/// Variables and their values.
type Settings = &'static [(&'static str, &'static str)];

/// What leads dccache, and what leads ccache, to a mode.
fn settings(mode: Mode) -> (Settings, Settings) {
    match mode {
        Mode::Default => (&[], &[]),
        Mode::Preprocessed => (&[("DCCACHE_DIRECT_MODE", "false")], &[("CCACHE_NODIRECT", "1")]),
        Mode::Depend => (&[("DCCACHE_DEPEND_MODE", "true")], &[("CCACHE_DEPEND", "1")]),
    }
}

/// Hits of a warm local store.
pub(super) fn local(scene: &Scene<'_>, unit: Unit, mode: Mode, rounds: Rounds) -> Measured {
    let sources = scene.path("sources");
    let task = match unit {
        Unit::ManyHeaders => workload::many_headers(&sources, rounds.headers())?,
        Unit::FewHeaders => workload::few_headers(&sources)?,
        Unit::Mebibyte => workload::object_of(&sources, 1 << 20)?,
    };
    let mut fronts = fronts(scene, mode)?;
    fronts.push(Front::plain());
    scene.age(rounds);
    let mut samples = measure(scene, &task, &fronts, &[], rounds)?;
    let counted = match rounds.extent {
        Extent::Full if mode == Mode::Default => fronts.len(),
        // Under valgrind all takes long.
        Extent::Quick if unit == Unit::FewHeaders => 1,
        _ => 0,
    };
    count(scene, &task, &fronts[..counted], &mut samples)?;
    Ok((Reference::FastestPeer, samples))
}

/// Counts what a hit does, where all of it is done by the process that was called.
fn count(
    scene: &Scene<'_>,
    task: &Task,
    fronts: &[Front],
    samples: &mut [crate::measure::Samples],
) -> anyhow::Result<()> {
    let options = |_| vec!["-O2".to_owned()];
    for (front, row) in fronts.iter().zip(samples) {
        if front.family != Family::Plain && front.served()?.is_some() {
            row.counts = Counts::of(&compile(scene, front, task, &options, None), scene.directory())?;
        }
    }
    Ok(())
}

/// dccache and every peer that can work in this mode, each with a local store of its own.
pub(super) fn fronts(scene: &Scene<'_>, mode: Mode) -> anyhow::Result<Vec<Front>> {
    let (ours, theirs) = settings(mode);
    let mut fronts = vec![Front::dccache("dccache", scene.programs, &scene.path("dccache"), ours)];
    for ccache in &scene.programs.ccaches {
        fronts.push(Front::ccache("", ccache, &scene.path(&format!("ccache-{}", ccache.version)), theirs));
    }
    if let Some(program) = scene.programs.sccache.as_ref().filter(|_| mode == Mode::Default) {
        fronts.push(Front::sccache("", program, &scene.path("sccache"), &[])?);
    }
    Ok(fronts)
}

/// Hits of the ring, over a way that takes `round_trip` longer than loopback.
pub(super) fn ring(scene: &Scene<'_>, round_trip: Duration, rounds: Rounds) -> Measured {
    let task = workload::many_headers(&scene.path("sources"), rounds.headers())?;
    let mut fronts = vec![
        scene.ringed("dccache, digests known", "known")?,
        scene.ringed("dccache, digests unknown", "unknown")?,
    ];
    let mut forgets = vec![Forget::Objects, Forget::All];
    if let Some(url) = scene.redis() {
        let remote = [("CCACHE_REMOTE_STORAGE", url.as_str())];
        let alone = [("CCACHE_REMOTE_STORAGE", url.as_str()), ("CCACHE_REMOTE_ONLY", "1")];
        for ccache in &scene.programs.ccaches {
            let directory = |kind: &str| scene.path(&format!("ccache-{}-{kind}", ccache.version));
            fronts.push(Front::ccache(", Redis", ccache, &directory("redis"), &remote));
            fronts.push(Front::ccache(", Redis without local store", ccache, &directory("only"), &alone));
            forgets.extend([Forget::All, Forget::Nothing]);
        }
        if let Some(program) = &scene.programs.sccache {
            let storage = [("SCCACHE_REDIS_ENDPOINT", url.as_str())];
            fronts.push(Front::sccache(", Redis", program, &scene.path("sccache"), &storage)?);
            forgets.push(Forget::Nothing);
        }
    }
    fronts.push(Front::plain());
    scene.age(rounds);
    // The first compile fills the ring at once, whatever the way adds.
    scene.set_round_trip(Duration::ZERO);
    for front in fronts.iter().filter(|front| front.family != Family::Plain) {
        let mut command = front.command(task.driver);
        command.args(["-O2", "-c"]).arg(&task.source).arg("-o").arg(scene.path("object.o"));
        ensure!(
            command.current_dir(scene.directory()).status()?.success(),
            "{} does not compile",
            front.name
        );
        front.settle()?;
    }
    scene.set_round_trip(round_trip);
    let samples = measure(scene, &task, &fronts, &forgets, rounds);
    scene.set_round_trip(Duration::ZERO);
    Ok((Reference::FastestPeer, samples?))
}

/// Measures a task behind every front and sees to it that every round was a hit.
///
/// `forgets` says for each front what goes before a round; nothing for those that it does not name.
fn measure(
    scene: &Scene<'_>,
    task: &Task,
    fronts: &[Front],
    forgets: &[Forget],
    rounds: Rounds,
) -> anyhow::Result<Vec<crate::measure::Samples>> {
    let expected = scene.expected(task, &["-O2"])?;
    let options = |_| vec!["-O2".to_owned()];
    let contenders = fronts.iter().enumerate().map(|(index, front)| {
        let contender = compile(scene, front, task, &options, Some(&expected));
        let forget = forgets.get(index).copied().unwrap_or(Forget::Nothing);
        let prepare = contender.prepare;
        Contender {
            prepare: Box::new(move |round| {
                prepare(round)?;
                front.forget(forget)
            }),
            ..contender
        }
    });
    let contenders: Vec<Contender<'_>> = contenders.collect();
    let mut before = vec![None; fronts.len()];
    // Two rounds that count nothing: some caches trust a file only once it is some time old, or at its second sight.
    interleave(&contenders, Repeat { rounds: 1, ..rounds.short })?;
    for (front, before) in fronts.iter().zip(&mut before) {
        // Where the store goes before each round, so do a peer's counters; ours stay.
        *before = if forgets.is_empty() || front.family == Family::Ours { front.hits()? } else { None };
    }
    let samples = interleave(&contenders, rounds.short)?;
    for (front, before) in fronts.iter().zip(before) {
        let Some(before) = before else { continue };
        let hits = front.hits()?.unwrap_or(0) - before;
        let wanted = samples.first().map_or(0, |row| row.wall.len()) as u64 + 1;
        ensure!(hits == wanted, "{}: {hits} hits in {wanted} rounds", front.name);
    }
    Ok(samples)
}
