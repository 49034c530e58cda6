//! Random operations on one thread, checked against a `VecDeque`.
#![cfg(not(loom))]

use std::collections::VecDeque;

use daqring_ring::slots::{AcquireError, ReadSlot, ReserveError, WriteSlot};
use daqring_ring::{
    BlockMeta, Policy, PopError, PushError, SlotOptions, WaitStrategy, mpmc, slot_ring, spsc,
};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Push,
    PushSlice(usize),
    PushMoved(usize),
    Deferred { every: usize, count: usize },
    Pop,
    PopSlice(usize),
    PopVec(usize),
    Chunk { most: usize, take: usize },
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => Just(Op::Push),
        4 => (0..12_usize).prop_map(Op::PushSlice),
        4 => (0..12_usize).prop_map(Op::PushMoved),
        2 => (1..5_usize, 0..12_usize).prop_map(|(every, count)| Op::Deferred { every, count }),
        8 => Just(Op::Pop),
        4 => (0..12_usize).prop_map(Op::PopSlice),
        4 => (0..12_usize).prop_map(Op::PopVec),
        2 => (0..12_usize, 0..12_usize).prop_map(|(most, take)| Op::Chunk { most, take }),
        1 => Just(Op::Close),
    ]
}

/// What a ring should do.
struct Model {
    values: VecDeque<u32>,
    capacity: usize,
    closed: bool,
    next: u32,
}

impl Model {
    fn new(capacity: usize) -> Self {
        Self {
            values: VecDeque::new(),
            capacity,
            closed: false,
            next: 0,
        }
    }

    fn fresh(&mut self, count: usize) -> Vec<u32> {
        let from = self.next;
        self.next += count as u32;
        (from..self.next).collect()
    }

    fn push(&mut self, values: &[u32]) -> Result<usize, PushError<usize>> {
        if values.is_empty() {
            return Ok(0);
        }
        if self.closed {
            return Err(PushError::Closed(0));
        }
        let count = values.len().min(self.capacity - self.values.len());
        if count == 0 {
            return Err(PushError::Full(0));
        }
        self.values.extend(&values[..count]);
        Ok(count)
    }

    fn pop(&mut self, most: usize) -> Result<Vec<u32>, PopError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        if self.values.is_empty() {
            return Err(if self.closed {
                PopError::Closed
            } else {
                PopError::Empty
            });
        }
        Ok(self.values.drain(..most.min(self.values.len())).collect())
    }
}

