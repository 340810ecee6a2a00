//! The page of one's own usage, and the operators' pages of plans.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use super::adjustment::{AdjustmentReason, NewAdjustment};
use super::api::{status, tier};
use super::views::{
    AdjustmentValues, HistoryPart, Person, PlanValues, PlansPage, UsagePage, UsagePart, UserFacts,
    UserForms, UserPage,
};
use super::{Ledger, PlansService};
use crate::accounts::AccountsService;
use crate::accounts::extract::{BrowserActor, OperatorActor};
use crate::accounts::frame::Frame;
use crate::accounts::model::SignedIn;
use crate::accounts::views::role_label;
use crate::http::page::{DoneQuery, Flash, render};
use crate::http::{ApiError, Form, Path, Query};
use crate::kernel::ids::UserId;
use crate::kernel::{Error, FieldError, Kind, Role, UnixMillis};
use crate::relay::RelayService;

/// Cycles, sessions and corrections that a page shows.
const SHOWN: u32 = 24;

/// `GET /account/usage`
///
/// # Errors
/// The store's.
pub async fn show_usage(
    State(plans): State<PlansService>,
    State(relay): State<RelayService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
) -> Result<Response, ApiError> {
    let usage = relay.usage(user.actor.user_id).await?;
    let page = UsagePage {
        shell: frame.signed_in("Usage", &user),
        usage: UsagePart::new(&usage),
        history: history(&plans, user.actor.user_id).await?,
    };
    Ok(render(StatusCode::OK, &page))
}

async fn history(plans: &PlansService, user_id: UserId) -> Result<HistoryPart, Error> {
    let newest = (UnixMillis(i64::MAX), None);
    let statements = plans.statements(user_id, SHOWN).await?;
    let records = plans.records(user_id, newest, SHOWN).await?;
    let adjustments = plans.adjustments(user_id, SHOWN).await?;
    Ok(HistoryPart::new(&statements, &records, &adjustments))
}

/// The sentence for what a form did.
fn done(word: &str) -> Option<&'static str> {
    match word {
        "plan" => Some("The plan is changed."),
        "usage" => Some("The usage is corrected."),
        "hours" => Some("The hours are changed."),
        _ => None,
    }
}

/// `GET /plans`
///
/// # Errors
/// 403 for whoever is no operator.
pub async fn show_plans(
    State(plans): State<PlansService>,
    OperatorActor(user): OperatorActor,
    frame: Frame,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let shell = frame
        .signed_in("Plans", &user)
        .with_flash(query.flash(done));
    let rules = plans.rules();
    let hours = hours_text(rules.standard_included_seconds);
    let is_fixed = rules.is_standard_included_fixed;
    let page = PlansPage::new(shell, rules.is_billing_configured, hours, is_fixed, &[]);
    Ok(render(StatusCode::OK, &page))
}

/// The form of what holds for all plans.
#[derive(Debug, Deserialize)]
pub struct PlansForm {
    included_hours: String,
}

/// `POST /plans`
///
/// # Errors
/// 403 for whoever is no operator, 409 when the configuration sets it.
pub async fn change_plans(
    State(plans): State<PlansService>,
    OperatorActor(user): OperatorActor,
    frame: Frame,
    Form(form): Form<PlansForm>,
) -> Result<Response, ApiError> {
    let Some(seconds) = seconds_of(&form.included_hours) else {
        let message = "use a number of hours from 0 to 744, such as 15 or 1.5";
        let errors = [FieldError::new("included_hours", "out_of_range", message)];
        let (shell, rules) = (frame.at("/plans").signed_in("Plans", &user), plans.rules());
        let hours = form.included_hours;
        let page = PlansPage::new(shell, rules.is_billing_configured, hours, false, &errors);
        return Ok(render(StatusCode::UNPROCESSABLE_ENTITY, &page));
    };
    plans
        .set_standard_included_seconds(&user.actor, seconds)
        .await?;
    Ok(Redirect::to("/plans?done=hours").into_response())
}

/// Hours to the minute, as `15` or `1.5`.
fn hours_text(seconds: u64) -> String {
    let hundredths = seconds / 36;
    let (whole, part) = (hundredths / 100, hundredths % 100);
    if part == 0 {
        whole.to_string()
    } else {
        format!("{whole}.{part:02}")
    }
}

