//! Rows of plans and usage. Functions take a connection, so that they compose in one transaction.
//!
//! Invariant: measured seconds only ever grow; what lowers a bill is an adjustment with its reason.

mod adjustment;
mod plan;
mod rules;
mod statement;
mod usage;

pub use adjustment::{adjustment_insert, adjustment_list};
pub use plan::{
    PlanSync, plan_get, plan_insert, plan_list_after, plan_update, plans_with_statement_due,
};
pub use rules::{standard_included_seconds, standard_included_seconds_put};
pub use statement::{StatementRow, statement_list, statement_put, statements_forget_from};
pub use usage::{
    Consumed, SessionUsage, consumed_in, session_usage_list, usage_add_seconds, usage_get,
};
