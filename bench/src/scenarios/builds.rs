//! Whole builds of real projects with `make -j2`.

use super::stage::Scene;
use super::{Extent, Measured, Rounds, Which};
use crate::front::{Family, Forget, Front, remove};
use crate::measure::{Contender, interleave};
use crate::report::Reference;
use crate::workload::{self, Project};
use anyhow::ensure;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Units of a quick run: the smallest.
const QUICK_UNITS: usize = 2;

/// Builds a project behind every front: cold, warm, and from the ring.
pub(super) fn build(scene: &Scene<'_>, which: Which, rounds: Rounds) -> Measured {
    let root = scene.path("project");
    let mut project = match which {
        Which::Zstd => workload::zstd(&root)?,
        Which::Meshoptimizer => workload::meshoptimizer(&root)?,
    };
    if rounds.extent == Extent::Quick {
        let size = |unit: &PathBuf| project.root.join(unit).metadata().map_or(0, |metadata| metadata.len());
        project.units.sort_by_cached_key(size);
        project.units.truncate(QUICK_UNITS);
    }
    std::fs::write(project.root.join("Makefile"), makefile(&project))?;
    let fronts = fronts(scene)?;
    make(&project, &fronts[0].0).status()?;
    let expected = objects(&project)?;
    let contenders: Vec<_> =
        fronts.iter().map(|(front, forget)| contender(&project, front, *forget, &expected)).collect();
    Ok((Reference::Plain, interleave(&contenders, rounds.builds)?))
}

fn fronts(scene: &Scene<'_>) -> anyhow::Result<Vec<(Front, Forget)>> {
    let programs = scene.programs;
    let ours = |name, directory| Front::dccache(name, programs, &scene.path(directory), &[]);
    let mut fronts = vec![
        (Front::plain(), Forget::Nothing),
        (ours("dccache, cold", "cold"), Forget::All),
        (ours("dccache, warm", "warm"), Forget::Nothing),
        (scene.ringed("dccache, ring", "ringed")?, Forget::All),
    ];
    let url = scene.redis();
    for ccache in &programs.ccaches {
        let of = |name, settings: &[(&str, &str)]| {
            Front::ccache(name, ccache, &scene.path(&format!("ccache-{}{name}", ccache.version)), settings)
        };
        fronts.push((of(", cold", &[]), Forget::All));
        fronts.push((of(", warm", &[]), Forget::Nothing));
        if let Some(url) = &url {
            fronts.push((of(", Redis", &[("CCACHE_REMOTE_STORAGE", url)]), Forget::All));
        }
    }
    if let Some(program) = &programs.sccache {
        fronts.push((Front::sccache(", warm", program, &scene.path("sccache"), &[])?, Forget::Nothing));
    }
    Ok(fronts)
}

fn contender<'a>(
    project: &'a Project,
    front: &'a Front,
    forget: Forget,
    expected: &'a [(PathBuf, Vec<u8>)],
) -> Contender<'a> {
    Contender {
        name: front.name.clone(),
        family: front.family,
        served: Box::new(|| front.served()),
        prepare: Box::new(move |_| {
            front.settle()?;
            clean(project)?;
            front.forget(forget)
        }),
        command: Box::new(move |_| make(project, front)),
        check: Box::new(move |_| {
            for (object, bytes) in expected {
                let made = std::fs::read(object)?;
                ensure!(made == *bytes, "{} is another object than the compiler's", object.display());
            }
            // Also of the round that is not counted: what it built must be there for those that are.
            if front.family == Family::Ours { front.settle() } else { Ok(()) }
        }),
    }
}

fn makefile(project: &Project) -> String {
    let objects: Vec<_> = project.units.iter().map(|unit| object(unit).display().to_string()).collect();
    let mut text = format!("all: {}\n", objects.join(" "));
    for unit in &project.units {
        let (unit, object) = (unit.display(), object(unit));
        let options = project.options.join(" ");
        text += &format!("{}: {unit}\n\t$(COMPILER) {options} -MMD -c {unit} -o $@\n", object.display());
    }
    text
}

fn make(project: &Project, front: &Front) -> Command {
    let mut command = Command::new("make");
    front.surround(&mut command);
    command.args(["-s", "-j2", "all"]).arg(format!("COMPILER={}{}", front.launcher(), project.driver));
    command.current_dir(&project.root);
    command
}

fn object(unit: &Path) -> PathBuf {
    unit.with_extension("o")
}

fn clean(project: &Project) -> std::io::Result<()> {
    for unit in &project.units {
        let object = project.root.join(object(unit));
        remove(&object)?;
        remove(&object.with_extension("d"))?;
    }
    Ok(())
}

fn objects(project: &Project) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let paths = project.units.iter().map(|unit| project.root.join(object(unit)));
    paths.map(|path| Ok((path.clone(), std::fs::read(path)?))).collect()
}