/// The seconds of a number of hours with a point or a comma; `None` for no number from 0 to 744.
fn seconds_of(text: &str) -> Option<u64> {
    let text = text.trim().replace(',', ".");
    let (whole, part) = text.split_once('.').unwrap_or((&text, "0"));
    let is_number = |text: &str| {
        !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !is_number(whole) || !is_number(part) {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(part.len()).ok()?);
    let seconds = whole.parse::<u64>().ok()? * 3600 + part.parse::<u64>().ok()? * 3600 / scale;
    (seconds <= super::service::INCLUDED_SECONDS_MAX).then_some(seconds)
}

/// `GET /users/{user_id}`
///
/// # Errors
/// 403 for whoever is no operator, 404 for an unknown user.
pub async fn show_user(
    State(parts): State<UserParts>,
    OperatorActor(user): OperatorActor,
    frame: Frame,
    Path(user_id): Path<UserId>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let ledger = parts.plans.ledger(user_id).await?;
    let forms = UserForms {
        plan: PlanValues::from(&ledger.plan),
        adjustment: AdjustmentValues::default(),
        errors: &[],
    };
    let shown = Shown {
        flash: query.flash(done),
        status: StatusCode::OK,
    };
    user_page(&parts, &user, &frame, &ledger, &forms, shown).await
}

/// The services of a user's page.
#[derive(Debug, Clone)]
pub struct UserParts {
    /// Who it is.
    pub accounts: AccountsService,
    /// What the plan says.
    pub plans: PlansService,
    /// What was streamed to the second.
    pub relay: RelayService,
}

struct Shown {
    flash: Option<Flash>,
    status: StatusCode,
}

async fn user_page(
    parts: &UserParts,
    reader: &SignedIn,
    frame: &Frame,
    ledger: &Ledger,
    forms: &UserForms<'_>,
    shown: Shown,
) -> Result<Response, ApiError> {
    let plan = &ledger.plan;
    let user = parts.accounts.user(plan.user_id).await?;
    let frame = frame.at(&format!("/users/{}", plan.user_id));
    let shell = frame.signed_in(&user.display_name, reader);
    let facts = UserFacts {
        person: Person {
            id: user.id,
            display_name: user.display_name,
            email: user.email,
            role: role_label(user.role),
        },
        can_change: user.role != Role::Owner || reader.actor.role == Role::Owner,
        is_billing_configured: parts.plans.rules().is_billing_configured,
        entitlement: parts.plans.entitlement(plan.user_id).await?,
        usage: parts.relay.usage(plan.user_id).await?,
        history: history(&parts.plans, plan.user_id).await?,
    };
    let page = UserPage::new(shell.with_flash(shown.flash), facts, forms);
    Ok(render(shown.status, &page))
}

/// The form of a user's plan.
#[derive(Debug, Deserialize)]
pub struct PlanForm {
    tier: String,
    status: String,
    addon_relay_count: String,
    extra_slot_count: String,
    #[serde(default)]
    is_operator_set: Option<String>,
}

/// `POST /users/{user_id}/plan`
///
/// # Errors
/// 403 for whoever may not change it, 404 for an unknown user.
pub async fn change_plan(
    State(parts): State<UserParts>,
    OperatorActor(user): OperatorActor,
    frame: Frame,
    Path(user_id): Path<UserId>,
    Form(form): Form<PlanForm>,
) -> Result<Response, ApiError> {
    let ledger = parts.plans.ledger(user_id).await?;
    let values = PlanValues {
        tier: tier(&form.tier)?,
        status: status(&form.status)?,
        addon_relay_count: form.addon_relay_count,
        extra_slot_count: form.extra_slot_count,
        is_operator_set: form.is_operator_set.is_some(),
    };
    let changed = match values.edit() {
        Ok(edit) => parts.plans.change(&user.actor, user_id, edit).await,
        Err(errors) => Err(Error::invalid_fields(errors)),
    };
    match changed {
        Ok(_) => Ok(Redirect::to(&format!("/users/{user_id}?done=plan")).into_response()),
        Err(error) if error.kind() == Kind::Invalid => {
            let forms = UserForms {
                plan: values,
                adjustment: AdjustmentValues::default(),
                errors: error.fields(),
            };
            user_page(&parts, &user, &frame, &ledger, &forms, refused()).await
        }
        Err(error) => Err(error.into()),
    }
}

const fn refused() -> Shown {
    Shown {
        flash: None,
        status: StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// The form of a correction.
#[derive(Debug, Deserialize)]
pub struct AdjustmentForm {
    minutes: String,
    note: String,
    #[serde(default)]
    is_dispute: Option<String>,
}

/// `POST /users/{user_id}/adjustments`
///
/// # Errors
/// 403 for whoever may not change it, 404 for an unknown user.
pub async fn adjust_usage(
    State(parts): State<UserParts>,
    OperatorActor(user): OperatorActor,
    frame: Frame,
    Path(user_id): Path<UserId>,
    Form(form): Form<AdjustmentForm>,
) -> Result<Response, ApiError> {
    let ledger = parts.plans.ledger(user_id).await?;
    // The minus of a phone's keyboard may be a real one.
    let minutes = form.minutes.trim().replace('−', "-");
    let new = NewAdjustment {
        seconds: minutes.parse::<i64>().map_or(0, |it| it.saturating_mul(60)),
        reason: match form.is_dispute {
            Some(_) => AdjustmentReason::DisputeResolution,
            None => AdjustmentReason::ManualCorrection,
        },
        note: form.note.clone(),
        session_id: None,
    };
    match parts.plans.adjust(&user.actor, user_id, new).await {
        Ok(_) => Ok(Redirect::to(&format!("/users/{user_id}?done=usage")).into_response()),
        Err(error) if error.kind() == Kind::Invalid => {
            let errors: Vec<_> = error.fields().iter().map(in_minutes).collect();
            let forms = UserForms {
                plan: PlanValues::from(&ledger.plan),
                adjustment: AdjustmentValues {
                    minutes: form.minutes,
                    note: form.note,
                    is_dispute: form.is_dispute.is_some(),
                },
                errors: &errors,
            };
            user_page(&parts, &user, &frame, &ledger, &forms, refused()).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The complaint about seconds in the words of the page.
fn in_minutes(error: &FieldError) -> FieldError {
    if error.field != "adjustment_seconds" {
        return error.clone();
    }
    let message = "use whole minutes but 0, 46080 at most either way";
    FieldError::new("minutes", "out_of_range", message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hours_are_read_as_people_write_them() {
        let read = ["15", " 1.5 ", "1,25", "0", "744"].map(seconds_of);
        let seconds = [54_000, 5_400, 4_500, 0, 2_678_400].map(Some);
        assert_eq!(read, seconds);
        for wrong in ["", "-1", "745", "1.", ".5", "1e3", "1.2.3", "99999"] {
            assert_eq!(seconds_of(wrong), None, "{wrong}");
        }
        assert_eq!(hours_text(54_000), "15");
        assert_eq!(hours_text(5_400), "1.50");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader_of_hours(text in ".*") {
            prop_assert!(seconds_of(&text).is_none_or(|it| it <= 2_678_400));
        }
    }
}
