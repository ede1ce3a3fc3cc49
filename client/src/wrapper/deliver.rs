//! Writing what an entry holds where this call wants it.
//!
//! Invariant: an output appears whole or not at all, and only under names that this call gives; what is stored holds roles.

use super::setting::{Setting, Tally};
use crate::depfile::{self, DependRequest};
use crate::home::unique_part;
use crate::invocation::PlannedOutput;
use crate::process::write_all;
use crate::store::{LocalEntry, Store, Transfer};
use crate::verify::Expected;
use dccache_protocol::codec::Format;
use dccache_protocol::depend::Depend;
use dccache_protocol::digest::Verified;
use dccache_protocol::entry::{BlobRef, OutputRole};
use std::borrow::Cow;
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
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    /// Working directory.
    pub(super) directory: &'a Path,
    /// The outputs as this call names them.
    pub(super) outputs: &'a [PlannedOutput],
    /// Dependency file asked for.
    pub(super) depend: Option<&'a DependRequest>,
    /// Root of the compile.
    pub(super) root: &'a [u8],
    /// The store, where outputs are to be cloned or linked.
    pub(super) shared: Option<Shared<'a>>,
}

/// A store with which outputs share their content.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    store: Store<'a>,
    transfer: Transfer,
    /// Whether what had to be written is kept for the next hit.
    keeps: bool,
}

impl Setting<'_> {
    /// Writes all outputs of an entry, then replays its stderr.
    pub(super) fn deliver(&self, entry: &LocalEntry, tally: &mut Tally) -> Result<(), Undelivered> {
        Delivery::of(self).make(entry, tally)
    }
}

impl<'a> Delivery<'a> {
    /// Prepares the delivery that a call wants.
    pub(super) fn of(setting: &'a Setting<'_>) -> Self {
        let config = setting.config;
        Self {
            directory: &setting.directory,
            outputs: &setting.invocation.outputs,
            depend: setting.invocation.depend.as_ref(),
            root: &setting.root,
            shared: config.transfer().map(|transfer| Shared {
                store: Store::new(setting.home, config.max_size).with_files(config.max_files),
                transfer,
                keeps: !config.read_only && !config.remote_only,
            }),
        }
    }
}

impl Delivery<'_> {
    /// Writes all outputs of an entry, then replays its streams. Nothing is said before everything is written.
    pub(super) fn make(&self, entry: &LocalEntry, tally: &mut Tally) -> Result<(), Undelivered> {
        let contents = entry.contents().map_err(|_| Undelivered::Damaged)?;
        let (files, streams) = contents.split_at(entry.outcome.outputs.len());
        let [stdout, stderr] = streams else { return Err(Undelivered::Damaged) };
        for planned in self.outputs {
            let content = self.content(planned.role, entry, files)?;
            let Some(path) = &planned.path else { continue };
            let path = self.directory.join(OsStr::from_bytes(path));
            let raw = entry.outcome.outputs.iter().find(|output| output.role == planned.role);
            let takes = self.shared.as_ref().is_some_and(|shared| shared.transfer.takes(planned.role));
            let raw = raw.filter(|_| takes).map(|output| &output.content);
            self.replace_output(&path, &content, raw).map_err(Undelivered::Output)?;
        }
        tally.delivered = Some(0);
        write_all(rustix::stdio::stdout(), stdout.as_ref());
        write_all(rustix::stdio::stderr(), stderr.as_ref());
        Ok(())
    }

    /// Returns what would be written and said, and does neither.
    pub(super) fn expected(&self, entry: &LocalEntry) -> Result<Expected, Undelivered> {
        let contents = entry.contents().map_err(|_| Undelivered::Damaged)?;
        let (files, streams) = contents.split_at(entry.outcome.outputs.len());
        let [stdout, stderr] = streams else { return Err(Undelivered::Damaged) };
        let wanted = self.outputs.iter().filter_map(|planned| Some((planned.role, planned.path.as_ref()?)));
        let wanted = wanted.map(|(role, path)| {
            let content = self.content(role, entry, files)?.into_owned();
            Ok((role, self.directory.join(OsStr::from_bytes(path)), content))
        });
        let streams = [stdout, stderr].map(|stream| AsRef::<[u8]>::as_ref(stream).to_vec());
        Ok(Expected { files: wanted.collect::<Result<_, _>>()?, streams })
    }

    /// Returns what an output holds; a dependency file is made for this call.
    fn content<'c>(
        &self,
        role: OutputRole,
        entry: &LocalEntry,
        files: &'c [Verified<Vec<u8>>],
    ) -> Result<Cow<'c, [u8]>, Undelivered> {
        let index = entry.outcome.outputs.iter().position(|output| output.role == role);
        let content = index.and_then(|index| files.get(index)).ok_or(Undelivered::Damaged)?.as_ref();
        match (role, self.depend) {
            (OutputRole::Depend, Some(request)) => {
                let depend = Depend::from_bytes(content).map_err(|_| Undelivered::Damaged)?;
                Ok(depfile::write(&depend, request, self.root).into())
            }
            _ => Ok(content.into()),
        }
    }

    /// Puts an output in place: a new file beside it, the old one unlinked, then a rename. A rename over an existing file would make some
    /// file systems flush. The umask decides its mode, as for the compiler's. `raw` names content that the store may hold as a file.
    fn replace_output(&self, path: &Path, content: &[u8], raw: Option<&BlobRef>) -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let temporary = directory.join(format!(".dccache-{}.tmp", unique_part()));
        let raw = self.shared.as_ref().zip(raw);
        let given = raw.is_some_and(|(shared, raw)| shared.store.give_raw(raw, &temporary, shared.transfer));
        if !given {
            let mut file = File::options().write(true).create_new(true).open(&temporary)?;
            file.write_all(content).inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        }
        let placed = match fs::symlink_metadata(path) {
            Ok(old) if old.is_file() => fs::remove_file(path),
            // What is no regular file is never replaced, whatever it became since the call was looked at.
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => Ok(()),
        };
        let placed = placed.and_then(|()| fs::rename(&temporary, path));
        if placed.is_err() {
            let _ = fs::remove_file(&temporary);
        } else if let Some((shared, raw)) = raw.filter(|(shared, _)| !given && shared.keeps) {
            shared.store.keep_raw(raw, path, shared.transfer);
        }
        placed
    }
}
