//! Other people's queues, each in the configuration its documentation calls best
//! for the purpose.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, mpsc};

use crossbeam_utils::Backoff;
use disruptor::{BusySpin, EventPoller, Producer as _, SingleConsumerBarrier, SingleProducer};
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};

use crate::ends::{Rx, Spin, Tx};

fn nonzero(capacity: usize) -> NonZeroUsize {
    NonZeroUsize::new(capacity).expect("capacities are positive")
}

// ---- rings that leave the waiting to the caller

pub struct RtrbTx(rtrb::Producer<u64>);
pub struct RtrbRx(rtrb::Consumer<u64>, Vec<u64>);

pub fn rtrb(capacity: usize) -> (RtrbTx, RtrbRx) {
    let (tx, rx) = rtrb::RingBuffer::new(capacity);
    (RtrbTx(tx), RtrbRx(rx, vec![0; 1024]))
}

impl Tx for RtrbTx {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        let mut spin = Spin::default();
        while self.0.push(value).is_err() {
            spin.wait();
        }
    }

    #[inline(always)]
    fn send_slice(&mut self, mut values: &[u64]) {
        let mut spin = Spin::default();
        while !values.is_empty() {
            let (done, rest) = self.0.push_partial_slice(values);
            if done.is_empty() {
                spin.wait();
            }
            values = rest;
        }
    }
}

impl Rx for RtrbRx {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        let mut spin = Spin::default();
        loop {
            if let Ok(value) = self.0.pop() {
                return take(value);
            }
            spin.wait();
        }
    }

    #[inline(always)]
    fn recv_slice(&mut self, most: usize, take: impl FnMut(u64)) {
        let mut spin = Spin::default();
        loop {
            let (done, _) = self.0.pop_partial_slice(&mut self.1[..most]);
            if !done.is_empty() {
                return done.iter().copied().for_each(take);
            }
            spin.wait();
        }
    }
}

pub struct RingbufTx(ringbuf::HeapProd<u64>);
pub struct RingbufRx(ringbuf::HeapCons<u64>, Vec<u64>);

pub fn ringbuf(capacity: usize) -> (RingbufTx, RingbufRx) {
    let (tx, rx) = ringbuf::HeapRb::new(capacity).split();
    (RingbufTx(tx), RingbufRx(rx, vec![0; 1024]))
}

impl Tx for RingbufTx {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        let mut spin = Spin::default();
        while self.0.try_push(value).is_err() {
            spin.wait();
        }
    }

    #[inline(always)]
    fn send_slice(&mut self, mut values: &[u64]) {
        let mut spin = Spin::default();
        while !values.is_empty() {
            let count = self.0.push_slice(values);
            if count == 0 {
                spin.wait();
            }
            values = &values[count..];
        }
    }
}

impl Rx for RingbufRx {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        let mut spin = Spin::default();
        loop {
            if let Some(value) = self.0.try_pop() {
                return take(value);
            }
            spin.wait();
        }
    }

    #[inline(always)]
    fn recv_slice(&mut self, most: usize, take: impl FnMut(u64)) {
        let mut spin = Spin::default();
        loop {
            let count = self.0.pop_slice(&mut self.1[..most]);
            if count > 0 {
                return self.1[..count].iter().copied().for_each(take);
            }
            spin.wait();
        }
    }
}

pub struct GilTx(gil::spsc::Sender<u64>);
pub struct GilRx(gil::spsc::Receiver<u64>);

pub fn gil(capacity: usize) -> (GilTx, GilRx) {
    let (tx, rx) = gil::spsc::channel(nonzero(capacity));
    (GilTx(tx), GilRx(rx))
}

impl Tx for GilTx {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        self.0.send(value);
    }

    #[inline(always)]
    fn send_slice(&mut self, mut values: &[u64]) {
        let mut spin = Spin::default();
        while !values.is_empty() {
            let room = self.0.write_buffer();
            let count = room.len().min(values.len());
            if count == 0 {
                spin.wait();
                continue;
            }
            for (place, &value) in room.iter_mut().zip(values) {
                place.write(value);
            }
            // SAFETY: the first `count` places of the buffer have been written.
            unsafe { self.0.commit(count) };
            values = &values[count..];
        }
    }
}

impl Rx for GilRx {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        take(self.0.recv());
    }

    #[inline(always)]
    fn recv_slice(&mut self, most: usize, take: impl FnMut(u64)) {
        let mut spin = Spin::default();
        loop {
            let mut guard = self.0.read_guard();
            let count = guard.len().min(most);
            if count > 0 {
                guard.as_slice()[..count].iter().copied().for_each(take);
                guard.advance(count);
                return;
            }
            drop(guard);
            spin.wait();
        }
    }
}

pub struct NexusTx(nexus_queue::spsc::Producer<u64>);
pub struct NexusRx(nexus_queue::spsc::Consumer<u64>);

