//! More product types: boards and boxes that are devices by themselves.
//!
//! Figures are those of public data sheets, as in [`crate::product`]. A product number of 0 means
//! that it is not known here.

use crate::product::{
    AnalogInput, Counters, DYNAMIC, Differential, MULTIFUNCTION, Port, Product,
    SINGLE_ENDED_AND_DIFFERENTIAL, SMALL_X_PORTS, X_PORTS, bus, category, dynamic, measure,
    simultaneous_x, terminal, x_series,
};

/// What a dynamic signal module with charge amplifiers measures.
const CHARGE: &[i32] = &[
    measure::VOLTAGE,
    measure::CHARGE,
    measure::ACCEL_CHARGE,
    measure::ACCELEROMETER,
    measure::MICROPHONE,
    measure::FORCE_IEPE,
    measure::VELOCITY,
];

const BRIDGES: &[i32] = &[
    measure::VOLTAGE,
    measure::VOLTAGE_EXCITED,
    measure::BRIDGE,
    measure::STRAIN,
    measure::ROSETTE,
    measure::FORCE_BRIDGE,
    measure::PRESSURE_BRIDGE,
    measure::TORQUE_BRIDGE,
];

const POSITION: &[i32] = &[measure::VOLTAGE, measure::LVDT, measure::RVDT];
const TEMPERATURE: &[i32] = &[
    measure::VOLTAGE,
    measure::THERMOCOUPLE,
    measure::BUILT_IN_SENSOR,
];
const RESISTIVE: &[i32] = &[measure::RTD, measure::RESISTANCE];
const DIFFERENTIAL_ONLY: &[i32] = &[terminal::DIFF];

const fn with(product: Product, measurements: &'static [i32], ranges: &'static [f64]) -> Product {
    match product.ai {
        Some(ai) => Product {
            ai: Some(AnalogInput {
                measurements,
                ranges,
                ..ai
            }),
            ..product
        },
        None => product,
    }
}

/// A module of the SC Express family: 24 bits, simultaneous, with signal conditioning.
const fn sc_express(
    name: &'static str,
    number: u32,
    channels: u32,
    rate: f64,
    ranges: &'static [f64],
    bridge_ranges: &'static [f64],
    measurements: &'static [i32],
) -> Product {
    Product {
        name,
        number,
        category: category::SC_EXPRESS,
        bus: bus::PXIE,
        ai: Some(AnalogInput {
            channels,
            simultaneous: true,
            max_single_rate: rate,
            max_multi_rate: rate,
            min_rate: 1.0,
            timebase: 100_000_000_000,
            min_divisor: 1,
            divisor_step: 1,
            ranges,
            current_ranges: &[],
            bridge_ranges,
            resolution: 24,
            raw_bits: 32,
            fifo: 16 * 1024,
            terminals: DIFFERENTIAL_ONLY,
            differential: Differential::All,
            dynamic_signals: false,
            measurements,
        }),
        ports: &[],
        counters: None,
        di_max_rate: 0.0,
        digital_trigger: true,
        analog_trigger: true,
        slots: 0,
    }
}

const EIGHT: Port = Port {
    width: 8,
    timed: false,
};
const EIGHT_TIMED: Port = Port {
    width: 8,
    timed: true,
};

