//! The runs of the channels within a block: all samples of one channel, then all of the next.
//!
//! The driver packs what it reads: the runs of a read of n samples are n samples apart. A block
//! that grows by several reads keeps its runs as far apart as the full block will have them, and is
//! packed when it is given away earlier.

/// Moves `channels` runs of `length` bytes each from places `from` bytes apart to places `to`
/// bytes apart. `length` is not above either.
pub(crate) fn move_runs(data: &mut [u8], channels: usize, length: usize, from: usize, to: usize) {
    debug_assert!(length <= from && length <= to);
    // No run may be overwritten before it is moved: outwards the last goes first.
    if to > from {
        for channel in (1..channels).rev() {
            data.copy_within(channel * from..channel * from + length, channel * to);
        }
    } else if to < from {
        for channel in 1..channels {
            data.copy_within(channel * from..channel * from + length, channel * to);
        }
    }
}

/// Copies `channels` packed runs of `length` bytes each to places `apart` bytes apart, `offset`
/// bytes into each.
pub(crate) fn append_runs(
    data: &mut [u8],
    packed: &[u8],
    channels: usize,
    length: usize,
    offset: usize,
    apart: usize,
) {
    for channel in 0..channels {
        let start = channel * apart + offset;
        data[start..start + length].copy_from_slice(&packed[channel * length..][..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::{append_runs, move_runs};

    #[test]
    fn runs_grow_and_are_packed() {
        let mut data = vec![0u8; 3 * 7];
        data[..6].copy_from_slice(&[1, 2, 11, 12, 21, 22]);
        move_runs(&mut data, 3, 2, 2, 7);
        append_runs(&mut data, &[3, 4, 5, 13, 14, 15, 23, 24, 25], 3, 3, 2, 7);
        for channel in 0..3u8 {
            let run = &data[usize::from(channel) * 7..][..5];
            let expected: Vec<u8> = (1..=5).map(|n| channel * 10 + n).collect();
            assert_eq!(run, expected);
        }
        move_runs(&mut data, 3, 5, 7, 5);
        assert_eq!(
            &data[..15],
            [1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 21, 22, 23, 24, 25]
        );
    }

    #[test]
    fn overlapping_runs_survive_any_distance() {
        for channels in 1..6 {
            for length in 1..6 {
                for apart in length..9 {
                    let mut data = vec![0xEE; channels * apart];
                    let packed: Vec<u8> = (0..channels * length).map(|n| n as u8).collect();
                    data[..packed.len()].copy_from_slice(&packed);
                    move_runs(&mut data, channels, length, length, apart);
                    move_runs(&mut data, channels, length, apart, length);
                    assert_eq!(&data[..packed.len()], packed);
                }
            }
        }
    }
}
