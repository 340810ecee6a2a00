//! The one table of routes, and what stands around every handler.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, patch, post, put};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;

use super::config::Config;
use super::openapi;
use super::state::App;
use crate::accounts::oauth::{api as oauth, pages as links};
use crate::accounts::second_factor::pages as second_factor;
use crate::accounts::{api as accounts_api, pages as accounts};
use crate::audit::{api as audit_api, pages as audit};
use crate::http::{self, Around};
use crate::live::{api as live_api, pages as live, sse};
use crate::plans::billing::{api as billing_api, pages as billing};
use crate::plans::{api as plans_api, pages as plans};
use crate::plugin::{api as plugin_api, pages as plugin};
use crate::relay::api as relay;
use crate::relay::docker::{api as containers_api, pages as containers};
use crate::relay::pages as nodes;
use crate::slots::api as slots;
use crate::system::export::pages as departures;
use crate::system::health::api as health;
use crate::system::jobs::{api as jobs_api, pages as job_pages};
use crate::system::pages as system;
use crate::system::setup::{self, pages as setup_pages};

/// Pages and API.
pub(super) fn main(config: &Config, app: &App, around: &Around) -> Router {
    let router = Router::new()
        .merge(api())
        .merge(pool_api())
        .merge(plans_routes())
        .merge(billing_routes())
        .merge(pages())
        .merge(people())
        .merge(assets())
        .route("/healthz", get(health::get_liveness))
        .route("/readyz", get(health::get_readiness))
        .route("/health", get(health::get_readiness))
        .route(
            "/setup",
            get(setup_pages::show_setup).post(setup_pages::submit_setup),
        );
    let router = match config.metrics_listen {
        Some(_) => router,
        None => router.route("/metrics", get(health::get_metrics)),
    };
    wrap(router, app, around, Gate::UntilClaimed)
}

/// `/stats/...` and nothing else, for the port that plugins read.
pub(super) fn stats_only(app: &App, around: &Around) -> Router {
    let router = Router::new().route("/stats/{key}", get(live_api::get_stats));
    wrap(router, app, around, Gate::UntilClaimed)
}

/// `/metrics` and nothing else.
pub(super) fn metrics_only(app: &App, around: &Around) -> Router {
    let router = Router::new().route("/metrics", get(health::get_metrics));
    wrap(router, app, around, Gate::AlwaysOpen)
}

/// What plugins and scene switchers call. Whole paths, because `Router::nest` rewrites the URI of every
/// request.
fn api() -> Router<App> {
    Router::new()
        // Plugin sign-in.
        .route(
            "/api/v1/auth/plugin/login/start",
            post(plugin_api::start_login),
        )
        .route(
            "/api/v1/auth/plugin/login/poll",
            post(plugin_api::poll_login),
        )
        .route(
            "/api/v1/auth/plugin/login/complete",
            post(plugin_api::complete_login),
        )
        .route("/api/v1/auth/session", get(plugin_api::get_session))
        .route("/api/v1/auth/refresh", post(plugin_api::refresh))
        .route("/api/v1/auth/logout", post(accounts_api::log_out))
        // Sign-in providers; opened by people in a browser.
        .route("/api/v1/auth/{provider}/authorize", get(oauth::authorize))
        .route("/api/v1/auth/{provider}/callback", get(oauth::callback))
        // Slots and their keys.
        .route("/api/v1/user/stream-slots", get(slots::list))
        .route("/api/v1/stream-slots", get(slots::list_by_old_path))
        .route(
            "/api/v1/user/stream-slots/{number}/label",
            put(slots::rename),
        )
        .route(
            "/api/v1/user/stream-slots/{number}/rotate",
            post(relay::rotate_key),
        )
        .route(
            "/api/v1/user/stream-slots/{number}/passphrase",
            put(relay::put_passphrase),
        )
        .route(
            "/api/v1/user/regenerate-token",
            post(relay::regenerate_token),
        )
        // Relay sessions.
        .route("/api/v1/relay/start", post(relay::start))
        .route("/api/v1/relay/active", get(relay::active))
        .route("/api/v1/relay/stop", post(relay::stop))
        .route("/api/v1/relay/health", post(relay::heartbeat))
        .route("/api/v1/relay/migrate", post(relay::migrate))
        .route("/api/v1/relay/regions", get(relay::regions))
        .route("/api/v1/relay/manifest", get(relay::manifest))
        .route("/api/v1/capacity/status", get(relay::capacity))
        .route("/api/v1/ip", get(relay::ip))
        .route(
            "/api/v1/relay/supervisor",
            get(containers_api::get_supervisor),
        )
        .route(
            "/api/v1/relay/supervisor/restart",
            post(containers_api::restart_container),
        )
        .route("/api/v1/usage/current", get(relay::usage))
        // Jobs.
        .route("/api/v1/jobs", get(jobs_api::list_jobs))
        .route("/api/v1/jobs/{name}", put(jobs_api::switch_job))
        .route("/api/v1/jobs/{name}/run", post(jobs_api::run_job))
        .route("/api/v1/openapi.json", get(openapi::get_document))
        .route("/stats/{key}", get(live_api::get_stats))
}

