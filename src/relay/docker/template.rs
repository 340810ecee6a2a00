//! The one fixed template that containers are made from.
//!
//! Invariant: no freedom for a host's root: no privileges, no capability but those named here, a read-only
//! root, no host namespace, and nothing mounted but the container's own folder.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, NetworkingConfig,
    PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use sha2::{Digest, Sha256};

use super::config::{DockerConfig, Identity, Layout};
use super::seed;
use crate::kernel::secret::hex;

/// Carries the instance id of whose a container or network is.
pub(super) const INSTANCE_LABEL: &str = "io.glb.instance";
/// Carries the name of the [`Part`].
pub(super) const PART_LABEL: &str = "io.glb.part";
/// Carries the hash of all that a container was made from.
pub(super) const SPEC_LABEL: &str = "io.glb.spec";

/// The name of SLS on our network.
const SLS_ALIAS: &str = "sls";
/// SLS's user in the published images. Source: OpenIRL srtla-receiver, Dockerfile (read November 2026).
const SLS_USER: u32 = 3001;
/// The receiver's user there.
const SRTLA_USER: u32 = 3002;
const MIB: i64 = 1 << 20;
const TMPFS: &str = "rw,noexec,nosuid,nodev,size=16m";

/// A container of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// SLS.
    Sls,
    /// The SRTLA receiver.
    Srtla,
    /// Both.
    Receiver,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 3] = [Self::Sls, Self::Srtla, Self::Receiver];

    /// Its name in labels, in names of containers, on the page and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sls => "sls",
            Self::Srtla => "srtla",
            Self::Receiver => "receiver",
        }
    }

    /// The part of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == name)
    }

    /// Whether SLS runs in it.
    pub(super) const fn has_sls(self) -> bool {
        match self {
            Self::Sls | Self::Receiver => true,
            Self::Srtla => false,
        }
    }
}

/// A container as it is to be.
#[derive(Debug, Clone)]
pub(super) struct ContainerSpec {
    pub(super) part: Part,
    pub(super) name: String,
    pub(super) image: String,
    /// Of everything below and of the configuration file.
    pub(super) hash: String,
    pub(super) body: ContainerCreateBody,
}

/// The name of our network.
pub(super) fn network_name(identity: &Identity) -> String {
    identity.prefix()
}

/// Who owns the files that SLS writes: our own user, unless we are root.
pub(super) fn files_owner(identity: &Identity) -> (u32, u32) {
    if identity.uid == 0 {
        (SLS_USER, SLS_USER)
    } else {
        (identity.uid, identity.gid)
    }
}

/// The containers of a configuration, in the order in which they start.
pub(super) fn containers(config: &DockerConfig, identity: &Identity) -> Vec<ContainerSpec> {
    match &config.layout {
        Layout::Unset(_) => Vec::new(),
        Layout::Two { sls, srtla } => vec![
            finish(config, identity, Part::Sls, sls, sls_body(config, identity)),
            finish(
                config,
                identity,
                Part::Srtla,
                srtla,
                srtla_body(config, identity),
            ),
        ],
        Layout::Combined { image } => {
            let body = combined_body(config, identity);
            vec![finish(config, identity, Part::Receiver, image, body)]
        }
    }
}

fn sls_body(config: &DockerConfig, identity: &Identity) -> ContainerCreateBody {
    let mut body = base(config, identity, &sls_ports(config));
    run_as(&mut body, files_owner(identity));
    let host = body.host_config.get_or_insert_default();
    host.binds = Some(binds(config, Part::Sls));
    body
}

fn srtla_body(config: &DockerConfig, identity: &Identity) -> ContainerCreateBody {
    let user = match files_owner(identity) {
        (SLS_USER, SLS_USER) => (SRTLA_USER, SRTLA_USER),
        own => own,
    };
    let mut arguments = vec![
        "--srtla_port=5000".to_owned(),
        format!("--srt_hostname={SLS_ALIAS}"),
        "--srt_port=4002".to_owned(),
    ];
    // A receiver without figures ends at a flag it does not know.
    if config.ports.link_stats != 0 {
        arguments.push("--stats_port=5080".to_owned());
    }
    let mut body = base(config, identity, &srtla_ports(config));
    run_as(&mut body, user);
    body.cmd = Some(arguments);
    body
}

