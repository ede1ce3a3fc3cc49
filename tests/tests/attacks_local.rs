//! Attacks through names, texts and links on the user's own machine: nothing is read or written where it should not be, and a build
//! sees what the plain compiler would have shown.

use dccache_tests::{Ring, Site, files_below};
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn links_planted_in_the_users_directory_are_not_followed() {
    let ring = Ring::of(1);
    let site = ring.site("one");
    let units = site.write_units("unit", 2);
    site.assert_units_as_without(&units[..1]);
    site.workstation().flush().unwrap();
    site.workstation().stop();
    let outside = ring.home().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "precious").unwrap();
    // Every file, and every directory of the store, becomes a link to something of somebody else.
    for name in ["objects", "locks", "stats", "toolchains", "keys", "agent"] {
        let directory = site.state().join(name);
        let kept = site.state().with_file_name(format!("kept-{name}"));
        fs::rename(&directory, &kept).unwrap();
        symlink(&outside, &directory).unwrap();
        site.assert_units_as_without(&units);
        fs::remove_file(&directory).unwrap();
        fs::rename(&kept, &directory).unwrap();
        assert_eq!(files_below(&outside), [outside.join("victim")], "{name}");
    }
    for path in files_below(site.state()).into_iter().filter(|path| path.is_file()) {
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        symlink(outside.join("victim"), &path).unwrap();
        site.assert_units_as_without(&units);
        assert_eq!(fs::read_to_string(outside.join("victim")).unwrap(), "precious", "{}", path.display());
        let _ = fs::remove_file(&path);
        fs::write(&path, kept).unwrap();
    }
}

#[test]
fn an_output_that_is_a_link_or_has_a_second_name_is_written_as_the_compiler_writes_it() {
    let ring = Ring::of(1);
    let site = ring.site("one");
    site.write("a.c", "int a(void) { return 1; }\n");
    site.assert_as_without(&["gcc", "-c", "a.c"], &["a.o"]);
    let words = ["gcc", "-c", "a.c", "-o", "link.o"];
    let arrange: [&dyn Fn(); 4] = [
        &|| symlink(site.file("real.o"), site.file("link.o")).unwrap(),
        &|| symlink(site.file("nowhere/real.o"), site.file("link.o")).unwrap(),
        &|| {
            fs::write(site.file("real.o"), "old").unwrap();
            symlink(site.file("real.o"), site.file("link.o")).unwrap();
        },
        &|| {
            fs::write(site.file("real.o"), "old").unwrap();
            fs::hard_link(site.file("real.o"), site.file("link.o")).unwrap();
        },
    ];
    for (number, arrange) in arrange.iter().enumerate() {
        let run = |plain: bool| {
            ["real.o", "link.o"].iter().for_each(|name| drop(fs::remove_file(site.file(name))));
            arrange();
            let effect = if plain { site.plain(&words, &[]) } else { site.ours(&words, &[]) };
            let is_link = fs::symlink_metadata(site.file("link.o")).is_ok_and(|found| found.is_symlink());
            let read = |name: &str| fs::read(site.file(name)).ok();
            (effect, is_link, read("link.o"), read("real.o"))
        };
        let plain = run(true);
        for round in ["cold", "warm"] {
            let ours = run(false);
            assert!(plain == ours, "case {number}, {round}: {} {}", plain.0.shown(), ours.0.shown());
        }
    }
}

