//! Chassis and the modules that sit in them: CompactDAQ with C Series, and TestScale.
//!
//! Figures are those of public data sheets, as in [`crate::product`]. Product numbers are not known
//! here and read as 0.

use crate::product::{
    AnalogInput, Counters, Differential, MULTIFUNCTION, Port, Product, bus, category, measure,
    terminal,
};

/// The clock that a module's samples are taken with.
#[derive(Clone, Copy)]
enum Clock {
    /// The chassis's timebase divided by any number.
    Chassis,
    /// An oscillator of the module's own, of so many hertz, that is divided by multiples of a
    /// number; the slowest rate is the 31st part of the fastest.
    Own(u64, u64),
}

const SINGLE_ENDED: &[i32] = &[terminal::RSE];
const DIFFERENTIAL: &[i32] = &[terminal::DIFF];
const PSEUDO: &[i32] = &[terminal::PSEUDO_DIFF];

const VOLTAGE: &[i32] = &[measure::VOLTAGE, measure::VOLTAGE_RMS];
const CURRENT: &[i32] = &[measure::CURRENT, measure::CURRENT_RMS];
const SENSORS: &[i32] = &[
    measure::VOLTAGE,
    measure::VOLTAGE_RMS,
    measure::ACCELEROMETER,
    measure::MICROPHONE,
    measure::FORCE_IEPE,
    measure::VELOCITY,
    measure::EDDY_CURRENT,
];
const BRIDGES: &[i32] = &[
    measure::BRIDGE,
    measure::STRAIN,
    measure::ROSETTE,
    measure::FORCE_BRIDGE,
    measure::PRESSURE_BRIDGE,
    measure::TORQUE_BRIDGE,
];
const TEMPERATURE: &[i32] = &[
    measure::VOLTAGE,
    measure::THERMOCOUPLE,
    measure::BUILT_IN_SENSOR,
];
const RESISTIVE: &[i32] = &[measure::RTD, measure::RESISTANCE];
const UNIVERSAL: &[i32] = &[
    measure::VOLTAGE,
    measure::CURRENT,
    measure::RESISTANCE,
    measure::RTD,
    measure::THERMOCOUPLE,
    measure::BRIDGE,
    measure::STRAIN,
    measure::FORCE_BRIDGE,
    measure::PRESSURE_BRIDGE,
    measure::TORQUE_BRIDGE,
    measure::BUILT_IN_SENSOR,
];

const EMPTY: Product = Product {
    name: "",
    number: 0,
    category: category::C_SERIES_MODULE,
    bus: bus::COMPACT_DAQ,
    ai: None,
    ports: &[],
    counters: None,
    di_max_rate: 0.0,
    digital_trigger: true,
    analog_trigger: true,
    slots: 0,
};

/// A module of analog inputs with one converter for all of them: `rate` is that of all together.
#[allow(clippy::too_many_arguments)]
const fn multiplexed(
    name: &'static str,
    channels: u32,
    rate: f64,
    ranges: &'static [f64],
    resolution: u32,
    terminals: &'static [i32],
    measurements: &'static [i32],
) -> Product {
    Product {
        name,
        ai: Some(AnalogInput {
            channels,
            simultaneous: false,
            max_single_rate: rate,
            max_multi_rate: rate,
            min_rate: 0.0,
            timebase: 80_000_000,
            min_divisor: 1,
            divisor_step: 1,
            ranges,
            current_ranges: &[],
            bridge_ranges: &[],
            resolution,
            raw_bits: if resolution > 16 { 32 } else { 16 },
            fifo: 16_383,
            terminals,
            differential: if terminals.len() > 1 {
                Differential::LowerHalf
            } else {
                Differential::All
            },
            dynamic_signals: false,
            measurements,
        }),
        ..EMPTY
    }
}

