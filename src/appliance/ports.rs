//! Who holds a port that we want, as far as the operating system lets us see.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// Which table of the kernel to look in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// `/proc/net/tcp` and `tcp6`.
    Tcp,
    /// `/proc/net/udp` and `udp6`.
    Udp,
}

impl Transport {
    const fn tables(self) -> [&'static str; 2] {
        match self {
            Self::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
            Self::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        }
    }
}

/// What to do about a port that cannot be bound; a sentence to put behind the operating system's.
#[must_use]
pub(super) fn hint(
    transport: Transport,
    address: SocketAddr,
    error: &std::io::Error,
    key: &str,
) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let holder = holder(transport, address.port())
                .map_or_else(String::new, |program| format!(" by {program}"));
            let port = address.port();
            format!(
                "; port {port} is taken{holder}: stop that program, or set {key} to another port"
            )
        }
        std::io::ErrorKind::PermissionDenied => {
            format!("; ports below 1024 need CAP_NET_BIND_SERVICE: set {key} to a higher port")
        }
        std::io::ErrorKind::AddrNotAvailable => {
            format!("; this machine does not have that address: change {key}")
        }
        _ => String::new(),
    }
}

/// The program that holds a local port, such as `nginx (process 812)`.
pub(super) fn holder(transport: Transport, port: u16) -> Option<String> {
    let inodes: Vec<_> = transport
        .tables()
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes_of_port(&table, port, transport))
        .collect();
    let processes = fs::read_dir("/proc").ok()?;
    processes
        .filter_map(|entry| {
            entry
                .ok()?
                .file_name()
                .into_string()
                .ok()?
                .parse::<u32>()
                .ok()
        })
        .find(|process| holds_any(*process, &inodes))
        .map(|process| {
            let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            format!("{} (process {process})", name.trim())
        })
}

/// Inodes of the sockets that are bound to `port`: listening ones for TCP.
/// Source: `man 5 proc`, `/proc/net/tcp` (column 2 local address, 4 state, 10 inode).
fn inodes_of_port(table: &str, port: u16, transport: Transport) -> Vec<String> {
    const LISTEN: &str = "0A";
    let wanted = format!(":{port:04X}");
    let rows = table
        .lines()
        .skip(1)
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|columns| columns.get(1).is_some_and(|local| local.ends_with(&wanted)))
        .filter(|columns| transport == Transport::Udp || columns.get(3) == Some(&LISTEN))
        .filter_map(|columns| columns.get(9).map(|&inode| format!("socket:[{inode}]")))
        .collect()
}

fn holds_any(process: u32, inodes: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(Path::new("/proc").join(process.to_string()).join("fd"))
    else {
        return false;
    };
    descriptors
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|target| {
            inodes
                .iter()
                .any(|inode| target.as_os_str() == inode.as_str())
        })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_taken_port_is_traced_to_its_program() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mine = format!("(process {})", std::process::id());
        let found = holder(Transport::Tcp, tcp.local_addr().unwrap().port()).unwrap();
        assert!(found.ends_with(&mine), "{found}");
        let found = holder(Transport::Udp, udp.local_addr().unwrap().port()).unwrap();
        assert!(found.ends_with(&mine), "{found}");
        let error = TcpListener::bind(tcp.local_addr().unwrap()).unwrap_err();
        let text = hint(Transport::Tcp, tcp.local_addr().unwrap(), &error, "listen");
        assert!(
            text.contains("set listen") && text.contains(&mine),
            "{text}"
        );
    }
}
