//! The rules by which blanks and comments may show in a result, and what is left of a file without them, removed one at a time.

use super::rules::rule;
use super::table::{Mutant, Test, unit};

const LINE: &str = "client/src/invocation/layout.rs";
const TEXT: &str = "client/src/keying/layout.rs";
const FORM: &str = "client/src/cpp/tokens.rs";
const KEPT: &str = "client/src/wrapper/tokens.rs";
const FOUND: &str = "client/src/wrapper/lookup.rs";
const CAPTURE: &str = "client/src/wrapper/capture.rs";

const fn tokens(name: &'static str) -> Test {
    Test { package: "dccache", target: "tokens", name }
}

const SHOWS: Test = tokens("an_edit_that_shows_gives_what_the_compiler_gives_now");
const DOUBT: Test = tokens("an_edit_in_doubt_is_compiled");
const BESIDE: Test = tokens("what_acts_beside_the_tokens_is_compiled");
const COMMAND: Test = unit("invocation::layout::tests::each_rule_about_the_command_speaks_for_itself");
const ADDED: Test = unit("invocation::layout::tests::words_that_a_file_adds_speak_against_it");
const SEEN: Test = unit("keying::layout::tests::each_rule_about_the_text_speaks_for_itself");
const APART: Test = unit("cpp::tokens::tests::tokens_that_differ_have_another_form");
const SPACES: Test =
    unit("cpp::tokens::tests::blanks_and_comments_are_one_space_and_nothing_where_a_line_begins_or_ends");
const AS_IT_IS: Test = unit("cpp::tokens::tests::what_is_no_comment_and_no_blank_stays_as_it_is");
const NO_FORM: Test = unit("cpp::tokens::tests::what_another_standard_reads_otherwise_has_none");
const ROOM: Test = unit("cpp::tokens::tests::the_room_that_gcc_needs_for_columns_is_part_of_it");

/// All of them.
#[rustfmt::skip]
pub(crate) const LAYOUT: &[Mutant] = &[
    // What the command says.
    rule("layout: clang's columns", LINE, "(", "invocation.kind.is_clang()", "false", SHOWS),
    rule("layout: other languages", LINE, "(", "!matches!(invocation.language, Language::C | Language::Cxx)", "false", DOUBT),
    rule("layout: outputs beside code", LINE, "(", "!line.makes_code_alone()", "false", DOUBT),
    rule("layout: positions", LINE, "(", "facts.leaks_directory || facts.leaks_output", "false", SHOWS),
    rule("layout: no optimisation", LINE, "(", "!line.is_optimized()", "false", DOUBT),
    rule("layout: options that nobody looked at", LINE, "(", "!arguments.iter().all(is_blind)", "false", DOUBT),
    rule("layout: warnings that look at blanks", LINE, "(", "!line.warns_by_tokens()", "false", SHOWS),
    rule("layout: members of groups of warnings", LINE, "Some((_, members)) => ", "members.iter().all(|member| {\n                let off = [b\"-Wno-\", member.as_bytes()].concat();\n                self.has(|word| word == off)\n            })", "!members.is_empty()", SHOWS),
    rule("layout: warnings that nobody looked at", LINE, "|(entry, _)| ", "entry.class == Class::TokenWarning", "true", COMMAND),
    rule("layout: what becomes an error", LINE, "Some(name) => ", "[b\"-W\", name].concat()", "name.iter().take(0).copied().chain(*b\"-Wno-\").collect()", SHOWS),
    rule("layout: pedantry under -w", LINE, "return ", "warnings.all(|word| word.starts_with(b\"-W\") || MUTES.contains(&word))", "true", DOUBT),
    rule("layout: words that a file adds", LINE, "(", "!added.is_empty() || !invocation.plugins.is_empty()", "false", ADDED),
    rule("layout: variables that compare", LINE, "(", "invocation.environment.compares_debug()", "false", BESIDE),

    // What the text says.
    rule("layout: messages of the preprocessor", TEXT, "(", "!ingredients.messages.is_empty()", "false", SEEN),
    rule("layout: precompiled headers hold comments", TEXT, "(", "ingredients.takes != Takes::Headers", "false", SEEN),
    rule("layout: lines of another file", TEXT, "(", "!text.quoted().is_empty()", "false", DOUBT),
    rule("layout: words that ask where they stand", TEXT, "(", "text.names_any(WORDS)", "false", SHOWS),
    rule("layout: pragmas", TEXT, "(", "!text.directives().all(is_harmless)", "false", SHOWS),
    rule("layout: files beside the text", TEXT, "", "Digest::of(&tokens(file.content)?)", "{ tokens(file.content)?; Digest::of(b\"\") }", BESIDE),

    // What the compile gave.
    rule("layout: messages of a compile", CAPTURE, "", "ran.stderr.is_empty()", "true", tokens("a_result_with_a_message_is_not_found_by_its_tokens")),
    rule("layout: a root in the outputs", CAPTURE, "", "shared == known.free().is_some()", "true", tokens("a_result_that_holds_the_root_unseen_is_compiled")),
    rule("layout: comments that are to count", KEPT, "if ", "self.config.keep_comments_cpp", "false", tokens("comments_that_are_to_count_do")),

    rule("layout: messages of an entry that is found", FOUND, "", "self.tokens != Some(key) || entry.outcome.stderr.size == 0", "true", unit("wrapper::lookup::tests::what_was_said_is_served_by_no_key_that_leaves_blanks_and_comments_out")),

    // What is left of a file.
    rule("layout: trigraphs", FORM, "", "has_trigraph(content)", "false", NO_FORM),
    rule("layout: very long lines", FORM, "", "content.split(|&byte| byte == b'\\n').any(|line| line.len() >= LINE_MAX)", "false", BESIDE),
    rule("layout: room for columns", FORM, "", "self.mark_room(self.at);", "", ROOM),
    rule("layout: bytes that are marks", FORM, "", "bytes.iter().any(|&byte| byte < b'\\t')", "false", NO_FORM),
    rule("layout: divided beginnings of comments", FORM, "[b'/', ..] if ", "splice(&rest[1..]).is_some()", "false", NO_FORM),
    rule("layout: divided ends of comments", FORM, "[b'*', rest @ ..] if ", "splice(rest).is_some()", "false", NO_FORM),
    rule("layout: lines that end in comments", FORM, "[b'\\n', ..] => ", "self.end_line()", "self.at += 1", APART),
    rule("layout: raw strings", FORM, "let raw = ", "matches!(&rest[..length], b\"R\" | b\"LR\" | b\"uR\" | b\"UR\" | b\"u8R\")", "false", AS_IT_IS),
    rule("layout: digits that are divided", FORM, "|| ", "(number && rest[at] == b'\\'' && rest.get(at + 1).is_some_and(|&next| is_word(next)))", "false", SPACES),
];
