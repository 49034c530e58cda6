//! A ring of values from one producer to one consumer.
//!
//! ```
//! use daqring_ring::{WaitStrategy, spsc};
//!
//! let (mut producer, mut consumer) = spsc::ring(1024, WaitStrategy::Adaptive);
//! let reader = std::thread::spawn(move || {
//!     let mut sum = 0;
//!     while let Ok(value) = consumer.pop() {
//!         sum += value;
//!     }
//!     sum
//! });
//! for value in 0..100_u64 {
//!     producer.push(value).expect("the reader lives");
//! }
//! drop(producer); // closes: the rest is drained, then pop() says Closed
//! assert_eq!(reader.join().unwrap(), 4950);
//! ```
//!
//! There is one of each handle, for one thread at a time:
//! ```compile_fail
//! let (producer, _consumer) = daqring_ring::spsc::ring::<u8>(1, Default::default());
//! let second = producer.clone();
//! ```
//! ```compile_fail
//! let (mut producer, _consumer) = daqring_ring::spsc::ring::<u8>(1, Default::default());
//! std::thread::scope(|scope| {
//!     scope.spawn(|| producer.try_push(1));
//!     scope.spawn(|| producer.try_push(2));
//! });
//! ```
//! Values that must not change threads do not:
//! ```compile_fail
//! let (mut producer, _consumer) = daqring_ring::spsc::ring(1, Default::default());
//! producer.try_push(std::rc::Rc::new(1)).unwrap();
//! std::thread::spawn(move || drop(producer));
//! ```

use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::time::Instant;

use crate::errors::{PopError, PushError};
use crate::event::EventCount;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Ordering, Padded, UnsafeCell};
use crate::wait::{WaitStrategy, Waiter};

type Cell<T> = UnsafeCell<MaybeUninit<T>>;

/// Positions count for ever and wrap with `usize`; position `p` is in
/// `cells[p & mask]`. A position from `head` to `tail` is the consumer's, every
/// other the producer's.
struct Shared<T> {
    cells: Box<[Cell<T>]>,
    closed: AtomicBool,
    /// The consumer waits here.
    filled: EventCount,
    /// The producer waits here.
    freed: EventCount,
    /// Next position to be popped. The consumer writes it.
    head: Padded<AtomicUsize>,
    /// Next position to be published. The producer writes it.
    tail: Padded<AtomicUsize>,
}

impl<T> Shared<T> {
    #[inline(always)]
    fn cell(&self, position: usize) -> &Cell<T> {
        let mask = self.cells.len() - 1;
        // SAFETY: the number of cells is a power of two, so masking by one less
        // than it gives an index below it.
        unsafe { self.cells.get_unchecked(position & mask) }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.filled.notify_all();
        self.freed.notify_all();
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Both handles are gone, so these are final.
        let tail = self.tail.load(Ordering::Acquire);
        let mut head = self.head.load(Ordering::Acquire);
        while head != tail {
            self.cell(head).with_mut(|cell| {
                // SAFETY: published and not popped, so it holds a value.
                unsafe { (*cell).assume_init_drop() }
            });
            head = head.wrapping_add(1);
        }
    }
}

/// Makes a ring for `capacity` values.
///
/// # Panics
/// If `capacity` is 0 or larger than `isize::MAX`.
pub fn ring<T>(capacity: usize, wait: WaitStrategy) -> (Producer<T>, Consumer<T>) {
    assert!(capacity > 0, "a ring needs room for at least one value");
    assert!(
        capacity <= isize::MAX as usize,
        "a ring of {capacity} values cannot be addressed"
    );
    let cells = capacity.next_power_of_two();
    let shared = Arc::new(Shared {
        cells: (0..cells)
            .map(|_| UnsafeCell::new(MaybeUninit::uninit()))
            .collect(),
        closed: AtomicBool::new(false),
        filled: EventCount::new(),
        freed: EventCount::new(),
        head: Padded(AtomicUsize::new(0)),
        tail: Padded(AtomicUsize::new(0)),
    });
    (
        Producer {
            shared: Arc::clone(&shared),
            tail: 0,
            head: 0,
            capacity,
            waiter: Waiter::new(wait),
            owns: PhantomData,
        },
        Consumer {
            shared,
            head: 0,
            tail: 0,
            capacity,
            waiter: Waiter::new(wait),
            owns: PhantomData,
        },
    )
}

