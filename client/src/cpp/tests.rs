//! Preprocessed text.
