//! Dependency files: parsed into tokens when a compile is stored, and written for each call in its compiler's own layout.

mod request;

pub use request::{DependMode, DependRequest, Dialect, Phony};
