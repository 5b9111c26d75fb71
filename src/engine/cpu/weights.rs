//! Packed weights. All programs of an engine share them, whatever their input size or targets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use xxhash_rust::xxh64::xxh64;

/// The packed weights of all programs of an engine. Clones are the same store.
///
/// What counts is the content: a graph is read, and its weights folded, anew for each input size. A store keeps nothing
/// alive that no program holds.
#[derive(Clone, Default, Debug)]
pub(super) struct WeightStore {
    floats: Arc<Mutex<Known<f32>>>,
    shorts: Arc<Mutex<Known<i16>>>,
}

/// What is held, by its hash.
type Known<T> = HashMap<u64, Vec<Weak<Vec<T>>>>;

impl WeightStore {
    /// These floats, shared with whoever has the same ones, bit for bit.
    pub(super) fn floats(&self, values: Vec<f32>) -> Arc<Vec<f32>> {
        shared(&self.floats, values)
    }

    /// These integers, shared with whoever has the same ones.
    pub(super) fn shorts(&self, values: Vec<i16>) -> Arc<Vec<i16>> {
        shared(&self.shorts, values)
    }

    /// How many pieces of memory some program holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        fn alive<T>(known: &Mutex<Known<T>>) -> usize {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            known.values().flatten().filter(|held| held.strong_count() > 0).count()
        }
        alive(&self.floats) + alive(&self.shorts)
    }
}

fn shared<T: bytemuck::Pod>(known: &Mutex<Known<T>>, mut values: Vec<T>) -> Arc<Vec<T>> {
    let bytes: &[u8] = bytemuck::cast_slice(&values);
    let hash = xxh64(bytes, 0);
    // Whoever panicked while holding the lock left a map that is as good as before.
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let alike = known.entry(hash).or_default();
    alike.retain(|held| held.strong_count() > 0);
    let same = |held: &Weak<Vec<T>>| held.upgrade().filter(|held| bytemuck::cast_slice::<T, u8>(held) == bytes);
    if let Some(held) = alike.iter().find_map(same) {
        return held;
    }
    values.shrink_to_fit();
    let values = Arc::new(values);
    alike.push(Arc::downgrade(&values));
    // Entries whose weights are gone are swept now and then, so that a long session does not gather them.
    if known.len().is_power_of_two() {
        known.retain(|_, alike| alike.iter().any(|held| held.strong_count() > 0));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_are_held_once_and_let_go_of() {
        let store = WeightStore::default();
        let first = store.floats(vec![1.0, -0.0, f32::NAN]);
        let again = store.clone().floats(vec![1.0, -0.0, f32::NAN]);
        assert!(Arc::ptr_eq(&first, &again));
        // Bit for bit: zeros of two signs are two weights.
        assert!(!Arc::ptr_eq(&first, &store.floats(vec![1.0, 0.0, f32::NAN])));
        let gone = Arc::downgrade(&first);
        drop((first, again));
        assert!(gone.upgrade().is_none(), "the store alone holds nothing");
        (0..100).for_each(|i| drop(store.shorts(vec![i; 3])));
        assert!(store.shorts.lock().unwrap().len() < 80, "what is gone is swept");
    }
}
