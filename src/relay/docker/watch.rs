//! What the supervisor remembers from one look to the next.
//!
//! Invariant: all of it may be lost; the containers' labels and times say what is needed to go on.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;

use super::breaker::{Breaker, Verdict};
use super::client::{Activity, DockerClient, Found, Usage};
use super::config::DockerConfig;
use super::error::DockerError;
use super::hook::Hook;
use super::origins::Book;
use super::template::Part;

/// How long a port may be silent before its container is restarted.
const SILENCE: Duration = Duration::from_secs(30);

/// What was seen of a part.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) breaker: Breaker,
    pub(super) crashes: u64,
    pub(super) problem: Option<DockerError>,
    /// Which of its ports does not answer.
    pub(super) silence: Option<DockerError>,
    /// The start after which SLS was seen to know our key.
    pub(super) key_proved_at: Option<jiff::Timestamp>,
    pub(super) last_lines: Vec<String>,
    pub(super) waits_for_idle: bool,
    pub(super) cpu_percent: Option<f64>,
    pub(super) memory_bytes: Option<u64>,
    last: Option<Found>,
    last_usage: Option<(Duration, Usage)>,
    silent_since: Option<Duration>,
}

/// An image that is pulled, or was.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) step: String,
    pub(super) is_running: bool,
    pub(super) problem: Option<DockerError>,
    pauses: Breaker,
}

/// The supervisor's memory.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) client: Option<DockerClient>,
    pub(super) was_connected: bool,
    pub(super) parts: BTreeMap<Part, Seen>,
    pub(super) pulls: BTreeMap<String, Pull>,
    /// Ends its tasks when the supervisor ends.
    pub(super) tasks: JoinSet<()>,
    /// Answers SLS's questions.
    pub(super) hook: Option<Hook>,
    pub(super) hook_problem: Option<DockerError>,
    /// Whose links are whose.
    pub(super) origins: Book,
    /// Since when somebody stays whose key is no longer good.
    pub(super) lingering_since: Option<Duration>,
    /// When SLS was restarted for his sake.
    pub(super) ended_at: Option<Duration>,
    crashes_max: usize,
    window: Duration,
}

impl Watch {
    pub(super) fn new(config: &DockerConfig) -> Self {
        Self {
            client: None,
            was_connected: false,
            parts: BTreeMap::new(),
            pulls: BTreeMap::new(),
            tasks: JoinSet::new(),
            hook: None,
            hook_problem: None,
            origins: Book::default(),
            lingering_since: None,
            ended_at: None,
            crashes_max: config.crashes_max,
            window: config.crash_window,
        }
    }

    pub(super) fn part(&mut self, part: Part) -> &mut Seen {
        let breaker = Breaker::new(self.crashes_max, self.window);
        self.parts.entry(part).or_insert_with(|| Seen {
            breaker,
            crashes: 0,
            problem: None,
            silence: None,
            key_proved_at: None,
            last_lines: Vec::new(),
            waits_for_idle: false,
            cpu_percent: None,
            memory_bytes: None,
            last: None,
            last_usage: None,
            silent_since: None,
        })
    }

    /// Images that are not to be pulled now.
    pub(super) fn busy_pulls(&mut self, now: Duration) -> Vec<String> {
        let busy = self.pulls.iter_mut().filter_map(|(image, pull)| {
            let waits = pull.pauses.verdict(now) != Verdict::Go;
            (pull.is_running || waits).then(|| image.clone())
        });
        busy.collect()
    }

    /// A pull begins.
    pub(super) fn begin_pull(&mut self, image: &str, now: Duration) {
        let pull = self.pulls.entry(image.to_owned()).or_insert_with(|| Pull {
            step: String::new(),
            is_running: false,
            problem: None,
            pauses: Breaker::new(usize::MAX, Duration::ZERO),
        });
        pull.is_running = true;
        "waiting for the registry".clone_into(&mut pull.step);
        pull.pauses.note_attempt(now);
    }
}

impl Seen {
    /// A look at its container; answers whether its breaker tripped now.
    pub(super) fn note(&mut self, found: &Found, now: Duration, uptime: Duration) -> bool {
        let crashes = match &self.last {
            // The engine counts from zero again after a start of ours.
            Some(last) if last.id == found.id && last.restarts <= found.restarts => {
                let ended = last.activity == Activity::Running && found.activity == Activity::Ended;
                (found.restarts - last.restarts).max(u64::from(ended))
            }
            Some(last) if last.id == found.id => found.restarts,
            Some(_) | None => 0,
        };
        if found.activity == Activity::Running {
            self.breaker.note_running(uptime);
        }
        self.last = Some(found.clone());
        self.crashes += crashes;
        crashes > 0 && self.breaker.note_crashes(now, crashes)
    }

