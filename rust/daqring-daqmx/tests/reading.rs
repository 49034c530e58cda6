//! The reading thread on a scripted driver: every sample is numbered, and every block is checked.
#![cfg(not(all(target_vendor = "apple", target_arch = "aarch64")))]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{c_char, c_void};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use daqring_daqmx::{
    Addresses, Cause, DriverTask, Ending, Functions, Gap, LOST_UNKNOWN, Losses, Outcome, Pace,
    Reader, ReaderOptions, SampleType,
};
use daqring_ring::BlockHeader;
use daqring_ring::slots::{SlotConsumer, SlotOptions, slot_ring};

const CHANNELS: usize = 3;
const TIMED_OUT: i32 = -200_284;
const PATIENCE: Duration = Duration::from_secs(20);

/// What a read of the scripted driver does: moves the position, delivers at most so much, returns
/// a status.
#[derive(Clone, Copy)]
struct Act {
    skip: i64,
    most: usize,
    status: i32,
}

const WHOLE: Act = Act {
    skip: 0,
    most: usize::MAX,
    status: 0,
};

fn short(most: usize, status: i32) -> Act {
    Act {
        most,
        status,
        ..WHOLE
    }
}

#[derive(Default)]
struct State {
    script: VecDeque<Act>,
    position: u64,
    acquired: u64,
    reads: Vec<(usize, f64)>,
    stops: usize,
    claims: Option<i32>,
    reader_thread: String,
    signals_blocked: Option<bool>,
}

/// A driver in memory. Its address is the handle.
struct Driver(Mutex<State>);

thread_local! {
    static WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// # Safety
/// `handle` is the address of a living `Driver`.
unsafe fn state<'a>(handle: *mut c_void) -> MutexGuard<'a, State> {
    // SAFETY: as above.
    unsafe { &*handle.cast::<Driver>() }.0.lock().unwrap()
}

unsafe extern "system" fn read_i16(
    handle: *mut c_void,
    count: i32,
    timeout: f64,
    fill_mode: u32,
    out: *mut c_void,
    elements: u32,
    read: *mut i32,
    reserved: *mut u32,
) -> i32 {
    // SAFETY: the tests keep the driver alive for as long as its reader.
    let mut state = unsafe { state(handle) };
    assert_eq!(fill_mode, 0);
    assert!(reserved.is_null());
    let count = usize::try_from(count).unwrap();
    assert!(elements as usize >= count * CHANNELS);
    state.reads.push((count, timeout));
    if let Some(name) = std::thread::current().name() {
        state.reader_thread = name.to_owned();
    }
    state.signals_blocked = signals_blocked();
    let act = state.script.pop_front().unwrap_or(WHOLE);
    state.position = state.position.checked_add_signed(act.skip).unwrap();
    let got = act.most.min(count);
    for channel in 0..CHANNELS {
        for index in 0..got {
            let value = sample(channel, state.position + index as u64);
            // SAFETY: within `count * CHANNELS` elements, checked above.
            unsafe { out.cast::<i16>().add(channel * got + index).write(value) };
        }
    }
    state.position += got as u64;
    state.acquired = state.acquired.max(state.position);
    // SAFETY: the reader's place for the count.
    unsafe { *read = state.claims.unwrap_or(got as i32) };
    if act.status < 0 {
        WORDS.set(format!(
            "It is {} now.\nTask: none\nStatus Code: {}",
            act.status, act.status
        ));
    }
    act.status
}

/// Delivers up to 5 samples at a time, each the lowest `SIZE` bytes of its number, on two channels.
unsafe extern "system" fn read_sized<const SIZE: usize>(
    handle: *mut c_void,
    count: i32,
    _: f64,
    _: u32,
    out: *mut c_void,
    elements: u32,
    read: *mut i32,
    _: *mut u32,
) -> i32 {
    let count = usize::try_from(count).unwrap();
    assert_eq!(elements as usize, 2 * count);
    let got = count.min(5);
    // SAFETY: the first `got` samples of each channel lie packed within the array.
    unsafe {
        let out = out.cast::<u8>();
        write_numbers::<SIZE>(handle, got, out, out.add(got * SIZE));
        *read = got as i32;
    }
    if got < count { TIMED_OUT } else { 0 }
}

/// The same in two arrays.
unsafe extern "system" fn read_pairs<const SIZE: usize>(
    handle: *mut c_void,
    count: i32,
    _: f64,
    _: u32,
    first: *mut c_void,
    second: *mut c_void,
    elements: u32,
    read: *mut i32,
    _: *mut u32,
) -> i32 {
    let count = usize::try_from(count).unwrap();
    assert_eq!(elements as usize, count);
    let got = count.min(5);
    // SAFETY: `got` samples fit into each array.
    unsafe {
        write_numbers::<SIZE>(handle, got, first.cast(), second.cast());
        *read = got as i32;
    }
    if got < count { TIMED_OUT } else { 0 }
}

/// # Safety
/// `handle` is that of a living driver, and `got` samples of `SIZE` bytes fit behind both pointers.
unsafe fn write_numbers<const SIZE: usize>(
    handle: *mut c_void,
    got: usize,
    first: *mut u8,
    second: *mut u8,
) {
    // SAFETY: as above.
    let mut state = unsafe { state(handle) };
    for index in 0..got {
        let number = (state.position + index as u64) * 0x0101_0101_0101;
        for (out, value) in [(first, number), (second, !number)] {
            // SAFETY: as above.
            unsafe {
                let bytes = value.to_le_bytes();
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), out.add(index * SIZE), SIZE);
            }
        }
    }
    state.position += got as u64;
    state.acquired = state.acquired.max(state.position);
}

