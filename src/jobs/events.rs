//! The events bus: an earlier room tells, later rooms listen, and neither names the other.
//!
//! Invariant: telling never waits and never fails; an event is news, never the only place where something stands.

use std::fmt;

use tokio::sync::broadcast;

/// Events that a slow listener may lag behind before it misses some.
const BACKLOG: usize = 256;

/// The events of one room. Cheap to clone.
pub struct Events<E>(broadcast::Sender<E>);

impl<E> Clone for Events<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> fmt::Debug for Events<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({} listeners)", self.0.receiver_count())
    }
}

impl<E: Clone> Default for Events<E> {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl<E: Clone> Events<E> {
    /// Tells whoever listens; nobody may.
    pub fn tell(&self, event: E) {
        drop(self.0.send(event));
    }

    /// Everything from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<E> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_listens_is_told_and_telling_nobody_is_no_error() {
        let events = Events::default();
        events.tell(1);
        let mut listener = events.listen();
        events.tell(2);
        assert_eq!(listener.recv().await, Ok(2));
    }
}
