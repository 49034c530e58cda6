//! Running contenders in turn, and printing what came out.

use std::fmt::Write as _;
use std::time::Duration;

use crate::paced::Paced;

#[derive(Clone, Copy)]
pub enum Unit {
    NsPerItem,
    NsPerTrip,
    /// Bytes of one item.
    GbPerSecond(usize),
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::NsPerItem => "ns per item",
            Self::NsPerTrip => "ns there and back",
            Self::GbPerSecond(_) => "GB/s",
        }
    }

    fn figure(self, took: Duration, count: u64) -> f64 {
        let seconds = took.as_secs_f64();
        match self {
            Self::NsPerItem | Self::NsPerTrip => seconds * 1e9 / count as f64,
            Self::GbPerSecond(bytes) => count as f64 * bytes as f64 / seconds / 1e9,
        }
    }

    /// How many times as good `ours` is as `theirs`.
    fn ratio(self, ours: f64, theirs: f64) -> f64 {
        match self {
            Self::NsPerItem | Self::NsPerTrip => theirs / ours,
            Self::GbPerSecond(_) => ours / theirs,
        }
    }
}

type Run = Box<dyn FnMut(u64) -> Duration>;

struct Contender {
    name: &'static str,
    ours: bool,
    run: Run,
}

pub struct Metric {
    title: String,
    unit: Unit,
    goal: f64,
    at_least: u64,
    contenders: Vec<Contender>,
}

impl Metric {
    pub fn new(title: String, unit: Unit) -> Self {
        Self {
            title,
            unit,
            goal: 1.0,
            at_least: 16,
            contenders: Vec::new(),
        }
    }

    /// Items of a sample: many times what the ring holds, or it never fills.
    pub fn at_least(mut self, items: u64) -> Self {
        self.at_least = items;
        self
    }

    /// How many times as good as the best rival ours has to be.
    pub fn goal(mut self, goal: f64) -> Self {
        self.goal = goal;
        self
    }

    pub fn ours(self, name: &'static str, run: impl FnMut(u64) -> Duration + 'static) -> Self {
        self.with(name, true, Box::new(run))
    }

    pub fn rival(self, name: &'static str, run: impl FnMut(u64) -> Duration + 'static) -> Self {
        self.with(name, false, Box::new(run))
    }

    fn with(mut self, name: &'static str, ours: bool, run: Run) -> Self {
        self.contenders.push(Contender { name, ours, run });
        self
    }
}

struct Line {
    metric: String,
    name: String,
    unit: &'static str,
    ours: bool,
    spread: Spread,
    /// Of ours, to the best rival.
    ratio: Option<f64>,
    goal: f64,
}

pub struct Report {
    repetitions: usize,
    sample: Duration,
    only: Option<String>,
    lines: Vec<Line>,
}

impl Report {
    pub fn new(quick: bool, only: Option<String>) -> Self {
        Self {
            repetitions: if quick { 5 } else { 21 },
            sample: Duration::from_millis(if quick { 2 } else { 4 }),
            only,
            lines: Vec::new(),
        }
    }

    fn left_out(&self, title: &str) -> bool {
        self.only.as_ref().is_some_and(|only| !title.contains(only))
    }

