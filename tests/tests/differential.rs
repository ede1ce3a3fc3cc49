//! The differential test: plain compile = cold = warm = from the ring, on every output, for three real code bases.

use dccache::loopback::{Interrupt, NodeProcess, Workstation};
use dccache_tests::{Binaries, CodeBase, PATIENT, code_bases};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Options that builds use, one set per unit in turn.
const FLAG_SETS: &[&[&str]] = &[
    &["-O0"],
    &["-O1", "-g"],
    &["-O1", "-Wall", "-Wextra", "-Wconversion"],
    &["-Os", "-ffunction-sections", "-fdata-sections"],
    &["-O1", "-fPIC", "-fvisibility=hidden", "-g1"],
];

/// Units taken of each code base and compiler; the large optimised builds are the demo's and the bench's work.
const UNITS: usize = 12;

/// Everything that one compile gave.
#[derive(PartialEq, Eq)]
struct Outputs {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    object: Option<Vec<u8>>,
    dependencies: Option<Vec<u8>>,
}

/// One command line, run by different fronts in the same directory.
struct Case<'a> {
    base: &'a CodeBase,
    unit: &'a Path,
    compiler: &'static str,
    flags: &'static [&'static str],
    out: PathBuf,
}

impl Case<'_> {
    fn run(&self, mut front: Command) -> Outputs {
        let (object, dependencies) = (self.out.join("unit.o"), self.out.join("unit.d"));
        let _ = std::fs::remove_file(&object);
        let _ = std::fs::remove_file(&dependencies);
        front.current_dir(&self.base.root).args(self.flags).args(&self.base.options);
        front.args(["-MD", "-MP", "-c"]).arg(self.unit).arg("-o").arg(&object);
        let Output { status, stdout, stderr } = front.output().expect("the compiler starts");
        let read = |path: &Path| std::fs::read(path).ok();
        Outputs {
            code: status.code(),
            stdout,
            stderr,
            object: read(&object),
            dependencies: read(&dependencies),
        }
    }

    fn assert_same(&self, what: &str, expected: &Outputs, found: &Outputs) {
        let name = format!("{what}: {} {:?} {}", self.compiler, self.flags, self.unit.display());
        assert_eq!(expected.code, found.code, "{name}: exit code");
        assert!(expected.stdout == found.stdout, "{name}: stdout");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&expected.stderr), text(&found.stderr), "{name}: stderr");
        assert!(expected.object == found.object, "{name}: object");
        let dependencies = |outputs: &Outputs| outputs.dependencies.as_deref().map(text);
        assert_eq!(dependencies(expected), dependencies(found), "{name}: dependencies");
    }
}

/// Picks units spread over the whole code base.
fn sample(base: &CodeBase) -> Vec<&PathBuf> {
    let step = base.units.len().div_ceil(UNITS).max(1);
    base.units.iter().step_by(step).collect()
}

fn wrapped(workstation: &Workstation, compiler: &str) -> Command {
    let mut command = workstation.command();
    command.env(PATIENT.0, PATIENT.1).arg(compiler);
    command
}

#[test]
fn plain_cold_warm_and_ring_agree_on_every_output_of_three_code_bases() {
    let programs = Binaries::find();
    let home = tempfile::tempdir().unwrap();
    let node = NodeProcess::found(&programs.node, home.path(), &Interrupt::default()).unwrap();
    let [first, second] = ["first", "second"].map(|name| {
        let workstation = Workstation::new(&home.path().join(name), &programs.dccache);
        workstation.join(&node.token("--client").unwrap()).unwrap();
        workstation
    });
    // The others are the sampler's.
    let bases: Vec<CodeBase> = code_bases().into_iter().take(3).collect();
    let mut cases = Vec::new();
    for base in &bases {
        let compilers = if base.is_cxx { ["g++", "clang++"] } else { ["gcc", "clang"] };
        for (turn, unit) in sample(base).into_iter().enumerate() {
            for compiler in compilers {
                let out = home.path().join(format!("out-{}", cases.len()));
                std::fs::create_dir(&out).unwrap();
                cases.push(Case { base, unit, compiler, flags: FLAG_SETS[turn % FLAG_SETS.len()], out });
            }
        }
    }
    let plain: Vec<Outputs> = cases.iter().map(|case| case.run(Command::new(case.compiler))).collect();
    let compare = |what: &str, workstation: &Workstation| {
        for (case, expected) in cases.iter().zip(&plain) {
            case.assert_same(what, expected, &case.run(wrapped(workstation, case.compiler)));
        }
    };
    compare("cold", &first);
    compare("warm", &first);
    first.flush().unwrap();
    compare("ring", &second);

    let count = |workstation: &Workstation, pointer: &str| {
        let json = workstation.json(&["stats", "--json"]).unwrap();
        json.pointer(pointer)
            .and_then(serde_json::Value::as_u64)
            .unwrap_or_else(|| panic!("{pointer}: {json}"))
    };
    let compiled = plain.iter().filter(|outputs| outputs.code == Some(0)).count() as u64;
    println!("{} commands, {compiled} of them compile", cases.len());
    assert!(compiled > 50, "too few units compile to prove anything: {compiled}");
    // What cannot be stored by the lists of what it reads is preprocessed, and stored, the next time.
    let stats = first.json(&["stats", "--json"]).unwrap();
    let reasons = stats["not_stored"].as_object().unwrap();
    let unlisted: u64 = reasons.values().filter_map(serde_json::Value::as_u64).sum();
    println!("not stored at first: {reasons:?}");
    assert!(unlisted <= compiled / 10, "{stats}");
    assert_eq!(count(&first, "/hits/local") + unlisted, compiled, "{stats}");
    assert_eq!(count(&second, "/hits/ring"), compiled);
}
