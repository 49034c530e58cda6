//! Reads of a log by several threads: most of the time goes into copying from the system's cache into memory that is
//! touched for the first time, and both go as fast as there are processors.

use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};

use daqring_log::{LogError, LogFile};

/// Bytes of results that are worth a thread, and that one takes at a time.
const PART: usize = 8 << 20;
/// More threads than that only wait for the memory.
const MOST: usize = 8;

/// [`LogFile::read_raw_many`] by several threads where there is much to read.
///
/// # Errors
/// As that.
pub fn raw(
    file: &LogFile,
    group: usize,
    channels: &[usize],
    range: Range<u64>,
    outs: &mut [&mut [u8]],
) -> Result<(), LogError> {
    let sizes: Option<Vec<usize>> = channels
        .iter()
        .map(|at| {
            let channel = file.groups().get(group)?.channels.get(*at)?;
            channel.data_type.size()
        })
        .collect();
    let read = |range: Range<u64>, outs: &mut [&mut [u8]]| match (channels, outs) {
        ([channel], [out]) => file.read_raw(group, *channel, range, out),
        (channels, outs) => file.read_raw_many(group, channels, range, outs),
    };
    match sizes {
        Some(sizes) => in_parts(range, &sizes, outs, read),
        None => read(range, outs),
    }
}

/// [`LogFile::read_scaled_many`] by several threads where there is much to read.
///
/// # Errors
/// As that.
pub fn scaled(
    file: &LogFile,
    group: usize,
    channels: &[usize],
    range: Range<u64>,
    outs: &mut [&mut [f64]],
) -> Result<(), LogError> {
    in_parts(
        range,
        &vec![1; channels.len()],
        outs,
        |range, outs| match (channels, outs) {
            ([channel], [out]) => file.read_scaled(group, *channel, range, out),
            (channels, outs) => file.read_scaled_many(group, channels, range, outs),
        },
    )
}

/// Threads that read at most. Asked once: the answer takes longer than a small read.
fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        std::thread::available_parallelism().map_or(1, |count| count.get().min(MOST))
    })
}

/// A part of the range, and the places for it.
type Part<'a, T> = (Range<u64>, Vec<&'a mut [T]>);

/// Calls `read` for the parts of a range, from several threads; `sizes` are the elements of one value in each place.
fn in_parts<T: Send>(
    range: Range<u64>,
    sizes: &[usize],
    outs: &mut [&mut [T]],
    read: impl Fn(Range<u64>, &mut [&mut [T]]) -> Result<(), LogError> + Sync,
) -> Result<(), LogError> {
    let count = range.end.saturating_sub(range.start);
    let fits = sizes.len() == outs.len()
        && sizes
            .iter()
            .zip(outs.iter())
            .all(|(size, out)| count.checked_mul(*size as u64) == Some(out.len() as u64));
    let row: usize = sizes.iter().sum::<usize>() * size_of::<T>();
    let step = (PART / row.max(1)).max(1) as u64;
    let parts = usize::try_from(count.div_ceil(step)).unwrap_or(usize::MAX);
    let threads = if parts < 2 {
        1
    } else {
        parts.min(processors())
    };
    // What does not fit is an error that `read` has the words for.
    if threads < 2 || !fits {
        return read(range, outs);
    }
    let mut rest: Vec<&mut [T]> = outs.iter_mut().map(|out| &mut **out).collect();
    let mut queue: Vec<Part<'_, T>> = Vec::new();
    let mut from = range.start;
    while from < range.end {
        let to = from.saturating_add(step).min(range.end);
        let places = rest.iter_mut().zip(sizes).map(|(rest, size)| {
            let (place, after) = std::mem::take(rest).split_at_mut((to - from) as usize * size);
            *rest = after;
            place
        });
        queue.push((from..to, places.collect()));
        from = to;
    }
    // From the front, as the file lies.
    queue.reverse();
    let queue = Mutex::new(queue);
    let failure = Mutex::new(None);
    let work = || {
        let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        while let Some((range, mut places)) = take() {
            if let Err(error) = read(range, &mut places) {
                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for number in 1..threads {
            let named = std::thread::Builder::new().name(format!("daqring-read-{number}"));
            // Where no thread is to be had, the others do its part.
            let _ = named.spawn_scoped(scope, work);
        }
        work();
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read_once_into_its_place() {
        let count = 3 * PART / 10 + 7;
        let (mut bytes, mut wide) = (vec![0u8; count * 2], vec![0u8; count * 8]);
        let mut outs: Vec<&mut [u8]> = vec![&mut bytes, &mut wide];
        let calls = Mutex::new(Vec::new());
        in_parts(5..5 + count as u64, &[2, 8], &mut outs, |range, outs| {
            assert_eq!(outs[0].len() * 4, outs[1].len());
            for (at, value) in outs[0].chunks_exact_mut(2).enumerate() {
                value[0] += ((range.start + at as u64) % 251) as u8 + 1;
            }
            calls.lock().unwrap().push(range);
            Ok(())
        })
        .unwrap();
        let mut calls = calls.into_inner().unwrap();
        calls.sort_by_key(|range| range.start);
        assert_eq!(calls.first().unwrap().start, 5);
        assert_eq!(calls.last().unwrap().end, 5 + count as u64);
        assert!(calls.windows(2).all(|pair| pair[0].end == pair[1].start));
        for (at, value) in bytes.chunks_exact(2).enumerate() {
            assert_eq!(value[0], ((at + 5) % 251) as u8 + 1);
        }
    }

    #[test]
    fn an_error_ends_the_reading() {
        let mut bytes = vec![0u8; 4 * PART];
        let failed = in_parts(
            0..4 * PART as u64,
            &[1],
            &mut [bytes.as_mut_slice()],
            |range, _| match range.contains(&(PART as u64)) {
                true => Err(LogError::Range("here".to_owned())),
                false => Ok(()),
            },
        );
        assert!(failed.unwrap_err().to_string().contains("here"));
        // Places that do not fit are left to the reader's own words.
        let asked = in_parts(0..10, &[1], &mut [&mut bytes[..3]], |range, outs| {
            assert_eq!((range, outs[0].len()), (0..10, 3));
            Err(LogError::Range("too small".to_owned()))
        });
        assert!(asked.is_err());
    }
}
