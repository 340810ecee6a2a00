//! What people get in a browser.

use std::time::Duration;

use super::*;

/// G-59: the cookie is `HttpOnly` and bound.
#[tokio::test]
async fn g_59_signing_in_sets_a_bound_cookie_and_leads_on() {
    let app = App::new().await;
    app.world.user("one@example.org", Role::Streamer).await;
    let next = "/login/plugin?attempt=pla_1";
    let fields = [
        ("email", "One@example.org"),
        ("password", PASSWORD),
        ("next", next),
    ];
    let answer = app.post_form("/login", "", &fields).await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, next)
    );
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-glb="));
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(
        app.get("/account", &answer.cookie()).await.status,
        StatusCode::OK
    );
    let foreign = [
        ("email", "one@example.org"),
        ("password", PASSWORD),
        ("next", "//evil.example"),
    ];
    assert_eq!(
        app.post_form("/login", "", &foreign).await.location(),
        "/live"
    );
}

#[tokio::test]
async fn a_wrong_password_shows_the_form_again_without_it() {
    let app = App::new().await;
    app.world.user("one@example.org", Role::Streamer).await;
    let answer = app.sign_in("one@example.org", "planted-password").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.body.contains("one@example.org"));
    assert!(!answer.body.contains("planted-password"));
    assert!(answer.headers.get(header::SET_COOKIE).is_none());
    for _ in 0..4 {
        app.sign_in("one@example.org", "guess").await;
    }
    let blocked = app.sign_in("one@example.org", PASSWORD).await;
    assert_eq!(blocked.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(blocked.headers[header::RETRY_AFTER], "1");
    app.world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        app.sign_in("one@example.org", PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
}

/// G-59: the limit per address on sign-in.
#[tokio::test]
async fn g_59_one_address_cannot_try_many_accounts() {
    let app = App::new().await;
    let attempt = async |n: u32, ip: &str| {
        let body = format!("email=u{n}%40example.org&password=guess");
        let request = Request::post("/login").body(Body::from(body)).unwrap();
        app.send_from(request, ip).await.status
    };
    let mut n = 0;
    while attempt(n, "198.51.100.1").await == StatusCode::UNAUTHORIZED {
        n += 1;
        assert!(n < 100, "never limited");
    }
    assert_eq!(
        attempt(n, "198.51.100.1").await,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(attempt(n, "198.51.100.2").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_page_without_a_cookie_leads_to_the_sign_in_and_back() {
    let app = App::new().await;
    let answer = app.get("/login/plugin?attempt=pla_1", "").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(
        answer.location(),
        "/login?next=%2Flogin%2Fplugin%3Fattempt%3Dpla_1"
    );
    let answer = app
        .post_form("/account/password", "__Host-glb=guess", &[])
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn signing_out_ends_the_session_and_removes_the_cookie() {
    let app = App::new().await;
    let cookie = app.browser("one@example.org", Role::Streamer).await;
    let answer = app.post_form("/logout", &cookie, &[]).await;
    assert_eq!(answer.location(), "/login");
    assert_eq!(answer.cookie(), "__Host-glb=");
    assert_eq!(
        app.get("/account", &cookie).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(
        app.post_form("/logout", &cookie, &[]).await.status,
        StatusCode::SEE_OTHER
    );
}

/// G-54: device name, platform and short code are there to compare. G-56: whoever is signed in approves alone.
#[tokio::test]
async fn g_54_the_approval_page_shows_who_asks_and_is_decided_once() {
    let app = App::new().await;
    let cookie = app.browser("one@example.org", Role::Streamer).await;
    let started = app.start().await;
    let url = started["authorize_url"].as_str().unwrap();
    let path = url.strip_prefix("https://relay.example.org").unwrap();
    let page = app.get(path, &cookie).await;
    assert_eq!(page.status, StatusCode::OK);
    for shown in [
        "windows",
        "one@example.org",
        started["short_code"].as_str().unwrap(),
    ] {
        assert!(page.body.contains(shown), "{shown}");
    }
    assert!(
        !page.body.contains("<Desktop>"),
        "the device's name is escaped"
    );
    assert!(!page.body.contains(started["poll_token"].as_str().unwrap()));
    assert_eq!(
        app.poll(&started).await.status,
        StatusCode::ACCEPTED,
        "looking approves nothing"
    );
    for (decision, status) in [
        ("maybe", StatusCode::BAD_REQUEST),
        ("approve", StatusCode::OK),
        ("approve", StatusCode::OK),
        ("deny", StatusCode::CONFLICT),
    ] {
        assert_eq!(
            app.decide(&started, &cookie, decision).await.status,
            status,
            "{decision}"
        );
    }
    assert_eq!(app.get(path, &cookie).await.status, StatusCode::CONFLICT);
    assert_eq!(
        app.get("/login/plugin?attempt=pla_1", &cookie).await.status,
        StatusCode::GONE
    );
    assert_eq!(
        app.get("/login/plugin", &cookie).await.status,
        StatusCode::GONE
    );
}

#[tokio::test]
async fn a_viewer_lets_no_plugin_in() {
    let app = App::new().await;
    let cookie = app.browser("viewer@example.org", Role::Viewer).await;
    let started = app.start().await;
    assert_eq!(
        app.decide(&started, &cookie, "approve").await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(app.poll(&started).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_owner_adds_a_user_whose_password_is_shown_once_and_works() {
    let app = App::new().await;
    let owner = app.browser("owner@example.org", Role::Owner).await;
    let fields = [
        ("email", "new@example.org"),
        ("display_name", ""),
        ("role", "streamer"),
    ];
    let page = app.post_form("/users", &owner, &fields).await;
    assert_eq!(page.status, StatusCode::OK);
    let words = page
        .body
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    let mut signed_in = false;
    for word in words.filter(|word| word.len() == 20) {
        signed_in |= app.sign_in("new@example.org", word).await.status == StatusCode::SEE_OTHER;
        app.world.clock.advance(Duration::from_mins(5));
    }
    assert!(signed_in, "the password is on the page");
    let id: crate::kernel::ids::UserId = app.user_id("new@example.org").await.parse().unwrap();
    let slots = crate::slots::store::slot_ids;
    let slots = app
        .world
        .store
        .read(move |conn| Ok::<_, crate::kernel::Error>(slots(conn, id, 4)?))
        .await;
    assert!(
        slots
            .unwrap()
            .iter()
            .all(|slot| app.engine.keys(*slot).is_some()),
        "the relay admits them"
    );
    let again = app.post_form("/users", &owner, &fields).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    let bad = app
        .post_form(
            "/users",
            &owner,
            &[("email", "nonsense"), ("role", "viewer")],
        )
        .await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(bad.body.contains("nonsense"), "what was typed is kept");
}

#[tokio::test]
async fn only_operators_see_users_and_only_owners_add_owners() {
    let app = App::new().await;
    for (role, seen) in [
        (Role::Operator, StatusCode::OK),
        (Role::Viewer, StatusCode::FORBIDDEN),
        (Role::Streamer, StatusCode::FORBIDDEN),
    ] {
        let cookie = app.browser(&format!("{role}@example.org"), role).await;
        assert_eq!(app.get("/users", &cookie).await.status, seen, "{role}");
        let fields = [("email", "x@example.org"), ("role", "owner")];
        assert_eq!(
            app.post_form("/users", &cookie, &fields).await.status,
            StatusCode::FORBIDDEN
        );
    }
    assert_eq!(app.get("/users", "").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_own_password_is_changed_on_the_account_page() {
    let app = App::new().await;
    let cookie = app.browser("one@example.org", Role::Streamer).await;
    let other = app.sign_in("one@example.org", PASSWORD).await.cookie();
    let change = async |current: &str, new: &str| {
        let fields = [("current_password", current), ("new_password", new)];
        app.post_form("/account/password", &cookie, &fields).await
    };
    let wrong = change("guess", "another sentence").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body.contains("not your current password"));
    let weak = change(PASSWORD, "password1").await;
    assert_eq!(weak.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(weak.body.contains("tried first"));
    let done = change(PASSWORD, "another sentence").await;
    assert_eq!(done.location(), "/account?done=password");
    assert!(
        app.get(done.location(), &cookie)
            .await
            .body
            .contains("Your password is changed")
    );
    assert_eq!(
        app.get("/account", &other).await.status,
        StatusCode::SEE_OTHER,
        "signed out"
    );
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_by_their_owner_alone() {
    let app = App::new().await;
    let signed_in = app.plugin("one@example.org").await;
    let one = app.sign_in("one@example.org", PASSWORD).await.cookie();
    let stranger = app.browser("two@example.org", Role::Owner).await;
    let page = app.get("/account", &one).await.body;
    let id_after = |marker: &str| {
        let rest = page.split_once(marker).unwrap().1;
        rest.split('/').next().unwrap().to_owned()
    };
    let plugin = format!("/account/plugins/{}/revoke", id_after("/account/plugins/"));
    let browser = format!(
        "/account/sessions/{}/revoke",
        id_after("/account/sessions/")
    );
    for path in [&plugin, &browser] {
        assert_eq!(
            app.post_form(path, &stranger, &[]).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let nobody = "/account/plugins/aut_1/revoke";
    assert_eq!(
        app.post_form(nobody, &one, &[]).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        app.post_form(&plugin, &one, &[]).await.location(),
        "/account?done=plugin"
    );
    let token = signed_in["auth"]["cp_access_jwt"].as_str().unwrap();
    let answer = app.bearer(Method::GET, "/api/v1/auth/session", token).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        app.post_form(&browser, &one, &[]).await.location(),
        "/account?done=browser"
    );
}

#[tokio::test]
async fn the_colours_are_kept_in_a_cookie() {
    let app = App::new().await;
    let fields = [("theme", "dark"), ("return_to", "/account")];
    let answer = app.post_form("/theme", "", &fields).await;
    assert_eq!(
        (answer.location(), answer.cookie().as_str()),
        ("/account", "glb_theme=dark")
    );
    let page = app.get("/login", "glb_theme=dark").await;
    assert!(page.body.contains("data-theme=\"dark\""));
}
