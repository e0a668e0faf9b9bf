//! A bounded memory of what was found out: two generations of equal size.
//!
//! When the younger one is full it becomes the older, and what the older held and nobody asked for is forgotten. Whether
//! an entry still holds is its caller's question: keys or values carry a version.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) struct Remembered<K, V> {
    half: usize,
    generations: Mutex<Generations<K, V>>,
}

struct Generations<K, V> {
    young: HashMap<K, Arc<V>>,
    old: HashMap<K, Arc<V>>,
}

impl<K: Clone + Eq + Hash, V> Remembered<K, V> {
    /// Makes an empty memory for about `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            half: capacity.div_ceil(2).max(1),
            generations: Mutex::new(Generations {
                young: HashMap::new(),
                old: HashMap::new(),
            }),
        }
    }

    /// Answers what is remembered under `key`.
    pub(crate) fn find(&self, key: &K) -> Option<Arc<V>> {
        // A panic in between leaves two whole maps.
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = generations.young.get(key) {
            return Some(Arc::clone(known));
        }
        let known = generations.old.remove(key)?;
        generations.insert(key.clone(), Arc::clone(&known), self.half);
        Some(known)
    }

    /// Remembers `value`, in place of what was there.
    pub(crate) fn insert(&self, key: K, value: Arc<V>) {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, value, self.half);
    }
}

impl<K: Eq + Hash, V> Generations<K, V> {
    fn insert(&mut self, key: K, value: Arc<V>, half: usize) {
        if self.young.len() >= half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let memory = Remembered::new(8);
        for number in 0..100 {
            memory.insert(number, Arc::new(number));
            assert_eq!(memory.find(&0).as_deref(), Some(&0), "{number}");
        }
        let known = (0..100).filter(|number| memory.find(number).is_some());
        assert!(known.count() <= 9);
    }

    #[test]
    fn the_latest_value_counts() {
        let memory = Remembered::new(2);
        for value in 0..10 {
            memory.insert("key", Arc::new(value));
            memory.insert("other", Arc::new(value));
        }
        assert_eq!(memory.find(&"key").as_deref(), Some(&9));
    }
}
