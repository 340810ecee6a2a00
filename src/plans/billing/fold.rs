//! From facts to subscriptions, and from subscriptions to a plan.
//!
//! Invariant: the outcome depends on the set of facts and the moment alone, never on the order or the number of
//! deliveries; a second failure does not move the deadline that the first one set; what is older never
//! overwrites what is newer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::catalog::{Catalog, Product};
use super::fact::{Action, Change, Fact, Item, SubscriptionStatus};
use crate::kernel::UnixMillis;
use crate::plans::model::{Plan, PlanRules, PlanStatus, Tier};

/// How long access goes on after the first failed payment.
pub(super) const GRACE: Duration = PlanRules::PAYMENT_GRACE;

/// A subscription as all facts together tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) status: Option<SubscriptionStatus>,
    pub(super) items: Vec<Item>,
    pub(super) renews_at: Option<UnixMillis>,
    pub(super) ends_at: Option<UnixMillis>,
    /// The first failed payment since the last one that came in.
    pub(super) failed_at: Option<UnixMillis>,
    /// The money went back, and none came in since.
    pub(super) is_refunded: bool,
    /// The newest fact.
    pub(super) updated_at: UnixMillis,
}

/// What a subscription entitles to at some moment; the better one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Over,
    InGrace { until_ms: i64 },
    Trial,
    Active,
}

pub(super) type Subscriptions = BTreeMap<String, Subscription>;

/// The plan that subscriptions ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) tier: Tier,
    pub(super) status: PlanStatus,
    pub(super) addon_relay_count: u32,
    pub(super) grace_deadline_at: Option<UnixMillis>,
    pub(super) ends_at: Option<UnixMillis>,
    pub(super) renews_at: Option<UnixMillis>,
    /// When time alone changes this.
    pub(super) next_change_at: Option<UnixMillis>,
}

impl Wanted {
    /// The plan of who pays for nothing any more.
    pub(super) const NOTHING: Self = Self {
        tier: Tier::Free,
        status: PlanStatus::Canceled,
        addon_relay_count: 0,
        grace_deadline_at: None,
        ends_at: None,
        renews_at: None,
        next_change_at: None,
    };

    /// Writes what billing decides into a plan.
    pub(super) fn write_to(&self, plan: &mut Plan) {
        plan.tier = self.tier;
        plan.status = self.status;
        plan.addon_relay_count = self.addon_relay_count;
        plan.grace_deadline_at = self.grace_deadline_at;
    }
}

/// Reads all facts of a user.
pub(super) fn fold(facts: &[Fact]) -> Subscriptions {
    let sorted: BTreeSet<(i64, u8, &Fact)> = facts
        .iter()
        .map(|fact| (fact.at_ms, rank(&fact.change), fact))
        .collect();
    let known = known_references(facts);
    let mut subscriptions = Subscriptions::new();
    for (at_ms, _, fact) in sorted {
        let at = UnixMillis(at_ms);
        for id in subjects(fact, &known) {
            let subscription = subscriptions.entry(id).or_default();
            subscription.apply(&fact.change, at);
        }
    }
    subscriptions
}

/// The order of what happened within one second or millisecond. Of two pictures of a subscription the one that
/// is further on in its life counts.
const fn rank(change: &Change) -> u8 {
    match change {
        Change::Linked => 0,
        Change::Snapshot { status, .. } => match status {
            SubscriptionStatus::Pending => 1,
            SubscriptionStatus::Trial => 2,
            SubscriptionStatus::Active => 3,
            SubscriptionStatus::PastDue => 4,
            SubscriptionStatus::Canceling => 7,
            SubscriptionStatus::Paused => 8,
            SubscriptionStatus::Ended => 9,
        },
        Change::PaymentFailed => 5,
        Change::PaymentSucceeded => 6,
        Change::Refunded => 10,
    }
}

/// References and customers of every subscription.
#[derive(Debug, Default)]
struct Known<'a> {
    by_reference: BTreeMap<&'a str, BTreeSet<&'a str>>,
    by_customer: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

fn known_references(facts: &[Fact]) -> Known<'_> {
    let mut known = Known::default();
    for fact in facts {
        let Some(id) = fact.subscription.as_deref() else {
            continue;
        };
        for reference in &fact.references {
            known.by_reference.entry(reference).or_default().insert(id);
        }
        if let Some(customer) = fact.customer.as_deref() {
            known.by_customer.entry(customer).or_default().insert(id);
        }
    }
    known
}