/// The side that pushes. Dropping it closes the ring.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// Next position to be written.
    tail: usize,
    /// The head as last seen: the consumer's line is read only when the ring
    /// looks full.
    head: usize,
    capacity: usize,
    waiter: Waiter,
    /// Neither `Sync` nor, without `T: Send`, `Send`.
    owns: PhantomData<std::cell::Cell<T>>,
}

// SAFETY: values go to another thread, which `T: Send` allows; the positions a
// handle may touch are its own wherever it is.
unsafe impl<T: Send> Send for Producer<T> {}

impl<T> Producer<T> {
    /// Pushes if there is room.
    ///
    /// # Errors
    /// [`PushError::Full`] or [`PushError::Closed`], with the value.
    #[inline]
    pub fn try_push(&mut self, value: T) -> Result<(), PushError<T>> {
        self.write(value)?;
        self.publish();
        Ok(())
    }

    /// Pushes, waiting for room.
    ///
    /// # Errors
    /// [`PushError::Closed`], with the value.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), PushError<T>> {
        match self.try_push(value) {
            Err(PushError::Full(value)) => self.push_waiting(value, None),
            done => done,
        }
    }

    /// Pushes, waiting for room no longer than to the deadline.
    ///
    /// # Errors
    /// [`PushError::Timeout`] or [`PushError::Closed`], with the value.
    pub fn push_until(&mut self, value: T, deadline: Instant) -> Result<(), PushError<T>> {
        match self.try_push(value) {
            Err(PushError::Full(value)) => self.push_waiting(value, Some(deadline)),
            done => done,
        }
    }

    #[cold]
    #[inline(never)]
    fn push_waiting(&mut self, value: T, deadline: Option<Instant>) -> Result<(), PushError<T>> {
        if !self.wait_for_room(deadline) {
            return Err(PushError::Timeout(value));
        }
        // There is room or the ring is closed: never full.
        self.try_push(value)
    }

    /// Pushes as many of `values` as there is room for, from the front, and
    /// publishes them at once. Returns how many, which is not 0 unless `values`
    /// is empty.
    ///
    /// # Errors
    /// [`PushError::Full`] or [`PushError::Closed`] if there were none.
    #[inline]
    pub fn try_push_slice(&mut self, values: &[T]) -> Result<usize, PushError<usize>>
    where
        T: Copy,
    {
        let count = self.room_for(values.len())?;
        let (first, second) = self.cells(self.tail, count);
        let (early, late) = values[..count].split_at(first.len());
        for (cells, values) in [(first, early), (second, late)] {
            for (cell, value) in cells.iter().zip(values) {
                cell.with_mut(|cell| {
                    // SAFETY: `room_for` found these positions to be ours, and
                    // the consumer does not touch them before they are published.
                    unsafe { (*cell).write(*value) };
                });
            }
        }
        self.tail = self.tail.wrapping_add(count);
        self.publish();
        Ok(count)
    }

    /// Pushes all of `values`, waiting for room as often as it takes.
    ///
    /// # Errors
    /// [`PushError::Closed`], with the number of values pushed before.
    pub fn push_slice(&mut self, values: &[T]) -> Result<(), PushError<usize>>
    where
        T: Copy,
    {
        self.push_slice_before(values, None)
    }

    /// As [`push_slice`](Self::push_slice), waiting no longer than to the deadline.
    ///
    /// # Errors
    /// [`PushError::Timeout`] or [`PushError::Closed`], with the number of values
    /// pushed before.
    pub fn push_slice_until(
        &mut self,
        values: &[T],
        deadline: Instant,
    ) -> Result<(), PushError<usize>>
    where
        T: Copy,
    {
        self.push_slice_before(values, Some(deadline))
    }

    fn push_slice_before(
        &mut self,
        values: &[T],
        deadline: Option<Instant>,
    ) -> Result<(), PushError<usize>>
    where
        T: Copy,
    {
        let mut done = 0;
        while done < values.len() {
            match self.try_push_slice(&values[done..]) {
                Ok(count) => done += count,
                Err(PushError::Full(_)) => {
                    if !self.wait_for_room(deadline) {
                        return Err(PushError::Timeout(done));
                    }
                }
                Err(error) => return Err(error.map(|_| done)),
            }
        }
        Ok(())
    }

    /// Pushes values for as long as there are some and there is room, and
    /// publishes them at once. Returns how many; a value is only taken from the
    /// iterator when there is room for it.
    ///
    /// # Errors
    /// [`PushError::Full`] or [`PushError::Closed`] if there was no room at all.
    pub fn try_push_iter(
        &mut self,
        values: &mut impl Iterator<Item = T>,
    ) -> Result<usize, PushError<usize>> {
        let room = self.room_for(usize::MAX)?;
        // Publishes also if the iterator panics: what was written is valid.
        let batch = self.deferred(usize::MAX);
        let mut count = 0;
        for value in values.take(room) {
            batch.producer.write_unchecked(value);
            count += 1;
        }
        Ok(count)
    }

    /// Lets pushes be published `every` so many at a time: cheaper for both
    /// sides, and later for the consumer. Whatever is left is published when the
    /// guard is dropped, asked to, or finds the ring full.
    pub fn deferred(&mut self, every: usize) -> Deferred<'_, T> {
        Deferred {
            published: self.tail,
            every,
            producer: self,
        }
    }

    /// No value after this. The consumer gets the rest, then "closed".
    pub fn close(&mut self) {
        self.shared.close();
    }

    /// Has either side closed the ring?
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Values in the ring; the consumer may be taking some now.
    pub fn len(&self) -> usize {
        self.tail
            .wrapping_sub(self.shared.head.load(Ordering::Acquire))
    }

    /// Is the ring empty?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most values the ring can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Writes without publishing.
    #[inline(always)]
    fn write(&mut self, value: T) -> Result<(), PushError<T>> {
        if self.shared.closed.load(Ordering::Relaxed) {
            return Err(PushError::Closed(value));
        }
        if self.tail.wrapping_sub(self.head) >= self.capacity {
            self.head = self.shared.head.load(Ordering::Acquire);
            if self.tail.wrapping_sub(self.head) >= self.capacity {
                return Err(PushError::Full(value));
            }
        }
        self.write_unchecked(value);
        Ok(())
    }

    /// Writes where there is known to be room.
    #[inline(always)]
    fn write_unchecked(&mut self, value: T) {
        debug_assert!(self.tail.wrapping_sub(self.head) < self.capacity);
        self.shared.cell(self.tail).with_mut(|cell| {
            // SAFETY: the position is ours: less than `capacity` ahead of a head
            // that the consumer has passed.
            unsafe { (*cell).write(value) };
        });
        self.tail = self.tail.wrapping_add(1);
    }

    #[inline(always)]
    fn publish(&mut self) {
        self.shared.tail.store(self.tail, Ordering::Release);
        self.shared.filled.notify_one();
    }

    /// How many values can be written now, `wanted` at most.
    #[inline(always)]
    fn room_for(&mut self, wanted: usize) -> Result<usize, PushError<usize>> {
        if self.shared.closed.load(Ordering::Relaxed) && wanted != 0 {
            return Err(PushError::Closed(0));
        }
        let mut room = self.capacity - self.tail.wrapping_sub(self.head);
        if room < wanted {
            self.head = self.shared.head.load(Ordering::Acquire);
            room = self.capacity - self.tail.wrapping_sub(self.head);
            if room == 0 && wanted != 0 {
                return Err(PushError::Full(0));
            }
        }
        Ok(room.min(wanted))
    }

    /// The cells from a position on, before and after the wrap.
    #[inline(always)]
    fn cells(&self, position: usize, count: usize) -> (&[Cell<T>], &[Cell<T>]) {
        wrapping(&self.shared.cells, position, count)
    }

    /// Waits until there is room or the ring is closed; false at the deadline.
    fn wait_for_room(&mut self, deadline: Option<Instant>) -> bool {
        let (shared, full) = (&*self.shared, self.tail.wrapping_sub(self.capacity));
        self.waiter
            .wait(&shared.freed, deadline, || {
                (shared.head.load(Ordering::Acquire) != full
                    || shared.closed.load(Ordering::Acquire))
                .then_some(())
            })
            .is_some()
    }
}

