//! A ring of values from several producers to several consumers.
//!
//! ```
//! use daqring_ring::{WaitStrategy, mpmc};
//!
//! let (producer, consumer) = mpmc::ring(64, WaitStrategy::Adaptive);
//! std::thread::scope(|scope| {
//!     for start in [0, 50] {
//!         let producer = producer.clone();
//!         scope.spawn(move || {
//!             for value in start..start + 50_u64 {
//!                 producer.push(value).expect("a reader lives");
//!             }
//!         });
//!     }
//!     drop(producer); // the last clone to go closes the ring
//!     let readers = [consumer.clone(), consumer].map(|consumer| {
//!         scope.spawn(move || std::iter::from_fn(|| consumer.pop().ok()).sum::<u64>())
//!     });
//!     let sum: u64 = readers.map(|reader| reader.join().unwrap()).iter().sum();
//!     assert_eq!(sum, 4950);
//! });
//! ```
//!
//! Values that must not change threads do not:
//! ```compile_fail
//! let (producer, _consumer) = daqring_ring::mpmc::ring(1, Default::default());
//! producer.try_push(std::rc::Rc::new(1)).unwrap();
//! std::thread::spawn(move || drop(producer));
//! ```

use std::fmt;
use std::mem::MaybeUninit;
use std::time::Instant;

use crate::errors::{PopError, PushError};
use crate::event::EventCount;
use crate::sync::{Arc, AtomicU64, AtomicUsize, Ordering, Padded, UnsafeCell};
use crate::wait::{Backoff, WaitStrategy, Waiter};

/// A cell with the stamp that says whose it is. For a position `p`:
/// `p` means empty, to be written by the push that claims `p`;
/// `p + 1` means full, to be read by the pop that claims `p`;
/// after that it is the position one lap on: empty again.
struct Cell<T> {
    stamp: AtomicUsize,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// A position is a lap (high bits), the closed mark (in `tail` only) and an index
/// into `cells` (low bits), so any capacity will do.
struct Shared<T> {
    cells: Box<[Cell<T>]>,
    /// The mark's bit, above every index.
    closed: usize,
    /// What a lap adds: twice the mark.
    one_lap: usize,
    wait: WaitStrategy,
    /// Consumers wait here.
    filled: EventCount,
    /// Producers wait here.
    freed: EventCount,
    /// Next position to be claimed by a pop.
    head: Padded<AtomicUsize>,
    /// Next position to be claimed by a push, and the mark.
    tail: Padded<AtomicUsize>,
    handles: Padded<Handles>,
}

struct Handles {
    producers: AtomicUsize,
    consumers: AtomicUsize,
    /// What waiting producers and consumers learned, in nanoseconds.
    producers_pace: AtomicU64,
    consumers_pace: AtomicU64,
}

/// Positions that a push or a pop has claimed: `count` cells from `index` on.
struct Claim {
    position: usize,
    index: usize,
    count: usize,
}

impl<T> Shared<T> {
    #[inline(always)]
    fn index(&self, position: usize) -> usize {
        position & (self.closed - 1)
    }

    /// The position `count` cells on, which must not go beyond the lap's end.
    #[inline(always)]
    fn after(&self, position: usize, index: usize, count: usize) -> usize {
        if index + count < self.cells.len() {
            position + count
        } else {
            (position - index).wrapping_add(self.one_lap)
        }
    }

    /// Claims up to `wanted` free cells, fewer at the end of a lap.
    #[inline(always)]
    fn claim_free(&self, wanted: usize) -> Result<Claim, PushError<()>> {
        let mut backoff = Backoff::default();
        let mut tail = self.tail.load(Ordering::Relaxed);
        loop {
            if tail & self.closed != 0 {
                return Err(PushError::Closed(()));
            }
            let index = self.index(tail);
            let most = wanted.min(self.cells.len() - index);
            let mut count = 0;
            while count < most
                && self.cells[index + count].stamp.load(Ordering::Acquire) == tail + count
            {
                count += 1;
            }
            if count > 0 {
                // Nobody but the claimant of a position changes its stamp, so
                // all of these are still free if the tail has not moved.
                match self.tail.compare_exchange_weak(
                    tail,
                    self.after(tail, index, count),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        return Ok(Claim {
                            position: tail,
                            index,
                            count,
                        });
                    }
                    Err(now) => tail = now,
                }
            } else {
                tail = self.look_for_room(tail, index, &mut backoff)?;
            }
        }
    }

