//! `dccache explain` on a machine of a cluster: who signed what was served, and what a miss after nothing but hits differs in.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

use dccache_tests::{Ring, Site};
use serde_json::Value;

fn write_sources(site: &Site) {
    std::fs::create_dir_all(site.file("include")).unwrap();
    site.write("include/width.h", "#define WIDTH 2\n");
    site.write("a.c", "#include \"width.h\"\nint f(void) { return WIDTH; }\n");
}

const WORDS: [&str; 6] = ["gcc", "-Iinclude", "-c", "a.c", "-o", "a.o"];

fn explained(site: &Site) -> Value {
    serde_json::from_str(&site.run(&["explain", "--json", "a.o"]).stdout).unwrap()
}

#[test]
fn a_hit_from_the_ring_names_its_signer_and_so_does_the_local_one_after_it() {
    let ring = Ring::of(1);
    let (one, two) = (ring.site("one"), ring.site("two"));
    for site in [&one, &two] {
        write_sources(site);
    }
    assert_eq!(one.ours(&WORDS, &["a.o"]).code, Some(0));
    one.workstation().flush().unwrap();
    assert_eq!(two.ours(&WORDS, &["a.o"]).code, Some(0));
    let ring_hit = explained(&two);
    let told = ["result", "way", "from"].map(|name| ring_hit[name].as_str().unwrap().to_owned());
    assert_eq!(told, ["hit", "direct", "ring"]);
    let signer = ring_hit["signer"].as_str().unwrap();
    let words = ring_hit["signed_by"].as_str().unwrap();
    // Its operator in the cluster's directory, then its id.
    assert!(words.ends_with(&format!(", {signer}")) && !words.contains("this machine"), "{words}");
    assert_eq!(two.ours(&WORDS, &["a.o"]).code, Some(0));
    let local = explained(&two);
    assert_eq!([&local["from"], &local["signer"]], [&Value::from("local"), &ring_hit["signer"]]);
    let text = two.run(&["explain", "a.o"]).stdout;
    assert!(text.lines().any(|line| line.starts_with("signed by") && line.contains(signer)), "{text}");
    // What it read, and its old text, are known from the hit alone.
    two.write("include/width.h", "#define WIDTH 3\n");
    assert_eq!(two.ours(&WORDS, &["a.o"]).code, Some(0));
    let miss = explained(&two);
    let cause = &miss["causes"][0];
    assert_eq!([&cause["kind"], &cause["what"]], ["input", "include/width.h"], "{miss:#}");
    assert_eq!([&cause["was"], &cause["now"]], ["#define WIDTH 2", "#define WIDTH 3"], "{miss:#}");
}

#[test]
fn what_the_ring_could_not_give_is_among_the_causes() {
    let ring = Ring::of(1);
    let one = ring.site("one");
    write_sources(&one);
    assert_eq!(one.ours(&WORDS, &["a.o"]).code, Some(0));
    one.workstation().flush().unwrap();
    let mut two = ring.site("two");
    write_sources(&two);
    two.set("DCCACHE_TRUST_ACCEPT", "self");
    assert_eq!(two.ours(&WORDS, &["a.o"]).code, Some(0));
    let miss = explained(&two);
    assert_eq!(miss["result"], "miss", "{miss:#}");
    let cause = &miss["causes"][0];
    assert_eq!([&cause["kind"], &cause["what"]], ["policy", "distrusted_signer"], "{miss:#}");
}
