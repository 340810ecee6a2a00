//! The figures of the running server against what `packaging/` says and uses.
//!
//! Invariant: a family that the server shows and the table has not fails the test, and the other way round.

use std::collections::{BTreeMap, BTreeSet};

use super::exposition::{self, Family, Labels};
use crate::harness::client::Http;
use crate::harness::server::Server;

const TABLE: &str = include_str!("../../../packaging/metrics.md");
const DASHBOARD: &str = include_str!("../../../packaging/grafana/appliance.json");
const ALERTS: &str = include_str!("../../../packaging/prometheus/alerts.yml");

fn scrape(server: &Server) -> BTreeMap<String, Family> {
    let http = Http::to(server.addresses().http);
    exposition::parse(&http.get("/metrics").expect(200).text())
}

/// A family as people name it: a counter by its one sample.
fn shown_name(name: &str, family: &Family) -> String {
    match family.kind.as_str() {
        "counter" => format!("{name}_total"),
        _ => name.to_owned(),
    }
}

/// Name, type and labels of each row.
fn table() -> BTreeSet<(String, String, BTreeSet<String>)> {
    let rows = TABLE.lines().filter(|line| line.starts_with("| `glb_"));
    let parsed = rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, name, kind, labels, meaning, _] = cells[..] else {
            panic!("four cells in {row}");
        };
        assert!(!meaning.is_empty(), "{row}");
        let labels = labels.split(", ").filter(|it| !it.is_empty());
        (
            name.trim_matches('`').to_owned(),
            kind.to_owned(),
            labels.map(str::to_owned).collect(),
        )
    });
    parsed.collect()
}

#[test]
fn the_table_has_every_family_from_the_first_scrape_with_type_and_labels() {
    let server = Server::start();
    let families = scrape(&server);
    let shown: BTreeSet<_> = families
        .iter()
        .map(|(name, family)| {
            let labels = family.samples.keys().flat_map(|(_, labels)| labels.keys());
            let labels = labels.filter(|label| *label != "le").cloned().collect();
            (shown_name(name, family), family.kind.clone(), labels)
        })
        .collect();
    let table = table();
    let missing: Vec<_> = shown.difference(&table).collect();
    let gone: Vec<_> = table.difference(&shown).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "missing in the table: {missing:#?}, not shown: {gone:#?}"
    );
}

#[test]
fn labels_that_are_known_stand_at_zero_from_the_first_scrape() {
    let families = scrape(&Server::start());
    let value = |name: &str, labels: &[(&str, &str)]| {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let family = name.strip_suffix("_total").unwrap_or(name);
        let key = (name.to_owned(), labels.collect());
        let found = families[family].samples.get(&key);
        *found.unwrap_or_else(|| panic!("{key:?} in {:?}", families[family]))
    };
    let embedded = |status| {
        [
            ("provider", "embedded"),
            ("region", "local"),
            ("status", status),
        ]
    };
    let mut zeros = vec![value("glb_relay_slots_on_air", &[])];
    for direction in ["in", "out"] {
        zeros.push(value(
            "glb_relay_packets_total",
            &[("direction", direction)],
        ));
        zeros.push(value("glb_relay_bytes_total", &[("direction", direction)]));
    }
    for state in ["active", "grace", "provisioning"] {
        zeros.push(value("glb_relay_sessions", &[("state", state)]));
    }
    for status in ["ok", "error"] {
        zeros.push(value("glb_relay_provision_total", &embedded(status)));
        zeros.push(value("glb_relay_deprovision_total", &embedded(status)));
    }
    for database in ["glb.db", "telemetry.db"] {
        zeros.push(value("glb_db_damaged", &[("database", database)]));
        zeros.push(value("glb_db_queue_jobs", &[("database", database)]));
        // Each has its own time of reads and writes.
        for family in ["glb_db_read_seconds", "glb_db_write_seconds"] {
            let mut samples = families[family].samples.keys();
            let is_its = |(_, labels): &(String, Labels)| labels["database"] == database;
            assert!(samples.any(is_its), "{family} of {database}");
        }
    }
    let failed = [("job", "store_integrity"), ("status", "error")];
    zeros.push(value("glb_job_runs_total", &failed));
    assert!(zeros.iter().all(|value| value.abs() < 0.5), "{zeros:?}");
}

#[test]
fn dashboard_and_alerts_use_nothing_that_is_not_shown() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let mut expressions = Vec::new();
    for panel in panels {
        assert!(panel["title"].as_str().is_some_and(|it| !it.is_empty()));
        let targets = panel["targets"].as_array().expect("a panel asks something");
        let asked = targets.iter().map(|target| target["expr"].as_str());
        expressions.extend(asked.map(|expr| expr.expect("it is text").to_owned()));
    }
    let alerts = ALERTS.matches("- alert: ").count();
    for part in ["expr: ", "severity: ", "summary: ", "description: "] {
        assert_eq!(ALERTS.matches(part).count(), alerts, "{part}");
    }
    assert!(!ALERTS.contains('\t'), "YAML knows no tabs");
    expressions.push(ALERTS.to_owned());

    let table = table();
    let mut known = BTreeSet::new();
    for (name, kind, _) in &table {
        known.insert(name.clone());
        if kind == "histogram" {
            known.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
        }
    }
    let mut used = BTreeSet::new();
    for expression in &expressions {
        let words = expression.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
        used.extend(words.filter(|word| word.starts_with("glb_")));
    }
    assert!(used.len() > 20, "{used:?}");
    let unknown: Vec<_> = used.iter().filter(|name| !known.contains(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
