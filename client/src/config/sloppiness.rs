//! What the user may declare to be irrelevant, under ccache's names.

/// What the user may declare to be irrelevant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sloppiness {
    /// The index that clang keeps beside a compile may be stale.
    pub clang_index_store: bool,
    /// Files are the same where their stamps are. It is so anyway, where stamps can be relied on.
    pub file_stat_matches: bool,
    /// Files are the same where their stamps are, whatever their ctime. Has no effect.
    pub file_stat_matches_ctime: bool,
    /// The directory in coverage notes may be another one.
    pub gcno_cwd: bool,
    /// Assembly may take in files that nobody looks at.
    pub incbin: bool,
    /// Included files may have a ctime younger than the compile.
    pub include_file_ctime: bool,
    /// Included files may have an mtime younger than the compile.
    pub include_file_mtime: bool,
    /// What an overlay of the file system leads to does not matter.
    pub ivfsoverlay: bool,
    /// Messages may come in another language.
    pub locale: bool,
    /// What a module holds does not matter. Has no effect.
    pub modules: bool,
    /// Macros of the command line that made a precompiled header do not matter.
    pub pch_defines: bool,
    /// Compiles that load plugins depend on nothing but what is looked at.
    pub plugins: bool,
    /// The value of `-frandom-seed` does not matter.
    pub random_seed: bool,
    /// System headers need no check. Has no effect.
    pub system_headers: bool,
    /// `__DATE__`, `__TIME__` and `__TIMESTAMP__` may be stale.
    pub time_macros: bool,
}

/// How one word is reached.
type Place = fn(&mut Sloppiness) -> &mut bool;

/// All words in ascending order.
const WORDS: [(&str, Place); 15] = [
    ("clang_index_store", |chosen| &mut chosen.clang_index_store),
    ("file_stat_matches", |chosen| &mut chosen.file_stat_matches),
    ("file_stat_matches_ctime", |chosen| &mut chosen.file_stat_matches_ctime),
    ("gcno_cwd", |chosen| &mut chosen.gcno_cwd),
    ("incbin", |chosen| &mut chosen.incbin),
    ("include_file_ctime", |chosen| &mut chosen.include_file_ctime),
    ("include_file_mtime", |chosen| &mut chosen.include_file_mtime),
    ("ivfsoverlay", |chosen| &mut chosen.ivfsoverlay),
    ("locale", |chosen| &mut chosen.locale),
    ("modules", |chosen| &mut chosen.modules),
    ("pch_defines", |chosen| &mut chosen.pch_defines),
    ("plugins", |chosen| &mut chosen.plugins),
    ("random_seed", |chosen| &mut chosen.random_seed),
    ("system_headers", |chosen| &mut chosen.system_headers),
    ("time_macros", |chosen| &mut chosen.time_macros),
];

/// What is allowed, in words.
pub(super) const ALLOWED: &str = "clang_index_store, file_stat_matches, file_stat_matches_ctime, gcno_cwd, incbin, include_file_ctime, include_file_mtime, ivfsoverlay, locale, modules, pch_defines, plugins, random_seed, system_headers and time_macros, separated by commas, or nothing";

impl Sloppiness {
    /// Reads words separated by commas or spaces; `None` where one is unknown.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut chosen = Self::default();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            let (_, place) = WORDS.iter().find(|(known, _)| *known == word)?;
            *place(&mut chosen) = true;
        }
        Some(chosen)
    }

    /// Shows it so that [`Sloppiness::parse`] gives it back.
    pub(crate) fn show(mut self) -> String {
        let chosen = WORDS.iter().filter(|(_, place)| *place(&mut self)).map(|(word, _)| *word);
        chosen.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_set_alone_shown_again_and_named_in_what_is_allowed() {
        assert!(WORDS.is_sorted_by(|a, b| a.0 < b.0));
        for (word, place) in WORDS {
            let mut chosen = Sloppiness::parse(word).unwrap();
            assert_eq!(chosen.show(), word);
            assert!(ALLOWED.contains(word), "{word}");
            *place(&mut chosen) = false;
            assert_eq!(chosen, Sloppiness::default(), "{word}");
        }
        assert_eq!(Sloppiness::parse("locale, time_macros").unwrap().show(), "locale,time_macros");
        assert_eq!(Sloppiness::parse("locale,whatever"), None);
    }
}
