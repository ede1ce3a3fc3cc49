//! Why a call is left to the compiler.

use super::setting::Tally;
use crate::invocation::Bypass;
use crate::stats::Verdict;

/// Why a call is left to the compiler. Nothing has run but, at most, the preprocessor.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The call itself cannot be cached.
    Call(Bypass),
    /// Something around it: the name that is counted, and what caused it.
    Ours(&'static str, Vec<u8>),
}

impl Refusal {
    /// Names a reason without a cause.
    pub(super) fn ours(name: &'static str) -> Self {
        Self::Ours(name, Vec::new())
    }

    /// Names a reason and its cause.
    pub(super) fn because(name: &'static str, cause: impl Into<Vec<u8>>) -> Self {
        Self::Ours(name, cause.into())
    }

    /// Notes the cause, and returns what the call counts as.
    pub(super) fn count(self, tally: &mut Tally) -> Verdict {
        let (name, cause) = match self {
            Self::Call(Bypass { reason, cause }) => (reason.name(), cause),
            Self::Ours(name, cause) => (name, cause),
        };
        tally.event.cause = cause;
        Verdict::Bypassed(name.to_owned())
    }
}

impl From<Bypass> for Refusal {
    fn from(bypass: Bypass) -> Self {
        Self::Call(bypass)
    }
}
