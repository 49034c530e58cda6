//! One aligned piece of memory for all slots of a ring.

use std::fmt;
use std::ptr::NonNull;

/// Every slot starts on a multiple of this: a page, and what direct I/O asks for.
pub(crate) const ALIGN: usize = 4096;

/// What is touched before a ring that wants its pages ready is handed out. The
/// rest follows beside its use, where the system can do that.
const FIRST: usize = 32 << 20;

/// Why a ring of slots could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArenaError {
    /// No slots, or slots of no bytes.
    Empty,
    /// More slots or bytes than can be addressed.
    TooLarge {
        /// Bytes asked for per slot.
        slot_bytes: usize,
        /// Slots asked for.
        slots: usize,
    },
    /// The system has not that much memory to give.
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
}

impl fmt::Display for ArenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(
                f,
                "a ring needs at least one slot of at least one byte; ask for more than zero"
            ),
            Self::TooLarge { slot_bytes, slots } => write!(
                f,
                "{slots} slots of {slot_bytes} bytes are more than can be addressed; \
                 ask for fewer or smaller slots"
            ),
            Self::OutOfMemory { bytes } => write!(
                f,
                "the system refused {bytes} bytes for the ring's slots; \
                 ask for fewer or smaller slots, or free some memory"
            ),
        }
    }
}

impl std::error::Error for ArenaError {}

/// Zeroed memory for `slots` slots, each on a boundary of [`ALIGN`].
pub(crate) struct Arena {
    /// Has to end before the memory is given back.
    faulting: Option<memory::Faulting>,
    base: NonNull<u8>,
    bytes: usize,
    stride: usize,
}

// SAFETY: the arena only holds the memory; who may touch which slot is decided
// by the ring.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    pub(crate) fn new(slot_bytes: usize, slots: usize, prefault: bool) -> Result<Self, ArenaError> {
        if slot_bytes == 0 || slots == 0 {
            return Err(ArenaError::Empty);
        }
        let too_large = ArenaError::TooLarge { slot_bytes, slots };
        let stride = slot_bytes
            .checked_next_multiple_of(ALIGN)
            .ok_or(too_large)?;
        let bytes = stride
            .checked_mul(slots)
            .filter(|&bytes| bytes <= isize::MAX as usize - 2 * ALIGN)
            .ok_or(too_large)?;
        let mut arena = Self {
            faulting: None,
            base: memory::take(bytes).ok_or(ArenaError::OutOfMemory { bytes })?,
            bytes,
            stride,
        };
        if prefault {
            // The slots that are used first, and again and again while the
            // consumers keep up, are the first ones.
            arena.faulting = memory::fault_behind(arena.base, FIRST.min(bytes), bytes);
            let now = match arena.faulting {
                Some(_) => FIRST.min(bytes),
                None => bytes,
            };
            for page in (0..now).step_by(ALIGN) {
                // SAFETY: `page` is inside the memory just taken, which nobody
                // else writes yet. Volatile, or the write of zero to zeroed
                // memory could be left out.
                unsafe { arena.base.add(page).write_volatile(0) };
            }
        }
        Ok(arena)
    }

    pub(crate) fn slot(&self, slot: u32) -> NonNull<u8> {
        let offset = slot as usize * self.stride;
        assert!(offset < self.bytes, "slot {slot} is outside of the arena");
        // SAFETY: just checked.
        unsafe { self.base.add(offset) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // Ends the thread that works on the memory.
        self.faulting = None;
        // SAFETY: taken with the same size in `new`, and given back once.
        unsafe { memory::give(self.base, self.bytes) };
    }
}

/// Pages from the system: zeroed when first touched, not before.
#[cfg(all(target_os = "linux", not(daqring_portable), not(loom)))]
mod memory {
    use std::ptr::{NonNull, null_mut};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::JoinHandle;
    use std::time::{Duration, Instant};

    /// A recording that ends sooner never needs the rest.
    const DELAY: Duration = Duration::from_secs(1);
    /// Made ready at a time: so long, at most, is the wait for the thread to end.
    const PIECE: usize = 2 << 20;
    /// Rests so long after each, and so many times as long as it works: the stream comes
    /// first, and 20 MB a second are ahead of any backlog but a sudden one, whose pages
    /// are then faulted when they are used.
    const PACE: Duration = Duration::from_millis(100);
    const REST: u32 = 2;

    /// A thread that makes pages ready; ends when it is dropped.
    pub(super) struct Faulting {
        stop: Arc<AtomicBool>,
        thread: Option<JoinHandle<()>>,
    }

    struct Pages(NonNull<u8>);
    // SAFETY: an address, which the kernel is asked about and nobody reads.
    unsafe impl Send for Pages {}

