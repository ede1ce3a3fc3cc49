//! Small requests: tarpc over length-delimited frames, with our own wire format and our own bounds.
//!
//! Shape: `socket -> frames (length checked) -> mirror (postcard, every byte used, deadline clamped) -> tarpc`. tarpc multiplexes, expires and
//! cancels; what may be on the wire and how much is worked on at once is decided here.

mod client;
mod frames;
mod mirror;
mod server;
mod wire;

pub use client::{RpcClient, connect, context};
pub use server::{Call, serve};
