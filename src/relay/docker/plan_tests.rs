//! Table and property tests of the decisions.

use proptest::prelude::*;

use super::super::template::containers;
use super::super::testing::{config, identity};
use super::*;

const NOW: Duration = Duration::from_secs(1_000);

fn wanted() -> Vec<ContainerSpec> {
    containers(&config("/srv/glb"), &identity())
}

fn running(spec: &ContainerSpec) -> Found {
    Found {
        id: format!("id-{}", spec.part.as_str()),
        part: Some(spec.part),
        spec_hash: spec.hash.clone(),
        image_id: "sha256:1".into(),
        activity: Activity::Running,
        exit_code: 0,
        error: String::new(),
        restarts: 0,
        created_at: "2026-11-21T10:00:00Z".parse().ok(),
        started_at: "2026-11-21T10:00:01Z".parse().ok(),
        ip: "172.18.0.2".into(),
    }
}

fn all_well() -> Actual {
    let wanted = wanted();
    Actual {
        network: Some("n".into()),
        containers: wanted.iter().map(running).collect(),
        images: wanted.iter().map(|spec| spec.image.clone()).collect(),
    }
}

fn breakers() -> BTreeMap<Part, Breaker> {
    let one = Breaker::new(5, Duration::from_secs(300));
    Part::ALL.into_iter().map(|it| (it, one.clone())).collect()
}

#[derive(Debug, Default)]
struct Given {
    is_busy: bool,
    is_forced: bool,
    restarts: Vec<Part>,
    pulls: Vec<String>,
    tripped: Vec<Part>,
}

fn decide(actual: &Actual, given: &Given) -> Vec<Action> {
    let mut breakers = breakers();
    for part in &given.tripped {
        breakers.get_mut(part).unwrap().note_crashes(NOW, 5);
    }
    let mut around = Circumstances {
        now: NOW,
        is_idle: !given.is_busy,
        is_forced: given.is_forced,
        restarts: &given.restarts,
        pulls: &given.pulls,
        breakers: &mut breakers,
    };
    plan(&wanted(), actual, &mut around)
}

fn busy() -> Given {
    Given {
        is_busy: true,
        ..Given::default()
    }
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    for is_busy in [false, true] {
        let given = Given {
            is_busy,
            ..Given::default()
        };
        assert_eq!(decide(&all_well(), &given), []);
    }
}

#[test]
fn a_bare_machine_pulls_first_and_then_makes_network_sls_and_receiver() {
    let mut actual = Actual::default();
    let pulls = ["sls:1", "srtla:1"].map(|it| Action::Pull(it.into()));
    assert_eq!(decide(&actual, &Given::default()), pulls);
    let under_way = Given {
        pulls: vec!["sls:1".into(), "srtla:1".into()],
        ..Given::default()
    };
    assert_eq!(decide(&actual, &under_way), []);
    actual.images = all_well().images;
    assert_eq!(
        decide(&actual, &Given::default()),
        [
            Action::CreateNetwork,
            Action::Create(Part::Sls),
            Action::Create(Part::Srtla)
        ]
    );
}

#[test]
fn another_specification_waits_for_the_publishers_unless_an_operator_insists() {
    let mut actual = all_well();
    actual.containers[0].spec_hash = "old".into();
    assert_eq!(decide(&actual, &busy()), [Action::AwaitIdle(Part::Sls)]);
    let replaced = [
        Action::Remove("id-sls".into()),
        Action::Create(Part::Sls),
        Action::Restart(Part::Srtla, "id-srtla".into()),
    ];
    assert_eq!(decide(&actual, &Given::default()), replaced);
    let forced = Given {
        is_forced: true,
        ..busy()
    };
    assert_eq!(decide(&actual, &forced), replaced);
    actual.images.clear();
    assert_eq!(
        decide(&actual, &Given::default()),
        [Action::Pull("sls:1".into())],
        "the old one goes on until the new image is here"
    );
}

#[test]
fn a_receiver_that_began_before_sls_was_made_is_restarted() {
    let mut actual = all_well();
    actual.containers[0].created_at = "2026-11-21T11:00:00Z".parse().ok();
    assert_eq!(
        decide(&actual, &busy()),
        [Action::Restart(Part::Srtla, "id-srtla".into())]
    );
}

