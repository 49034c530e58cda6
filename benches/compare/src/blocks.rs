//! Blocks of 1 MiB: filled by one thread's `memcpy`, looked at by another.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use daqring_ring::{BlockMeta, SlotOptions, WaitStrategy, slot_ring};

use crate::workloads::pin;

pub const BLOCK: usize = 1 << 20;

/// What every block is copied from. The first word is replaced by its number.
fn source() -> Arc<[u8]> {
    (0..BLOCK).map(|byte| byte as u8).collect()
}

/// One word per page, as a stage would that skims the block.
fn look(block: &[u8], number: u64) {
    assert_eq!(block[..8], number.to_le_bytes());
    let mut sum = 0_u64;
    for page in block.chunks_exact(4096).skip(1) {
        sum += u64::from(page[7]);
    }
    assert_eq!(sum, 7 * (BLOCK as u64 / 4096 - 1));
}

fn fill(block: &mut [u8], source: &[u8], number: u64) {
    block.copy_from_slice(source);
    block[..8].copy_from_slice(&number.to_le_bytes());
}

fn pair(
    produce: impl FnOnce() + Send + 'static,
    consume: impl FnOnce() + Send + 'static,
) -> Duration {
    let producer = thread::spawn(move || {
        pin(0);
        let began = Instant::now();
        produce();
        began
    });
    let consumer = thread::spawn(move || {
        pin(1);
        consume();
        Instant::now()
    });
    let began = producer.join().expect("the producer succeeds");
    consumer.join().expect("the consumer succeeds") - began
}

/// Ours: filled in place, read in place.

pub fn slots(count: u64, slots: usize) -> Duration {
    let (mut producer, mut consumer) = slot_ring(SlotOptions {
        wait: WaitStrategy::Adaptive,
        ..SlotOptions::new(BLOCK, slots)
    })
    .expect("memory");
    let source = source();
    pair(
        move || {
            for number in 0..count {
                let mut slot = producer.reserve().expect("open");
                fill(&mut slot, &source, number);
                slot.commit(BlockMeta {
                    bytes: BLOCK,
                    ..BlockMeta::default()
                });
            }
        },
        move || {
            for number in 0..count {
                look(&consumer.acquire().expect("open"), number);
            }
        },
    )
}

/// A ring of bytes, written and read in place by chunks of a block.
pub fn rtrb_bytes(count: u64, slots: usize) -> Duration {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<u8>::new(BLOCK * slots);
    // Touched beforehand, like ours.
    for _ in 0..slots {
        producer.write_chunk(BLOCK).expect("room").commit_all();
        consumer.read_chunk(BLOCK).expect("values").commit_all();
    }
    let source = source();
    pair(
        move || {
            let mut spin = crate::ends::Spin::default();
            for number in 0..count {
                loop {
                    // Uninitialised: `write_chunk` would clear it first.
                    let Ok(mut chunk) = producer.write_chunk_uninit(BLOCK) else {
                        spin.wait();
                        continue;
                    };
                    let (block, _) = chunk.as_mut_slices();
                    // SAFETY: the chunk does not wrap, since the capacity is a
                    // multiple of it, and bytes may be written to memory that is
                    // not initialised.
                    let block = unsafe {
                        std::slice::from_raw_parts_mut(block.as_mut_ptr().cast::<u8>(), BLOCK)
                    };
                    fill(block, &source, number);
                    // SAFETY: every byte of the chunk has just been written.
                    unsafe { chunk.commit_all() };
                    break;
                }
            }
        },
        move || {
            let mut spin = crate::ends::Spin::default();
            for number in 0..count {
                loop {
                    let Ok(chunk) = consumer.read_chunk(BLOCK) else {
                        spin.wait();
                        continue;
                    };
                    look(chunk.as_slices().0, number);
                    chunk.commit_all();
                    break;
                }
            }
        },
    )
}

/// Boxes that travel through a channel and come back through another.
macro_rules! pooled {
    ($name:ident, $bounded:path) => {
        pub fn $name(count: u64, slots: usize) -> Duration {
            let (tx, rx) = $bounded(slots);
            let (give, get) = $bounded(slots);
            for _ in 0..slots {
                give.send(vec![1_u8; BLOCK].into_boxed_slice())
                    .expect("open");
            }
            let source = source();
            pair(
                move || {
                    for number in 0..count {
                        let mut block = get.recv().expect("open");
                        fill(&mut block, &source, number);
                        tx.send(block).expect("open");
                    }
                    // Until the last block is back, or its return would fail.
                    for _ in 0..slots {
                        drop(get.recv().expect("open"));
                    }
                },
                move || {
                    for number in 0..count {
                        let block: Box<[u8]> = rx.recv().expect("open");
                        look(&block, number);
                        give.send(block).expect("open");
                    }
                },
            )
        }
    };
}

pooled!(crossbeam_pool, crossbeam_channel::bounded);
pooled!(kanal_pool, kanal::bounded);
pooled!(std_pool, std::sync::mpsc::sync_channel);

/// Vectors made for each block, which the allocator hands back most recent first.
pub fn kanal_vec(count: u64, slots: usize) -> Duration {
    let (tx, rx) = kanal::bounded::<Vec<u8>>(slots);
    let source = source();
    pair(
        move || {
            for number in 0..count {
                let mut block = source.to_vec();
                block[..8].copy_from_slice(&number.to_le_bytes());
                tx.send(block).expect("open");
            }
        },
        move || {
            for number in 0..count {
                look(&rx.recv().expect("open"), number);
            }
        },
    )
}

/// No ring: the same copies on one thread, in turn through as much memory.
pub fn memcpy(count: u64, slots: usize) -> Duration {
    let source = source();
    let mut arena = vec![1_u8; BLOCK * slots];
    thread::spawn(move || {
        pin(0);
        let began = Instant::now();
        for number in 0..count {
            let start = (number as usize % slots) * BLOCK;
            fill(&mut arena[start..start + BLOCK], &source, number);
            std::hint::black_box(&mut arena);
        }
        began.elapsed()
    })
    .join()
    .expect("copies")
}
