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
use std::ptr::NonNull;
use std::time::Instant;

use crate::errors::{PopError, PushError};
use crate::event::EventCount;
use crate::sync::{
    Arc, AtomicBool, AtomicU64, AtomicUsize, Ordering, Padded, UnsafeCell, spin_loop,
};
use crate::wait::{WaitStrategy, Waiter};

type Cell<T> = UnsafeCell<MaybeUninit<T>>;

/// Positions count for ever and wrap with `usize`; position `p` is in
/// `cells[p & mask]`. A position from `head` to `tail` is the consumer's, every
/// other the producer's.
struct Shared<T> {
    cells: Box<[Cell<T>]>,
    closed: AtomicBool,
    /// What waiting has taught either side, in nanoseconds.
    producer_pace: AtomicU64,
    consumer_pace: AtomicU64,
    /// The consumer waits here.
    filled: EventCount,
    /// The producer waits here.
    freed: EventCount,
    /// Next position to be popped. The consumer writes it.
    head: Padded<AtomicUsize>,
    /// Next position to be published. The producer writes it.
    tail: Padded<AtomicUsize>,
}

/// Where the cells are, kept by each handle to save it a detour.
struct Cells<T> {
    first: NonNull<Cell<T>>,
    mask: usize,
}

impl<T> Cells<T> {
    fn of(cells: &[Cell<T>]) -> Self {
        debug_assert!(cells.len().is_power_of_two());
        Self {
            first: NonNull::from(cells).cast(),
            mask: cells.len() - 1,
        }
    }

    /// # Safety
    /// The ring must live, as it does while a handle has its share of it.
    #[inline(always)]
    unsafe fn cell(&self, position: usize) -> &Cell<T> {
        // SAFETY: there is a power of two of cells, so masking by one less gives
        // the index of one of them; the caller promises that they live.
        unsafe { self.first.add(position & self.mask).as_ref() }
    }

    /// `count` cells from a position on: those before the wrap and those after.
    ///
    /// # Safety
    /// As for `cell`.
    #[inline(always)]
    unsafe fn run(&self, position: usize, count: usize) -> (&[Cell<T>], &[Cell<T>]) {
        // SAFETY: `of` took both from a slice; the caller promises that it lives.
        let cells = unsafe { NonNull::slice_from_raw_parts(self.first, self.mask + 1).as_ref() };
        let start = position & self.mask;
        let before = count.min(cells.len() - start);
        (&cells[start..start + before], &cells[..count - before])
    }
}

impl<T> Shared<T> {
    /// Waits while the head is `full`, and gives the new one. A plain function of
    /// plain values, so that the handle's fields can stay in registers around it.
    #[cold]
    #[inline(never)]
    fn wait_for_room(
        &self,
        full: usize,
        wait: WaitStrategy,
        deadline: Option<Instant>,
    ) -> Result<usize, PushError<()>> {
        // Lets the consumer get ahead, as in `wait_for_values`.
        spin_loop();
        let check = || {
            if self.closed.load(Ordering::Acquire) {
                return Some(Err(PushError::Closed(())));
            }
            let head = self.head.load(Ordering::Acquire);
            (head != full).then_some(Ok(head))
        };
        if let Some(done) = check() {
            return done;
        }
        let mut waiter = Waiter::at_pace(wait, &self.producer_pace);
        let done = waiter.wait(&self.freed, deadline, check);
        waiter.remember(&self.producer_pace);
        done.unwrap_or(Err(PushError::Timeout(())))
    }

    /// Waits while the tail is `empty`, and gives the new one.
    #[cold]
    #[inline(never)]
    fn wait_for_values(
        &self,
        empty: usize,
        wait: WaitStrategy,
        deadline: Option<Instant>,
    ) -> Result<usize, PopError> {
        // Lets the producer get ahead: to read its line for every value is what
        // costs both sides most.
        spin_loop();
        let check = || match self.look_past(empty) {
            Err(PopError::Empty) => None,
            done => Some(done),
        };
        if let Some(done) = check() {
            return done;
        }
        let mut waiter = Waiter::at_pace(wait, &self.consumer_pace);
        let done = waiter.wait(&self.filled, deadline, check);
        waiter.remember(&self.consumer_pace);
        done.unwrap_or(Err(PopError::Timeout))
    }

