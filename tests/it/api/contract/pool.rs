//! Regions, room and the move between regions, on an appliance that has its own relay alone.

use serde_json::json;

use super::Desk;
use crate::api::shape::shape;
use crate::harness::glb;

#[test]
fn regions_and_manifest_list_the_own_relay() {
    let desk = Desk::open();
    let regions = desk.plugin.get("/api/v1/relay/regions").expect(200).json();
    let own = json!({
        "region": "local", "label": "local", "aliases": [], "available": true, "is_default": true,
    });
    assert_eq!(regions, json!({ "regions": [own] }));
    let manifest = desk.plugin.get("/api/v1/relay/manifest").expect(200).json();
    let region = json!({
        "region": "text", "ami_id": "", "default_instance_type": "", "updated_at": "time",
    });
    assert_eq!(shape(&manifest), json!({ "regions": [region] }));
    assert_eq!(manifest["regions"][0]["region"], "local");
}

#[test]
fn anybody_learns_whether_there_is_room_and_a_plugin_its_address() {
    let desk = Desk::open();
    let room = desk.http.get("/api/v1/capacity/status").expect(200).json();
    let full = json!({"status": "available", "available": true, "free": 10_000, "total": 10_000});
    assert_eq!(room, full);
    let ip = desk.plugin.get("/api/v1/ip").expect(200).json();
    assert_eq!(ip, json!({"ip": "127.0.0.1"}));
}

#[test]
fn a_session_moves_nowhere_but_to_a_region_that_there_is() {
    let desk = Desk::open();
    let migrate = "/api/v1/relay/migrate";
    let to = |region: &str| json!({"connection_id": "a", "new_region": region});
    assert_eq!(
        desk.post(migrate, &to("local")).expect(404).error_code(),
        "not_found"
    );
    let session = desk.plugin.session("a");
    let unknown = desk.post(migrate, &to("eu-west")).expect(400);
    assert_eq!(unknown.error_code(), "invalid_request");
    let stays = desk.post(migrate, &to("LOCAL")).expect(200).json();
    assert_eq!(stays["session"]["session_id"], session.id.as_str());
    let forced = json!({"connection_id": "a", "new_region": "local", "force": true});
    desk.post(migrate, &forced).expect(200);
}

#[test]
fn the_command_line_shows_drains_and_names_what_there_is() {
    let desk = Desk::open();
    let folder = desk.server.data_dir();
    let list = || glb::run(folder, &["node", "list"]).json_line();
    let nodes = list();
    let own = &nodes["nodes"][0];
    assert_eq!(own["kind"], "local");
    assert_eq!(own["health"], "up");
    let id = own["id"].as_str().unwrap();
    glb::run(folder, &["node", "drain", id]).json_line();
    assert_eq!(list()["nodes"][0]["status"], "draining");
    let room = desk.http.get("/api/v1/relay/regions");
    assert_eq!(room.status, 401);
    let regions = desk.plugin.get("/api/v1/relay/regions").expect(200).json();
    assert_eq!(regions["regions"][0]["available"], false);
    glb::run(folder, &["node", "activate", id]).json_line();
    glb::run(
        folder,
        &["region", "local", "--label", "At home", "--alias", "home"],
    )
    .json_line();
    let regions = desk.plugin.get("/api/v1/relay/regions").expect(200).json();
    assert_eq!(regions["regions"][0]["label"], "At home");
    assert_eq!(regions["regions"][0]["aliases"], json!(["home"]));
    let refused = glb::run(folder, &["node", "remove", id]);
    assert!(refused.complaint().contains("cannot be removed"));
    let unknown = glb::run(folder, &["node", "drain", "nod_1"]);
    assert!(unknown.complaint().contains("not found"), "{unknown:?}");
}