/// `count` cells from a position on: those before the wrap and those after.
#[inline(always)]
fn wrapping<T>(cells: &[Cell<T>], position: usize, count: usize) -> (&[Cell<T>], &[Cell<T>]) {
    let start = position & (cells.len() - 1);
    let before = count.min(cells.len() - start);
    (&cells[start..start + before], &cells[..count - before])
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        // A `Deferred` may have been forgotten.
        self.publish();
        self.shared.close();
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("spsc::Producer").finish_non_exhaustive()
    }
}

/// Pushes that are published some at a time. See [`Producer::deferred`].
#[derive(Debug)]
pub struct Deferred<'a, T> {
    producer: &'a mut Producer<T>,
    published: usize,
    every: usize,
}

impl<T> Deferred<'_, T> {
    /// Pushes if there is room.
    ///
    /// # Errors
    /// As [`Producer::try_push`].
    #[inline]
    pub fn try_push(&mut self, value: T) -> Result<(), PushError<T>> {
        match self.producer.write(value) {
            Ok(()) => {
                if self.producer.tail.wrapping_sub(self.published) >= self.every {
                    self.publish();
                }
                Ok(())
            }
            Err(error) => {
                // The consumer cannot make room by what it does not see.
                self.publish();
                Err(error)
            }
        }
    }

    /// Pushes, waiting for room.
    ///
    /// # Errors
    /// As [`Producer::push`].
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), PushError<T>> {
        match self.try_push(value) {
            Err(PushError::Full(value)) => {
                self.producer.push_waiting(value, None)?;
                self.published = self.producer.tail;
                Ok(())
            }
            done => done,
        }
    }

    /// Shows the consumer everything that was pushed.
    #[inline]
    pub fn publish(&mut self) {
        if self.published != self.producer.tail {
            self.producer.publish();
            self.published = self.producer.tail;
        }
    }
}

