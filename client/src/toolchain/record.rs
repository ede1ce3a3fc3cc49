//! Records of drivers and toolchains on disk.
//!
//! Layout: version u8, BLAKE3 of the rest (32 bytes), postcard. Anything else reads as no record.

use super::{Call, Stamp, resolution};
use crate::home::Home;
use crate::invocation::{CompilerKind, Configured, Invocation, value};
use crate::process::wall_now;
use dccache_protocol::codec::decode_exact;
use dccache_protocol::digest::Digest;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Version of the records.
const VERSION: u8 = 7;

/// Largest record in bytes: a few hundred paths.
const RECORD_MAX: u64 = 1 << 20;

/// Role of the driver's program.
pub(super) const DRIVER: &str = "driver";

/// Role of a file from which the driver takes options.
pub(super) const SPECS: &str = "specs";

/// Role of a file that only guards: its change means to ask again, its content is not in the id.
pub(super) const GUARD: &str = "guard";

/// One file of a toolchain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ToolchainFile {
    pub(super) role: String,
    pub(super) path: Vec<u8>,
    pub(super) stamp: Stamp,
    pub(super) digest: Digest,
}

impl ToolchainFile {
    fn holds(&self) -> bool {
        Stamp::of(Path::new(OsStr::from_bytes(&self.path))) == Some(self.stamp)
    }
}

/// Which driver a program is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DriverRecord {
    pub(super) driver: ToolchainFile,
    /// 1 gcc, 2 g++, 3 clang, 4 clang++, 0 none of them.
    pub(super) kind: u8,
}

const KINDS: [CompilerKind; 4] =
    [CompilerKind::Gcc, CompilerKind::Gxx, CompilerKind::Clang, CompilerKind::Clangxx];

impl DriverRecord {
    pub(super) fn new(driver: ToolchainFile, kind: Option<CompilerKind>) -> Self {
        let number = kind.and_then(|kind| KINDS.iter().position(|known| *known == kind));
        Self { driver, kind: number.map_or(0, |index| index as u8 + 1) }
    }

    pub(super) fn kind(&self) -> Option<CompilerKind> {
        KINDS.get(usize::from(self.kind).checked_sub(1)?).copied()
    }

    /// Returns the record's file below the home.
    pub(super) fn name(call: &Call<'_>) -> String {
        let mut hasher = blake3::Hasher::new();
        hash_driver(&mut hasher, call);
        format!("toolchains/driver-{}", hasher.finalize().to_hex())
    }

    pub(super) fn load(home: &Home, name: &str) -> Option<Self> {
        load::<Self>(home, name).filter(|record| record.driver.holds())
    }

    pub(super) fn save(&self, home: &Home, name: &str) {
        if self.driver.stamp.is_settled(wall_now()) {
            save(home, name, self);
        }
    }
}

/// Everything known about one way of calling a driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ToolchainRecord {
    pub(super) files: Vec<ToolchainFile>,
    /// Names that must stay absent.
    pub(super) absent: Vec<Vec<u8>>,
    pub(super) native: Vec<Vec<u8>>,
    pub(super) search: Vec<Vec<u8>>,
    /// Whether the assembler says in its own bytes that it is GNU's.
    pub(super) gnu_assembler: bool,
    /// What specs or configuration files add; the word in them that is not understood, with its file.
    pub(super) configured: Result<Configured, Vec<u8>>,
}

impl ToolchainRecord {
    /// Returns the record's file below the home.
    pub(super) fn name(call: &Call<'_>, invocation: &Invocation) -> String {
        Self::name_on(call, invocation, processor)
    }

    /// The same on a machine with such a processor, which is asked for only where it counts.
    pub(super) fn name_on(
        call: &Call<'_>,
        invocation: &Invocation,
        processor: impl FnOnce() -> Vec<u8>,
    ) -> String {
        let mut hasher = blake3::Hasher::new();
        hash_driver(&mut hasher, call);
        hash_all(&mut hasher, [invocation.language.name().as_bytes()]);
        hash_all(&mut hasher, invocation.toolchain_arguments.iter().map(Vec::as_slice));
        hash_all(&mut hasher, invocation.native.iter().map(Vec::as_slice));
        for (name, value) in resolution(call) {
            hash_all(&mut hasher, [name.as_slice(), value]);
        }
        if invocation.kind.is_clang() {
            // A user's configuration files can lie there.
            let home = value(call.environment, "HOME").unwrap_or_default();
            hash_all(&mut hasher, [home]);
        }
        if !invocation.toolchain_arguments.iter().all(|word| is_place_free(word)) {
            hash_all(&mut hasher, [call.working_directory.as_os_str().as_bytes()]);
        }
        if !invocation.native.is_empty() {
            hash_all(&mut hasher, [processor().as_slice()]);
        }
        format!("toolchains/{}", hasher.finalize().to_hex())
    }

