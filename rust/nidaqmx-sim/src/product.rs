//! Product types: what a device of each can do.
//!
//! Figures are those of public data sheets, to the accuracy that a program can see. None of them
//! was compared with the hardware itself.

/// The analog inputs of a product.
#[derive(Debug, Clone)]
pub(crate) struct AnalogInput {
    /// Channels when every one is measured against ground (or against its own partner).
    pub(crate) channels: u32,
    /// One converter per channel.
    pub(crate) simultaneous: bool,
    /// Samples per second of one channel.
    pub(crate) max_single_rate: f64,
    /// Samples per second: of every channel where simultaneous, else of all channels together.
    pub(crate) max_multi_rate: f64,
    pub(crate) min_rate: f64,
    /// The clock that the sample clock is divided from.
    pub(crate) timebase: u64,
    /// The smallest divisor.
    pub(crate) min_divisor: u64,
    /// Divisors are multiples of this; not 1 for converters that are clocked many times a sample.
    pub(crate) divisor_step: u64,
    /// Bipolar ranges in volts, ascending.
    pub(crate) ranges: &'static [f64],
    /// Bipolar ranges in amperes, ascending.
    pub(crate) current_ranges: &'static [f64],
    /// Bipolar ranges of bridges in volts per volt of excitation, ascending; empty where a bridge's
    /// voltage is measured in the ranges in volts.
    pub(crate) bridge_ranges: &'static [f64],
    pub(crate) resolution: u32,
    /// Bits of one sample as the device sends it.
    pub(crate) raw_bits: u32,
    /// Samples of the onboard memory, shared by the channels of a task.
    pub(crate) fifo: u32,
    /// Terminal configurations of a channel that has a partner; others lack the differential one.
    pub(crate) terminals: &'static [i32],
    pub(crate) differential: Differential,
    /// Input coupling can be AC as well, and sensors can be fed (IEPE).
    pub(crate) dynamic_signals: bool,
    /// Measurement types that it supports.
    pub(crate) measurements: &'static [i32],
}

/// Which channels can be measured differentially.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Differential {
    /// Each against its own second terminal.
    All,
    /// The lower half of every group of 16 (or of all, where there are fewer), against the upper.
    LowerHalf,
}

/// The digital ports of a product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Port {
    pub(crate) width: u32,
    /// Has a sample clock and change detection.
    pub(crate) timed: bool,
}

/// The counters of a product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counters {
    pub(crate) count: u32,
    pub(crate) bits: u32,
    pub(crate) timebase: f64,
    /// Has a sample clock and buffers.
    pub(crate) timed: bool,
}

/// A product type.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) name: &'static str,
    pub(crate) number: u32,
    pub(crate) category: i32,
    pub(crate) bus: i32,
    pub(crate) ai: Option<AnalogInput>,
    pub(crate) ports: &'static [Port],
    pub(crate) counters: Option<Counters>,
    pub(crate) di_max_rate: f64,
    pub(crate) digital_trigger: bool,
    pub(crate) analog_trigger: bool,
    /// Slots for modules, of a chassis.
    pub(crate) slots: u32,
}

#[allow(dead_code)]
pub(crate) mod category {
    pub(crate) const M_SERIES: i32 = 14643;
    pub(crate) const X_SERIES: i32 = 15858;
    pub(crate) const SC_EXPRESS: i32 = 15886;
    pub(crate) const USB: i32 = 14646;
    pub(crate) const DSA: i32 = 14649;
    pub(crate) const C_SERIES_MODULE: i32 = 14659;
    pub(crate) const COMPACT_DAQ_CHASSIS: i32 = 14658;
    pub(crate) const DIGITAL_IO: i32 = 14648;
    pub(crate) const TEST_SCALE_CHASSIS: i32 = 16180;
    pub(crate) const TEST_SCALE_MODULE: i32 = 16181;
}

