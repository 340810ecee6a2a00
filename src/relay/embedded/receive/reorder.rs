//! Packets that wait for their time, by index.
//!
//! A ring of places, each at its index modulo the ring's size, with a bit for each that is taken: nothing
//! is searched packet by packet, and once the ring is as long as the stream's latency, nothing is allocated.
//!
//! Invariant: the first and the last index are of packets that are here, and the ring is at most twice as
//! long as what lies between them ever was; the window of [`ReceiveLimits`](super::ReceiveLimits) bounds
//! that.

use bytes::Bytes;

use super::arena::Block;
use crate::relay::embedded::time::Micros;

const PLACES_MIN: usize = 256;
const WORD_BITS: usize = 64;

/// A packet that waits.
#[derive(Debug)]
pub(super) struct Held {
    /// When it is handed on.
    pub(super) due: Micros,
    /// Its media.
    pub(super) payload: Bytes,
    /// Where they are kept.
    pub(super) block: Block,
}

/// The packets that wait.
#[derive(Debug, Default)]
pub(super) struct ReorderBuffer {
    /// As many as a power of two, or none.
    places: Vec<Option<Held>>,
    /// A bit for each place that is taken.
    taken: Vec<u64>,
    first: u64,
    /// One past the last.
    end: u64,
    packets: usize,
    bytes: usize,
}

impl ReorderBuffer {
    /// Whether a packet is here.
    pub(super) fn contains(&self, index: u64) -> bool {
        (self.first..self.end).contains(&index) && self.places[self.place(index)].is_some()
    }

    /// Puts a packet in. Of one that is here already nothing changes.
    pub(super) fn insert(&mut self, index: u64, held: Held) {
        if self.contains(index) {
            return;
        }
        let (first, end) = if self.packets == 0 {
            (index, index + 1)
        } else {
            (self.first.min(index), self.end.max(index + 1))
        };
        self.reserve(usize::try_from(end - first).expect("the window is small"));
        (self.first, self.end) = (first, end);
        self.packets += 1;
        self.bytes += held.payload.len();
        self.put(index, held);
    }

    /// The first packet and its index.
    pub(super) fn first(&self) -> Option<(u64, &Held)> {
        let held = self.at(self.first)?;
        Some((self.first, held))
    }

    /// The last packet.
    pub(super) fn last(&self) -> Option<&Held> {
        self.at(self.end.checked_sub(1)?)
    }

    /// Takes the first packet out.
    pub(super) fn pop_first(&mut self) -> Option<(u64, Held)> {
        if self.packets == 0 {
            return None;
        }
        let (index, place) = (self.first, self.place(self.first));
        let held = self.places[place].take()?;
        self.taken[place / WORD_BITS] &= !(1 << (place % WORD_BITS));
        self.packets -= 1;
        self.bytes -= held.payload.len();
        self.first = if self.packets == 0 {
            self.end
        } else {
            self.next_taken(index + 1)
        };
        Some((index, held))
    }

    /// How many packets wait.
    pub(super) fn packets(&self) -> usize {
        self.packets
    }

    /// How many bytes of media wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn at(&self, index: u64) -> Option<&Held> {
        if self.packets == 0 {
            return None;
        }
        self.places[self.place(index)].as_ref()
    }

    /// Where an index is; there are places.
    fn place(&self, index: u64) -> usize {
        let mask = u64::try_from(self.places.len() - 1).expect("the window is small");
        usize::try_from(index & mask).expect("it is a place")
    }

    fn put(&mut self, index: u64, held: Held) {
        let place = self.place(index);
        self.taken[place / WORD_BITS] |= 1 << (place % WORD_BITS);
        self.places[place] = Some(held);
    }

    /// Makes the ring so long.
    fn reserve(&mut self, span: usize) {
        if span <= self.places.len() {
            return;
        }
        let count = span.next_power_of_two().max(PLACES_MIN);
        let empty = std::iter::repeat_with(|| None).take(count).collect();
        let mut old = std::mem::replace(&mut self.places, empty);
        self.taken = vec![0; count / WORD_BITS];
        if old.is_empty() {
            return;
        }
        let mask = u64::try_from(old.len() - 1).expect("the window is small");
        for index in self.first..self.end {
            let place = usize::try_from(index & mask).expect("it is a place");
            if let Some(held) = old[place].take() {
                self.put(index, held);
            }
        }
    }

    /// The first index from `from` on that is here; there is one.
    fn next_taken(&self, from: u64) -> u64 {
        let place = self.place(from);
        let (mut word, mut bit) = (place / WORD_BITS, place % WORD_BITS);
        let mut index = from;
        loop {
            let rest = self.taken[word] >> bit;
            if rest != 0 {
                return index + u64::from(rest.trailing_zeros());
            }
            index += u64::try_from(WORD_BITS - bit).expect("at most 64");
            word = (word + 1) % self.taken.len();
            bit = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        /// So far beyond what was taken out last.
        Insert(u64),
        Pop,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0u64..60).prop_map(Step::Insert),
            1 => (0u64..900).prop_map(Step::Insert),
            3 => Just(Step::Pop),
        ]
    }

    fn held(index: u64) -> Held {
        Held {
            due: Micros::from_millis(i64::try_from(index).unwrap()),
            payload: Bytes::from(vec![1; usize::try_from(index % 7).unwrap()]),
            block: 0,
        }
    }

    proptest! {
        #[test]
        fn it_does_what_a_sorted_map_does(steps in proptest::collection::vec(step(), 0..200)) {
            let (mut buffer, mut model) = (ReorderBuffer::default(), BTreeMap::new());
            let mut head = 1_000;
            for step in steps {
                match step {
                    Step::Insert(beyond) => {
                        buffer.insert(head + beyond, held(head + beyond));
                        model.insert(head + beyond, held(head + beyond));
                    }
                    Step::Pop => {
                        let (popped, expected) = (buffer.pop_first(), model.pop_first());
                        prop_assert_eq!(popped.as_ref().map(|one| one.0), expected.as_ref().map(|one| one.0));
                        head = popped.map_or(head, |one| one.0 + 1);
                    }
                }
                prop_assert_eq!(buffer.first().map(|one| one.0), model.keys().next().copied());
                prop_assert_eq!(buffer.last().map(|one| one.due), model.values().next_back().map(|one| one.due));
                prop_assert_eq!(buffer.packets(), model.len());
                prop_assert_eq!(buffer.bytes(), model.values().map(|one| one.payload.len()).sum::<usize>());
                for index in head - 5..head + 70 {
                    prop_assert_eq!(buffer.contains(index), model.contains_key(&index));
                }
            }
        }
    }
}