    /// The tail, if it is not `empty` any more.
    #[inline(always)]
    fn look_past(&self, empty: usize) -> Result<usize, PopError> {
        let tail = self.tail.load(Ordering::Acquire);
        if tail != empty {
            return Ok(tail);
        }
        if !self.closed.load(Ordering::Acquire) {
            return Err(PopError::Empty);
        }
        // What the producer pushed before it closed is visible now.
        let tail = self.tail.load(Ordering::Acquire);
        if tail != empty {
            return Ok(tail);
        }
        Err(PopError::Closed)
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
            self.cells[head & (self.cells.len() - 1)].with_mut(|cell| {
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
        producer_pace: AtomicU64::new(0),
        consumer_pace: AtomicU64::new(0),
        filled: EventCount::new(),
        freed: EventCount::new(),
        head: Padded(AtomicUsize::new(0)),
        tail: Padded(AtomicUsize::new(0)),
    });
    (
        Producer {
            shared: Arc::clone(&shared),
            tail: 0,
            limit: capacity,
            capacity,
            cells: Cells::of(&shared.cells),
            wait,
            owns: PhantomData,
        },
        Consumer {
            head: 0,
            tail: 0,
            capacity,
            cells: Cells::of(&shared.cells),
            shared,
            wait,
            owns: PhantomData,
        },
    )
}

/// The side that pushes. Dropping it closes the ring.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// Next position to be written.
    tail: usize,
    /// Where the ring is full, by the head as last seen: the consumer's line is
    /// read only when the tail has come here.
    limit: usize,
    capacity: usize,
    cells: Cells<T>,
    wait: WaitStrategy,
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
        if let Err(error) = self.find_room() {
            return Err(error.map(|()| value));
        }
        self.put(value);
        Ok(())
    }

    /// Pushes, waiting for room.
    ///
    /// # Errors
    /// [`PushError::Closed`], with the value.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), PushError<T>> {
        self.push_before(value, None)
    }

    /// Pushes, waiting for room no longer than to the deadline.
    ///
    /// # Errors
    /// [`PushError::Timeout`] or [`PushError::Closed`], with the value.
    pub fn push_until(&mut self, value: T, deadline: Instant) -> Result<(), PushError<T>> {
        self.push_before(value, Some(deadline))
    }

    #[inline(always)]
    fn push_before(&mut self, value: T, deadline: Option<Instant>) -> Result<(), PushError<T>> {
        if self.looks_full() || self.shared.closed.load(Ordering::Relaxed) {
            let full = self.limit.wrapping_sub(self.capacity);
            match self.shared.wait_for_room(full, self.wait, deadline) {
                Ok(head) => self.limit = head.wrapping_add(self.capacity),
                Err(error) => return Err(error.map(|()| value)),
            }
        }
        self.put(value);
        Ok(())
    }

    /// Writes and publishes a value that there is known to be room for.
    #[inline(always)]
    fn put(&mut self, value: T) {
        self.fill(self.tail, value);
        let next = self.tail.wrapping_add(1);
        self.shared.tail.store(next, Ordering::Release);
        self.shared.filled.notify_one();
        // Last, so that in a loop it stays in a register: the compiler reloads
        // what it wrote before a release store, for several cycles a value.
        self.tail = next;
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
        // SAFETY: our share of the ring keeps it alive.
        let (first, second) = unsafe { self.cells.run(self.tail, count) };
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
            if self.limit.wrapping_sub(self.tail) < values.len() - done {
                // Lets the consumer get ahead, as in `wait_for_values`.
                spin_loop();
            }
            match self.try_push_slice(&values[done..]) {
                Ok(count) => done += count,
                Err(PushError::Full(_)) => {
                    let full = self.limit.wrapping_sub(self.capacity);
                    match self.shared.wait_for_room(full, self.wait, deadline) {
                        Ok(head) => self.limit = head.wrapping_add(self.capacity),
                        Err(error) => return Err(error.map(|()| done)),
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
        let mut batch = self.deferred(usize::MAX);
        let mut count = 0;
        for value in values.take(room) {
            batch.put(value);
            count += 1;
        }
        Ok(count)
    }

    /// Lets pushes be published `every` so many at a time: cheaper for both
    /// sides, and later for the consumer. Whatever is left is published when the
    /// guard is dropped, asked to, or finds the ring full.
    pub fn deferred(&mut self, every: usize) -> Deferred<'_, T> {
        Deferred {
            tail: self.tail,
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

    /// Full as of when the head was last seen.
    #[inline(always)]
    fn looks_full(&self) -> bool {
        self.tail == self.limit
    }

    /// Looks at the consumer's line.
    #[inline(always)]
    fn look_again(&mut self) {
        let head = self.shared.head.load(Ordering::Acquire);
        self.limit = head.wrapping_add(self.capacity);
    }

    /// Makes sure of room for one value.
    #[inline(always)]
    fn find_room(&mut self) -> Result<(), PushError<()>> {
        if self.shared.closed.load(Ordering::Relaxed) {
            return Err(PushError::Closed(()));
        }
        if self.looks_full() {
            self.look_again();
            if self.looks_full() {
                return Err(PushError::Full(()));
            }
        }
        Ok(())
    }

    /// Writes to a position that there is known to be room for.
    #[inline(always)]
    fn fill(&self, position: usize, value: T) {
        // SAFETY: our share of the ring keeps it alive.
        let cell = unsafe { self.cells.cell(position) };
        cell.with_mut(|cell| {
            // SAFETY: the position is ours: less than `capacity` ahead of a head
            // that the consumer has passed.
            unsafe { (*cell).write(value) };
        });
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
        let mut room = self.limit.wrapping_sub(self.tail);
        if room < wanted {
            self.look_again();
            room = self.limit.wrapping_sub(self.tail);
            if room == 0 && wanted != 0 {
                return Err(PushError::Full(0));
            }
        }
        Ok(room.min(wanted))
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
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
    /// Next position to be written. The producer's own is the published one, so
    /// if the guard is forgotten, what it held back leaks.
    tail: usize,
    every: usize,
}

impl<T> Deferred<'_, T> {
    /// Pushes if there is room.
    ///
    /// # Errors
    /// As [`Producer::try_push`].
    #[inline]
    pub fn try_push(&mut self, value: T) -> Result<(), PushError<T>> {
        if self.looks_full() || self.producer.shared.closed.load(Ordering::Relaxed) {
            // The consumer cannot make room by what it does not see.
            self.publish();
            if let Err(error) = self.producer.find_room() {
                return Err(error.map(|()| value));
            }
        }
        self.put(value);
        Ok(())
    }

    /// Pushes, waiting for room.
    ///
    /// # Errors
    /// As [`Producer::push`].
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), PushError<T>> {
        if self.looks_full() || self.producer.shared.closed.load(Ordering::Relaxed) {
            self.publish();
            let producer = &mut *self.producer;
            let full = producer.limit.wrapping_sub(producer.capacity);
            match producer.shared.wait_for_room(full, producer.wait, None) {
                Ok(head) => producer.limit = head.wrapping_add(producer.capacity),
                Err(error) => return Err(error.map(|()| value)),
            }
        }
        self.put(value);
        Ok(())
    }

    #[inline(always)]
    fn looks_full(&self) -> bool {
        self.tail == self.producer.limit
    }

    /// Writes a value that there is known to be room for.
    #[inline(always)]
    fn put(&mut self, value: T) {
        self.producer.fill(self.tail, value);
        self.tail = self.tail.wrapping_add(1);
        if self.tail.wrapping_sub(self.producer.tail) >= self.every {
            self.publish();
        }
    }

    /// Shows the consumer everything that was pushed.
    #[inline]
    pub fn publish(&mut self) {
        if self.producer.tail != self.tail {
            self.producer.tail = self.tail;
            self.producer.publish();
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
    cells: Cells<T>,
    wait: WaitStrategy,
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
            self.tail = self.shared.look_past(self.head)?;
        }
        Ok(self.take())
    }

    /// Pops the oldest value, waiting for one.
    ///
    /// # Errors
    /// [`PopError::Closed`].
    #[inline]
    pub fn pop(&mut self) -> Result<T, PopError> {
        self.pop_before(None)
    }

    /// Pops the oldest value, waiting no longer than to the deadline.
    ///
    /// # Errors
    /// [`PopError::Timeout`] or [`PopError::Closed`].
    pub fn pop_until(&mut self, deadline: Instant) -> Result<T, PopError> {
        self.pop_before(Some(deadline))
    }

    #[inline(always)]
    fn pop_before(&mut self, deadline: Option<Instant>) -> Result<T, PopError> {
        if self.head == self.tail {
            self.tail = self
                .shared
                .wait_for_values(self.head, self.wait, deadline)?;
        }
        Ok(self.take())
    }

    /// Takes the value at the head, of which there is known to be one.
    #[inline(always)]
    fn take(&mut self) -> T {
        // SAFETY: our share of the ring keeps it alive.
        let cell = unsafe { self.cells.cell(self.head) };
        let value = cell.with(|cell| {
            // SAFETY: the position is published and not yet popped, and moving
            // the head makes sure that this is the only read of the value.
            unsafe { (*cell).assume_init_read() }
        });
        let next = self.head.wrapping_add(1);
        self.shared.head.store(next, Ordering::Release);
        self.shared.freed.notify_one();
        // Last, for the reason given in `Producer::put`.
        self.head = next;
        value
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
        // SAFETY: our share of the ring keeps it alive.
        let (first, second) = unsafe { self.cells.run(self.head, count) };
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
        if self.tail.wrapping_sub(self.head) < values.len() {
            // Lets the producer get ahead, as in `wait_for_values`.
            spin_loop();
        }
        loop {
            match self.try_pop_slice(values) {
                Err(PopError::Empty) => {
                    self.tail = self.shared.wait_for_values(self.head, self.wait, None)?;
                }
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
                Err(PopError::Empty) => {
                    self.tail = self.shared.wait_for_values(self.head, self.wait, None)?;
                }
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
                Err(PopError::Empty) => {
                    self.tail =
                        self.shared
                            .wait_for_values(self.head, self.wait, Some(deadline))?;
                }
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
            self.tail = self.shared.look_past(self.head)?;
            there = self.tail.wrapping_sub(self.head);
        }
        Ok(there.min(wanted))
    }

    #[inline(always)]
    fn advance(&mut self, count: usize) {
        self.head = self.head.wrapping_add(count);
        self.shared.head.store(self.head, Ordering::Release);
        self.shared.freed.notify_one();
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
        // SAFETY: the consumer's share of the ring keeps it alive.
        let cell = unsafe { self.consumer.cells.cell(self.consumer.head) };
        let value = cell.with(|cell| {
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