/// A module of analog inputs with a converter for each.
#[allow(clippy::too_many_arguments)]
const fn simultaneous(
    name: &'static str,
    channels: u32,
    rate: f64,
    clock: Clock,
    ranges: &'static [f64],
    resolution: u32,
    terminals: &'static [i32],
    measurements: &'static [i32],
) -> Product {
    let (timebase, step, min_rate) = match clock {
        Clock::Chassis => (80_000_000, 1, 0.0),
        Clock::Own(timebase, step) => (timebase, step, timebase as f64 / step as f64 / 31.0),
    };
    let base = multiplexed(
        name,
        channels,
        rate,
        ranges,
        resolution,
        terminals,
        measurements,
    );
    match base.ai {
        Some(ai) => Product {
            ai: Some(AnalogInput {
                simultaneous: true,
                min_rate,
                timebase,
                min_divisor: step,
                divisor_step: step,
                differential: Differential::All,
                ..ai
            }),
            ..base
        },
        None => base,
    }
}

/// A module for sensors that are fed, with AC coupling.
const fn dynamic(
    name: &'static str,
    channels: u32,
    rate: f64,
    clock: Clock,
    ranges: &'static [f64],
) -> Product {
    let base = simultaneous(name, channels, rate, clock, ranges, 24, PSEUDO, SENSORS);
    match base.ai {
        Some(ai) => Product {
            ai: Some(AnalogInput {
                dynamic_signals: true,
                ..ai
            }),
            ..base
        },
        None => base,
    }
}

/// A module for bridges.
const fn bridges(
    name: &'static str,
    channels: u32,
    rate: f64,
    clock: Clock,
    bridge_ranges: &'static [f64],
) -> Product {
    let base = simultaneous(
        name,
        channels,
        rate,
        clock,
        &[0.25],
        24,
        DIFFERENTIAL,
        BRIDGES,
    );
    match base.ai {
        Some(ai) => Product {
            ai: Some(AnalogInput {
                bridge_ranges,
                ..ai
            }),
            ..base
        },
        None => base,
    }
}

/// Makes a module's inputs measure currents; `ranges` in amperes.
const fn amperes(product: Product, ranges: &'static [f64]) -> Product {
    match product.ai {
        Some(ai) => Product {
            ai: Some(AnalogInput {
                current_ranges: ranges,
                ..ai
            }),
            ..product
        },
        None => product,
    }
}

/// A module of digital lines.
const fn digital(name: &'static str, ports: &'static [Port], rate: f64) -> Product {
    Product {
        name,
        ports,
        di_max_rate: rate,
        ..EMPTY
    }
}

const fn lines(width: u32) -> Port {
    Port { width, timed: true }
}

const fn static_lines(width: u32) -> Port {
    Port {
        width,
        timed: false,
    }
}

const fn chassis(name: &'static str, slots: u32, bus: i32) -> Product {
    Product {
        name,
        category: category::COMPACT_DAQ_CHASSIS,
        bus,
        counters: Some(Counters {
            count: 4,
            bits: 32,
            timebase: 80e6,
            timed: true,
        }),
        slots,
        ..EMPTY
    }
}

const fn test_scale(product: Product) -> Product {
    Product {
        category: category::TEST_SCALE_MODULE,
        ..product
    }
}

/// The oscillators of modules with delta-sigma converters.
const AUDIO: Clock = Clock::Own(13_107_200, 256);
const AUDIO_FAST: Clock = Clock::Own(13_107_200, 128);
const ROUND: Clock = Clock::Own(12_800_000, 256);

