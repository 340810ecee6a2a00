//! A configuration for the tests of this room.

use std::time::Duration;

use super::config::{DockerConfig, HostPorts, Identity, Layout};

pub(super) fn config(folder: &str) -> DockerConfig {
    DockerConfig {
        socket: "/nowhere.sock".into(),
        layout: Layout::Two {
            sls: "sls:1".into(),
            srtla: "srtla:1".into(),
        },
        bind: "0.0.0.0".parse().unwrap(),
        ports: HostPorts {
            srtla: 5000,
            publish: 4001,
            play: 4000,
            bonded: 14002,
            api: 18080,
            link_stats: 15080,
        },
        latency_min: Duration::from_millis(120),
        latency_max: Duration::from_secs(5),
        admission_port: None,
        memory_mib: 512,
        cpu_millis: 2_000,
        crashes_max: 5,
        crash_window: Duration::from_secs(300),
        folder: folder.into(),
        folder_on_host: folder.into(),
    }
}

pub(super) fn identity() -> Identity {
    Identity {
        instance: "0a1b2c3d-0000-4000-8000-000000000000".into(),
        uid: 1000,
        gid: 1000,
    }
}
