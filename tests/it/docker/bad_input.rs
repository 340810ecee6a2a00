//! What people and machines get wrong: each a state with a reason and a remedy, and an end when it is mended.

use std::os::unix::fs::{PermissionsExt, chown};
use std::time::{Duration, Instant};

use glb::relay::docker::{Layout, Part, SupervisorStatus};
use glb::relay::engine::{Engine, EngineHealth};

use super::stage::{Stage, UP, images};
use crate::harness::eventually::eventually;

/// What is promised for a receiver that fell silent.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

fn has_problem(status: &SupervisorStatus, reason: &str, remedy: &str) -> bool {
    let of_containers = status
        .containers
        .iter()
        .filter_map(|it| it.problem.as_ref());
    status
        .problem
        .iter()
        .chain(of_containers)
        .any(|it| it.reason.contains(reason) && it.remedy.contains(remedy))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_for_other_machines_is_refused_with_both_names() {
    let mut stage = Stage::new();
    stage.config.layout = Layout::Two {
        sls: images().foreign.to_owned(),
        srtla: images().srtla.to_owned(),
    };
    stage.supervise();
    stage
        .until("the architecture is told", |it| {
            has_problem(
                it,
                "is for s390x, this machine is",
                "built for this machine",
            )
        })
        .await;
    let status = stage.relay().status();
    assert_eq!(status.containers[0].state, "missing", "{status:#?}");
    assert!(!status.is_ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_the_image_s_user_may_not_write_is_told_and_healed() {
    let mut stage = Stage::new();
    stage.speak_to_sls();
    stage.supervise();
    stage.until_ready().await;
    let data = stage.config.folder.join("sls/data");
    let owner = std::fs::metadata(&data).unwrap();
    let (uid, gid) = {
        use std::os::unix::fs::MetadataExt;
        (owner.uid(), owner.gid())
    };
    chown(&data, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&data, PermissionsExt::from_mode(0o555)).unwrap();
    stage.relay().restart(Part::Sls, true).await.unwrap();
    // SLS goes on with a database of its own in /tmp, that knows neither our key nor the streams.
    stage
        .until("the lost key is told", |it| {
            !it.is_ready && has_problem(it, "does not know our key", "sls/data")
        })
        .await;
    assert!(!stage.relay().takes_sessions());

    std::fs::set_permissions(&data, PermissionsExt::from_mode(0o755)).unwrap();
    chown(&data, Some(uid), Some(gid)).unwrap();
    stage.relay().restart(Part::Sls, true).await.unwrap();
    stage.until_ready().await;
    eventually(UP, "all is well", async || {
        stage.relay().health().await == EngineHealth::Ready
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sls_that_answers_garbage_or_too_much_or_nothing_is_told_and_not_restarted() {
    let mut stage = Stage::new();
    stage.speak_to_sls();
    stage.supervise();
    stage.until_ready().await;
    let begun = stage.inspect("sls", "{{.State.StartedAt}}");
    for (fault, reason) in [
        ("garbage", "is not SLS"),
        ("huge", "is not SLS"),
        ("hang", "does not answer"),
    ] {
        stage.set_fault("sls", fault);
        stage
            .until(fault, |it| {
                !it.is_ready && has_problem(it, reason, "relay.docker.api_port")
            })
            .await;
        assert!(matches!(
            stage.relay().health().await,
            EngineHealth::Degraded(_)
        ));
        stage.set_fault("sls", "");
        stage.until_ready().await;
    }
    assert_eq!(
        stage.inspect("sls", "{{.State.StartedAt}}"),
        begun,
        "media flowed on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bonding_that_dies_in_a_green_container_is_seen_within_ten_seconds() {
    for (is_combined, part, fault) in [(false, "srtla", "mute"), (true, "receiver", "srtla-crash")]
    {
        let mut stage = Stage::new();
        if is_combined {
            stage.combine();
        }
        stage.supervise();
        stage.until_ready().await;
        let died_at = Instant::now();
        stage.set_fault(part, fault);
        stage
            .until("the silence is told", |it| {
                let why = it.reason.as_deref().unwrap_or_default();
                let is_green = it.containers.iter().all(|it| it.state == "running");
                is_green && why.contains("SRTLA receiver")
            })
            .await;
        let seen_after = died_at.elapsed();
        assert!(seen_after < SEEN_WITHIN, "{part}: {seen_after:?}");
        assert!(!stage.relay().takes_sessions());
        stage.set_fault(part, "");
        stage.until_ready().await;
    }
}
