//! The pool as an operator's program and page see it, on the real binary: every trouble of a node with reason
//! and remedy, TLS, and relays at people's homes.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::client::{Answer, Browser, Plugin};
use crate::harness::eventually::eventually_blocking;
use crate::harness::server::Server;
use crate::net::fake_sls::{FakeSls, Fault, KEY};
use crate::net::tls_front::{self, TlsFront};

/// Three probes of five seconds, and what follows.
const PATIENCE: Duration = Duration::from_secs(40);

struct House {
    browser: Browser,
    plugin: Plugin,
    _server: Server,
}

impl House {
    fn of(server: Server) -> Self {
        let account = server.admin_create("owner@example.org", "owner");
        let mut browser = Browser::signed_in(&server, &account);
        let plugin = Plugin::signed_in(&server, &mut browser);
        Self {
            browser,
            plugin,
            _server: server,
        }
    }

    fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.plugin.authorised(method, path);
        self.plugin.send(request.json(body))
    }

    fn add(&self, name: &str, url: &str) -> Value {
        let spec = json!({"name": name, "region": "far", "url": url, "key": KEY});
        let added = self.call(Method::POST, "/api/v1/relay/nodes", &spec);
        added.expect(201).json()["node"].clone()
    }

    fn node(&self, name: &str) -> Value {
        let listed = self.plugin.get("/api/v1/relay/nodes").expect(200).json();
        let nodes = listed["nodes"].as_array().expect("a list");
        let found = nodes.iter().find(|node| node["name"] == name);
        found.cloned().unwrap_or_default()
    }

    fn page(&mut self) -> String {
        self.browser.get("/nodes").expect(200).text()
    }
}

#[test]
fn every_trouble_of_a_node_has_a_reason_and_a_remedy_on_page_and_api() {
    let mut house = House::of(Server::start());
    let troubles = [
        (Fault::OtherKey, "refuses our key", "admin key"),
        (Fault::Garbage, "not SLS", "SLS's API"),
        (Fault::Huge, "too long", "SLS's API"),
        (Fault::Hang, "does not answer", "firewall"),
    ];
    let fakes: Vec<_> = troubles.iter().map(|_| FakeSls::start()).collect();
    for (fake, (fault, ..)) in fakes.iter().zip(troubles) {
        fake.set_fault(fault);
        house.add(&format!("{fault:?}"), &fake.url());
    }
    for (fault, reason, remedy) in troubles {
        let name = format!("{fault:?}");
        eventually_blocking(PATIENCE, &name, || house.node(&name)["health"] == "down");
        let node = house.node(&name);
        let text = |field: &str| node[field].as_str().unwrap_or_default().to_owned();
        let is_told = |said: &str, wanted: &str| said.contains(wanted);
        // A stranger on the port is told as one, or by the length of what it says.
        let is_garbage = fault == Fault::Garbage && is_told(&text("reason"), "SLS does not");
        assert!(is_told(&text("reason"), reason) || is_garbage, "{node}");
        assert!(is_told(&text("remedy"), remedy), "{node}");
        assert!(house.page().contains("What to do:"), "{node}");
    }
    let regions = house.plugin.get("/api/v1/relay/regions").expect(200).json();
    assert_eq!(
        regions["regions"][0]["available"], false,
        "none of them takes sessions"
    );
}

#[test]
fn a_node_whose_clock_is_off_works_and_says_so() {
    let mut house = House::of(Server::start());
    let fake = FakeSls::start();
    fake.set_date("Sat, 01 Jan 2000 00:00:00 GMT");
    assert_eq!(house.add("far", &fake.url())["health"], "up");
    let notice = house.node("far")["notices"][0]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        notice.contains("behind ours") && notice.contains("NTP"),
        "{notice}"
    );
    assert!(house.page().contains("behind ours"));
}

