//! Guards, probes and rules about stamps of direct mode, and what keeps precompiled headers right, removed one at a time.

use super::table::{Mutant, Test, unit};

const GUARD: &str = "client/src/direct/guard.rs";
const SEALED: &str = "client/src/direct/sealed.rs";
const STANDING: &str = "client/src/direct/standing.rs";
const OBSERVE: &str = "client/src/direct/observe.rs";
const DIGESTS: &str = "client/src/direct/digests.rs";
const MANIFEST: &str = "client/src/direct/manifest.rs";
const PROVE: &str = "client/src/direct/prove.rs";
const COPIED: &str = "client/src/direct/prove/copies.rs";
const SEARCH: &str = "client/src/direct/search.rs";
const LEARN: &str = "client/src/wrapper/learn.rs";
const DIRECT: &str = "client/src/wrapper/direct.rs";
const LOOKUP: &str = "client/src/wrapper/lookup.rs";
const PRECOMPILED: &str = "client/src/wrapper/precompiled.rs";
const INPUTS: &str = "client/src/wrapper/inputs.rs";
const KEYING: &str = super::table::GATHERED;
const SERVE: &str = "client/src/wrapper/sealed.rs";
const SPELLING: &str = "client/src/direct/spelling.rs";
const LISTING: &str = "client/src/direct/listing.rs";
const MOVING: &str = "client/src/wrapper/moving.rs";
const LISTED: &str = "client/src/wrapper/listed.rs";
const DISCOVER: &str = "client/src/toolchain/discover.rs";
const OPTIONS_OF: &str = "client/src/toolchain/discover/options.rs";
const PLUGINS: &str = "client/src/invocation/plugins.rs";
const CAPTURE: &str = "client/src/wrapper/capture.rs";
const DECLARED: &str = "client/src/keying/declared.rs";
const CONFIGURABLE: &str = "client/src/invocation/configured.rs";
const DRAFT: &str = "client/src/invocation/draft.rs";
const WRAPPER: &str = "client/src/wrapper/mod.rs";
const STAMP: &str = "client/src/toolchain/stamp.rs";

pub(crate) const fn rule(
    name: &'static str,
    file: &'static str,
    lead: &'static str,
    code: &'static str,
    removed: &'static str,
    test: Test,
) -> Mutant {
    Mutant { name, file, lead, code, removed, test }
}

const fn direct(name: &'static str) -> Test {
    Test { package: "dccache", target: "direct", name }
}

const fn depend(name: &'static str) -> Test {
    Test { package: "dccache", target: "depend", name }
}

const fn ways(name: &'static str) -> Test {
    Test { package: "dccache", target: "ways", name }
}

const fn taken(name: &'static str) -> Test {
    Test { package: "dccache", target: "precompiled", name }
}

const fn clangs(name: &'static str) -> Test {
    Test { package: "dccache", target: "clang_precompiled", name }
}

const fn sealed(name: &'static str) -> Test {
    Test { package: "dccache", target: "sealed", name }
}

const fn holes(name: &'static str) -> Test {
    Test { package: "dccache", target: "direct_holes", name }
}

const fn plugins(name: &'static str) -> Test {
    Test { package: "dccache", target: "plugins", name }
}

const fn odd(name: &'static str) -> Test {
    Test { package: "dccache", target: "odd_text", name }
}

const fn specs(name: &'static str) -> Test {
    Test { package: "dccache", target: "specs", name }
}

const APPEARS: Test =
    unit("direct::guard::tests::a_name_that_appears_breaks_its_guard_and_another_one_does_not");
const EARLIER: Test = direct("a_header_that_would_now_be_found_earlier_is_no_hit");
const LINK: Test = direct("a_link_to_nowhere_that_comes_to_life_is_found");
const CHANGES: Test = direct("a_header_that_changes_goes_or_becomes_another_link_is_no_hit");
const ANOTHER: Test = sealed("an_include_directory_that_becomes_another_one_is_noticed");
const CONFIGURED: Test = sealed("a_configuration_that_changes_appears_or_goes_is_noticed");
const VARIABLES: Test =
    unit("direct::sealed::tests::every_variable_that_enters_a_key_or_leads_to_a_bypass_is_in_the_name");