fn reads_every_number<const SIZE: usize>(sample: SampleType, pairs: bool) {
    let driver = Box::new(Driver(Mutex::new(State {
        acquired: 1000,
        ..State::default()
    })));
    let (producer, mut consumer) = slot_ring(SlotOptions::new(8 * 2 * SIZE, 64)).unwrap();
    let addresses = Addresses {
        read: match pairs {
            false => read_sized::<SIZE> as *const () as usize,
            true => read_pairs::<SIZE> as *const () as usize,
        },
        pairs,
        get_read_attribute: get as *const () as usize,
        set_read_attribute: 0,
        stop_task: stop_task as *const () as usize,
        get_extended_error_info: words as *const () as usize,
    };
    // SAFETY: as in `start_with`.
    let task = unsafe {
        let functions = Functions::new(addresses).unwrap();
        let handle = std::ptr::from_ref::<Driver>(&driver).addr();
        DriverTask::new(functions, handle, 2, sample)
    };
    assert_eq!(task.frame(), 2 * SIZE);
    let options = ReaderOptions {
        name: "acquire-test".to_owned(),
        block: 8,
        most: 8,
        rate: 1e6,
        pace: Pace::Steady,
        timed: false,
        position: 0,
        end: Some(29),
        stop_task: true,
        shift: 0,
        gap: None,
        keep_open: false,
        skip_lost: false,
        clock: None,
        start: None,
        on_thread: None,
    };
    let reader = Reader::start(task, producer, options).unwrap();
    let mut runs = [Vec::new(), Vec::new()];
    while let Ok(slot) = consumer.acquire() {
        let half = slot.len() / 2;
        runs[0].extend_from_slice(&slot[..half]);
        runs[1].extend_from_slice(&slot[half..]);
    }
    assert!(reader.wait(PATIENCE));
    let expected = |flip: u64| -> Vec<u8> {
        (0..29u64)
            .flat_map(|n| ((n * 0x0101_0101_0101) ^ flip).to_le_bytes()[..SIZE].to_vec())
            .collect()
    };
    assert_eq!(
        runs,
        [expected(0), expected(u64::MAX)],
        "{sample:?}, pairs: {pairs}"
    );
}

#[test]
fn samples_of_every_type_arrive_whole() {
    reads_every_number::<1>(SampleType::U8, false);
    reads_every_number::<2>(SampleType::I16, false);
    reads_every_number::<2>(SampleType::U16, false);
    reads_every_number::<4>(SampleType::I32, false);
    reads_every_number::<4>(SampleType::U32, false);
    reads_every_number::<8>(SampleType::F64, false);
}