/// The pool of relay nodes, and relays that users run at home.
fn pool_api() -> Router<App> {
    Router::new()
        .route(
            "/api/v1/relay/self-hosted/register",
            post(relay::register_home),
        )
        .route("/api/v1/relay/self-hosted/probe", post(relay::probe_home))
        .route(
            "/api/v1/relay/self-hosted/{connection_id}",
            post(relay::deregister_home),
        )
        .route(
            "/api/v1/relay/nodes",
            get(relay::list_nodes).post(relay::add_node),
        )
        .route(
            "/api/v1/relay/nodes/{node_id}",
            patch(relay::change_node).delete(relay::remove_node),
        )
        .route(
            "/api/v1/relay/nodes/{node_id}/key",
            post(relay::rotate_node_key),
        )
        .route("/api/v1/relay/regions/{region}", put(relay::name_region))
}

/// What payment providers and their customers call.
fn billing_routes() -> Router<App> {
    Router::new()
        .route("/api/v1/billing/checkout", post(billing_api::post_checkout))
        .route("/api/v1/billing/portal", post(billing_api::post_portal))
        .route("/api/v1/billing/webhook", post(billing_api::post_webhook))
        .route("/api/v1/billing/status", get(billing_api::get_status))
        .route("/api/v1/billing/events", get(billing_api::get_events))
        .route(
            "/api/v1/billing/events/{id}/redo",
            post(billing_api::redo_event),
        )
}

/// Plans and usage.
fn plans_routes() -> Router<App> {
    Router::new()
        .route("/api/v1/usage/records", get(plans_api::list_records))
        .route("/api/v1/usage/statements", get(plans_api::list_statements))
        .route(
            "/api/v1/plans",
            get(plans_api::get_plans).put(plans_api::put_plans),
        )
        .route(
            "/api/v1/users/{user_id}/plan",
            get(plans_api::get_plan).put(plans_api::put_plan),
        )
        .route(
            "/api/v1/users/{user_id}/adjustments",
            get(plans_api::list_adjustments).post(plans_api::add_adjustment),
        )
}

/// What people open in a browser.
fn pages() -> Router<App> {
    Router::new()
        .route("/", get(system::root))
        .route(
            "/login",
            get(accounts::show_login).post(accounts::submit_login),
        )
        .route(
            "/login/code",
            get(second_factor::show_code).post(second_factor::submit_code),
        )
        .route("/logout", post(accounts::log_out))
        .route(
            "/login/plugin",
            get(plugin::show_approval).post(plugin::decide),
        )
        .route("/theme", post(accounts::choose_theme))
        // Live.
        .route("/live", get(live::show_live))
        .route("/live/events", get(sse::stream_events))
        .route("/live/card/{slot_id}", get(live::show_card))
        .route("/slots/{slot_id}/label", post(live::rename_slot))
        .route("/slots/{slot_id}/rotate", post(live::rotate_key))
        .route("/slots/{slot_id}/passphrase", post(live::change_passphrase))
        .route("/slots/{slot_id}/disconnect", post(live::disconnect))
        // The relay and its containers.
        .route("/relay", get(containers::show_relay))
        .route("/relay/restart", post(containers::restart_container))
        .route("/relay/apply", post(containers::apply_changes))
        // Jobs.
        .route("/jobs", get(job_pages::show_jobs))
        .route("/jobs/{name}/run", post(job_pages::run_job))
        .route("/jobs/{name}/switch", post(job_pages::switch_job))
        .route("/nodes", get(nodes::show_nodes).post(nodes::add_node))
        .route("/nodes/regions", post(nodes::name_region))
        .route("/nodes/{node_id}", post(nodes::change_node))
        .route("/nodes/{node_id}/key", post(nodes::rotate_node_key))
        .route("/nodes/{node_id}/remove", post(nodes::remove_node))
}

/// What people do with their own accounts and with those of others.
fn people() -> Router<App> {
    visitors()
        .merge(users())
        .merge(own_account())
        .merge(own_ways_in())
        .merge(people_api())
}

/// What those do who have not signed in.
fn visitors() -> Router<App> {
    Router::new()
        .route(
            "/sign-up",
            get(accounts::show_sign_up).post(accounts::submit_sign_up),
        )
        .route(
            "/forgot",
            get(accounts::show_forgot).post(accounts::submit_forgot),
        )
        .route(
            "/reset",
            get(accounts::show_reset).post(accounts::submit_reset),
        )
        .route(
            "/verify",
            get(accounts::show_verify).post(accounts::submit_verify),
        )
}

