//! A claimed server with users whose plugins are signed in.

use serde_json::json;

use crate::harness::client::Plugin;
use crate::harness::server::{Server, ServerConfig};

/// Lets the bench sign plugins in without a browser each.
const COMPLETE_KEY: &str = "a key of the bench that completes logins";

/// A running release server.
pub(crate) fn server() -> Server {
    // The bench asks as fast as it can.
    server_with(|config| config.with("GLB_LIMITS_ENABLED", false))
}

/// The same with changes to its configuration; a slot of it takes a hundred players and more.
pub(crate) fn server_with(change: impl FnOnce(ServerConfig) -> ServerConfig) -> Server {
    Server::start_with(|config| {
        change(
            config
                .with("GLB_PLUGIN_LOGIN_COMPLETE_KEY", COMPLETE_KEY)
                .with("GLB_RELAY_EMBEDDED_MAX_PLAYERS_PER_SLOT", 120),
        )
    })
}

/// The signed-in plugin of a new user.
pub(crate) fn plugin(server: &Server, name: &str) -> Plugin {
    let account = server.admin_create(&format!("{name}@example.org"), "streamer");
    let mut plugin = Plugin::at(server.addresses().http);
    let attempt = plugin.begin_sign_in();
    let decision = json!({
        "login_attempt_id": attempt.id,
        "outcome": "completed",
        "user_id": account.user_id,
    });
    let http = plugin.http_without_token();
    let request = http
        .request(reqwest::Method::POST, "/api/v1/auth/plugin/login/complete")
        .header("x-plugin-login-auth", COMPLETE_KEY)
        .json(&decision);
    http.send(request).expect(204);
    let answer = plugin.poll(&attempt).expect(200);
    plugin.keep(&answer.json());
    plugin
}