proptest! {
    #[test]
    fn spsc_does_what_a_deque_does(capacity in 1..9_usize, ops in vec(op(), 0..200)) {
        let (mut producer, mut consumer) = spsc::ring(capacity, WaitStrategy::Park);
        let mut model = Model::new(capacity);
        for op in ops {
            match op {
                Op::Push => {
                    let value = model.fresh(1)[0];
                    let result = producer.try_push(value);
                    match model.push(&[value]) {
                        Ok(_) => prop_assert_eq!(result, Ok(())),
                        Err(PushError::Full(_)) => prop_assert_eq!(result, Err(PushError::Full(value))),
                        Err(_) => prop_assert_eq!(result, Err(PushError::Closed(value))),
                    }
                }
                Op::PushSlice(count) => {
                    let values = model.fresh(count);
                    prop_assert_eq!(producer.try_push_slice(&values), model.push(&values));
                }
                Op::PushMoved(count) => {
                    let values = model.fresh(count);
                    if count > 0 {
                        prop_assert_eq!(
                            producer.try_push_iter(&mut values.iter().copied()),
                            model.push(&values)
                        );
                    }
                }
                Op::Deferred { every, count } => {
                    let values = model.fresh(count);
                    let mut deferred = producer.deferred(every);
                    for value in values {
                        let pushed = deferred.try_push(value).is_ok();
                        prop_assert_eq!(pushed, model.push(&[value]).is_ok());
                    }
                }
                Op::Pop => {
                    let wanted = model.pop(1).map(|values| values[0]);
                    prop_assert_eq!(consumer.try_pop(), wanted);
                }
                Op::PopSlice(most) => {
                    let mut values = vec![0; most];
                    let got = consumer.try_pop_slice(&mut values);
                    let wanted = model.pop(most);
                    prop_assert_eq!(got.map(|count| values[..count].to_vec()), wanted);
                }
                Op::PopVec(most) => {
                    let mut values = Vec::new();
                    let got = consumer.try_pop_vec(&mut values, most);
                    let wanted = model.pop(most);
                    prop_assert_eq!(got, wanted.as_ref().map(Vec::len).map_err(|e| *e));
                    prop_assert_eq!(values, wanted.unwrap_or_default());
                }
                Op::Chunk { most, take } => {
                    if most == 0 {
                        continue;
                    }
                    let got = consumer.chunk(most).map(|chunk| chunk.take(take).collect::<Vec<_>>());
                    if model.values.is_empty() {
                        prop_assert_eq!(got.unwrap_err(), model.pop(1).unwrap_err());
                    } else {
                        prop_assert_eq!(got, model.pop(most.min(take)));
                    }
                }
                Op::Close => {
                    producer.close();
                    model.closed = true;
                }
            }
            prop_assert_eq!(producer.len(), model.values.len());
            prop_assert_eq!(consumer.len(), model.values.len());
        }
    }

    #[test]
    fn mpmc_does_what_a_deque_does(capacity in 1..9_usize, ops in vec(op(), 0..200)) {
        let (producer, consumer) = mpmc::ring(capacity, WaitStrategy::Park);
        let mut model = Model::new(capacity);
        for op in ops {
            match op {
                Op::Push => {
                    let value = model.fresh(1)[0];
                    let result = producer.try_push(value);
                    match model.push(&[value]) {
                        Ok(_) => prop_assert_eq!(result, Ok(())),
                        Err(PushError::Full(_)) => prop_assert_eq!(result, Err(PushError::Full(value))),
                        Err(_) => prop_assert_eq!(result, Err(PushError::Closed(value))),
                    }
                }
                Op::PushSlice(count) | Op::Deferred { count, .. } => {
                    let values = model.fresh(count);
                    prop_assert_eq!(producer.try_push_slice(&values), model.push(&values));
                }
                Op::PushMoved(count) => {
                    let mut values = model.fresh(count);
                    let wanted = model.push(&values);
                    let rest = values[*wanted.as_ref().unwrap_or(&0)..].to_vec();
                    prop_assert_eq!(producer.try_push_vec(&mut values), wanted);
                    prop_assert_eq!(values, rest);
                }
                Op::Pop => {
                    let wanted = model.pop(1).map(|values| values[0]);
                    prop_assert_eq!(consumer.try_pop(), wanted);
                }
                Op::PopSlice(most) => {
                    let mut values = vec![0; most];
                    let got = consumer.try_pop_slice(&mut values);
                    let wanted = model.pop(most);
                    prop_assert_eq!(got.map(|count| values[..count].to_vec()), wanted);
                }
                Op::PopVec(most) | Op::Chunk { most, .. } => {
                    let mut values = Vec::new();
                    let got = consumer.try_pop_vec(&mut values, most);
                    let wanted = model.pop(most);
                    prop_assert_eq!(got, wanted.as_ref().map(Vec::len).map_err(|e| *e));
                    prop_assert_eq!(values, wanted.unwrap_or_default());
                }
                Op::Close => {
                    producer.close();
                    model.closed = true;
                }
            }
            prop_assert_eq!(producer.len(), model.values.len());
        }
    }

    #[test]
    fn slots_do_what_a_deque_does(
        slots in 1..6_usize,
        policy in prop_oneof![Just(Policy::Fail), Just(Policy::DropNewest), Just(Policy::DropOldest)],
        ops in vec((0..12_u8, 0..8_usize), 0..200),
    ) {
        let (mut producer, mut consumer) = slot_ring(SlotOptions {
            policy,
            prefault: false,
            wait: WaitStrategy::Park,
            ..SlotOptions::new(8, slots)
        })
        .unwrap();
        // Committed and not acquired: (seq, samples, lost before).
        let mut waiting: VecDeque<(u64, u64, u64)> = VecDeque::new();
        let mut writing: Vec<WriteSlot> = Vec::new();
        let mut reading: Vec<ReadSlot> = Vec::new();
        let (mut seq, mut ticket, mut lost, mut closed) = (0, 0, 0, false);
        let (mut refused, mut dropped, mut dropped_samples, mut aborted) = (0, 0, 0, 0);
        for (op, which) in ops {
            match op {
                0..=3 => {
                    let free = slots - writing.len() - reading.len() - waiting.len();
                    let result = producer.reserve();
                    if closed {
                        prop_assert_eq!(result.unwrap_err(), ReserveError::Closed);
                    } else if free > 0 {
                        writing.push(result.unwrap());
                    } else if policy == Policy::DropOldest && !waiting.is_empty() {
                        writing.push(result.unwrap());
                        let (_, samples, before) = waiting.pop_front().unwrap();
                        dropped += 1;
                        dropped_samples += samples;
                        match waiting.front_mut() {
                            Some(next) => next.2 += samples + before,
                            None => lost += samples + before,
                        }
                    } else {
                        let wanted = if policy == Policy::DropNewest {
                            ReserveError::Dropped
                        } else {
                            ReserveError::Full
                        };
                        prop_assert_eq!(result.unwrap_err(), wanted);
                        refused += 1;
                        producer.add_lost(3);
                        lost += 3;
                    }
                }
                4..=6 if !writing.is_empty() => {
                    let mut slot = writing.swap_remove(which % writing.len());
                    let samples = which as u64;
                    slot.copy_from_slice(&seq_bytes(seq));
                    let got = slot.commit(BlockMeta { bytes: 8, samples, ..BlockMeta::default() });
                    prop_assert_eq!(got, seq);
                    waiting.push_back((seq, samples, std::mem::take(&mut lost)));
                    seq += 1;
                }
                7 if !writing.is_empty() => {
                    writing.swap_remove(which % writing.len()).abort();
                    aborted += 1;
                }
                8 | 9 => match (consumer.try_acquire(), waiting.pop_front()) {
                    (Ok(block), Some((seq, samples, lost))) => {
                        prop_assert_eq!(&*block, &seq_bytes(seq));
                        prop_assert_eq!(block.header().seq, seq);
                        prop_assert_eq!(block.header().samples, samples);
                        prop_assert_eq!(block.header().lost_before, lost);
                        prop_assert_eq!(block.ticket(), ticket);
                        ticket += 1;
                        reading.push(block);
                    }
                    (Err(error), None) => {
                        let wanted = if closed && writing.is_empty() {
                            AcquireError::Closed
                        } else {
                            AcquireError::Empty
                        };
                        prop_assert_eq!(error, wanted);
                    }
                    (got, wanted) => prop_assert!(false, "{got:?} instead of {wanted:?}"),
                },
                10 if !reading.is_empty() => {
                    drop(reading.swap_remove(which % reading.len()));
                }
                11 if which == 0 => {
                    producer.close();
                    closed = true;
                }
                _ => {}
            }
            let counters = producer.counters();
            prop_assert_eq!(counters.committed, seq);
            prop_assert_eq!(counters.acquired, ticket);
            prop_assert_eq!(counters.released, ticket - reading.len() as u64);
            prop_assert_eq!((counters.dropped, counters.dropped_samples), (dropped, dropped_samples));
            prop_assert_eq!((counters.refused, counters.declared_lost), (refused, 3 * refused));
            prop_assert_eq!(counters.reserved, seq + aborted + writing.len() as u64);
            prop_assert_eq!(counters.committed, ticket + dropped + waiting.len() as u64);
        }
    }
}

fn seq_bytes(seq: u64) -> [u8; 8] {
    seq.to_le_bytes()
}
