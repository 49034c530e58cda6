//! Sensors: the way from volts to the channel's units, made from the channel's attributes.

use crate::channel::{Channel, FROM_CUSTOM_SCALE, id};
use crate::conversion::{Conversion, Stage};
use crate::driver::driver;
use crate::error::{Error, Result, code};
use crate::product::measure;
use crate::thermocouple;

/// Numbers of the attributes that sensors have.
pub(crate) mod attr {
    pub(crate) const TEMP_UNITS: u32 = 0x1033;
    pub(crate) const THRMCPL_TYPE: u32 = 0x1050;
    pub(crate) const CJC_SRC: u32 = 0x1035;
    pub(crate) const CJC_VAL: u32 = 0x1036;
    pub(crate) const CJC_CHAN: u32 = 0x1034;
    pub(crate) const RTD_TYPE: u32 = 0x1032;
    pub(crate) const RTD_R0: u32 = 0x1030;
    pub(crate) const RTD_A: u32 = 0x1010;
    pub(crate) const RTD_B: u32 = 0x1011;
    pub(crate) const RTD_C: u32 = 0x1013;
    pub(crate) const RESISTANCE_CFG: u32 = 0x1881;
    pub(crate) const RESISTANCE_UNITS: u32 = 0x955;
    pub(crate) const EXCIT_SRC: u32 = 0x17F4;
    pub(crate) const EXCIT_VAL: u32 = 0x17F5;
    pub(crate) const EXCIT_VOLTAGE_OR_CURRENT: u32 = 0x17F6;
    pub(crate) const EXCIT_USE_FOR_SCALING: u32 = 0x17FC;
    pub(crate) const AC_EXCIT_FREQ: u32 = 0x101;
    pub(crate) const AC_EXCIT_WIRE_MODE: u32 = 0x18CD;
    pub(crate) const THRMSTR_A: u32 = 0x18C9;
    pub(crate) const THRMSTR_B: u32 = 0x18CB;
    pub(crate) const THRMSTR_C: u32 = 0x18CA;
    pub(crate) const THRMSTR_R1: u32 = 0x1061;
    pub(crate) const CURRENT_UNITS: u32 = 0x701;
    pub(crate) const SHUNT_LOC: u32 = 0x17F2;
    pub(crate) const SHUNT_RESISTANCE: u32 = 0x17F3;
    pub(crate) const STRAIN_UNITS: u32 = 0x981;
    pub(crate) const STRAIN_CFG: u32 = 0x982;
    pub(crate) const GAGE_FACTOR: u32 = 0x994;
    pub(crate) const POISSON: u32 = 0x998;
    pub(crate) const INITIAL_VOLTAGE: u32 = 0x17ED;
    pub(crate) const NOMINAL_RESISTANCE: u32 = 0x17EC;
    pub(crate) const LEAD_WIRE: u32 = 0x17EE;
    pub(crate) const BRIDGE_CFG: u32 = 0x87;
    pub(crate) const BRIDGE_UNITS: u32 = 0x2F92;
    pub(crate) const FORCE_UNITS: u32 = 0x2F75;
    pub(crate) const PRESSURE_UNITS: u32 = 0x2F76;
    pub(crate) const TORQUE_UNITS: u32 = 0x2F77;
    pub(crate) const BRIDGE_SCALE_TYPE: u32 = 0x2F89;
    pub(crate) const ELECTRICAL_UNITS: u32 = 0x2F87;
    pub(crate) const PHYSICAL_UNITS: u32 = 0x2F88;
    pub(crate) const FIRST_ELECTRICAL: u32 = 0x2F8A;
    pub(crate) const FIRST_PHYSICAL: u32 = 0x2F8B;
    pub(crate) const SECOND_ELECTRICAL: u32 = 0x2F8C;
    pub(crate) const SECOND_PHYSICAL: u32 = 0x2F8D;
    pub(crate) const TABLE_ELECTRICAL: u32 = 0x2F8E;
    pub(crate) const TABLE_PHYSICAL: u32 = 0x2F8F;
    pub(crate) const POLY_FORWARD: u32 = 0x2F90;
    pub(crate) const POLY_REVERSE: u32 = 0x2F91;
    pub(crate) const ACCEL_UNITS: u32 = 0x673;
    pub(crate) const ACCEL_SENSITIVITY: u32 = 0x692;
    pub(crate) const ACCEL_SENSITIVITY_UNITS: u32 = 0x219C;
    pub(crate) const ACCEL_4_WIRE_SENSITIVITY: u32 = 0x3115;
    pub(crate) const ACCEL_4_WIRE_SENSITIVITY_UNITS: u32 = 0x3116;
    pub(crate) const SOUND_UNITS: u32 = 0x1528;
    pub(crate) const MICROPHONE_SENSITIVITY: u32 = 0x1536;
    pub(crate) const MAX_SOUND_LEVEL: u32 = 0x223A;
    pub(crate) const FORCE_IEPE_SENSITIVITY: u32 = 0x2F81;
    pub(crate) const FORCE_IEPE_SENSITIVITY_UNITS: u32 = 0x2F82;
    pub(crate) const VELOCITY_UNITS: u32 = 0x2FF4;
    pub(crate) const VELOCITY_SENSITIVITY: u32 = 0x2FF6;
    pub(crate) const VELOCITY_SENSITIVITY_UNITS: u32 = 0x2FF7;
    pub(crate) const LVDT_UNITS: u32 = 0x910;
    pub(crate) const LVDT_SENSITIVITY: u32 = 0x939;
    pub(crate) const LVDT_SENSITIVITY_UNITS: u32 = 0x219A;
    pub(crate) const RVDT_UNITS: u32 = 0x877;
    pub(crate) const RVDT_SENSITIVITY: u32 = 0x903;
    pub(crate) const RVDT_SENSITIVITY_UNITS: u32 = 0x219B;
    pub(crate) const EDDY_UNITS: u32 = 0x2AC0;
    pub(crate) const FREQ_UNITS: u32 = 0x806;
    pub(crate) const FREQ_THRESHOLD: u32 = 0x815;
    pub(crate) const FREQ_HYSTERESIS: u32 = 0x814;
    pub(crate) const CHARGE_UNITS: u32 = 0x3112;
    pub(crate) const ACCEL_CHARGE_SENSITIVITY: u32 = 0x3113;
    pub(crate) const ACCEL_CHARGE_SENSITIVITY_UNITS: u32 = 0x3114;
    pub(crate) const POWER_UNITS: u32 = 0x31EC;
    pub(crate) const POWER_VOLTAGE_MAX: u32 = 0x31ED;
    pub(crate) const POWER_VOLTAGE_MIN: u32 = 0x31EE;
    pub(crate) const POWER_CURRENT_MAX: u32 = 0x31EF;
    pub(crate) const POWER_CURRENT_MIN: u32 = 0x31F0;
    pub(crate) const ROSETTE_CHANS: u32 = 0x2FFB;
    pub(crate) const ROSETTE_ORIENTATION: u32 = 0x2FFC;
    pub(crate) const ROSETTE_MEAS_TYPE: u32 = 0x2FFD;
    pub(crate) const ROSETTE_TYPE: u32 = 0x2FFE;
    pub(crate) const PWR_VOLTAGE_SETPOINT: u32 = 0x31D4;
    pub(crate) const PWR_CURRENT_SETPOINT: u32 = 0x31D5;
    pub(crate) const PWR_OUTPUT_ENABLE: u32 = 0x31D6;
    pub(crate) const PWR_IDLE_OUTPUT_BEHAVIOR: u32 = 0x31D8;
    pub(crate) const PWR_REMOTE_SENSE: u32 = 0x31DB;
    pub(crate) const EDDY_SENSITIVITY: u32 = 0x2ABE;
    pub(crate) const EDDY_SENSITIVITY_UNITS: u32 = 0x2ABF;
}