#[allow(dead_code)]
pub(crate) mod bus {
    pub(crate) const PCIE: i32 = 13612;
    pub(crate) const PXIE: i32 = 14706;
    pub(crate) const USB: i32 = 12586;
    pub(crate) const COMPACT_DAQ: i32 = 14637;
    pub(crate) const PCI: i32 = 12582;
    pub(crate) const TCPIP: i32 = 14828;
}

/// Terminal configurations.
pub(crate) mod terminal {
    pub(crate) const DEFAULT: i32 = -1;
    pub(crate) const RSE: i32 = 10083;
    pub(crate) const NRSE: i32 = 10078;
    pub(crate) const DIFF: i32 = 10106;
    pub(crate) const PSEUDO_DIFF: i32 = 12529;
}

/// Kinds of analog input measurement.
#[allow(dead_code)]
pub(crate) mod measure {
    pub(crate) const VOLTAGE: i32 = 10322;
    pub(crate) const VOLTAGE_RMS: i32 = 10350;
    pub(crate) const CURRENT: i32 = 10134;
    pub(crate) const CURRENT_RMS: i32 = 10351;
    pub(crate) const VOLTAGE_EXCITED: i32 = 10323;
    pub(crate) const BRIDGE: i32 = 15908;
    pub(crate) const FREQUENCY: i32 = 10181;
    pub(crate) const RESISTANCE: i32 = 10278;
    pub(crate) const THERMOCOUPLE: i32 = 10303;
    pub(crate) const THERMISTOR: i32 = 10302;
    pub(crate) const RTD: i32 = 10301;
    pub(crate) const BUILT_IN_SENSOR: i32 = 10311;
    pub(crate) const STRAIN: i32 = 10300;
    pub(crate) const ROSETTE: i32 = 15980;
    pub(crate) const LVDT: i32 = 10352;
    pub(crate) const RVDT: i32 = 10353;
    pub(crate) const EDDY_CURRENT: i32 = 14835;
    pub(crate) const ACCELEROMETER: i32 = 10356;
    pub(crate) const VELOCITY: i32 = 15966;
    pub(crate) const FORCE_BRIDGE: i32 = 15899;
    pub(crate) const FORCE_IEPE: i32 = 15895;
    pub(crate) const PRESSURE_BRIDGE: i32 = 15902;
    pub(crate) const MICROPHONE: i32 = 10354;
    pub(crate) const TORQUE_BRIDGE: i32 = 15905;
    pub(crate) const CHARGE: i32 = 16105;
    pub(crate) const ACCEL_CHARGE: i32 = 16104;
    pub(crate) const ACCEL_4_WIRE: i32 = 16106;
    pub(crate) const POWER: i32 = 16201;
    pub(crate) const CALCULATED_POWER: i32 = 16204;
}

/// What a multifunction device measures: everything that comes as a voltage.
pub(crate) const MULTIFUNCTION: &[i32] = &[
    measure::VOLTAGE,
    measure::VOLTAGE_RMS,
    measure::CURRENT,
    measure::CURRENT_RMS,
    measure::VOLTAGE_EXCITED,
    measure::FREQUENCY,
    measure::RESISTANCE,
    measure::THERMOCOUPLE,
    measure::THERMISTOR,
    measure::RTD,
    measure::STRAIN,
    measure::ROSETTE,
    measure::BRIDGE,
    measure::FORCE_BRIDGE,
    measure::PRESSURE_BRIDGE,
    measure::TORQUE_BRIDGE,
    measure::LVDT,
    measure::RVDT,
    measure::EDDY_CURRENT,
    measure::ACCELEROMETER,
    measure::ACCEL_4_WIRE,
    measure::FORCE_IEPE,
    measure::VELOCITY,
    measure::MICROPHONE,
    measure::BUILT_IN_SENSOR,
    measure::CALCULATED_POWER,
];

pub(crate) const DYNAMIC: &[i32] = &[
    measure::VOLTAGE,
    measure::ACCELEROMETER,
    measure::MICROPHONE,
    measure::FORCE_IEPE,
    measure::VELOCITY,
    measure::EDDY_CURRENT,
];

