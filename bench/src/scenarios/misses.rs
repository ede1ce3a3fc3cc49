//! What a cache adds where it cannot help: misses, and calls that are none of its business.

use super::hits::fronts;
use super::stage::{Scene, compile};
use super::{Extent, Measured, Mode, Rounds};
use crate::front::Front;
use crate::measure::{Contender, interleave};
use crate::report::Reference;
use crate::workload;
use anyhow::ensure;
use std::process::Command;

/// Compiles of the project before those that are measured: more than dccache needs to learn whether preprocessing pays in it.
const BEFORE: usize = 40;

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
    for front in fronts.iter().filter(|_| rounds.extent == Extent::Full) {
        begin(scene, front)?;
    }
    let contenders: Vec<_> =
        fronts.iter().map(|front| compile(scene, front, &task, &options, None)).collect();
    let samples = interleave(&contenders, rounds.long)?;
    for front in &fronts {
        let hits = front.hits()?.unwrap_or(0);
        ensure!(hits == 0, "{}: {hits} hits where every round is new", front.name);
    }
    Ok((Reference::Plain, samples))
}

/// Compiles other files of the project.
fn begin(scene: &Scene<'_>, front: &Front) -> anyhow::Result<()> {
    for number in 0..BEFORE {
        let source = scene.path("before.c");
        std::fs::write(&source, format!("int before_{number};\n"))?;
        let mut command = front.command("gcc");
        command.args(["-c", "before.c", "-o", "before.o"]).current_dir(scene.directory());
        ensure!(command.status()?.success(), "{} does not compile", front.name);
    }
    Ok(())
}

/// Calls of the compiler that end at once, with an option that no cache handles.
pub(super) fn bypass(scene: &Scene<'_>, rounds: Rounds) -> Measured {
    let mut fronts = fronts(scene, Mode::Default)?;
    // sccache asks every compiler what it is, by compiling, in its server.
    fronts.retain(|front| front.name != "sccache");
    fronts.insert(0, Front::plain());
    let mut contenders: Vec<Contender<'_>> =
        fronts.iter().map(|front| call(front.name.clone(), front, &[])).collect();
    // What any wrapper costs: a small program that does nothing but start the compiler.
    contenders.push(call("env, which only starts it".into(), &fronts[0], &["env", "gcc"]));
    Ok((Reference::Plain, interleave(&contenders, rounds.short)?))
}

/// A call of `front`, or of the words `before` in place of it.
fn call<'a>(name: String, front: &'a Front, before: &'static [&'static str]) -> Contender<'a> {
    Contender {
        name,
        family: front.family,
        served: Box::new(|| front.served()),
        prepare: Box::new(|_| Ok(())),
        command: Box::new(move |_| {
            let mut command = match before {
                [program, ..] => Command::new(program),
                [] => front.command("gcc"),
            };
            command.args(before.get(1..).unwrap_or_default()).arg("-dumpversion");
            command
        }),
        check: Box::new(|_| Ok(())),
    }
}
