//! What records hold, and what makes them ask again, with the real compilers of this machine.

use super::*;
use crate::invocation::oracle::{Tree, compilers, words};
use crate::invocation::{Command, Disk, Plan};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A user's directory, and copies of drivers below prefixes.
struct Machine {
    place: tempfile::TempDir,
    home: Home,
}

impl Machine {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(&place.path().join("home")).unwrap();
        fs::write(place.path().join("a.cpp"), "int a;\n").unwrap();
        Self { home, place }
    }

    /// Copies a program of this machine.
    fn copy(&self, name: &str, to: &str) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        let mut found = std::env::split_paths(&path).map(|directory| directory.join(name));
        let Some(found) = found.find(|file| file.is_file()) else {
            eprintln!("SKIPPED: {name} is not installed, so this test proves nothing here");
            return None;
        };
        let to = self.place.path().join(to);
        fs::create_dir_all(to.parent()?).unwrap();
        fs::copy(fs::canonicalize(found).unwrap(), &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
        Some(to)
    }

    /// Asks for the toolchain of a C++ file, and tells whether its record is taken again.
    fn ask(&self, program: &Path, kind: CompilerKind, path: &str) -> (Toolchain, bool) {
        // Typed with its directory: by its name alone a driver looks for itself on the real search path.
        let name = program.as_os_str().to_owned();
        let compiler = Compiler { program: program.to_owned(), name, passed: Vec::new() };
        let environment = [(b"PATH".to_vec(), path.as_bytes().to_vec())];
        let argv = ["cc", "-c", "a.cpp"].map(|word| word.as_bytes().to_vec());
        let directory = self.place.path();
        let command = Command {
            kind,
            argv: &argv,
            environment: &environment,
            working_directory: directory.as_os_str().as_bytes(),
            plugins: Default::default(),
        };
        let Plan::Compile(invocation) = Plan::of(&command, &Disk::new(directory)) else {
            panic!("a compile")
        };
        let call = Call {
            home: Some(&self.home),
            compiler: &compiler,
            environment: &environment,
            working_directory: directory,
            check: &CompilerCheck::Content,
            temporary_dir: None,
        };
        let name = ToolchainRecord::name(&call, &invocation);
        let held = ToolchainRecord::load(&self.home, &name).is_some();
        (Toolchain::of(&call, &invocation).unwrap(), held)
    }

    /// Asks until the record is kept: files as young as these prove nothing at first.
    fn settle(&self, program: &Path, kind: CompilerKind, path: &str) -> Toolchain {
        loop {
            let (toolchain, held) = self.ask(program, kind, path);
            if held {
                return toolchain;
            }
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_gcc_installation_that_clang_would_choose_is_asked_for_again() {
    let machine = Machine::new();
    let Some(clang) = machine.copy("clang", "prefix/bin/clang++") else { return };
    let version = |number: &str| {
        let directory = machine.place.path().join(format!("prefix/lib/gcc/x86_64-linux-gnu/{number}"));
        fs::create_dir_all(&directory).unwrap();
        let headers = machine.place.path().join(format!("prefix/include/c++/{number}"));
        fs::create_dir_all(headers).unwrap();
        directory
    };
    let path = std::env::var("PATH").unwrap();
    let searched = |toolchain: &Toolchain, number: &str| {
        let end = format!("include/c++/{number}").into_bytes();
        toolchain.search.iter().any(|directory| directory.ends_with(&end))
    };
    fs::write(version("98").join("crtbegin.o"), "").unwrap();
    let first = machine.settle(&clang, CompilerKind::Clangxx, &path);
    assert!(
        searched(&first, "98"),
        "{:?}",
        first.search.iter().map(|d| String::from_utf8_lossy(d)).collect::<Vec<_>>()
    );
    // A directory alone is no installation; what makes it one can come later.
    let next = version("99");
    let (second, _) = machine.ask(&clang, CompilerKind::Clangxx, &path);
    assert!(!searched(&second, "99"));
    machine.settle(&clang, CompilerKind::Clangxx, &path);
    fs::write(next.join("crtbegin.o"), "").unwrap();
    let (third, held) = machine.ask(&clang, CompilerKind::Clangxx, &path);
    assert!(!held && searched(&third, "99"));
}

#[test]
fn a_directory_of_the_search_that_appears_is_asked_for_again() {
    let machine = Machine::new();
    let Some(gcc) = machine.copy("g++", "prefix/bin/g++") else { return };
    let cc1plus = std::process::Command::new("g++").arg("-print-prog-name=cc1plus").output().unwrap().stdout;
    let cc1plus = PathBuf::from(String::from_utf8(cc1plus).unwrap().trim());
    let installation = cc1plus.parent().unwrap().strip_prefix("/usr").unwrap();
    let below = machine.place.path().join("prefix").join(installation);
    fs::create_dir_all(&below).unwrap();
    std::os::unix::fs::symlink(&cc1plus, below.join("cc1plus")).unwrap();
    let path = std::env::var("PATH").unwrap();
    let first = machine.settle(&gcc, CompilerKind::Gxx, &path);
    let include = below.join("include");
    let is_searched = |toolchain: &Toolchain| {
        let include = fs::canonicalize(&include).ok();
        toolchain.search.iter().any(|directory| {
            include.is_some() && fs::canonicalize(OsStr::from_bytes(directory)).ok() == include
        })
    };
    assert!(!is_searched(&first));
    fs::create_dir(&include).unwrap();
    let (second, held) = machine.ask(&gcc, CompilerKind::Gxx, &path);
    assert!(!held && is_searched(&second));
}

#[test]
fn what_was_tried_and_could_not_be_run_is_looked_at_again() {
    let machine = Machine::new();
    let Some(early) = machine.copy("as", "early/as") else { return };
    let Some(gcc) = machine.copy("g++", "g++") else { return };
    let mut file = fs::File::options().append(true).open(&early).unwrap();
    std::io::Write::write_all(&mut file, b"tail").unwrap();
    drop(file);
    fs::set_permissions(&early, fs::Permissions::from_mode(0o644)).unwrap();
    let path = format!("{}:{}", early.parent().unwrap().display(), std::env::var("PATH").unwrap());
    // It finds its compilers proper where the system's does.
    let prefix = |name: &str| {
        let answer = std::process::Command::new("g++").arg(name).output().unwrap().stdout;
        PathBuf::from(String::from_utf8(answer).unwrap().trim())
    };
    let proper = prefix("-print-prog-name=cc1plus");
    let below = machine.place.path().join(proper.strip_prefix("/usr").unwrap());
    fs::create_dir_all(below.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&proper, &below).unwrap();
    let bin = machine.place.path().join("bin/g++");
    fs::create_dir(bin.parent().unwrap()).unwrap();
    fs::rename(gcc, &bin).unwrap();
    let first = machine.settle(&bin, CompilerKind::Gxx, &path);
    fs::set_permissions(&early, fs::Permissions::from_mode(0o755)).unwrap();
    let (second, held) = machine.ask(&bin, CompilerKind::Gxx, &path);
    assert!(!held);
    assert_ne!(first.id, second.id, "another assembler runs now");
}

#[test]
fn directories_of_headers_are_those_of_this_call_without_its_own() {
    for (kind, name) in compilers() {
        let tree = Tree::new();
        tree.write(b"x.c", b"int x;\n");
        tree.write(b"inc/keep", b"");
        let directory = tree.path();
        let path = std::env::var_os("PATH").unwrap();
        let environment = [(b"PATH".to_vec(), path.as_bytes().to_vec())];
        let compiler = crate::resolve::resolve(OsStr::new(name), Some(&path)).unwrap();
        let search = |options: &[&str]| {
            let argv = words(&[&[name, "-c", "x.c", "-Iinc", "-iquoteinc", "-isysteminc"], options].concat());
            let invocation = tree.compile(kind, &argv);
            let working_directory = Path::new(OsStr::from_bytes(&directory));
            let call = Call {
                home: None,
                compiler: &compiler,
                environment: &environment,
                working_directory,
                check: &CompilerCheck::None,
                temporary_dir: None,
            };
            Toolchain::of(&call, &invocation).unwrap().search
        };
        let all = search(&[]);
        assert!(all.len() > 1 && all.iter().all(|path| path.starts_with(b"/")), "{name}: {all:?}");
        assert_eq!(search(&["-nostdinc"]), Vec::<Vec<u8>>::new(), "{name}");
    }
}

#[test]
fn what_native_stands_for_is_asked_anew_on_another_processor() {
    let machine = Machine::new();
    let directory = machine.place.path();
    let compiler = Compiler { program: "/usr/bin/gcc".into(), name: "gcc".into(), passed: Vec::new() };
    let named = |option: &str, processor: &str| {
        let argv = ["cc", option, "-c", "a.cpp"].map(|word| word.as_bytes().to_vec());
        let command = Command {
            kind: CompilerKind::Gcc,
            argv: &argv,
            environment: &[],
            working_directory: directory.as_os_str().as_bytes(),
            plugins: Default::default(),
        };
        let Plan::Compile(invocation) = Plan::of(&command, &Disk::new(directory)) else {
            panic!("a compile")
        };
        let call = Call {
            home: Some(&machine.home),
            compiler: &compiler,
            environment: &[],
            working_directory: directory,
            check: &CompilerCheck::Content,
            temporary_dir: None,
        };
        ToolchainRecord::name_on(&call, &invocation, || processor.as_bytes().to_vec())
    };
    for option in ["-march=native", "-mtune=native", "-mcpu=native"] {
        assert_ne!(named(option, "one"), named(option, "another"), "{option}");
        assert_eq!(named(option, "one"), named(option, "one"), "{option}");
    }
    assert_eq!(named("-march=x86-64", "one"), named("-march=x86-64", "another"));
}
