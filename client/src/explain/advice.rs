//! What to do about each reason and fault. One line each; names are those of the statistics.

/// A name and what to do about it.
type Row = (&'static str, &'static str);

const ROWS: &[Row] = &[
    (
        "absurd_suggestions",
        "somebody of the cluster suggested more names or bytes than any compile reads; they were not looked at",
    ),
    ("agent_busy", "nothing to do: the agent held too many large entries at once"),
    ("agent_malformed", "`dccache agent stop`; another version of the agent may be running"),
    ("agent_unreached", "`dccache agent run --foreground` shows why the agent does not start or answer"),
    ("autoconf_test", "nothing to do: configure's tests are not worth storing"),
    ("bad_compiler_arguments", "the compiler itself says what is wrong"),
    ("bad_configuration", "`dccache config list` names the line; until then nothing is cached"),
    ("bad_input_file", "give a regular file; pipes and terminals are not cached"),
    ("bad_output_file", "the output's directory must exist, and the output be a regular file or absent"),
    ("bad_working_directory", "the working directory was removed"),
    ("called_for_link", "nothing to do: links are not cached"),
    ("called_for_preprocessing", "nothing to do: preprocessing alone is not cached"),
    (
        "compile_failed",
        "nothing to do: failed compiles are not stored; where one succeeded before, look for memory and disk",
    ),
    ("compiler_check_failed", "a command of `compiler_check` cannot be run, or fails"),
    ("compiler_produced_empty_output", "the compiler wrote an empty file; look for a full disk"),
    ("compiler_produced_no_output", "the compiler wrote no file where the command line says"),
    ("compiler_produced_stdout", "the compiler wrote to stdout; a plugin or wrapper may do so"),
    ("corrupt_entry", "it was damaged or foreign and is replaced; look at the disk if it happens often"),
    (
        "corrupt_manifest",
        "a list of what a command reads was damaged and is made anew; look at the disk if it happens often",
    ),
    (
        "corrupt_sealed_record",
        "a fast answer was damaged and is made anew; look at the disk if it happens often",
    ),
    ("could_not_run_compiler", "the compiler could not be started; look at memory and process limits"),
    ("could_not_use_modules", "modules are not cached in this version"),
    (
        "could_not_use_precompiled_header",
        "taking one needs `sloppiness = time_macros`, and with clang a dependency file (-MD) and one that is newer than its headers",
    ),
    ("date_changed", "nothing to do: the date could change while it compiled"),
    ("distrusted_digest", "a node sent other bytes than its entry names; the next replica was asked"),
    ("distrusted_malformed", "a node sent what no node sends; is it of another version?"),
    ("distrusted_signature", "a node sent an entry that nobody signed; the next replica was asked"),
    (
        "distrusted_signer",
        "`trust_accept` does not name the signer, or the cluster's directory does not know it",
    ),
    (
        "dependencies_differ",
        "the compile listed other dependencies than its preprocessor; did a header appear meanwhile?",
    ),
    ("disabled", "the source says dccache:disable or ccache:disable"),
    ("error_hashing_extra_file", "a file of `extra_files_to_hash` cannot be read"),
    ("fault", "the faults below say why nothing was found"),
    ("internal_error", "a defect of dccache; the compiler ran as if without it. Please report it"),
    ("interrupted", "nothing to do: a signal came while it compiled"),
    ("message_depends_on_more", "a defect of dccache: a message has no key of its own. Please report it"),
    ("message_names_temporary_file", "repair the assembler's warning; it names a temporary file"),
    ("modified_input_file", "an input changed during the compile, or has a time in the future"),
    ("multiple_source_files", "compile one source per call"),
    ("new", "nothing of the same text, flags and compiler was stored before"),
    ("no_input_file", "nothing to do: there is no source"),
    ("output_to_null", "nothing to do: an output that goes to /dev/null cannot be stored"),
    ("output_to_stdout", "name an output file"),
    ("output_too_large", "nothing to do: the outputs are above the bound of an entry"),
    ("output_write_error", "an output could not be written from the cache; the compiler ran instead"),
    (
        "output_varies",
        "nothing to do: the compiler does not give the same bytes again; it cannot be verified",
    ),
    ("preprocessor_error", "the compiler says what is wrong"),
    ("push_queue_full", "the agent cannot push fast enough; `dccache agent status` shows the queue"),
    ("read_only", "read_only is on"),
    ("read_only_direct", "read_only_direct is on, and nothing was found by what the call reads"),
    (
        "ring_breaker_open",
        "a node failed a moment ago and is not asked yet; `dccache doctor` asks every node",
    ),
    ("refused_entry", "what a node or directory holds differed from a compile once, and is not taken again"),
    ("ring_not_joined", "join again: this machine's membership went away"),
    (
        "ring_not_trusted",
        "a certificate does not hold; `dccache doctor` looks at certificate, clock and nodes",
    ),
    ("ring_refused", "a node refused: it is busy, full, or does not admit this machine"),
    ("ring_timed_out", "a node did not answer within the compile's budget; `remote_budget` sets another one"),
    ("ring_unreachable", "no owner of the key could be reached; `dccache doctor` asks every node"),
    (
        "shared_directory_unreached",
        "a directory of `remote_storage` cannot be opened or written; look at the mount and its permissions",
    ),
    ("store_write_error", "the local store cannot be written: full disk, read-only mount or permissions"),
    (
        "suggestion_too_large",
        "it reads too many files to be suggested to others; they find it by its preprocessed text",
    ),
    ("unreadable_input", "a file that was included or named by an option cannot be read any more"),
    ("unsupported_code_directive", "the source does what a cache cannot follow"),
    ("unsupported_compiler", "only gcc and clang themselves are cached, not scripts in front of them"),
    (
        "unsupported_compiler_option",
        "leave the option out where it is not needed; it is unknown or writes more files",
    ),
    ("unsupported_dependency_file", "the compiler writes dependencies in a way that is not known"),
    ("unsupported_environment_variable", "unset the variable; it makes the compiler write more files"),
    ("unsupported_source_language", "only C, C++ and Objective-C are cached in this version"),
    ("verify_is_off", "nothing to do: the build itself says so, or calls us as ccache"),
    (
        "verify_differs",
        "what was found is not what the compiler gives now; both are kept below `verify` in dccache's directory",
    ),
];

/// Returns what to do about a reason or fault; `None` for one without a row.
pub fn advice(name: &str) -> Option<&'static str> {
    ROWS.iter().find(|(known, _)| *known == name).map(|(_, advice)| *advice)
}
