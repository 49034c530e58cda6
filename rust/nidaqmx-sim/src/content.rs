//! What a program wrote to a buffered output: the samples of all channels, by their place in the
//! generation.
//!
//! With regeneration the buffer goes round: sample `i` of the generation stands at `i % size`, and
//! who overwrites it changes what comes from the next time on, never what was put out before. Without
//! it the samples are a stream of which the latest are kept, for those who look at the output later.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::driver::lock;

/// Samples of a stream that are kept after they were generated, for all lanes together.
const KEPT: usize = 1 << 21;

/// Buffers of the past that are kept while the program overwrites a regenerated one.
const EPOCHS: usize = 256;

/// The samples of one output task.
#[derive(Debug)]
pub(crate) struct Content {
    /// Numbers of one sample of all channels: one per channel, two for pulses.
    pub(crate) lanes: usize,
    /// Samples that the buffer holds.
    pub(crate) size: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    written: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Each buffer with the generated sample from which on it holds, ascending.
    Ring { epochs: Vec<(u64, Arc<Vec<f64>>)> },
    /// The samples from `first` on.
    Stream { first: u64, samples: VecDeque<f64> },
}

impl Content {
    pub(crate) fn new(lanes: usize, size: u64, regenerate: bool) -> Self {
        let kind = if regenerate {
            let numbers = usize::try_from(size).unwrap_or(0).saturating_mul(lanes);
            Kind::Ring {
                epochs: vec![(0, Arc::new(vec![0.0; numbers]))],
            }
        } else {
            Kind::Stream {
                first: 0,
                samples: VecDeque::new(),
            }
        };
        Self {
            lanes: lanes.max(1),
            size,
            inner: Mutex::new(Inner { written: 0, kind }),
        }
    }

    /// Whether the buffer goes round.
    pub(crate) fn regenerates(&self) -> bool {
        matches!(lock(&self.inner).kind, Kind::Ring { .. })
    }

    /// Samples per channel that were written: the end of what was written furthest.
    pub(crate) fn written(&self) -> u64 {
        lock(&self.inner).written
    }

    /// Writes samples, all lanes of one after the other, from a place of the generation on, while
    /// `generated` samples are out.
    pub(crate) fn write(&self, place: u64, samples: &[f64], generated: u64) {
        let lanes = self.lanes;
        let count = (samples.len() / lanes) as u64;
        let mut inner = lock(&self.inner);
        match &mut inner.kind {
            Kind::Ring { epochs } => {
                let Some((from, last)) = epochs.last_mut() else {
                    return;
                };
                if self.size == 0 {
                    return;
                }
                let put = |buffer: &mut Vec<f64>| {
                    for (sample, values) in (place..).zip(samples.chunks_exact(lanes)) {
                        let at = (sample % self.size) as usize * lanes;
                        buffer[at..at + lanes].copy_from_slice(values);
                    }
                };
                if *from >= generated {
                    // Nothing of this buffer was put out yet.
                    put(Arc::make_mut(last));
                } else {
                    let mut next = Vec::clone(last);
                    put(&mut next);
                    epochs.push((generated, Arc::new(next)));
                    if epochs.len() > EPOCHS {
                        epochs.drain(..EPOCHS / 2);
                    }
                }
            }
            Kind::Stream {
                first,
                samples: all,
            } => {
                for (sample, values) in (place..).zip(samples.chunks_exact(lanes)) {
                    let Some(at) = sample.checked_sub(*first) else {
                        continue;
                    };
                    let at = at as usize * lanes;
                    if at >= all.len() {
                        all.resize(at, 0.0);
                        all.extend(values);
                    } else {
                        for (lane, value) in values.iter().enumerate() {
                            all[at + lane] = *value;
                        }
                    }
                }
                let spare = (generated.saturating_sub(*first) as usize).saturating_mul(lanes);
                if spare > 2 * KEPT {
                    let gone = (spare - KEPT) / lanes;
                    all.drain(..gone * lanes);
                    *first += gone as u64;
                }
            }
        }
        inner.written = inner.written.max(place.saturating_add(count));
    }

    /// What the next run begins with: the buffer as it is, where it goes round; `None` for a stream,
    /// which has been put out.
    pub(crate) fn again(&self) -> Option<Self> {
        let inner = lock(&self.inner);
        let Kind::Ring { epochs } = &inner.kind else {
            return None;
        };
        let (_, last) = epochs.last()?;
        Some(Self {
            lanes: self.lanes,
            size: self.size,
            inner: Mutex::new(Inner {
                written: self.size.min(inner.written),
                kind: Kind::Ring {
                    epochs: vec![(0, Arc::clone(last))],
                },
            }),
        })
    }

    /// One number of a sample of the generation; the last one there is beyond the end of a stream.
    pub(crate) fn value(&self, lane: usize, sample: u64) -> f64 {
        let inner = lock(&self.inner);
        match &inner.kind {
            Kind::Ring { epochs } => {
                let epoch = epochs.partition_point(|(from, _)| *from <= sample);
                let Some((_, buffer)) = epochs.get(epoch.saturating_sub(1)) else {
                    return 0.0;
                };
                if self.size == 0 {
                    return 0.0;
                }
                let at = (sample % self.size) as usize * self.lanes + lane;
                buffer.get(at).copied().unwrap_or(0.0)
            }
            Kind::Stream { first, samples } => {
                let count = (samples.len() / self.lanes) as u64;
                if count == 0 {
                    return 0.0;
                }
                let at = sample.saturating_sub(*first).min(count - 1) as usize;
                samples.get(at * self.lanes + lane).copied().unwrap_or(0.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_goes_round_and_keeps_what_was_put_out() {
        let ring = Content::new(2, 3, true);
        ring.write(0, &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0], 0);
        let lane = |lane: usize| (0..7).map(|i| ring.value(lane, i)).collect::<Vec<_>>();
        assert_eq!(lane(0), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0]);
        assert_eq!(lane(1), [10.0, 20.0, 30.0, 10.0, 20.0, 30.0, 10.0]);
        // The first sample is out already: what is written over it comes in the next round.
        ring.write(3, &[4.0, 40.0], 2);
        assert_eq!(lane(0), [1.0, 2.0, 3.0, 4.0, 2.0, 3.0, 4.0]);
        assert_eq!(ring.written(), 4);
        let again = ring.again().unwrap();
        assert_eq!(
            (again.value(0, 0), again.value(1, 0), again.written()),
            (4.0, 40.0, 3)
        );
    }

    #[test]
    fn a_stream_is_what_was_written_and_holds_its_last_value() {
        let stream = Content::new(1, 100, false);
        assert_eq!(stream.value(0, 5), 0.0);
        stream.write(0, &[1.0, 2.0], 0);
        stream.write(2, &[3.0], 1);
        stream.write(1, &[7.0], 1);
        let values: Vec<_> = (0..5).map(|i| stream.value(0, i)).collect();
        assert_eq!(values, [1.0, 7.0, 3.0, 3.0, 3.0]);
        // What was generated long ago is forgotten; the rest keeps its places.
        let many: Vec<f64> = (0..3 * KEPT).map(|i| i as f64).collect();
        stream.write(3, &many, 0);
        let end = 3 + many.len() as u64;
        stream.write(end, &[-1.0], end);
        assert_eq!(stream.value(0, end), -1.0);
        assert_eq!(stream.value(0, end - 1), (3 * KEPT - 1) as f64);
        assert!(stream.value(0, 0) > 0.0);
    }
}
