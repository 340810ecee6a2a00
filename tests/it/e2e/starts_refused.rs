//! Starts that must fail, and say why and what to do.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::harness::glb;
use crate::harness::server::{Server, ServerConfig};

/// How this process is called when it holds a port.
fn this_process() -> String {
    format!("(process {})", std::process::id())
}

/// Starts a server that must not start.
fn refused(config: &ServerConfig) -> String {
    glb::finish(config.command(), "").complaint().to_owned()
}

#[test]
fn a_second_server_on_the_same_folder_is_refused_and_harms_nothing() {
    let server = Server::start();
    let complaint = refused(&ServerConfig::on(server.data_dir()));
    let folder = server.data_dir().display().to_string();
    assert!(complaint.contains(&folder), "{complaint}");
    assert!(complaint.contains("in use"), "{complaint}");
    assert!(
        glb::run(server.data_dir(), &["healthcheck"])
            .status
            .success()
    );
}

#[test]
fn a_taken_tcp_port_is_named_with_its_holder_and_the_key() {
    let folder = tempfile::tempdir().unwrap();
    for (name, key) in [
        ("GLB_LISTEN", "listen"),
        ("GLB_RELAY_STATS_LISTEN", "relay.stats_listen"),
    ] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let complaint = refused(&ServerConfig::on(folder.path()).with(name, address));
        let port = address.port().to_string();
        for word in [port.as_str(), &this_process(), &format!("set {key}")] {
            assert!(complaint.contains(word), "no {word:?} in {complaint}");
        }
    }
}

#[test]
fn a_taken_udp_port_is_named_with_its_holder_and_the_key() {
    let folder = tempfile::tempdir().unwrap();
    for (name, key) in [
        ("SRTLA", "relay.embedded.srtla_listen"),
        ("PUBLISH", "relay.embedded.publish_listen"),
        ("PLAY", "relay.embedded.play_listen"),
    ] {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let name = format!("GLB_RELAY_EMBEDDED_{name}_LISTEN");
        let complaint = refused(&ServerConfig::on(folder.path()).with(&name, address));
        let port = address.port().to_string();
        for word in [port.as_str(), &this_process(), &format!("set {key}")] {
            assert!(complaint.contains(word), "no {word:?} in {complaint}");
        }
    }
    // Nothing was left behind that would be in the way of a good start.
    drop(Server::start_from(&ServerConfig::on(folder.path())));
}

/// All statements that made the database, and the versions it went through.
fn schema(file: &Path) -> Vec<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(file, flags).unwrap();
    let all = "SELECT coalesce(sql, '') FROM sqlite_master
               UNION ALL SELECT CAST(version AS TEXT) FROM refinery_schema_history";
    let mut statement = database.prepare(all).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let mut server = Server::start();
    server.terminate();
    let file = server.data_dir().join("glb.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let database = Connection::open_with_flags(&file, flags).unwrap();
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                 VALUES (9999, 'tomorrow', '2031-01-01T00:00:00Z', '1')";
    assert_eq!(database.execute(newer, []).unwrap(), 1);
    drop(database);
    let before = schema(&file);
    let complaint = refused(&ServerConfig::on(server.data_dir()));
    for word in ["glb.db", "9999", "newer"] {
        assert!(complaint.contains(word), "no {word:?} in {complaint}");
    }
    assert_eq!(schema(&file), before);
}

#[test]
fn a_damaged_database_and_a_lost_key_are_named_and_left_alone() {
    let mut server = Server::start();
    server.terminate();
    let key = server.data_dir().join("sealing.key");
    std::fs::write(&key, "0123").unwrap();
    let complaint = refused(&ServerConfig::on(server.data_dir()));
    assert!(complaint.contains("sealing.key"), "{complaint}");
    assert_eq!(std::fs::read_to_string(&key).unwrap(), "0123");
    let file = server.data_dir().join("glb.db");
    std::fs::write(
        &file,
        "this is no database, but it is long enough to be read as one".repeat(99),
    )
    .unwrap();
    let complaint = refused(&ServerConfig::on(server.data_dir()));
    assert!(complaint.contains("glb.db"), "{complaint}");
}