    /// Reads a record of which everything still holds.
    pub(super) fn load(home: &Home, name: &str) -> Option<Self> {
        let record = load::<Self>(home, name)?;
        let absent = |path: &Vec<u8>| std::fs::symlink_metadata(OsStr::from_bytes(path)).is_err();
        let holds = record.files.iter().all(ToolchainFile::holds) && record.absent.iter().all(absent);
        holds.then_some(record)
    }

    /// Keeps the record, unless a file is so young that its stamp proves nothing yet.
    pub(super) fn save(&self, home: &Home, name: &str) {
        let now = wall_now();
        if self.files.iter().all(|file| file.stamp.is_settled(now)) {
            save(home, name, self);
        }
    }
}

/// Takes the lock under which compilers are asked; `None` where there cannot be one.
pub(super) fn lock(home: &Home) -> Option<File> {
    let file = home.open_for_writing("toolchains/lock", OFlags::RDWR).ok()?;
    file.lock().ok()?;
    Some(file)
}

/// An option that means the same in every directory: it has no value that could be a relative path.
fn is_place_free(word: &[u8]) -> bool {
    let starts: [&[u8]; 7] =
        [b"-m", b"-f", b"--target", b"-target", b"-nostd", b"-nobuiltininc", b"-stdlib="];
    starts.iter().any(|start| word.starts_with(start)) && !word.contains(&b'/')
}

fn hash_driver(hasher: &mut blake3::Hasher, call: &Call<'_>) {
    let program = call.compiler.program.as_os_str().as_bytes();
    hash_all(hasher, [call.compiler.name.as_bytes(), program]);
    if !program.starts_with(b"/") {
        hash_all(hasher, [call.working_directory.as_os_str().as_bytes()]);
    }
    // What is known of a toolchain that somebody vouches for says nothing about its content.
    hash_all(hasher, [[u8::from(call.is_vouched_for())].as_slice()]);
}

fn hash_all<'a>(hasher: &mut blake3::Hasher, items: impl IntoIterator<Item = &'a [u8]>) {
    for item in items {
        hasher.update(&(item.len() as u64).to_le_bytes()).update(item);
    }
    hasher.update(&u64::MAX.to_le_bytes());
}

/// What the kernel says about the first processor, without what changes from one moment to the next: a home directory can be
/// shared by machines, and a virtual machine can move.
fn processor() -> Vec<u8> {
    let text = std::fs::read("/proc/cpuinfo").unwrap_or_default();
    let lines = text.split(|&byte| byte == b'\n').take_while(|line| !line.is_empty());
    let kept = ["model", "cpu family", "stepping", "vendor_id", "flags", "Features", "CPU ", "cache size"];
    let lasting = lines.filter(|line| kept.iter().any(|start| line.starts_with(start.as_bytes())));
    lasting.collect::<Vec<_>>().join(&b'\n')
}

fn load<T: Serialize + DeserializeOwned>(home: &Home, name: &str) -> Option<T> {
    let bytes = home.read(name, RECORD_MAX).ok()?;
    let (&version, rest) = bytes.split_first()?;
    let (digest, body) = rest.split_first_chunk::<32>()?;
    let whole = version == VERSION && Digest::of(body).as_bytes() == digest;
    whole.then(|| decode_exact(body).ok())?
}

