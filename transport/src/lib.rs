//! How requests travel: identities, the certificate authority, mutual TLS, tarpc channels, bulk streams and the connection pool.