impl<T> Drop for Deferred<'_, T> {
    fn drop(&mut self) {
        self.publish();
    }
}

/// The side that pops. Dropping it closes the ring.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    /// Next position to be read.
    head: usize,
    /// The tail as last seen: the producer's line is read only when the ring
    /// looks empty.
    tail: usize,
    capacity: usize,
    waiter: Waiter,
    owns: PhantomData<std::cell::Cell<T>>,
}

// SAFETY: as for the producer.
unsafe impl<T: Send> Send for Consumer<T> {}

impl<T> Consumer<T> {
    /// Pops the oldest value, if any.
    ///
    /// # Errors
    /// [`PopError::Empty`] or [`PopError::Closed`].
    #[inline]
    pub fn try_pop(&mut self) -> Result<T, PopError> {
        if self.head == self.tail {
            self.tail = self.shared.tail.load(Ordering::Acquire);
            if self.head == self.tail {
                self.look_for_the_end()?;
            }
        }
        let value = self.shared.cell(self.head).with(|cell| {
            // SAFETY: the position is published and not yet popped, and moving
            // the head makes sure that this is the only read of the value.
            unsafe { (*cell).assume_init_read() }
        });
        self.advance(1);
        Ok(value)
    }

    /// Pops the oldest value, waiting for one.
    ///
    /// # Errors
    /// [`PopError::Closed`].
    #[inline]
    pub fn pop(&mut self) -> Result<T, PopError> {
        match self.try_pop() {
            Err(PopError::Empty) => self.pop_waiting(None),
            done => done,
        }
    }

