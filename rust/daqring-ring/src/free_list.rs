//! The free slots, most recently freed first.

use crate::sync::{AtomicU32, Ordering, Padded};

const NONE: u32 = u32::MAX;

/// A stack of slot numbers with many pushers and one popper.
///
/// The slot freed last is the one most likely still in a cache: where an arena
/// outgrows the cache, reusing slots in turn reads and writes memory instead.
///
/// One popper means no ABA: between its read of the head and its exchange nobody
/// else can take the head away and bring it back.
pub(crate) struct FreeList {
    head: Padded<AtomicU32>,
    next: Box<[AtomicU32]>,
}

impl FreeList {
    /// The largest number of slots: one number means "none".
    pub(crate) const MOST: usize = NONE as usize;

    /// All of `count` slots free, number 0 first.
    pub(crate) fn full(count: u32) -> Self {
        Self {
            head: Padded(AtomicU32::new(0)),
            next: (1..=count)
                .map(|next| AtomicU32::new(if next == count { NONE } else { next }))
                .collect(),
        }
    }

    /// A hint: true may be outdated at once, false only by a pop.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed) == NONE
    }

    /// Gives a slot back.
    pub(crate) fn push(&self, slot: u32) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            self.next[slot as usize].store(head, Ordering::Relaxed);
            match self
                .head
                .compare_exchange_weak(head, slot, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes the slot freed last.
    ///
    /// # Safety
    /// No two calls may overlap: the list has no defence against ABA.
    pub(crate) unsafe fn pop(&self) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            if head == NONE {
                return None;
            }
            let next = self.next[head as usize].load(Ordering::Relaxed);
            match self
                .head
                // The load has carried it: a slot that is the head cannot leave and come back meanwhile.
                .compare_exchange_weak(head, next, Ordering::Relaxed, Ordering::Acquire)
            {
                Ok(_) => return Some(head),
                Err(now) => head = now,
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_slot_freed_last_comes_first() {
        let list = FreeList::full(3);
        // SAFETY: one thread.
        let pop = || unsafe { list.pop() };
        assert_eq!(
            (pop(), pop(), pop(), pop()),
            (Some(0), Some(1), Some(2), None)
        );
        list.push(1);
        list.push(0);
        assert_eq!((pop(), pop(), pop()), (Some(0), Some(1), None));
    }
}