/// Coulombs that a charge amplifier turns into one volt.
pub(crate) const COULOMBS_PER_VOLT: f64 = 2e-9;

/// Degrees Celsius per volt of a device's own temperature sensor.
const CELSIUS_PER_VOLT: f64 = 1e3;

const G: f64 = 9.806_65;
const INCH: f64 = 0.0254;
const POUND: f64 = 4.448_221_615_260_5;

/// How a unit follows from the base unit of its kind: `value = base * slope + offset`. Base units
/// are SI, with degrees Celsius and degrees of angle.
pub(crate) fn unit(number: i32) -> Option<(f64, f64)> {
    Some(match number {
        // V, A, strain, ohm, m, degree, m/s2, Pa, m/s, N, Nm, V/V, Hz, s, W, C, ticks
        10348 | 10342 | 10299 | 10384 | 10219 | 10146 | 12470 | 10081 | 15959 | 15875 | 15881
        | 15896 | 10373 | 10364 | 16203 | 16102 | 10304 => (1.0, 0.0),
        10143 => (1.0, 0.0),
        10144 => (1.8, 32.0),
        10325 => (1.0, 273.15),
        10145 => (1.8, 491.67),
        10379 => (1.0 / INCH, 0.0),
        10273 => (std::f64::consts::PI / 180.0, 0.0),
        10186 => (1.0 / G, 0.0),
        12471 => (1.0 / INCH, 0.0),
        15960 => (1.0 / INCH, 0.0),
        15876 => (1.0 / POUND, 0.0),
        15877 => (1.0 / G, 0.0),
        15879 => (INCH * INCH / POUND, 0.0),
        15880 => (1e-5, 0.0),
        15882 => (16.0 / (POUND * INCH), 0.0),
        15883 => (1.0 / (POUND * INCH), 0.0),
        15884 => (1.0 / (POUND * INCH * 12.0), 0.0),
        15897 => (1e3, 0.0),
        16103 => (1e12, 0.0),
        _ => return None,
    })
}

