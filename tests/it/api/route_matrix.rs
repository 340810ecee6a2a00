//! Every route by every caller: the status that each gets.
//!
//! Invariant: a route that the product has and this table has not fails the test, and the other
//! way round.

use std::collections::BTreeSet;

use super::callers::{Caller, House};
use super::requests::{request, request_to};
use super::routes_source::routes;
use crate::harness::client::Answer;

/// One status for each of [`Caller::ALL`].
type Statuses = [u16; 9];

/// The same for everybody.
const fn everybody(status: u16) -> Statuses {
    [status; 9]
}

/// A page for whoever has signed in; everybody else is led to the sign-in page.
const fn page(shown: u16) -> Statuses {
    let to_login = 303;
    let s = shown;
    [to_login, to_login, s, s, s, s, s, to_login, to_login]
}

/// For browsers alone, and not by leading anybody elsewhere.
const fn browsers(stranger: u16, viewer: u16, operator: u16, owner: u16, holder: u16) -> Statuses {
    [
        401, 401, stranger, viewer, operator, owner, holder, 401, 401,
    ]
}

/// For plugins alone: a browser's cookie proves nothing to the API.
const fn plugins(stranger: u16, holder: u16) -> Statuses {
    [401, 401, 401, 401, 401, 401, 401, stranger, holder]
}

