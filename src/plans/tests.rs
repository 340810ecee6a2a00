//! Plans and usage on a real store, with a clock that the test moves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::adjustment::{AdjustmentReason, NewAdjustment};
use super::*;
use crate::audit;
use crate::db::testing::main_store;
use crate::db::{Store, Tx};
use crate::kernel::clock::ManualClock;
use crate::kernel::ids::UserId;
use crate::kernel::{Actor, Clock, Error, Kind, Result, Role, UnixMillis, Via};

/// 2026-01-31T10:00:00Z: cycles that begin on a day that not every month has.
const START: UnixMillis = UnixMillis(1_769_853_600_000);
const DAY: Duration = Duration::from_hours(24);

struct World {
    _folder: TempDir,
    store: Store,
    clock: Arc<ManualClock>,
    plans: PlansService,
}

impl World {
    fn new() -> Self {
        let (folder, store) = main_store();
        let clock = ManualClock::starting_at(START);
        let rules = PlanRules {
            is_billing_configured: true,
            ..PlanRules::default()
        };
        let source = Clock::from_source(Arc::clone(&clock) as _);
        Self {
            _folder: folder,
            plans: PlansService::new(store.clone(), source, rules),
            store,
            clock,
        }
    }

    async fn user(&self, role: Role) -> Actor {
        let user_id = UserId::generate();
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO user (id, email, display_name, role, password_hash, created_at_ms,
                     updated_at_ms) VALUES (?1, ?1, '', ?2, '', 0, 0)",
                (user_id, role),
            )?;
            Ok(store::plan_insert(tx, user_id, Tier::Free, START)?)
        })
        .await;
        Actor {
            user_id,
            role,
            via: Via::System,
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    ) -> T {
        self.store.write(job).await.unwrap()
    }

    async fn stream(&self, user_id: UserId, seconds: u64, ended_at: UnixMillis) {
        let plans = self.plans.clone();
        self.write(move |tx| {
            let plan = store::plan_get(tx, user_id)?.unwrap();
            plans.forget_after(tx, user_id);
            Ok(store::usage_add_seconds(
                tx, &plan, None, ended_at, seconds,
            )?)
        })
        .await;
    }

    async fn audited(&self, action: &str) -> Vec<String> {
        let read = |connection: &_| Ok::<_, Error>(audit::newest(connection, 50)?);
        let rows = self.store.read(read).await.unwrap();
        let told = rows.into_iter().filter(|row| row.action == action);
        told.map(|row| row.detail).collect()
    }
}

fn standard() -> PlanEdit {
    PlanEdit {
        tier: Some(Tier::Standard),
        ..PlanEdit::default()
    }
}

#[derive(Debug, Default, Clone)]
struct Told(Arc<Mutex<Vec<u32>>>);

