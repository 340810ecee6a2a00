//! Merging two accounts of one person, who proved both in one browser session.
//!
//! What moves is what lets the person in: the linked accounts. Whatever else the account that goes has is bound to
//! its own slots, keys and plan, and is deleted as when somebody leaves.
//!
//! Invariant: nothing is merged without both accounts' proofs at the confirmation; whoever runs the appliance or
//! pays for a plan does not lose that by a merge.

use rusqlite::Connection;

use super::OAuthService;
use crate::accounts::model::User;
use crate::accounts::oauth::model::{
    MergeOffer, MergeSide, MergeWish, Merged, Outcome, Provider, STATE_LIFE,
};
use crate::accounts::oauth::store::{self, MergeRequest};
use crate::accounts::store::user_by_id;
use crate::db::Tx;
use crate::kernel::ids::{BrowserSessionId, MergeRequestId, UserId};
use crate::kernel::secret::ExposeSecret;
use crate::kernel::{Actor, Code, Error, FieldError, Kind, Result, UnixMillis, Via};
use crate::plans;
use crate::plans::billing::subscription_is_open;
use crate::plans::model::Tier;

impl OAuthService {
    /// Notes that the caller's browser proved to be `other` too.
    pub(super) async fn offer_merge(
        &self,
        actor: &Actor,
        provider: Provider,
        other: UserId,
    ) -> Result<Outcome> {
        let row = MergeRequest {
            id: MergeRequestId::generate(),
            browser_session: session_of(actor)?,
            user: actor.user_id,
            other,
            provider,
            expires_at: self.now() + STATE_LIFE,
        };
        let job = move |tx: &Tx<'_>| {
            user_by_id(tx, other)?.ok_or_else(being_deleted)?;
            Ok::<_, Error>(store::merge_request_put(tx, &row)?)
        };
        self.deps().store.write(job).await?;
        Ok(Outcome::MergeOffered)
    }

    /// What the caller's browser may merge.
    ///
    /// # Errors
    /// `Gone` when it may merge nothing, or not any more.
    pub async fn merge_offer(&self, actor: &Actor) -> Result<MergeOffer> {
        let (session, now) = (session_of(actor)?, self.now());
        let read = move |conn: &Connection| {
            let row = store::merge_request_get(conn, session, now)?.ok_or_else(offer_is_over)?;
            Ok::<_, Error>((row, side(conn, row.user)?, side(conn, row.other)?))
        };
        let (row, this, other) = self.deps().store.read(read).await?;
        let factors = self.deps().accounts.second_factors();
        Ok(MergeOffer {
            id: row.id,
            provider: row.provider,
            this,
            other,
            other_code: factors.is_enrolled(row.other).await?,
        })
    }

    /// Forgets what the caller's browser may merge.
    ///
    /// # Errors
    /// The store's.
    pub async fn decline_merge(&self, actor: &Actor) -> Result<()> {
        let (session, now) = (session_of(actor)?, self.now());
        let job = move |tx: &Tx<'_>| match store::merge_request_get(tx, session, now)? {
            Some(row) => Ok::<_, Error>(store::merge_request_delete(tx, row.id)?),
            None => Ok(()),
        };
        self.deps().store.write(job).await
    }

    /// Merges as the caller wishes: the links move, and the account that goes is marked for deletion, all of it or
    /// nothing. The caller carries that deletion through.
    ///
    /// # Errors
    /// `Gone` when the offer is over or was another one; `Conflict` with reason `account_not_mergeable` for an
    /// account that cannot go; those of reauthenticating, and the same with field `other_code`.
    pub async fn merge(&self, actor: &Actor, wish: MergeWish) -> Result<Merged> {
        let offer = self.merge_offer(actor).await?;
        if offer.id != wish.id {
            return Err(offer_is_over());
        }
        let (id, kept_side) = (wish.id, wish.kept);
        let (kept, gone) = offer.kept_and_gone(kept_side);
        refuse_to_lose(gone)?;
        self.check_proofs(actor, &offer, wish).await?;
        let (kept, gone) = (kept.user.clone(), gone.user.id);
        let (service, session, now) = (self.clone(), session_of(actor)?, self.now());
        let by = actor.user_id;
        let job = move |tx: &Tx<'_>| {
            // Somebody may have been faster while the proofs were checked.
            let row = store::merge_request_get(tx, session, now)?;
            row.filter(|row| row.id == id).ok_or_else(offer_is_over)?;
            store::merge_request_delete(tx, id)?;
            service.merge_in(tx, by, kept.id, gone, now)?;
            Ok::<_, Error>(Merged { kept, gone })
        };
        self.deps().store.write(job).await
    }

    fn merge_in(
        &self,
        tx: &Tx<'_>,
        by: UserId,
        kept: UserId,
        gone: UserId,
        now: UnixMillis,
    ) -> Result<()> {
        refuse_to_lose(&side(tx, gone)?)?;
        let before = side(tx, kept)?.links;
        store::links_move(tx, gone, kept)?;
        let left = store::links_of(tx, gone)?;
        let accounts = &self.deps().accounts;
        accounts.mark_for_deletion_in(tx, Some(by), gone, now)?;
        let moved = store::links_of(tx, kept)?;
        let moved = moved.iter().filter(|link| !before.contains(link));
        let moved: Vec<_> = moved.map(|link| link.provider.as_str()).collect();
        let lost: Vec<_> = left.iter().map(|link| link.provider.as_str()).collect();
        let detail = format!("links moved: {}; lost: {}", words(&moved), words(&lost));
        self.note_of(
            tx,
            by,
            "account.merged",
            kept,
            &format!("took over {gone}; {detail}"),
        )?;
        self.note_of(tx, by, "account.merged_away", gone, &format!("into {kept}"))?;
        self.links().forget_after(tx, kept);
        self.links().forget_after(tx, gone);
        Ok(())
    }

    /// The other account's code comes before this one's, so that a slip there does not use this one's up.
    async fn check_proofs(&self, actor: &Actor, offer: &MergeOffer, wish: MergeWish) -> Result<()> {
        let accounts = &self.deps().accounts;
        let password = wish.proofs.password.clone();
        accounts.confirm_first_factor(actor, password).await?;
        let factors = accounts.second_factors();
        if offer.other_code {
            let code = wish.other_code.expose_secret();
            let checked = factors.check(offer.other.user.id, code).await;
            checked.map_err(of_the_other)?;
        }
        if factors.is_enrolled(actor.user_id).await? {
            let code = wish.proofs.code.expose_secret();
            factors.check(actor.user_id, code).await?;
        }
        Ok(())
    }
}

