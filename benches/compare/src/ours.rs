//! Our rings as contenders.

use daqring_ring::{WaitStrategy, mpmc, spsc};

use crate::ends::{Rx, Tx};

pub struct SpscTx(spsc::Producer<u64>);
pub struct SpscRx(spsc::Consumer<u64>, Vec<u64>);

/// Waits in the ring, without parking if `wait` is `Spin`.
pub fn spsc(wait: WaitStrategy) -> impl Fn(usize) -> (SpscTx, SpscRx) {
    move |capacity| {
        let (producer, consumer) = spsc::ring(capacity, wait);
        (SpscTx(producer), SpscRx(consumer, vec![0; 1024]))
    }
}

impl Tx for SpscTx {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        self.0.push(value).expect("open");
    }

    #[inline(always)]
    fn send_slice(&mut self, values: &[u64]) {
        self.0.push_slice(values).expect("open");
    }
}

impl Rx for SpscRx {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        take(self.0.pop().expect("open"));
    }

    #[inline(always)]
    fn recv_slice(&mut self, most: usize, take: impl FnMut(u64)) {
        let count = self.0.pop_slice(&mut self.1[..most]).expect("open");
        self.1[..count].iter().copied().for_each(take);
    }
}

/// One at a time, but published 64 at a time.
pub struct DeferredTx(SpscTx);

pub fn spsc_deferred(capacity: usize) -> (DeferredTx, SpscRx) {
    let (tx, rx) = spsc(WaitStrategy::Spin)(capacity);
    (DeferredTx(tx), rx)
}

impl Tx for DeferredTx {
    fn send(&mut self, value: u64) {
        self.0.send(value);
    }

    #[inline(always)]
    fn send_range(&mut self, values: std::ops::Range<u64>) {
        let mut deferred = self.0.0.deferred(64);
        for value in values {
            deferred.push(value).expect("open");
        }
    }
}

#[derive(Clone)]
pub struct MpmcTx(mpmc::Producer<u64>);
#[derive(Clone)]
pub struct MpmcRx(mpmc::Consumer<u64>, Vec<u64>);

pub fn mpmc(wait: WaitStrategy) -> impl Fn(usize) -> (MpmcTx, MpmcRx) {
    move |capacity| {
        let (producer, consumer) = mpmc::ring(capacity, wait);
        (MpmcTx(producer), MpmcRx(consumer, vec![0; 1024]))
    }
}

impl Tx for MpmcTx {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        self.0.push(value).expect("open");
    }

    #[inline(always)]
    fn send_slice(&mut self, values: &[u64]) {
        self.0.push_slice(values).expect("open");
    }
}

impl Rx for MpmcRx {
    #[inline(always)]
    fn recv(&mut self, mut take: impl FnMut(u64)) {
        take(self.0.pop().expect("open"));
    }

    #[inline(always)]
    fn recv_slice(&mut self, most: usize, take: impl FnMut(u64)) {
        let count = self.0.pop_slice(&mut self.1[..most]).expect("open");
        self.1[..count].iter().copied().for_each(take);
    }
}
