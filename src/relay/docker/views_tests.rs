//! The page is sound, and says what an operator must know.

use askama::Template;

use super::super::status::PullStatus;
use super::*;
use crate::http::page::{self, Theme};
use crate::http::page_check::assert_sound_page;
use crate::kernel::Role;

fn shell() -> Shell {
    let user = page::SignedIn {
        display_name: "Op".into(),
        role: Role::Operator,
    };
    Shell::signed_in("Relay", "/relay", Theme::Auto, user)
}

fn container(state: &'static str) -> ContainerStatus {
    ContainerStatus {
        part: "sls",
        name: "glb-0a1b2c3d-sls".into(),
        image: "sls:1".into(),
        image_id: "sha256:1".into(),
        id: "abc".into(),
        state,
        problem: None,
        crashes: 5,
        exit_code: 139,
        cpu_percent: Some(3.5),
        memory_bytes: Some(5 << 20),
        started_at: Some("2026-11-21T10:00:00Z".into()),
        waits_for_idle: false,
        last_lines: vec!["<b>boom</b>".into()],
    }
}

fn page(status: Option<SupervisorStatus>) -> String {
    let overview = Overview {
        engine: "docker",
        why: "the images are named".into(),
        containers: status,
    };
    RelayPage::new(shell(), overview, Vec::new(), &[])
        .render()
        .unwrap()
}

#[test]
fn a_crash_loop_stands_there_with_its_last_lines_as_text() {
    let html = page(Some(SupervisorStatus {
        reason: Some("the container sls keeps crashing".into()),
        containers: vec![container("crash_loop")],
        ..SupervisorStatus::default()
    }));
    assert_sound_page(&html);
    assert!(html.contains("left alone") && html.contains("3.5 %") && html.contains("5 MiB"));
    assert!(html.contains("boom") && !html.contains("<b>boom"));
}

#[test]
fn a_problem_comes_with_its_remedy_and_a_pull_with_its_step() {
    let mut waiting = container("running");
    waiting.waits_for_idle = true;
    waiting.problem = Some(Problem {
        reason: "port 5000/udp is taken".into(),
        remedy: "stop that program".into(),
    });
    let html = page(Some(SupervisorStatus {
        is_ready: true,
        problem: Some(Problem {
            reason: "Docker has no socket".into(),
            remedy: "install Docker".into(),
        }),
        containers: vec![waiting],
        pulls: vec![PullStatus {
            image: "sls:2".into(),
            step: "Downloading: 25 %".into(),
        }],
        ..SupervisorStatus::default()
    }));
    assert_sound_page(&html);
    for text in [
        "Docker has no socket",
        "What to do: install Docker",
        "2026-11-21 10:00 UTC",
        "stop that program",
        "25 %",
        "/relay/apply",
        "ready",
    ] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn a_problem_that_the_reason_tells_is_not_told_twice() {
    let html = page(Some(SupervisorStatus {
        reason: Some("Docker has no socket at /x".into()),
        problem: Some(Problem {
            reason: "Docker has no socket at /x".into(),
            remedy: "install Docker".into(),
        }),
        containers: vec![container("unknown")],
        ..SupervisorStatus::default()
    }));
    assert_sound_page(&html);
    assert_eq!(html.matches("no socket at /x").count(), 1);
    assert!(html.contains("What to do: install Docker") && html.contains("not known"));
}

#[test]
fn an_engine_without_containers_says_why_it_was_chosen() {
    let html = page(None);
    assert_sound_page(&html);
    assert!(html.contains("the images are named.") && !html.contains("/relay/restart"));
}

#[test]
fn containers_of_an_earlier_relay_are_told_with_the_command_that_removes_them() {
    let overview = Overview {
        engine: "embedded",
        why: "relay.engine says so".into(),
        containers: None,
    };
    let left = vec!["glb-0a1b2c3d-sls".to_owned()];
    let html = RelayPage::new(shell(), overview, left, &[])
        .render()
        .unwrap();
    assert_sound_page(&html);
    assert!(html.contains("glb-0a1b2c3d-sls") && html.contains("glb relay remove-containers"));
}
