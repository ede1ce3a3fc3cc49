//! Puts an invocation together.

use super::arguments::UNKNOWN;
use super::environment::KeyEnvironment;
use super::{Bypass, Command, Files, Invocation};

/// Decides what a call is.
pub(super) fn plan(command: &Command<'_>, _files: &dyn Files) -> Result<Invocation, Bypass> {
    KeyEnvironment::of(command.environment)?;
    Err(Bypass::new(UNKNOWN, command.argv.get(1).cloned().unwrap_or_default()))
}