#[test]
fn a_node_behind_tls_is_called_when_its_certificate_is_trusted_and_else_says_why_not() {
    let fake = FakeSls::start();
    let front = TlsFront::before(fake.url().trim_start_matches("http://").parse().unwrap());
    let strange = House::of(Server::start());
    let node = strange.add("far", &front.url());
    assert_eq!(node["health"], "down", "{node}");
    assert!(
        node["reason"].as_str().unwrap().contains("certificate"),
        "{node}"
    );
    assert!(
        node["remedy"].as_str().unwrap().contains("authority"),
        "{node}"
    );
    let authority = tls_front::authority();
    let trusting = Server::start_with(|config| config.with("SSL_CERT_FILE", authority.display()));
    let house = House::of(trusting);
    assert_eq!(house.add("far", &front.url())["health"], "up");
    let start = json!({"connection_id": "a", "region_preference": "far"});
    let request = house.plugin.authorised(Method::POST, "/api/v1/relay/start");
    let key = uuid::Uuid::new_v4().to_string();
    let started = house
        .plugin
        .send(request.header("idempotency-key", key).json(&start));
    assert_eq!(started.expect(201).json()["session"]["region"], "far");
    assert_eq!(fake.entries().len(), 1);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn an_operator_runs_the_pool_by_forms_and_nothing_that_was_typed_is_lost() {
    let mut house = House::of(Server::start());
    let fake = FakeSls::start();
    let address = fake.url();
    let url = address.as_str();
    let typed = [
        ("name", "Kansas"),
        ("region", "us central!"),
        ("url", url),
        ("key", KEY),
        ("capacity", "10"),
    ];
    let refused = house.browser.post("/nodes", &typed).expect(422).text();
    assert!(refused.contains("Kansas") && refused.contains(url) && refused.contains("us central!"));
    assert!(
        !refused.contains(KEY) && refused.contains("region-error"),
        "{refused}"
    );
    let metadata = [
        ("name", "Kansas"),
        ("region", "us"),
        ("url", "http://169.254.169.254/"),
        ("key", KEY),
        ("capacity", "10"),
    ];
    let forbidden = house.browser.post("/nodes", &metadata).expect(422).text();
    assert!(forbidden.contains("outbound.allow"), "{forbidden}");
    let good = [
        ("name", "Kansas"),
        ("region", "us"),
        ("url", url),
        ("key", KEY),
        ("capacity", "3"),
    ];
    house.browser.post("/nodes", &good).expect(303);
    let node = house.node("Kansas");
    assert_eq!(
        (&node["health"], &node["capacity"]),
        (&json!("up"), &json!(3)),
        "{node}"
    );
    let path = |rest: &str| format!("/nodes/{}{rest}", node["id"].as_str().unwrap());
    house
        .browser
        .post(&path(""), &[("status", "draining")])
        .expect(303);
    assert_eq!(house.node("Kansas")["status"], "draining");
    house
        .browser
        .post(&path(""), &[("name", "kc1"), ("capacity", "many")])
        .expect(422);
    house
        .browser
        .post(&path(""), &[("name", "kc1"), ("capacity", "4")])
        .expect(303);
    house
        .browser
        .post(&path("/key"), &[("key", "another-key")])
        .expect(303);
    eventually_blocking(PATIENCE, "the wrong key is told", || {
        house.node("kc1")["reason"]
            .as_str()
            .unwrap_or_default()
            .contains("key")
    });
    house
        .browser
        .post(
            "/nodes/regions",
            &[("region", "us"), ("label", "US"), ("aliases", "usa, kc")],
        )
        .expect(303);
    let regions = house.plugin.get("/api/v1/relay/regions").expect(200).json();
    let named = json!(["kc", "usa"]);
    assert!(
        regions["regions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["aliases"] == named),
        "{regions}"
    );
    house.browser.post(&path("/remove"), &[]).expect(303);
    assert_eq!(house.node("kc1"), Value::Null);
    assert!(!house.page().contains(KEY));
}

#[test]
fn a_relay_at_home_is_registered_probed_and_forgotten_in_the_plugins_words() {
    let house = House::of(Server::start());
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let base = "/api/v1/relay/self-hosted";
    let body =
        |ip: &str| json!({"external_ip": ip, "port": port, "connection_id": "self_hosted_1"});
    let register = |ip: &str| house.call(Method::POST, &format!("{base}/register"), &body(ip));
    for bad in [
        "10.0.0.7",
        "169.254.169.254",
        "::1",
        "224.0.0.1",
        "not an address",
        "",
    ] {
        register(bad).expect(400);
    }
    let first = register("127.0.0.1").expect(201).json();
    assert_eq!(first["fqdn"], "127.0.0.1", "no names are kept here");
    assert_eq!(first["dns_slug"].as_str().map(str::len), Some(8));
    assert_eq!(
        register("127.0.0.1").expect(200).json()["dns_slug"],
        first["dns_slug"]
    );
    let probe = |port: u16| {
        let body = json!({"fqdn": "127.0.0.1", "port": port});
        house.call(Method::POST, &format!("{base}/probe"), &body)
    };
    let closed = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    probe(closed).expect(404);
    socket.set_nonblocking(true).unwrap();
    let nothing = socket.recv(&mut [0; 64]).unwrap_err();
    assert_eq!(
        nothing.kind(),
        std::io::ErrorKind::WouldBlock,
        "registering asks nobody"
    );
    drop(socket);
    assert_eq!(
        probe(port).expect(200).json(),
        json!({"connectivity": "unreachable"})
    );
    let path = format!("{base}/self_hosted_1");
    house
        .call(Method::POST, &path, &json!({"action": "explode"}))
        .expect(400);
    let gone = house
        .call(Method::POST, &path, &json!({"action": "deregister"}))
        .expect(200);
    assert_eq!(gone.json()["status"], "deregistered");
    probe(port).expect(404);
}