#[test]
fn pairs_of_values_are_two_channels() {
    reads_every_number::<4>(SampleType::U32, true);
    reads_every_number::<8>(SampleType::F64, true);
}

/// Whether the calling thread takes neither Ctrl-C nor a request to end.
#[cfg(target_os = "linux")]
fn signals_blocked() -> Option<bool> {
    // SAFETY: asks for the mask of the calling thread and changes nothing.
    unsafe {
        let mut mask = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
        Some([libc::SIGINT, libc::SIGTERM].map(|signal| libc::sigismember(&mask, signal)) == [1, 1])
    }
}

#[cfg(not(target_os = "linux"))]
fn signals_blocked() -> Option<bool> {
    None
}

unsafe extern "C" fn get(handle: *mut c_void, id: i32, value: *mut c_void, size: u32) -> i32 {
    // SAFETY: as in `read_i16`.
    let state = unsafe { state(handle) };
    match (id, size) {
        // SAFETY: the size says which number the place is for.
        (0x1221, 8) => unsafe { *value.cast::<u64>() = state.position },
        // SAFETY: as above.
        (0x192A, 8) => unsafe { *value.cast::<u64>() = state.acquired },
        // SAFETY: as above.
        (0x1223, 4) => unsafe { *value.cast::<u32>() = (state.acquired - state.position) as u32 },
        other => panic!("attribute {other:?}"),
    }
    0
}

unsafe extern "system" fn stop_task(handle: *mut c_void) -> i32 {
    // SAFETY: as in `read_i16`.
    unsafe { state(handle) }.stops += 1;
    0
}

unsafe extern "system" fn words(out: *mut c_char, size: u32) -> i32 {
    let words = WORDS.take();
    assert!(words.len() < size as usize);
    // SAFETY: the words and a zero fit, checked above.
    unsafe {
        std::ptr::copy_nonoverlapping(words.as_ptr(), out.cast::<u8>(), words.len());
        out.add(words.len()).write(0);
    }
    0
}

fn sample(channel: usize, index: u64) -> i16 {
    (channel as i16) * 10_000 + (index % 10_000) as i16
}

struct Run {
    driver: Box<Driver>,
    reader: Reader,
    consumer: SlotConsumer,
    /// How far the numbers in the samples behind a gap of unknown size are behind.
    shift: u64,
}

struct Done {
    outcome: Outcome,
    gaps: Vec<Gap>,
    blocks: Vec<BlockHeader>,
    reads: Vec<(usize, f64)>,
    short_reads: u64,
    stops: usize,
    #[cfg_attr(
        not(all(target_os = "linux", not(daqring_portable))),
        allow(dead_code, reason = "nothing is blocked there")
    )]
    signals_blocked: Option<bool>,
}

/// Starts a reader on a driver that has acquired `acquired` samples and acts by `script`.
fn start(script: &[Act], acquired: u64, block: u64, most: u64, end: Option<u64>) -> Run {
    start_with(
        State {
            script: script.iter().copied().collect(),
            acquired,
            ..State::default()
        },
        block,
        most,
        end,
        64,
    )
}

fn start_with(state: State, block: u64, most: u64, end: Option<u64>, slots: usize) -> Run {
    start_changed(state, block, most, end, slots, |_| {})
}

fn start_changed(
    state: State,
    block: u64,
    most: u64,
    end: Option<u64>,
    slots: usize,
    change: impl FnOnce(&mut ReaderOptions),
) -> Run {
    let position = state.position;
    let driver = Box::new(Driver(Mutex::new(state)));
    let (producer, consumer) =
        slot_ring(SlotOptions::new(block as usize * CHANNELS * 2, slots)).unwrap();
    let addresses = Addresses {
        read: read_i16 as *const () as usize,
        pairs: false,
        get_read_attribute: get as *const () as usize,
        set_read_attribute: 0,
        stop_task: stop_task as *const () as usize,
        get_extended_error_info: words as *const () as usize,
    };
    // SAFETY: these are functions of these signatures, and the handle is the driver's address,
    // which `Run` keeps alive.
    let task = unsafe {
        let functions = Functions::new(addresses).unwrap();
        let handle = std::ptr::from_ref::<Driver>(&driver).addr();
        DriverTask::new(functions, handle, CHANNELS, SampleType::I16)
    };
    let mut options = ReaderOptions {
        name: "acquire-test".to_owned(),
        block,
        most,
        rate: 1e6,
        pace: Pace::Steady,
        timed: false,
        position,
        end,
        stop_task: true,
        shift: 0,
        gap: None,
        keep_open: false,
        skip_lost: false,
        clock: None,
        start: None,
        on_thread: None,
    };
    change(&mut options);
    Run {
        reader: Reader::start(task, producer, options).unwrap(),
        driver,
        consumer,
        shift: 0,
    }
}

