//! Reads the pool at the start.
//!
//! Invariant: a node whose key cannot be opened or whose engine cannot be made stops the start; leaving it out
//! would lose the sessions that it serves.

use std::sync::Arc;

use super::model::{EngineFactory, LocalNode, NodeFacts, NodeKind};
use super::registry::{Node, Nodes, Pool};
use super::store;
use crate::db::Store;
use crate::kernel::seal::Vault;
use crate::kernel::{Clock, Error, Result};

/// The nodes of the table, the own one made when it is not there.
///
/// # Errors
/// The store's; a key that does not open; what `factory` says of a node.
pub async fn load(
    store: &Store,
    clock: &Clock,
    vault: &Arc<Vault>,
    local: LocalNode,
    factory: EngineFactory,
) -> Result<Nodes> {
    let (vault, now, region) = (Arc::clone(vault), clock.now(), local.region.clone());
    let read = store.write(move |tx| {
        Ok::<_, Error>((
            store::local_node(tx, &region, now)?,
            store::external_nodes(tx, &vault)?,
            store::regions(tx)?,
        ))
    });
    let ((id, status, created_at), external, named_regions) = read.await?;
    let own = NodeFacts {
        id,
        kind: NodeKind::Local,
        name: "local".to_owned(),
        region: local.region,
        status,
        capacity: local.capacity,
        created_at,
        public: None,
    };
    let mut nodes = vec![Arc::new(Node::new(own, local.engine))];
    for (facts, api) in external {
        let engine = factory(&api, id)?;
        nodes.push(Arc::new(Node::new(facts, engine)));
    }
    let pool = Pool {
        nodes,
        named_regions,
    };
    Ok(Nodes::new(pool, factory))
}
