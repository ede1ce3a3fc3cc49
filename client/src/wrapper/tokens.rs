//! Finding a compile by its tokens: what blanks and comments cannot have changed is found though they have been edited.

use super::inputs::Inputs;
use super::setting::Setting;
use crate::cpp::Preprocessed;
use crate::keying::{Ingredients, Keys, SourceFile, file_forms, tokens_key};
use dccache_protocol::keys::EntryKey;

impl Setting<'_> {
    /// Makes the key of a compile by text and tokens; `None` where blanks or comments could show in outputs or messages, or are to count.
    ///
    /// `inputs` begin with the files of the text.
    pub(super) fn tokens(
        &self,
        ingredients: &Ingredients<'_>,
        text: &Preprocessed<'_>,
        keys: &Keys,
        inputs: &Inputs,
    ) -> Option<EntryKey> {
        if self.config.keep_comments_cpp {
            return None;
        }
        let files = text.files().iter().zip(&inputs.files).map(|(file, input)| {
            let content = input.content.as_deref()?;
            Some(SourceFile { name: &file.path, content, digest: input.digest })
        });
        let files = files.collect::<Option<Vec<_>>>().filter(|files| files.len() == text.files().len())?;
        let (invocation, places) = (&self.invocation, self.places());
        let forms = file_forms(invocation, ingredients, &places, text, &files).ok()?;
        Some(EntryKey::Preprocessed(tokens_key(invocation, ingredients, &places, text, keys, &forms)))
    }
}
