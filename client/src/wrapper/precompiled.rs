//! Precompiled headers that a compile takes: what must hold for it, and their contents.

use super::inputs::{Inputs, Look};
use super::refusal::Refusal;
use super::setting::Setting;
use crate::cpp::Preprocessed;
use crate::invocation::{Bypass, FileKind, Files, OptionFile, Reason, Stage};
use crate::keying::{Takes, precompiled_headers};
use crate::toolchain::Stamp;
use dccache_protocol::digest::Digest;

impl Setting<'_> {
    /// Reads the precompiled headers that the compile takes or could take, beside those that options name.
    ///
    /// `text` comes from the headers that gcc says it took. Clang's preprocessor reads the headers themselves, so clang must not take one that is
    /// older than they are, and its list of dependencies has to agree with the compiler's own.
    pub(super) fn precompiled(
        &self,
        text: &Preprocessed<'_>,
        listed: bool,
        inputs: &mut Inputs,
    ) -> Result<(Takes, Vec<Digest>), Refusal> {
        let names = precompiled_headers(&self.invocation, text, &self.toolchain.search, &self.disk);
        let named = self.invocation.option_files.iter().filter(|file| self.is_precompiled(file));
        let all: Vec<&[u8]> =
            names.iter().map(Vec::as_slice).chain(named.map(|file| file.path.as_slice())).collect();
        let Some(first) = all.first() else { return Ok((Takes::Headers, Vec::new())) };
        let refused = |name: &[u8]| Refusal::Call(Bypass::new(Reason::CouldNotUsePrecompiledHeader, name));
        let clang = self.invocation.kind.is_clang();
        // The macros in it can hold the time, and nothing shows that.
        if self.invocation.stage == Stage::Precompiled
            || !self.config.sloppiness.time_macros
            || (clang && !listed)
        {
            return Err(refused(first));
        }
        if let Some(special) = all.iter().find(|name| self.disk.kind(name) != FileKind::Regular) {
            return Err(refused(special));
        }
        if clang && let Some(name) = all.iter().find(|name| self.is_outdated(name, inputs)) {
            return Err(refused(name));
        }
        // Of clang's, the text shows every function.
        let look = if clang { Look::ClangImage } else { Look::Image };
        let digests = names.iter().map(|name| self.read_precompiled(name, look, inputs));
        Ok((Takes::Precompiled, digests.collect::<Result<_, _>>()?))
    }

    /// Reads a precompiled header; what stands for its content in the key.
    pub(super) fn read_precompiled(
        &self,
        name: &[u8],
        look: Look,
        inputs: &mut Inputs,
    ) -> Result<Digest, Refusal> {
        let content = inputs.read(name, self.path(name), look)?;
        let sum = [name, b".sum"].concat();
        if !self.config.pch_external_checksum || self.disk.kind(&sum) != FileKind::Regular {
            return Ok(content);
        }
        let sum = inputs.read(&sum, self.path(&sum), Look::Content)?;
        // The digest of no content: who does not say so is never served by it.
        Ok(Digest::of(&[b"pch_external_checksum".as_slice(), sum.as_bytes()].concat()))
    }

    /// Whether an option takes the file as a precompiled header.
    pub(super) fn is_precompiled(&self, file: &OptionFile) -> bool {
        let before = self.invocation.arguments[..file.argument].iter().rev();
        let mut before = before.map(|argument| argument.bytes.as_slice()).filter(|word| *word != b"-Xclang");
        before.next() == Some(b"-include-pch")
    }

    /// Whether a header that was read is not older than a precompiled one: that may have been made of another text.
    fn is_outdated(&self, name: &[u8], inputs: &Inputs) -> bool {
        let made = Stamp::of(&self.path(name)).map(|stamp| stamp.mtime);
        let headers = inputs.files.iter().filter(|input| input.name != self.invocation.source);
        headers.map(|input| input.stamp.newest()).any(|newest| made.is_none_or(|made| newest >= made))
    }
}