#[test]
fn a_container_that_ended_is_started_and_one_that_keeps_crashing_is_stopped() {
    let mut actual = all_well();
    actual.containers[0].activity = Activity::Ended;
    assert_eq!(
        decide(&actual, &busy()),
        [Action::Start(Part::Sls, "id-sls".into())]
    );
    let tripped = Given {
        tripped: vec![Part::Sls],
        ..Given::default()
    };
    assert_eq!(decide(&actual, &tripped), []);
    actual.containers[0].activity = Activity::Restarting;
    assert_eq!(
        decide(&actual, &tripped),
        [Action::Stop(Part::Sls, "id-sls".into())]
    );
}

#[test]
fn containers_of_another_layout_go_when_nobody_publishes() {
    let mut actual = all_well();
    let mut stray = actual.containers[0].clone();
    (stray.id, stray.part) = ("old".into(), Some(Part::Receiver));
    actual.containers.push(stray);
    assert_eq!(decide(&actual, &busy()), []);
    assert_eq!(
        decide(&actual, &Given::default()),
        [Action::Remove("old".into())]
    );
}

#[test]
fn an_operator_restarts_one_part() {
    let given = Given {
        restarts: vec![Part::Srtla],
        ..busy()
    };
    assert_eq!(
        decide(&all_well(), &given),
        [Action::Restart(Part::Srtla, "id-srtla".into())]
    );
}

fn any_found(spec: ContainerSpec) -> impl Strategy<Value = Option<Found>> {
    let activity = prop::sample::select(vec![
        Activity::Created,
        Activity::Running,
        Activity::Restarting,
        Activity::Ended,
    ]);
    prop::option::of(
        (activity, any::<bool>()).prop_map(move |(activity, is_old)| {
            let mut found = running(&spec);
            found.activity = activity;
            if is_old {
                found.spec_hash = "old".into();
            }
            found
        }),
    )
}

proptest! {
    /// Nothing that carries a publisher is removed unasked, and following the plan ends in rest.
    #[test]
    fn every_plan_is_gentle_and_leads_to_rest(
        sls in any_found(wanted().remove(0)),
        srtla in any_found(wanted().remove(1)),
        has_network in any::<bool>(),
        is_busy in any::<bool>(),
    ) {
        let mut actual = Actual {
            network: has_network.then(|| "n".into()),
            containers: sls.into_iter().chain(srtla).collect(),
            images: all_well().images,
        };
        let given = Given { is_busy, ..Given::default() };
        for _ in 0..4 {
            let actions = decide(&actual, &given);
            for action in &actions {
                follow(&mut actual, action, is_busy)?;
            }
        }
        let left = decide(&actual, &given);
        prop_assert!(left.iter().all(|it| matches!(it, Action::AwaitIdle(_))), "{left:?}");
        if !is_busy {
            prop_assert!(left.is_empty());
            prop_assert_eq!(actual.containers.len(), 2);
        }
    }
}

/// The world after an action.
fn follow(actual: &mut Actual, action: &Action, is_busy: bool) -> Result<(), TestCaseError> {
    let position = |actual: &Actual, id: &str| actual.containers.iter().position(|it| it.id == id);
    match action {
        Action::Pull(_) | Action::AwaitIdle(_) => {}
        Action::CreateNetwork => actual.network = Some("n".into()),
        Action::Remove(id) => {
            let gone = actual.containers.remove(position(actual, id).unwrap());
            prop_assert!(!is_busy || gone.activity != Activity::Running);
        }
        Action::Create(part) => {
            prop_assert!(actual.network.is_some());
            prop_assert!(actual.containers.iter().all(|it| it.part != Some(*part)));
            let spec = wanted().into_iter().find(|it| it.part == *part).unwrap();
            actual.containers.push(running(&spec));
        }
        Action::Start(_, id) | Action::Restart(_, id) | Action::Stop(_, id) => {
            let index = position(actual, id).unwrap();
            actual.containers[index].activity = Activity::Running;
        }
    }
    Ok(())
}