    /// Pops the oldest value, waiting no longer than to the deadline.
    ///
    /// # Errors
    /// [`PopError::Timeout`] or [`PopError::Closed`].
    pub fn pop_until(&mut self, deadline: Instant) -> Result<T, PopError> {
        match self.try_pop() {
            Err(PopError::Empty) => self.pop_waiting(Some(deadline)),
            done => done,
        }
    }

    #[cold]
    #[inline(never)]
    fn pop_waiting(&mut self, deadline: Option<Instant>) -> Result<T, PopError> {
        self.wait_for_values(deadline)?;
        self.try_pop()
    }

    /// Fills as much of `values` as there are values, from the front. Returns how
    /// many, which is not 0 unless `values` is empty.
    ///
    /// # Errors
    /// [`PopError::Empty`] or [`PopError::Closed`] if there were none.
    #[inline]
    pub fn try_pop_slice(&mut self, values: &mut [T]) -> Result<usize, PopError>
    where
        T: Copy,
    {
        let count = self.available(values.len())?;
        let (first, second) = wrapping(&self.shared.cells, self.head, count);
        let (early, late) = values[..count].split_at_mut(first.len());
        for (cells, values) in [(first, early), (second, late)] {
            for (cell, value) in cells.iter().zip(values) {
                *value = cell.with(|cell| {
                    // SAFETY: published and not yet popped, as `available` says.
                    unsafe { (*cell).assume_init_read() }
                });
            }
        }
        self.advance(count);
        Ok(count)
    }

    /// As [`try_pop_slice`](Self::try_pop_slice), waiting for the first value.
    ///
    /// # Errors
    /// [`PopError::Closed`].
    #[inline]
    pub fn pop_slice(&mut self, values: &mut [T]) -> Result<usize, PopError>
    where
        T: Copy,
    {
        loop {
            match self.try_pop_slice(values) {
                Err(PopError::Empty) => self.wait_for_values(None)?,
                done => return done,
            }
        }
    }

    /// Appends up to `most` values to `values`. Returns how many, which is not 0
    /// unless `most` is.
    ///
    /// # Errors
    /// [`PopError::Empty`] or [`PopError::Closed`] if there were none.
    pub fn try_pop_vec(&mut self, values: &mut Vec<T>, most: usize) -> Result<usize, PopError> {
        let chunk = self.chunk(most)?;
        let count = chunk.len();
        values.extend(chunk);
        Ok(count)
    }

    /// As [`try_pop_vec`](Self::try_pop_vec), waiting for the first value.
    ///
    /// # Errors
    /// [`PopError::Closed`].
    pub fn pop_vec(&mut self, values: &mut Vec<T>, most: usize) -> Result<usize, PopError> {
        loop {
            match self.try_pop_vec(values, most) {
                Err(PopError::Empty) => self.wait_for_values(None)?,
                done => return done,
            }
        }
    }

    /// As [`pop_vec`](Self::pop_vec), waiting no longer than to the deadline.
    ///
    /// # Errors
    /// [`PopError::Timeout`] or [`PopError::Closed`].
    pub fn pop_vec_until(
        &mut self,
        values: &mut Vec<T>,
        most: usize,
        deadline: Instant,
    ) -> Result<usize, PopError> {
        loop {
            match self.try_pop_vec(values, most) {
                Err(PopError::Empty) => self.wait_for_values(Some(deadline))?,
                done => return done,
            }
        }
    }

