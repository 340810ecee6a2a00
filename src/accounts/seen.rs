//! When sessions were last heard of: in memory, so that a request costs no write.
//!
//! A job writes what changed, once a minute; a crash loses no more than that. Entries stay after they were
//! written, because cached rows still carry the older time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use crate::kernel::UnixMillis;

/// Longer than any idle limit: an entry of that age tells no more than its row.
const FORGET_AFTER: Duration = Duration::from_hours(48);

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: UnixMillis,
    is_written: bool,
}

/// The last signs of life of sessions of one kind.
#[derive(Debug)]
pub(super) struct LastSeen<K>(Mutex<HashMap<K, Seen>>);

impl<K> Default for LastSeen<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Copy> LastSeen<K> {
    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<K, Seen>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the map")
    }

    /// Notes a sign of life.
    pub(super) fn touch(&self, id: K, now: UnixMillis) {
        let seen = Seen {
            at: now,
            is_written: false,
        };
        self.entries().insert(id, seen);
    }

    /// The last sign of life that is known here.
    pub(super) fn get(&self, id: K) -> Option<UnixMillis> {
        self.entries().get(&id).map(|seen| seen.at)
    }

    /// What changed since it was last written, and forgets what is old.
    pub(super) fn take_changes(&self, now: UnixMillis) -> Vec<(K, UnixMillis)> {
        let mut entries = self.entries();
        entries.retain(|_, seen| !seen.is_written || now.since(seen.at) < FORGET_AFTER);
        let changed = entries.iter_mut().filter(|(_, seen)| !seen.is_written);
        changed
            .map(|(id, seen)| {
                seen.is_written = true;
                (*id, seen.at)
            })
            .collect()
    }

    /// Says that `changes` could not be written after all.
    pub(super) fn put_back(&self, changes: &[(K, UnixMillis)]) {
        let mut entries = self.entries();
        for (id, _) in changes {
            if let Some(seen) = entries.get_mut(id) {
                seen.is_written = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_handed_out_once_and_the_time_stays_known() {
        let seen = LastSeen::default();
        seen.touch('a', UnixMillis(5));
        assert_eq!(seen.take_changes(UnixMillis(6)), [('a', UnixMillis(5))]);
        assert_eq!(seen.take_changes(UnixMillis(7)), []);
        assert_eq!(seen.get('a'), Some(UnixMillis(5)));
        seen.put_back(&[('a', UnixMillis(5))]);
        assert_eq!(seen.take_changes(UnixMillis(8)), [('a', UnixMillis(5))]);
    }

    #[test]
    fn what_is_old_and_written_is_forgotten() {
        let seen = LastSeen::default();
        seen.touch('a', UnixMillis(0));
        let late = UnixMillis(0) + FORGET_AFTER;
        assert_eq!(
            seen.take_changes(late),
            [('a', UnixMillis(0))],
            "written first"
        );
        assert_eq!(seen.take_changes(late), []);
        assert_eq!(seen.get('a'), None);
    }
}