/// What is done to others.
fn users() -> Router<App> {
    Router::new()
        .route("/users", get(accounts::show_users).post(accounts::add_user))
        .route("/audit", get(audit::show_audit))
        .route("/account/data", get(departures::show_data))
        .route("/account/data/export", post(departures::export_data))
        .route("/account/data/delete", post(departures::delete_account))
        .route("/users/{user_id}/delete", post(departures::delete_user))
        .route("/users/{user_id}/account", get(accounts::show_user))
        .route(
            "/users/{user_id}/reset-link",
            post(accounts::make_reset_link),
        )
        .route(
            "/invites",
            get(accounts::show_invites).post(accounts::create_invite),
        )
        .route("/invites/sign-up", post(accounts::change_mode))
        .route("/invites/{invite_id}/revoke", post(accounts::revoke_invite))
        .route("/users/{user_id}", get(plans::show_user))
        .route("/users/{user_id}/plan", post(plans::change_plan))
        .route("/users/{user_id}/adjustments", post(plans::adjust_usage))
        .route("/plans", get(plans::show_plans).post(plans::change_plans))
        .route("/account/usage", get(plans::show_usage))
}

/// What somebody sees and changes of their own.
fn own_account() -> Router<App> {
    Router::new()
        .route("/account", get(accounts::show_account))
        .route(
            "/account/address",
            get(accounts::show_address).post(accounts::change_address),
        )
        .route(
            "/account/address/confirm",
            post(accounts::ask_for_confirmation),
        )
        .route(
            "/account/keys",
            get(accounts::show_keys).post(accounts::make_key),
        )
        .route("/account/keys/{key_id}/revoke", post(accounts::revoke_key))
        .route(
            "/account/sign-out-everywhere",
            post(accounts::sign_out_everywhere),
        )
}

/// How somebody gets in: password, links, second factor, sign-ins.
fn own_ways_in() -> Router<App> {
    Router::new()
        .route("/account/password", post(accounts::change_password))
        .route("/account/links", get(links::show_links))
        .route(
            "/account/merge",
            get(departures::show_merge).post(departures::merge),
        )
        .route("/account/merge/decline", post(departures::decline_merge))
        .route("/account/links/{provider}/unlink", post(links::unlink))
        .route(
            "/account/second-factor",
            get(second_factor::show_second_factor),
        )
        .route("/account/second-factor/begin", post(second_factor::begin))
        .route(
            "/account/second-factor/confirm",
            post(second_factor::confirm),
        )
        .route("/account/second-factor/change", post(second_factor::change))
        .route(
            "/account/second-factor/policy",
            post(second_factor::decide_policy),
        )
        .route(
            "/account/sessions/{id}/revoke",
            post(accounts::revoke_browser),
        )
        .route(
            "/account/plugins/{id}/revoke",
            post(accounts::revoke_plugin),
        )
        // Billing.
        .route("/account/plan", get(billing::show_plan))
        .route("/account/plan/upgrade", post(billing::upgrade))
        .route("/account/plan/manage", post(billing::manage))
        .route("/billing", get(billing::show_billing))
        .route("/billing/events/{id}/redo", post(billing::redo_event))
}

/// The same for programs.
fn people_api() -> Router<App> {
    Router::new()
        .route(
            "/api/v1/user/api-keys",
            get(accounts_api::list_api_keys).post(accounts_api::make_api_key),
        )
        .route(
            "/api/v1/user/api-keys/{api_key}/revoke",
            post(accounts_api::revoke_api_key),
        )
        .route("/api/v1/audit", get(audit_api::list_audit_events))
}

/// Static files: the only answers that are compressed, because they hold no secret.
fn assets() -> Router<App> {
    Router::new()
        .route("/static/{file}", get(http::assets::asset))
        .route("/favicon.ico", get(http::assets::favicon))
        .route("/api/docs", get(openapi::to_docs))
        .route("/api/docs/{file}", get(openapi::show_docs))
        .layer(CompressionLayer::new())
}

/// Whether a listener answers before somebody owns the appliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    UntilClaimed,
    AlwaysOpen,
}

/// What stands around every handler, and what a path or method that is not there answers. One stack,
/// because each `Router::layer` boxes every route once more.
fn wrap(router: Router<App>, app: &App, around: &Around, gate: Gate) -> Router {
    let public_url = app.0.settings.public_address().url.clone();
    let ask_gate = || setup::GateLayer::new(app.clone());
    let stack = ServiceBuilder::new()
        .layer(from_fn_with_state(around.clone(), http::around))
        .layer(http::csrf(&public_url))
        .option_layer((gate == Gate::UntilClaimed).then(ask_gate));
    router
        .method_not_allowed_fallback(http::method_not_allowed)
        .fallback(http::unknown_path)
        .layer(stack)
        .with_state(app.clone())
}
