//! Writing what an entry holds where this call wants it.
//!
//! Invariant: an output appears whole or not at all, and only under names that this call gives; what is stored holds roles.

use super::setting::{Setting, Tally};
use crate::depfile::{self, DependRequest};
use crate::home::unique_part;
use crate::invocation::PlannedOutput;
use crate::process::write_all;
use crate::store::LocalEntry;
use dccache_protocol::codec::Format;
use dccache_protocol::depend::Depend;
use dccache_protocol::entry::OutputRole;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Why an entry was not delivered. The compiler runs instead and writes everything anew.
#[derive(Debug)]
pub(super) enum Undelivered {
    /// Its bytes are not what its head says, or it lacks an output of this call.
    Damaged,
    /// An output could not be written.
    Output(
        #[expect(dead_code, reason = "kept for its Debug form; the compiler says what is wrong")] io::Error,
    ),
}

/// Where the outputs of one call go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery<'a> {
    /// Working directory.
    pub(super) directory: &'a Path,
    /// The outputs as this call names them.
    pub(super) outputs: &'a [PlannedOutput],
    /// Dependency file asked for.
    pub(super) depend: Option<&'a DependRequest>,
    /// Root of the compile.
    pub(super) root: &'a [u8],
}

impl Setting<'_> {
    /// Writes all outputs of an entry, then replays its stderr.
    pub(super) fn deliver(&self, entry: &LocalEntry, tally: &mut Tally) -> Result<(), Undelivered> {
        let delivery = Delivery {
            directory: &self.directory,
            outputs: &self.invocation.outputs,
            depend: self.invocation.depend.as_ref(),
            root: &self.root,
        };
        delivery.make(entry, tally)
    }
}

impl Delivery<'_> {
    /// Writes all outputs of an entry, then replays its streams. Nothing is said before everything is written.
    pub(super) fn make(&self, entry: &LocalEntry, tally: &mut Tally) -> Result<(), Undelivered> {
        let contents = entry.contents().map_err(|_| Undelivered::Damaged)?;
        let (files, streams) = contents.split_at(entry.outcome.outputs.len());
        let [stdout, stderr] = streams else { return Err(Undelivered::Damaged) };
        let content_of = |role: OutputRole| {
            let index = entry.outcome.outputs.iter().position(|output| output.role == role)?;
            files.get(index).map(AsRef::<[u8]>::as_ref)
        };
        for planned in self.outputs {
            let content = content_of(planned.role).ok_or(Undelivered::Damaged)?;
            let Some(path) = &planned.path else { continue };
            let generated;
            let content = match (planned.role, self.depend) {
                (OutputRole::Depend, Some(request)) => {
                    let depend = Depend::from_bytes(content).map_err(|_| Undelivered::Damaged)?;
                    generated = depfile::write(&depend, request, self.root);
                    &generated
                }
                _ => content,
            };
            replace_output(&self.directory.join(OsStr::from_bytes(path)), content)
                .map_err(Undelivered::Output)?;
        }
        tally.delivered = Some(0);
        write_all(rustix::stdio::stdout(), stdout.as_ref());
        write_all(rustix::stdio::stderr(), stderr.as_ref());
        Ok(())
    }
}

/// Puts an output in place: a new file beside it, the old one unlinked, then a rename. A rename over an existing file would make some
/// file systems flush. The umask decides its mode, as for the compiler's.
fn replace_output(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = directory.join(format!(".dccache-{}.tmp", unique_part()));
    let mut file = File::options().write(true).create_new(true).open(&temporary)?;
    let written = file.write_all(content).and_then(|()| {
        match fs::symlink_metadata(path) {
            Ok(old) if old.is_file() => fs::remove_file(path)?,
            // What is no regular file is never replaced, whatever it became since the call was looked at.
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