/// The subscriptions that a fact is about. A refund that names none is about those that share an order, an
/// invoice or a payment with it, or else, unless it is that of an order, about all of its customer.
fn subjects(fact: &Fact, known: &Known<'_>) -> BTreeSet<String> {
    if let Some(id) = &fact.subscription {
        return BTreeSet::from([id.clone()]);
    }
    if fact.change != Change::Refunded {
        return BTreeSet::new();
    }
    let references = fact.references.iter();
    let named: BTreeSet<_> = references
        .filter_map(|reference| known.by_reference.get(reference.as_str()))
        .flatten()
        .map(|&id| id.to_owned())
        .collect();
    // Every subscription names its order: one that none names was for something else.
    let is_order = fact.references.iter().any(|it| it.starts_with("order:"));
    if is_order || !named.is_empty() {
        return named;
    }
    let customer = fact.customer.as_deref();
    let of_customer = customer.and_then(|customer| known.by_customer.get(customer));
    of_customer
        .into_iter()
        .flatten()
        .map(|&id| id.to_owned())
        .collect()
}

/// Whether `fact` is about a subscription that `facts` know.
pub(super) fn is_known(facts: &[Fact], fact: &Fact) -> bool {
    let known = known_references(facts);
    let mut subjects = subjects(fact, &known).into_iter();
    subjects.any(|id| facts.iter().any(|it| it.subscription.as_ref() == Some(&id)))
}

impl Subscription {
    fn apply(&mut self, change: &Change, at: UnixMillis) {
        self.updated_at = at;
        match change {
            Change::Linked => {}
            Change::Snapshot {
                status,
                items,
                renews_at_ms,
                ends_at_ms,
            } => {
                self.status = Some(*status);
                if !items.is_empty() {
                    self.items.clone_from(items);
                }
                self.renews_at = renews_at_ms.map(UnixMillis);
                self.ends_at = ends_at_ms.map(UnixMillis);
                if *status == SubscriptionStatus::PastDue {
                    self.fail(at);
                } else {
                    self.failed_at = None;
                }
            }
            Change::PaymentFailed => self.fail(at),
            Change::PaymentSucceeded => {
                self.failed_at = None;
                self.is_refunded = false;
                if self.status == Some(SubscriptionStatus::PastDue) {
                    self.status = Some(SubscriptionStatus::Active);
                }
            }
            Change::Refunded => self.is_refunded = true,
        }
    }

    fn fail(&mut self, at: UnixMillis) {
        self.failed_at.get_or_insert(at);
    }

    /// What it entitles to at `now`.
    pub(super) fn standing(&self, now: UnixMillis) -> Standing {
        let is_trial = match self.status {
            Some(SubscriptionStatus::Trial) => true,
            Some(
                SubscriptionStatus::Active
                | SubscriptionStatus::PastDue
                | SubscriptionStatus::Canceling,
            ) => false,
            None
            | Some(
                SubscriptionStatus::Pending
                | SubscriptionStatus::Paused
                | SubscriptionStatus::Ended,
            ) => return Standing::Over,
        };
        if self.is_refunded || self.runs_out_at().is_some_and(|at| at <= now) {
            return Standing::Over;
        }
        match self.grace_deadline() {
            Some(until) if until <= now => Standing::Over,
            Some(until) => Standing::InGrace { until_ms: until.0 },
            None if is_trial => Standing::Trial,
            None => Standing::Active,
        }
    }

    fn grace_deadline(&self) -> Option<UnixMillis> {
        self.failed_at.map(|at| at + GRACE)
    }

    fn runs_out_at(&self) -> Option<UnixMillis> {
        let is_cancelled = self.status == Some(SubscriptionStatus::Canceling);
        self.ends_at.filter(|_| is_cancelled)
    }