    /// The cell at the tail is not free: is the ring full? If not, the tail to
    /// try next.
    #[cold]
    #[inline(never)]
    fn look_for_room(
        &self,
        tail: usize,
        index: usize,
        backoff: &mut Backoff,
    ) -> Result<usize, PushError<()>> {
        // Nothing is read or written because of these two: they carry nothing.
        let stamp = self.cells[index].stamp.load(Ordering::Relaxed);
        if stamp.wrapping_add(self.one_lap) == tail.wrapping_add(1)
            && self.head.load(Ordering::Relaxed).wrapping_add(self.one_lap) == tail
        {
            return Err(PushError::Full(()));
        }
        // A pop has claimed the cell and is about to free it, or the tail has
        // moved.
        backoff.wait();
        Ok(self.tail.load(Ordering::Relaxed))
    }

    /// Claims up to `wanted` full cells, fewer at the end of a lap.
    #[inline(always)]
    fn claim_full(&self, wanted: usize) -> Result<Claim, PopError> {
        let mut backoff = Backoff::default();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let index = self.index(head);
            let most = wanted.min(self.cells.len() - index);
            let mut count = 0;
            while count < most
                && self.cells[index + count].stamp.load(Ordering::Acquire) == head + count + 1
            {
                count += 1;
            }
            if count > 0 {
                match self.head.compare_exchange_weak(
                    head,
                    self.after(head, index, count),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        return Ok(Claim {
                            position: head,
                            index,
                            count,
                        });
                    }
                    Err(now) => head = now,
                }
            } else {
                head = self.look_for_values(head, index, &mut backoff)?;
            }
        }
    }

    /// The cell at the head is not full: is the ring empty? If not, the head to
    /// try next.
    #[cold]
    #[inline(never)]
    fn look_for_values(
        &self,
        head: usize,
        index: usize,
        backoff: &mut Backoff,
    ) -> Result<usize, PopError> {
        if self.cells[index].stamp.load(Ordering::Relaxed) == head {
            // "Closed" tells what the closer did before.
            let tail = self.tail.load(Ordering::Acquire);
            if tail == head {
                return Err(PopError::Empty);
            }
            if tail == head | self.closed {
                return Err(PopError::Closed);
            }
        }
        // A push has claimed the cell and is about to fill it, or the head has
        // moved.
        backoff.wait();
        Ok(self.head.load(Ordering::Relaxed))
    }

    /// Moves a value into the cell that was claimed for `position`.
    ///
    /// # Safety
    /// A `claim_free` of the caller's must cover the position, once.
    #[inline(always)]
    unsafe fn fill(&self, index: usize, position: usize, value: T) {
        let cell = &self.cells[index];
        cell.value.with_mut(|place| {
            // SAFETY: the claim makes the cell ours until its stamp changes.
            unsafe { (*place).write(value) };
        });
        cell.stamp.store(position + 1, Ordering::Release);
    }

    /// Moves the value out of the cell that was claimed for `position`.
    ///
    /// # Safety
    /// A `claim_full` of the caller's must cover the position, once.
    #[inline(always)]
    unsafe fn empty(&self, index: usize, position: usize) -> T {
        let cell = &self.cells[index];
        let value = cell.value.with(|place| {
            // SAFETY: the stamp said that it is filled, and the claim makes it
            // ours until the stamp changes.
            unsafe { (*place).assume_init_read() }
        });
        cell.stamp
            .store(position.wrapping_add(self.one_lap), Ordering::Release);
        value
    }

    #[inline(always)]
    fn try_push(&self, value: T) -> Result<(), PushError<T>> {
        let claim = match self.claim_free(1) {
            Ok(claim) => claim,
            Err(error) => return Err(error.map(|()| value)),
        };
        // SAFETY: the position just claimed.
        unsafe { self.fill(claim.index, claim.position, value) };
        self.filled.notify_one();
        Ok(())
    }

    #[inline(always)]
    fn try_pop(&self) -> Result<T, PopError> {
        let claim = self.claim_full(1)?;
        // SAFETY: the position just claimed.
        let value = unsafe { self.empty(claim.index, claim.position) };
        self.freed.notify_one();
        Ok(value)
    }

    /// Pushes from the front of `values` while there is room. `Ok(0)` if full.
    fn try_push_slice(&self, values: &[T]) -> Result<usize, PushError<usize>>
    where
        T: Copy,
    {
        let mut done = 0;
        // A claim ends with its lap; what is left may fit into the next.
        while done < values.len() {
            let claim = match self.claim_free(values.len() - done) {
                Ok(claim) => claim,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error.map(|()| 0)),
            };
            for (nth, value) in values[done..done + claim.count].iter().enumerate() {
                // SAFETY: the claim covers `count` positions.
                unsafe { self.fill(claim.index + nth, claim.position + nth, *value) };
            }
            self.filled.notify(claim.count);
            done += claim.count;
        }
        Ok(done)
    }

    /// As `try_push_slice`, moving values out of a vector.
    fn try_push_vec(&self, values: &mut Vec<T>) -> Result<usize, PushError<usize>> {
        let mut done = 0;
        while !values.is_empty() {
            let claim = match self.claim_free(values.len()) {
                Ok(claim) => claim,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error.map(|()| 0)),
            };
            // Nothing here can panic before every cell claimed is filled.
            for (nth, value) in values.drain(..claim.count).enumerate() {
                // SAFETY: the claim covers `count` positions.
                unsafe { self.fill(claim.index + nth, claim.position + nth, value) };
            }
            self.filled.notify(claim.count);
            done += claim.count;
        }
        Ok(done)
    }

    /// Gives `take` up to `most` values in order.
    #[inline(always)]
    fn try_pop_each(&self, most: usize, mut take: impl FnMut(T)) -> Result<usize, PopError> {
        let mut done = 0;
        while done < most {
            let claim = match self.claim_full(most - done) {
                Ok(claim) => claim,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            };
            for nth in 0..claim.count {
                // SAFETY: the claim covers `count` positions.
                take(unsafe { self.empty(claim.index + nth, claim.position + nth) });
            }
            self.freed.notify(claim.count);
            done += claim.count;
        }
        Ok(done)
    }

    /// Waits for room. `attempt` gives None while the ring is full.
    fn wait_to_push<R>(
        &self,
        deadline: Option<Instant>,
        attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let pace = &self.handles.producers_pace;
        let mut waiter = Waiter::at_pace(self.wait, pace);
        let done = waiter.wait_patiently(&self.freed, deadline, attempt);
        waiter.remember(pace);
        done
    }

    /// Waits for values. `attempt` gives None while the ring is empty.
    fn wait_to_pop<R>(
        &self,
        deadline: Option<Instant>,
        attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let pace = &self.handles.consumers_pace;
        let mut waiter = Waiter::at_pace(self.wait, pace);
        let done = waiter.wait_patiently(&self.filled, deadline, attempt);
        waiter.remember(pace);
        done
    }

    fn close(&self) {
        self.tail.fetch_or(self.closed, Ordering::Release);
        self.filled.notify_all();
        self.freed.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.tail.load(Ordering::Acquire) & self.closed != 0
    }

    fn len(&self) -> usize {
        loop {
            let tail = self.tail.load(Ordering::Acquire);
            let head = self.head.load(Ordering::Acquire);
            // Both of one moment?
            if self.tail.load(Ordering::Acquire) == tail {
                let tail = tail & !self.closed;
                let (first, end) = (self.index(head), self.index(tail));
                return if first < end {
                    end - first
                } else if first > end {
                    self.cells.len() - first + end
                } else if head == tail {
                    0
                } else {
                    self.cells.len()
                };
            }
            crate::sync::yield_now();
        }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // All handles are gone: no claim is open, and what is full is a value.
        while let Ok(value) = self.try_pop() {
            drop(value);
        }
    }
}

