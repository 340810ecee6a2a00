//! Usage for its user, plans and corrections for operators' programs.
//!
//! `usage/current` itself stands with the relay, which knows the seconds that are not written yet.
//!
//! Invariant: whoever is no operator learns nothing of another user, not even that they exist.

use axum::Json as JsonBody;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::adjustment::{Adjustment, AdjustmentReason, AdjustmentSource, NewAdjustment};
use super::model::{Entitlement, PlanStatus, Tier, Usage};
use super::roll_over::Statement;
use super::store::SessionUsage;
use super::{Ledger, PlanEdit, PlansService};
use crate::accounts::extract::PluginActor;
use crate::http::{ApiError, Json, Path, Query};
use crate::kernel::ids::{AdjustmentId, RelaySessionId, UserId};
use crate::kernel::{Error, UnixMillis};
use crate::relay::RelayService;

/// Records of one page.
const PAGE: u32 = 100;
/// Cycles and corrections that are told.
const LATEST: u32 = 60;

/// What a session used of a cycle.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordView {
    /// `null` for ingest without a session.
    session_id: Option<RelaySessionId>,
    cycle_start: UnixMillis,
    measured_seconds: u64,
    started_at: Option<UnixMillis>,
    region: String,
}

impl From<SessionUsage> for RecordView {
    fn from(of: SessionUsage) -> Self {
        Self {
            session_id: of.session_id,
            cycle_start: of.cycle_start,
            measured_seconds: of.measured_seconds,
            started_at: of.started_at,
            region: of.region,
        }
    }
}

/// Records, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordsAnswer {
    records: Vec<RecordView>,
    /// What to ask as `before` for those that follow; `null` at the end.
    next: Option<String>,
}

/// Where to go on.
#[derive(Debug, Deserialize)]
pub struct RecordsQuery {
    #[serde(default)]
    before: String,
}

/// What the caller streamed, per cycle and session.
///
/// # Errors
/// 400 for a `before` that no answer held.
#[utoipa::path(
    get, path = "/api/v1/usage/records", tag = "Usage", security(("plugin" = [])),
    params(("before" = Option<String>, Query, description = "The `next` of an earlier answer.")),
    responses((status = 200, description = "At most a hundred, the newest first.", body = RecordsAnswer)),
)]
pub async fn list_records(
    State(plans): State<PlansService>,
    PluginActor(actor): PluginActor,
    Query(query): Query<RecordsQuery>,
) -> Result<JsonBody<RecordsAnswer>, ApiError> {
    let before = cursor(&query.before)?;
    let found = plans.records(actor.user_id, before, PAGE).await?;
    let is_full = u32::try_from(found.len()).is_ok_and(|count| count == PAGE);
    let next = found.last().filter(|_| is_full).map(|last| {
        let session = last.session_id.map(|id| id.to_string());
        format!("{}.{}", last.cycle_start.0, session.unwrap_or_default())
    });
    let records = found.into_iter().map(RecordView::from).collect();
    Ok(JsonBody(RecordsAnswer { records, next }))
}

/// The place after which records go on; from the newest on when it is empty.
fn cursor(text: &str) -> Result<(UnixMillis, Option<RelaySessionId>), Error> {
    if text.is_empty() {
        return Ok((UnixMillis(i64::MAX), None));
    }
    let wrong = || Error::invalid_field("before", "invalid", "use the `next` of an earlier answer");
    let (cycle_start, session) = text.split_once('.').ok_or_else(wrong)?;
    let cycle_start = cycle_start.parse().map_err(|_| wrong())?;
    let session = match session {
        "" => None,
        id => Some(id.parse().map_err(|_| wrong())?),
    };
    Ok((UnixMillis(cycle_start), session))
}

/// Cycles that are over, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementsAnswer {
    statements: Vec<Statement>,
}

/// The caller's cycles that are over.
///
/// # Errors
/// The store's.
#[utoipa::path(
    get, path = "/api/v1/usage/statements", tag = "Usage", security(("plugin" = [])),
    responses((status = 200, description = "The newest first.", body = StatementsAnswer)),
)]
pub async fn list_statements(
    State(plans): State<PlansService>,
    PluginActor(actor): PluginActor,
) -> Result<JsonBody<StatementsAnswer>, ApiError> {
    let statements = plans.statements(actor.user_id, LATEST).await?;
    Ok(JsonBody(StatementsAnswer { statements }))
}

/// What holds for all plans.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PlansView {
    /// Ingest seconds that a cycle of tier standard includes, 0 to 2678400.
    standard_included_seconds: u64,
}

/// What holds for all plans, for operators.
///
/// # Errors
/// 403 for whoever is no operator.
#[utoipa::path(
    get, path = "/api/v1/plans", tag = "Usage", security(("plugin" = [])),
    responses((status = 200, description = "What holds for all plans.", body = PlansView)),
    extensions(("x-errors" = json!(["forbidden"]))),
)]
pub async fn get_plans(
    State(plans): State<PlansService>,
    PluginActor(actor): PluginActor,
) -> Result<JsonBody<PlansView>, ApiError> {
    require_operator(actor.is_operator())?;
    Ok(JsonBody(PlansView {
        standard_included_seconds: plans.rules().standard_included_seconds,
    }))
}

