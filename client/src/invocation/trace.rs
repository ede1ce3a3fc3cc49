//! What a cached call reads and writes, as the kernel sees it: nothing but its inputs, its toolchain, its outputs and temporary files.

use super::arguments::{Class, scan};
use super::oracle::{Tree, compilers, words};
use super::{CompilerKind, Disk, Invocation, Plan, response};
use crate::cpp::Preprocessed;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// A sample of every class of options.
const SAMPLE: &[&str] = &[
    "",
    "-O2 -Wall -Wextra -Wunused -std=gnu11 -fPIC -fdiagnostics-color=never -lm -Wl,-z,now",
    "-O3 -fno-inline -march=native -pthread --param max-inline-insns-single=3",
    "-g3 -Iinc -iquote inc -isystem inc -idirafter inc -DA=1 -UB -include inc/h.h -imacros inc/m.h",
    "-MD -MP -MF out/d -MT t",
    "-Wp,-MMD,out/w",
    "-S -fverbose-asm -o out/x.s",
    "-S -o out/x.s",
    "-fsyntax-only -Wall",
    "-fsanitize=address,undefined -g",
    "-flto -O1",
    "-fopenmp -ffile-prefix-map=/a=/b",
    "--coverage -o out/n.o",
    "-fprofile-generate -o out/n",
    "-fprofile-use -O2",
    "-fprofile-use=profile -O2",
    "-g -gsplit-dwarf -fstack-usage -o out/n.x.o",
    "-fcallgraph-info -aux-info out/a",
    "-O2 -fsave-optimization-record",
    "-Wa,-alhns=out/l -pipe",
    "-Wa,--noexecstack,-g -x c x.c",
    "--serialize-diagnostics out/s -Wall",
    "-fsanitize=address -fsanitize-ignorelist=inc/list",
    "-fprofile-sample-use=inc/list -O2",
    "-Winvalid-pch -include-pch inc/m.pch",
    "-B/usr/bin --sysroot=/ -m64",
    "-nostdinc -ffreestanding -pipe -finput-charset=UTF-8",
    "-frandom-seed=x -fstack-protector-strong -mno-red-zone",
    "@response",
];

fn tree() -> Tree {
    let tree = Tree::new();
    tree.write(
        b"x.c",
        b"#include \"inc/h.h\"\nint f(int a, int *b) { for (int i = 0; i < a; i++) b[i] += a; return a; }\n",
    );
    tree.write(b"inc/h.h", b"extern int h;\n");
    tree.write(b"inc/m.h", b"#define M 1\n");
    tree.write(b"inc/list", b"fun:none\n");
    // Nobody may look at it.
    tree.write(b"inc/other", b"");
    tree.write(b"response", b"-O1 -DX");
    tree.write(b"out/keep", b"");
    tree
}

/// Files that were opened or changed in some way, absolute.
#[derive(Debug, Default)]
struct Touched {
    read: BTreeSet<PathBuf>,
    written: BTreeSet<PathBuf>,
}

/// Runs a command under strace; `None` without it.
fn trace(tree: &Tree, argv: &[Vec<u8>]) -> Option<Touched> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut traced = words(&["strace", "-f", "-qq", "-y", "-s", "4096", "-e", "trace=%file", "-o"]);
    traced.push(log.path().as_os_str().as_bytes().to_vec());
    traced.extend_from_slice(argv);
    let found = std::process::Command::new("strace").arg("-V").output().is_ok();
    if !found {
        eprintln!("NOT TESTED: strace is not installed");
        return None;
    }
    let output = tree.run(&traced);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&std::fs::read(log.path()).unwrap()).into_owned();
    let root = PathBuf::from(OsStr::from_bytes(&tree.path()));
    let mut touched = Touched::default();
    // A call that another process interrupts is on two lines.
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines() {
        let Some((process, call)) = line.split_once(' ').map(|(process, call)| (process, call.trim_start()))
        else {
            continue;
        };
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            begun.insert(process, start);
        } else if let Some((_, end)) =
            call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            let start = begun.remove(process).unwrap_or_default();
            touched.take(&[start, end].concat(), &root);
        } else {
            touched.take(call, &root);
        }
    }
    Some(touched)
}

