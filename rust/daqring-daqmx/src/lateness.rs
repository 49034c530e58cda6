use std::time::Duration;

/// Steps per doubling: a quantile is right within 9 percent.
const STEPS: f64 = 8.0;
/// Enough for an hour.
const BUCKETS: usize = 256;

/// For how long the samples of each read had been waiting when the read began, as a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lateness {
    buckets: [u64; BUCKETS],
    count: u64,
    max: Duration,
}

impl Default for Lateness {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            count: 0,
            max: Duration::ZERO,
        }
    }
}

impl Lateness {
    pub(crate) fn note(&mut self, late: Duration) {
        let microseconds = late.as_secs_f64() * 1e6;
        let bucket = ((microseconds + 1.0).log2() * STEPS).round() as usize;
        self.buckets[bucket.min(BUCKETS - 1)] += 1;
        self.count += 1;
        self.max = self.max.max(late);
    }

    /// The lateness that this share (0 to 1) of the reads did not exceed; zero without reads.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut sum = 0;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            sum += count;
            if sum >= rank {
                let microseconds = (bucket as f64 / STEPS).exp2() - 1.0;
                return Duration::from_secs_f64(microseconds * 1e-6).min(self.max);
            }
        }
        Duration::ZERO
    }

    /// The largest.
    pub fn max(&self) -> Duration {
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::Lateness;
    use std::time::Duration;

    #[test]
    fn quantiles_are_close() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.quantile(0.5), Duration::ZERO);
        for microseconds in 1..=10_000 {
            lateness.note(Duration::from_micros(microseconds));
        }
        for (share, expected) in [(0.5, 5000.0), (0.99, 9900.0), (0.001, 10.0)] {
            let got = lateness.quantile(share).as_secs_f64() * 1e6;
            assert!((got / expected - 1.0).abs() < 0.1, "{share}: {got}");
        }
        assert_eq!(lateness.max(), Duration::from_millis(10));
        assert!(lateness.quantile(1.0) <= lateness.max());
    }

    #[test]
    fn takes_any_duration() {
        let mut lateness = Lateness::default();
        lateness.note(Duration::MAX);
        lateness.note(Duration::ZERO);
        assert_eq!(lateness.quantile(0.5), Duration::ZERO);
        assert_eq!(lateness.max(), Duration::MAX);
    }
}