fn save<T: Serialize>(home: &Home, name: &str, record: &T) {
    let Ok(body) = postcard::to_extend(record, Vec::new()) else { return };
    // Without the record the next compile asks again: slower, never wrong.
    let _ = home.replace(name, &[&[VERSION], Digest::of(&body).as_bytes(), &body]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(role: &str) -> ToolchainFile {
        let stamp = Stamp { device: 1, inode: 300, size: 4, mtime: -1, ctime: 5 };
        ToolchainFile {
            role: role.to_owned(),
            path: b"/usr/bin/gcc".to_vec(),
            stamp,
            digest: Digest::of(b"gcc"),
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn records_keep_their_bytes() {
        let scratch = tempfile::tempdir().unwrap();
        let home = Home::open(&scratch.path().join("home")).unwrap();
        let driver = DriverRecord { driver: file(DRIVER), kind: 2 };
        let others = ToolchainRecord {
            files: vec![file("as")],
            absent: vec![b"/opt/as".to_vec()],
            native: vec![b"-march=x".to_vec()],
            search: vec![b"/usr/include".to_vec()],
            gnu_assembler: true,
            configured: Ok(Configured { words: vec![b"-O2".to_vec()], conditions: vec![b"r".to_vec()] }),
        };
        save(&home, "toolchains/a", &driver);
        save(&home, "toolchains/b", &others);
        // Path, stamp, digest.
        let rest = format!("0c2f7573722f62696e2f67636301ac0204010a{}", Digest::of(b"gcc"));
        let lists = "01072f6f70742f617301082d6d617263683d78010c2f7573722f696e636c756465";
        let bodies =
            [format!("06647269766572{rest}02"), format!("01026173{rest}{lists}010001032d4f32010172")];
        for (name, body) in ["toolchains/a", "toolchains/b"].into_iter().zip(bodies) {
            let bytes = home.read(name, RECORD_MAX).unwrap();
            // Version, digest of the body, body.
            assert_eq!((bytes[0], hex(&bytes[33..])), (7, body), "{name}");
            assert_eq!(bytes[1..33], *Digest::of(&bytes[33..]).as_bytes());
        }
        assert_eq!(load(&home, "toolchains/a"), Some(driver));
        assert_eq!(load(&home, "toolchains/b"), Some(others));
    }

    /// A record and a driver's record of one file, and the record of a name that must be absent.
    fn records(file: &ToolchainFile, absent: &Path) -> (ToolchainRecord, DriverRecord) {
        let toolchain = ToolchainRecord {
            files: vec![self::file("as"), file.clone()],
            absent: vec![absent.as_os_str().as_bytes().to_vec()],
            native: Vec::new(),
            search: Vec::new(),
            gnu_assembler: true,
            configured: Ok(Configured::default()),
        };
        (toolchain, DriverRecord { driver: file.clone(), kind: 1 })
    }

    #[test]
    fn a_record_stands_while_its_files_are_what_they_were_and_its_names_are_absent() {
        let scratch = tempfile::tempdir().unwrap();
        let home = Home::open(&scratch.path().join("home")).unwrap();
        let (program, absent) = (scratch.path().join("cc1"), scratch.path().join("as"));
        std::fs::write(&program, "one").unwrap();
        let stamp = Stamp::of(&program).unwrap();
        let path = program.as_os_str().as_bytes().to_vec();
        let (mut toolchain, driver) = records(&ToolchainFile { path, stamp, ..file("cc1") }, &absent);
        toolchain.files.remove(0);
        save(&home, "toolchains/a", &toolchain);
        save(&home, "toolchains/b", &driver);
        let stand = || {
            let driver = DriverRecord::load(&home, "toolchains/b").is_some();
            [ToolchainRecord::load(&home, "toolchains/a").is_some(), driver]
        };
        assert_eq!(stand(), [true, true]);
        std::os::unix::fs::symlink("nowhere", &absent).unwrap();
        assert_eq!(stand(), [false, true], "a link to nowhere can lead somewhere at any time");
        std::fs::remove_file(&absent).unwrap();
        assert_eq!(stand(), [true, true]);
        std::fs::write(&program, "other").unwrap();
        assert_eq!(stand(), [false, false]);
    }

    #[test]
    fn a_record_of_a_file_that_can_still_change_unseen_is_not_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let home = Home::open(&scratch.path().join("home")).unwrap();
        let young = Stamp { ctime: i64::MAX, ..file("cc1").stamp };
        for (stamp, kept) in [(young, false), (file("cc1").stamp, true)] {
            let (toolchain, driver) = records(&ToolchainFile { stamp, ..file("cc1") }, Path::new("/absent"));
            toolchain.save(&home, "toolchains/a");
            driver.save(&home, "toolchains/b");
            let toolchain = load::<ToolchainRecord>(&home, "toolchains/a").is_some();
            assert_eq!((toolchain, load::<DriverRecord>(&home, "toolchains/b").is_some()), (kept, kept));
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..proptest::prelude::ProptestConfig::with_cases(128) })]

        #[test]
        fn arbitrary_bytes_behind_a_right_digest_never_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let scratch = tempfile::tempdir().unwrap();
            let home = Home::open(&scratch.path().join("home")).unwrap();
            home.replace("toolchains/a", &[&[VERSION], Digest::of(&body).as_bytes(), &body]).unwrap();
            let _ = load::<ToolchainRecord>(&home, "toolchains/a");
            let _ = load::<DriverRecord>(&home, "toolchains/a");
        }
    }
}
