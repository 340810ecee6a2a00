use crate::harness::server::Server;
#[test]
fn smoke() { let s = Server::start(); let _ = s.admin_create("a@example.org", "owner"); }
