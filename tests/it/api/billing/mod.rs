//! Billing through the real binary, with a provider of ours on loopback.
//!
//! Invariant: the provider answers as the documents say, and is told when to fail.

mod checkout;
mod pages;
mod provider;
mod refunds;
mod webhook;

use std::time::Duration;

use glb::kernel::Clock;
use glb::kernel::secret::hex;
use hmac::{Hmac, KeyInit, Mac};
use provider::Provider;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::client::{Answer, Browser, Http, Plugin};
use crate::harness::eventually::eventually_blocking;
use crate::harness::server::{Account, Server, ServerConfig};

const PATIENCE: Duration = Duration::from_secs(30);
const WEBHOOK: &str = "/api/v1/billing/webhook";
const API_KEY: &str = "planted-billing-api-key";
const SECRET: &str = "planted-webhook-secret";
const NEXT_SECRET: &str = "planted-webhook-secret-to-come";

/// Which provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    LemonSqueezy,
    Stripe,
}

impl Kind {
    const ALL: [Self; 2] = [Self::LemonSqueezy, Self::Stripe];
}

/// A server with a provider, an owner, and a streamer whose plugin has signed in.
#[derive(Debug)]
struct Shop {
    kind: Kind,
    provider: Provider,
    server: Server,
    http: Http,
    owner: Account,
    streamer: Account,
    browser: Browser,
    plugin: Plugin,
}

fn configured(config: ServerConfig, kind: Kind, api_base: &str) -> ServerConfig {
    match kind {
        Kind::LemonSqueezy => config
            .with("GLB_BILLING_PROVIDER", "lemonsqueezy")
            .with("GLB_BILLING_LEMONSQUEEZY_API_KEY", API_KEY)
            .with("GLB_BILLING_LEMONSQUEEZY_STORE_ID", "77")
            .with("GLB_BILLING_LEMONSQUEEZY_WEBHOOK_SECRET", SECRET)
            .with("GLB_BILLING_LEMONSQUEEZY_WEBHOOK_SECRET_NEXT", NEXT_SECRET)
            .with("GLB_BILLING_LEMONSQUEEZY_API_BASE", api_base)
            .with("GLB_BILLING_LEMONSQUEEZY_STANDARD_VARIANTS", "501")
            .with("GLB_BILLING_LEMONSQUEEZY_ADDON_VARIANTS", "502"),
        Kind::Stripe => config
            .with("GLB_BILLING_PROVIDER", "stripe")
            .with("GLB_BILLING_STRIPE_SECRET_KEY", API_KEY)
            .with("GLB_BILLING_STRIPE_WEBHOOK_SECRET", SECRET)
            .with("GLB_BILLING_STRIPE_WEBHOOK_SECRET_NEXT", NEXT_SECRET)
            .with("GLB_BILLING_STRIPE_API_BASE", api_base)
            .with("GLB_BILLING_STRIPE_STANDARD_PRICES", "501")
            .with("GLB_BILLING_STRIPE_ADDON_PRICES", "502"),
    }
}

impl Shop {
    fn open(kind: Kind) -> Self {
        let provider = Provider::start();
        let api_base = provider.base();
        let server = Server::start_with(|config| {
            configured(config, kind, &api_base).with("GLB_LOG_LEVEL", "debug")
        });
        let owner = server.admin_create("owner@example.org", "owner");
        let streamer = server.admin_create("ada@example.org", "streamer");
        let mut browser = Browser::signed_in(&server, &streamer);
        let plugin = Plugin::signed_in(&server, &mut browser);
        Self {
            kind,
            provider,
            http: Http::to(server.addresses().http),
            server,
            owner,
            streamer,
            browser,
            plugin,
        }
    }

    /// The owner's plugin, for the API of operators.
    fn operator(&self) -> Plugin {
        let mut browser = Browser::signed_in(&self.server, &self.owner);
        Plugin::signed_in(&self.server, &mut browser)
    }

    /// An event about the streamer's subscription, `at` seconds from now.
    fn event(&self, status: &str, at: i64) -> Value {
        event(self.kind, &self.streamer.user_id, status, at)
    }

    #[track_caller]
    fn deliver(&self, event: &Value) -> Answer {
        let body = event.to_string();
        self.deliver_signed(body.as_bytes(), SECRET, now())
    }

    #[track_caller]
    fn deliver_signed(&self, body: &[u8], secret: &str, at: i64) -> Answer {
        let (name, value) = signature(self.kind, body, secret, at);
        let request = self.http.request(Method::POST, WEBHOOK);
        let request = request.header(name, value).body(body.to_vec());
        self.http.send(request)
    }

    /// Waits until the plugin is told this.
    #[track_caller]
    fn await_access(&self, status: &str, tier: &str) {
        eventually_blocking(PATIENCE, &format!("{status} with {tier}"), || {
            let session = self.plugin.get("/api/v1/auth/session").expect(200).json();
            let told = &session["entitlement"];
            told["relay_access_status"] == status && told["plan_tier"] == tier
        });
    }
}

fn now() -> i64 {
    Clock::system().now().0 / 1000
}

fn signature(kind: Kind, body: &[u8], secret: &str, at: i64) -> (&'static str, String) {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    if kind == Kind::Stripe {
        mac.update(format!("{at}.").as_bytes());
    }
    mac.update(body);
    let bytes = mac.finalize().into_bytes();
    let hex = hex(&bytes);
    match kind {
        Kind::LemonSqueezy => ("x-signature", hex),
        Kind::Stripe => ("stripe-signature", format!("t={at},v1={hex}")),
    }
}

/// A subscription event in the provider's documented shape. `status` is one of ours, of which both providers
/// have a word: active, `past_due`, cancelled, expired.
fn event(kind: Kind, user_id: &str, status: &str, at: i64) -> Value {
    let at = now() + at;
    let end = at + 86_400;
    match kind {
        Kind::LemonSqueezy => {
            let moment = |at: i64| jiff::Timestamp::from_second(at).unwrap().to_string();
            let name = match status {
                "expired" => "subscription_expired",
                "cancelled" => "subscription_cancelled",
                _ => "subscription_updated",
            };
            let is_ending = matches!(status, "expired" | "cancelled");
            json!({
                "meta": { "event_name": name, "custom_data": { "user_id": user_id } },
                "data": { "type": "subscriptions", "id": "1", "attributes": {
                    "store_id": 77, "customer_id": 301, "order_id": 801, "variant_id": 501,
                    "user_email": "ada@example.org", "status": status,
                    "first_subscription_item": { "quantity": 1 },
                    "renews_at": moment(end), "ends_at": is_ending.then(|| moment(end)),
                    "created_at": moment(at), "updated_at": moment(at),
                } },
            })
        }
        Kind::Stripe => {
            let word = match status {
                "expired" => "canceled",
                "cancelled" => "active",
                other => other,
            };
            json!({
                "id": format!("evt_{status}_{at}"), "object": "event", "created": at,
                "type": "customer.subscription.updated",
                "data": { "object": {
                    "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": word,
                    "cancel_at_period_end": status == "cancelled",
                    "cancel_at": (status == "cancelled").then_some(end),
                    "ended_at": (status == "expired").then_some(at),
                    "metadata": { "user_id": user_id },
                    "items": { "data": [{ "quantity": 1, "current_period_end": end,
                                          "price": { "id": "501", "object": "price" } }] },
                } },
            })
        }
    }
}
