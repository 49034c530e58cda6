//! Calibrations of a task's channels: offsets of bridges and thermocouple leads, shunts of bridges.

use crate::attribute::Value;
use crate::channel::Channel;
use crate::error::{Error, Result, code};
use crate::product::measure;
use crate::sensor::attr;
use crate::task::Task;

/// A calibration of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calibration {
    /// What the bridge gives now becomes what it gives without strain.
    BridgeOffset,
    /// A resistor beside an arm of the bridge: the simulated one gives what it should.
    BridgeShunt,
    StrainShunt,
    /// What the shorted leads give: nothing, on simulated ones.
    ThermocoupleLeads,
}

impl Calibration {
    fn fits(self, measurement: i32) -> bool {
        let strain = matches!(measurement, measure::STRAIN | measure::ROSETTE);
        let bridge = strain
            || matches!(
                measurement,
                measure::BRIDGE
                    | measure::FORCE_BRIDGE
                    | measure::PRESSURE_BRIDGE
                    | measure::TORQUE_BRIDGE
            );
        match self {
            // Only strain gages have the initial voltage that the offset goes to.
            Self::BridgeOffset => measurement == measure::STRAIN,
            Self::BridgeShunt => bridge,
            Self::StrainShunt => strain,
            Self::ThermocoupleLeads => measurement == measure::THERMOCOUPLE,
        }
    }

    fn refusal(self) -> i32 {
        match self {
            Self::BridgeOffset => code::BRIDGE_NULLING_NOT_SUPPORTED,
            Self::BridgeShunt | Self::StrainShunt => code::CAL_FUNCTION_NOT_SUPPORTED,
            Self::ThermocoupleLeads => code::LEAD_NULLING_NOT_SUPPORTED,
        }
    }
}

/// Samples that an offset is the mean of: whole periods of the sine.
const SAMPLES: usize = 1440;

/// Calibrates channels of a task that does not run: those of a list, or all of them.
pub(crate) fn perform(task: &Task, list: &str, skip: bool, what: Calibration) -> Result<()> {
    task.change_channels(list, |channel: &mut Channel| {
        if !what.fits(channel.integer(crate::channel::id::AI_MEAS_TYPE)) {
            return if skip {
                Ok(())
            } else {
                Err(Error::new(what.refusal()).with("Channel Name", &channel.name))
            };
        }
        if what == Calibration::BridgeOffset {
            let mut source = channel.source(&crate::driver::driver().signals())?;
            // The voltage itself, not what becomes of it.
            source.way = None;
            let mut volts = vec![0.0; SAMPLES];
            source.fill_f64(0, &mut volts);
            let mean = volts.iter().sum::<f64>() / SAMPLES as f64;
            channel.set(attr::INITIAL_VOLTAGE as i32, Value::F64(mean))?;
        }
        Ok(())
    })
}
