//! The page of nodes is sound, keeps what was typed, and shows no key.

use super::*;
use crate::http::page::{self, Theme};
use crate::http::page_check::assert_sound_page;
use crate::kernel::{Role, UnixMillis};
use crate::relay::nodes::Region;

fn shell() -> Shell {
    let user = page::SignedIn {
        display_name: "Op".into(),
        role: Role::Operator,
    };
    Shell::signed_in("Relay nodes", "/nodes", Theme::Auto, user)
}

fn node(kind: &'static str, health: &'static str) -> NodeView {
    NodeView {
        id: NodeId::generate(),
        name: "kc<1>".into(),
        kind,
        region: "us-central".into(),
        status: "active",
        health,
        reason: if health == "down" {
            "the relay node refuses our key".into()
        } else {
            String::new()
        },
        remedy: if health == "down" {
            "give the node's admin key".into()
        } else {
            String::new()
        },
        notices: vec!["the relay node's clock is 5 min behind ours: set it by NTP".into()],
        sessions: 3,
        capacity: 10,
        public_host: (kind == "external").then(|| "kc1.example.org".into()),
        created_at: UnixMillis(1_774_300_000_000),
    }
}

fn page_of(nodes: Vec<NodeView>, refusal: Refusal) -> String {
    let offer = RegionOffer {
        region: Region::check("us-central", "US Central", &["us".to_owned()]).unwrap(),
        is_default: true,
        is_available: true,
        changed_at: UnixMillis(0),
    };
    let names = NamesStatus {
        domain: "relay.example.org".into(),
        known: 4,
        waiting: 1,
        trouble: "the DNS provider refuses our token: give one that may edit the zone's records"
            .into(),
    };
    let page = NodesPage::new(shell(), nodes, &[offer], Some(names), refusal);
    page.render().unwrap()
}

#[test]
fn a_trouble_stands_there_with_its_remedy_and_everything_as_text() {
    let nodes = vec![
        node("local", "up"),
        node("external", "down"),
        node("external", "unknown"),
    ];
    let html = page_of(nodes, Refusal::default());
    assert_sound_page(&html);
    for text in [
        "refuses our key",
        "What to do: give",
        "5 min behind",
        "3 of 10",
        "Changes that wait: 1",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert!(!html.contains("kc<1>"));
}

#[test]
fn a_refused_form_has_what_was_typed_but_no_key() {
    let add = serde_json::json!({"name": "Kansas", "region": "us central!", "key": "planted-key"});
    let mut refusal = Refusal::of_new_node(serde_json::from_value(add).unwrap());
    refusal.errors = vec![FieldError::new("region", "invalid_format", "use letters")];
    let html = page_of(vec![node("local", "up")], refusal);
    assert_sound_page(&html);
    assert!(
        html.contains("us central!") && html.contains("Kansas") && html.contains("use letters")
    );
    assert!(!html.contains("planted-key"));

    let external = node("external", "up");
    let refusal = Refusal::of_change(external.id, Some("other".into()), Some("many".into()));
    let html = page_of(vec![external], refusal);
    assert_sound_page(&html);
    assert!(html.contains("value=\"many\"") && html.contains("value=\"other\""));
}
