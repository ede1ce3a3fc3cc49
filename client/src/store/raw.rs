//! Outputs as plain files beside their entries, so that a hit can clone or link one instead of writing it.
//!
//! ```text
//! objects/S/r-DIGEST      content of one output; S: first hexadecimal digit
//! ```
//!
//! Invariant: none of these files is believed. It is read and checked against its digest before each use, since a program that writes into
//! a linked output writes into the store. One that does not hold is removed; the entry beside it holds the content as well.

use super::{Shard, Store};
use crate::home::unique_part;
use dccache_protocol::entry::{BlobRef, OutputRole};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timestamps, UTIME_NOW};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How an output comes from the store without being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// It shares blocks until somebody writes to either, where the file system can.
    Clone,
    /// It is one file under two names.
    Link,
}

impl Transfer {
    /// Whether outputs of a role are given so.
    ///
    /// A dependency file is generated for each call. Of the others only objects are linked: assemblers and compilers put a new file in
    /// the place of an old object, but write over some other outputs, which a link makes read-only.
    pub fn takes(self, role: OutputRole) -> bool {
        match self {
            Self::Clone => role != OutputRole::Depend,
            Self::Link => role == OutputRole::Object,
        }
    }
}

impl Store<'_> {
    /// Makes the file at `target`, which must not exist, the content of `blob`; returns whether it did. Nothing is left behind otherwise.
    pub fn give_raw(&self, blob: &BlobRef, target: &Path, transfer: Transfer) -> bool {
        let Ok(file) = self.home.open_file(&name_of(blob), OFlags::RDONLY) else { return false };
        if !holds(&file, blob) {
            let _ = self.home.remove(&name_of(blob));
            return false;
        }
        let given = match transfer {
            Transfer::Clone => clone(&file, target),
            Transfer::Link => link(&file, target).and_then(|()| touch(&file)),
        };
        given.is_ok()
    }

    /// Keeps an output that was just written, and holds `blob`, for the next hit. Where it cannot be cloned or linked, nothing is kept.
    pub fn keep_raw(&self, blob: &BlobRef, output: &Path, transfer: Transfer) {
        let _ = self.try_keep_raw(blob, output, transfer);
    }

    fn try_keep_raw(&self, blob: &BlobRef, output: &Path, transfer: Transfer) -> io::Result<()> {
        let name = name_of(blob);
        if self.home.open_file(&name, OFlags::PATH).is_ok() {
            return Ok(());
        }
        let file = File::open(output)?;
        if !holds(&file, blob) {
            return Ok(());
        }
        // By a temporary name, so that the directory is there, and a file that is only half there is never seen.
        let temporary =
            format!("{}/{}{}", shard_of(blob).directory(), crate::home::TEMPORARY_MARK, unique_part());
        let place = self.home.open_for_writing(&temporary, OFlags::WRONLY | OFlags::EXCL)?;
        let kept = match transfer {
            Transfer::Clone => rustix::fs::ioctl_ficlone(&place, &file).map_err(io::Error::from),
            Transfer::Link => self.home.remove(&temporary).and_then(|()| {
                link(&file, &self.home.path().join(&temporary))?;
                // Whoever opens the output for writing is told that it is not its own.
                let mode = Mode::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
                Ok(rustix::fs::fchmod(&file, mode & (Mode::RUSR | Mode::RGRP | Mode::ROTH))?)
            }),
        };
        let kept = kept.and_then(|()| self.home.rename(&temporary, &name));
        if kept.is_err() {
            let _ = self.home.remove(&temporary);
        }
        kept?;
        self.count(shard_of(blob), &name, blob.size).map(drop)
    }
}

fn shard_of(blob: &BlobRef) -> Shard {
    Shard(blob.blob.digest().as_bytes()[0] >> 4)
}

fn name_of(blob: &BlobRef) -> String {
    format!("{}/r-{}", shard_of(blob).directory(), blob.blob)
}

/// Whether a file is regular and has exactly this content.
fn holds(mut file: &File, blob: &BlobRef) -> bool {
    let right_size = file.metadata().is_ok_and(|found| found.is_file() && found.len() == blob.size);
    let mut content = Vec::new();
    right_size && file.read_to_end(&mut content).is_ok() && BlobRef::of(&content) == *blob
}

fn clone(file: &File, target: &Path) -> io::Result<()> {
    let place = File::options().write(true).create_new(true).open(target)?;
    let cloned = rustix::fs::ioctl_ficlone(&place, file);
    if cloned.is_err() {
        let _ = std::fs::remove_file(target);
    }
    Ok(cloned?)
}

/// Gives an open file one more name, whatever its other names lead to by now.
fn link(file: &File, target: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    let target = CString::new(target.as_os_str().as_bytes())?;
    Ok(rustix::fs::linkat(CWD, open, CWD, target, AtFlags::SYMLINK_FOLLOW)?)
}

/// Makes a file as young as an output that was just written, since builds compare times.
fn touch(file: &File) -> io::Result<()> {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Ok(rustix::fs::futimens(file, &Timestamps { last_access: now, last_modification: now })?)
}
