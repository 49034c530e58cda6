use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daqring_log::{Gap, GroupSpec, unix_ns};
use daqring_ring::BlockHeader;

use crate::layout::of_records;
use crate::samples::{coefficients, physical};
use crate::writer::gap_in_front_of;
use crate::{
    Arrival, BlockView, DerivedBlock, EngineError, Layout, Outlet, Parcel, SettleError, Settlement,
    Stage, StageError, StageOutput, own,
};

/// A record is put out in pieces of about this size, so that its length does not cost memory.
const PIECE_BYTES: usize = 4 << 20;

/// What makes a trigger, in the channel's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The signal was below the level by more than the hysteresis and reaches it.
    Rising,
    /// The signal was above the level by more than the hysteresis and reaches it.
    Falling,
    /// Either of the two.
    Either,
    /// The signal is at the level or above it.
    Above,
    /// The signal is at the level or below it.
    Below,
}

/// A trigger.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TriggerOptions {
    /// Number of the channel that is watched; `None`: only asked-for captures.
    pub channel: Option<usize>,
    /// What makes a trigger.
    pub condition: Condition,
    /// In the channel's units.
    pub level: f64,
    /// How far the signal must have gone away from the level, in the channel's units, 0 or more.
    pub hysteresis: f64,
    /// Samples recorded before the trigger.
    pub pre: u64,
    /// Samples recorded from the trigger on, at least 1.
    pub post: u64,
}

/// Asks a [`Trigger`] for a capture, from any thread.
#[derive(Debug, Default)]
pub struct Manual(Mutex<VecDeque<i64>>);

impl Manual {
    /// Records what came before this moment, and after it, as a trigger does. While a record is
    /// being taken, it waits for the end of that; asked for several times meanwhile, there is one
    /// record.
    ///
    /// Which sample that is, tell the host times of the blocks: it is taken when the block comes that
    /// was complete after it, or at the end.
    pub fn capture(&self) {
        self.moments().push_back(unix_ns());
    }

    /// The next moment that was asked for, if samples of up to `complete_ns` can hold it.
    fn take(&self, complete_ns: i64) -> Option<i64> {
        let mut moments = self.moments();
        // Behind now: somebody has set the clock back.
        let due = |&moment: &i64| moment <= complete_ns || moment > unix_ns();
        moments
            .front()
            .is_some_and(due)
            .then(|| moments.pop_front())?
    }

    /// Whether there are moments after all samples.
    fn is_waiting(&self) -> bool {
        !self.moments().is_empty()
    }

    fn moments(&self) -> MutexGuard<'_, VecDeque<i64>> {
        // A push or a pop leaves nothing half-done behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes records: the samples before and after each trigger, as a group of their own.
///
/// A trigger within a record belongs to it and begins no other. Records do not overlap: samples
/// before a trigger that the record before it has already are not repeated. A gap cuts a record, as
/// does the end; samples before a trigger are only those since the last gap.
pub struct Trigger {
    layout: Layout,
    dt: f64,
    name: String,
    options: TriggerOptions,
    output: GroupSpec,
    manual: Arc<Manual>,
}

#[derive(Default)]
struct Triggers(Vec<u64>);

impl Trigger {
    /// Watches a stream.
    ///
    /// # Errors
    /// When the options do not fit the stream.
    pub fn new(
        layout: Layout,
        name: &str,
        options: TriggerOptions,
        manual: Arc<Manual>,
    ) -> Result<Self, EngineError> {
        let refuse = |what: &str| Err(EngineError::Options(what.to_owned()));
        let dt = layout.steady("a trigger")?;
        if options
            .channel
            .is_some_and(|channel| channel >= layout.channels().len())
        {
            return refuse("the trigger's channel is not one of the stream");
        }
        let hysteresis_fits = options.hysteresis.is_finite() && options.hysteresis >= 0.0;
        if !options.level.is_finite() || !hysteresis_fits {
            return refuse("a trigger's level must be finite, its hysteresis finite and 0 or more");
        }
        if options.post == 0 {
            return refuse("a record holds at least the sample of its trigger");
        }
        let mut output = layout.derive(name, layout.channels().to_vec(), 1);
        output.properties.push(of_records());
        Ok(Self {
            output,
            layout,
            dt,
            name: name.to_owned(),
            options,
            manual,
        })
    }
}

impl Stage for Trigger {
    fn name(&self) -> &str {
        &self.name
    }