/// The attribute that holds the units of a kind of measurement.
pub(crate) fn units_attribute(measurement: i32) -> u32 {
    match measurement {
        measure::CURRENT | measure::CURRENT_RMS => attr::CURRENT_UNITS,
        measure::THERMOCOUPLE | measure::RTD | measure::THERMISTOR | measure::BUILT_IN_SENSOR => {
            attr::TEMP_UNITS
        }
        measure::RESISTANCE => attr::RESISTANCE_UNITS,
        measure::STRAIN | measure::ROSETTE => attr::STRAIN_UNITS,
        measure::FREQUENCY => attr::FREQ_UNITS,
        measure::CHARGE => attr::CHARGE_UNITS,
        measure::CALCULATED_POWER => attr::POWER_UNITS,
        measure::BRIDGE => attr::BRIDGE_UNITS,
        measure::FORCE_BRIDGE | measure::FORCE_IEPE => attr::FORCE_UNITS,
        measure::PRESSURE_BRIDGE => attr::PRESSURE_UNITS,
        measure::TORQUE_BRIDGE => attr::TORQUE_UNITS,
        measure::ACCELEROMETER | measure::ACCEL_4_WIRE | measure::ACCEL_CHARGE => attr::ACCEL_UNITS,
        measure::MICROPHONE => attr::SOUND_UNITS,
        measure::VELOCITY => attr::VELOCITY_UNITS,
        measure::LVDT => attr::LVDT_UNITS,
        measure::RVDT => attr::RVDT_UNITS,
        measure::EDDY_CURRENT => attr::EDDY_UNITS,
        _ => id::AI_VOLTAGE_UNITS,
    }
}

/// The coefficients of Callendar and Van Dusen for DAQmx's number of a type of RTD.
pub(crate) fn rtd_coefficients(kind: i32) -> Option<[f64; 3]> {
    Some(match kind {
        10071 => [3.9083e-3, -5.775e-7, -4.183e-12],
        12481 => [3.81e-3, -6.02e-7, -6.0e-12],
        12482 => [3.9692e-3, -5.8495e-7, -4.233e-12],
        10069 => [3.9739e-3, -5.870e-7, -4.4e-12],
        10053 => [3.9787e-3, -5.8686e-7, -4.167e-12],
        12483 => [3.9888e-3, -5.915e-7, -3.85e-12],
        _ => return None,
    })
}

/// A number that must not be zero, or it would divide.
fn nonzero(channel: &Channel, id: u32, property: &'static str) -> Result<f64> {
    let value = channel.number(id);
    if value == 0.0 || !value.is_finite() {
        return Err(
            Error::value(property, format!("{value:?}")).with("Channel Name", &channel.name)
        );
    }
    Ok(value)
}

fn excitation(channel: &Channel) -> Result<f64> {
    nonzero(channel, attr::EXCIT_VAL, "DAQmx_AI_Excit_Val")
}