    pub fn run(&mut self, mut metric: Metric) {
        if self.left_out(&metric.title) {
            return;
        }
        // How many items make a sample, for each contender: grown until a run
        // lasts long enough to tell.
        let counts: Vec<u64> = metric
            .contenders
            .iter_mut()
            .map(|contender| {
                let mut count = match metric.unit {
                    Unit::GbPerSecond(_) => 64,
                    _ => 2_000,
                };
                loop {
                    let took = (contender.run)(count);
                    if took * 4 > self.sample {
                        let scale = self.sample.as_secs_f64() / took.as_secs_f64();
                        return ((count as f64 * scale) as u64).max(metric.at_least);
                    }
                    count *= 4;
                }
            })
            .collect();
        let mut figures = vec![Vec::new(); counts.len()];
        for _ in 0..self.repetitions {
            for ((contender, &count), figures) in
                metric.contenders.iter_mut().zip(&counts).zip(&mut figures)
            {
                figures.push(metric.unit.figure((contender.run)(count), count));
            }
        }
        let unit = metric.unit;
        let more_is_better = matches!(unit, Unit::GbPerSecond(_));
        let spreads: Vec<_> = figures
            .into_iter()
            .map(|figures| spread(figures, more_is_better))
            .collect();
        let best_rival = |figure: fn(&Spread) -> f64| {
            metric
                .contenders
                .iter()
                .zip(&spreads)
                .filter(|(contender, _)| !contender.ours)
                .map(|(_, spread)| figure(spread))
                .reduce(|a, b| if unit.ratio(a, b) >= 1.0 { a } else { b })
                .unwrap_or(f64::NAN)
        };
        let best_median = best_rival(|spread| spread.median);
        let best_undisturbed = best_rival(|spread| spread.undisturbed);

        println!("{} [{}]", metric.title, unit.name());
        for (contender, spread) in metric.contenders.iter().zip(&spreads) {
            let ratio = contender
                .ours
                .then(|| unit.ratio(spread.median, best_median));
            let verdict = ratio.map_or(String::new(), |ratio| {
                let word = if ratio >= metric.goal {
                    "reached"
                } else {
                    "SHORT"
                };
                format!(
                    "  {ratio:.2} of the best rival (undisturbed {:.2}), goal {:.2}: {word}",
                    unit.ratio(spread.undisturbed, best_undisturbed),
                    metric.goal
                )
            });
            println!(
                "  {:<26} {:>9.2} {:>9.2}  ({:.2} to {:.2}){verdict}",
                contender.name, spread.median, spread.undisturbed, spread.low, spread.high
            );
            self.lines.push(Line {
                metric: metric.title.clone(),
                name: contender.name.into(),
                unit: unit.name(),
                ours: contender.ours,
                spread: *spread,
                ratio,
                goal: metric.goal,
            });
        }
        println!();
    }

    pub fn run_paced(
        &mut self,
        title: String,
        mut contenders: Vec<(&'static str, Box<dyn FnMut() -> Paced>)>,
    ) {
        if self.left_out(&title) {
            return;
        }
        let mut runs = vec![Vec::new(); contenders.len()];
        for _ in 0..self.repetitions.min(11) {
            for ((_, run), runs) in contenders.iter_mut().zip(&mut runs) {
                runs.push(run());
            }
        }
        println!(
            "{title}: one-way p50, cost of a push p50 [ns], share of a core burnt by waiting [%]"
        );
        for ((name, _), runs) in contenders.iter().zip(runs) {
            let of = |f: fn(&Paced) -> f64| spread(runs.iter().map(f).collect(), false);
            let one_way = of(|run| run.one_way);
            let push = of(|run| run.push);
            let burnt = of(|run| run.burnt * 100.0);
            print!("  {name:<26}");
            for (what, unit, spread) in [
                ("one-way p50", "ns", one_way),
                ("push p50", "ns", push),
                ("burnt", "% of a core", burnt),
            ] {
                print!(
                    "  {:>9.1} ({:.1} to {:.1})",
                    spread.median, spread.low, spread.high
                );
                self.lines.push(Line {
                    metric: format!("{title}, {what}"),
                    name: (*name).into(),
                    unit,
                    ours: name.starts_with("daqring"),
                    spread,
                    ratio: None,
                    goal: f64::NAN,
                });
            }
            println!();
        }
        println!();
    }

    pub fn json(&self) -> String {
        let mut json = String::from("[\n");
        for (nth, line) in self.lines.iter().enumerate() {
            let comma = if nth + 1 < self.lines.len() { "," } else { "" };
            let verdict = line.ratio.map_or(String::new(), |ratio| {
                format!(", \"ratio\": {ratio:.4}, \"goal\": {:.4}", line.goal)
            });
            // Names and titles are ours, without quotes or backslashes.
            let _ = writeln!(
                json,
                "  {{\"metric\": \"{}\", \"name\": \"{}\", \"ours\": {}, \"unit\": \"{}\", \
                 \"median\": {:.4}, \"undisturbed\": {:.4}, \"low\": {:.4}, \
                 \"high\": {:.4}{verdict}}}{comma}",
                line.metric,
                line.name,
                line.ours,
                line.unit,
                line.spread.median,
                line.spread.undisturbed,
                line.spread.low,
                line.spread.high
            );
        }
        json.push_str("]\n");
        json
    }
}

/// Of the repetitions of one contender.
#[derive(Clone, Copy)]
struct Spread {
    low: f64,
    median: f64,
    high: f64,
    /// The quarter of the repetitions that the machine disturbed least.
    undisturbed: f64,
}

fn spread(mut values: Vec<f64>, more_is_better: bool) -> Spread {
    values.sort_by(f64::total_cmp);
    let quarter = values.len() / 4;
    Spread {
        low: values[0],
        median: values[values.len() / 2],
        high: values[values.len() - 1],
        undisturbed: if more_is_better {
            values[values.len() - 1 - quarter]
        } else {
            values[quarter]
        },
    }
}
