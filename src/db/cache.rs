//! A read-through cache that a write can never leave stale.
//!
//! A reader notes the generation before it loads and stores only if nobody invalidated meanwhile; a writer
//! invalidates from [`super::Tx::after_commit`], so before its caller is answered. Bounded: when full,
//! it is emptied, which costs one load per key.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

/// A shared cache. Cheap to clone.
#[derive(Debug)]
pub struct Cache<K, V>(Arc<Mutex<Inner<K, V>>>);

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Inner<K, V> {
    entries: HashMap<K, V>,
    generation: u64,
    capacity: usize,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// An empty cache of at most `capacity` entries.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let inner = Inner {
            entries: HashMap::new(),
            generation: 0,
            capacity,
        };
        Self(Arc::new(Mutex::new(inner)))
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner<K, V>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the cache")
    }

    /// The cached value.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        self.inner().entries.get(key).cloned()
    }

    /// The cached value, or what `load` gives, which is kept when no write came between.
    ///
    /// # Errors
    /// What `load` returns; errors are not kept.
    pub async fn get_or_load<E>(
        &self,
        key: K,
        load: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        if let Some(value) = self.get(&key) {
            return Ok(value);
        }
        let generation = self.inner().generation;
        let value = load.await?;
        let mut inner = self.inner();
        if inner.generation == generation {
            if inner.entries.len() >= inner.capacity {
                inner.entries.clear();
            }
            inner.entries.insert(key, value.clone());
        }
        Ok(value)
    }

    /// Forgets one key. Call it from `after_commit` of every write that changes what `load` would give.
    pub fn invalidate(&self, key: &K) {
        let mut inner = self.inner();
        inner.generation += 1;
        inner.entries.remove(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut inner = self.inner();
        inner.generation += 1;
        inner.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn a_value_loaded_before_a_write_is_not_kept_after_it() {
        let cache = Cache::with_capacity(8);
        let during = cache.clone();
        let old = async move {
            during.invalidate(&1);
            Ok::<_, Infallible>("old")
        };
        assert_eq!(cache.get_or_load(1, old).await, Ok("old"));
        assert_eq!(cache.get(&1), None);
        let new = async { Ok::<_, Infallible>("new") };
        assert_eq!(cache.get_or_load(1, new).await, Ok("new"));
        assert_eq!(cache.get(&1), Some("new"));
    }

    #[tokio::test]
    async fn it_never_holds_more_than_its_capacity() {
        let cache = Cache::with_capacity(3);
        for key in 0..100 {
            cache
                .get_or_load(key, async { Ok::<_, Infallible>(key) })
                .await
                .unwrap();
            assert!(cache.inner().entries.len() <= 3);
        }
    }
}
