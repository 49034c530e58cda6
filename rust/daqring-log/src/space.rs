//! How much room the disk has left, and for how long it lasts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const UNKNOWN: u64 = u64::MAX;
/// Rates are taken over at least this much time: a fresh recording writes in bursts.
const SETTLED: Duration = Duration::from_secs(1);

/// What is known of the disk's room, for any thread to look at.
#[derive(Debug, Clone)]
pub struct DiskSpace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    free: AtomicU64,
    left_ms: AtomicU64,
    reserve: AtomicU64,
}

impl DiskSpace {
    pub(crate) fn new(reserve: Option<u64>) -> DiskSpace {
        DiskSpace(Arc::new(Shared {
            free: AtomicU64::new(UNKNOWN),
            left_ms: AtomicU64::new(UNKNOWN),
            reserve: AtomicU64::new(reserve.unwrap_or(0)),
        }))
    }

    /// Free bytes when last asked for; `None` where the system does not say.
    pub fn free(&self) -> Option<u64> {
        let free = self.0.free.load(Ordering::Relaxed);
        (free != UNKNOWN).then_some(free)
    }

    /// Time until only the reserve is left, at the rate of this recording so far. `None` until it is known, and where
    /// old files make room for new ones.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.0.left_ms.load(Ordering::Relaxed);
        (left != UNKNOWN).then(|| Duration::from_millis(left))
    }

    /// Bytes that are kept free to finish the recording.
    pub fn reserve(&self) -> u64 {
        self.0.reserve.load(Ordering::Relaxed)
    }

    fn set(&self, free: u64, left: Option<Duration>) {
        let left = left.map_or(UNKNOWN, |left| {
            u64::try_from(left.as_millis())
                .unwrap_or(UNKNOWN)
                .min(UNKNOWN - 1)
        });
        self.0.left_ms.store(left, Ordering::Relaxed);
        self.0.free.store(free, Ordering::Relaxed);
    }
}

/// The writer's own watch: asks rarely where there is plenty, and for every block where it gets tight.
pub(crate) struct SpaceWatch {
    reserve: Option<u64>,
    /// At which byte the disk was asked last, when, and what it said.
    last: Option<(u64, Instant, u64)>,
    /// When the first block came, and at which byte.
    began: Option<(Instant, u64)>,
    /// Removed files make room for new ones, so the rate does not say when the disk is full.
    is_ring: bool,
    told: DiskSpace,
}

/// Which free space the disk has, and what was to be kept of it.
pub(crate) struct Low {
    pub(crate) free: u64,
    pub(crate) reserve: u64,
}

impl SpaceWatch {
    pub(crate) fn new(reserve: Option<u64>, is_ring: bool) -> SpaceWatch {
        SpaceWatch {
            reserve,
            last: None,
            began: None,
            is_ring,
            told: DiskSpace::new(reserve),
        }
    }

    pub(crate) fn told(&self) -> DiskSpace {
        self.told.clone()
    }

    /// Whether `more` bytes may be written once `handed` bytes were. `ask` gives the disk's free bytes.
    pub(crate) fn check<E>(
        &mut self,
        handed: u64,
        more: u64,
        ask: impl FnOnce() -> Result<Option<u64>, E>,
    ) -> Result<Result<(), Low>, E> {
        let reserve = self.reserve.unwrap_or(0);
        let stale = match self.last {
            None => true,
            Some((at, when, free)) => {
                let spent = handed - at + more;
                let tight = free < reserve.saturating_add(spent.saturating_mul(8));
                self.reserve.is_some() && tight || when.elapsed() > Duration::from_millis(500)
            }
        };
        let (begin, begin_bytes) = *self.began.get_or_insert((Instant::now(), handed));
        if stale {
            let Some(free) = ask()? else {
                return Ok(Ok(()));
            };
            self.last = Some((handed, Instant::now(), free));
            let elapsed = begin.elapsed();
            let rate = (handed - begin_bytes) as f64 / elapsed.as_secs_f64().max(1e-9);
            let left = (elapsed >= SETTLED && rate > 0.0 && !self.is_ring).then(|| {
                Duration::try_from_secs_f64(free.saturating_sub(reserve) as f64 / rate)
                    .unwrap_or(Duration::MAX)
            });
            self.told.set(free, left);
        }
        match (self.reserve, self.last) {
            (Some(reserve), Some((at, _, free)))
                if free < reserve.saturating_add(handed - at).saturating_add(more) =>
            {
                Ok(Err(Low { free, reserve }))
            }
            _ => Ok(Ok(())),
        }
    }
}

/// How a file is written, in words that follow "direct" or "buffered".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) is_direct: bool,
    pub(crate) reason: String,
}

/// What was measured of each file system, so that a program asks it once.
pub(crate) type Known = Mutex<Vec<(u64, Measured)>>;

pub(crate) fn known(known: &Known, device: u64) -> Option<Measured> {
    let known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known.iter().find(|(number, _)| *number == device);
    found.map(|(_, measured)| measured.clone())
}

pub(crate) fn remember(known: &Known, device: u64, measured: &Measured) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.push((device, measured.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(watch: &mut SpaceWatch, handed: u64, more: u64, free: u64) -> bool {
        let answer = watch.check::<()>(handed, more, || Ok(Some(free)));
        matches!(answer, Ok(Ok(())))
    }

    #[test]
    fn the_reserve_is_kept() {
        let mut watch = SpaceWatch::new(Some(1000), false);
        assert!(check(&mut watch, 0, 100, 2000));
        assert_eq!(watch.told().free(), Some(2000));
        assert!(check(&mut watch, 100, 100, 1200));
        assert!(!check(&mut watch, 200, 101, 1100));
        assert!(check(&mut watch, 200, 100, 1100));
        // Without a reserve nothing is refused, and the disk is known nevertheless.
        let mut watch = SpaceWatch::new(None, false);
        assert!(check(&mut watch, 0, 100, 50));
        assert_eq!(
            (watch.told().free(), watch.told().time_left()),
            (Some(50), None)
        );
    }

    #[test]
    fn the_time_left_follows_from_the_rate() {
        let told = |is_ring| {
            let mut watch = SpaceWatch::new(Some(1000), is_ring);
            assert!(check(&mut watch, 0, 100, 1_000_000));
            // As if two seconds had passed, in which 20,000 bytes were written.
            let begin = Instant::now().checked_sub(Duration::from_secs(2));
            let begin = begin?;
            watch.began = Some((begin, 0));
            watch.last = Some((0, begin, 1_000_000));
            assert!(check(&mut watch, 20_000, 100, 101_000));
            Some(watch.told().time_left())
        };
        if let Some(left) = told(false) {
            let left = left.expect("known by now").as_secs_f64();
            assert!((9.0..=10.5).contains(&left), "{left}");
        }
        assert!(told(true).is_none_or(|left| left.is_none()));
    }
}
