//! How requests travel: identities, the certificate authority, mutual TLS, tarpc channels, bulk streams and the connection pool.
//!
//! Shape: [`identity`] makes and keeps keys and certificates; [`trust`] says whom to believe; [`endpoint`] joins the two into TLS
//! configurations; [`listener`] and [`dial`] produce streams whose other end is an [`peer::Authenticated`] peer; [`rpc`] and [`bulk`]
//! speak over them; [`pool`] keeps them and gives up on nodes that do not answer.

pub mod bulk;
pub mod clock;
pub mod dial;
pub mod endpoint;
pub mod frame;
pub mod identity;
pub mod listener;
pub mod peer;
mod places;
pub mod pool;
pub mod revocation;
pub mod rpc;
pub mod stream;
pub mod trust;
pub mod work;