/// Chassis.
pub(crate) static CHASSIS: &[Product] = &[
    chassis("cDAQ-9171", 1, bus::USB),
    chassis("cDAQ-9173", 4, bus::USB),
    chassis("cDAQ-9174", 4, bus::USB),
    chassis("cDAQ-9178", 8, bus::USB),
    chassis("cDAQ-9179", 14, bus::USB),
    chassis("cDAQ-9181", 1, bus::TCPIP),
    chassis("cDAQ-9183", 4, bus::TCPIP),
    chassis("cDAQ-9184", 4, bus::TCPIP),
    chassis("cDAQ-9185", 4, bus::TCPIP),
    chassis("cDAQ-9188", 8, bus::TCPIP),
    chassis("cDAQ-9189", 8, bus::TCPIP),
    Product {
        category: category::TEST_SCALE_CHASSIS,
        ..chassis("TS-15000", 6, bus::USB)
    },
    Product {
        category: category::TEST_SCALE_CHASSIS,
        ..chassis("TS-15010", 6, bus::PCIE)
    },
];

/// Modules.
pub(crate) static MODULES: &[Product] = &[
    multiplexed("NI 9201", 8, 500e3, &[10.0], 12, SINGLE_ENDED, VOLTAGE),
    amperes(
        multiplexed("NI 9203", 8, 200e3, &[5.36], 16, SINGLE_ENDED, CURRENT),
        &[0.0215],
    ),
    multiplexed(
        "NI 9205",
        32,
        250e3,
        &[0.2, 1.0, 5.0, 10.0],
        16,
        &[terminal::DIFF, terminal::RSE, terminal::NRSE],
        MULTIFUNCTION,
    ),
    multiplexed(
        "NI 9206",
        16,
        250e3,
        &[0.2, 1.0, 5.0, 10.0],
        16,
        DIFFERENTIAL,
        MULTIFUNCTION,
    ),
    amperes(
        multiplexed("NI 9208", 16, 500.0, &[5.5], 24, SINGLE_ENDED, CURRENT),
        &[0.022],
    ),
    multiplexed(
        "NI 9209",
        32,
        500.0,
        &[10.4],
        24,
        &[terminal::DIFF, terminal::RSE],
        VOLTAGE,
    ),
    multiplexed("NI 9211", 4, 14.0, &[0.08], 24, DIFFERENTIAL, TEMPERATURE),
    multiplexed(
        "NI 9213",
        16,
        1200.0,
        &[0.078_125],
        24,
        DIFFERENTIAL,
        TEMPERATURE,
    ),
    multiplexed(
        "NI 9214",
        16,
        1088.0,
        &[0.078_125],
        24,
        DIFFERENTIAL,
        TEMPERATURE,
    ),
    simultaneous(
        "NI 9215",
        4,
        100e3,
        Clock::Chassis,
        &[10.0],
        16,
        DIFFERENTIAL,
        VOLTAGE,
    ),
    multiplexed("NI 9217", 4, 400.0, &[0.5], 24, DIFFERENTIAL, RESISTIVE),
    amperes(
        simultaneous(
            "NI 9219",
            4,
            100.0,
            Clock::Chassis,
            &[0.125, 1.0, 4.0, 15.0, 60.0],
            24,
            DIFFERENTIAL,
            UNIVERSAL,
        ),
        &[0.025],
    ),
    simultaneous(
        "NI 9220",
        16,
        100e3,
        Clock::Chassis,
        &[10.0],
        16,
        DIFFERENTIAL,
        VOLTAGE,
    ),
    multiplexed("NI 9221", 8, 800e3, &[60.0], 12, SINGLE_ENDED, VOLTAGE),
    simultaneous(
        "NI 9222",
        4,
        500e3,
        Clock::Chassis,
        &[10.0],
        16,
        DIFFERENTIAL,
        VOLTAGE,
    ),
    simultaneous(
        "NI 9223",
        4,
        1e6,
        Clock::Chassis,
        &[10.0],
        16,
        DIFFERENTIAL,
        VOLTAGE,
    ),
    simultaneous(
        "NI 9225",
        3,
        50e3,
        ROUND,
        &[425.0],
        24,
        DIFFERENTIAL,
        VOLTAGE,
    ),
    amperes(
        simultaneous(
            "NI 9227",
            4,
            50e3,
            ROUND,
            &[3510.0],
            24,
            DIFFERENTIAL,
            CURRENT,
        ),
        &[14.05],
    ),
    simultaneous(
        "NI 9229",
        4,
        50e3,
        ROUND,
        &[60.0],
        24,
        DIFFERENTIAL,
        VOLTAGE,
    ),
    dynamic("NI 9230", 3, 12.8e3, Clock::Own(13_107_200, 1024), &[30.0]),
    dynamic("NI 9231", 8, 51.2e3, AUDIO, &[5.0]),
    dynamic("NI 9232", 3, 102.4e3, AUDIO_FAST, &[30.0]),
    dynamic("NI 9233", 4, 50e3, ROUND, &[5.0]),
    dynamic("NI 9234", 4, 51.2e3, AUDIO, &[5.0]),
    bridges("NI 9235", 8, 10e3, Clock::Own(12_800_000, 1280), &[0.0294]),
    bridges("NI 9236", 8, 10e3, Clock::Own(12_800_000, 1280), &[0.0294]),
    bridges("NI 9237", 4, 50e3, ROUND, &[0.025]),
    simultaneous("NI 9238", 4, 50e3, ROUND, &[0.5], 24, DIFFERENTIAL, VOLTAGE),
    simultaneous(
        "NI 9239",
        4,
        50e3,
        ROUND,
        &[10.0],
        24,
        DIFFERENTIAL,
        VOLTAGE,
    ),
    simultaneous("NI 9242", 4, 50e3, ROUND, &[400.0], 24, PSEUDO, VOLTAGE),
    simultaneous("NI 9244", 4, 50e3, ROUND, &[800.0], 24, PSEUDO, VOLTAGE),
    amperes(
        simultaneous(
            "NI 9246",
            3,
            50e3,
            ROUND,
            &[7500.0],
            24,
            DIFFERENTIAL,
            CURRENT,
        ),
        &[30.0],
    ),
    amperes(
        simultaneous(
            "NI 9247",
            3,
            50e3,
            ROUND,
            &[37_000.0],
            24,
            DIFFERENTIAL,
            CURRENT,
        ),
        &[147.0],
    ),
    dynamic("NI 9250", 2, 102.4e3, AUDIO_FAST, &[5.0]),
    simultaneous(
        "NI 9251",
        2,
        102.4e3,
        AUDIO_FAST,
        &[4.24],
        24,
        DIFFERENTIAL,
        VOLTAGE,
    ),
    simultaneous(
        "NI 9252",
        8,
        50e3,
        ROUND,
        &[10.5],
        24,
        DIFFERENTIAL,
        VOLTAGE,
    ),
    digital("NI 9375", &[lines(16), lines(16)], 140e3),
    digital("NI 9401", &[lines(8)], 10e6),
    digital("NI 9402", &[lines(4)], 20e6),
    digital("NI 9403", &[static_lines(32)], 0.0),
    digital("NI 9411", &[lines(6)], 1e6),
    digital("NI 9421", &[lines(8)], 10e3),
    digital("NI 9422", &[lines(8)], 4e3),
    digital("NI 9423", &[lines(8)], 1e6),
    digital("NI 9425", &[lines(32)], 140e3),
    digital("NI 9426", &[lines(32)], 140e3),
    digital("NI 9435", &[lines(4)], 300.0),
    test_scale(multiplexed(
        "TS-15100",
        16,
        1e6,
        &[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0],
        16,
        &[terminal::DIFF, terminal::RSE, terminal::NRSE],
        MULTIFUNCTION,
    )),
    test_scale(digital(
        "TS-15120",
        &[static_lines(8), static_lines(8)],
        0.0,
    )),
    test_scale(digital("TS-15130", &[static_lines(8)], 0.0)),
    test_scale(simultaneous(
        "TS-15200",
        0,
        10e3,
        Clock::Chassis,
        &[10.0],
        16,
        DIFFERENTIAL,
        &[measure::POWER],
    )),
];