/// Changes what holds for all plans, for operators.
///
/// # Errors
/// 403 for whoever is no operator, 409 when the configuration sets it, 400 out of bounds.
#[utoipa::path(
    put, path = "/api/v1/plans", tag = "Usage", security(("plugin" = [])),
    request_body = PlansView,
    responses((status = 200, description = "It holds from now on.", body = PlansView)),
    extensions(("x-errors" = json!(["forbidden", "conflict"]))),
)]
pub async fn put_plans(
    State(plans): State<PlansService>,
    PluginActor(actor): PluginActor,
    Json(wanted): Json<PlansView>,
) -> Result<JsonBody<PlansView>, ApiError> {
    let seconds = wanted.standard_included_seconds;
    plans.set_standard_included_seconds(&actor, seconds).await?;
    Ok(JsonBody(wanted))
}

/// A user's plan: what the row says, what follows, what was used.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    user_id: UserId,
    tier: Tier,
    status: PlanStatus,
    addon_relay_count: u32,
    extra_slot_count: u32,
    is_operator_set: bool,
    grace_deadline: Option<UnixMillis>,
    slot_count: u32,
    entitlement: Entitlement,
    usage: Usage,
}

impl PlanView {
    fn of(ledger: &Ledger, entitlement: Entitlement, usage: Usage) -> Self {
        let plan = &ledger.plan;
        Self {
            user_id: plan.user_id,
            tier: plan.tier,
            status: plan.status,
            addon_relay_count: plan.addon_relay_count,
            extra_slot_count: plan.extra_slot_count,
            is_operator_set: plan.is_operator_set,
            grace_deadline: plan.grace_deadline_at,
            slot_count: entitlement.max_slots,
            entitlement,
            usage,
        }
    }
}

/// The plan of a user, for operators.
///
/// # Errors
/// 403 for whoever is no operator, 404 for an unknown user.
#[utoipa::path(
    get, path = "/api/v1/users/{user_id}/plan", tag = "Usage", security(("plugin" = [])),
    params(("user_id" = UserId, Path, description = "Whose.")),
    responses((status = 200, description = "The plan and the present cycle.", body = PlanView)),
    extensions(("x-errors" = json!(["forbidden", "not_found"]))),
)]
pub async fn get_plan(
    State(plans): State<PlansService>,
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
    Path(user_id): Path<UserId>,
) -> Result<JsonBody<PlanView>, ApiError> {
    require_operator(actor.is_operator())?;
    Ok(JsonBody(plan_view(&plans, &relay, user_id).await?))
}

async fn plan_view(
    plans: &PlansService,
    relay: &RelayService,
    user_id: UserId,
) -> Result<PlanView, Error> {
    let ledger = plans.ledger(user_id).await?;
    let entitlement = plans.entitlement(user_id).await?;
    let usage = relay.usage(user_id).await?;
    Ok(PlanView::of(&ledger, entitlement, usage))
}

/// What shall change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PlanBody {
    /// `free`, `standard` or `internal`.
    #[schema(example = "standard")]
    tier: Option<String>,
    /// `active`, `trial`, `past_due` or `canceled`.
    #[schema(example = "active")]
    status: Option<String>,
    /// Add-ons of tier standard, 0 to 96.
    addon_relay_count: Option<u32>,
    extra_slot_count: Option<u32>,
    is_operator_set: Option<bool>,
}

impl PlanBody {
    fn edit(&self) -> Result<PlanEdit, Error> {
        Ok(PlanEdit {
            tier: self.tier.as_deref().map(tier).transpose()?,
            status: self.status.as_deref().map(status).transpose()?,
            addon_relay_count: self.addon_relay_count,
            extra_slot_count: self.extra_slot_count,
            is_operator_set: self.is_operator_set,
        })
    }
}

/// The tier of a word in a request, names of old included.
pub(super) fn tier(word: &str) -> Result<Tier, Error> {
    let message = "use free, standard or internal";
    let wrong = |_| Error::invalid_field("tier", "unknown", message);
    word.parse().map_err(wrong)
}

/// The status of a word in a request.
pub(super) fn status(word: &str) -> Result<PlanStatus, Error> {
    let message = "use active, trial, past_due or canceled";
    let wrong = |_| Error::invalid_field("status", "unknown", message);
    word.parse().map_err(wrong)
}

