//! Where the media of one publisher are kept: in blocks of many packets, so that nothing is allocated for a
//! packet, and each packet is in memory once however many players it has.
//!
//! A block is given back when the last of its packets is: packets are handed on in the order of the stream,
//! so blocks become free one after the other. One packet that waits longer keeps its block; therefore blocks
//! are counted, and who sends so that they pile up finds the buffer full.
//!
//! Invariant: a block counts as long as the receiver holds a packet of it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Two dozen packets of a transport stream.
pub(super) const BLOCK_BYTES: usize = 32 * 1024;

/// The number of a block.
pub(super) type Block = u64;

/// The blocks of one publisher.
#[derive(Debug, Default)]
pub(super) struct Arena {
    /// What is left of the newest block.
    rest: BytesMut,
    /// How many packets of each block are held, from the oldest that has any to the newest.
    held: VecDeque<u32>,
    /// The number of the first of these.
    first: Block,
    /// How many blocks have any.
    used: usize,
}

impl Arena {
    /// Keeps media after `change`; they are to be given back by [`Arena::release`] once.
    pub(super) fn store(&mut self, media: &[u8], change: impl FnOnce(&mut [u8])) -> (Bytes, Block) {
        if self.held.is_empty() || self.rest.capacity() < media.len() {
            self.rest = BytesMut::with_capacity(BLOCK_BYTES.max(media.len()));
            self.held.push_back(0);
        }
        self.rest.extend_from_slice(media);
        change(&mut self.rest);
        let stored = self.rest.split().freeze();
        if let Some(newest) = self.held.back_mut() {
            self.used += usize::from(*newest == 0);
            *newest += 1;
        }
        let before = u64::try_from(self.held.len() - 1).expect("a count of blocks is small");
        (stored, self.first + before)
    }

    /// The receiver holds the packet no more.
    pub(super) fn release(&mut self, block: Block) {
        let place = block
            .checked_sub(self.first)
            .and_then(|place| usize::try_from(place).ok());
        if let Some(held) = place.and_then(|place| self.held.get_mut(place)) {
            self.used -= usize::from(*held == 1);
            *held = held.saturating_sub(1);
        }
        // The newest is still being filled.
        while self.held.len() > 1 && self.held.front() == Some(&0) {
            self.held.pop_front();
            self.first += 1;
        }
    }

    /// The memory of blocks of which packets are held.
    pub(super) fn bytes(&self) -> usize {
        self.used * BLOCK_BYTES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn media_stay_as_they_were_and_blocks_go_when_the_last_packet_does(
            sizes in proptest::collection::vec(1usize..1_457, 1..300),
            kept in 1usize..100,
        ) {
            let mut arena = Arena::default();
            let mut held = VecDeque::new();
            for (number, size) in sizes.iter().enumerate() {
                let media = vec![u8::try_from(number % 251).unwrap(); *size];
                let (stored, block) = arena.store(&media, |_| {});
                held.push_back((media, stored, block));
                if held.len() > kept {
                    let (media, stored, block) = held.pop_front().unwrap();
                    prop_assert_eq!(&stored[..], &media[..]);
                    arena.release(block);
                }
                let bytes: usize = held.iter().map(|one| one.0.len()).sum();
                prop_assert!(arena.bytes() >= bytes);
                // In order nothing is wasted but the ends of blocks, the first and the last one.
                prop_assert!(arena.bytes() <= bytes + bytes / 16 + 2 * BLOCK_BYTES, "{}", arena.bytes());
            }
            for (media, stored, block) in held {
                prop_assert_eq!(&stored[..], &media[..]);
                arena.release(block);
            }
            prop_assert_eq!(arena.bytes(), 0);
        }
    }

    #[test]
    fn one_packet_that_waits_keeps_its_block_and_the_block_counts() {
        let mut arena = Arena::default();
        let mut waiting = Vec::new();
        for _ in 0..10 {
            waiting.push(arena.store(&[1; 1_000], |_| {}).1);
            for _ in 0..31 {
                let (_, block) = arena.store(&[2; 1_000], |_| {});
                arena.release(block);
            }
        }
        assert_eq!(arena.bytes(), 10 * BLOCK_BYTES);
        for block in waiting {
            arena.release(block);
        }
        assert_eq!(arena.bytes(), 0);
    }
}
