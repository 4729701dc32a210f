//! Things at places that do not move, under keys that are never mistaken.
//!
//! A place is used again after its thing has gone. Its generation counts up then, so that a key kept too long finds nothing
//! rather than a stranger. Adding fails instead of ending the kernel when memory has run out.

use alloc::vec::Vec;

/// Where a thing is, and which one of those that were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) index: u32,
    generation: u32,
}

/// No memory for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

struct Slot<T> {
    generation: u32,
    thing: Option<T>,
}

/// The things.
pub(crate) struct Pool<T> {
    slots: Vec<Slot<T>>,
    /// Empty places. Its capacity is that of `slots`, so that removing a thing allocates nothing.
    free: Vec<u32>,
}

impl<T> Pool<T> {
    pub(crate) const fn new() -> Pool<T> {
        Pool { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// One more than the largest index that a key may have.
    pub(crate) fn end(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn insert(&mut self, thing: T) -> Result<Key, OutOfMemory> {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.thing = Some(thing);
            return Ok(Key { index, generation: slot.generation });
        }
        let index = u32::try_from(self.slots.len()).map_err(|_| OutOfMemory)?;
        self.slots.try_reserve(1).map_err(|_| OutOfMemory)?;
        self.free.try_reserve(self.slots.len() + 1).map_err(|_| OutOfMemory)?;
        self.slots.push(Slot { generation: 0, thing: Some(thing) });
        Ok(Key { index, generation: 0 })
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.slots
            .get(key.index as usize)
            .filter(|slot| slot.generation == key.generation)?
            .thing
            .as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slots
            .get_mut(key.index as usize)
            .filter(|slot| slot.generation == key.generation)?
            .thing
            .as_mut()
    }

    /// The key of what is at `index` now.
    pub(crate) fn key_at(&self, index: u32) -> Option<Key> {
        let slot = self.slots.get(index as usize)?;
        slot.thing.as_ref()?;
        Some(Key { index, generation: slot.generation })
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self
            .slots
            .get_mut(key.index as usize)
            .filter(|slot| slot.generation == key.generation)?;
        let thing = slot.thing.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(thing)
    }

    /// The keys of all things, in no order. Linear.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.slots.iter().enumerate().filter(|(_, slot)| slot.thing.is_some()).map(
            |(index, slot)| Key {
                index: index as u32, // `insert` makes no larger one
                generation: slot.generation,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_kept_too_long_finds_nothing() {
        let mut pool = Pool::new();
        let first = pool.insert('a').unwrap();
        assert_eq!(pool.remove(first), Some('a'));
        let second = pool.insert('b').unwrap();
        assert_eq!(first.index, second.index, "the place is used again");
        assert_eq!((pool.get(first), pool.get(second)), (None, Some(&'b')));
        assert_eq!(pool.remove(first), None);
        assert_eq!(pool.len(), 1);
        assert_eq!(pool.keys().collect::<Vec<_>>(), [second]);
    }
}