/// Makes a ring for `capacity` values.
///
/// # Panics
/// If `capacity` is 0 or larger than a quarter of `isize::MAX`.
pub fn ring<T>(capacity: usize, wait: WaitStrategy) -> (Producer<T>, Consumer<T>) {
    assert!(capacity > 0, "a ring needs room for at least one value");
    assert!(
        capacity < isize::MAX as usize / 4,
        "a ring of {capacity} values cannot be addressed"
    );
    let closed = (capacity + 1).next_power_of_two();
    let shared = Arc::new(Shared {
        cells: (0..capacity)
            .map(|index| Cell {
                stamp: AtomicUsize::new(index),
                value: UnsafeCell::new(MaybeUninit::uninit()),
            })
            .collect(),
        closed,
        one_lap: closed * 2,
        wait,
        filled: EventCount::new(),
        freed: EventCount::new(),
        head: Padded(AtomicUsize::new(0)),
        tail: Padded(AtomicUsize::new(0)),
        handles: Padded(Handles {
            producers: AtomicUsize::new(1),
            consumers: AtomicUsize::new(1),
            producers_pace: AtomicU64::new(0),
            consumers_pace: AtomicU64::new(0),
        }),
    });
    (
        Producer {
            shared: Arc::clone(&shared),
        },
        Consumer { shared },
    )
}