/// Changes the plan of a user, for operators.
///
/// # Errors
/// 403 for whoever is no operator, and for an operator who means an owner; 404; 400.
#[utoipa::path(
    put, path = "/api/v1/users/{user_id}/plan", tag = "Usage", security(("plugin" = [])),
    params(("user_id" = UserId, Path, description = "Whose.")),
    request_body = PlanBody,
    responses((status = 200, description = "As it is now.", body = PlanView)),
    extensions(("x-errors" = json!(["forbidden", "not_found"]))),
)]
pub async fn put_plan(
    State(plans): State<PlansService>,
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
    Path(user_id): Path<UserId>,
    Json(body): Json<PlanBody>,
) -> Result<JsonBody<PlanView>, ApiError> {
    require_operator(actor.is_operator())?;
    plans.change(&actor, user_id, body.edit()?).await?;
    Ok(JsonBody(plan_view(&plans, &relay, user_id).await?))
}

/// A correction of usage.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdjustmentView {
    id: AdjustmentId,
    session_id: Option<RelaySessionId>,
    cycle_start: UnixMillis,
    adjustment_seconds: i64,
    reason: AdjustmentReason,
    source: AdjustmentSource,
    note: String,
    created_at: UnixMillis,
}

impl From<Adjustment> for AdjustmentView {
    fn from(of: Adjustment) -> Self {
        Self {
            id: of.id,
            session_id: of.session_id,
            cycle_start: of.cycle_start,
            adjustment_seconds: of.seconds,
            reason: of.reason,
            source: of.source,
            note: of.note,
            created_at: of.created_at,
        }
    }
}

/// Corrections, those of the newest cycle first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdjustmentsAnswer {
    adjustments: Vec<AdjustmentView>,
}

/// The corrections of a user's usage, for operators.
///
/// # Errors
/// 403 for whoever is no operator, 404 for an unknown user.
#[utoipa::path(
    get, path = "/api/v1/users/{user_id}/adjustments", tag = "Usage", security(("plugin" = [])),
    params(("user_id" = UserId, Path, description = "Whose.")),
    responses((status = 200, description = "Those of the newest cycle first.", body = AdjustmentsAnswer)),
    extensions(("x-errors" = json!(["forbidden", "not_found"]))),
)]
pub async fn list_adjustments(
    State(plans): State<PlansService>,
    PluginActor(actor): PluginActor,
    Path(user_id): Path<UserId>,
) -> Result<JsonBody<AdjustmentsAnswer>, ApiError> {
    require_operator(actor.is_operator())?;
    plans.ledger(user_id).await?;
    let adjustments = plans.adjustments(user_id, LATEST).await?;
    let adjustments = adjustments.into_iter().map(AdjustmentView::from).collect();
    Ok(JsonBody(AdjustmentsAnswer { adjustments }))
}

/// A correction that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AdjustmentBody {
    /// Seconds to add, or below zero to take away; not 0, 2764800 at most either way.
    #[schema(example = -600)]
    adjustment_seconds: i64,
    /// `manual_correction` or `dispute_resolution`.
    #[schema(example = "manual_correction")]
    reason: String,
    /// Why, in 1 to 500 characters; the user reads it.
    #[schema(example = "the relay lost the line")]
    note: String,
    /// The session it is about.
    session_id: Option<RelaySessionId>,
}

/// Corrects a user's usage, for operators.
///
/// # Errors
/// 403 for whoever is no operator, and for an operator who means an owner; 404; 400.
#[utoipa::path(
    post, path = "/api/v1/users/{user_id}/adjustments", tag = "Usage", security(("plugin" = [])),
    params(("user_id" = UserId, Path, description = "Whose.")),
    request_body = AdjustmentBody,
    responses((status = 201, description = "It counts in the present cycle.", body = AdjustmentView)),
    extensions(("x-errors" = json!(["forbidden", "not_found"]))),
)]
pub async fn add_adjustment(
    State(plans): State<PlansService>,
    PluginActor(actor): PluginActor,
    Path(user_id): Path<UserId>,
    Json(body): Json<AdjustmentBody>,
) -> Result<(StatusCode, JsonBody<AdjustmentView>), ApiError> {
    require_operator(actor.is_operator())?;
    let new = NewAdjustment {
        seconds: body.adjustment_seconds,
        reason: reason(&body.reason)?,
        note: body.note,
        session_id: body.session_id,
    };
    let adjustment = plans.adjust(&actor, user_id, new).await?;
    Ok((StatusCode::CREATED, JsonBody(adjustment.into())))
}

/// The reason of a word in a request.
pub(super) fn reason(word: &str) -> Result<AdjustmentReason, Error> {
    let message = "use manual_correction or dispute_resolution";
    let wrong = || Error::invalid_field("reason", "unknown", message);
    AdjustmentReason::parse(word).ok_or_else(wrong)
}

pub(super) fn require_operator(is_operator: bool) -> Result<(), Error> {
    if is_operator {
        Ok(())
    } else {
        Err(Error::forbidden())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_anything_else_refused() {
        let id = RelaySessionId::generate();
        assert_eq!(
            cursor(&format!("17.{id}")).unwrap(),
            (UnixMillis(17), Some(id))
        );
        assert_eq!(cursor("17.").unwrap(), (UnixMillis(17), None));
        for wrong in ["17", "x.", "17.ses_", "."] {
            assert!(cursor(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_cursor(text in ".*") {
            drop(cursor(&text));
        }
    }
}
