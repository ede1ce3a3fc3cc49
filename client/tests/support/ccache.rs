//! A place in which a link named `ccache` leads to us.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use super::{DCCACHE, Place, text};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};

const SOURCE: &str = "#include \"a.h\"\nint a(void) { return A; }\n";

/// A place in which a link named `ccache` leads to us.
pub struct Switched {
    pub place: Place,
}

impl Switched {
    pub fn new() -> Self {
        let place = Place::new();
        fs::create_dir(place.root().join("bin")).unwrap();
        fs::create_dir(place.root().join("user")).unwrap();
        symlink(DCCACHE, place.root().join("bin/ccache")).unwrap();
        place.write("a.c", SOURCE);
        place.write("a.h", "#define A 1\n");
        Self { place }
    }

    pub fn ccache(&self) -> PathBuf {
        self.place.root().join("bin/ccache")
    }

    /// A call of a program without any variable of ccache's but the cache's directory.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.place.command(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("CCACHE_") || name.starts_with("XDG_") {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.place.root().join("user")).env("CCACHE_DIR", self.place.home());
        command.env("DCCACHE_SYSTEM_CCACHE_CONF", "");
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        self.run_under(&[], words)
    }

    pub fn run_under(&self, variables: &[(&str, &str)], words: &[&str]) -> Output {
        self.command(self.ccache()).args(words).envs(variables.iter().copied()).output().unwrap()
    }

    pub fn said(&self, variables: &[(&str, &str)], words: &[&str]) -> String {
        let output = self.run_under(variables, words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout).trim_end().to_owned()
    }

    /// What our own statistics count in the cache's directory.
    pub fn count(&self, pointer: &str) -> u64 {
        self.place.stat(pointer)
    }

    /// A compiler that writes down how it is called.
    pub fn spy(&self) -> (PathBuf, PathBuf) {
        let log = self.place.root().join("spied");
        let text = format!(
            "#!/bin/sh\necho \"$* disable=$CCACHE_DISABLE fd=$UNCACHED_ERR_FD\" >> {0}\n[ -z \"$UNCACHED_ERR_FD\" ] || echo uncached >&$UNCACHED_ERR_FD\nexec gcc \"$@\"\n",
            log.display()
        );
        (self.place.script("spy", &text), log)
    }
}