pub fn nexus(capacity: usize) -> (NexusTx, NexusRx) {
    let (tx, rx) = nexus_queue::spsc::ring_buffer(capacity);
    (NexusTx(tx), NexusRx(rx))
}

impl Tx for NexusTx {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        let mut spin = Spin::default();
        while self.0.push(value).is_err() {
            spin.wait();
        }
    }
}

impl Rx for NexusRx {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        let mut spin = Spin::default();
        loop {
            if let Some(value) = self.0.pop() {
                return take(value);
            }
            spin.wait();
        }
    }
}

pub struct DisruptorTx(SingleProducer<u64, SingleConsumerBarrier>);
pub struct DisruptorRx(EventPoller<u64, disruptor::SingleProducerBarrier>);

pub fn disruptor(capacity: usize) -> (DisruptorTx, DisruptorRx) {
    let builder = disruptor::build_single_producer(capacity, || 0_u64, BusySpin);
    let (poller, builder) = builder.new_event_poller();
    (DisruptorTx(builder.build()), DisruptorRx(poller))
}

impl Tx for DisruptorTx {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        let mut spin = Spin::default();
        while self.0.try_publish(|event| *event = value).is_err() {
            spin.wait();
        }
    }

    #[inline(always)]
    fn send_slice(&mut self, values: &[u64]) {
        let mut spin = Spin::default();
        while self
            .0
            .try_batch_publish(values.len(), |events| {
                for (event, value) in events.zip(values) {
                    *event = *value;
                }
            })
            .is_err()
        {
            spin.wait();
        }
    }
}

impl Rx for DisruptorRx {
    /// Its reading is by batch by design.
    #[inline(always)]
    fn recv(&mut self, take: impl FnMut(u64)) {
        self.recv_slice(usize::MAX, take);
    }

    #[inline(always)]
    fn recv_slice(&mut self, most: usize, mut take: impl FnMut(u64)) {
        let mut spin = Spin::default();
        loop {
            if let Ok(mut events) = self.0.take(most as u64) {
                for event in &mut events {
                    take(*event);
                }
                return;
            }
            spin.wait();
        }
    }
}

/// An `ArrayQueue` with spin-then-yield, which is several times its speed without
/// when threads outnumber cores.
#[derive(Clone)]
pub struct ArrayEnd(Arc<crossbeam_queue::ArrayQueue<u64>>);

pub fn array_queue(capacity: usize) -> (ArrayEnd, ArrayEnd) {
    let end = ArrayEnd(Arc::new(crossbeam_queue::ArrayQueue::new(capacity)));
    (end.clone(), end)
}

impl Tx for ArrayEnd {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        let backoff = Backoff::new();
        while self.0.push(value).is_err() {
            backoff.snooze();
        }
    }
}

impl Rx for ArrayEnd {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        let backoff = Backoff::new();
        loop {
            if let Some(value) = self.0.pop() {
                return take(value);
            }
            backoff.snooze();
        }
    }
}

#[derive(Clone)]
pub struct ConcurrentEnd(Arc<concurrent_queue::ConcurrentQueue<u64>>);

pub fn concurrent_queue(capacity: usize) -> (ConcurrentEnd, ConcurrentEnd) {
    let end = ConcurrentEnd(Arc::new(concurrent_queue::ConcurrentQueue::bounded(
        capacity,
    )));
    (end.clone(), end)
}

impl Tx for ConcurrentEnd {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        let backoff = Backoff::new();
        while self.0.push(value).is_err() {
            backoff.snooze();
        }
    }
}

impl Rx for ConcurrentEnd {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        let backoff = Backoff::new();
        loop {
            if let Ok(value) = self.0.pop() {
                return take(value);
            }
            backoff.snooze();
        }
    }
}

#[derive(Clone)]
pub struct ThingEnd(Arc<thingbuf::ThingBuf<u64>>);

pub fn thingbuf(capacity: usize) -> (ThingEnd, ThingEnd) {
    let end = ThingEnd(Arc::new(thingbuf::ThingBuf::new(capacity)));
    (end.clone(), end)
}

impl Tx for ThingEnd {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        let backoff = Backoff::new();
        while self.0.push(value).is_err() {
            backoff.snooze();
        }
    }
}

impl Rx for ThingEnd {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        let backoff = Backoff::new();
        loop {
            if let Some(value) = self.0.pop() {
                return take(value);
            }
            backoff.snooze();
        }
    }
}

pub struct GilMpmcTx(gil::mpmc::Sender<u64>);
pub struct GilMpmcRx(gil::mpmc::Receiver<u64>);

pub fn gil_mpmc(capacity: usize) -> (GilMpmcTx, GilMpmcRx) {
    let (tx, rx) = gil::mpmc::channel(nonzero(capacity));
    (GilMpmcTx(tx), GilMpmcRx(rx))
}

impl Clone for GilMpmcTx {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Clone for GilMpmcRx {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Tx for GilMpmcTx {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        self.0.send(value);
    }
}

impl Rx for GilMpmcRx {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        take(self.0.recv());
    }
}