#[test]
fn names_that_make_or_a_shell_would_run_stay_names_in_dependency_files_from_every_source() {
    let ring = Ring::of(1);
    let (one, two) = (ring.site("one"), ring.site("two"));
    // The second pair has characters that compilers write so that no reader can tell them apart; that is not stored.
    let pairs = [
        ("$(shell touch pwned)#1.h", "-`touch pwned`;$(shell touch pwned).c"),
        ("a:b%.h", "$(shell touch pwned) \\ b.c"),
    ];
    let check = |site: &Site, (header, source): (&str, &str)| {
        site.write(header, "int from_header;\n");
        site.write(source, &format!("#include \"{header}\"\nint a(void) {{ return from_header; }}\n"));
        let path = format!("./{source}");
        for options in
            [&["-MD", "-MP"][..], &["-MMD", "-MT", "$(shell touch pwned):"], &["-MD", "-MQ", "$(a) b"]]
        {
            let words = [&["gcc", "-c", &path, "-o", "a.o", "-MF", "a.d"][..], options].concat();
            site.assert_as_without(&words, &["a.o", "a.d"]);
            site.assert_as_without(&words, &["a.o", "a.d"]);
        }
        let made =
            std::process::Command::new("make").args(["-f", "a.d", "-n"]).current_dir(site.work()).output();
        made.expect("make is installed");
        assert!(!site.file("pwned").exists());
    };
    pairs.iter().for_each(|pair| check(&one, *pair));
    one.workstation().flush().unwrap();
    pairs.iter().for_each(|pair| check(&two, *pair));
    for site in [&one, &two] {
        let looked_up = site.count("/hits/total") + site.count("/misses");
        assert_eq!(looked_up, 12, "{}", site.stats());
    }
    let served = (one.count("/hits/local"), two.count("/hits/ring"), two.count("/hits/local"));
    assert!(served.0 >= 3 && served.1 + served.2 >= 3, "{} {}", one.stats(), two.stats());
}

#[test]
fn escape_sequences_in_messages_are_replayed_byte_for_byte_and_nothing_else() {
    let ring = Ring::of(1);
    let (one, two) = (ring.site("one"), ring.site("two"));
    let text = "#warning \"\u{1b}]0;owned\u{7}\u{1b}[2J \u{9b}31m % %s \\n\"\nint a;\n";
    for site in [&one, &two] {
        site.write("a.c", text);
        for _ in 0..2 {
            site.assert_as_without(&["gcc", "-c", "a.c"], &["a.o"]);
        }
        site.workstation().flush().unwrap();
        for words in [["explain"], ["stats"]] {
            let said = site.run(&words);
            assert!(!said.stdout.contains('\u{1b}') && !said.stdout.contains('\u{9b}'), "{}", said.shown());
        }
    }
    assert_eq!(
        (one.count("/hits/local"), two.count("/hits/ring")),
        (1, 1),
        "{} {}",
        one.stats(),
        two.stats()
    );
}

#[test]
fn sources_outside_of_the_root_and_odd_spellings_give_what_the_compiler_gives() {
    let ring = Ring::of(1);
    let site = ring.site("one");
    fs::create_dir_all(site.file("sub/deep")).unwrap();
    site.write("sub/a b.c", "#include \"../up.h\"\nint a(void) { return UP; }\n");
    site.write("up.h", "#define UP 3\n");
    site.write("new\nline.c", "int n;\n");
    fs::write(site.work().with_file_name("outside.c"), "int o(void) { return 5; }\n").unwrap();
    let outside = site.work().with_file_name("outside.c");
    let sources = [
        "sub/a b.c",
        "./sub/../sub/a b.c",
        "sub//a b.c",
        "new\nline.c",
        "../outside.c",
        outside.to_str().unwrap(),
    ];
    for source in sources {
        for output in ["a.o", "./sub/../a.o", "sub/deep/a.o"] {
            for _ in 0..2 {
                site.assert_as_without(
                    &["gcc", "-g", "-c", source, "-o", output, "-MD", "-MF", "a.d"],
                    &[output, "a.d"],
                );
            }
        }
    }
    // A directory that is a name of ours, and a response file that names one outside.
    site.write("args", "-c ../outside.c -o a.o\n");
    site.assert_as_without(&["gcc", "@args"], &["a.o"]);
    site.assert_as_without(&["gcc", "@../work/args"], &["a.o"]);
}