    fn output(&self) -> Option<&GroupSpec> {
        Some(&self.output)
    }

    fn parcel(&self) -> Parcel {
        Box::new(Triggers::default())
    }

    fn arrival(&self) -> Option<Box<dyn Arrival>> {
        let scale = self
            .options
            .channel
            .map(|channel| coefficients(&self.layout.channels()[channel].scale));
        Some(Box::new(Watch {
            layout: self.layout.clone(),
            dt: self.dt,
            options: self.options,
            coefficients: scale.unwrap_or_default(),
            manual: Arc::clone(&self.manual),
            asked: VecDeque::new(),
            was_below: false,
            was_above: false,
            busy_until: 0,
            values: Vec::new(),
        }))
    }

    fn run(
        &self,
        _: &BlockView<'_>,
        _: &mut Parcel,
        _: &mut StageOutput,
    ) -> Result<(), StageError> {
        Ok(())
    }

    fn settlement(&self) -> Option<Box<dyn Settlement>> {
        Some(Box::new(Capture {
            layout: self.layout.clone(),
            pre: self.options.pre,
            post: self.options.post,
            manual: Arc::clone(&self.manual),
            history: VecDeque::new(),
            kept: 0,
            spare: Vec::new(),
            taking: None,
            records: 0,
            recorded_to: 0,
            last: BlockHeader::default(),
            runs: vec![Vec::new(); self.layout.channels().len()],
            piece: Vec::new(),
        }))
    }
}

/// Finds the triggers.
struct Watch {
    layout: Layout,
    dt: f64,
    options: TriggerOptions,
    coefficients: Vec<f64>,
    manual: Arc<Manual>,
    /// Samples at which a record was asked for, and not begun yet.
    asked: VecDeque<u64>,
    was_below: bool,
    was_above: bool,
    /// The end of the record that is being taken.
    busy_until: u64,
    values: Vec<f64>,
}

impl Watch {
    /// Whether a trigger is at this value.
    fn fires(&mut self, value: f64) -> bool {
        let TriggerOptions {
            condition,
            level,
            hysteresis,
            ..
        } = self.options;
        let (above, below) = (value >= level, value <= level);
        let (rising, falling) = (self.was_below && above, self.was_above && below);
        self.was_below &= !above;
        self.was_above &= !below;
        if value < level - hysteresis {
            self.was_below = true;
        }
        if value > level + hysteresis {
            self.was_above = true;
        }
        match condition {
            Condition::Rising => rising,
            Condition::Falling => falling,
            Condition::Either => rising || falling,
            Condition::Above => above,
            Condition::Below => below,
        }
    }

    /// The samples of the moments that were asked for while this block came.
    fn note_asked(&mut self, header: &BlockHeader) {
        while let Some(moment) = self.manual.take(header.host_time_ns) {
            let seconds = header.host_time_ns.saturating_sub(moment) as f64 / 1e9;
            // Of one that is in an earlier block, or after this one, the nearest sample.
            let before = (seconds / self.dt).round().max(1.0) as u64;
            let sample = header.samples.saturating_sub(before);
            let sample = header.first_sample + sample;
            if self.asked.back() != Some(&sample) {
                self.asked.push_back(sample);
            }
        }
    }

    fn next_asked(&self) -> u64 {
        self.asked.front().copied().unwrap_or(u64::MAX)
    }