fn side(conn: &Connection, id: UserId) -> Result<MergeSide> {
    let user: User = user_by_id(conn, id)?.ok_or_else(offer_is_over)?;
    let plan = plans::store::plan_get(conn, id)?;
    Ok(MergeSide {
        user,
        links: store::links_of(conn, id)?,
        tier: plan.map_or(Tier::Free, |plan| plan.tier),
        pays: subscription_is_open(conn, id)?,
    })
}

fn refuse_to_lose(gone: &MergeSide) -> Result<()> {
    gone.cannot_go()
        .map_or(Ok(()), |why| Err(not_mergeable(why)))
}

/// What cannot go by a merge, and `why`.
#[must_use]
pub fn not_mergeable(why: &str) -> Error {
    let message = format!("the account that would go cannot: {why}. Keep that one instead");
    Error::conflict(message).reason("account_not_mergeable")
}

/// The same complaint about the field of the other account's code.
fn of_the_other(error: Error) -> Error {
    if error.fields().is_empty() {
        return error;
    }
    let renamed = error.fields().iter().map(|field| FieldError {
        field: "other_code",
        ..field.clone()
    });
    Error::invalid_fields(renamed.collect())
}

fn words(list: &[&str]) -> String {
    if list.is_empty() {
        return "none".to_owned();
    }
    list.join(", ")
}

fn session_of(actor: &Actor) -> Result<BrowserSessionId> {
    match actor.via {
        Via::Browser(id) => Ok(id),
        Via::Plugin(_) | Via::ApiKey(_) | Via::System => Err(Error::forbidden()),
    }
}

fn being_deleted() -> Error {
    let message = "that account is linked with an account here that is being deleted: wait a moment, then link it \
                   again";
    Error::conflict(message)
}

fn offer_is_over() -> Error {
    let message = "there is nothing to merge here: the offer was used, is older than 10 minutes, or began in another \
                   browser. Link the account again";
    Error::new(Kind::Gone, Code::SessionExpired, message).reason("merge_over")
}