fn run_as(body: &mut ContainerCreateBody, (uid, gid): (u32, u32)) {
    body.user = Some(format!("{uid}:{gid}"));
}

/// Its supervisor begins as root and gives each program its own user.
fn combined_body(config: &DockerConfig, identity: &Identity) -> ContainerCreateBody {
    let ports = [sls_ports(config), srtla_ports(config)].concat();
    let mut body = base(config, identity, &ports);
    let host = body.host_config.get_or_insert_default();
    host.binds = Some(binds(config, Part::Receiver));
    host.cap_add = Some(vec!["SETUID".to_owned(), "SETGID".to_owned()]);
    let tmpfs = host.tmpfs.get_or_insert_default();
    for folder in ["/var/log", "/var/run"] {
        tmpfs.insert(folder.to_owned(), TMPFS.to_owned());
    }
    body
}

/// Container port, host address, host port.
type Published = (&'static str, String, u16);

fn sls_ports(config: &DockerConfig) -> Vec<Published> {
    let (media, ports) = (config.bind.to_string(), config.ports);
    let loopback = "127.0.0.1".to_owned();
    vec![
        ("4000/udp", media.clone(), ports.play),
        ("4001/udp", media, ports.publish),
        ("4002/udp", loopback.clone(), ports.bonded),
        ("8080/tcp", loopback, ports.api),
    ]
}

fn srtla_ports(config: &DockerConfig) -> Vec<Published> {
    let mut ports = vec![("5000/udp", config.bind.to_string(), config.ports.srtla)];
    if config.ports.link_stats != 0 {
        ports.push(("5080/tcp", "127.0.0.1".to_owned(), config.ports.link_stats));
    }
    ports
}

/// The data of the container for itself to write, and its configuration for it to read.
fn binds(config: &DockerConfig, part: Part) -> Vec<String> {
    let folder = config.folder_on_host.join(part.as_str());
    let folder = folder.display();
    vec![
        format!("{folder}/data:/var/lib/sls:rw"),
        format!("{folder}/etc/sls.conf:/etc/sls/sls.conf:ro"),
    ]
}

fn base(config: &DockerConfig, identity: &Identity, ports: &[Published]) -> ContainerCreateBody {
    let exposed = ports.iter().map(|(inside, ..)| (*inside).to_owned());
    ContainerCreateBody {
        exposed_ports: Some(exposed.collect()),
        host_config: Some(host_config(config, identity, ports)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(config: &DockerConfig, identity: &Identity, ports: &[Published]) -> HostConfig {
    let memory = i64::from(config.memory_mib) * MIB;
    let bindings = ports.iter().map(|(inside, host_ip, host_port)| {
        let binding = PortBinding {
            host_ip: Some(host_ip.clone()),
            host_port: Some(host_port.to_string()),
        };
        ((*inside).to_owned(), Some(vec![binding]))
    });
    HostConfig {
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".to_owned()]),
        readonly_rootfs: Some(true),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        // For whatever user the image has. Podman takes no owner here, as Docker would.
        tmpfs: Some(HashMap::from([(
            "/tmp".to_owned(),
            format!("{TMPFS},mode=1777"),
        )])),
        // Process 1 must pass signals on and reap; SLS and the receiver do neither.
        init: Some(true),
        ipc_mode: Some("private".to_owned()),
        pids_limit: Some(128),
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(config.cpu_millis) * 1_000_000),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "10m".to_owned()),
                ("max-file".to_owned(), "3".to_owned()),
            ])),
        }),
        // Media survive our own restart, and a crash is mended at once.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        }),
        network_mode: Some(network_name(identity)),
        port_bindings: Some(bindings.collect()),
        ..HostConfig::default()
    }
}

fn finish(
    config: &DockerConfig,
    identity: &Identity,
    part: Part,
    image: &str,
    mut body: ContainerCreateBody,
) -> ContainerSpec {
    let aliases = part.has_sls().then(|| vec![SLS_ALIAS.to_owned()]);
    let endpoint = EndpointSettings {
        aliases,
        ..EndpointSettings::default()
    };
    body.image = Some(image.to_owned());
    body.networking_config = Some(NetworkingConfig {
        endpoints_config: Some(HashMap::from([(network_name(identity), endpoint)])),
    });
    let mut labels = HashMap::from([
        (INSTANCE_LABEL.to_owned(), identity.instance.clone()),
        (PART_LABEL.to_owned(), part.as_str().to_owned()),
    ]);
    body.labels = Some(labels.clone());
    let settings = part.has_sls().then(|| {
        // The address follows from the network, which the containers do not outlive.
        let hook = config
            .admission_port
            .map(|port| format!("http://gateway:{port}/"));
        seed::render(config, hook.as_deref())
    });
    let hash = hash_of(&body, settings.as_deref().unwrap_or_default());
    labels.insert(SPEC_LABEL.to_owned(), hash.clone());
    body.labels = Some(labels);
    ContainerSpec {
        part,
        name: format!("{}-{}", identity.prefix(), part.as_str()),
        image: image.to_owned(),
        hash,
        body,
    }
}