impl PlanFollower for Told {
    fn plan_changed_in(&self, _: &Tx<'_>, change: &PlanChange) -> Result<()> {
        let slots = change.entitled_after().max_slots;
        self.0.lock().unwrap().push(slots);
        if slots > 50 {
            return Err(Error::conflict("too many for this follower"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_operator_changes_a_plan_with_an_audit_row_and_everybody_is_told_once() {
    let world = World::new();
    let (operator, user) = (
        world.user(Role::Operator).await,
        world.user(Role::Streamer).await,
    );
    let told = Told::default();
    world.plans.follow(told.clone());
    let entitled = async || world.plans.entitlement(user.user_id).await.unwrap();
    assert_eq!(entitled().await.reason_code, Reason::SubscriptionRequired);
    let edit = PlanEdit {
        addon_relay_count: Some(2),
        ..standard()
    };
    for _ in 0..2 {
        let change = world.plans.change(&operator, user.user_id, edit).await;
        assert_eq!(change.unwrap().after.tier, Tier::Standard);
    }
    assert_eq!(entitled().await.max_concurrent_conns, 3, "memory was told");
    assert_eq!(
        *told.0.lock().unwrap(),
        [4],
        "the second change changed nothing"
    );
    let rows = world.audited("plan.changed").await;
    assert_eq!(rows, ["tier free to standard, add-ons 0 to 2"]);
}

#[tokio::test]
async fn what_a_follower_refuses_does_not_happen() {
    let world = World::new();
    let (operator, user) = (
        world.user(Role::Operator).await,
        world.user(Role::Streamer).await,
    );
    world.plans.follow(Told::default());
    let edit = PlanEdit {
        addon_relay_count: Some(60),
        ..standard()
    };
    let refused = world.plans.change(&operator, user.user_id, edit).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Conflict);
    let entitled = world.plans.entitlement(user.user_id).await.unwrap();
    assert_eq!(entitled.plan_tier, Tier::Free);
    assert!(world.audited("plan.changed").await.is_empty());
}

#[tokio::test]
async fn only_who_may_manage_a_user_changes_their_plan_or_usage() {
    let world = World::new();
    let (owner, operator) = (
        world.user(Role::Owner).await,
        world.user(Role::Operator).await,
    );
    let user = world.user(Role::Streamer).await;
    let viewer = world.user(Role::Viewer).await;
    let change = async |by: &Actor, of: UserId| {
        let changed = world.plans.change(by, of, standard()).await;
        changed.map(drop).map_err(|error| error.kind())
    };
    assert_eq!(change(&user, user.user_id).await, Err(Kind::Forbidden));
    assert_eq!(change(&viewer, user.user_id).await, Err(Kind::Forbidden));
    assert_eq!(change(&operator, owner.user_id).await, Err(Kind::Forbidden));
    assert_eq!(change(&operator, user.user_id).await, Ok(()));
    assert_eq!(change(&owner, owner.user_id).await, Ok(()));
    assert_eq!(
        change(&owner, UserId::generate()).await,
        Err(Kind::NotFound)
    );
    let too_many = PlanEdit {
        addon_relay_count: Some(EXTRAS_MAX + 1),
        extra_slot_count: Some(EXTRAS_MAX + 1),
        ..PlanEdit::default()
    };
    let refused = world.plans.change(&owner, user.user_id, too_many).await;
    assert_eq!(refused.unwrap_err().fields().len(), 2);
}

#[tokio::test]
async fn a_failed_payment_has_its_grace_and_a_second_one_does_not_extend_it() {
    let world = World::new();
    let (owner, user) = (
        world.user(Role::Owner).await,
        world.user(Role::Streamer).await,
    );
    world
        .plans
        .change(&owner, user.user_id, standard())
        .await
        .unwrap();
    let status = async |status| {
        let edit = PlanEdit {
            status: Some(status),
            ..PlanEdit::default()
        };
        let changed = world.plans.change(&owner, user.user_id, edit).await;
        changed.unwrap().after.grace_deadline_at
    };
    let until = Some(START + PlanRules::PAYMENT_GRACE);
    assert_eq!(status(PlanStatus::PastDue).await, until);
    world.clock.advance(DAY);
    assert_eq!(status(PlanStatus::PastDue).await, until);
    assert!(
        world
            .plans
            .entitlement(user.user_id)
            .await
            .unwrap()
            .is_enabled()
    );
    world.clock.advance(DAY);
    assert!(
        !world
            .plans
            .entitlement(user.user_id)
            .await
            .unwrap()
            .is_enabled()
    );
    assert_eq!(status(PlanStatus::Active).await, None);
}

/// G-60 to G-63: what counts, where it counts, and what corrects it.
#[tokio::test]
async fn corrections_count_have_a_reason_and_never_go_below_nothing() {
    let world = World::new();
    let (owner, user) = (
        world.user(Role::Owner).await,
        world.user(Role::Streamer).await,
    );
    world
        .plans
        .change(&owner, user.user_id, standard())
        .await
        .unwrap();
    world.stream(user.user_id, 54_100, START + 2 * DAY).await;
    world.clock.advance(2 * DAY);
    let usage = async || world.plans.usage(user.user_id).await.unwrap();
    assert_eq!(usage().await.overage_seconds, 100);
    let adjust = async |seconds, note: &str, reason| {
        let new = NewAdjustment {
            seconds,
            reason,
            note: note.to_owned(),
            session_id: None,
        };
        let adjusted = world.plans.adjust(&owner, user.user_id, new).await;
        adjusted.map_err(|error| error.fields().len())
    };
    let manual = AdjustmentReason::ManualCorrection;
    assert!(adjust(-200, " the line was ours ", manual).await.is_ok());
    assert_eq!(
        (
            usage().await.consumed_seconds,
            usage().await.overage_seconds
        ),
        (53_900, 0)
    );
    assert!(adjust(-60_000, "all of it", manual).await.is_ok());
    assert_eq!(usage().await.consumed_seconds, 0);
    let outage = AdjustmentReason::OutageReconciliation;
    assert_eq!(adjust(0, "", outage).await, Err(3));
    let told = world.audited("usage.adjusted").await;
    assert_eq!(
        told[1],
        "-200 s, manual_correction, admin_tool: the line was ours"
    );
}

#[tokio::test]
async fn a_cycle_that_is_over_keeps_its_terms_whenever_the_job_runs() {
    let world = World::new();
    let (owner, user) = (
        world.user(Role::Owner).await,
        world.user(Role::Streamer).await,
    );
    world
        .plans
        .change(&owner, user.user_id, standard())
        .await
        .unwrap();
    world.stream(user.user_id, 60_000, START + 3 * DAY).await;
    let february = world.plans.ledger(user.user_id).await.unwrap().cycle;
    world
        .stream(user.user_id, 10, february.end + Duration::from_secs(4))
        .await;
    assert_eq!(
        world.plans.roll_over().await.unwrap(),
        2,
        "the first run looks at all"
    );
    // Two cycles later, in one run.
    world.clock.advance(65 * DAY);
    assert_eq!(world.plans.roll_over().await.unwrap(), 2);
    assert_eq!(world.plans.roll_over().await.unwrap(), 0);
    let free = PlanEdit {
        tier: Some(Tier::Free),
        ..PlanEdit::default()
    };
    world
        .plans
        .change(&owner, user.user_id, free)
        .await
        .unwrap();
    let statements = world.plans.statements(user.user_id, 12).await.unwrap();
    let figures: Vec<_> = statements
        .iter()
        .map(|it| {
            (
                it.cycle_start,
                it.plan_tier,
                it.consumed_seconds,
                it.overage_seconds,
            )
        })
        .collect();
    let first = (START, Tier::Standard, 60_006, 6_006);
    assert_eq!(figures, [(february.end, Tier::Standard, 4, 0), first]);
}

#[tokio::test]
async fn a_clock_that_was_ahead_leaves_no_cycle_closed_that_is_not_over() {
    let world = World::new();
    let user = world.user(Role::Streamer).await;
    world.clock.advance(400 * DAY);
    world.plans.roll_over().await.unwrap();
    assert_eq!(
        world
            .plans
            .statements(user.user_id, 50)
            .await
            .unwrap()
            .len(),
        13
    );
    world.clock.set_wall(START + 40 * DAY);
    assert_eq!(world.plans.roll_over().await.unwrap(), 1);
    assert_eq!(
        world
            .plans
            .statements(user.user_id, 50)
            .await
            .unwrap()
            .len(),
        1
    );
    let usage = world.plans.usage(user.user_id).await.unwrap();
    assert!(usage.cycle_start <= START + 40 * DAY && START + 40 * DAY < usage.cycle_end);
}

#[tokio::test]
async fn what_the_standard_tier_includes_is_set_at_run_time_unless_the_configuration_does() {
    let world = World::new();
    let (owner, user) = (
        world.user(Role::Owner).await,
        world.user(Role::Streamer).await,
    );
    world
        .plans
        .change(&owner, user.user_id, standard())
        .await
        .unwrap();
    let set = async |by: &Actor, seconds| {
        let set = world.plans.set_standard_included_seconds(by, seconds).await;
        set.map_err(|error| error.kind())
    };
    assert_eq!(set(&user, 1).await, Err(Kind::Forbidden));
    assert_eq!(set(&owner, 3_000_000).await, Err(Kind::Invalid));
    assert_eq!(set(&owner, 3_600).await, Ok(()));
    let included = world
        .plans
        .usage(user.user_id)
        .await
        .unwrap()
        .included_seconds;
    assert_eq!(included, 3_600);
    let restarted = |is_standard_included_fixed| {
        let rules = PlanRules {
            is_standard_included_fixed,
            ..PlanRules::default()
        };
        PlansService::new(world.store.clone(), Clock::system(), rules)
    };
    for (is_fixed, expected) in [(false, 3_600), (true, 54_000)] {
        let plans = restarted(is_fixed);
        plans.load_rules().await.unwrap();
        assert_eq!(plans.rules().standard_included_seconds, expected);
        let changed = plans.set_standard_included_seconds(&owner, 3_600).await;
        assert_eq!(changed.is_err(), is_fixed);
    }
}