impl Run {
    /// Waits for the end and checks every sample of every block.
    fn finish(mut self) -> Done {
        let mut blocks = Vec::new();
        let mut shift = 0;
        while let Ok(slot) = self.consumer.acquire() {
            let header = *slot.header();
            if header.lost_before == LOST_UNKNOWN {
                shift = self.shift;
            }
            assert_eq!(slot.len(), header.samples as usize * CHANNELS * 2);
            for (number, pair) in slot.chunks_exact(2).enumerate() {
                let (channel, index) = (
                    number / header.samples as usize,
                    number as u64 % header.samples,
                );
                assert_eq!(
                    i16::from_ne_bytes([pair[0], pair[1]]),
                    sample(channel, header.first_sample - shift + index),
                    "block {}, channel {channel}, sample {index}",
                    header.seq
                );
            }
            blocks.push(header);
        }
        assert!(self.reader.wait(PATIENCE));
        let state = self.driver.0.lock().unwrap();
        assert_eq!(state.reader_thread, "acquire-test");
        let (gaps, progress) = (self.reader.gaps(), self.reader.progress());
        let sum = Losses {
            gaps: gaps.len() as u64,
            samples: gaps.iter().filter_map(|gap| gap.count).sum(),
            unknown: gaps.iter().filter(|gap| gap.count.is_none()).count() as u64,
        };
        assert_eq!(progress.losses, sum);
        Done {
            outcome: self.reader.outcome().unwrap(),
            gaps,
            blocks,
            reads: state.reads.clone(),
            short_reads: progress.short_reads,
            stops: state.stops,
            signals_blocked: state.signals_blocked,
        }
    }
}

fn samples(done: &Done) -> Vec<u64> {
    done.blocks.iter().map(|block| block.samples).collect()
}

#[test]
fn whole_reads_are_whole_blocks() {
    let done = start(&[], 1000, 8, 8, Some(20)).finish();
    assert_eq!(samples(&done), [8, 8, 4]);
    assert_eq!(done.outcome.ending, Ending::Finished);
    assert_eq!(
        (done.outcome.position, done.outcome.acquired),
        (20, Some(1000))
    );
    assert_eq!(done.reads.len(), 3);
    assert_eq!((done.gaps, done.outcome.gap), (vec![], None));
    assert_eq!((done.stops, done.short_reads), (1, 0));
}

#[test]
fn small_reads_fill_a_block() {
    let done = start(&[], 1000, 8, 3, Some(21)).finish();
    assert_eq!(samples(&done), [8, 8, 5]);
    assert_eq!(
        done.reads.iter().map(|read| read.0).collect::<Vec<_>>(),
        [3, 3, 2, 3, 3, 2, 3, 2]
    );
}

#[test]
fn time_outs_keep_every_sample() {
    let script = [
        short(3, TIMED_OUT),
        short(0, TIMED_OUT),
        short(1, TIMED_OUT),
        WHOLE,
        short(7, TIMED_OUT),
    ];
    let done = start(&script, 1000, 8, 8, Some(20)).finish();
    assert_eq!(samples(&done), [8, 8, 4]);
    assert_eq!(done.outcome.ending, Ending::Finished);
    assert_eq!(done.short_reads, 4);
}

