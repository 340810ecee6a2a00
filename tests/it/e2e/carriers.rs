//! The names of carriers: from the operator's database to the page and the plugin, and what is told when
//! there is none.

use std::fs;

use super::stage::{PATIENCE, Stage};
use crate::harness::client::Http;
use crate::harness::eventually::eventually_blocking;
use crate::harness::mmdb::asn_database;
use crate::net::srt_publisher::Publisher;

const KEY: &str = "GLB_RELAY_CARRIER_DATABASE";
const COUNT: u64 = 10_000;
const PAUSE: std::time::Duration = std::time::Duration::from_micros(5_264);

#[test]
fn a_link_has_its_carriers_name_on_the_page_and_for_the_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("asn.mmdb");
    let loopback = "127.0.0.0".parse().unwrap();
    fs::write(&file, asn_database(&[(loopback, 8, "Example Mobile GmbH")])).unwrap();
    let mut stage = Stage::set_with(|config| config.with(KEY, file.to_str().unwrap()));
    let publisher = Publisher::start(stage.publisher());
    publisher.send(COUNT, PAUSE);
    stage.await_state("LIVE");
    eventually_blocking(PATIENCE, "the plugin reads the name", || {
        let links = stage.links();
        links
            .first()
            .is_some_and(|link| link["asn_org"] == "Example Mobile GmbH")
    });
    let page = stage.browser.get("/live").expect(200).text();
    assert!(page.contains("Example Mobile GmbH"), "{page}");
    assert!(!page.contains("Link 1"), "{page}");
}

#[test]
fn a_missing_database_stops_nothing_and_is_told_to_operators() {
    let mut stage = Stage::set_with(|config| config.with(KEY, "/nonexistent/asn.mmdb"));
    let publisher = Publisher::start(stage.publisher());
    publisher.send(COUNT, PAUSE);
    stage.await_state("LIVE");
    eventually_blocking(PATIENCE, "the link is shown by its number", || {
        let page = stage.browser.get("/live").expect(200).text();
        page.contains("/nonexistent/asn.mmdb") && page.contains("Link 1")
    });
    let http = Http::to(stage.addresses().http);
    let ready = http.get("/readyz").expect(200).json();
    let notice = ready["notices"][0].as_str().unwrap();
    assert!(notice.contains("/nonexistent/asn.mmdb"), "{ready}");
    // Through a proxy one is no neighbour.
    let request = http.request(reqwest::Method::GET, "/readyz");
    let far = http.send(request.header("x-forwarded-for", "203.0.113.9"));
    assert_eq!(far.expect(200).json().get("notices"), None);
}