/// Method, path, and what each caller gets. What ends a sign-in or a session stands last.
const TABLE: &[(&str, &str, Statuses)] = &[
    ("GET", "/healthz", everybody(200)),
    ("GET", "/readyz", everybody(200)),
    ("GET", "/health", everybody(200)),
    // As through a proxy, so that being on this machine proves nothing.
    (
        "GET",
        "/metrics",
        [401, 401, 401, 401, 200, 200, 401, 401, 401],
    ),
    ("GET", "/static/{file}", everybody(200)),
    ("GET", "/favicon.ico", everybody(200)),
    ("GET", "/api/v1/openapi.json", everybody(200)),
    ("GET", "/api/docs", everybody(303)),
    ("GET", "/api/docs/{file}", everybody(200)),
    ("GET", "/setup", everybody(303)),
    ("POST", "/setup", everybody(303)),
    // What the key in the path proves.
    ("GET", "/stats/{key}", everybody(200)),
    // Signing in.
    (
        "GET",
        "/login",
        [200, 200, 303, 303, 303, 303, 303, 200, 200],
    ),
    ("POST", "/login", everybody(401)),
    // Nobody may sign up here, and it sends no mails.
    ("GET", "/sign-up", everybody(403)),
    ("POST", "/sign-up", everybody(403)),
    ("GET", "/forgot", everybody(200)),
    ("POST", "/forgot", everybody(503)),
    ("GET", "/reset", everybody(410)),
    ("POST", "/reset", everybody(410)),
    ("GET", "/verify", everybody(410)),
    ("POST", "/verify", everybody(410)),
    // Nobody owes a code.
    ("GET", "/login/code", everybody(303)),
    ("POST", "/login/code", everybody(303)),
    ("POST", "/theme", everybody(303)),
    ("GET", "/login/plugin", page(200)),
    ("POST", "/login/plugin", browsers(200, 403, 200, 200, 200)),
    // Live.
    ("GET", "/", everybody(303)),
    ("GET", "/live", page(200)),
    ("GET", "/live/events", browsers(200, 200, 200, 200, 200)),
    (
        "GET",
        "/live/card/{slot_id}",
        browsers(404, 200, 200, 200, 200),
    ),
    (
        "POST",
        "/slots/{slot_id}/label",
        browsers(404, 403, 303, 303, 303),
    ),
    (
        "POST",
        "/slots/{slot_id}/rotate",
        browsers(404, 403, 303, 303, 303),
    ),
    (
        "POST",
        "/slots/{slot_id}/passphrase",
        browsers(404, 403, 303, 303, 303),
    ),
    (
        "POST",
        "/slots/{slot_id}/disconnect",
        browsers(404, 403, 303, 303, 303),
    ),
    // The relay and its containers; this server has none.
    (
        "GET",
        "/relay",
        [303, 303, 403, 403, 200, 200, 403, 303, 303],
    ),
    ("POST", "/relay/restart", browsers(403, 403, 404, 404, 403)),
    ("POST", "/relay/apply", browsers(403, 403, 404, 404, 403)),
    ("GET", "/api/v1/relay/supervisor", plugins(403, 403)),
    (
        "POST",
        "/api/v1/relay/supervisor/restart",
        plugins(403, 403),
    ),
    // Jobs.
    (
        "GET",
        "/jobs",
        [303, 303, 403, 403, 200, 200, 403, 303, 303],
    ),
    (
        "POST",
        "/jobs/{name}/run",
        browsers(403, 403, 303, 303, 403),
    ),
    (
        "POST",
        "/jobs/{name}/switch",
        browsers(403, 403, 303, 303, 403),
    ),
    ("GET", "/api/v1/jobs", plugins(403, 403)),
    ("PUT", "/api/v1/jobs/{name}", plugins(403, 403)),
    ("POST", "/api/v1/jobs/{name}/run", plugins(403, 403)),
    // Relay nodes; the named one is not there.
    (
        "GET",
        "/nodes",
        [303, 303, 403, 403, 200, 200, 403, 303, 303],
    ),
    ("POST", "/nodes", browsers(403, 403, 422, 422, 403)),
    ("POST", "/nodes/regions", browsers(403, 403, 303, 303, 403)),
    (
        "POST",
        "/nodes/{node_id}",
        browsers(403, 403, 404, 404, 403),
    ),
    (
        "POST",
        "/nodes/{node_id}/key",
        browsers(403, 403, 404, 404, 403),
    ),
    (
        "POST",
        "/nodes/{node_id}/remove",
        browsers(403, 403, 404, 404, 403),
    ),
    ("GET", "/api/v1/relay/nodes", plugins(403, 403)),
    ("POST", "/api/v1/relay/nodes", plugins(403, 403)),
    ("PATCH", "/api/v1/relay/nodes/{node_id}", plugins(403, 403)),
    ("DELETE", "/api/v1/relay/nodes/{node_id}", plugins(403, 403)),
    (
        "POST",
        "/api/v1/relay/nodes/{node_id}/key",
        plugins(403, 403),
    ),
    ("PUT", "/api/v1/relay/regions/{region}", plugins(403, 403)),
    // People.
    (
        "GET",
        "/users",
        [303, 303, 403, 403, 200, 200, 403, 303, 303],
    ),
    ("POST", "/users", browsers(403, 403, 200, 200, 403)),
    (
        "GET",
        "/users/{user_id}/account",
        [303, 303, 403, 403, 200, 200, 403, 303, 303],
    ),
    (
        "GET",
        "/users/{user_id}",
        [303, 303, 403, 403, 200, 200, 403, 303, 303],
    ),
    (
        "POST",
        "/users/{user_id}/reset-link",
        browsers(403, 403, 200, 200, 403),
    ),
    (
        "POST",
        "/users/{user_id}/delete",
        browsers(403, 403, 422, 422, 403),
    ),
    (
        "GET",
        "/invites",
        [303, 303, 403, 403, 200, 200, 403, 303, 303],
    ),
    // While nobody may sign up, an invitation is for nothing.
    ("POST", "/invites", browsers(403, 403, 422, 422, 403)),
    (
        "POST",
        "/invites/sign-up",
        browsers(403, 403, 303, 303, 403),
    ),
    (
        "POST",
        "/invites/{invite_id}/revoke",
        browsers(403, 403, 404, 404, 403),
    ),
    (
        "GET",
        "/audit",
        [303, 303, 403, 403, 200, 200, 403, 303, 303],
    ),
    ("GET", "/api/v1/audit", plugins(403, 403)),
    (
        "POST",
        "/users/{user_id}/plan",
        browsers(403, 403, 303, 303, 403),
    ),
    (
        "POST",
        "/users/{user_id}/adjustments",
        browsers(403, 403, 303, 303, 403),
    ),
    (
        "GET",
        "/plans",
        [303, 303, 403, 403, 200, 200, 403, 303, 303],
    ),
    ("POST", "/plans", browsers(403, 403, 303, 303, 403)),
    ("GET", "/account/usage", page(200)),
    ("GET", "/account", page(200)),
    ("GET", "/account/address", page(200)),
    (
        "POST",
        "/account/address",
        browsers(422, 422, 422, 422, 422),
    ),
    (
        "POST",
        "/account/address/confirm",
        browsers(303, 303, 303, 303, 303),
    ),
    ("GET", "/account/data", page(200)),
    (
        "POST",
        "/account/data/export",
        browsers(422, 422, 422, 422, 422),
    ),
    (
        "POST",
        "/account/data/delete",
        browsers(422, 422, 422, 422, 422),
    ),
    ("GET", "/account/keys", page(200)),
    ("POST", "/account/keys", browsers(200, 200, 200, 200, 200)),
    (
        "POST",
        "/account/keys/{key_id}/revoke",
        browsers(404, 404, 404, 404, 404),
    ),
    (
        "POST",
        "/account/password",
        browsers(422, 422, 422, 422, 422),
    ),
    (
        "POST",
        "/account/sessions/{id}/revoke",
        browsers(404, 404, 404, 404, 303),
    ),
    (
        "POST",
        "/account/plugins/{id}/revoke",
        browsers(404, 404, 404, 404, 303),
    ),
    ("GET", "/account/links", page(200)),
    (
        "POST",
        "/account/links/{provider}/unlink",
        browsers(404, 404, 404, 404, 404),
    ),
    // No browser here proved two accounts.
    ("GET", "/account/merge", page(410)),
    ("POST", "/account/merge", browsers(410, 410, 410, 410, 410)),
    (
        "POST",
        "/account/merge/decline",
        browsers(303, 303, 303, 303, 303),
    ),
    ("GET", "/account/second-factor", page(200)),
    (
        "POST",
        "/account/second-factor/begin",
        browsers(303, 303, 303, 303, 303),
    ),
    (
        "POST",
        "/account/second-factor/confirm",
        browsers(422, 422, 422, 422, 422),
    ),
    (
        "POST",
        "/account/second-factor/change",
        browsers(422, 422, 422, 422, 422),
    ),
    (
        "POST",
        "/account/second-factor/policy",
        browsers(403, 403, 403, 303, 403),
    ),
    // Billing; this server has none.
    ("GET", "/account/plan", page(503)),
    (
        "POST",
        "/account/plan/upgrade",
        browsers(503, 503, 503, 503, 503),
    ),
    (
        "POST",
        "/account/plan/manage",
        browsers(503, 503, 503, 503, 503),
    ),
    (
        "GET",
        "/billing",
        [303, 303, 403, 403, 503, 503, 403, 303, 303],
    ),
    (
        "POST",
        "/billing/events/{id}/redo",
        browsers(404, 404, 404, 404, 404),
    ),
    ("POST", "/api/v1/billing/checkout", plugins(503, 503)),
    ("POST", "/api/v1/billing/portal", plugins(503, 503)),
    ("POST", "/api/v1/billing/webhook", everybody(503)),
    ("GET", "/api/v1/billing/status", plugins(503, 503)),
    ("GET", "/api/v1/billing/events", plugins(403, 403)),
    (
        "POST",
        "/api/v1/billing/events/{id}/redo",
        plugins(404, 404),
    ),
    // The plugin.
    ("POST", "/api/v1/auth/plugin/login/start", everybody(201)),
    ("POST", "/api/v1/auth/plugin/login/poll", everybody(202)),
    ("POST", "/api/v1/auth/plugin/login/complete", everybody(401)),
    // This server knows no provider.
    ("GET", "/api/v1/auth/{provider}/authorize", everybody(404)),
    ("GET", "/api/v1/auth/{provider}/callback", everybody(404)),
    ("GET", "/api/v1/auth/session", plugins(200, 200)),
    ("POST", "/api/v1/auth/refresh", everybody(401)),
    ("GET", "/api/v1/user/api-keys", plugins(200, 200)),
    ("POST", "/api/v1/user/api-keys", plugins(201, 201)),
    (
        "POST",
        "/api/v1/user/api-keys/{api_key}/revoke",
        plugins(404, 404),
    ),
    ("GET", "/api/v1/user/stream-slots", plugins(200, 200)),
    ("GET", "/api/v1/stream-slots", plugins(200, 200)),
    // A number names a slot of the caller's own.
    (
        "PUT",
        "/api/v1/user/stream-slots/{number}/label",
        plugins(204, 204),
    ),
    (
        "POST",
        "/api/v1/user/stream-slots/{number}/rotate",
        plugins(200, 200),
    ),
    (
        "PUT",
        "/api/v1/user/stream-slots/{number}/passphrase",
        plugins(200, 200),
    ),
    ("POST", "/api/v1/relay/start", plugins(404, 200)),
    ("GET", "/api/v1/relay/active", plugins(204, 200)),
    ("POST", "/api/v1/relay/health", plugins(404, 200)),
    // To the region where it is already.
    ("POST", "/api/v1/relay/migrate", plugins(404, 200)),
    ("GET", "/api/v1/relay/regions", plugins(200, 200)),
    ("GET", "/api/v1/relay/manifest", plugins(200, 200)),
    ("GET", "/api/v1/capacity/status", everybody(200)),
    ("GET", "/api/v1/ip", plugins(200, 200)),
    // Documentation's addresses are none that anybody could have.
    (
        "POST",
        "/api/v1/relay/self-hosted/register",
        plugins(400, 400),
    ),
    ("POST", "/api/v1/relay/self-hosted/probe", plugins(404, 404)),
    (
        "POST",
        "/api/v1/relay/self-hosted/{connection_id}",
        plugins(200, 200),
    ),
    ("GET", "/api/v1/usage/current", plugins(200, 200)),
    ("GET", "/api/v1/usage/records", plugins(200, 200)),
    ("GET", "/api/v1/usage/statements", plugins(200, 200)),
    ("GET", "/api/v1/plans", plugins(403, 403)),
    ("PUT", "/api/v1/plans", plugins(403, 403)),
    ("GET", "/api/v1/users/{user_id}/plan", plugins(403, 403)),
    ("PUT", "/api/v1/users/{user_id}/plan", plugins(403, 403)),
    (
        "GET",
        "/api/v1/users/{user_id}/adjustments",
        plugins(403, 403),
    ),
    (
        "POST",
        "/api/v1/users/{user_id}/adjustments",
        plugins(403, 403),
    ),
    ("POST", "/api/v1/relay/stop", plugins(404, 200)),
    ("POST", "/api/v1/user/regenerate-token", plugins(200, 200)),
    ("POST", "/api/v1/auth/logout", plugins(204, 204)),
    (
        "POST",
        "/account/sign-out-everywhere",
        browsers(303, 303, 303, 303, 303),
    ),
    // By then no browser is signed in any more.
    ("POST", "/logout", everybody(303)),
];

