//! The exported functions that create analog inputs and custom scales.

use std::ffi::c_char;

use crate::abi::{Handle, done, export, guarded, with_task};
use crate::attribute::{self, Object, Value, load_list, load_text, store};
use crate::create::{
    Wanted, bridge, digital, excitation, inputs, polynomial, resistance, rtd, shunt,
    sound_pressure, table, thermistor, thermocouple, two_points,
};
use crate::driver::driver;
use crate::error::{Error, code};
use crate::product::measure;
use crate::product::terminal::DEFAULT;
use crate::scale::{Rule, Scale, reverse_polynomial};
use crate::sensor::attr;
use std::ffi::c_void;

/// One list of attributes from two.
fn with(
    first: impl IntoIterator<Item = (u32, Value)>,
    second: impl IntoIterator<Item = (u32, Value)>,
) -> Vec<(u32, Value)> {
    first.into_iter().chain(second).collect()
}

export! {
    /// Adds channels that measure voltage.
    fn DAQmxCreateAIVoltageChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        terminals: i32,
        min: f64,
        max: f64,
        units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals,
            measurement: measure::VOLTAGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &[])))
    }

    /// Adds channels that measure voltage on a sensor that is fed.
    fn DAQmxCreateAIVoltageChanWithExcit(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        terminals: i32,
        min: f64,
        max: f64,
        units: i32,
        configuration: i32,
        source: i32,
        value: f64,
        use_for_scaling: u32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals,
            measurement: measure::VOLTAGE_EXCITED,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            bridge(configuration, source, value, 350.0)?,
            [(attr::EXCIT_USE_FOR_SCALING, Value::Bool(use_for_scaling != 0))],
        ))))
    }

    /// Adds channels that measure current.
    fn DAQmxCreateAICurrentChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        terminals: i32,
        min: f64,
        max: f64,
        units: i32,
        location: i32,
        ohms: f64,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals,
            measurement: measure::CURRENT,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &shunt(location, ohms)?)))
    }

    /// Adds channels with thermocouples.
    fn DAQmxCreateAIThrmcplChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        kind: i32,
        cjc_source: i32,
        cjc_value: f64,
        cjc_channel: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::THERMOCOUPLE,
            min,
            max,
            units,
            scale: "",
        };
        done(with_task(task, |task| inputs(task, wanted, &thermocouple(kind, units, cjc_source, cjc_value, &load_text(cjc_channel))?)))
    }

    /// Adds channels with resistance thermometers.
    fn DAQmxCreateAIRTDChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        kind: i32,
        wires: i32,
        source: i32,
        value: f64,
        r0: f64,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::RTD,
            min,
            max,
            units,
            scale: "",
        };
        done(with_task(task, |task| inputs(task, wanted, &rtd(kind, wires, source, value, r0)?)))
    }

    /// Adds channels with thermistors fed by a current.
    fn DAQmxCreateAIThrmstrChanIex(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        wires: i32,
        source: i32,
        value: f64,
        a: f64,
        b: f64,
        c: f64,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::THERMISTOR,
            min,
            max,
            units,
            scale: "",
        };
        done(with_task(task, |task| inputs(task, wanted, &thermistor([a, b, c], wires, source, value, None)?)))
    }

    /// Adds channels with thermistors fed by a voltage.
    fn DAQmxCreateAIThrmstrChanVex(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        wires: i32,
        source: i32,
        value: f64,
        a: f64,
        b: f64,
        c: f64,
        r1: f64,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::THERMISTOR,
            min,
            max,
            units,
            scale: "",
        };
        done(with_task(task, |task| inputs(task, wanted, &thermistor([a, b, c], wires, source, value, Some(r1))?)))
    }

    /// Adds channels that measure resistance.
    fn DAQmxCreateAIResistanceChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        wires: i32,
        source: i32,
        value: f64,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::RESISTANCE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &resistance(wires, source, value)?)))
    }

    /// Adds channels with strain gages.
    fn DAQmxCreateAIStrainGageChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        configuration: i32,
        source: i32,
        value: f64,
        gage_factor: f64,
        initial: f64,
        nominal: f64,
        poisson: f64,
        lead_wire: f64,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::STRAIN,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            excitation(source, value)?,
            [
                (attr::STRAIN_CFG, Value::I32(configuration)),
                (attr::GAGE_FACTOR, Value::F64(gage_factor)),
                (attr::INITIAL_VOLTAGE, Value::F64(initial)),
                (attr::NOMINAL_RESISTANCE, Value::F64(nominal)),
                (attr::POISSON, Value::F64(poisson)),
                (attr::LEAD_WIRE, Value::F64(lead_wire)),
            ],
        ))))
    }

    /// Adds channels that measure the ratio of a bridge.
    fn DAQmxCreateAIBridgeChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        configuration: i32,
        source: i32,
        value: f64,
        nominal: f64,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::BRIDGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &bridge(configuration, source, value, nominal)?)))
    }

    /// Adds channels with force sensors that are bridges, scaled between two points.
    fn DAQmxCreateAIForceBridgeTwoPointLinChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        configuration: i32,
        source: i32,
        value: f64,
        nominal: f64,
        first_electrical: f64,
        second_electrical: f64,
        electrical_units: i32,
        first_physical: f64,
        second_physical: f64,
        physical_units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::FORCE_BRIDGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            bridge(configuration, source, value, nominal)?,
            two_points(
                [first_electrical, second_electrical],
                electrical_units,
                [first_physical, second_physical],
                physical_units,
            ),
        ))))
    }

    /// Adds channels with force sensors that are bridges, scaled by a table.
    fn DAQmxCreateAIForceBridgeTableChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        configuration: i32,
        source: i32,
        value: f64,
        nominal: f64,
        electrical: *const f64,
        electrical_count: u32,
        electrical_units: i32,
        physical_values: *const f64,
        physical_count: u32,
        physical_units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::FORCE_BRIDGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            bridge(configuration, source, value, nominal)?,
            table(
                load_list(electrical, electrical_count as usize)?,
                electrical_units,
                load_list(physical_values, physical_count as usize)?,
                physical_units,
            ),
        ))))
    }

    /// Adds channels with force sensors that are bridges, scaled by a polynomial.
    fn DAQmxCreateAIForceBridgePolynomialChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        configuration: i32,
        source: i32,
        value: f64,
        nominal: f64,
        forward: *const f64,
        forward_count: u32,
        reverse: *const f64,
        reverse_count: u32,
        electrical_units: i32,
        physical_units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::FORCE_BRIDGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            bridge(configuration, source, value, nominal)?,
            polynomial(
                load_list(forward, forward_count as usize)?,
                load_list(reverse, reverse_count as usize)?,
                electrical_units,
                physical_units,
            ),
        ))))
    }

    /// Adds channels with pressure sensors that are bridges, scaled between two points.
    fn DAQmxCreateAIPressureBridgeTwoPointLinChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        configuration: i32,
        source: i32,
        value: f64,
        nominal: f64,
        first_electrical: f64,
        second_electrical: f64,
        electrical_units: i32,
        first_physical: f64,
        second_physical: f64,
        physical_units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::PRESSURE_BRIDGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            bridge(configuration, source, value, nominal)?,
            two_points(
                [first_electrical, second_electrical],
                electrical_units,
                [first_physical, second_physical],
                physical_units,
            ),
        ))))
    }

    /// Adds channels with pressure sensors that are bridges, scaled by a table.
    fn DAQmxCreateAIPressureBridgeTableChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        configuration: i32,
        source: i32,
        value: f64,
        nominal: f64,
        electrical: *const f64,
        electrical_count: u32,
        electrical_units: i32,
        physical_values: *const f64,
        physical_count: u32,
        physical_units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::PRESSURE_BRIDGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            bridge(configuration, source, value, nominal)?,
            table(
                load_list(electrical, electrical_count as usize)?,
                electrical_units,
                load_list(physical_values, physical_count as usize)?,
                physical_units,
            ),
        ))))
    }

    /// Adds channels with pressure sensors that are bridges, scaled by a polynomial.
    fn DAQmxCreateAIPressureBridgePolynomialChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        configuration: i32,
        source: i32,
        value: f64,
        nominal: f64,
        forward: *const f64,
        forward_count: u32,
        reverse: *const f64,
        reverse_count: u32,
        electrical_units: i32,
        physical_units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::PRESSURE_BRIDGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            bridge(configuration, source, value, nominal)?,
            polynomial(
                load_list(forward, forward_count as usize)?,
                load_list(reverse, reverse_count as usize)?,
                electrical_units,
                physical_units,
            ),
        ))))
    }

    /// Adds channels with torque sensors that are bridges, scaled between two points.
    fn DAQmxCreateAITorqueBridgeTwoPointLinChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        configuration: i32,
        source: i32,
        value: f64,
        nominal: f64,
        first_electrical: f64,
        second_electrical: f64,
        electrical_units: i32,
        first_physical: f64,
        second_physical: f64,
        physical_units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::TORQUE_BRIDGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            bridge(configuration, source, value, nominal)?,
            two_points(
                [first_electrical, second_electrical],
                electrical_units,
                [first_physical, second_physical],
                physical_units,
            ),
        ))))
    }

    /// Adds channels with torque sensors that are bridges, scaled by a table.
    fn DAQmxCreateAITorqueBridgeTableChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        configuration: i32,
        source: i32,
        value: f64,
        nominal: f64,
        electrical: *const f64,
        electrical_count: u32,
        electrical_units: i32,
        physical_values: *const f64,
        physical_count: u32,
        physical_units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::TORQUE_BRIDGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            bridge(configuration, source, value, nominal)?,
            table(
                load_list(electrical, electrical_count as usize)?,
                electrical_units,
                load_list(physical_values, physical_count as usize)?,
                physical_units,
            ),
        ))))
    }

    /// Adds channels with torque sensors that are bridges, scaled by a polynomial.
    fn DAQmxCreateAITorqueBridgePolynomialChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        configuration: i32,
        source: i32,
        value: f64,
        nominal: f64,
        forward: *const f64,
        forward_count: u32,
        reverse: *const f64,
        reverse_count: u32,
        electrical_units: i32,
        physical_units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::TORQUE_BRIDGE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            bridge(configuration, source, value, nominal)?,
            polynomial(
                load_list(forward, forward_count as usize)?,
                load_list(reverse, reverse_count as usize)?,
                electrical_units,
                physical_units,
            ),
        ))))
    }

    /// Adds channels with accelerometers.
    fn DAQmxCreateAIAccelChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        terminals: i32,
        min: f64,
        max: f64,
        units: i32,
        sensitivity: f64,
        sensitivity_units: i32,
        source: i32,
        value: f64,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals,
            measurement: measure::ACCELEROMETER,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            excitation(source, value)?,
            [
                (attr::ACCEL_SENSITIVITY, Value::F64(sensitivity)),
                (attr::ACCEL_SENSITIVITY_UNITS, Value::I32(sensitivity_units)),
            ],
        ))))
    }

    /// Adds channels with accelerometers that are fed with a voltage.
    fn DAQmxCreateAIAccel4WireDCVoltageChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        terminals: i32,
        min: f64,
        max: f64,
        units: i32,
        sensitivity: f64,
        sensitivity_units: i32,
        source: i32,
        value: f64,
        use_for_scaling: u32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals,
            measurement: measure::ACCEL_4_WIRE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            excitation(source, value)?,
            [
                (attr::ACCEL_4_WIRE_SENSITIVITY, Value::F64(sensitivity)),
                (attr::ACCEL_4_WIRE_SENSITIVITY_UNITS, Value::I32(sensitivity_units)),
                (attr::EXCIT_USE_FOR_SCALING, Value::Bool(use_for_scaling != 0)),
            ],
        ))))
    }

    /// Adds channels with IEPE force sensors.
    fn DAQmxCreateAIForceIEPEChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        terminals: i32,
        min: f64,
        max: f64,
        units: i32,
        sensitivity: f64,
        sensitivity_units: i32,
        source: i32,
        value: f64,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals,
            measurement: measure::FORCE_IEPE,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            excitation(source, value)?,
            [
                (attr::FORCE_IEPE_SENSITIVITY, Value::F64(sensitivity)),
                (attr::FORCE_IEPE_SENSITIVITY_UNITS, Value::I32(sensitivity_units)),
            ],
        ))))
    }

    /// Adds channels with IEPE velocity sensors.
    fn DAQmxCreateAIVelocityIEPEChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        terminals: i32,
        min: f64,
        max: f64,
        units: i32,
        sensitivity: f64,
        sensitivity_units: i32,
        source: i32,
        value: f64,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals,
            measurement: measure::VELOCITY,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            excitation(source, value)?,
            [
                (attr::VELOCITY_SENSITIVITY, Value::F64(sensitivity)),
                (attr::VELOCITY_SENSITIVITY_UNITS, Value::I32(sensitivity_units)),
            ],
        ))))
    }

    /// Adds channels with microphones.
    fn DAQmxCreateAIMicrophoneChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        terminals: i32,
        units: i32,
        sensitivity: f64,
        max_level: f64,
        source: i32,
        value: f64,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals,
            measurement: measure::MICROPHONE,
            min: -sound_pressure(max_level),
            max: sound_pressure(max_level),
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            excitation(source, value)?,
            [
                (attr::MICROPHONE_SENSITIVITY, Value::F64(sensitivity)),
                (attr::MAX_SOUND_LEVEL, Value::F64(max_level)),
            ],
        ))))
    }

    /// Adds channels with linear position sensors fed with an alternating voltage.
    fn DAQmxCreateAIPosLVDTChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        sensitivity: f64,
        sensitivity_units: i32,
        source: i32,
        value: f64,
        frequency: f64,
        wires: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::LVDT,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            excitation(source, value)?,
            [
                (attr::LVDT_SENSITIVITY, Value::F64(sensitivity)),
                (attr::LVDT_SENSITIVITY_UNITS, Value::I32(sensitivity_units)),
                (attr::AC_EXCIT_FREQ, Value::F64(frequency)),
                (attr::AC_EXCIT_WIRE_MODE, Value::I32(wires)),
            ],
        ))))
    }

    /// Adds channels with angular position sensors fed with an alternating voltage.
    fn DAQmxCreateAIPosRVDTChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        sensitivity: f64,
        sensitivity_units: i32,
        source: i32,
        value: f64,
        frequency: f64,
        wires: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::RVDT,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &with(
            excitation(source, value)?,
            [
                (attr::RVDT_SENSITIVITY, Value::F64(sensitivity)),
                (attr::RVDT_SENSITIVITY_UNITS, Value::I32(sensitivity_units)),
                (attr::AC_EXCIT_FREQ, Value::F64(frequency)),
                (attr::AC_EXCIT_WIRE_MODE, Value::I32(wires)),
            ],
        ))))
    }

    /// Adds channels with eddy current proximity probes.
    fn DAQmxCreateAIPosEddyCurrProxProbeChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        sensitivity: f64,
        sensitivity_units: i32,
        scale: *const c_char,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            terminals: DEFAULT,
            measurement: measure::EDDY_CURRENT,
            min,
            max,
            units,
            scale: &load_text(scale),
        };
        done(with_task(task, |task| inputs(task, wanted, &[
            (attr::EDDY_SENSITIVITY, Value::F64(sensitivity)),
            (attr::EDDY_SENSITIVITY_UNITS, Value::I32(sensitivity_units)),
        ])))
    }

    // ---- digital inputs and counters ----

    /// Adds digital inputs: a channel for each line, or one for all of them.
    fn DAQmxCreateDIChan(
        task: Handle,
        lines: *const c_char,
        names: *const c_char,
        grouping: i32,
    ) {
        let (lines, names) = (load_text(lines), load_text(names));
        done(with_task(task, |task| digital(task, &lines, &names, grouping)))
    }

    // ---- custom scales ----

    /// Creates a scale of slope and intercept.
    fn DAQmxCreateLinScale(
        name: *const c_char,
        slope: f64,
        intercept: f64,
        raw_units: i32,
        scaled_units: *const c_char,
    ) {
        let rule = Rule::Linear { slope, intercept };
        driver().add_scale(Scale::new(
            &load_text(name),
            rule,
            raw_units,
            &load_text(scaled_units),
        )?);
        Ok(0)
    }

    /// Creates a scale that maps one range to another.
    fn DAQmxCreateMapScale(
        name: *const c_char,
        raw_min: f64,
        raw_max: f64,
        scaled_min: f64,
        scaled_max: f64,
        raw_units: i32,
        scaled_units: *const c_char,
    ) {
        let rule = Rule::Map { raw: [raw_min, raw_max], scaled: [scaled_min, scaled_max] };
        driver().add_scale(Scale::new(
            &load_text(name),
            rule,
            raw_units,
            &load_text(scaled_units),
        )?);
        Ok(0)
    }

    /// Creates a scale by a polynomial and its inverse.
    fn DAQmxCreatePolynomialScale(
        name: *const c_char,
        forward: *const f64,
        forward_count: u32,
        reverse: *const f64,
        reverse_count: u32,
        raw_units: i32,
        scaled_units: *const c_char,
    ) {
        let rule = Rule::Polynomial {
            forward: load_list(forward, forward_count as usize)?,
            reverse: load_list(reverse, reverse_count as usize)?,
        };
        driver().add_scale(Scale::new(
            &load_text(name),
            rule,
            raw_units,
            &load_text(scaled_units),
        )?);
        Ok(0)
    }

    /// Creates a scale by a table.
    fn DAQmxCreateTableScale(
        name: *const c_char,
        raw: *const f64,
        raw_count: u32,
        scaled: *const f64,
        scaled_count: u32,
        raw_units: i32,
        scaled_units: *const c_char,
    ) {
        let rule = Rule::Table {
            raw: load_list(raw, raw_count as usize)?,
            scaled: load_list(scaled, scaled_count as usize)?,
        };
        driver().add_scale(Scale::new(
            &load_text(name),
            rule,
            raw_units,
            &load_text(scaled_units),
        )?);
        Ok(0)
    }

    /// The polynomial that inverts another one best.
    fn DAQmxCalculateReversePolyCoeff(
        forward: *const f64,
        count: u32,
        min: f64,
        max: f64,
        points: i32,
        order: i32,
        reverse: *mut f64,
    ) {
        let found =
            reverse_polynomial(&load_list(forward, count as usize)?, min, max, points, order)?;
        if reverse.is_null() {
            return Err(Error::new(code::NULL_POINTER).with("Parameter", "reverseCoeffs"));
        }
        for (index, coefficient) in found.iter().enumerate() {
            reverse.add(index).write_unaligned(*coefficient);
        }
        Ok(0)
    }

    /// An attribute of a custom scale.
    fn DAQmxGetScaleAttribute(name: *const c_char, id: i32, value: *mut c_void, size: u32) {
        store(&driver().scale(&load_text(name))?.get(id)?, value, size)
    }

    /// Sets an attribute of a custom scale. The third argument is variadic in C.
    fn DAQmxSetScaleAttribute(
        name: *const c_char,
        id: i32,
        integer: usize,
        count: u32,
        float: f64,
    ) {
        let row = attribute::writable(Object::Scale, id)?;
        let value = crate::abi::given(row.kind, integer, count, float)?;
        done(driver().set_scale(&load_text(name), id, value))
    }
}
