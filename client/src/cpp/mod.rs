//! What the preprocessor's output says: which files were read, and what in it may not be cached or shared.
//!
//! One pass over the lines finds line markers and directives; substring searches find the rest. Nothing is copied but names.
//!
//! Source: GCC's manual, "Preprocessor Output": `# LINE "NAME" FLAGS`, flag 1 enters a file, 2 returns to one.

mod asm;
mod clang_image;
mod facts;
mod marker;
mod offload;
mod text;
mod tokens;
mod transitions;

#[cfg(test)]
mod tests;

pub use asm::image_reader;
pub use clang_image::ClangImage;
pub use facts::FileFacts;
pub(crate) use facts::without_splices;
pub use text::{EnteredFile, Places, Preprocessed};
pub use tokens::tokens;
pub use transitions::{Transition, transitions};