// ---- queues that block

pub struct GilParkingTx(gil::spsc::parking::Sender<u64>);
pub struct GilParkingRx(gil::spsc::parking::Receiver<u64>);

pub fn gil_parking(capacity: usize) -> (GilParkingTx, GilParkingRx) {
    let (tx, rx) = gil::spsc::parking::channel(nonzero(capacity));
    (GilParkingTx(tx), GilParkingRx(rx))
}

impl Tx for GilParkingTx {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        self.0.send(value);
    }
}

impl Rx for GilParkingRx {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        take(self.0.recv());
    }
}

/// The channels that differ in little but the name.
macro_rules! channel {
    ($make:ident, $tx:ident($sender:ty), $rx:ident($receiver:ty), $new:expr) => {
        pub struct $tx($sender);
        pub struct $rx($receiver);

        pub fn $make(capacity: usize) -> ($tx, $rx) {
            let (tx, rx) = $new(capacity);
            ($tx(tx), $rx(rx))
        }

        impl Tx for $tx {
            #[inline(always)]
            fn send(&mut self, value: u64) {
                self.0.send(value).expect("open");
            }
        }

        impl Rx for $rx {
            #[inline(always)]
            fn recv(&mut self, mut take: impl FnMut(u64)) {
                take(self.0.recv().expect("open"));
            }
        }
    };
}

macro_rules! cloned {
    ($($end:ident),*) => {
        $(impl Clone for $end {
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        })*
    };
}

channel!(
    std_sync,
    StdTx(mpsc::SyncSender<u64>),
    StdRx(mpsc::Receiver<u64>),
    mpsc::sync_channel
);
channel!(
    crossbeam_channel,
    CrossbeamTx(crossbeam_channel::Sender<u64>),
    CrossbeamRx(crossbeam_channel::Receiver<u64>),
    crossbeam_channel::bounded
);
channel!(
    flume,
    FlumeTx(flume::Sender<u64>),
    FlumeRx(flume::Receiver<u64>),
    flume::bounded
);
channel!(
    thingbuf_mpsc,
    ThingTx(thingbuf::mpsc::blocking::Sender<u64>),
    ThingRx(thingbuf::mpsc::blocking::Receiver<u64>),
    thingbuf::mpsc::blocking::channel
);
cloned!(CrossbeamTx, CrossbeamRx, FlumeTx, FlumeRx);

#[derive(Clone)]
pub struct KanalTx(kanal::Sender<u64>);
#[derive(Clone)]
pub struct KanalRx(kanal::Receiver<u64>, Vec<u64>);

pub fn kanal(capacity: usize) -> (KanalTx, KanalRx) {
    let (tx, rx) = kanal::bounded(capacity);
    (KanalTx(tx), KanalRx(rx, Vec::with_capacity(capacity)))
}

impl Tx for KanalTx {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        self.0.send(value).expect("open");
    }
}

impl Rx for KanalRx {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        take(self.0.recv().expect("open"));
    }
}

/// `kanal` read by its batch operation, which takes everything there is.
pub struct KanalDrainRx(KanalRx);

pub fn kanal_drain(capacity: usize) -> (KanalTx, KanalDrainRx) {
    let (tx, rx) = kanal(capacity);
    (tx, KanalDrainRx(rx))
}

impl Clone for KanalDrainRx {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Rx for KanalDrainRx {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        let KanalRx(rx, values) = &mut self.0;
        if rx.drain_into(values).expect("open") == 0 {
            return take(rx.recv().expect("open"));
        }
        values.drain(..).for_each(take);
    }
}

/// What people write by hand.
#[derive(Clone)]
pub struct LockEnd(Arc<Lock>);

struct Lock {
    values: Mutex<VecDeque<u64>>,
    capacity: usize,
    filled: Condvar,
    freed: Condvar,
}

pub fn mutex_condvar(capacity: usize) -> (LockEnd, LockEnd) {
    let end = LockEnd(Arc::new(Lock {
        values: Mutex::new(VecDeque::with_capacity(capacity)),
        capacity,
        filled: Condvar::new(),
        freed: Condvar::new(),
    }));
    (end.clone(), end)
}

impl Tx for LockEnd {
    fn send(&mut self, value: u64) {
        let lock = &*self.0;
        let mut values = lock.values.lock().expect("not poisoned");
        while values.len() == lock.capacity {
            values = lock.freed.wait(values).expect("not poisoned");
        }
        values.push_back(value);
        drop(values);
        lock.filled.notify_one();
    }
}

impl Rx for LockEnd {
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        let lock = &*self.0;
        let mut values = lock.values.lock().expect("not poisoned");
        let value = loop {
            match values.pop_front() {
                Some(value) => break value,
                None => values = lock.filled.wait(values).expect("not poisoned"),
            }
        };
        drop(values);
        lock.freed.notify_one();
        take(value);
    }
}