pub(crate) const SINGLE_ENDED_AND_DIFFERENTIAL: &[i32] =
    &[terminal::DIFF, terminal::RSE, terminal::NRSE];
pub(crate) const X_PORTS: &[Port] = &[
    Port {
        width: 32,
        timed: true,
    },
    Port {
        width: 8,
        timed: false,
    },
    Port {
        width: 8,
        timed: false,
    },
];
pub(crate) const SMALL_X_PORTS: &[Port] = &[
    Port {
        width: 8,
        timed: true,
    },
    Port {
        width: 8,
        timed: false,
    },
    Port {
        width: 8,
        timed: false,
    },
];
const X_RANGES: &[f64] = &[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
pub(crate) const X_COUNTERS: Counters = Counters {
    count: 4,
    bits: 32,
    timebase: 100e6,
    timed: true,
};

pub(crate) const fn x_series(
    name: &'static str,
    number: u32,
    bus: i32,
    channels: u32,
    single: f64,
    multi: f64,
    ports: &'static [Port],
) -> Product {
    Product {
        name,
        number,
        category: category::X_SERIES,
        bus,
        ai: Some(AnalogInput {
            channels,
            simultaneous: false,
            max_single_rate: single,
            max_multi_rate: multi,
            min_rate: 0.0,
            timebase: 100_000_000,
            min_divisor: 1,
            divisor_step: 1,
            ranges: X_RANGES,
            current_ranges: &[],
            bridge_ranges: &[],
            resolution: 16,
            raw_bits: 16,
            fifo: 4095,
            terminals: SINGLE_ENDED_AND_DIFFERENTIAL,
            differential: Differential::LowerHalf,
            dynamic_signals: false,
            measurements: MULTIFUNCTION,
        }),
        ports,
        counters: Some(X_COUNTERS),
        di_max_rate: 10e6,
        digital_trigger: true,
        analog_trigger: true,
        slots: 0,
    }
}

pub(crate) const fn simultaneous_x(
    name: &'static str,
    number: u32,
    bus: i32,
    channels: u32,
    rate: f64,
    min_divisor: u64,
) -> Product {
    Product {
        name,
        number,
        category: category::X_SERIES,
        bus,
        ai: Some(AnalogInput {
            channels,
            simultaneous: true,
            max_single_rate: rate,
            max_multi_rate: rate,
            min_rate: 0.0,
            timebase: 100_000_000,
            min_divisor,
            divisor_step: 1,
            ranges: &[1.0, 2.0, 5.0, 10.0],
            current_ranges: &[],
            bridge_ranges: &[],
            resolution: 16,
            raw_bits: 16,
            fifo: 32 * 1024 * 1024,
            terminals: &[terminal::PSEUDO_DIFF, terminal::DIFF],
            differential: Differential::All,
            dynamic_signals: false,
            measurements: MULTIFUNCTION,
        }),
        ports: SMALL_X_PORTS,
        counters: Some(X_COUNTERS),
        di_max_rate: 10e6,
        digital_trigger: true,
        analog_trigger: true,
        slots: 0,
    }
}

pub(crate) const fn dynamic(name: &'static str, number: u32, channels: u32, rate: f64) -> Product {
    Product {
        name,
        number,
        category: category::DSA,
        bus: bus::PXIE,
        ai: Some(AnalogInput {
            channels,
            simultaneous: true,
            max_single_rate: rate,
            max_multi_rate: rate,
            min_rate: 1000.0,
            // A converter clocked by synthesis takes any rate; this step is finer than what it shows.
            timebase: 100_000_000_000,
            min_divisor: 1,
            divisor_step: 1,
            ranges: &[1.0, 10.0],
            current_ranges: &[],
            bridge_ranges: &[],
            resolution: 24,
            raw_bits: 32,
            fifo: 16 * 1024,
            terminals: &[terminal::PSEUDO_DIFF, terminal::DIFF],
            differential: Differential::All,
            dynamic_signals: true,
            measurements: DYNAMIC,
        }),
        ports: &[],
        counters: None,
        di_max_rate: 0.0,
        digital_trigger: true,
        analog_trigger: true,
        slots: 0,
    }
}

pub(crate) const fn usb_600x(
    name: &'static str,
    number: u32,
    resolution: u32,
    rate: f64,
    ports: &'static [Port],
) -> Product {
    Product {
        name,
        number,
        category: category::USB,
        bus: bus::USB,
        ai: Some(AnalogInput {
            channels: 8,
            simultaneous: false,
            max_single_rate: rate,
            max_multi_rate: rate,
            min_rate: 0.0,
            timebase: 80_000_000,
            min_divisor: 1,
            divisor_step: 1,
            ranges: &[10.0],
            current_ranges: &[],
            bridge_ranges: &[],
            resolution,
            raw_bits: 16,
            fifo: 2047,
            terminals: &[terminal::DIFF, terminal::RSE],
            differential: Differential::LowerHalf,
            dynamic_signals: false,
            measurements: &[measure::VOLTAGE],
        }),
        ports,
        counters: Some(Counters {
            count: 1,
            bits: 32,
            timebase: 80e6,
            timed: false,
        }),
        di_max_rate: 0.0,
        digital_trigger: true,
        analog_trigger: false,
        slots: 0,
    }
}

/// Product types that are devices by themselves, with the oldest of this library first.
static PRODUCTS: &[Product] = &[
    x_series("PCIe-6363", 0x7435_C4C4, bus::PCIE, 32, 2e6, 1e6, X_PORTS),
    x_series("PCIe-6323", 0x7432, bus::PCIE, 32, 250e3, 250e3, X_PORTS),
    x_series("PCIe-6353", 0x7434, bus::PCIE, 32, 1.25e6, 1e6, X_PORTS),
    x_series("PXIe-6363", 0x7436, bus::PXIE, 32, 2e6, 1e6, X_PORTS),
    x_series("USB-6363", 0x7437, bus::USB, 32, 2e6, 1e6, X_PORTS),
    x_series("USB-6351", 0x7438, bus::USB, 16, 1.25e6, 1e6, SMALL_X_PORTS),
    x_series("USB-6343", 0x7439, bus::USB, 32, 500e3, 500e3, X_PORTS),
    simultaneous_x("PXIe-6396", 0x7A4D, bus::PXIE, 8, 14.29e6, 7),
    simultaneous_x("PXIe-6376", 0x7A4C, bus::PXIE, 8, 100e6 / 28.0, 28),
    simultaneous_x("PXIe-6368", 0x7A4B, bus::PXIE, 16, 2e6, 50),
    simultaneous_x("USB-6366", 0x7A4A, bus::USB, 8, 2e6, 50),
    dynamic("PXIe-4499", 0x7A31, 16, 204.8e3),
    usb_600x(
        "USB-6003",
        0x7711,
        16,
        100e3,
        &[
            Port {
                width: 8,
                timed: false,
            },
            Port {
                width: 4,
                timed: false,
            },
            Port {
                width: 1,
                timed: false,
            },
        ],
    ),
    usb_600x(
        "USB-6001",
        0x7710,
        14,
        20e3,
        &[
            Port {
                width: 8,
                timed: false,
            },
            Port {
                width: 4,
                timed: false,
            },
            Port {
                width: 1,
                timed: false,
            },
        ],
    ),
];

/// Every product type that can be simulated.
pub(crate) fn all() -> impl Iterator<Item = &'static Product> {
    PRODUCTS
        .iter()
        .chain(crate::product_boards::BOARDS)
        .chain(crate::product_modules::CHASSIS)
        .chain(crate::product_modules::MODULES)
}

/// The product of a name; case does not matter.
pub(crate) fn find(name: &str) -> Option<&'static Product> {
    all().find(|product| product.name.eq_ignore_ascii_case(name))
}