    /// Up to `most` of the oldest values, to iterate over. What was taken from
    /// the iterator leaves the ring when the iterator is dropped; the rest stays.
    ///
    /// # Errors
    /// [`PopError::Empty`] or [`PopError::Closed`] if there are none.
    #[inline]
    pub fn chunk(&mut self, most: usize) -> Result<Chunk<'_, T>, PopError> {
        let count = self.available(most)?;
        Ok(Chunk {
            end: self.head.wrapping_add(count),
            consumer: self,
        })
    }

    /// Gives up: the producer's pushes fail from now on, also one that waits.
    /// What was pushed before can still be popped.
    pub fn close(&mut self) {
        self.shared.close();
    }

    /// Has either side closed the ring?
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Values in the ring; the producer may be adding some now.
    pub fn len(&self) -> usize {
        self.shared
            .tail
            .load(Ordering::Acquire)
            .wrapping_sub(self.head)
    }

    /// Is the ring empty?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most values the ring can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many values can be read now, `wanted` at most.
    #[inline(always)]
    fn available(&mut self, wanted: usize) -> Result<usize, PopError> {
        let mut there = self.tail.wrapping_sub(self.head);
        if there < wanted {
            self.tail = self.shared.tail.load(Ordering::Acquire);
            there = self.tail.wrapping_sub(self.head);
            if there == 0 {
                self.look_for_the_end()?;
                there = self.tail.wrapping_sub(self.head);
            }
        }
        Ok(there.min(wanted))
    }

    /// The ring looks empty: is it so for good? `Ok` if it is not empty after all.
    #[cold]
    #[inline(never)]
    fn look_for_the_end(&mut self) -> Result<(), PopError> {
        if !self.shared.closed.load(Ordering::Acquire) {
            return Err(PopError::Empty);
        }
        // What the producer pushed before it closed is visible now.
        self.tail = self.shared.tail.load(Ordering::Acquire);
        if self.head == self.tail {
            return Err(PopError::Closed);
        }
        Ok(())
    }

    #[inline(always)]
    fn advance(&mut self, count: usize) {
        self.head = self.head.wrapping_add(count);
        self.shared.head.store(self.head, Ordering::Release);
        self.shared.freed.notify_one();
    }

    /// Waits until there are values or the ring is closed.
    fn wait_for_values(&mut self, deadline: Option<Instant>) -> Result<(), PopError> {
        let (shared, head) = (&*self.shared, self.head);
        self.waiter
            .wait(&shared.filled, deadline, || {
                (shared.tail.load(Ordering::Acquire) != head
                    || shared.closed.load(Ordering::Acquire))
                .then_some(())
            })
            .ok_or(PopError::Timeout)
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        // A `Chunk` may have been forgotten; what it gave away is not ours to drop.
        self.advance(0);
        self.shared.close();
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("spsc::Consumer").finish_non_exhaustive()
    }
}

/// Values being popped. See [`Consumer::chunk`].
#[derive(Debug)]
pub struct Chunk<'a, T> {
    consumer: &'a mut Consumer<T>,
    end: usize,
}

impl<T> Iterator for Chunk<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.consumer.head == self.end {
            return None;
        }
        let value = self.consumer.shared.cell(self.consumer.head).with(|cell| {
            // SAFETY: published and not yet popped, and the consumer's head moves
            // past it at once, even if this iterator is forgotten.
            unsafe { (*cell).assume_init_read() }
        });
        self.consumer.head = self.consumer.head.wrapping_add(1);
        Some(value)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.wrapping_sub(self.consumer.head);
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for Chunk<'_, T> {}

impl<T> Drop for Chunk<'_, T> {
    fn drop(&mut self) {
        self.consumer.advance(0);
    }
}