    /// A record begins, which is also that of all who have asked for one until here.
    fn begin(&mut self, sample: u64, found: &mut Vec<u64>) {
        found.push(sample);
        self.busy_until = sample + self.options.post;
        self.asked.retain(|&at| at > sample);
    }
}

impl Arrival for Watch {
    fn arrive(&mut self, block: &BlockView<'_>, parcel: &mut Parcel) -> Result<(), StageError> {
        let header = block.header;
        let found = &mut own::<Triggers>(parcel).0;
        found.clear();
        if header.gap != 0 || header.lost_before != 0 {
            // Nobody knows where the signal has been.
            (self.was_below, self.was_above) = (false, false);
            self.busy_until = 0;
        }
        self.note_asked(header);
        let end = header.first_sample + header.samples;
        if let Some(channel) = self.options.channel {
            let mut values = std::mem::take(&mut self.values);
            values.resize(block.samples(), 0.0);
            let run = self.layout.run(block.data, block.samples(), channel);
            physical(
                self.layout.data_type(),
                run,
                &self.coefficients,
                &mut values,
            );
            let mut asked = self.next_asked();
            for (number, &value) in values.iter().enumerate() {
                let sample = header.first_sample + number as u64;
                // Watched all the time, so that an edge within a record arms none after it.
                let fires = self.fires(value) || asked <= sample;
                if fires && sample >= self.busy_until {
                    self.begin(sample, found);
                    asked = self.next_asked();
                }
            }
            self.values = values;
        } else {
            loop {
                let sample = self.next_asked().max(self.busy_until);
                if sample >= end {
                    break;
                }
                self.begin(sample, found);
            }
        }
        Ok(())
    }
}

struct Kept {
    first: u64,
    samples: usize,
    data: Vec<u8>,
}

/// The record that is being taken.
struct Taking {
    start: u64,
    end: u64,
    pretrigger: u64,
    /// Begin of what waits in `runs`.
    piece_first: u64,
    next: u64,
}

/// Takes the records.
struct Capture {
    layout: Layout,
    pre: u64,
    post: u64,
    manual: Arc<Manual>,
    /// The last samples: at least `pre` of them, if there were so many since the last gap.
    history: VecDeque<Kept>,
    kept: u64,
    spare: Vec<Vec<u8>>,
    taking: Option<Taking>,
    records: u64,
    recorded_to: u64,
    last: BlockHeader,
    runs: Vec<Vec<u8>>,
    piece: Vec<u8>,
}

impl Capture {
    fn forget(&mut self) {
        self.spare
            .extend(self.history.drain(..).map(|kept| kept.data));
        self.kept = 0;
    }

    /// Copies samples `from .. to` of a block into the waiting piece.
    fn copy(&mut self, data: &[u8], first: u64, samples: usize, from: u64, to: u64) {
        let size = self.layout.sample_bytes();
        let range = (from - first) as usize * size..(to - first) as usize * size;
        for (channel, run) in self.runs.iter_mut().enumerate() {
            run.extend_from_slice(&self.layout.run(data, samples, channel)[range.clone()]);
        }
    }

    /// Puts out what waits of the record.
    fn put_out(&mut self, host_time_ns: i64, outlet: &mut Outlet<'_>) -> Result<(), SettleError> {
        let Some(taking) = &mut self.taking else {
            return Ok(());
        };
        if taking.next == taking.piece_first {
            return Ok(());
        }
        self.piece.clear();
        for run in &mut self.runs {
            self.piece.extend_from_slice(run);
            run.clear();
        }
        let block = DerivedBlock {
            first_sample: taking.piece_first,
            samples: taking.next - taking.piece_first,
            host_time_ns,
            data: &self.piece,
            ..DerivedBlock::default()
        };
        outlet.record(&block, self.records, taking.start, taking.pretrigger)?;
        taking.piece_first = taking.next;
        Ok(())
    }

    /// The record is over.
    fn close(&mut self, host_time_ns: i64, outlet: &mut Outlet<'_>) -> Result<(), SettleError> {
        self.put_out(host_time_ns, outlet)?;
        if let Some(taking) = self.taking.take() {
            self.recorded_to = taking.next;
            self.records += 1;
        }
        Ok(())
    }