    /// Makes the pages from `from` to `end` ready while they are in use. `None`:
    /// there are none, or this system cannot do it.
    ///
    /// The memory must be that of one `take` and outlive what is returned.
    pub(super) fn fault_behind(base: NonNull<u8>, from: usize, end: usize) -> Option<Faulting> {
        // Since Linux 5.14; it is also the proof that the first piece can be had.
        if from >= end || !populate(base, from, (end - from).min(PIECE)) {
            return None;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (pages, stopped) = (Pages(base), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("daqring-pages".to_owned())
            .spawn(move || {
                let pages = pages;
                let mut rest = DELAY;
                for at in (from + PIECE..end).step_by(PIECE) {
                    std::thread::park_timeout(rest);
                    if stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    let begin = Instant::now();
                    // Pages that are not to be had now are faulted when they are used.
                    populate(pages.0, at, (end - at).min(PIECE));
                    rest = PACE.max(begin.elapsed() * REST);
                }
            })
            .ok()?;
        Some(Faulting {
            stop,
            thread: Some(thread),
        })
    }

    /// Faults pages in without a change of what is in them.
    fn populate(base: NonNull<u8>, at: usize, bytes: usize) -> bool {
        // SAFETY: the pages are in a mapping that lives, and their contents stay
        // as they are, whoever reads or writes them meanwhile.
        unsafe {
            let start = base.as_ptr().add(at).cast();
            libc::madvise(start, bytes, libc::MADV_POPULATE_WRITE) == 0
        }
    }

    impl Drop for Faulting {
        fn drop(&mut self) {
            self.stop.store(true, Ordering::Relaxed);
            if let Some(thread) = self.thread.take() {
                thread.thread().unpark();
                // It does nothing that could panic.
                let _ = thread.join();
            }
        }
    }

    /// Where the saving in page-table walks is worth having.
    const HUGE_FROM: usize = 4 << 20;

    pub(super) fn take(bytes: usize) -> Option<NonNull<u8>> {
        // SAFETY: a fresh private mapping, at a place of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return None;
        }
        if bytes >= HUGE_FROM {
            // A wish, so its failure does not matter.
            // SAFETY: exactly the mapping that was made above.
            unsafe { libc::madvise(base, bytes, libc::MADV_HUGEPAGE) };
        }
        NonNull::new(base.cast())
    }

    /// # Safety
    /// `base` and `bytes` must be those of one `take`, given back once.
    pub(super) unsafe fn give(base: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller's promise.
        unsafe { libc::munmap(base.as_ptr().cast(), bytes) };
    }
}

#[cfg(not(all(target_os = "linux", not(daqring_portable), not(loom))))]
mod memory {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    /// Not on this system.
    pub(super) enum Faulting {}

    pub(super) fn fault_behind(_: NonNull<u8>, _: usize, _: usize) -> Option<Faulting> {
        None
    }

    pub(super) fn take(bytes: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(bytes, super::ALIGN).ok()?;
        // SAFETY: `bytes` is not zero: neither slots nor their sizes are.
        NonNull::new(unsafe { alloc_zeroed(layout) })
    }

    /// # Safety
    /// `base` and `bytes` must be those of one `take`, given back once.
    pub(super) unsafe fn give(base: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller's promise, and `take` built the same layout.
        unsafe {
            dealloc(
                base.as_ptr(),
                Layout::from_size_align_unchecked(bytes, super::ALIGN),
            );
        };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn slots_are_aligned_zeroed_and_apart() {
        for prefault in [false, true] {
            let arena = Arena::new(5000, 3, prefault).unwrap();
            let at = |slot| arena.slot(slot).as_ptr() as usize;
            assert_eq!(at(0) % ALIGN, 0);
            assert_eq!(at(1) - at(0), 8192);
            assert_eq!(at(2) - at(1), 8192);
            // SAFETY: nobody else has this arena.
            let bytes = unsafe { std::slice::from_raw_parts(arena.slot(2).as_ptr(), 8192) };
            assert!(bytes.iter().all(|&byte| byte == 0));
        }
    }

    #[cfg(all(target_os = "linux", not(daqring_portable)))]
    #[test]
    fn pages_become_ready_beside_their_use_and_keep_what_is_in_them() {
        const BYTES: usize = FIRST + (9 << 20) + 5 * ALIGN;
        let arena = Arena::new(ALIGN, BYTES / ALIGN, true).unwrap();
        let ready = || {
            let mut pages = vec![0u8; BYTES / ALIGN];
            // SAFETY: the arena's own mapping, and a byte for each of its pages.
            let told =
                unsafe { libc::mincore(arena.base.as_ptr().cast(), BYTES, pages.as_mut_ptr()) };
            assert_eq!(told, 0);
            pages.iter().filter(|&&page| page & 1 == 1).count()
        };
        assert!(ready() >= FIRST / ALIGN);
        // In between is what nobody touches: a huge page is ready once any of it was.
        let (first, all) = ((FIRST / ALIGN) as u32, (BYTES / ALIGN) as u32);
        let slots = (0..first).step_by(97).chain(all - 5..all);
        for slot in slots.clone() {
            // SAFETY: nobody else has this arena.
            unsafe { arena.slot(slot).write_bytes(slot as u8, ALIGN) };
        }
        let begin = std::time::Instant::now();
        while arena.faulting.is_some() && ready() < BYTES / ALIGN {
            assert!(
                begin.elapsed().as_secs() < 60,
                "{} pages are ready",
                ready()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(ready(), BYTES / ALIGN);
        for slot in slots {
            // SAFETY: as above.
            let bytes = unsafe { std::slice::from_raw_parts(arena.slot(slot).as_ptr(), ALIGN) };
            assert!(bytes.iter().all(|&byte| byte == slot as u8), "slot {slot}");
        }
        // Given back before the thread has done all, too.
        drop(Arena::new(ALIGN, BYTES / ALIGN, true).unwrap());
    }

    #[test]
    fn what_cannot_be_had_is_an_error() {
        assert_eq!(Arena::new(0, 1, false).err(), Some(ArenaError::Empty));
        assert_eq!(Arena::new(1, 0, false).err(), Some(ArenaError::Empty));
        let too_large = |slot_bytes, slots| {
            matches!(
                Arena::new(slot_bytes, slots, false),
                Err(ArenaError::TooLarge { .. })
            )
        };
        assert!(too_large(usize::MAX, 1));
        assert!(too_large(4096, usize::MAX / 4096));
        assert!(matches!(
            Arena::new(1 << 20, 1 << 40, false),
            Err(ArenaError::OutOfMemory { .. })
        ));
    }
}
