//! Dependency files: parsed into tokens when a compile is stored, and written for each call in its compiler's own layout.
//!
//! Invariant: [`capture`] gives tokens only if [`write()`] makes of them, byte for byte, the file that the compiler wrote. What
//! cannot be repeated exactly is not cached.
//!
//! Source: GCC's manual on `-MD`, `-MP`, `-MT`, `-MQ`, and what gcc 12 and clang 14 write, which the tests compare.

mod parse;
mod request;
mod write;

#[cfg(test)]
mod tests;

pub use parse::{capture, prerequisites};
pub use request::{DependMode, DependRequest, Dialect, Phony};
pub use write::write;

pub(crate) use write::{quote, spelled};