impl Touched {
    /// Takes up one call of the trace, if it succeeded.
    fn take(&mut self, line: &str, root: &Path) {
        let Some((call, rest)) = line.split_once('(') else { return };
        if rest.contains(" = -1 ") {
            return;
        }
        let quoted: Vec<PathBuf> =
            rest.split('"').skip(1).step_by(2).map(|name| plain(&root.join(name))).collect();
        let Some(first) = quoted.first() else { return };
        let changes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| rest.contains(flag));
        match call {
            "open" | "openat" | "openat2" if rest.contains("O_DIRECTORY") => {}
            "open" | "openat" | "openat2" if changes => drop(self.written.insert(first.clone())),
            "open" | "openat" | "openat2" | "execve" => drop(self.read.insert(first.clone())),
            "rename" | "renameat" | "renameat2" | "link" | "linkat" | "symlink" | "symlinkat" => {
                self.written.extend(quoted);
            }
            "unlink" | "unlinkat" | "mkdir" | "mkdirat" | "rmdir" | "truncate" | "chmod" | "fchmodat"
            | "creat" | "mknod" | "mknodat" | "utimensat" => drop(self.written.insert(first.clone())),
            _ => {}
        }
    }
}

/// Takes `.` and `..` out of a path, as text.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

/// What the system gives every program: not named by a call, and not of a compiler.
const SYSTEM: &[&str] = &[
    "/proc",
    "/sys",
    "/dev",
    "/etc/ld.so.cache",
    "/usr/lib/locale",
    "/usr/share/locale",
    "/usr/lib/x86_64-linux-gnu/gconv",
    "/etc/localtime",
    // Which distribution this is decides how clang links.
    "/etc/debian_version",
    "/etc/lsb-release",
    "/etc/os-release",
    "/usr/lib/os-release",
];

/// Everything that the call may read.
fn claimed(tree: &Tree, name: &str, kind: CompilerKind, invocation: &Invocation) -> BTreeSet<PathBuf> {
    let root = PathBuf::from(OsStr::from_bytes(&tree.path()));
    let mut argv = words(&[name]);
    argv.extend(invocation.preprocessor.clone().unwrap());
    let (output, _) = tree.run_listing(&argv);
    let text = Preprocessed::parse(&output.stdout).unwrap();
    let named = text.files().iter().map(|file| file.path.clone());
    let options = invocation.option_files.iter().map(|file| file.path.clone());
    let forced = invocation.forced_includes.iter().cloned();
    let inputs = named.chain(options).chain(forced).map(|path| plain(&root.join(OsStr::from_bytes(&path))));
    let toolchain = crate::toolchain::files_of(name, invocation, &root);
    let _ = kind;
    inputs
        .chain(toolchain.into_iter().map(|path| plain(&path)))
        .flat_map(|path| {
            let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            [path, real]
        })
        .collect()
}

fn assert_claims(
    tree: &Tree,
    name: &str,
    kind: CompilerKind,
    argv: &[Vec<u8>],
    invocation: &Invocation,
) -> bool {
    let root = PathBuf::from(OsStr::from_bytes(&tree.path()));
    let mut may_read = claimed(tree, name, kind, invocation);
    may_read.insert(root.join("response"));
    let before = tree.files();
    let Some(touched) = trace(tree, argv) else { return false };
    let told = argv.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
    let outputs: BTreeSet<PathBuf> = invocation
        .outputs
        .iter()
        .filter_map(|output| Some(plain(&root.join(OsStr::from_bytes(output.path.as_ref()?)))))
        .collect();
    let system = |path: &Path| SYSTEM.iter().any(|place| path.starts_with(place));
    // What a call makes and removes again: names of the compiler's own.
    let passing = |path: &Path| {
        let inside = path.strip_prefix(&root).ok().map(|name| name.as_os_str().as_bytes().to_vec());
        !path.exists()
            && inside.is_none_or(|name| !before.contains(&name))
            && (path.starts_with(std::env::temp_dir())
                || outputs.iter().any(|output| output.parent() == path.parent()))
    };
    for path in &touched.written {
        assert!(
            outputs.contains(path) || passing(path) || path.starts_with("/dev"),
            "{told}: writes {}",
            path.display()
        );
    }
    for path in touched.read.difference(&touched.written) {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let allowed = may_read.contains(path) || may_read.contains(&real);
        assert!(
            allowed || path.is_dir() || system(path) || outputs.contains(path),
            "{told}: reads {}",
            path.display()
        );
    }
    assert!(touched.read.contains(&root.join("x.c")), "{told}: the trace shows the source");
    true
}