    /// We start, stop or replace it, so its end is no crash.
    pub(super) fn forget_container(&mut self) {
        self.last = None;
        self.last_usage = None;
        self.silence = None;
        self.silent_since = None;
    }

    /// Whether its program is another one than at the last look.
    pub(super) fn began_anew(&self, found: &Found) -> bool {
        let before = self.last.as_ref();
        before.is_none_or(|last| (&last.id, last.started_at) != (&found.id, found.started_at))
    }

    /// The address that it had before, when it has another now.
    pub(super) fn has_moved(&self, found: &Found) -> bool {
        let before = self.last.as_ref().map(|last| last.ip.as_str());
        before.is_some_and(|ip| !ip.is_empty() && !found.ip.is_empty() && ip != found.ip)
    }

    /// What it uses.
    pub(super) fn note_usage(&mut self, now: Duration, usage: Option<Usage>) {
        let before = self.last_usage.take();
        self.memory_bytes = usage.map(|usage| usage.memory_bytes);
        self.cpu_percent = usage.zip(before).and_then(|(usage, (at, before))| {
            let spent = usage.cpu.checked_sub(before.cpu)?;
            let passed = now.checked_sub(at).filter(|passed| !passed.is_zero())?;
            Some((spent.as_secs_f64() / passed.as_secs_f64() * 1000.0).round() / 10.0)
        });
        self.last_usage = usage.map(|usage| (now, usage));
    }

    /// Whether its media ports answered; answers whether they have been silent for too long.
    pub(super) fn note_answers(&mut self, now: Duration, are_all_there: bool) -> bool {
        if are_all_there {
            self.silent_since = None;
            return false;
        }
        let since = *self.silent_since.get_or_insert(now);
        now.saturating_sub(since) >= SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::config;
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn found(restarts: u64, activity: Activity) -> Found {
        Found {
            id: "a".into(),
            part: Some(Part::Sls),
            spec_hash: String::new(),
            image_id: String::new(),
            activity,
            exit_code: 0,
            error: String::new(),
            restarts,
            created_at: None,
            started_at: None,
            ip: "172.18.0.2".into(),
        }
    }

    #[test]
    fn crashes_are_those_that_happen_while_we_watch() {
        let mut watch = Watch::new(&config("/x"));
        let seen = watch.part(Part::Sls);
        assert!(!seen.note(&found(40, Activity::Running), at(0), at(9)));
        assert_eq!(seen.crashes, 0, "an adopted container's past is not ours");
        seen.note(&found(42, Activity::Running), at(5), at(1));
        assert_eq!(seen.crashes, 2);
        seen.note(&found(1, Activity::Running), at(10), at(1));
        assert_eq!(seen.crashes, 3, "counted from zero again");
        seen.note(&found(1, Activity::Ended), at(15), at(0));
        assert_eq!(seen.crashes, 4);
        assert!(seen.note(&found(2, Activity::Restarting), at(20), at(0)));
        seen.forget_container();
        assert!(!seen.note(&found(9, Activity::Running), at(25), at(0)));
    }

    #[test]
    fn use_of_the_processor_is_that_since_the_last_look() {
        let mut watch = Watch::new(&config("/x"));
        let seen = watch.part(Part::Sls);
        let usage = |millis| {
            Some(Usage {
                cpu: Duration::from_millis(millis),
                memory_bytes: 7,
            })
        };
        seen.note_usage(at(10), usage(1_000));
        assert_eq!((seen.cpu_percent, seen.memory_bytes), (None, Some(7)));
        seen.note_usage(at(15), usage(1_500));
        assert_eq!(seen.cpu_percent, Some(10.0));
        seen.note_usage(at(20), usage(100));
        assert_eq!(seen.cpu_percent, None, "it began anew");
    }

    #[test]
    fn silence_counts_from_its_beginning() {
        let mut watch = Watch::new(&config("/x"));
        let seen = watch.part(Part::Srtla);
        assert!(!seen.note_answers(at(0), false));
        assert!(!seen.note_answers(at(29), false));
        assert!(seen.note_answers(at(30), false));
        assert!(!seen.note_answers(at(31), true));
        assert!(!seen.note_answers(at(60), false));
    }

    #[test]
    fn a_pull_that_failed_is_not_repeated_at_once() {
        let mut watch = Watch::new(&config("/x"));
        watch.begin_pull("a:1", at(0));
        assert_eq!(watch.busy_pulls(at(0)), ["a:1"]);
        watch.pulls.get_mut("a:1").unwrap().is_running = false;
        assert_eq!(watch.busy_pulls(at(0)), ["a:1"]);
        assert!(watch.busy_pulls(at(1)).is_empty());
    }
}
