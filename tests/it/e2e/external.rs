//! The server with an SLS that somebody else runs: slots arrive there, clients are sent there, what is live
//! there is shown here, and its end and return are told.

use std::time::Duration;

use super::stage::{PATIENCE, Stage};
use crate::harness::client::Http;
use crate::harness::eventually::eventually_blocking;
use crate::harness::server::ServerConfig;
use crate::net::fake_sls::{FakeSls, KEY};

const LATENCY: Duration = Duration::from_millis(300);

fn before(fake: &FakeSls) -> impl FnOnce(ServerConfig) -> ServerConfig {
    let url = fake.url();
    move |config| {
        config
            .with("GLB_RELAY_ENGINE", "external")
            .with("GLB_RELAY_EXTERNAL_URL", url)
            .with("GLB_RELAY_EXTERNAL_KEY", KEY)
            .with("GLB_RELAY_EXTERNAL_HOST", "203.0.113.9")
            .with("GLB_RELAY_EXTERNAL_PLAY_PORT", 4100)
            .with("GLB_RELAY_EXTERNAL_API_CALLS_PER_MINUTE", 1000)
            .with("GLB_RELAY_EXTERNAL_STATS_CALLS_PER_MINUTE", 1000)
    }
}

#[test]
fn a_stream_through_an_external_sls_is_shown_and_survives_what_happens_to_either() {
    let mut fake = FakeSls::start();
    let mut stage = Stage::set_with(before(&fake));
    let (publish, play) = (
        stage.session.publish_key.clone(),
        stage.session.play_key.clone(),
    );
    let urls = (&stage.session.sender_url, &stage.session.media_source_url);
    assert!(urls.0.starts_with("srtla://203.0.113.9:5000?"), "{urls:?}");
    assert!(urls.1.starts_with("srt://203.0.113.9:4100?"), "{urls:?}");
    let entries = fake.entries();
    assert!(
        entries
            .iter()
            .any(|entry| entry.0 == publish && entry.1 == play)
    );

    assert!(fake.publish(&publish, 5_000, LATENCY));
    stage.await_state("LIVE");
    fake.unpublish(&publish);
    stage.await_state("OFFLINE");

    // Ours ends and comes back: nothing is taken away or added there meanwhile.
    let added = fake.count("POST");
    let mut stage = stage.after_a_crash();
    stage.await_state("OFFLINE");
    assert_eq!(
        (fake.entries(), fake.count("POST")),
        (entries.clone(), added)
    );
    assert_eq!(fake.count("DELETE"), 0);

    // Theirs ends, and comes back without its list.
    let http = Http::to(stage.addresses().http);
    assert_eq!(http.get("/readyz").status, 200);
    fake.stop();
    eventually_blocking(PATIENCE, "its end is told", || {
        let ready = http.get("/readyz");
        ready.status == 503 && ready.text().contains("refuses connections")
    });
    assert_eq!(http.get("/healthz").status, 200);
    fake.start_again(false);
    eventually_blocking(PATIENCE, "its list is whole again", || {
        fake.entries().len() == entries.len() && http.get("/readyz").status == 200
    });

    // A new key counts there at once.
    let new = stage.rotate("publish");
    assert!(!fake.publish(&publish, 5_000, LATENCY));
    assert!(fake.publish(&new, 5_000, LATENCY));
    stage.await_state("LIVE");
    let log = stage.server.log();
    assert!(!log.contains(&publish) && !log.contains(&play) && !log.contains(KEY));
}
