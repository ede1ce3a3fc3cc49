//! The files behind a compile: read once, and checked once more after the compiler ran.

use super::refusal::Refusal;
use super::setting::Setting;
use crate::config::Sloppiness;
use crate::cpp::{ClangImage, FileFacts, image_reader};
use crate::direct::observe::read_regular;
use crate::invocation::{Bypass, Reason};
use crate::keying::root_path;
use crate::process::{Clocks, coarse_now_ns};
use crate::toolchain::{Stamp, is_before};
use dccache_protocol::digest::Digest;
use dccache_protocol::keys::RootPath;
use std::path::{Path, PathBuf};

/// One file that decides the output.
#[derive(Debug)]
pub(super) struct Input {
    /// As the compiler spells it.
    pub(super) name: Vec<u8>,
    path: PathBuf,
    pub(super) digest: Digest,
    pub(super) stamp: Stamp,
    pub(super) facts: FileFacts,
    /// Its content, where that is searched for names of other files.
    pub(super) content: Option<Vec<u8>>,
    /// Included by the source, or by what it includes.
    included: bool,
}

/// The files of one compile.
#[derive(Debug)]
pub(super) struct Inputs {
    /// Start of the compile in ns since the Unix epoch, by the clock of file times.
    start: i64,
    /// Both clocks at the start: a file that changes after the wall clock was set back looks older than the compile.
    clocks: Clocks,
    pub(super) files: Vec<Input>,
    /// Device and inode of our standard input. The preprocessor had another one, so an input that is this very file (`/dev/stdin`) is
    /// not what it read.
    stdin: Option<(u64, u64)>,
    /// What is written in any of them.
    pub(super) facts: FileFacts,
    /// Whether a precompiled header among them holds the times of its headers, which clang compares.
    timed: bool,
}

/// What is read of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Its digest, and words in it that matter.
    Source,
    /// Its digest.
    Content,
    /// Its digest, where no function in this image of a precompiled header can make the assembler read a file.
    Image,
    /// Its digest, where clang's precompiled header stands on no other one.
    ClangImage,
}

impl Inputs {
    /// Notes the start. The coarse clock is the one that the kernel stamps files with; the precise one can be ahead of it.
    pub(super) fn begin() -> Self {
        let stdin = rustix::fs::fstat(rustix::stdio::stdin()).ok();
        let stdin = stdin.map(|stdin| (stdin.st_dev, stdin.st_ino));
        Self {
            start: coarse_now_ns(),
            clocks: Clocks::read(),
            files: Vec::new(),
            stdin,
            facts: FileFacts::default(),
            timed: false,
        }
    }

    /// Reads a regular file, spelled `name` and found at `path`, and returns its digest.
    pub(super) fn read(&mut self, name: &[u8], path: PathBuf, look: Look) -> Result<Digest, Refusal> {
        let unreadable = || Refusal::because("unreadable_input", path.as_os_str().as_encoded_bytes());
        let mut content = Vec::new();
        let stamp = read_regular(&path, &mut content).ok_or_else(unreadable)?;
        if self.stdin == Some((stamp.device, stamp.inode)) {
            return Err(unreadable());
        }
        if look == Look::Image
            && let Some(word) = image_reader(&content)
        {
            return Err(Refusal::Call(Bypass::new(Reason::UnsupportedCodeDirective, word)));
        }
        if look == Look::ClangImage {
            let image = ClangImage::read(&content).filter(|image| !image.chained);
            let refused = || Refusal::Call(Bypass::new(Reason::CouldNotUsePrecompiledHeader, name));
            self.timed |= image.ok_or_else(refused)?.timed;
        }
        let facts = if look == Look::Source { FileFacts::scan(&content) } else { FileFacts::default() };
        self.facts = self.facts.and(facts);
        let digest = Digest::of(&content);
        let included = look == Look::Source && !self.files.is_empty();
        let content = (look == Look::Source).then_some(content);
        self.files.push(Input { name: name.to_vec(), path, digest, stamp, facts, content, included });
        Ok(digest)
    }

    /// Returns the times of what was included, in whole seconds, where clang compares them with those in a precompiled header: it refuses one that
    /// was made of older or newer headers.
    pub(super) fn compared_times(&self) -> Option<Digest> {
        let included = self.files.iter().filter(|input| input.included);
        let times: Vec<u8> =
            included.flat_map(|input| input.stamp.mtime.div_euclid(1_000_000_000).to_le_bytes()).collect();
        self.timed.then(|| Digest::of(&times))
    }

    /// Returns the start of the compile, in ns since the Unix epoch.
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// Tells whether a file changed since the start, or may have: shortly before it, or unseen while the wall clock was set back.
    ///
    /// Either time of an included file may be declared irrelevant: it is then only compared with what it was.
    pub(super) fn modified(&self, sloppiness: Sloppiness) -> bool {
        let young = |input: &Input| {
            let times = [
                (input.stamp.mtime, sloppiness.include_file_mtime),
                (input.stamp.ctime, sloppiness.include_file_ctime),
            ];
            times
                .iter()
                .any(|(time, declared)| !(is_before(*time, self.start) || *declared && input.included))
        };
        let holds = |input: &&Input| Stamp::of(&input.path) == Some(input.stamp) && !young(input);
        self.clocks.was_set_back() || !self.files.iter().all(|input| holds(&input))
    }

    /// Tells whether a file was written since the start.
    pub(super) fn began_before(&self, path: &Path) -> bool {
        Stamp::of(path).is_some_and(|stamp| stamp.newest() >= self.start)
    }

    /// Tells whether start and now lie in one quarter of an hour, so that no date can have changed between.
    pub(super) fn same_quarter(&self) -> bool {
        let quarter = |ns: i64| crate::keying::quarter_hour(u64::try_from(ns / 1_000_000_000).unwrap_or(0));
        quarter(self.start) == quarter(coarse_now_ns())
    }

    /// Lists the files as the agent is told them.
    pub(super) fn listed(&self, setting: &Setting<'_>) -> Vec<(RootPath, Digest)> {
        let listed = self.files.iter().map(|input| {
            let path = root_path(&setting.root, input.path.as_os_str().as_encoded_bytes());
            (path, input.digest)
        });
        let mut listed: Vec<_> = listed.collect();
        listed.sort_unstable();
        listed.dedup();
        listed
    }
}