// SAFETY: values only move between threads, which `T: Send` allows, and a cell is
// touched by one claimant at a time.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

/// The side that pushes. Clone it for more producers, or share it by reference.
/// Dropping the last one closes the ring.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Producer<T> {
    /// Pushes if there is room.
    ///
    /// # Errors
    /// [`PushError::Full`] or [`PushError::Closed`], with the value.
    #[inline]
    pub fn try_push(&self, value: T) -> Result<(), PushError<T>> {
        self.shared.try_push(value)
    }

    /// Pushes, waiting for room.
    ///
    /// # Errors
    /// [`PushError::Closed`], with the value.
    #[inline]
    pub fn push(&self, value: T) -> Result<(), PushError<T>> {
        match self.try_push(value) {
            Err(PushError::Full(value)) => self.push_waiting(value, None),
            done => done,
        }
    }

    /// Pushes, waiting for room no longer than to the deadline.
    ///
    /// # Errors
    /// [`PushError::Timeout`] or [`PushError::Closed`], with the value.
    pub fn push_until(&self, value: T, deadline: Instant) -> Result<(), PushError<T>> {
        match self.try_push(value) {
            Err(PushError::Full(value)) => self.push_waiting(value, Some(deadline)),
            done => done,
        }
    }

    #[cold]
    #[inline(never)]
    fn push_waiting(&self, value: T, deadline: Option<Instant>) -> Result<(), PushError<T>> {
        let mut kept = Some(value);
        self.shared
            .wait_to_push(deadline, || match self.try_push(kept.take()?) {
                Err(PushError::Full(value)) => {
                    kept = Some(value);
                    None
                }
                done => Some(done),
            })
            .or_else(|| kept.map(|value| Err(PushError::Timeout(value))))
            // Neither pushed nor kept cannot be: the attempt puts it back.
            .unwrap_or(Ok(()))
    }

    /// Pushes as many of `values` as there is room for, from the front, claiming
    /// them together. Returns how many, which is not 0 unless `values` is empty.
    ///
    /// # Errors
    /// [`PushError::Full`] or [`PushError::Closed`] if there were none.
    pub fn try_push_slice(&self, values: &[T]) -> Result<usize, PushError<usize>>
    where
        T: Copy,
    {
        self.shared.try_push_slice(values)
    }

    /// Pushes all of `values`, waiting for room as often as it takes. Values of
    /// other producers may come in between.
    ///
    /// # Errors
    /// [`PushError::Closed`], with the number of values pushed before.
    pub fn push_slice(&self, values: &[T]) -> Result<(), PushError<usize>>
    where
        T: Copy,
    {
        let mut done = 0;
        self.push_batches(None, || {
            done += self.shared.try_push_slice(&values[done..])?;
            Ok((done, done == values.len()))
        })
    }

    /// Moves as many values as there is room for from the front of `values`.
    /// Returns how many, which is not 0 unless `values` is empty.
    ///
    /// # Errors
    /// [`PushError::Full`] or [`PushError::Closed`] if there were none.
    pub fn try_push_vec(&self, values: &mut Vec<T>) -> Result<usize, PushError<usize>> {
        self.shared.try_push_vec(values)
    }

    /// Moves all of `values`, waiting for room as often as it takes; what could
    /// not be pushed stays.
    ///
    /// # Errors
    /// [`PushError::Closed`], with the number of values pushed before.
    pub fn push_vec(&self, values: &mut Vec<T>) -> Result<(), PushError<usize>> {
        self.push_vec_before(values, None)
    }

    /// As [`push_vec`](Self::push_vec), waiting no longer than to the deadline.
    ///
    /// # Errors
    /// [`PushError::Timeout`] or [`PushError::Closed`], with the number of values
    /// pushed before.
    pub fn push_vec_until(
        &self,
        values: &mut Vec<T>,
        deadline: Instant,
    ) -> Result<(), PushError<usize>> {
        self.push_vec_before(values, Some(deadline))
    }

    fn push_vec_before(
        &self,
        values: &mut Vec<T>,
        deadline: Option<Instant>,
    ) -> Result<(), PushError<usize>> {
        let mut done = 0;
        self.push_batches(deadline, || {
            done += self.shared.try_push_vec(values)?;
            Ok((done, values.is_empty()))
        })
    }

    /// Repeats `batch`, which says how much is done and whether that is all,
    /// waiting while the ring is full.
    fn push_batches(
        &self,
        deadline: Option<Instant>,
        mut batch: impl FnMut() -> Result<(usize, bool), PushError<usize>>,
    ) -> Result<(), PushError<usize>> {
        let mut done = 0;
        loop {
            let mut attempt = || match batch() {
                Err(PushError::Full(_)) => None,
                other => Some(other),
            };
            let result = match attempt() {
                Some(result) => result,
                None => self
                    .shared
                    .wait_to_push(deadline, attempt)
                    .unwrap_or(Err(PushError::Timeout(done))),
            };
            match result {
                Ok((_, true)) => return Ok(()),
                Ok((now, false)) => done = now,
                Err(error) => return Err(error.map(|_| done)),
            }
        }
    }

    /// No value after this, from any producer. Consumers get the rest, then
    /// "closed".
    pub fn close(&self) {
        self.shared.close();
    }

    /// Has any side closed the ring?
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Values in the ring at some moment during the call.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Is the ring empty?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most values the ring can hold.
    pub fn capacity(&self) -> usize {
        self.shared.cells.len()
    }
}

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        self.shared
            .handles
            .producers
            .fetch_add(1, Ordering::Relaxed);
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        if self.shared.handles.producers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.close();
        }
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpmc::Producer").finish_non_exhaustive()
    }
}