const SLOTS: Test = unit("direct::digests::tests::a_digest_is_found_by_the_whole_stamp_only");
const RENEWED: Test = unit("direct::guard::tests::a_directory_that_changed_is_trusted_again_once_it_is_old");
const KNOWN: Test = unit("direct::observe::tests::a_known_stamp_spares_the_read_and_a_young_one_does_not");
const PLUGIN: Test = plugins("a_plugin_of_gcc_changed_under_the_same_name_size_and_time_is_another_one");
const NOTES: Test = Test {
    package: "dccache",
    target: "sharing",
    name: "with_gcno_cwd_coverage_notes_may_name_another_working_directory_and_nothing_else_may",
};
const ADDED: Test = specs("specs_that_do_more_than_add_code_generation_leave_the_call_alone");
const PROBED: Test =
    unit("direct::prove::tests::names_before_the_one_that_was_found_are_probed_and_no_others");
const ASKED: Test =
    unit("direct::prove::tests::a_question_for_a_header_makes_its_absence_or_its_presence_count");
const FORCED: Test = holes("a_precompiled_header_of_a_forced_one_that_appears_is_noticed");
const NEXT: Test = holes("a_header_that_would_now_be_found_next_is_noticed");
const GONE: Test = holes("a_header_that_was_asked_for_and_goes_is_noticed");
const QUESTIONS: Test = holes("questions_for_headers_are_found_however_they_are_written");
const KEYED: Test = unit(
    "direct::manifest::tests::what_shows_more_than_its_content_enters_a_direct_key_with_that_or_not_at_all",
);
const NO_NAME: Test = unit("direct::manifest::tests::a_name_that_is_not_absent_leads_to_no_key");
const UNEXPLAINED: Test =
    unit("direct::prove::tests::a_file_that_the_search_does_not_explain_proves_nothing");
const COPIES: Test = holes("copies_that_are_skipped_once_are_told_apart_by_the_compiler");

