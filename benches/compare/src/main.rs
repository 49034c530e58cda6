//! daqring's rings and other people's, in one run, by one workload body each.
//!
//! `cargo run --release -- [--json FILE] [--quick] [--only WORD]`
//!
//! Repetitions are interleaved, contender by contender, so that a busy moment of
//! the machine meets all of them. Figures are medians; compare within one run.

mod blocks;
mod ends;
mod ours;
mod paced;
mod rivals;
mod table;
mod workloads;

use std::process::ExitCode;
use std::time::Duration;

use daqring_ring::{Barrier, WaitStrategy};

use crate::table::{Metric, Report, Unit};
use crate::workloads::{batches, many, ping_pong, stream};

use WaitStrategy::{Adaptive, Park, Spin};

fn main() -> ExitCode {
    let mut json = None;
    let mut only = None;
    let mut quick = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = arguments.next(),
            "--only" => only = arguments.next(),
            "--quick" => quick = true,
            other => {
                eprintln!("{other:?} is not understood; give --json FILE, --quick or --only WORD");
                return ExitCode::FAILURE;
            }
        }
    }
    let mut report = Report::new(quick, only);
    println!(
        "waking: {:?}\ncolumns: median, the least disturbed quarter (lowest to highest)\n",
        Barrier::current_default()
    );

    for capacity in [1024, 65536] {
        let mut metric = Metric::new(
            format!("SPSC u64, one at a time, {capacity}"),
            Unit::NsPerItem,
        )
        .at_least(capacity as u64 * 8)
        .goal(0.95)
        .ours("daqring", move |n| stream(ours::spsc(Spin)(capacity), n))
        .rival("rtrb", move |n| stream(rivals::rtrb(capacity), n))
        .rival("ringbuf", move |n| stream(rivals::ringbuf(capacity), n))
        .rival("gil", move |n| stream(rivals::gil(capacity), n))
        .rival("nexus-queue", move |n| stream(rivals::nexus(capacity), n))
        .rival("disruptor", move |n| stream(rivals::disruptor(capacity), n))
        .rival("ArrayQueue", move |n| {
            stream(rivals::array_queue(capacity), n)
        })
        .rival("concurrent-queue", move |n| {
            stream(rivals::concurrent_queue(capacity), n)
        });
        if capacity == 1024 {
            metric = metric.rival("thingbuf", move |n| stream(rivals::thingbuf(capacity), n));
        }
        report.run(metric);
    }
    for capacity in [1024, 65536] {
        report.run(
            Metric::new(
                format!("SPSC u64, published every 64, {capacity}"),
                Unit::NsPerItem,
            )
            .at_least(capacity as u64 * 8)
            .goal(1.3)
            .ours("daqring", move |n| stream(ours::spsc_deferred(capacity), n))
            .rival("rtrb (at once)", move |n| stream(rivals::rtrb(capacity), n)),
        );
    }
    for batch in [16, 64, 256] {
        report.run(
            Metric::new(format!("SPSC batches of {batch}, 4096"), Unit::NsPerItem)
                .goal(1.0)
                .ours("daqring", move |n| {
                    batches(ours::spsc(Spin)(4096), n, batch)
                })
                .rival("rtrb", move |n| batches(rivals::rtrb(4096), n, batch))
                .rival("ringbuf", move |n| batches(rivals::ringbuf(4096), n, batch))
                .rival("gil", move |n| batches(rivals::gil(4096), n, batch))
                .rival("disruptor", move |n| {
                    batches(rivals::disruptor(4096), n, batch)
                }),
        );
    }
    for capacity in [1024, 65536] {
        report.run(
            Metric::new(format!("blocking SPSC u64, {capacity}"), Unit::NsPerItem)
                .at_least(capacity as u64 * 8)
                .goal(3.0)
                .ours("daqring adaptive", move |n| {
                    stream(ours::spsc(Adaptive)(capacity), n)
                })
                .ours("daqring park", move |n| {
                    stream(ours::spsc(Park)(capacity), n)
                })
                .rival("std sync_channel", move |n| {
                    stream(rivals::std_sync(capacity), n)
                })
                .rival("crossbeam-channel", move |n| {
                    stream(rivals::crossbeam_channel(capacity), n)
                })
                .rival("gil parking", move |n| {
                    stream(rivals::gil_parking(capacity), n)
                })
                .rival("kanal", move |n| stream(rivals::kanal(capacity), n))
                .rival("flume", move |n| stream(rivals::flume(capacity), n))
                .rival("thingbuf", move |n| {
                    stream(rivals::thingbuf_mpsc(capacity), n)
                })
                .rival("Mutex + Condvar", move |n| {
                    stream(rivals::mutex_condvar(capacity), n)
                }),
        );
    }
    {
        fn both<E>(make: impl Fn(usize) -> E) -> (E, E) {
            (make(64), make(64))
        }
        macro_rules! play {
            ($make:expr) => {
                |n| {
                    let (there, back) = both($make);
                    ping_pong(there, back, n)
                }
            };
        }
        report.run(
            Metric::new("ping-pong, ours blocking".into(), Unit::NsPerTrip)
                .goal(1.0 / 1.3)
                .ours("daqring adaptive", play!(ours::spsc(Adaptive)))
                .ours("daqring park", play!(ours::spsc(Park)))
                .rival("rtrb (spins)", play!(rivals::rtrb))
                .rival("nexus-queue (spins)", play!(rivals::nexus))
                .rival("gil (spins)", play!(rivals::gil))
                .rival("gil parking", play!(rivals::gil_parking))
                .rival("crossbeam-channel", play!(rivals::crossbeam_channel))
                .rival("kanal", play!(rivals::kanal))
                .rival("std sync_channel", play!(rivals::std_sync))
                .rival("Mutex + Condvar", play!(rivals::mutex_condvar)),
        );
    }
    for (producers, consumers) in [(1, 1), (2, 2), (4, 4), (20, 5)] {
        report.run(
            Metric::new(
                format!("MPMC {producers}P{consumers}C, one at a time, 1024"),
                Unit::NsPerItem,
            )
            .at_least(60_000)
            .goal(1.0)
            .ours("daqring adaptive", move |n| {
                many(ours::mpmc(Adaptive)(1024), producers, consumers, n, 1)
            })
            .rival("ArrayQueue", move |n| {
                many(rivals::array_queue(1024), producers, consumers, n, 1)
            })
            .rival("crossbeam-channel", move |n| {
                many(rivals::crossbeam_channel(1024), producers, consumers, n, 1)
            })
            .rival("concurrent-queue", move |n| {
                many(rivals::concurrent_queue(1024), producers, consumers, n, 1)
            })
            .rival("kanal", move |n| {
                many(rivals::kanal(1024), producers, consumers, n, 1)
            })
            .rival("flume", move |n| {
                many(rivals::flume(1024), producers, consumers, n, 1)
            })
            .rival("gil", move |n| {
                many(rivals::gil_mpmc(1024), producers, consumers, n, 1)
            })
            .rival("Mutex + Condvar", move |n| {
                many(rivals::mutex_condvar(1024), producers, consumers, n, 1)
            }),
        );
    }
    for (batch, goal) in [(16, 1.3), (64, 1.5)] {
        report.run(
            Metric::new(
                format!("MPMC 4P4C, batches of {batch}, 65536"),
                Unit::NsPerItem,
            )
            .at_least(500_000)
            .goal(goal)
            .ours("daqring adaptive", move |n| {
                many(ours::mpmc(Adaptive)(65536), 4, 4, n, batch)
            })
            .rival("kanal, drained", move |n| {
                many(rivals::kanal_drain(65536), 4, 4, n, batch)
            })
            .rival("kanal", move |n| many(rivals::kanal(65536), 4, 4, n, batch))
            .rival("ArrayQueue", move |n| {
                many(rivals::array_queue(65536), 4, 4, n, batch)
            })
            .rival("crossbeam-channel", move |n| {
                many(rivals::crossbeam_channel(65536), 4, 4, n, batch)
            })
            .rival("concurrent-queue", move |n| {
                many(rivals::concurrent_queue(65536), 4, 4, n, batch)
            }),
        );
    }
    for (slots, goal) in [(8, 1.0), (64, 1.2)] {
        report.run(
            Metric::new(
                format!("1 MiB blocks, {slots} slots, beside rivals"),
                Unit::GbPerSecond(blocks::BLOCK),
            )
            .goal(goal)
            .ours("daqring slots", move |n| blocks::slots(n, slots))
            .rival("rtrb of bytes", move |n| blocks::rtrb_bytes(n, slots))
            .rival("kanal of Vec", move |n| blocks::kanal_vec(n, slots))
            .rival("kanal, pooled", move |n| blocks::kanal_pool(n, slots))
            .rival("crossbeam-channel, pooled", move |n| {
                blocks::crossbeam_pool(n, slots)
            })
            .rival("std sync_channel, pooled", move |n| {
                blocks::std_pool(n, slots)
            }),
        );
    }
    report.run(
        Metric::new(
            "1 MiB blocks, 8 slots, beside memcpy".into(),
            Unit::GbPerSecond(blocks::BLOCK),
        )
        .goal(0.9)
        .ours("daqring slots", |n| blocks::slots(n, 8))
        .rival("memcpy on one thread", |n| blocks::memcpy(n, 8)),
    );
    report.run(
        Metric::new("4P4C on 2 cores, beside park".into(), Unit::NsPerItem)
            .at_least(60_000)
            .goal(0.5)
            .ours("daqring spin", |n| many(ours::mpmc(Spin)(1024), 4, 4, n, 1))
            .ours("daqring adaptive", |n| {
                many(ours::mpmc(Adaptive)(1024), 4, 4, n, 1)
            })
            .rival("daqring park", |n| many(ours::mpmc(Park)(1024), 4, 4, n, 1)),
    );
    for hertz in [1_000, 10_000] {
        let period = Duration::from_secs(1) / hertz;
        let count = u64::from(hertz) / 5;
        macro_rules! at_pace {
            ($make:expr) => {
                Box::new(move || paced::paced($make(64), period, count))
            };
        }
        report.run_paced(
            format!("paced {} kHz", hertz / 1000),
            vec![
                ("daqring spin", at_pace!(ours::spsc(Spin))),
                ("daqring adaptive", at_pace!(ours::spsc(Adaptive))),
                ("daqring park", at_pace!(ours::spsc(Park))),
                ("rtrb (spins)", at_pace!(rivals::rtrb)),
                ("std sync_channel", at_pace!(rivals::std_sync)),
                ("crossbeam-channel", at_pace!(rivals::crossbeam_channel)),
                ("kanal", at_pace!(rivals::kanal)),
                ("Mutex + Condvar", at_pace!(rivals::mutex_condvar)),
            ],
        );
    }

    if let Some(path) = json {
        if let Err(error) = std::fs::write(&path, report.json()) {
            eprintln!("{path} could not be written: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