/// A multifunction board or box of the M Series and its USB relatives.
const fn m_series(
    name: &'static str,
    bus: i32,
    channels: u32,
    rate: f64,
    ranges: &'static [f64],
    ports: &'static [Port],
    di_max_rate: f64,
) -> Product {
    Product {
        name,
        number: 0,
        category: category::M_SERIES,
        bus,
        ai: Some(AnalogInput {
            channels,
            simultaneous: false,
            max_single_rate: rate,
            max_multi_rate: rate,
            min_rate: 0.0,
            timebase: 20_000_000,
            min_divisor: 1,
            divisor_step: 1,
            ranges,
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
        counters: Some(Counters {
            count: 2,
            bits: 32,
            timebase: 80e6,
            timed: true,
        }),
        di_max_rate,
        digital_trigger: true,
        analog_trigger: false,
        slots: 0,
    }
}

/// A fast digital board: ports of eight lines with a clock.
const fn digital(
    name: &'static str,
    bus: i32,
    ports: &'static [Port],
    rate: f64,
    counters: Option<Counters>,
) -> Product {
    Product {
        name,
        number: 0,
        category: category::DIGITAL_IO,
        bus,
        ai: None,
        ports,
        counters,
        di_max_rate: rate,
        digital_trigger: rate > 0.0,
        analog_trigger: false,
        slots: 0,
    }
}

/// A USB box of the lowest price, with one counter and single samples of its lines.
const fn usb_600x(
    name: &'static str,
    resolution: u32,
    rate: f64,
    ranges: &'static [f64],
) -> Product {
    let base = m_series(
        name,
        bus::USB,
        8,
        rate,
        ranges,
        &[
            EIGHT,
            Port {
                width: 4,
                timed: false,
            },
        ],
        0.0,
    );
    match base.ai {
        Some(ai) => Product {
            category: category::USB,
            ai: Some(AnalogInput {
                timebase: 12_000_000,
                resolution,
                terminals: &[terminal::DIFF, terminal::RSE],
                measurements: &[measure::VOLTAGE],
                fifo: 512,
                ..ai
            }),
            counters: Some(Counters {
                count: 1,
                bits: 32,
                timebase: 80e6,
                timed: false,
            }),
            ..base
        },
        None => base,
    }
}

const M_RANGES: &[f64] = &[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
const LOW_COST_RANGES: &[f64] = &[0.2, 1.0, 5.0, 10.0];
const M_PORTS: &[Port] = &[EIGHT_TIMED, EIGHT, EIGHT];
const FOUR_TIMED: &[Port] = &[EIGHT_TIMED, EIGHT_TIMED, EIGHT_TIMED, EIGHT_TIMED];
const FOUR_LINES: Port = Port {
    width: 4,
    timed: false,
};

/// Boards and boxes.
pub(crate) static BOARDS: &[Product] = &[
    x_series("PCIe-6321", 0, bus::PCIE, 16, 250e3, 250e3, SMALL_X_PORTS),
    x_series("PCIe-6341", 0, bus::PCIE, 16, 500e3, 500e3, SMALL_X_PORTS),
    x_series("PCIe-6343", 0, bus::PCIE, 32, 500e3, 500e3, X_PORTS),
    x_series("PCIe-6351", 0, bus::PCIE, 16, 1.25e6, 1e6, SMALL_X_PORTS),
    x_series("PCIe-6361", 0, bus::PCIE, 16, 2e6, 1e6, SMALL_X_PORTS),
    x_series("PXIe-6341", 0, bus::PXIE, 16, 500e3, 500e3, SMALL_X_PORTS),
    x_series("PXIe-6345", 0, bus::PXIE, 80, 500e3, 500e3, SMALL_X_PORTS),
    x_series("PXIe-6355", 0, bus::PXIE, 80, 1.25e6, 1e6, SMALL_X_PORTS),
    x_series("PXIe-6361", 0, bus::PXIE, 16, 2e6, 1e6, SMALL_X_PORTS),
    x_series("USB-6341", 0, bus::USB, 16, 500e3, 500e3, SMALL_X_PORTS),
    x_series("USB-6353", 0, bus::USB, 32, 1.25e6, 1e6, X_PORTS),
    x_series("USB-6361", 0, bus::USB, 16, 2e6, 1e6, SMALL_X_PORTS),
    simultaneous_x("PXIe-6356", 0, bus::PXIE, 8, 1.25e6, 80),
    simultaneous_x("PXIe-6358", 0, bus::PXIE, 16, 1.25e6, 80),
    simultaneous_x("PXIe-6366", 0, bus::PXIE, 8, 2e6, 50),
    simultaneous_x("PXIe-6378", 0, bus::PXIE, 16, 100e6 / 28.0, 28),
    simultaneous_x("PXIe-6386", 0, bus::PXIE, 8, 14.29e6, 7),
    simultaneous_x("USB-6356", 0, bus::USB, 8, 1.25e6, 80),
    with(
        dynamic("PXIe-4480", 0x7844_C4C4, 6, 1.25e6),
        CHARGE,
        &[1.0, 10.0],
    ),
    with(dynamic("PXIe-4481", 0, 6, 1.25e6), CHARGE, &[1.0, 10.0]),
    with(
        dynamic("PXIe-4464", 0, 4, 204.8e3),
        DYNAMIC,
        &[0.316, 1.0, 3.16, 10.0, 31.6, 42.4],
    ),
    with(
        dynamic("PXIe-4466", 0x7A8D_C4C4, 4, 250e3),
        DYNAMIC,
        &[0.316, 1.0, 3.16, 10.0, 31.6, 42.4],
    ),
    with(
        dynamic("PXIe-4492", 0, 8, 204.8e3),
        DYNAMIC,
        &[0.316, 1.0, 10.0],
    ),
    with(
        dynamic("PXIe-4497", 0, 16, 204.8e3),
        DYNAMIC,
        &[0.316, 1.0, 10.0],
    ),
    sc_express(
        "PXIe-4300",
        0,
        8,
        250e3,
        &[1.0, 2.0, 5.0, 10.0],
        &[],
        &[measure::VOLTAGE, measure::CURRENT],
    ),
    sc_express(
        "PXIe-4303",
        0,
        32,
        51.2e3,
        &[0.1, 10.0],
        &[],
        &[measure::VOLTAGE, measure::CURRENT],
    ),
    sc_express(
        "PXIe-4331",
        0x74A9_C4C4,
        8,
        102.4e3,
        &[1.0],
        &[0.025, 0.1],
        BRIDGES,
    ),
    sc_express("PXIe-4340", 0x7829_C4C4, 4, 25.6e3, &[7.0], &[], POSITION),
    sc_express(
        "PXIe-4353",
        0x74B2_C4C4,
        32,
        90.0,
        &[0.08],
        &[],
        TEMPERATURE,
    ),
    sc_express("PXIe-4357", 0, 20, 100.0, &[0.5], &[], RESISTIVE),
    m_series(
        "PCI-6221",
        bus::PCI,
        16,
        250e3,
        LOW_COST_RANGES,
        M_PORTS,
        1e6,
    ),
    m_series("PCI-6251", bus::PCI, 16, 1e6, M_RANGES, M_PORTS, 10e6),
    m_series("PCI-6259", bus::PCI, 32, 1e6, M_RANGES, M_PORTS, 10e6),
    m_series("PCIe-6251", bus::PCIE, 16, 1e6, M_RANGES, M_PORTS, 10e6),
    m_series(
        "USB-6211",
        bus::USB,
        16,
        250e3,
        LOW_COST_RANGES,
        &[FOUR_LINES, FOUR_LINES],
        0.0,
    ),
    m_series(
        "USB-6212",
        bus::USB,
        16,
        400e3,
        LOW_COST_RANGES,
        &[
            Port {
                width: 16,
                timed: false,
            },
            EIGHT,
            EIGHT,
        ],
        0.0,
    ),
    m_series(
        "USB-6218",
        bus::USB,
        32,
        250e3,
        LOW_COST_RANGES,
        &[EIGHT, EIGHT],
        0.0,
    ),
    usb_600x(
        "USB-6008",
        12,
        10e3,
        &[1.0, 1.25, 2.0, 2.5, 4.0, 5.0, 10.0, 20.0],
    ),
    usb_600x(
        "USB-6009",
        14,
        48e3,
        &[1.0, 1.25, 2.0, 2.5, 4.0, 5.0, 10.0, 20.0],
    ),
    usb_600x("USB-6002", 16, 50e3, &[10.0]),
    digital("PCIe-6535", bus::PCIE, FOUR_TIMED, 10e6, None),
    digital("PCIe-6536", bus::PCIE, FOUR_TIMED, 25e6, None),
    digital("PCIe-6537", bus::PCIE, FOUR_TIMED, 50e6, None),
    digital("PXIe-6535", bus::PXIE, FOUR_TIMED, 10e6, None),
    digital("PXIe-6536", bus::PXIE, FOUR_TIMED, 25e6, None),
    digital("PXIe-6537", bus::PXIE, FOUR_TIMED, 50e6, None),
    digital(
        "USB-6501",
        bus::USB,
        &[EIGHT, EIGHT, EIGHT],
        0.0,
        Some(Counters {
            count: 1,
            bits: 32,
            timebase: 0.0,
            timed: false,
        }),
    ),
];