/// Volts per base unit, from a sensitivity and the number of its units.
fn sensitivity(channel: &Channel, value: u32, units: u32, property: &'static str) -> Result<f64> {
    let number = nonzero(channel, value, property)?;
    let units = channel.integer(units);
    Ok(number
        * match units {
            12509 => 1e-3 / G,
            12510 => 1.0 / G,
            15891 => 1e-3,
            15892 => 1e-3 / POUND,
            15963 => 1.0,
            15964 => 1e-3 / INCH,
            12506 => 1.0,
            12505 => 1.0 / INCH,
            12507 => 1e-3,
            12508 => 1e-3 * std::f64::consts::PI / 180.0,
            14836 => 1.0 / INCH,
            14837 => 1e3 / INCH,
            14838 => 1.0,
            14839 => 1e3,
            14840 => 1e3,
            16099 => 1e-12 / G,
            16100 => 1e-12,
            16101 => 1e-12 / INCH,
            _ => {
                return Err(
                    Error::value("Sensitivity Units", units).with("Channel Name", &channel.name)
                );
            }
        })
}

/// Bridge ratio to strain, by the arrangement of the gages.
fn strain(channel: &Channel) -> Result<Stage> {
    let factor = nonzero(channel, attr::GAGE_FACTOR, "DAQmx_AI_StrainGage_GageFactor")?;
    let nominal = nonzero(
        channel,
        attr::NOMINAL_RESISTANCE,
        "DAQmx_AI_Bridge_NomResistance",
    )?;
    let poisson = channel.number(attr::POISSON);
    let leads = 1.0 + channel.number(attr::LEAD_WIRE) / nominal;
    let (p, q) = match channel.integer(attr::STRAIN_CFG) {
        10183 => (-1.0 / factor, 0.0),
        10184 => (-2.0 / (factor * (1.0 + poisson)), 0.0),
        10185 => (-2.0 / (factor * (1.0 + poisson)), poisson - 1.0),
        10188 => (
            -4.0 * leads / (factor * (1.0 + poisson)),
            2.0 * (poisson - 1.0),
        ),
        10189 => (-2.0 * leads / factor, 0.0),
        10271 | 10272 => (-4.0 * leads / factor, 2.0),
        other => return Err(Error::value("DAQmx_AI_StrainGage_Cfg", other)),
    };
    Ok(Stage::Strain { p, q })
}

/// From a bridge's ratio to the base unit of force, pressure or torque.
fn bridge_scale(channel: &Channel, way: &mut Conversion) -> Result<()> {
    let unknown = |property: &str, number: i32| Error::value(property, number);
    let electrical = channel.integer(attr::ELECTRICAL_UNITS);
    let (slope, offset) =
        unit(electrical).ok_or_else(|| unknown("DAQmx_AI_Bridge_ElectricalUnits", electrical))?;
    way.push(Stage::Linear { slope, offset });
    match channel.integer(attr::BRIDGE_SCALE_TYPE) {
        15898 => {
            let from = [
                channel.number(attr::FIRST_ELECTRICAL),
                channel.number(attr::SECOND_ELECTRICAL),
            ];
            let to = [
                channel.number(attr::FIRST_PHYSICAL),
                channel.number(attr::SECOND_PHYSICAL),
            ];
            let slope = (to[1] - to[0]) / (from[1] - from[0]);
            if !slope.is_finite() || slope == 0.0 {
                return Err(Error::value(
                    "DAQmx_AI_Bridge_TwoPointLin_Second_ElectricalVal",
                    format!("{:?}", from[1]),
                )
                .with("Channel Name", &channel.name));
            }
            way.push(Stage::Linear {
                slope,
                offset: to[0] - from[0] * slope,
            });
        }
        crate::scale::kind::TABLE => {
            let rule = crate::scale::Rule::Table {
                raw: channel.list(attr::TABLE_ELECTRICAL),
                scaled: channel.list(attr::TABLE_PHYSICAL),
            };
            way.push(crate::scale::Scale::new(&channel.name, rule, 15896, "")?.stage());
        }
        crate::scale::kind::POLYNOMIAL => {
            let rule = crate::scale::Rule::Polynomial {
                forward: channel.list(attr::POLY_FORWARD),
                reverse: channel.list(attr::POLY_REVERSE),
            };
            way.push(crate::scale::Scale::new(&channel.name, rule, 15896, "")?.stage());
        }
        other => return Err(unknown("DAQmx_AI_Bridge_ScaleType", other)),
    }
    let physical = channel.integer(attr::PHYSICAL_UNITS);
    let (slope, offset) =
        unit(physical).ok_or_else(|| unknown("DAQmx_AI_Bridge_PhysicalUnits", physical))?;
    way.push(Stage::Linear {
        slope: 1.0 / slope,
        offset: -offset / slope,
    });
    Ok(())
}