    /// When time alone changes what it entitles to.
    fn next_change_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        if self.standing(now) == Standing::Over {
            return None;
        }
        let moments = [self.grace_deadline(), self.runs_out_at()];
        moments.into_iter().flatten().min()
    }

    pub(super) fn is_over(&self) -> bool {
        self.status == Some(SubscriptionStatus::Ended)
    }

    fn quantity_of(&self, product: Product, catalog: &Catalog) -> u32 {
        self.items
            .iter()
            .filter(|item| catalog.product_of(&item.price) == Some(product))
            .fold(0, |sum: u32, item| sum.saturating_add(item.quantity))
    }

    fn has(&self, product: Product, catalog: &Catalog) -> bool {
        let mut items = self.items.iter();
        items.any(|item| catalog.product_of(&item.price) == Some(product))
    }

    /// Prices that nobody mapped to a product.
    pub(super) fn unmapped<'a>(&'a self, catalog: &Catalog) -> Option<&'a str> {
        let mut items = self.items.iter();
        let unmapped = items.find(|item| catalog.product_of(&item.price).is_none());
        unmapped.map(|item| item.price.as_str())
    }
}

/// The plan that subscriptions ask for; `None` when none of them was ever for something that we sell, which
/// leaves the plan as it is.
pub(super) fn wanted(
    subscriptions: &Subscriptions,
    catalog: &Catalog,
    now: UnixMillis,
) -> Option<Wanted> {
    let ours = |subscription: &&Subscription| {
        subscription.has(Product::Standard, catalog) || subscription.has(Product::Addon, catalog)
    };
    let ours: Vec<_> = subscriptions.values().filter(ours).collect();
    if ours.is_empty() {
        return None;
    }
    let bases = ours.iter().filter(|it| it.has(Product::Standard, catalog));
    // One that renews is better than one that ends, and a later end is better than an earlier one.
    let best = bases.max_by_key(|it| {
        let end = it.runs_out_at().map_or(i64::MAX, |at| at.0);
        (it.standing(now), end)
    });
    let standing = best.map_or(Standing::Over, |it| it.standing(now));
    let (tier, status) = match (best, standing) {
        (None, _) => (Tier::Free, PlanStatus::Active),
        (Some(_), Standing::Over) => (Tier::Free, PlanStatus::Canceled),
        (Some(_), Standing::InGrace { .. }) => (Tier::Standard, PlanStatus::PastDue),
        (Some(_), Standing::Trial) => (Tier::Standard, PlanStatus::Trial),
        (Some(_), Standing::Active) => (Tier::Standard, PlanStatus::Active),
    };
    let running = || ours.iter().filter(|it| it.standing(now) > Standing::Over);
    let addons = running()
        .map(|it| it.quantity_of(Product::Addon, catalog))
        .fold(0, u32::saturating_add);
    let base = best.filter(|_| standing > Standing::Over);
    Some(Wanted {
        tier,
        status,
        addon_relay_count: addons,
        grace_deadline_at: match standing {
            Standing::InGrace { until_ms } => Some(UnixMillis(until_ms)),
            Standing::Over | Standing::Trial | Standing::Active => None,
        },
        ends_at: best.and_then(|it| it.ends_at),
        renews_at: base
            .filter(|it| it.runs_out_at().is_none())
            .and_then(|it| it.renews_at),
        next_change_at: running().filter_map(|it| it.next_change_at(now)).min(),
    })
}

/// What is done about a fact that changed a subscription from `before` to `after`.
pub(super) fn action(
    change: &Change,
    before: Option<&Subscription>,
    after: &Subscription,
    catalog: &Catalog,
) -> Option<Action> {
    let had_failed = before.is_some_and(|it| it.failed_at.is_some());
    let is_addon = after.has(Product::Addon, catalog) && !after.has(Product::Standard, catalog);
    let paid = if had_failed {
        Action::PaymentRecovery
    } else {
        Action::Activate
    };
    match change {
        Change::Linked => None,
        Change::PaymentFailed => Some(Action::PaymentFailed),
        Change::PaymentSucceeded => Some(paid),
        Change::Refunded => Some(Action::Refund),
        Change::Snapshot { status, .. } => match status {
            SubscriptionStatus::Pending => None,
            SubscriptionStatus::Canceling => Some(Action::Cancelled),
            SubscriptionStatus::PastDue => Some(Action::PaymentFailed),
            _ if is_addon => Some(Action::UpdateAddon),
            SubscriptionStatus::Paused | SubscriptionStatus::Ended => Some(Action::Downgrade),
            SubscriptionStatus::Trial | SubscriptionStatus::Active => Some(paid),
        },
    }
}
