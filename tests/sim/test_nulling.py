"""Calibrations of channels: offsets and shunts."""

import daqring.sim as sim
import nidaqmx
import numpy as np
import pytest
from nidaqmx.constants import AcquisitionType, StrainGageBridgeType
from nidaqmx.errors import DaqError


@pytest.fixture(autouse=True)
def _rig(unthrottled: None) -> None:
    sim.configure({"Dev1": "PXIe-4331", "Dev2": "PCIe-6363"})


def code_of(caught: pytest.ExceptionInfo[DaqError]) -> int:
    return caught.value.error_code


def test_nulling_a_bridge_makes_its_strain_zero() -> None:
    sim.signal(None, 0.0005)
    with nidaqmx.Task() as task:
        channel = task.ai_channels.add_ai_strain_gage_chan(
            "Dev1/ai0", strain_config=StrainGageBridgeType.QUARTER_BRIDGE_I
        )
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=10)
        before = np.array(task.read(10))
        task.stop()
        assert np.abs(before).min() > 1e-5
        assert channel.ai_bridge_initial_voltage == 0.0
        task.perform_bridge_offset_nulling_cal("Dev1/ai0")
        assert channel.ai_bridge_initial_voltage == pytest.approx(0.0005, abs=1e-6)
        np.testing.assert_allclose(task.read(10), 0.0, atol=1e-7)
        with pytest.raises(DaqError) as caught:
            task.perform_bridge_offset_nulling_cal("Dev1/ai9")
        assert code_of(caught) == -200087


def test_channels_that_cannot_be_nulled_are_refused_or_skipped() -> None:
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev2/ai0")
        task.ai_channels.add_ai_thrmcpl_chan("Dev2/ai1")
        with pytest.raises(DaqError, match="Channel Name: Dev2/ai0") as caught:
            task.perform_bridge_offset_nulling_cal()
        assert code_of(caught) == -200696
        task.perform_bridge_offset_nulling_cal(skip_unsupported_channels=True)
        with pytest.raises(DaqError) as caught:
            task.perform_thrmcpl_lead_offset_nulling_cal()
        assert code_of(caught) == -201375
        task.perform_thrmcpl_lead_offset_nulling_cal("Dev2/ai1")
        with pytest.raises(DaqError) as caught:
            task.perform_strain_shunt_cal()
        assert code_of(caught) == -200445


def test_shunts() -> None:
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_bridge_chan("Dev1/ai0", min_val=-0.002, max_val=0.002)
        task.perform_bridge_shunt_cal()
        with pytest.raises(DaqError) as caught:
            task.perform_strain_shunt_cal()
        assert code_of(caught) == -200445
        task.perform_strain_shunt_cal(skip_unsupported_channels=True)


def test_nothing_is_calibrated_while_a_task_runs() -> None:
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_strain_gage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        task.start()
        with pytest.raises(DaqError) as caught:
            task.perform_bridge_offset_nulling_cal()
        assert code_of(caught) == -200479
