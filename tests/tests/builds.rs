//! Real projects under the build systems of the world, built without dccache, cold and warm: every object, library, dependency file and
//! generated header is the same.
//!
//! `just builds` also builds the large ones, as their authors release them.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

#[path = "builds/project.rs"]
mod project;

use project::{Front, Project, Shop, assert_same};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const BZIP2: Project = Project { package: "bzip2-sys", directory: "bzip2-1.0.8", generated: &[] };
const LEVELDB: Project = Project { package: "leveldb-sys", directory: "deps/leveldb-1.22", generated: &[] };
const LZ4: Project = Project { package: "lz4-sys", directory: "liblz4", generated: &[] };
const ZSTD: Project = Project { package: "zstd-sys", directory: "zstd/lib", generated: &[] };
const LIBFFI: Project = Project {
    package: "libffi-sys",
    directory: "libffi",
    generated: &["aclocal.m4", "configure", "fficonfig.h.in", "Makefile.in"],
};
const OPUS: Project = Project {
    package: "opusic-sys",
    directory: "opus",
    generated: &["aclocal.m4", "configure", "config.h.in", "Makefile.in"],
};

/// A file that lies beside this one.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/builds").join(name)
}

#[test]
fn a_recursive_make_with_a_jobserver_is_as_without() {
    let mut shop = Shop::new(BZIP2);
    let driver = shop.path("driver/gcc");
    fs::create_dir(shop.path("driver")).unwrap();
    let made = Command::new("gcc").args(["-O1", "-o"]).arg(&driver).arg(beside("jobserver.c")).status();
    assert!(made.unwrap().success());
    shop.set("DRIVER", &driver);
    // The sources lie in the directory of the build, whose make is started by another.
    let script = "cp -p \"$SRC\"/*.c \"$SRC\"/*.h \"$SRC\"/words* \"$SRC\"/Makefile .
        printf 'all:\\n\\t+$(MAKE) libbz2.a CC=\"%s\" CFLAGS=\"-O1 -g -Wall -Winline\"\\n' \"$LAUNCHER $DRIVER\" > top.mk
        sed -i 's/^\\t\\$(CC)/\\t+$(CC)/' Makefile
        make -j3 -f top.mk";
    shop.assert_as_without(Front::Launcher, script, 7);
}

#[test]
fn cmake_with_a_launcher_and_ninja_is_as_without() {
    let shop = Shop::new(LZ4);
    let script = "cmake -G Ninja -S \"$SRC/build/cmake\" -B . -DCMAKE_BUILD_TYPE=Debug -DLZ4_BUILD_CLI=OFF \\
            -DBUILD_STATIC_LIBS=ON -DCMAKE_C_COMPILER=gcc -DCMAKE_C_COMPILER_LAUNCHER=\"$LAUNCHER\"
        ninja
        ninja -t deps | awk 'BEGIN { RS = \"\" } { gsub(/deps mtime [0-9]+/, \"\"); gsub(/\\n/, \"\"); print }' | sort > ninja.deps
        ninja -n | grep 'no work to do'";
    shop.assert_as_without(Front::Launcher, script, 4);
}

#[test]
fn meson_is_as_without() {
    let shop = Shop::new(LZ4);
    let script = "meson setup --buildtype=debug --default-library=both -Dossfuzz=false . \"$SRC/build/meson\"
        ninja
        ninja -t deps | awk 'BEGIN { RS = \"\" } { gsub(/deps mtime [0-9]+/, \"\"); gsub(/\\n/, \"\"); print }' | sort > ninja.deps
        ninja -n | grep 'no work to do'";
    shop.assert_as_without(Front::Launcher, script, 4);
}

#[test]
fn configure_with_its_storm_of_tests_and_libtool_are_as_without() {
    let shop = Shop::new(LIBFFI);
    let script = "\"$SRC/configure\" -q --disable-docs CC=gcc CXX=g++ CFLAGS=\"-O1 -g\"
        make -j2 -s";
    let plain = shop.build(Front::Plain, script);
    assert!(plain.keys().filter(|name| name.ends_with(".o")).count() >= 20, "{:?}", plain.keys());
    assert_same("cold", &plain, &shop.build(Front::Names, script));
    assert!(shop.count("/bypass_reasons/autoconf_test") + shop.count("/misses") > 50, "{}", shop.stats());
    let (before, again) = (shop.count("/hits/local"), "make -s clean; make -j2 -s");
    assert_same("warm", &plain, &shop.build_on(Front::Names, again));
    assert!(shop.count("/hits/local") >= before + 10, "{}", shop.stats());
}

#[test]
fn a_build_in_the_manner_of_the_kernel_is_as_without() {
    let mut shop = Shop::new(ZSTD);
    shop.set("SELF", &beside("kernel.mk"));
    let script = "printf 'first' > config_data
        printf 'asm(\".section .rodata\\\\n.incbin \\\\\"config_data\\\\\"\\\\n\");\\nint config;\\n' > config.c
        make -s -j2 -f \"$SELF\" CC=\"$CC\"";
    shop.assert_as_without(Front::Launcher, script, 12);
    let again = "printf 'other' > config_data; make -s -j2 -f \"$SELF\" CC=\"$CC\"";
    let ours = shop.build_on(Front::Launcher, again);
    let plain = shop.build(Front::Plain, &format!("{script}\n{again}"));
    assert!(plain["config.o"].windows(5).any(|window| window == b"other"));
    assert_same("the included file changed", &plain, &ours);
}

#[test]
#[ignore = "takes minutes; `just builds` runs it"]
fn a_large_configure_with_libtool_is_as_without() {
    let shop = Shop::new(OPUS);
    let script = "sh \"$SRC/configure\" -q --disable-doc CC=gcc\n make -j2 -s";
    shop.assert_as_without(Front::Names, script, 200);
}

#[test]
#[ignore = "takes minutes; `just builds` runs it"]
fn a_large_meson_project_is_as_without() {
    let shop = Shop::new(OPUS);
    let script = "meson setup --buildtype=release --default-library=static -Ddocs=disabled . \"$SRC\"
        ninja
        ninja -t deps | awk 'BEGIN { RS = \"\" } { gsub(/deps mtime [0-9]+/, \"\"); gsub(/\\n/, \"\"); print }' | sort > ninja.deps
        ninja -n | grep 'no work to do'";
    shop.assert_as_without(Front::Launcher, script, 100);
}

#[test]
#[ignore = "takes minutes; `just builds` runs it"]
fn cmake_of_a_large_cxx_project_is_as_without_with_make_and_with_ninja() {
    for (generator, build) in [("Unix Makefiles", "make -s -j2"), ("Ninja", "ninja")] {
        let shop = Shop::new(LEVELDB);
        let script = format!(
            "cmake -G '{generator}' -S \"$SRC\" -B . -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLEVELDB_BUILD_TESTS=OFF \\
            -DLEVELDB_BUILD_BENCHMARKS=OFF -DCMAKE_C_COMPILER_LAUNCHER=\"$LAUNCHER\" -DCMAKE_CXX_COMPILER_LAUNCHER=\"$LAUNCHER\"
            {build}"
        );
        shop.assert_as_without(Front::Launcher, &script, 30);
    }
}
