//! Called as `ccache`: what the command line is, whose configuration holds, and what the compiler is told.

#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;
use support::ccache::Switched;
use support::{DCCACHE, LATER, age, has, text};

#[test]
fn a_compile_is_a_compile_of_ours_and_its_hits_are_served() {
    let switched = Switched::new();
    let plain = switched.place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    for (round, variables) in
        [&[][..], &[], &[LATER], &[LATER], &[("CCACHE_NODIRECT", "1")]].into_iter().enumerate()
    {
        fs::remove_file(switched.place.file("a.o")).unwrap();
        assert!(switched.run_under(variables, &["gcc", "-c", "a.c"]).status.success());
        assert_eq!(fs::read(switched.place.file("a.o")).ok(), plain.files[0].1, "round {round}");
        assert_eq!(switched.count("/hits/local"), round as u64);
    }
    assert_eq!((switched.count("/hits/direct"), switched.count("/stored")), (3, 1));
}

#[test]
fn settings_stand_before_the_compiler_and_our_own_name_may_stand_twice() {
    let switched = Switched::new();
    let ccache = switched.ccache();
    let compiles = [
        &["gcc", "-c", "a.c"][..],
        &["ccache", "gcc", "-c", "a.c"],
        &[ccache.to_str().unwrap(), "gcc", "-c", "a.c"],
        &["recache=false", "no_such_option=1", "gcc", "-c", "a.c"],
        &["gcc", "--ccache-skip", "-c", "a.c", "--ccache-skip"],
    ];
    for (hits, words) in compiles.into_iter().enumerate() {
        let output = switched.run(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        assert_eq!(switched.count("/hits/local"), hits as u64, "{words:?}");
    }
    assert!(switched.run(&["recache=true", "gcc", "-c", "a.c"]).status.success());
    assert_eq!(switched.count("/stored"), 2);
    // Behind the compiler everything is the compiler's.
    assert_eq!(
        text(&switched.run(&["gcc", "--version"]).stdout).lines().next(),
        first_line("gcc").as_deref()
    );
}

fn first_line(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    text(&output.stdout).lines().next().map(str::to_owned)
}

#[test]
fn the_version_is_that_of_the_manual_and_a_wrong_call_says_so_with_code_1() {
    let switched = Switched::new();
    let version = switched.said(&[], &["--print-version"]);
    for words in [["--version"], ["-V"]] {
        assert_eq!(
            switched.said(&[], &words).lines().next(),
            Some(format!("ccache version {version}").as_str())
        );
    }
    for words in [["--help"], ["-h"]] {
        assert!(switched.said(&[], &words).contains("--show-config"));
    }
    for words in
        [&[][..], &["--nope"], &["max_files=1"], &["max_files=1", "-s"], &["nosuchcc", "-c", "a.c"], &["-k"]]
    {
        let output = switched.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(
            text(&output.stderr).contains(words.first().unwrap_or(&"Usage")) || words[0] == "max_files=1"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn links_that_lead_over_a_file_of_the_name_obey_it_and_others_do_not() {
    let switched = Switched::new();
    let links = switched.place.root().join("links");
    fs::create_dir(&links).unwrap();
    symlink("../bin/ccache", links.join("gcc")).unwrap();
    let path = format!("{}:{}", links.display(), std::env::var("PATH").unwrap());
    let compile = |program: PathBuf| {
        let mut command = switched.command(program);
        command.args(["-c", "a.c"]).env("PATH", &path).env("CCACHE_DISABLE", "0").output().unwrap()
    };
    let refused = compile(links.join("gcc"));
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("CCACHE_DISABLE"));
    let hits = |hits: u64| {
        let mut command = switched.command("gcc");
        assert!(command.args(["-c", "a.c"]).env("PATH", &path).status().unwrap().success());
        assert_eq!(switched.count("/hits/local"), hits);
    };
    hits(0);
    hits(1);
    // A link straight to us is ours, and knows nothing of ccache.
    let direct = switched.place.root().join("direct");
    fs::create_dir(&direct).unwrap();
    symlink(DCCACHE, direct.join("gcc")).unwrap();
    assert!(compile(direct.join("gcc")).status.success());
}

#[test]
fn compiler_and_preprocessor_are_told_that_nobody_is_to_cache_and_where_stderr_is() {
    let switched = Switched::new();
    let (spy, log) = switched.spy();
    // A script is a compiler that only its user can vouch for.
    let vouched = [("CCACHE_COMPILERCHECK", "none"), ("CCACHE_COMPILERTYPE", "gcc")];
    let output = switched.run_under(&vouched, &[spy.to_str().unwrap(), "-c", "a.c"]);
    assert!(output.status.success());
    let spied = fs::read_to_string(&log).unwrap();
    let of = |what: &str| spied.lines().filter(|line| line.contains(what)).collect::<Vec<_>>();
    assert!(spied.lines().all(|line| line.contains(" disable=1 ")), "{spied}");
    let told: Vec<&str> = spied.lines().filter(|line| !line.ends_with("fd=")).collect();
    assert_eq!(told.len(), 2, "preprocessor and compiler: {spied}");
    assert!(of("-E").iter().any(|line| !line.ends_with("fd=")), "{spied}");
    assert_eq!(text(&output.stderr), "uncached\nuncached\n");
    assert_eq!(switched.count("/stored"), 1);
    let hit = switched.run_under(&vouched, &[spy.to_str().unwrap(), "-c", "a.c"]);
    assert_eq!((text(&hit.stderr), switched.count("/hits/local")), (String::new(), 1));
    // Without the name nothing is added.
    fs::remove_file(&log).unwrap();
    let mut own = switched.place.command(DCCACHE);
    assert!(own.args([spy.to_str().unwrap(), "-c", "a.c"]).status().unwrap().success());
    let spied = fs::read_to_string(&log).unwrap();
    assert!(spied.lines().all(|line| line.ends_with(" disable= fd=")), "{spied}");
}

#[test]
fn a_wrong_value_is_an_error_here_and_nowhere_else() {
    let switched = Switched::new();
    let wrong = [
        ("CCACHE_DISABLE", "0"),
        ("CCACHE_NODIRECT", "no"),
        ("CCACHE_MAXSIZE", "big"),
        ("CCACHE_UMASK", "99"),
        ("CCACHE_BASEDIR", "x"),
    ];
    for variable in wrong {
        for words in [&["gcc", "-c", "a.c"][..], &["-s"], &["-p"]] {
            let output = switched.run_under(&[variable], words);
            assert_eq!(output.status.code(), Some(1), "{variable:?} {words:?}");
            assert!(text(&output.stderr).contains(variable.0) && text(&output.stderr).contains(variable.1));
        }
        let mut own = switched.command(DCCACHE);
        assert!(own.args(["gcc", "-c", "a.c"]).env(variable.0, variable.1).status().unwrap().success());
    }
    assert!(!switched.place.file("never").exists());
    let unknown =
        switched.run_under(&[("CCACHE_NO_SUCH", "1"), ("CCACHE_SLOPPINESS", "foo")], &["gcc", "-c", "a.c"]);
    assert!(unknown.status.success());
    fs::write(switched.place.home().join("ccache.conf"), "max_files = x\n").unwrap();
    let output = switched.run(&["gcc", "-c", "a.c"]);
    assert!(!output.status.success() && text(&output.stderr).contains("ccache.conf:1: "));
}

#[test]
fn a_disabled_ccache_touches_nothing() {
    let switched = Switched::new();
    for variables in [("CCACHE_DISABLE", ""), ("CCACHE_DISABLE", "1")] {
        assert!(switched.run_under(&[variables], &["gcc", "-c", "a.c"]).status.success());
    }
    assert!(switched.run(&["disable=true", "gcc", "-c", "a.c"]).status.success());
    assert_eq!(switched.count("/misses") + switched.count("/bypassed"), 0);
}

#[test]
fn the_configuration_is_shown_and_written() {
    let switched = Switched::new();
    let get = |key: &str| switched.said(&[], &["-k", key]);
    let home = switched.place.home();
    assert_eq!((get("max_size"), get("cache_dir")), ("5.0 GiB".to_owned(), home.display().to_string()));
    assert_eq!(switched.said(&[], &["-M", "10G"]), "Set cache size limit to 10.0 GB");
    assert_eq!(switched.said(&[], &["-F", "70", "-k", "max_files"]), "Set cache file limit to 70\n70");
    assert_eq!(switched.said(&[], &["-o", "sloppiness = time_macros,foo"]), "");
    let file = home.join("ccache.conf");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "max_size = 10G\nmax_files = 70\nsloppiness = time_macros,foo\n"
    );
    let shown = switched.said(&[("CCACHE_NAMESPACE", "n")], &["-p"]);
    for line in [
        format!("({}) max_size = 10.0 GB", file.display()),
        "(environment) namespace = n".to_owned(),
        "(default) direct_mode = true".to_owned(),
        format!("(environment) cache_dir = {}", home.display()),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in {shown}");
    }
    let other = switched.place.root().join("other.conf");
    let other = other.to_str().unwrap();
    switched.said(&[], &["--config-path", other, "--set-config=umask=2"]);
    assert_eq!(fs::read_to_string(other).unwrap(), "umask = 2\n");
    assert_eq!(switched.said(&[("CCACHE_CONFIGPATH", other)], &["--get-config", "umask"]), "002");
    let elsewhere = switched.place.root().join("elsewhere");
    assert_eq!(
        switched.said(&[], &["-d", elsewhere.to_str().unwrap(), "-k", "cache_dir"]),
        elsewhere.display().to_string()
    );
    for words in [["-k", "nope"], ["-o", "nope=1"], ["-o", "umask"], ["-o", "umask=9"], ["-M", "big"]] {
        assert_eq!(switched.run(&words).status.code(), Some(1), "{words:?}");
    }
}

#[test]
fn a_sealed_record_falls_with_every_file_that_configures() {
    let switched = Switched::new();
    let compile = || assert!(switched.run_under(&[LATER], &["gcc", "-c", "a.c"]).status.success());
    let steps: [(&str, &str); 3] = [
        ("home/ccache.conf", "recache = true\n"),
        ("work/ccache.conf", "recache = true\n"),
        ("work/.git", ""),
    ];
    for (name, content) in steps {
        compile();
        compile();
        let before = switched.count("/stored");
        compile();
        assert_eq!(switched.count("/stored"), before, "{name}: served");
        let file = switched.place.root().join(name);
        fs::write(&file, content).unwrap();
        age(&file);
        compile();
        let marker = content.is_empty();
        assert_eq!(switched.count("/stored"), before + u64::from(!marker), "{name}: obeyed");
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_hit_reads_no_configuration() {
    let switched = Switched::new();
    fs::create_dir(switched.place.home()).unwrap();
    let file = switched.place.home().join("ccache.conf");
    fs::write(&file, "max_size = 1G\n").unwrap();
    age(&file);
    let log = switched.place.root().join("opened");
    let mut opened = String::new();
    for _ in 0..3 {
        let mut command = switched.command("strace");
        command.args(["-f", "-e", "trace=open,openat,openat2", "-o"]).arg(&log).arg(switched.ccache());
        let status = command.args(["gcc", "-c", "a.c"]).env(LATER.0, LATER.1).status();
        assert!(status.expect(".ci/setup installs strace").success());
        let text = fs::read_to_string(&log).unwrap();
        assert!(opened.is_empty() || !text.contains("ccache.conf"), "{text}");
        opened = if text.contains("ccache.conf") { String::new() } else { text };
    }
    assert!(opened.contains("objects/"), "the third was served by a record: {opened}");
}

#[test]
fn the_cache_is_where_the_environment_a_file_or_a_word_says() {
    let switched = Switched::new();
    let at = |name: &str| switched.place.root().join(name);
    let (by_file, by_word) = (at("by-file"), at("by-word"));
    let config = switched.place.write("../config", format!("cache_dir = {}\n", by_file.display()));
    let mut command = switched.command(switched.ccache());
    command.env_remove("CCACHE_DIR").env("CCACHE_CONFIGPATH", &config).env(LATER.0, LATER.1);
    for _ in 0..3 {
        assert!(command.args(["gcc", "-c", "a.c"]).output().unwrap().status.success());
        command = switched.command(switched.ccache());
        command.env_remove("CCACHE_DIR").env("CCACHE_CONFIGPATH", &config).env(LATER.0, LATER.1);
    }
    assert!(by_file.join("objects").is_dir() && !switched.place.home().join("objects").exists());
    let word = format!("cache_dir={}", by_word.display());
    assert!(switched.run(&[&word, "gcc", "-c", "a.c"]).status.success());
    assert!(by_word.join("objects").is_dir());
    assert!(!switched.place.home().join("objects").exists());
}

/// Every option with a value that its default is not, its variable, and how it is shown.
const OPTIONS: [(&str, &str, &str, &str); 49] = [
    ("absolute_paths_in_stderr", "ABSSTDERR", "1", "true"),
    ("base_dir", "BASEDIR", "/a:/b", "/a:/b"),
    ("ceiling_dirs", "CEILING_DIRS", "/a", "/a"),
    ("ceiling_markers", "CEILING_MARKERS", "mark", "mark"),
    ("compiler", "COMPILER", "gcc", "gcc"),
    ("compiler_check", "COMPILERCHECK", "none", "none"),
    ("compiler_type", "COMPILERTYPE", "gcc", "gcc"),
    ("compression", "NOCOMPRESS", "", "false"),
    ("compression_level", "COMPRESSLEVEL", "-3", "-3"),
    ("cpp_extension", "EXTENSION", "i", "i"),
    ("debug", "DEBUG", "1", "true"),
    ("debug_dir", "DEBUGDIR", "/a", "/a"),
    ("debug_level", "DEBUGLEVEL", "1", "1"),
    ("depend_mode", "DEPEND", "1", "true"),
    ("direct_mode", "NODIRECT", "1", "false"),
    ("disable", "DISABLE", "1", "true"),
    ("extra_files_to_hash", "EXTRAFILES", "a:b", "a:b"),
    ("file_clone", "FILECLONE", "1", "true"),
    ("hard_link", "HARDLINK", "1", "true"),
    ("hash_dir", "NOHASHDIR", "1", "false"),
    ("ignore_headers_in_manifest", "IGNOREHEADERS", "a.h", "a.h"),
    ("ignore_options", "IGNOREOPTIONS", "-a*", "-a*"),
    ("inode_cache", "NOINODECACHE", "1", "false"),
    ("keep_comments_cpp", "COMMENTS", "1", "true"),
    ("libexec_dirs", "LIBEXEC_DIRS", "/a", "/a"),
    ("limit_multiple", "LIMIT_MULTIPLE", "0.5", "0.5"),
    ("log_file", "LOGFILE", "/a", "/a"),
    ("max_files", "MAXFILES", "3", "3"),
    ("max_size", "MAXSIZE", "3MB", "3.0 MB"),
    ("msvc_dep_prefix", "MSVC_DEP_PREFIX", "a", "a"),
    ("msvc_utf8", "NOMSVC_UTF8", "1", "false"),
    ("namespace", "NAMESPACE", "a b", "a b"),
    ("path", "PATH", "/a", "/a"),
    ("pch_external_checksum", "PCH_EXTSUM", "1", "true"),
    ("prefix_command", "PREFIX", "nice", "nice"),
    ("prefix_command_cpp", "PREFIX_CPP", "nice", "nice"),
    ("read_only", "READONLY", "1", "true"),
    ("read_only_direct", "READONLY_DIRECT", "1", "true"),
    ("recache", "RECACHE", "1", "true"),
    ("remote_only", "REMOTE_ONLY", "1", "true"),
    ("remote_storage", "SECONDARY_STORAGE", "file:/a", "file:/a"),
    ("reshare", "RESHARE", "1", "true"),
    ("response_file_format", "RESPONSE_FILE_FORMAT", "posix", "posix"),
    ("run_second_cpp", "NOCPP2", "1", "false"),
    ("safe_dirs", "SAFE_DIRS", "/a", "/a"),
    ("sloppiness", "SLOPPINESS", "locale", "locale"),
    ("stats", "NOSTATS", "1", "false"),
    ("stats_log", "STATSLOG", "/a", "/a"),
    ("temporary_dir", "TEMPDIR", "/a", "/a"),
];

#[test]
fn every_option_is_taken_from_its_variable_and_shown() {
    let switched = Switched::new();
    for (option, short, value, shown) in OPTIONS {
        let variable = format!("CCACHE_{short}");
        assert_ne!(switched.said(&[], &["-k", option]), shown, "{option}");
        assert_eq!(switched.said(&[(&variable, value)], &["-k", option]), shown, "{option}");
        let line = format!("(environment) {option} = {shown}");
        assert!(switched.said(&[(&variable, value)], &["-p"]).lines().any(|said| said == line), "{line}");
    }
    let all = switched.said(&[], &["-p"]).lines().count();
    // Two have tests of their own: cache_dir and umask.
    assert_eq!(all, OPTIONS.len() + 2);
}

#[test]
fn options_reach_the_compile() {
    let switched = Switched::new();
    let (spy, log) = switched.spy();
    let spy = spy.to_str().unwrap().to_owned();
    let work = switched.place.work();
    let work = work.to_str().unwrap();
    let vouched = [("CCACHE_COMPILERCHECK", "none"), ("CCACHE_COMPILERTYPE", "gcc")];
    let under = |more: &[(&str, &str)], words: &[&str]| {
        let output = switched.run_under(&[&vouched[..], more].concat(), words);
        assert!(output.status.success(), "{more:?}: {}", text(&output.stderr));
        let spied = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        // The compiler was asked about itself as well; then it is told no descriptor.
        spied.lines().filter(|line| !line.ends_with("fd=")).count()
    };
    // Another compiler runs in place of the one that was typed.
    assert_eq!(under(&[("CCACHE_COMPILER", &spy), ("CCACHE_RECACHE", "")], &["gcc", "-c", "a.c"]), 2);
    assert_eq!(under(&[("CCACHE_CC", &spy), ("CCACHE_RECACHE", "")], &["gcc", "-c", "a.c"]), 2);
    assert_eq!(under(&[("CCACHE_PATH", work), ("CCACHE_RECACHE", "")], &["spy", "-c", "a.c"]), 2);
    // A prefix stands before compiler and preprocessor each.
    let prefix = switched
        .place
        .script("prefix", &format!("#!/bin/sh\necho prefixed >> {}\nexec \"$@\"\n", log.display()));
    for variable in ["CCACHE_PREFIX", "CCACHE_PREFIX_CPP"] {
        let prefixed = [(variable, prefix.to_str().unwrap()), ("CCACHE_RECACHE", "")];
        assert_eq!(under(&prefixed, &["gcc", "-c", "a.c"]), 1, "{variable}");
    }
    assert_eq!(under(&[("CCACHE_COMPILERTYPE", "nvcc")], &[&spy, "-c", "a.c"]), 0, "left alone");
    // A file that is hashed, an option that is not.
    let stored = || switched.count("/stored");
    let extra = switched.place.write("extra", "1\n");
    let compile = |more: &[(&str, &str)], words: &[&str]| {
        let before = stored();
        under(more, words);
        stored() - before
    };
    let extras = [("CCACHE_EXTRAFILES", extra.to_str().unwrap())];
    assert_eq!((compile(&extras, &["gcc", "-c", "a.c"]), compile(&extras, &["gcc", "-c", "a.c"])), (1, 0));
    fs::write(&extra, "2\n").unwrap();
    age(&extra);
    assert_eq!(compile(&extras, &["gcc", "-c", "a.c"]), 1);
    let ignoring = [("CCACHE_IGNOREOPTIONS", "-fmessage-length=*")];
    assert_eq!(compile(&ignoring, &["gcc", "-fmessage-length=1", "-c", "a.c"]), 1);
    assert_eq!(compile(&ignoring, &["gcc", "-fmessage-length=2", "-c", "a.c"]), 0);
    let linking = [("CCACHE_HARDLINK", "")];
    assert_eq!(
        compile(&linking, &["gcc", "-O2", "-c", "a.c"]) + compile(&linking, &["gcc", "-O2", "-c", "a.c"]),
        1
    );
    assert!(std::os::unix::fs::MetadataExt::nlink(&switched.place.file("a.o").metadata().unwrap()) > 1);
    let counted = switched.count("/misses");
    under(&[("CCACHE_NOSTATS", "")], &["gcc", "-O3", "-c", "a.c"]);
    assert_eq!(switched.count("/misses"), counted);
}

#[test]
fn a_checksum_beside_a_precompiled_header_stands_for_it_where_the_user_says_so() {
    for (compiler, make, take) in [
        ("gcc", &["p.h", "-o", "p.h.gch"][..], &["-include", "p.h"][..]),
        ("clang", &["-Xclang", "-fno-pch-timestamp", "p.h", "-o", "p.pch"], &["-include-pch", "p.pch"]),
    ] {
        if !has(compiler) {
            continue;
        }
        let switched = Switched::new();
        let place = &switched.place;
        let image = make.last().unwrap();
        let made_with = |factor: u32| {
            let text = format!(
                "#ifndef P\n#define P\nstatic inline int times(int x) {{ return {factor} * x; }}\n#endif\n"
            );
            place.write("p.h", text);
            let status = place.command(compiler).args(["-x", "c-header", "-c"]).args(make).status();
            assert!(status.unwrap().success(), "{compiler}");
            // The header is the same for the text: only the image differs.
            place.write(
                "p.h",
                "#ifndef P\n#define P\nstatic inline int times(int x) { return 7 * x; }\n#endif\n",
            );
            age(&place.file(image));
            fs::File::options()
                .write(true)
                .open(place.file(image))
                .unwrap()
                .set_modified(SystemTime::now())
                .unwrap();
        };
        place.write("a.c", "int f(int x) { return times(x); }\n");
        let words = [&[compiler], take, &["-MD", "-c", "a.c"]].concat();
        let compile = |external: bool| {
            let _ = fs::remove_file(place.file("a.o"));
            let mut variables = vec![("CCACHE_SLOPPINESS", "time_macros,pch_defines")];
            variables.extend(external.then_some(("CCACHE_PCH_EXTSUM", "1")));
            let hits = switched.count("/hits/local");
            let output = switched.run_under(&variables, &words);
            assert!(output.status.success(), "{compiler}: {}", text(&output.stderr));
            (fs::read(place.file("a.o")).unwrap(), switched.count("/hits/local") > hits)
        };
        made_with(2);
        let (two, _) = compile(false);
        assert_eq!(compile(true), (two.clone(), true), "{compiler}: without a sum the image itself counts");
        place.write(&format!("{image}.sum"), "1");
        assert_eq!(compile(true), (two.clone(), false), "{compiler}: {}", place.explain());
        assert_eq!(compile(true), (two.clone(), true), "{compiler}: {}", place.explain());
        made_with(3);
        assert_eq!(compile(true), (two.clone(), true), "{compiler}: the sum says that it is the same");
        let (three, hit) = compile(false);
        assert!(three != two && !hit, "{compiler}: who does not say so is not served by it");
        place.write(&format!("{image}.sum"), "2");
        assert_eq!(compile(true), (three, false), "{compiler}: {}", place.explain());
    }
}