/// The custom scale that the channel's units come from.
pub(crate) fn custom_scale(channel: &Channel) -> Result<Option<crate::scale::Scale>> {
    let measurement = channel.integer(id::AI_MEAS_TYPE);
    if channel.integer(units_attribute(measurement)) != FROM_CUSTOM_SCALE {
        return Ok(None);
    }
    let scale = driver().scale(&channel.text(id::AI_CUSTOM_SCALE_NAME))?;
    scale.checked()?;
    Ok(Some(scale))
}

/// The whole way of a channel, from volts to its units.
pub(crate) fn conversion(channel: &Channel) -> Result<Conversion> {
    let measurement = channel.integer(id::AI_MEAS_TYPE);
    let mut way = Conversion::default();
    if measurement == measure::CALCULATED_POWER {
        // The channel's own input is the voltage; units and scale are those of the product.
        return Ok(way);
    }
    let mut units = channel.integer(units_attribute(measurement));
    let scale = custom_scale(channel)?;
    if let Some(scale) = &scale {
        units = scale.raw_units;
    }
    match measurement {
        // A converter for RMS values gives the value itself as a voltage.
        measure::VOLTAGE | measure::VOLTAGE_RMS => {}
        measure::FREQUENCY => way.push(crate::combined::frequency(channel.number(id::AI_MAX))),
        measure::BUILT_IN_SENSOR => way.push(Stage::scale(CELSIUS_PER_VOLT)),
        measure::CHARGE => way.push(Stage::scale(COULOMBS_PER_VOLT)),
        measure::ACCEL_CHARGE => way.push(Stage::scale(
            COULOMBS_PER_VOLT
                / sensitivity(
                    channel,
                    attr::ACCEL_CHARGE_SENSITIVITY,
                    attr::ACCEL_CHARGE_SENSITIVITY_UNITS,
                    "DAQmx_AI_Accel_Charge_Sensitivity",
                )?,
        )),
        measure::VOLTAGE_EXCITED => {
            if channel.integer(attr::EXCIT_USE_FOR_SCALING) != 0 {
                way.push(Stage::scale(1.0 / excitation(channel)?));
            }
        }
        measure::CURRENT | measure::CURRENT_RMS => {
            let shunt = nonzero(
                channel,
                attr::SHUNT_RESISTANCE,
                "DAQmx_AI_CurrentShunt_Resistance",
            )?;
            way.push(Stage::scale(1.0 / shunt));
        }
        measure::THERMOCOUPLE => {
            let kind = channel.integer(attr::THRMCPL_TYPE);
            let reference = thermocouple::find(kind)
                .ok_or_else(|| Error::value("DAQmx_AI_Thrmcpl_Type", kind))?;
            // The value of the cold junction comes in the channel's units.
            let (slope, offset) = unit(units).unwrap_or((1.0, 0.0));
            let cold = (channel.number(attr::CJC_VAL) - offset) / slope;
            way.push(Stage::Thermocouple {
                reference,
                cold: reference.millivolts(cold),
            });
        }
        measure::RTD => {
            way.push(Stage::scale(1.0 / excitation(channel)?));
            let kind = channel.integer(attr::RTD_TYPE);
            let [a, b, c] = rtd_coefficients(kind).unwrap_or([
                channel.number(attr::RTD_A),
                channel.number(attr::RTD_B),
                channel.number(attr::RTD_C),
            ]);
            let r0 = nonzero(channel, attr::RTD_R0, "DAQmx_AI_RTD_R0")?;
            way.push(Stage::Rtd { r0, a, b, c });
        }
        measure::THERMISTOR => {
            if channel.integer(attr::EXCIT_VOLTAGE_OR_CURRENT) == 10134 {
                way.push(Stage::scale(1.0 / excitation(channel)?));
            } else {
                let series = nonzero(channel, attr::THRMSTR_R1, "DAQmx_AI_Thrmstr_R1")?;
                way.push(Stage::Divider {
                    excitation: excitation(channel)?,
                    series,
                });
            }
            way.push(Stage::Thermistor {
                a: channel.number(attr::THRMSTR_A),
                b: channel.number(attr::THRMSTR_B),
                c: channel.number(attr::THRMSTR_C),
            });
        }
        measure::RESISTANCE => way.push(Stage::scale(1.0 / excitation(channel)?)),
        measure::STRAIN | measure::ROSETTE => {
            let slope = 1.0 / excitation(channel)?;
            // The initial voltage is what the bridge gives without strain.
            let offset = -channel.number(attr::INITIAL_VOLTAGE) * slope;
            way.push(Stage::Linear { slope, offset });
            way.push(strain(channel)?);
        }
        measure::BRIDGE => way.push(Stage::scale(1.0 / excitation(channel)?)),
        measure::FORCE_BRIDGE | measure::PRESSURE_BRIDGE | measure::TORQUE_BRIDGE => {
            way.push(Stage::scale(1.0 / excitation(channel)?));
            bridge_scale(channel, &mut way)?;
        }
        measure::ACCELEROMETER => way.push(Stage::scale(
            1.0 / sensitivity(
                channel,
                attr::ACCEL_SENSITIVITY,
                attr::ACCEL_SENSITIVITY_UNITS,
                "DAQmx_AI_Accel_Sensitivity",
            )?,
        )),
        measure::ACCEL_4_WIRE => {
            if channel.integer(attr::EXCIT_USE_FOR_SCALING) != 0 {
                way.push(Stage::scale(1.0 / excitation(channel)?));
            }
            way.push(Stage::scale(
                1.0 / sensitivity(
                    channel,
                    attr::ACCEL_4_WIRE_SENSITIVITY,
                    attr::ACCEL_4_WIRE_SENSITIVITY_UNITS,
                    "DAQmx_AI_Accel_4WireDCVoltage_Sensitivity",
                )?,
            ));
        }
        measure::FORCE_IEPE => way.push(Stage::scale(
            1.0 / sensitivity(
                channel,
                attr::FORCE_IEPE_SENSITIVITY,
                attr::FORCE_IEPE_SENSITIVITY_UNITS,
                "DAQmx_AI_Force_IEPESensor_Sensitivity",
            )?,
        )),
        measure::VELOCITY => way.push(Stage::scale(
            1.0 / sensitivity(
                channel,
                attr::VELOCITY_SENSITIVITY,
                attr::VELOCITY_SENSITIVITY_UNITS,
                "DAQmx_AI_Velocity_IEPESensor_Sensitivity",
            )?,
        )),
        measure::MICROPHONE => {
            let millivolts = nonzero(
                channel,
                attr::MICROPHONE_SENSITIVITY,
                "DAQmx_AI_Microphone_Sensitivity",
            )?;
            way.push(Stage::scale(1e3 / millivolts));
        }
        measure::LVDT => {
            way.push(Stage::scale(1.0 / excitation(channel)?));
            way.push(Stage::scale(
                1.0 / sensitivity(
                    channel,
                    attr::LVDT_SENSITIVITY,
                    attr::LVDT_SENSITIVITY_UNITS,
                    "DAQmx_AI_LVDT_Sensitivity",
                )?,
            ));
        }
        measure::RVDT => {
            way.push(Stage::scale(1.0 / excitation(channel)?));
            way.push(Stage::scale(
                1.0 / sensitivity(
                    channel,
                    attr::RVDT_SENSITIVITY,
                    attr::RVDT_SENSITIVITY_UNITS,
                    "DAQmx_AI_RVDT_Sensitivity",
                )?,
            ));
        }
        measure::EDDY_CURRENT => way.push(Stage::scale(
            1.0 / sensitivity(
                channel,
                attr::EDDY_SENSITIVITY,
                attr::EDDY_SENSITIVITY_UNITS,
                "DAQmx_AI_EddyCurrentProxProbe_Sensitivity",
            )?,
        )),
        other => {
            return Err(Error::new(code::PHYS_CHAN_MEAS_TYPE).with("Requested Value", other));
        }
    }
    if let Some((slope, offset)) = unit(units) {
        way.push(Stage::Linear { slope, offset });
    }
    if let Some(scale) = scale {
        way.push(scale.stage());
    }
    Ok(way)
}
