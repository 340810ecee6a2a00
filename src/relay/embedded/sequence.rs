//! SRT packet sequence numbers: 31 bits that wrap.
//!
//! Inside the state machines packets are named by an *index*, a `u64` that never wraps; its low 31 bits
//! are the sequence number. So ordinary ordered containers work and only this file knows of the wrap.
//!
//! Invariant: a [`Sequence`] never has its top bit set.

const MASK: u32 = 0x7FFF_FFFF;

/// A packet sequence number as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sequence(u32);

impl Sequence {
    /// Takes the low 31 bits.
    pub(crate) const fn new(raw: u32) -> Self {
        Self(raw & MASK)
    }

    /// The sequence number of a packet index.
    pub(crate) fn of_index(index: u64) -> Self {
        Self(u32::try_from(index & u64::from(MASK)).expect("31 bits fit in 32"))
    }

    /// The 31-bit value.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// How far `self` is ahead of `base`, on the shorter way around: within ±2^30.
    pub(crate) const fn distance_from(self, base: Self) -> i32 {
        (self.0.wrapping_sub(base.0) << 1).cast_signed() >> 1
    }

    /// The index that has this sequence number and is nearest to `reference`.
    pub(crate) fn index_near(self, reference: u64) -> u64 {
        let distance = self.distance_from(Self::of_index(reference));
        reference.saturating_add_signed(i64::from(distance))
    }

    /// A first index for a connection; far from 0, so that older packets have an index too.
    pub(crate) const fn first_index(self) -> u64 {
        (1 << 32) | (self.0 as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn distance_goes_across_the_wrap() {
        let last = Sequence::new(MASK);
        let first = Sequence::new(0);
        assert_eq!(first.distance_from(last), 1);
        assert_eq!(last.distance_from(first), -1);
    }

    #[test]
    fn an_index_counts_on_across_the_wrap() {
        let start = Sequence::new(MASK).first_index();
        assert_eq!(Sequence::new(0).index_near(start), start + 1);
        assert_eq!(Sequence::new(MASK - 3).index_near(start), start - 3);
    }

    proptest! {
        #[test]
        fn the_nearest_index_has_the_sequence_number(start in any::<u32>(), step in -1_000_000i64..1_000_000) {
            let reference = Sequence::new(start).first_index();
            let index = reference.saturating_add_signed(step);
            prop_assert_eq!(Sequence::of_index(index).index_near(reference), index);
        }
    }
}
