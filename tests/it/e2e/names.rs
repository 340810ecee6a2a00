//! The real server with a DNS provider and a second node: a slot's name is made, follows its stream, and is
//! right again after the provider or the server failed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::{Browser, Plugin};
use crate::harness::eventually::eventually_blocking;
use crate::harness::server::{Server, ServerConfig};
use crate::net::fake_cloudflare::{DnsFault, FakeCloudflare, TOKEN, ZONE};
use crate::net::fake_sls::{FakeSls, KEY};

/// Three probes of five seconds, and what follows.
const PATIENCE: Duration = Duration::from_secs(40);

fn with_names(config: ServerConfig, dns: &FakeCloudflare) -> ServerConfig {
    config
        .with("GLB_DNS_CLOUDFLARE_ZONE_ID", ZONE)
        .with("GLB_DNS_CLOUDFLARE_TOKEN", TOKEN)
        .with("GLB_DNS_CLOUDFLARE_DOMAIN", "relay.example.org")
        .with("GLB_DNS_CLOUDFLARE_API_BASE", dns.api_base())
}

struct House {
    dns: FakeCloudflare,
    browser: Browser,
    plugin: Plugin,
    server: Server,
}

impl House {
    fn open(fault: DnsFault) -> Self {
        let dns = FakeCloudflare::start();
        dns.set_fault(fault);
        let server = Server::start_with(|config| with_names(config, &dns));
        let account = server.admin_create("streamer@example.org", "owner");
        let mut browser = Browser::signed_in(&server, &account);
        let plugin = Plugin::signed_in(&server, &mut browser);
        Self {
            dns,
            browser,
            plugin,
            server,
        }
    }

    fn add(&self, node: &Value) -> Value {
        let path = "/api/v1/relay/nodes";
        let request = self.plugin.authorised(reqwest::Method::POST, path);
        self.plugin.send(request.json(node)).expect(201).json()
    }

    fn session(&self) -> Value {
        self.plugin.active("a").expect(200).json()["session"].clone()
    }

    fn host(&self) -> String {
        let session = self.session();
        session["relay"]["relay_hostname"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// What a user has without a billing provider.
const SLOTS: usize = 4;

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn a_slots_name_follows_its_stream_to_another_node_and_home_when_that_dies() {
    let mut house = House::open(DnsFault::None);
    let mut sls = FakeSls::start();
    let node = json!({
        "name": "far", "region": "far", "url": sls.url(), "key": KEY, "public_host": "127.0.0.9",
        "srtla_port": 15000,
    });
    let added = house.add(&node);
    assert_eq!(added["node"]["health"], "up", "{added}");
    // The user has several slots, each with a name; the one that goes is the session's.
    let names_at = |address: &str| {
        let mut records = house.dns.records();
        records.retain(|(_, leads_to)| leads_to == address);
        records
    };
    eventually_blocking(PATIENCE, "the names are there", || {
        names_at("127.0.0.1").len() == SLOTS
    });
    let record = house.dns.raw_records().remove(0);
    assert_eq!(
        (&record["ttl"], &record["proxied"]),
        (&json!(60), &json!(false))
    );

    let start = json!({"connection_id": "a", "region_preference": "far"});
    let key = uuid::Uuid::new_v4().to_string();
    let request = house
        .plugin
        .authorised(reqwest::Method::POST, "/api/v1/relay/start");
    let started = house
        .plugin
        .send(request.header("idempotency-key", key).json(&start));
    assert_eq!(started.expect(201).json()["session"]["region"], "far");
    eventually_blocking(PATIENCE, "the name leads there", || {
        names_at("127.0.0.9").len() == 1
    });
    let name = names_at("127.0.0.9").remove(0).0;
    eventually_blocking(PATIENCE, "and is shown", || house.host() == name);
    let session = house.session();
    for url in ["sender_url", "media_source_url"] {
        assert!(session[url].as_str().unwrap().contains(&name), "{session}");
    }
    assert_eq!(session["relay"]["public_ip"], "127.0.0.9");
    let page = house.browser.get("/live").expect(200).text();
    assert!(
        page.contains(&format!("{name}:15000")),
        "the page shows the same"
    );

    sls.stop();
    eventually_blocking(PATIENCE, "the session moved", || {
        house.session()["region"] == "local"
    });
    eventually_blocking(PATIENCE, "the name came home", || {
        names_at("127.0.0.1").len() == SLOTS
    });
    eventually_blocking(PATIENCE, "and is shown again", || house.host() == name);
    let session = house.session();
    assert_eq!(session["moved"]["from_region"], "far", "{session}");
    let page = house.browser.get("/live").expect(200).text();
    assert!(
        page.contains("moved from far to local"),
        "the page tells of it"
    );
    assert_eq!(house.dns.records().len(), SLOTS);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn a_provider_in_trouble_harms_nothing_is_told_and_gets_the_change_when_it_is_back() {
    let mut house = House::open(DnsFault::OtherToken);
    let start = json!({"connection_id": "a"});
    let key = uuid::Uuid::new_v4().to_string();
    let request = house
        .plugin
        .authorised(reqwest::Method::POST, "/api/v1/relay/start");
    let started = house
        .plugin
        .send(request.header("idempotency-key", key).json(&start));
    let session = started.expect(201).json()["session"].clone();
    assert_eq!(
        session["relay"]["relay_hostname"], "127.0.0.1",
        "never a name that is not there"
    );
    let page = |house: &mut House| house.browser.get("/nodes").expect(200).text();
    eventually_blocking(PATIENCE, "the reason is told", || {
        page(&mut house).contains("refuses our token")
    });
    let run = "/api/v1/jobs/dns_names/run";
    let run = house.plugin.authorised(reqwest::Method::POST, run);
    house.plugin.send(run).expect(200);
    eventually_blocking(PATIENCE, "the job tells it too", || {
        let page = house.browser.get("/jobs").expect(200).text();
        page.contains("changes wait") && page.contains("refuses our token")
    });
    for fault in [
        DnsFault::Failing,
        DnsFault::Garbage,
        DnsFault::Huge,
        DnsFault::Limited,
    ] {
        house.dns.set_fault(fault);
        let before = house.dns.calls();
        eventually_blocking(PATIENCE, "it is tried again", || house.dns.calls() > before);
        assert_eq!(house.dns.records(), []);
    }
    house.dns.set_fault(DnsFault::None);
    eventually_blocking(PATIENCE, "the name is there", || {
        house.dns.records().len() == SLOTS
    });
    eventually_blocking(PATIENCE, "and is shown", || {
        let host = house.host();
        house.dns.records().iter().any(|(name, _)| *name == host)
    });
    // A change whose answer is lost with the server.
    house.dns.set_fault(DnsFault::LosesAnswers);
    house.server.admin_create("second@example.org", "streamer");
    eventually_blocking(PATIENCE, "the second name is made", || {
        house.dns.records().len() > SLOTS
    });
    let House {
        dns, mut server, ..
    } = house;
    server.kill_hard();
    let server = server.restart();
    dns.set_fault(DnsFault::None);
    let before = dns.records();
    eventually_blocking(PATIENCE, "everybody has a name", || {
        let known = dns.records();
        known.len() >= before.len() && dns.calls() > 0
    });
    server.admin_create("third@example.org", "streamer");
    eventually_blocking(PATIENCE, "names go on being made", || {
        dns.records().len() > before.len()
    });
    let names: std::collections::BTreeSet<_> =
        dns.records().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), dns.records().len(), "no name has two records");
}