/// Name of a class of which a sample is wanted; `None` for classes that are never cached.
fn class_name(class: &Class) -> Option<String> {
    match class {
        Class::Preprocess | Class::DependOnly | Class::WritesFile | Class::Bypass(_) => None,
        // What they read is what the user vouches for.
        Class::Plugin | Class::PluginArgument => None,
        other => Some(format!("{other:?}").chars().take_while(|letter| letter.is_alphanumeric()).collect()),
    }
}

#[test]
fn a_cached_call_reads_and_writes_only_what_it_claims() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut traced = 0;
    for (kind, name) in compilers() {
        for options in SAMPLE {
            let tree = tree();
            if kind.is_clang() || options.contains("profile") {
                make_profiles(&tree, kind);
            }
            if options.contains("-include-pch") {
                tree.run(&words(&[name, "-x", "c-header", "-c", "inc/m.h", "-o", "inc/m.pch"]));
            }
            let mut argv = words(&[name]);
            argv.extend(options.split_whitespace().map(|word| word.as_bytes().to_vec()));
            if !options.contains("-S") {
                argv.push(b"-c".to_vec());
            }
            if !options.contains("x.c") {
                argv.push(b"x.c".to_vec());
            }
            let Plan::Compile(invocation) = tree.plan(kind, &argv) else { continue };
            if !tree.run(&argv).status.success() {
                continue;
            }
            let root = tree.path();
            let disk = Disk::new(Path::new(OsStr::from_bytes(&root)));
            let expanded = response::expand(&argv[1..], kind, &disk).unwrap();
            for argument in scan(&expanded, kind, &disk) {
                *seen.entry(class_name(&argument.class).unwrap()).or_default() += 1;
            }
            traced += usize::from(assert_claims(&tree, name, kind, &argv, &invocation));
        }
    }
    println!("{traced} calls traced; options by class: {seen:?}");
    let table = super::table::TABLE.iter().filter_map(|entry| class_name(&entry.class));
    let missing: BTreeSet<_> = table.filter(|class| !seen.contains_key(class)).collect();
    assert!(missing.is_empty() || compilers().len() < 2, "no sample of {missing:?}");
    assert!(traced > 15 * compilers().len() || traced == 0, "{traced}");
}

/// Puts profiles where the calls of the sample look for them. Data that the compiler refuses makes that call fail, and it is left out.
fn make_profiles(tree: &Tree, kind: CompilerKind) {
    if kind.is_clang() {
        return;
    }
    let root = tree.path();
    let mangled: Vec<u8> = root.iter().map(|&byte| if byte == b'/' { b'#' } else { byte }).collect();
    let program = [
        &["gcc", "-fprofile-generate", "-O2", "-c", "x.c"] as &[&str],
        &[
            "sh",
            "-c",
            "echo 'int h; int f(int, int *); int main(void) { int b[9] = {0}; return f(0, b); }' > main.c",
        ],
        &["gcc", "-fprofile-generate", "main.c", "x.o", "-o", "prog"],
        &["./prog"],
        &["rm", "main.c", "x.o", "prog"],
    ];
    for line in program {
        assert!(tree.run(&words(line)).status.success(), "{line:?}");
    }
    let data = tree.read(b"x.gcda");
    tree.write(&[b"profile/".as_slice(), &mangled, b"#x.gcda"].concat(), &data);
}
