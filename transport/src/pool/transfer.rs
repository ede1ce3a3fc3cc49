//! Bulk transfers through the pool.

use super::{Fault, Pool, PoolError};
use crate::bulk::{self, BulkError, Patience};
use dccache_protocol::ids::NodeId;
use dccache_protocol::service::{BulkAnswer, BulkRequest};
use std::net::SocketAddr;

impl Pool {
    /// Makes one bulk transfer on an idle or a new connection, and remembers how the node behaved.
    ///
    /// A connection that lay idle may have been closed by the other end meanwhile; then a new one is tried once. All bulk requests name
    /// their content, so that asking twice does no harm.
    ///
    /// # Errors
    /// See [`PoolError`]; the patience covers dialling too.
    pub async fn transfer(
        &self,
        node: NodeId,
        addresses: &[SocketAddr],
        request: &BulkRequest,
        payload: &[u8],
        patience: Patience,
    ) -> Result<(BulkAnswer, Vec<u8>), PoolError> {
        let mut retried = false;
        loop {
            let (mut stream, was_idle) = self.take_bulk(node, addresses, patience.answer_by).await?;
            match bulk::transfer_within(&mut stream, request, payload, patience).await {
                Ok(done) => {
                    self.give_back(node, stream);
                    return Ok(done);
                }
                Err(BulkError::Io(_) | BulkError::Frame(_)) if was_idle && !retried => retried = true,
                Err(BulkError::Stalled) => {
                    self.failed(node, Fault::Slow, "a bulk transfer stalled");
                    return Err(PoolError::Deadline(node));
                }
                Err(BulkError::Length) => return Err(PoolError::Failed(node)),
                Err(error @ (BulkError::Io(_) | BulkError::Frame(_))) => {
                    self.failed(node, Fault::Fast, &error.to_string());
                    return Err(PoolError::Broken(node));
                }
            }
        }
    }
}
