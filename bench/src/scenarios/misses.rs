//! What a cache adds where it cannot help: misses, and calls that are none of its business.

use super::hits::fronts;
use super::stage::{Scene, compile};
use super::{Measured, Mode, Rounds};
use crate::front::Front;
use crate::measure::{Contender, interleave};
use crate::report::Reference;
use crate::workload;
use anyhow::ensure;

/// Misses: no round compiles what another did.
pub(super) fn miss(scene: &Scene<'_>, mode: Mode, rounds: Rounds) -> Measured {
    let task = workload::round(&scene.path("sources"), rounds.headers())?;
    let mut fronts = fronts(scene, mode)?;
    fronts.insert(0, Front::plain());
    scene.age(rounds);
    let options = |round: usize| {
        let mut options = vec!["-O2".to_owned(), format!("-DROUND={round}")];
        // ccache's depend mode learns from the dependency file what was read.
        options.extend((mode == Mode::Depend).then(|| "-MD".to_owned()));
        options
    };
    let contenders: Vec<_> =
        fronts.iter().map(|front| compile(scene, front, &task, &options, None)).collect();
    let samples = interleave(&contenders, rounds.long)?;
    for front in &fronts {
        let hits = front.hits()?.unwrap_or(0);
        ensure!(hits == 0, "{}: {hits} hits where every round is new", front.name);
    }
    Ok((Reference::Plain, samples))
}

/// Calls of the compiler that end at once, with an option that no cache handles.
pub(super) fn bypass(scene: &Scene<'_>, rounds: Rounds) -> Measured {
    let mut fronts = fronts(scene, Mode::Default)?;
    // sccache asks every compiler what it is, by compiling, in its server.
    fronts.retain(|front| front.name != "sccache");
    fronts.insert(0, Front::plain());
    let contenders = fronts.iter().map(|front| Contender {
        name: front.name.clone(),
        family: front.family,
        served: Box::new(|| front.served()),
        prepare: Box::new(|_| Ok(())),
        command: Box::new(|_| {
            let mut command = front.command("gcc");
            command.arg("-dumpversion");
            command
        }),
        check: Box::new(|_| Ok(())),
    });
    let contenders: Vec<Contender<'_>> = contenders.collect();
    Ok((Reference::Plain, interleave(&contenders, rounds.short)?))
}
