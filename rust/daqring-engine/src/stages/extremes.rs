//! The least and the greatest of some samples.

use crate::Kernel;
use crate::samples::Sample;

const LANES: usize = 32;

pub(crate) struct Extremes<'a, S: Sample>(pub(crate) &'a [S::Bytes]);

impl<S: Sample> Kernel for Extremes<'_, S> {
    type Output = (S, S);

    /// Samples that are not a number are passed over.
    #[inline(always)]
    fn run(self) -> (S, S) {
        let (mut least, mut greatest) = ([S::GREATEST; LANES], [S::LEAST; LANES]);
        let (chunks, rest) = self.0.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                let value = S::get(&chunk[lane]);
                least[lane] = if value < least[lane] {
                    value
                } else {
                    least[lane]
                };
                greatest[lane] = if value > greatest[lane] {
                    value
                } else {
                    greatest[lane]
                };
            }
        }
        let (mut low, mut high) = (S::GREATEST, S::LEAST);
        for lane in 0..LANES {
            low = if least[lane] < low { least[lane] } else { low };
            high = if greatest[lane] > high {
                greatest[lane]
            } else {
                high
            };
        }
        for bytes in rest {
            let value = S::get(bytes);
            low = if value < low { value } else { low };
            high = if value > high { value } else { high };
        }
        (low, high)
    }
}
