//! A user goes: their sessions end, and no node knows their slots any more.

use futures_util::future::join_all;

use super::RelayService;
use crate::kernel::Result;
use crate::kernel::ids::{SlotId, UserId};
use crate::relay::model::StopReason;

impl RelayService {
    /// Ends every session of a user and makes every node forget their slots, which cuts off whoever is live with
    /// their keys. Answers the slots. What fails may be tried again.
    ///
    /// # Errors
    /// When the store fails, or a node does not answer.
    pub async fn release_user(&self, user_id: UserId) -> Result<Vec<SlotId>> {
        let slots: Vec<_> = self
            .0
            .deps
            .slots
            .list(user_id)
            .await?
            .iter()
            .map(|slot| slot.id)
            .collect();
        // Asked before the sessions end, because with them end the places.
        let mut nodes = Vec::new();
        for slot in &slots {
            nodes.push((*slot, self.nodes_of_slot(*slot).await?));
        }
        self.stop_all(user_id, StopReason::EntitlementEnded).await?;
        let pairs = nodes
            .iter()
            .flat_map(|(slot, nodes)| nodes.iter().map(move |node| (*slot, node)));
        let dropped = pairs.map(|(slot, node)| self.drop_at(slot, node));
        join_all(dropped)
            .await
            .into_iter()
            .collect::<Result<()>>()?;
        self.0.sessions.invalidate(&user_id);
        Ok(slots)
    }

    /// Makes the own node forget slots whose rows are gone, in case a job told it of them meanwhile.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn forget_slots(&self, slots: &[SlotId]) -> Result<()> {
        let local = self.0.deps.nodes.local();
        let dropped = slots.iter().map(|slot| self.drop_at(*slot, &local));
        join_all(dropped).await.into_iter().collect()
    }
}