/// The side that pops. Clone it for more consumers, or share it by reference.
/// Dropping the last one closes the ring.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Consumer<T> {
    /// Pops the oldest value, if any.
    ///
    /// # Errors
    /// [`PopError::Empty`] or [`PopError::Closed`].
    #[inline]
    pub fn try_pop(&self) -> Result<T, PopError> {
        self.shared.try_pop()
    }

    /// Pops the oldest value, waiting for one.
    ///
    /// # Errors
    /// [`PopError::Closed`].
    #[inline]
    pub fn pop(&self) -> Result<T, PopError> {
        match self.try_pop() {
            Err(PopError::Empty) => self.pop_waiting(None),
            done => done,
        }
    }

    /// Pops the oldest value, waiting no longer than to the deadline.
    ///
    /// # Errors
    /// [`PopError::Timeout`] or [`PopError::Closed`].
    pub fn pop_until(&self, deadline: Instant) -> Result<T, PopError> {
        match self.try_pop() {
            Err(PopError::Empty) => self.pop_waiting(Some(deadline)),
            done => done,
        }
    }

    #[cold]
    #[inline(never)]
    fn pop_waiting(&self, deadline: Option<Instant>) -> Result<T, PopError> {
        self.wait_for(deadline, || self.try_pop())
    }

    /// Fills as much of `values` as there are values, from the front, claiming
    /// them together. Returns how many, which is not 0 unless `values` is empty.
    ///
    /// # Errors
    /// [`PopError::Empty`] or [`PopError::Closed`] if there were none.
    pub fn try_pop_slice(&self, values: &mut [T]) -> Result<usize, PopError>
    where
        T: Copy,
    {
        let most = values.len();
        let mut places = values.iter_mut();
        self.shared.try_pop_each(most, |value| {
            if let Some(place) = places.next() {
                *place = value;
            }
        })
    }

    /// As [`try_pop_slice`](Self::try_pop_slice), waiting for the first value.
    ///
    /// # Errors
    /// [`PopError::Closed`].
    pub fn pop_slice(&self, values: &mut [T]) -> Result<usize, PopError>
    where
        T: Copy,
    {
        match self.try_pop_slice(values) {
            Err(PopError::Empty) => self.wait_for(None, || self.try_pop_slice(values)),
            done => done,
        }
    }

    /// Appends up to `most` values to `values`. Returns how many, which is not 0
    /// unless `most` is.
    ///
    /// # Errors
    /// [`PopError::Empty`] or [`PopError::Closed`] if there were none.
    pub fn try_pop_vec(&self, values: &mut Vec<T>, most: usize) -> Result<usize, PopError> {
        // Room beforehand: nothing may panic while cells are claimed.
        values.reserve(most.min(self.len().max(1)));
        let most = most.min(values.capacity() - values.len());
        self.shared.try_pop_each(most, |value| values.push(value))
    }

    /// As [`try_pop_vec`](Self::try_pop_vec), waiting for the first value.
    ///
    /// # Errors
    /// [`PopError::Closed`].
    pub fn pop_vec(&self, values: &mut Vec<T>, most: usize) -> Result<usize, PopError> {
        match self.try_pop_vec(values, most) {
            Err(PopError::Empty) => self.wait_for(None, || self.try_pop_vec(values, most)),
            done => done,
        }
    }

    /// As [`pop_vec`](Self::pop_vec), waiting no longer than to the deadline.
    ///
    /// # Errors
    /// [`PopError::Timeout`] or [`PopError::Closed`].
    pub fn pop_vec_until(
        &self,
        values: &mut Vec<T>,
        most: usize,
        deadline: Instant,
    ) -> Result<usize, PopError> {
        match self.try_pop_vec(values, most) {
            Err(PopError::Empty) => {
                self.wait_for(Some(deadline), || self.try_pop_vec(values, most))
            }
            done => done,
        }
    }

    fn wait_for<R>(
        &self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut() -> Result<R, PopError>,
    ) -> Result<R, PopError> {
        self.shared
            .wait_to_pop(deadline, || match attempt() {
                Err(PopError::Empty) => None,
                done => Some(done),
            })
            .unwrap_or(Err(PopError::Timeout))
    }

    /// Gives up for all consumers: pushes fail from now on, also those that wait.
    /// What was pushed can still be popped.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Has any side closed the ring?
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Values in the ring at some moment during the call.
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Is the ring empty?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most values the ring can hold.
    pub fn capacity(&self) -> usize {
        self.shared.cells.len()
    }
}

impl<T> Clone for Consumer<T> {
    fn clone(&self) -> Self {
        self.shared
            .handles
            .consumers
            .fetch_add(1, Ordering::Relaxed);
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        if self.shared.handles.consumers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.close();
        }
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpmc::Consumer").finish_non_exhaustive()
    }
}