/// All of them.
#[rustfmt::skip]
pub(crate) const RULES: &[Mutant] = &[
    // Kinds of absence, and what guards them.
    rule("a .gch may be no directory", GUARD, "let precompiled = ", "name.ends_with(b\".gch\")", "false", holes("a_directory_of_precompiled_headers_that_appears_is_noticed")),
    rule("a .pch may be no directory", GUARD, "", "name.ends_with(b\".pch\")", "false", FORCED),
    rule("no header", GUARD, "Self::NoHeader => ", "is_nothing(path)", "true", APPEARS),
    rule("nothing at all", GUARD, "Self::Nothing => ", "path.metadata().is_err()", "true", unit("direct::guard::tests::where_nothing_may_lie_a_directory_counts_as_well")),
    rule("links to nowhere stand alone", GUARD, "Ok(found) if ", "found.is_symlink()", "false", LINK),
    rule("links to nowhere are looked at", GUARD, "", "!all_absent(working_directory, &self.singles)", "false", LINK),
    rule("a guard compares stamps", GUARD, "", "Stamp::of(&directory) == guard.stamp", "true", EARLIER),
    rule("a young directory guards nothing", GUARD, "|stamp| ", "stamp.is_settled(now)", "true", unit("direct::guard::tests::a_young_directory_is_looked_at_name_by_name")),
    rule("a renewed stamp is settled", GUARD, "|found| ", "found.is_settled(now)", "true", RENEWED),
    rule("a renewed stamp means something", GUARD, "", "trusted(found.device)", "true", RENEWED),
    rule("names are looked at below a renewed stamp", GUARD, "|(name, _)| ", "begins_with_nothing(&directory, name.as_ref())", "true", RENEWED),
    rule("names begin with nothing below a renewed stamp", GUARD, "", "place(directory, first).symlink_metadata()", "place(directory, name).metadata()", unit("direct::guard::tests::a_directory_below_which_a_name_can_come_to_life_is_not_trusted_again")),
    rule("the wall clock is set back", "client/src/process/clock.rs", "", "now.wall - self.wall + ROUNDING < now.steady - self.steady", "false", unit("process::clock::tests::a_wall_clock_that_is_set_back_is_told_from_one_that_runs_or_is_set_forward")),
    rule("names are looked at below another stamp", GUARD, "if ", "!all_absent(&directory, &guard.names)", "false", EARLIER),
    rule("names are looked at when guarded", GUARD, "if lies != Lies::Nothing && ", "!absence.holds(&directories.place(name))", "false", APPEARS),

    // What a sealed record stands on.
    rule("a record that is broken", SERVE, "", "standing == Standing::Broken", "false", EARLIER),
    rule("stamps of files", STANDING, "", "Stamp::of(&path(file)) == Some(*stamp)", "true", CHANGES),
    rule("stamps of many files of a directory", STANDING, "", "Stamp::below(&directory, split(file.as_ref()).1) == Some(*stamp)", "true", unit("direct::standing::tests::every_file_is_looked_at_in_directories_that_are_opened_and_in_those_that_are_not")),
    rule("places", SEALED, "", "(found.device, found.inode) == (*device, *inode)", "true", ANOTHER),
    rule("guards", SEALED, "", "self.guards.standing(working_directory)", "Standing::Unchanged", EARLIER),
    rule("families of variables", SEALED, "", "PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))", "false", VARIABLES),
    rule("variables", SEALED, "", "VARIABLES.iter().any(|variable| variable.as_bytes() == name)", "false", VARIABLES),
    rule("the terminal", SEALED, "", "chosen.push((Vec::new(), vec![u8::from(terminal == Terminal::Yes)]));", "", unit("direct::sealed::tests::each_part_of_a_command_gives_another_name")),
    rule("a response file", LEARN, "let response_file = ", "self.arguments.iter().any(|argument| argument.as_bytes().starts_with(b\"@\"))", "false", direct("a_response_file_that_changes_is_read_again")),
    rule("a toolchain that is too young", LEARN, "let settled = ", "self.toolchain.stamps.iter().all(|(_, stamp)| stamp.is_settled(now))", "true", sealed("what_is_too_young_is_never_sealed")),
    rule("a processor", LEARN, "", "self.toolchain.native.is_empty()", "true", sealed("what_no_stamp_stands_for_is_never_sealed")),
    rule("stamps of inputs", LEARN, "let inputs = ", "footprint.inputs.iter()", "[].iter()", CHANGES),
    rule("stamps of option files", LEARN, "let options = ", "self.invocation.option_files.iter()", "[].iter()", sealed("files_that_options_and_the_configuration_name_are_noticed")),
    rule("stamps of extra files", LEARN, "let extra = ", "self.config.extra_files_to_hash.iter()", "[].iter()", sealed("files_that_options_and_the_configuration_name_are_noticed")),
    rule("a young input is not sealed", LEARN, "|observed| ", "observed.settled", "true", sealed("what_is_too_young_is_never_sealed")),
    rule("a date is not sealed", LEARN, "if ", "observed.facts.date && !self.config.sloppiness.time_macros", "false", sealed("what_no_stamp_stands_for_is_never_sealed")),
    rule("stamps of the toolchain", LEARN, "", "stamps.extend(self.toolchain.stamps.iter().cloned());", "", sealed("a_toolchain_that_changes_is_noticed")),
    rule("guards of headers", LEARN, "let headers = ", "footprint.absent.iter()", "[].iter()", EARLIER),
    rule("guards of the toolchain", LEARN, "", "self.toolchain.absent.iter().for_each(|name| nothing(name));", "", sealed("a_toolchain_that_changes_is_noticed")),
    rule("stamps of configuration files", LEARN, "=> ", "stamps.push((name.to_vec(), stamp))", "()", CONFIGURED),
    rule("a young configuration file is not sealed", LEARN, "Some(_) => ", "return None", "()", sealed("what_is_too_young_is_never_sealed")),
    rule("guards of configuration files", LEARN, "None => ", "nothing(name)", "()", CONFIGURED),
    rule("guards of marks of projects", LEARN, "", "unmarked.iter().for_each(|path| nothing(path.as_os_str().as_bytes()));", "", sealed("a_mark_of_a_project_that_appears_or_goes_is_noticed")),
    rule("the mark of the project", LEARN, "", "places.push(self.place(mark.as_os_str().as_bytes())?);", "", sealed("a_mark_of_a_project_that_appears_or_goes_is_noticed")),
    rule("places of include directories", LEARN, "Some(place) => ", "places.push(place)", "drop(place)", ANOTHER),
    rule("guards of include directories", LEARN, "None => ", "nothing(directory)", "()", direct("an_include_directory_that_appears_is_searched")),
    rule("the working directory as spelled", LEARN, "", "places.push(self.place(&self.invocation.working_directory)?);", "", sealed("a_working_directory_that_is_spelled_by_a_link_is_the_one_that_counts")),
    rule("file systems that make up stamps, sealed", LEARN, "let reliable = ", "devices.chain(guarded).all(|(path, device)| direct.observer.is_reliable(device, path))", "true", sealed("what_no_stamp_stands_for_is_never_sealed")),

    // What a listing says is absent.
    rule("names without case", LISTING, "", "lower.make_ascii_lowercase();", "", unit("direct::listing::tests::a_directory_that_is_asked_often_is_listed_and_its_names_are_told_apart_without_case")),
    rule("names beyond ASCII", LISTING, "", "(!foreign || tells_case(&directory))", "true", unit("direct::listing::tests::what_cannot_be_listed_for_certain_is_looked_at_by_itself")),
    rule("file systems that show not all", LISTING, "&& ", "!RELIABLE.contains(&(system.f_type as u64))", "false", unit("direct::listing::tests::what_cannot_be_listed_for_certain_is_looked_at_by_itself")),

    // What stays while the compiler runs.
    rule("absent names were absent before", MOVING, "", "direct.before.lacked(*identity, first)", "true", ways("a_header_that_is_only_asked_for_and_goes_or_comes_during_the_compile_is_noticed")),
    rule("directories that changed since", MOVING, "match ", "stamp.is_before(self.start)", "true", ways("a_header_that_is_only_asked_for_and_goes_or_comes_during_the_compile_is_noticed")),
    rule("ways to what is only asked for", LEARN, "let stayed = ", "self.led_there(direct, proof.more.iter().map(Vec::as_slice), start)", "true", ways("a_header_that_is_only_asked_for_and_goes_or_comes_during_the_compile_is_noticed")),
    rule("times without a part of a second", STAMP, "0 => ", "time.saturating_add(SECOND) <= start", "time < start", unit("toolchain::stamp::tests::a_time_without_a_part_of_a_second_can_be_any_within_it")),
    rule("a file of the source's name", LISTED, "", "stands_alone && name == last_part(source)", "name == last_part(source)", depend("a_file_of_the_sources_own_name_that_the_assembler_reads_is_noticed")),
    rule("a list that only looks like ours", LISTED, "", "(own.dev(), own.ino()) == (named.dev(), named.ino())", "true", Test { package: "dccache", target: "lists_faults", name: "lists_are_not_written_into_what_only_looks_like_ours" }),
    rule("directives that name a file", LISTED, "", "inputs.files.iter().filter_map(|input| input.content.as_deref()).any(names_another_file)", "false", depend("what_cannot_be_stored_by_lists_is_preprocessed_from_then_on")),
    rule("what the assembler reads", LISTED, "", "self.check_assembler_list(lists, direct)?;", "", depend("what_the_assembler_reads_is_not_stored_however_it_is_written")),
    rule("commands that need the text", LISTED, "if !fit || ", "self.needs_the_text(direct)", "false", depend("what_cannot_be_stored_by_lists_is_preprocessed_from_then_on")),

    // When a stamp stands for a content.
    rule("a change of the inode makes young", STAMP, "", "self.mtime.max(self.ctime)", "self.mtime", sealed("what_is_too_young_is_never_sealed")),
    rule("a change of the content makes young", STAMP, "", "self.mtime.max(self.ctime)", "self.ctime", sealed("what_is_too_young_is_never_sealed")),
    rule("young is not settled", STAMP, "", "now - i128::from(self.newest()) >= SETTLED_NS", "true", KNOWN),
    rule("a known digest of a young stamp", OBSERVE, "if ", "stamp.is_settled(self.now)", "true", KNOWN),
    rule("a young stamp is kept", OBSERVE, "let settled = ", "stamp.is_settled(self.now)", "true", KNOWN),
    rule("file systems that make up stamps, known", OBSERVE, "", "self.is_reliable(stamp.device, path)", "true", unit("direct::observe::tests::a_stamp_of_a_file_system_that_makes_them_up_is_never_trusted")),
    rule("a file that changes while it is looked at", OBSERVE, "", "read_below(directory, name, &mut self.content) == Some(*stamp)", "read_below(directory, name, &mut self.content).is_some()", unit("direct::observe::tests::a_file_that_changes_while_it_is_looked_at_is_not_read")),
    rule("files that are made when they are read", OBSERVE, "", "NO_FILES.iter().any(|directory| path.starts_with(directory))", "false", unit("direct::observe::tests::nothing_but_regular_files_is_opened")),
    rule("a slot's tag", DIGESTS, "", "slot[..16] == tag", "true", unit("direct::digests::tests::a_full_table_forgets_and_never_mixes_up")),
    rule("a slot's check", DIGESTS, "", "slot[52..] == self.check(stamp, slot)", "true", unit("direct::digests::tests::torn_and_foreign_slots_read_as_nothing")),
    rule("a slot's device", DIGESTS, "let numbers = [", "stamp.device", "0", SLOTS),
    rule("a slot's inode", DIGESTS, ", ", "stamp.inode", "0", SLOTS),
    rule("a slot's size", DIGESTS, "", "stamp.size", "0", SLOTS),
    rule("a slot's time of content", DIGESTS, "", "stamp.mtime as u64", "0", SLOTS),
    rule("a slot's time of inode", DIGESTS, "", "stamp.ctime as u64", "0", SLOTS),

    // What enters a direct key.
    rule("directives that read or compare", MANIFEST, "if ", "embed || pragma_dependency", "false", KEYED),
    rule("times of day", MANIFEST, "TimeMacros::Today(_) if ", "clock || timestamp", "false", KEYED),
    rule("dates", MANIFEST, "TimeMacros::Today(today) if ", "date", "false", KEYED),
    rule("times on the command line", DIRECT, "", "facts.date || facts.time || facts.timestamp", "false", holes("time_macros_of_the_command_line_and_pasted_ones_are_never_stale")),
    rule("suggested names are absent", MANIFEST, "", "self.directories.hold(path, Absence::of_header(path))", "true", NO_NAME),
    rule("suggested paths stay within", MANIFEST, "", "path.strip_prefix(directory.as_slice()).is_some_and(below)", "true", unit("direct::manifest::tests::paths_of_suggestions_stay_within_their_directories_however_they_are_spelled")),

    // What the search for headers tried.
    rule("questions that are put together", SPELLING, "", "pasted.then_some(\"a part of __has_include\")", "None", holes("questions_for_headers_that_are_put_together_are_noticed")),
    rule("bytes that compilers skip", SPELLING, "", "find(content, b\"??/\").is_some() || memchr::memchr(0, content).is_some()", "false", odd("includes_that_odd_bytes_hide_from_a_search_are_noticed")),
    rule("names in directives", PROVE, "", "self.include(spelling, Some(file.path))?;", "", PROBED),
    rule("what cannot be read off", PROVE, "if let Some(what) = ", "spellings.opaque", "None", QUESTIONS),
    rule("questions", PROVE, "", "self.query(spelling, file.path)?;", "", ASKED),
    rule("questions in macros of the command line", PROVE, "", "memchr::memmem::find(definition, b\"__has_\").is_some()", "false", QUESTIONS),
    rule("names that are expanded", PROVE, "", "*form == Form::Angled && self.has_macro(name)", "false", holes("a_computed_name_that_is_itself_expanded_is_not_taken_as_it_stands")),
    rule("a header that is included by itself", PROVE, "let name = PREINCLUDED.to_vec();\n        ", "self.query_names(\n            &self.reading.chain.candidates(&Spelling { form: Form::Angled, start: Start::First, name }, None),\n        )?;", "", holes("a_header_that_gcc_includes_by_itself_is_noticed")),
    rule("forced headers", PROVE, "", "self.try_names(&candidates, None)?;", "", holes("a_forced_header_that_would_now_be_found_earlier_is_noticed")),
    rule("a .gch of a forced header", PROVE, "", "self.no_precompiled(name)?;", "if name.ends_with(PRECOMPILED[1]) { self.no_precompiled(name.clone())?; }", FORCED),
    rule("a .pch of a forced header", PROVE, "", "self.no_precompiled(name)?;", "if name.ends_with(PRECOMPILED[0]) { self.no_precompiled(name.clone())?; }", FORCED),
    rule("a .gch of the first header", PROVE, "", "self.beside(&candidates)?;", "", unit("direct::prove::tests::a_precompiled_header_beside_the_first_one_proves_nothing")),
    rule("earlier names", PROVE, "", "self.proof.absent.extend(candidates[..found].iter().cloned());", "", PROBED),
    rule("names before the next one", PROVE, "", "self.proof.absent.extend(tried);", "", NEXT),
    rule("absent names behind a question for the next one", PROVE, "Lies::Nothing => {\n                    ", "self.proof.absent.insert(name);", "", NEXT),
    rule("present names behind a question for the next one", PROVE, "Lies::File(..) => ", "self.present(&name)", "()", GONE),
    rule("a present name behind a question", PROVE, "", "self.present(&candidates[found]);", "", ASKED),
    rule("absent names behind a question", PROVE, "", "self.proof.absent.extend(candidates[..found.unwrap_or(candidates.len())].iter().cloned());", "", ASKED),
    rule("files by another name", COPIED, "", "self.inodes.contains(&(device, inode))", "false", holes("one_file_by_two_names_that_becomes_two_is_noticed")),
    rule("copies of what was read", COPIED, "", "self.once && self.equals_one_read(name, length)", "false", COPIES),
    rule("copies that were read", PROVE, "", "prover.check_copies()?;", "", holes("copies_that_become_equally_old_are_noticed")),
    rule("what was entered is explained", PROVE, "", "self.explained.contains(&(includer, device, inode))", "true", UNEXPLAINED),
    rule("what was listed is led to", PROVE, "return ", "self.check_listed()", "Ok(())", UNEXPLAINED),
    rule("a directory in two groups", SEARCH, "if ", "quote.iter().any(|(_, id)| angled.iter().any(|(_, other)| other == id))", "false", holes("a_directory_for_quoted_names_that_is_also_a_system_one_keeps_its_place")),

    // Precompiled headers that are taken.
    rule("contents of precompiled headers", LOOKUP, "", "raw.extend(precompiled);", "", taken("a_precompiled_header_of_another_text_gives_another_object")),
    rule("precompiled headers hold directories", KEYING, "let free = ", "ingredients.takes == Takes::Headers", "true", taken("nothing_of_it_is_shared_with_another_directory")),
    rule("precompiled headers that stand on others", INPUTS, "ClangImage::read(&content).filter(|image| ", "!image.chained", "true", clangs("an_image_that_stands_on_another_one_is_left_to_clang")),
    rule("times that clang compares", LOOKUP, "", "raw.extend(inputs.compared_times());", "", clangs("headers_of_other_content_or_other_times_are_noticed_as_clang_notices_them")),
    rule("precompiled headers hold times", PRECOMPILED, "|| ", "!self.config.sloppiness.time_macros", "false", taken("without_sloppiness_it_is_left_to_the_compiler")),

    // Options that drivers take from files.
    rule("words that a file adds", WRAPPER, "Ok(configured) => ", "understood(configured)?", "invocation", specs("directories_that_an_unasked_configuration_maps_away_are_no_other_checkouts")),
    rule("words that a file may not add", CONFIGURABLE, "|argument| ", "!may_be_configured(argument, kind)", "false", ADDED),
    rule("conditions on what the preprocessor is not told", DRAFT, "", "configured.check_conditions(&argv, preprocessor.as_deref())?;", "", ADDED),
    rule("places of specs", OPTIONS_OF, "", "self.tried.extend(tried);", "", specs("specs_that_others_take_in_count_and_so_does_where_they_could_appear")),
    rule("places of configuration files", DISCOVER, "", "found.guard_configurations(call, &fixed)?;", "", specs("a_configuration_read_unasked_counts_from_the_moment_that_it_appears")),
    rule("configuration files that others name", OPTIONS_OF, "", "found.files.iter().try_for_each(|file| self.add(SPECS, file))?;", "", specs("a_configuration_changed_under_the_same_name_size_and_time_is_another_one")),

    // Plugins.
    rule("plugins that nobody vouches for", PLUGINS, "(Plugins::LeftAlone, _) => ", "return Err(refused())", "None", PLUGIN),
    rule("files that arguments of plugins name", PLUGINS, "_ => ", "argument_file(value, files).map_err(|()| refused())?", "None", PLUGIN),
    rule("shared libraries of plugins", OPTIONS_OF, "Program::Dynamic(loader) => ", "self.add_libraries(call, &loader, path)", "Ok(())", PLUGIN),
    rule("plugins are never sealed", LEARN, "let plain = plain && ", "!self.invocation.facts.plugin", "true", PLUGIN),

    // What the user declares.
    rule("counters beside coverage notes", DECLARED, "facts.coverage && ", "!facts.beyond_notes", "true", NOTES),
    rule("sources in coverage notes", CAPTURE, "let content = if declared { ", "without(content, places.working_directory)", "Vec::new()", NOTES),

    // How sources are written.
    rule("character sets of sources", DRAFT, "if !", "charset::holds_ascii(argument.value)", "true", odd("a_source_in_another_character_set_is_left_alone_unless_its_bytes_are_ascii")),
    rule("signs of directives", SPELLING, "let Some(rest) = ", "signs.iter().find_map(|sign| line.strip_prefix(*sign))", "line.strip_prefix(b\"#\")", odd("a_question_in_a_macro_is_one_however_it_is_defined")),
];