#[test]
fn any_division_into_reads_gives_the_same_samples() {
    let mut seed = 1u64;
    let mut random = |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..200 {
        let block = 1 + random(17);
        let most = 1 + random(block);
        let script: Vec<Act> = (0..random(40))
            .map(|_| short(random(block + 1) as usize, TIMED_OUT))
            .collect();
        let end = 1 + random(200);
        let done = start(&script, 1000, block, most, Some(end)).finish();
        assert_eq!(done.outcome.ending, Ending::Finished);
        let all: u64 = samples(&done).iter().sum();
        assert_eq!(all, end);
        let (last, full) = done.blocks.split_last().unwrap();
        assert!(full.iter().all(|other| other.samples == block));
        assert!(last.samples <= block);
    }
}

#[test]
fn a_foreign_read_is_a_gap_in_front_of_the_block() {
    let skip = |samples| Act {
        skip: samples,
        ..WHOLE
    };
    let done = start(&[WHOLE, skip(5), WHOLE], 1000, 8, 8, Some(32)).finish();
    let gap = Gap {
        first_sample: 8,
        count: Some(5),
        cause: Cause::ForeignRead,
    };
    assert_eq!(done.gaps, [gap]);
    assert_eq!(done.outcome.gap, None);
    let headers: Vec<_> = done
        .blocks
        .iter()
        .map(|block| {
            (
                block.first_sample,
                block.samples,
                block.lost_before,
                block.gap,
            )
        })
        .collect();
    assert_eq!(
        headers,
        [(0, 8, 0, 0), (13, 8, 5, 4), (21, 8, 0, 0), (29, 3, 0, 0)]
    );
    assert_eq!(done.outcome.ending, Ending::Finished);
}

#[test]
fn a_foreign_read_within_a_block_begins_another() {
    let skip = Act { skip: 2, ..WHOLE };
    let done = start(&[WHOLE, skip], 1000, 8, 3, Some(16)).finish();
    let headers: Vec<_> = done
        .blocks
        .iter()
        .map(|block| (block.first_sample, block.samples, block.lost_before))
        .collect();
    assert_eq!(headers, [(0, 3, 0), (5, 8, 2), (13, 3, 0)]);
    assert_eq!(done.gaps.len(), 1);
}

#[test]
fn a_position_that_goes_back_is_a_gap_of_unknown_size() {
    let back = Act { skip: -4, ..WHOLE };
    let mut run = start(&[WHOLE, back], 1000, 8, 8, Some(16));
    run.shift = 4;
    let done = run.finish();
    assert_eq!(done.blocks[1].first_sample, 8);
    assert_eq!(done.blocks[1].lost_before, LOST_UNKNOWN);
    assert_eq!((samples(&done), done.outcome.position), (vec![8, 8], 16));
    assert_eq!((done.gaps[0].first_sample, done.gaps[0].count), (8, None));
}

#[test]
fn an_overwrite_ends_it_and_is_counted() {
    for code in [-200_279, -200_222] {
        let done = start(&[WHOLE, short(2, code)], 100, 8, 8, None).finish();
        // What the failed read had got is kept.
        assert_eq!(samples(&done), [8, 2]);
        let gap = Gap {
            first_sample: 10,
            count: Some(90),
            cause: Cause::Overwrite,
        };
        assert_eq!((done.outcome.gap, &done.gaps[..]), (Some(gap), &[gap][..]));
        let Ending::Driver(error) = done.outcome.ending else {
            panic!("{:?}", done.outcome.ending);
        };
        assert_eq!(
            (error.code, error.words),
            (code, format!("It is {code} now."))
        );
        assert_eq!(done.stops, 1);
    }
}

#[test]
fn what_was_not_wanted_is_not_lost() {
    let done = start(&[short(0, -200_279)], 100, 8, 8, Some(30)).finish();
    assert_eq!(done.outcome.gap.map(|gap| gap.count), Some(Some(30)));
}

#[test]
fn a_device_overflow_is_a_loss_of_unknown_size() {
    for code in [-200_361, -200_010, -209_829, -200_714] {
        let done = start(&[WHOLE, short(0, code)], 100, 8, 8, Some(50)).finish();
        let gap = Gap {
            first_sample: 8,
            count: None,
            cause: Cause::DeviceOverflow,
        };
        assert_eq!(done.outcome.gap, Some(gap));
    }
}

