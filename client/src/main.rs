//! The `dccache` binary: hands the arguments to [`dccache::front`].
//!
//! Shape: a C `main`, so that the standard library's start-up does not run. That start-up ignores SIGPIPE, opens
//! `/dev/null` on closed descriptors and makes a signal stack; the compiler must get dispositions and descriptors as
//! they came, and each hit would pay for it (`docs/adr/0009-signal-dispositions.md`).
#![no_main]

use std::ffi::{c_char, c_int};

#[expect(unsafe_code, reason = "exporting the C entry point by name; ADR 0009")]
#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, _arguments: *const *const c_char) -> c_int {
    dccache::front::run(std::env::args_os().collect())
}
