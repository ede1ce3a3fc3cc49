//! How the cost of a local hit grows with what it depends on.

use super::stage::{Scene, compile};
use super::{Extent, Rounds, Size};
use crate::front::{Family, Front, is_of_the_store};
use crate::measure::{Repeat, Spread, interleave};
use crate::report::Line;
use crate::workload;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

type Cost = anyhow::Result<(&'static str, Vec<Line>)>;

/// Measures dccache and the newest ccache at every size.
pub(super) fn cost(scene: &Scene<'_>, size: Size, rounds: Rounds) -> Cost {
    match size {
        Size::Headers => headers(scene, rounds),
        Size::Object => object(scene, rounds),
        Size::Entries => entries(scene, rounds),
    }
}

fn headers(scene: &Scene<'_>, rounds: Rounds) -> Cost {
    let sizes: &[usize] =
        if rounds.extent == Extent::Quick { &[10, 20] } else { &[10, 50, 200, 500, 1000, 2000] };
    let mut lines = Lines::default();
    for &size in sizes {
        let task = workload::own_headers(&scene.path(&format!("headers-{size}")), size)?;
        scene.age(rounds);
        lines.add(scene, size as f64, &task, &fronts(scene, &format!("h{size}")), rounds.short)?;
    }
    Ok(("headers", lines.0))
}

fn object(scene: &Scene<'_>, rounds: Rounds) -> Cost {
    let most = if rounds.extent == Extent::Quick { 10 << 10 } else { 100 << 20 };
    let sizes = [1 << 10, 10 << 10, 100 << 10, 1 << 20, 10 << 20, 100 << 20];
    let mut lines = Lines::default();
    for size in sizes.into_iter().filter(|&size| size <= most) {
        let task = workload::object_of(&scene.path(&format!("object-{size}")), size)?;
        scene.age(rounds);
        // The largest take a while each.
        let rounds = if size > 1 << 20 { rounds.builds } else { rounds.short };
        lines.add(scene, size as f64, &task, &fronts(scene, &format!("o{size}")), rounds)?;
    }
    Ok(("bytes of the object", lines.0))
}

fn entries(scene: &Scene<'_>, rounds: Rounds) -> Cost {
    let sizes: &[usize] =
        if rounds.extent == Extent::Quick { &[100, 200] } else { &[1_000, 10_000, 100_000, 1_000_000] };
    let task = workload::many_headers(&scene.path("sources"), rounds.headers())?;
    let directory = scene.path("dccache");
    let front = [Front::dccache("dccache", scene.programs, &directory, &[("DCCACHE_MAX_SIZE", "0")])];
    let mut lines = Lines::default();
    scene.age(rounds);
    // The first call makes the store; what it made is the pattern of the entries that nobody asks for.
    lines.warm(scene, &task, &front)?;
    let patterns = patterns(&directory);
    let mut there = 0;
    for &size in sizes {
        fill(&patterns, there..size)?;
        there = size;
        lines.add(scene, size as f64, &task, &front, rounds.short)?;
    }
    Ok(("entries in the local store", lines.0))
}

fn fronts(scene: &Scene<'_>, name: &str) -> Vec<Front> {
    let mut fronts = vec![Front::dccache("dccache", scene.programs, &scene.path(&format!("d-{name}")), &[])];
    let newest = scene.programs.ccaches.first();
    fronts.extend(newest.map(|ccache| Front::ccache("", ccache, &scene.path(&format!("c-{name}")), &[])));
    fronts
}

/// Lines by contender.
#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn warm(&self, scene: &Scene<'_>, task: &workload::Task, fronts: &[Front]) -> anyhow::Result<()> {
        let options = |_| vec!["-O2".to_owned()];
        let contenders: Vec<_> =
            fronts.iter().map(|front| compile(scene, front, task, &options, None)).collect();
        interleave(&contenders, Repeat { rounds: 1, within: Duration::MAX }).map(drop)
    }

    fn add(
        &mut self,
        scene: &Scene<'_>,
        size: f64,
        task: &workload::Task,
        fronts: &[Front],
        rounds: Repeat,
    ) -> anyhow::Result<()> {
        let expected = scene.expected(task, &["-O2"])?;
        let options = |_| vec!["-O2".to_owned()];
        self.warm(scene, task, fronts)?;
        let contenders: Vec<_> =
            fronts.iter().map(|front| compile(scene, front, task, &options, Some(&expected))).collect();
        for samples in interleave(&contenders, rounds)? {
            debug_assert!(samples.family != Family::Plain);
            let point = (size, Spread::of(samples.wall));
            match self.0.iter_mut().find(|line| line.name == samples.name) {
                Some(line) => line.points.push(point),
                None => self.0.push(Line { name: samples.name, points: vec![point] }),
            }
        }
        Ok(())
    }
}

/// What the entries of a place are called.
struct Pattern {
    directory: PathBuf,
    prefix: String,
    digits: usize,
}

/// Adds files that look like the entries there are, in every place where there are some, each with a name of its own.
fn fill(patterns: &[Pattern], numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
    for (number, pattern) in numbers.zip(patterns.iter().cycle()) {
        let digest = dccache_protocol::digest::Digest::of(&number.to_le_bytes()).to_string();
        let shard = pattern.shard(&digest);
        std::fs::create_dir_all(&shard)?;
        let name: String = digest.chars().cycle().take(pattern.digits).collect();
        File::create(shard.join(format!("{}{name}", pattern.prefix)))?;
    }
    Ok(())
}

impl Pattern {
    /// Where a directory has a hexadecimal name, it is a shard: the entry goes to that of its own first digits.
    fn shard(&self, digest: &str) -> PathBuf {
        let last = self.directory.file_name().unwrap_or_default().to_string_lossy();
        let is_shard = !last.is_empty() && last.len() <= 2 && last.chars().all(|c| c.is_ascii_hexdigit());
        if is_shard { self.directory.with_file_name(&digest[..last.len()]) } else { self.directory.clone() }
    }
}

/// Finds out what entries of the local store are called.
fn patterns(directory: &Path) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if is_of_the_store(&entry.file_name()) && entry.path().is_dir() {
            collect(&entry.path(), &mut patterns);
        }
    }
    patterns
}

fn collect(directory: &Path, patterns: &mut Vec<Pattern>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            collect(&path, patterns);
            continue;
        }
        let digits = name.chars().rev().take_while(char::is_ascii_hexdigit).count();
        if digits >= 16 {
            let prefix = name[..name.len() - digits].to_owned();
            patterns.push(Pattern { directory: directory.to_owned(), prefix, digits });
        }
    }
}