#[test]
fn another_error_ends_it_without_a_gap() {
    let done = start(&[WHOLE, short(1, -201_003)], 100, 8, 8, Some(50)).finish();
    assert_eq!(samples(&done), [8, 1]);
    assert_eq!((done.outcome.gap, done.gaps), (None, vec![]));
    assert!(matches!(done.outcome.ending, Ending::Driver(error) if error.code == -201_003));
    // The driver has more than was read.
    assert_eq!((done.outcome.position, done.outcome.reached), (9, 100));
}

#[test]
fn a_stop_takes_what_is_there_and_no_more() {
    let run = start(&[], 13, 8, 8, None);
    while run.driver.0.lock().unwrap().reads.is_empty() {
        std::thread::yield_now();
    }
    assert!(!run.reader.wait(Duration::from_millis(5)));
    run.reader.stop();
    let done = run.finish();
    assert_eq!(samples(&done), [8, 5]);
    assert_eq!(done.outcome.ending, Ending::Stopped);
    assert_eq!(done.reads.last().map(|read| read.0), Some(5));
}

#[test]
fn starts_where_others_stopped_reading() {
    let state = State {
        position: 100,
        acquired: 1000,
        ..State::default()
    };
    let done = start_with(state, 8, 8, Some(110), 4).finish();
    assert_eq!(
        (done.blocks[0].first_sample, samples(&done)),
        (100, vec![8, 2])
    );
    assert_eq!(done.gaps, []);
}

#[test]
fn a_driver_that_claims_too_much_is_not_believed() {
    let state = State {
        claims: Some(i32::MAX),
        acquired: 1000,
        ..State::default()
    };
    assert_eq!(
        samples(&start_with(state, 8, 8, Some(16), 4).finish()),
        [8, 8]
    );
    let state = State {
        claims: Some(-5),
        acquired: 1000,
        script: vec![short(0, -1)].into(),
        ..State::default()
    };
    assert_eq!(
        samples(&start_with(state, 8, 8, Some(16), 4).finish()),
        [0; 0]
    );
}

#[test]
fn a_full_ring_is_waited_for_and_a_closed_one_ends_it() {
    let state = State {
        acquired: 1000,
        ..State::default()
    };
    let mut run = start_with(state, 8, 8, None, 2);
    let first = run.consumer.acquire().unwrap();
    let second = run.consumer.acquire().unwrap();
    assert!(!run.reader.wait(Duration::from_millis(5)));
    drop((first, second));
    drop(run.consumer.acquire().unwrap());
    run.consumer.close();
    assert!(run.reader.wait(PATIENCE));
    assert_eq!(run.reader.outcome().unwrap().ending, Ending::RingClosed);
}

#[test]
fn a_dropped_reader_stops_its_thread() {
    let Run { driver, reader, .. } = start(&[], 0, 8, 8, None);
    drop(reader);
    assert_eq!(driver.0.lock().unwrap().stops, 1);
}

#[test]
fn a_panic_of_the_threads_hook_is_the_end_of_the_reading() {
    let state = State {
        acquired: 1000,
        ..State::default()
    };
    let mut run = start_changed(state, 8, 8, None, 4, |options| {
        options.on_thread = Some(Box::new(|| panic!("there is no such core")));
    });
    assert!(run.reader.wait(PATIENCE));
    let outcome = run.reader.outcome().unwrap();
    assert_eq!(
        outcome.ending,
        Ending::Panicked("there is no such core".to_owned())
    );
    assert_eq!((outcome.position, outcome.acquired), (0, Some(1000)));
    // The ring is closed and the task stopped, as after any other end.
    assert!(run.consumer.acquire().is_err());
    assert_eq!(run.driver.0.lock().unwrap().stops, 1);
}

#[test]
fn null_is_no_function() {
    let addresses = Addresses {
        read: 0,
        pairs: false,
        get_read_attribute: 1,
        set_read_attribute: 0,
        stop_task: 1,
        get_extended_error_info: 1,
    };
    // SAFETY: nothing is called.
    assert!(unsafe { Functions::new(addresses) }.is_none());
}

#[cfg(all(target_os = "linux", not(daqring_portable)))]
#[test]
fn no_signal_meets_the_thread() {
    let done = start(&[], 100, 8, 8, Some(16)).finish();
    assert_eq!(done.signals_blocked, Some(true));
}
