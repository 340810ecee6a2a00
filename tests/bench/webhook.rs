//! Webhooks of the billing provider: how long until one is verified, stored and answered, at 200 a second.

use std::time::{Duration, Instant};

use glb::kernel::Clock;
use glb::kernel::secret::hex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::http::Kept;
use crate::process::CpuMeter;
use crate::scene;
use crate::start;
use crate::table::Table;

const SECRET: &str = "the bench's webhook secret";
const PER_SECOND: u32 = 200;
const SECONDS: u32 = 30;
/// Enough that none waits for another's answer.
const CONNECTIONS: usize = 32;

/// Measures new events of 64 subscriptions, a user's each, while they are acted on beside.
pub(crate) fn measure(table: &mut Table) {
    let server = scene::server_with(|config| {
        config
            .with("GLB_BILLING_PROVIDER", "lemonsqueezy")
            .with("GLB_BILLING_LEMONSQUEEZY_WEBHOOK_SECRET", SECRET)
            .with("GLB_BILLING_LEMONSQUEEZY_STANDARD_VARIANTS", "501")
    });
    let owner = server.admin_create("owner@example.org", "owner");
    let users: Vec<_> = (0..64)
        .map(|number| server.admin_create(&format!("user{number}@example.org"), "streamer"))
        .map(|account| account.user_id)
        .collect();
    assert!(!owner.user_id.is_empty());
    start::settle(&server);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only a few descriptors");
    let meter = CpuMeter::of(server.process_id());
    let mut times = runtime.block_on(async {
        let begun = Instant::now();
        let callers = (0..CONNECTIONS).map(|caller| send(&server, &users, caller, begun));
        futures_util::future::join_all(callers).await.concat()
    });
    let used = meter.used();
    times.sort();
    let last = times.len() - 1;
    let ms = |place: usize| format!("{:.1} ms", times[place].as_secs_f64() * 1e3);
    let rate = format!("{PER_SECOND}/s, {} webhooks", times.len());
    table.row(
        &format!("webhook verified and stored p50 at {rate}"),
        ms(last / 2),
        "",
    );
    table.row(
        "webhook verified and stored p99",
        ms(last * 99 / 100),
        "< 50 ms",
    );
    table.row("the slowest", ms(last), "");
    let each =
        used.as_secs_f64() * 1e6 / f64::from(u32::try_from(times.len()).expect("it is small"));
    table.row(
        "CPU per webhook, acting on it included",
        format!("{each:.0} µs"),
        "",
    );
}

/// One caller's share of the webhooks, each at its own moment; the times until their answers, from that moment.
async fn send(
    server: &crate::harness::server::Server,
    users: &[String],
    caller: usize,
    begun: Instant,
) -> Vec<Duration> {
    let mut kept = Kept::to(server.addresses().http).await;
    let mut times = Vec::new();
    let total = usize::try_from(PER_SECOND * SECONDS).expect("it is small");
    for number in (caller..total).step_by(CONNECTIONS) {
        let due = begun
            + Duration::from_secs(1) * u32::try_from(number).expect("it is small") / PER_SECOND;
        tokio::time::sleep_until(due.into()).await;
        let user = number % users.len();
        let request = request(&users[user], user);
        let (status, _) = kept.call(&request).await;
        times.push(due.elapsed());
        assert_eq!(status, 200);
    }
    times
}

fn request(user: &str, subscription: usize) -> Vec<u8> {
    let moment = jiff::Timestamp::from_millisecond(Clock::system().now().0)
        .expect("now is within a calendar");
    let body = format!(
        "{{\"meta\":{{\"event_name\":\"subscription_updated\",\"custom_data\":{{\"user_id\":\"{user}\"}}}},\
         \"data\":{{\"type\":\"subscriptions\",\"id\":\"{subscription}\",\"attributes\":{{\"status\":\"active\",\
         \"customer_id\":{subscription},\"order_id\":{subscription},\"variant_id\":501,\"updated_at\":\"{moment}\",\
         \"first_subscription_item\":{{\"quantity\":1}},\"filler\":\"{}\"}}}}}}",
        "x".repeat(3000)
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length does");
    mac.update(body.as_bytes());
    let signature = hex(&mac.finalize().into_bytes());
    format!(
        "POST /api/v1/billing/webhook HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         x-signature: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
