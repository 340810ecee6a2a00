//! The document of the API, and the page on which a person reads it.
//!
//! An operation is described where its handler stands, by `#[utoipa::path]`, and listed here by one line in
//! [`Described`]; its doc comment's first line is the summary. What it can fail with beyond the usual is
//! named in words of [`Code`](crate::kernel::Code): `extensions(("x-errors" = json!(["not_found"])))`. All
//! else follows by itself, see [`complete`]: the answers of errors, the figures of limits, the examples.
//!
//! An operation that asks for no credentials is limited by address without saying so, see
//! [`anonymous_routes`]; one that must not be says `extensions(("x-unlimited" = json!(true)))`.
//!
//! Invariant: every route below `/api/v1` is here and nothing else is; a test compares.

mod complete;
mod errors;
mod example;
mod page;

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::Method;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use serde_json::Value;
use utoipa::OpenApi;

pub(super) use page::{show_docs, to_docs};

use crate::accounts::api as accounts;
use crate::accounts::oauth::api as oauth;
use crate::audit::api as audit;
use crate::http::ErrorBody;
use crate::plans::api as plans;
use crate::plans::billing::api as billing;
use crate::plugin::api as plugin;
use crate::relay::api as relay;
use crate::relay::docker::api as containers;
use crate::slots::api as slots;
use crate::system::jobs::api as jobs;

/// Every operation: one line each.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "GoLiveBro Appliance",
        description = "What the OBS plugin, scene switchers and programs of the operator call. \
                       Unknown fields of a request are ignored; clients must ignore unknown fields of an \
                       answer and unknown words in place of known ones.",
    ),
    tags(
        (name = "Sign-in", description = "How a plugin gets its tokens, and what it learns of its account."),
        (name = "Slots", description = "Stream slots and their keys."),
        (name = "Relay", description = "Relay sessions."),
        (name = "Usage", description = "What was used of the plan."),
        (name = "Billing", description = "Payment of plans, where a provider is set up."),
        (name = "Server", description = "The appliance itself."),
    ),
    paths(
        // Signing in.
        plugin::start_login,
        plugin::poll_login,
        plugin::complete_login,
        plugin::get_session,
        plugin::refresh,
        accounts::log_out,
        accounts::list_api_keys,
        accounts::make_api_key,
        accounts::revoke_api_key,
        oauth::authorize,
        oauth::callback,
        // Slots and their keys.
        slots::list,
        slots::list_by_old_path,
        slots::rename,
        relay::keys::rotate_key,
        relay::keys::regenerate_token,
        relay::passphrase::put_passphrase,
        // Relay sessions.
        relay::sessions::start,
        relay::sessions::active,
        relay::sessions::stop,
        relay::heartbeat::heartbeat,
        relay::pool::migrate,
        relay::pool::regions,
        relay::pool::manifest,
        relay::sessions::usage,
        relay::self_hosted::register_home,
        relay::self_hosted::probe_home,
        relay::self_hosted::deregister_home,
        // Billing.
        billing::post_checkout,
        billing::post_portal,
        billing::post_webhook,
        billing::get_status,
        billing::get_events,
        billing::redo_event,
        plans::list_records,
        plans::list_statements,
        plans::get_plans,
        plans::put_plans,
        plans::get_plan,
        plans::put_plan,
        plans::list_adjustments,
        plans::add_adjustment,
        // The appliance.
        relay::pool::capacity,
        relay::pool::ip,
        relay::nodes::list_nodes,
        relay::nodes::add_node,
        relay::nodes::change_node,
        relay::nodes::rotate_node_key,
        relay::nodes::remove_node,
        relay::nodes::name_region,
        containers::get_supervisor,
        containers::restart_container,
        audit::list_audit_events,
        jobs::list_jobs,
        jobs::switch_job,
        jobs::run_job,
        get_document,
    ),
    components(schemas(ErrorBody)),
)]
struct Described;

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let mut document = described();
    complete::complete(&mut document);
    let text = serde_json::to_vec(&document);
    text.expect("a value can be written").into()
});

fn described() -> Value {
    let described = serde_json::to_value(Described::openapi());
    described.expect("a document has only text as keys")
}

/// Method and route of every operation that asks for no credentials of a user's, and is limited by address.
pub(super) fn anonymous_routes() -> Vec<(Method, String)> {
    let document = described();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let method = method.to_ascii_uppercase().parse();
            let method = method.expect("the document names methods of HTTP");
            if complete::is_limited_by_address(operation) {
                routes.push((method, path.clone()));
            }
        }
    }
    routes
}

/// This document of the API.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "Server",
    responses((status = 200, description = "The same until the next release.", body = Object)),
)]
pub(super) async fn get_document() -> Response {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-cache"),
        // Tools in a browser read it from elsewhere; there is nothing in it to hide.
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, DOCUMENT.clone()).into_response()
}
