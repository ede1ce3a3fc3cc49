//! Expands response files as the compilers do.
