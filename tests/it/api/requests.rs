//! A sound request for each route: what the path names and what stands in the body.
//!
//! Invariant: nothing but the caller decides the answer; the same request would do for the one
//! who may.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::callers::{CONNECTION, Caller, House};
use crate::harness::client::{Attempt, Plugin};

/// What nobody made: the matrix asks who gets as far as being told so.
const NO_INVITE: &str = "inv_0123456789abcdef0123456789abcdef";
const NO_KEY: &str = "key_0123456789abcdef0123456789abcdef";

const NO_MERGE: &str = "mrg_0123456789abcdef0123456789abcdef";

/// The query or the body of a request.
#[derive(Debug)]
enum Content {
    Nothing,
    Query(String),
    Form(Vec<(&'static str, String)>),
    Json(Value),
}

/// The request of `caller` for a route, with everything that it needs.
pub(super) fn request(house: &House, caller: Caller, method: &str, route: &str) -> RequestBuilder {
    request_to(house, caller, method, route, &path(house, route))
}

/// The same with another path.
pub(super) fn request_to(
    house: &House,
    caller: Caller,
    method: &str,
    route: &str,
    path: &str,
) -> RequestBuilder {
    let method_name = method.parse().expect("the table names methods");
    match content(house, caller, method, route) {
        Content::Nothing => house.request(caller, method_name, path),
        Content::Query(query) => house.request(caller, method_name, &format!("{path}?{query}")),
        Content::Json(body) => house
            .request(caller, method_name, path)
            .header("idempotency-key", uuid::Uuid::new_v4().to_string())
            .json(&body),
        Content::Form(fields) => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(fields);
            house
                .request(caller, method_name, path)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form.finish())
        }
    }
}