    /// Takes what a block has for the record, up to its end.
    fn go_on(&mut self, block: &BlockView<'_>, outlet: &mut Outlet<'_>) -> Result<(), SettleError> {
        let first = block.header.first_sample;
        let Some((from, to, over)) = self.taking.as_ref().map(|taking| {
            let to = taking.end.min(first + block.header.samples);
            (taking.next.max(first), to, to == taking.end)
        }) else {
            return Ok(());
        };
        if from < to {
            self.copy(block.data, first, block.samples(), from, to);
            if let Some(taking) = &mut self.taking {
                taking.next = to;
            }
        }
        if over {
            self.close(block.header.host_time_ns, outlet)
        } else if self.runs.iter().map(Vec::len).sum::<usize>() >= PIECE_BYTES {
            self.put_out(block.header.host_time_ns, outlet)
        } else {
            Ok(())
        }
    }

    fn begin(
        &mut self,
        block: &BlockView<'_>,
        trigger: u64,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), SettleError> {
        self.begin_before(trigger, block.header, outlet)?;
        self.go_on(block, outlet)
    }

    /// Begins a record with what is remembered; `now` is the block that is at hand, or was.
    fn begin_before(
        &mut self,
        trigger: u64,
        now: &BlockHeader,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), SettleError> {
        let oldest = self
            .history
            .front()
            .map_or(now.first_sample, |kept| kept.first);
        let start = trigger
            .saturating_sub(self.pre)
            .max(oldest)
            .max(self.recorded_to)
            .min(trigger);
        self.taking = Some(Taking {
            start,
            end: trigger + self.post,
            pretrigger: trigger - start,
            piece_first: start,
            next: start,
        });
        let history = std::mem::take(&mut self.history);
        for kept in &history {
            let to = kept.first + kept.samples as u64;
            let from = start.max(kept.first);
            if from < to {
                self.copy(&kept.data, kept.first, kept.samples, from, to);
                if let Some(taking) = &mut self.taking {
                    taking.next = to;
                }
                if self.runs.iter().map(Vec::len).sum::<usize>() >= PIECE_BYTES {
                    self.put_out(now.host_time_ns, outlet)?;
                }
            }
        }
        self.history = history;
        Ok(())
    }

    fn remember(&mut self, block: &BlockView<'_>) {
        if self.pre == 0 {
            return;
        }
        let samples = block.header.samples;
        while let Some(oldest) = self.history.front() {
            let without = self.kept - oldest.samples as u64;
            if without + samples < self.pre {
                break;
            }
            self.kept = without;
            self.spare
                .extend(self.history.pop_front().map(|kept| kept.data));
        }
        // Of a block that is longer than that, only the end.
        let keep = samples.min(self.pre);
        let size = self.layout.sample_bytes();
        let skip = (samples - keep) as usize * size;
        let mut data = self.spare.pop().unwrap_or_default();
        data.clear();
        for channel in 0..self.runs.len() {
            let run = self.layout.run(block.data, block.samples(), channel);
            data.extend_from_slice(&run[skip..]);
        }
        self.kept += keep;
        self.history.push_back(Kept {
            first: block.header.first_sample + (samples - keep),
            samples: keep as usize,
            data,
        });
    }
}

impl Settlement for Capture {
    fn settle(
        &mut self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), SettleError> {
        let header = block.header;
        self.last = *header;
        if header.gap != 0 || header.lost_before != 0 {
            self.close(header.host_time_ns, outlet)?;
            self.forget();
            let gap: Gap = gap_in_front_of(header);
            outlet.gap(gap)?;
        }
        self.go_on(block, outlet)?;
        for &trigger in &own::<Triggers>(parcel).0 {
            self.begin(block, trigger, outlet)?;
        }
        self.remember(block);
        Ok(())
    }

    fn finish(&mut self, outlet: &mut Outlet<'_>) -> Result<(), SettleError> {
        let last = self.last;
        if self.taking.is_none() && self.manual.is_waiting() {
            // Asked for after the last block: nothing follows.
            let end = last.first_sample + last.samples;
            self.begin_before(end, &last, outlet)?;
        }
        self.close(last.host_time_ns, outlet)
    }
}