#[test]
fn every_route_answers_every_caller_as_the_table_says() {
    let house = House::open();
    a_wrong_method_is_405(&house);
    an_id_that_names_nothing_is_404(&house);
    let mut wrong = Vec::new();
    for (method, route, statuses) in TABLE {
        for (caller, expected) in Caller::ALL.into_iter().zip(statuses) {
            let answer = answer(&house, caller, method, route, *expected);
            let complaints = complaints(caller, method, route, *expected, &answer);
            wrong.extend(
                complaints
                    .into_iter()
                    .map(|text| format!("{method} {route} by {caller:?}: {text}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_has_the_routes_of_the_product_and_no_others() {
    let table = TABLE
        .iter()
        .map(|(method, route, _)| ((*method).to_owned(), (*route).to_owned()));
    let table: BTreeSet<_> = table.collect();
    let product = routes();
    let missing: Vec<_> = product.difference(&table).collect();
    let gone: Vec<_> = table.difference(&product).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "missing: {missing:?}, gone: {gone:?}"
    );
    assert_eq!(table.len(), TABLE.len(), "a route stands here twice");
}

fn answer(house: &House, caller: Caller, method: &str, route: &str, expected: u16) -> Answer {
    let mut request = request(house, caller, method, route);
    if route == "/metrics" {
        request = request.header("x-forwarded-for", "203.0.113.9");
    }
    if route == "/live/events" && expected == 200 {
        return house.http.send_for_head(request);
    }
    house.http.send(request)
}

/// What is wrong with an answer.
#[expect(clippy::too_many_lines, reason = "a table")]
fn complaints(
    caller: Caller,
    method: &str,
    route: &str,
    expected: u16,
    answer: &Answer,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut demand = |is_so: bool, what: &str| {
        if !is_so {
            wrong.push(what.to_owned());
        }
    };
    let status = answer.status;
    if status != expected {
        let text: String = answer.text().chars().take(300).collect();
        return vec![format!("{status} and not {expected}: {text}")];
    }
    demand(
        !answer.header("x-request-id").is_empty(),
        "has no request id",
    );
    demand(
        answer.header("x-content-type-options") == "nosniff",
        "lets a browser guess",
    );
    let location = answer.header("location");
    if status == 303 {
        demand(location.starts_with('/'), "leads to another site");
        let is_page = TABLE
            .iter()
            .any(|(m, r, all)| *m == method && *r == route && all.contains(&200));
        if method == "GET" && is_page && !caller.is_browser() {
            demand(
                location.starts_with("/login?next=%2F"),
                "does not lead to the sign-in page and back",
            );
        }
    } else {
        demand(location.is_empty(), "leads elsewhere");
    }
    // A form that is shown again says what is wrong to a person.
    let is_form = matches!(
        route,
        "/login"
            | "/account/password"
            | "/account/address"
            | "/account/data/export"
            | "/account/data/delete"
            | "/account/merge"
            | "/users/{user_id}/delete"
            | "/nodes"
            | "/invites"
            | "/sign-up"
            | "/forgot"
            | "/reset"
            | "/verify"
            | "/account/second-factor/confirm"
            | "/account/second-factor/change"
    );
    if status >= 400 && !is_form {
        let code = match status {
            400 => "invalid_request",
            401 => "unauthorized",
            403 => "forbidden",
            503 => "billing_not_configured",
            _ => "not_found",
        };
        demand(
            answer.header("content-type") == "application/json" && answer.error_code() == code,
            "does not say why in one word of ours",
        );
    }
    wrong
}

fn a_wrong_method_is_405(house: &House) {
    let can_delete = |route| {
        let mut rows = TABLE.iter();
        rows.any(|(method, path, _)| *method == "DELETE" && *path == route)
    };
    for (_, route, _) in TABLE.iter().filter(|(_, route, _)| !can_delete(*route)) {
        let request = request(house, Caller::HolderPlugin, "DELETE", route);
        let answer = house.http.send(request);
        assert_eq!(answer.status, 405, "{route}: {}", answer.text());
        assert_eq!(answer.error_code(), "method_not_allowed", "{route}");
        assert!(!answer.header("allow").is_empty(), "{route}");
    }
}

fn an_id_that_names_nothing_is_404(house: &House) {
    let unknown = "0123456789abcdef0123456789abcdef";
    let like = |id: &str| {
        id.split_inclusive('_')
            .next()
            .unwrap_or_default()
            .to_owned()
            + unknown
    };
    let ids = [
        "none".to_owned(),
        unknown.to_owned(),
        like(&house.slot_id),
        like(&house.user_id),
        like(&house.browser_session_id),
        like(&house.plugin_session_id),
        like("usr_"),
        like("inv_"),
        like("key_"),
    ];
    // A browser proves nothing to the API.
    let is_page = |route: &str| route.contains("id}") && !route.starts_with("/api/");
    for (method, route, _) in TABLE.iter().filter(|(_, route, _)| is_page(route)) {
        for id in &ids {
            let parts = [
                "{slot_id}",
                "{user_id}",
                "{node_id}",
                "{invite_id}",
                "{key_id}",
                "{id}",
            ];
            let path = parts
                .iter()
                .fold((*route).to_owned(), |path, part| path.replace(part, id));
            let request = request_to(house, Caller::Owner, method, route, &path);
            let answer = house.http.send(request).expect(404);
            assert_eq!(answer.error_code(), "not_found", "{method} {path}");
        }
    }
}