fn path(house: &House, route: &str) -> String {
    let id = if route.starts_with("/account/plugins/") {
        &house.plugin_session_id
    } else {
        &house.browser_session_id
    };
    let static_file = match route.strip_prefix("/api/docs/") {
        Some(_) => "index.html",
        None => &house.static_file,
    };
    let filled = route
        .replace("{slot_id}", &house.slot_id)
        .replace("{user_id}", &house.user_id)
        .replace("{number}", "1")
        .replace("{provider}", "twitch")
        .replace("{name}", "store_optimize")
        .replace("{node_id}", "nod_0198000000007000800000000000abcd")
        .replace("{connection_id}", CONNECTION)
        .replace("{region}", "far")
        .replace("{key}", &house.session.play_key)
        .replace("{file}", static_file)
        .replace("{invite_id}", NO_INVITE)
        .replace("{key_id}", NO_KEY)
        .replace("{api_key}", NO_KEY)
        .replace("{id}", id);
    assert!(!filled.contains('{'), "a value for each part of {route}");
    filled
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn content(house: &House, caller: Caller, method: &str, route: &str) -> Content {
    if let Some(api_route) = route.strip_prefix("/api/v1") {
        return api_content(house, method, api_route);
    }
    let form = |fields: &[(&'static str, &str)]| {
        let owned = fields
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Content::Form(owned.collect())
    };
    let nobody = format!("{caller:?}-nobody@example.org").to_lowercase();
    match (method, route) {
        ("GET", "/login/plugin") => Content::Query(format!("attempt={}", house.undecided.id)),
        ("POST", "/login/plugin") => {
            let id = if caller.is_browser() {
                attempt(house).id
            } else {
                house.undecided.id.clone()
            };
            form(&[("attempt", &id), ("decision", "approve")])
        }
        ("POST", "/setup") => form(&[("token", "used")]),
        ("POST", "/login") => form(&[("email", &nobody), ("password", "a wrong password")]),
        ("POST", "/theme") => form(&[("theme", "dark")]),
        ("POST", "/jobs/{name}/switch") => form(&[("switch", "on")]),
        ("POST", "/relay/restart") => form(&[("part", "sls")]),
        ("POST", "/nodes/regions") => form(&[("region", "far"), ("label", "Far away")]),
        ("POST", "/nodes/{node_id}/key") => form(&[("key", "another")]),
        ("POST", "/users" | "/invites") => form(&[("email", &nobody), ("role", "streamer")]),
        ("POST", "/sign-up") => form(&[("email", &nobody), ("password", "a long password")]),
        ("POST", "/forgot") => form(&[("email", &nobody)]),
        ("POST", "/reset") => form(&[("token", "none"), ("new_password", "a long password")]),
        ("POST", "/verify") => form(&[("token", "none")]),
        ("POST", "/invites/sign-up") => form(&[("mode", "off")]),
        ("POST", "/account/address") => {
            form(&[("email", &nobody), ("current_password", "a wrong password")])
        }
        ("POST", "/account/merge") => form(&[("request", NO_MERGE), ("kept", "this")]),
        ("POST", "/account/data/export") => form(&[("export_password", "a wrong one")]),
        ("POST", "/account/data/delete") => form(&[("delete_password", "a wrong one")]),
        ("POST", "/users/{user_id}/delete") => form(&[("current_password", "a wrong one")]),
        ("POST", "/account/keys") => form(&[("name", "Deck"), ("relay:read", "yes")]),
        ("POST", "/account/password") => form(&[
            ("current_password", "a wrong password"),
            ("new_password", "another long password"),
        ]),
        ("POST", "/users/{user_id}/plan") => form(&[
            ("tier", "standard"),
            ("status", "active"),
            ("addon_relay_count", "1"),
            ("extra_slot_count", "0"),
        ]),
        ("POST", "/users/{user_id}/adjustments") => form(&[("minutes", "-5"), ("note", "a test")]),
        ("POST", "/plans") => form(&[("included_hours", "15")]),
        ("POST", "/login/code" | "/account/second-factor/confirm") => form(&[("code", "000000")]),
        ("POST", "/account/second-factor/change") => {
            form(&[("code", "000000"), ("action", "renew")])
        }
        ("POST", "/account/second-factor/policy") => form(&[("required", "no")]),
        ("POST", "/slots/{slot_id}/label") => form(&[("label", "Backpack")]),
        ("POST", "/slots/{slot_id}/rotate") => form(&[("key", "stats")]),
        ("POST", "/slots/{slot_id}/passphrase") => form(&[("action", "remove")]),
        ("POST", _) => form(&[]),
        _ => Content::Nothing,
    }
}

fn api_content(house: &House, method: &str, route: &str) -> Content {
    if method == "GET" && route != "/relay/active" {
        return Content::Nothing;
    }
    let session_id = &house.session.id;
    Content::Json(match route {
        "/auth/plugin/login/start" => json!({"client": {"platform": "windows"}}),
        "/auth/plugin/login/poll" => {
            let attempt = &house.undecided;
            json!({"login_attempt_id": attempt.id, "poll_token": attempt.poll_token})
        }
        "/auth/plugin/login/complete" => {
            json!({"login_attempt_id": house.undecided.id, "outcome": "denied"})
        }
        "/user/api-keys" if method == "POST" => {
            json!({"name": "Deck", "scopes": ["relay:read"]})
        }
        "/auth/refresh" => json!({"refresh_token": "nobody issued this"}),
        "/user/stream-slots/{number}/label" => json!({"label": "Backpack"}),
        "/user/stream-slots/{number}/rotate" => json!({"key": "publish"}),
        "/user/stream-slots/{number}/passphrase" => json!({"passphrase": null}),
        "/relay/start" => json!({
            "connection_id": CONNECTION,
            "stream_token": house.holder.stream_token(1),
        }),
        "/relay/active" => return Content::Query(format!("connection_id={CONNECTION}")),
        "/relay/migrate" => json!({"connection_id": CONNECTION, "new_region": "local"}),
        "/relay/stop" | "/relay/health" => json!({"session_id": session_id, "instance_id": ""}),
        "/plans" => json!({"standard_included_seconds": 54_000}),
        "/users/{user_id}/plan" => json!({"tier": "standard"}),
        "/users/{user_id}/adjustments" => json!({
            "adjustment_seconds": -300, "reason": "manual_correction", "note": "a test",
        }),
        "/jobs/{name}" => json!({"is_enabled": true}),
        "/relay/supervisor/restart" => json!({"part": "sls"}),
        "/relay/self-hosted/register" => json!({
            "external_ip": "203.0.113.9", "port": 5000, "connection_id": CONNECTION,
        }),
        "/relay/self-hosted/probe" => json!({"fqdn": "203.0.113.9", "port": 5000}),
        "/relay/self-hosted/{connection_id}" => json!({"action": "deregister"}),
        "/relay/nodes" => json!({
            "name": "far", "region": "far", "url": "http://127.0.0.1:9", "key": "key",
        }),
        "/relay/nodes/{node_id}" => json!({"status": "draining"}),
        "/relay/nodes/{node_id}/key" => json!({"key": "another"}),
        "/relay/regions/{region}" => json!({"label": "Far away"}),
        "/auth/logout" | "/user/regenerate-token" => json!({}),
        _ => return Content::Nothing,
    })
}

/// A fresh sign-in that waits for the browser.
fn attempt(house: &House) -> Attempt {
    let plugin: &Plugin = &house.holder;
    plugin.begin_sign_in()
}