/// Of the body as sorted JSON: maps of the client's crate have no order of their own.
fn hash_of(body: &ContainerCreateBody, settings: &str) -> String {
    let value = serde_json::to_value(body).expect("a body of plain fields is JSON");
    let sorted = match value {
        serde_json::Value::Object(map) => map.into_iter().collect::<BTreeMap<_, _>>(),
        _ => BTreeMap::new(),
    };
    let text = serde_json::to_vec(&sorted).expect("JSON can be written");
    let digest = Sha256::new()
        .chain_update(text)
        .chain_update(settings)
        .finalize();
    hex(&digest)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{config, identity};
    use super::*;

    #[test]
    fn a_container_gets_nothing_that_makes_it_root_of_the_host() {
        let mut combined = config("/srv/glb");
        combined.layout = Layout::Combined {
            image: "receiver:1".into(),
        };
        let two = containers(&config("/srv/glb"), &identity());
        for spec in two.iter().chain(&containers(&combined, &identity())) {
            let host = spec.body.host_config.as_ref().unwrap();
            assert_eq!(host.privileged, Some(false));
            assert_eq!(host.cap_drop.as_deref(), Some(&["ALL".to_owned()][..]));
            assert_eq!(host.readonly_rootfs, Some(true));
            assert_eq!(host.security_opt.as_ref().unwrap().len(), 1);
            assert_eq!(
                (&host.pid_mode, &host.userns_mode, &host.devices),
                (&None, &None, &None)
            );
            assert!(host.pids_limit > Some(0) && host.memory > Some(0) && host.nano_cpus > Some(0));
            let own = format!("/srv/glb/{}/", spec.part.as_str());
            for bind in host.binds.iter().flatten() {
                assert!(bind.starts_with(&own), "{bind}");
            }
            for (inside, bindings) in host.port_bindings.as_ref().unwrap() {
                let address = bindings.as_ref().unwrap()[0].host_ip.as_deref().unwrap();
                let is_inner = inside.ends_with("/tcp") || inside == "4002/udp";
                assert_eq!(address == "127.0.0.1", is_inner, "{inside}");
            }
        }
        let added = |spec: &ContainerSpec| spec.body.host_config.clone().unwrap().cap_add;
        assert_eq!((added(&two[0]), added(&two[1])), (None, None));
        assert_eq!(
            added(&containers(&combined, &identity())[0]).unwrap(),
            ["SETUID", "SETGID"]
        );
    }

    #[test]
    fn the_hash_is_steady_and_knows_every_change() {
        let hashes = |config: &DockerConfig| {
            let specs = containers(config, &identity());
            specs.into_iter().map(|it| it.hash).collect::<Vec<_>>()
        };
        let before = hashes(&config("/srv/glb"));
        for _ in 0..20 {
            assert_eq!(hashes(&config("/srv/glb")), before);
        }
        let mut changed = config("/srv/glb");
        changed.latency_max = Duration::from_secs(3);
        let after = hashes(&changed);
        assert_ne!(after[0], before[0], "the configuration file of SLS counts");
        assert_eq!(after[1], before[1], "the receiver has none of it");
        changed.ports.srtla += 1;
        assert_ne!(hashes(&changed)[1], before[1]);
    }

    #[test]
    fn a_receiver_without_figures_is_not_asked_for_them() {
        let mut without = config("/srv/glb");
        without.ports.link_stats = 0;
        let spec = &containers(&without, &identity())[1];
        let arguments = spec.body.cmd.as_ref().unwrap().join(" ");
        assert!(!arguments.contains("stats_port"), "{arguments}");
        assert_eq!(spec.body.exposed_ports.as_ref().unwrap(), &["5000/udp"]);
    }
}
