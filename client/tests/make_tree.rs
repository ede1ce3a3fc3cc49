//! A real make tree with dependency files, served warm by jobs that run at once.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use dccache::demo::Sources;
use std::collections::BTreeMap;
use std::fs;
use support::{DCCACHE, Place, has};

const MAKEFILE: &str = "\
SOURCES := $(wildcard zstd/lib/common/*.c zstd/lib/compress/fse*.c zstd/lib/compress/hist.c)
OBJECTS := $(SOURCES:.c=.o)
all: $(OBJECTS)
%.o: %.c
\t$(CC) -O1 -MMD -MP -Izstd/lib -c $< -o $@
-include $(OBJECTS:.o=.d)
";

#[test]
fn a_make_tree_is_served_warm_with_the_same_objects_and_dependencies() {
    if !has("make") {
        return;
    }
    let place = Place::new();
    let sources = Sources::unpack(&place.file("zstd")).unwrap();
    sources.units.iter().for_each(|unit| support::age(&sources.root.join(unit)));
    place.write("Makefile", MAKEFILE);
    let build = |compiler: &str| {
        outputs(&place).keys().for_each(|name| fs::remove_file(place.file(name)).unwrap());
        let make = place.command("make").args(["-s", "-j4", &format!("CC={compiler}")]).output().unwrap();
        assert!(make.status.success(), "{}", support::text(&make.stderr));
        (outputs(&place), support::text(&make.stderr))
    };
    let plain = build("gcc");
    assert!(plain.0.len() >= 10, "objects and dependency files");
    let wrapped = format!("{DCCACHE} gcc");
    assert_eq!(build(&wrapped), plain, "cold");
    assert_eq!(build(&wrapped), plain, "warm");
    let units = plain.0.len() as u64 / 2;
    assert_eq!((place.stat("/misses"), place.stat("/hits/local")), (units, units));
}

fn outputs(place: &Place) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for directory in ["zstd/lib/common", "zstd/lib/compress"] {
        for file in fs::read_dir(place.file(directory)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "o" || extension == "d") {
                let name = path.strip_prefix(place.work()).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}
