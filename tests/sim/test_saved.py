"""Saved tasks, global channels and saved scales."""

import daqring.sim as sim
import nidaqmx
import numpy as np
import pytest
from nidaqmx.constants import AcquisitionType, LoggingMode
from nidaqmx.errors import DaqError
from nidaqmx.scale import Scale
from nidaqmx.system import System
from nidaqmx.system.storage import PersistedChannel, PersistedScale, PersistedTask


def code_of(caught: pytest.ExceptionInfo[DaqError]) -> int:
    return caught.value.error_code


def save_one(**options: object) -> None:
    with nidaqmx.Task("Mine") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1", "volts", min_val=-2, max_val=2)
        task.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.CONTINUOUS, samps_per_chan=5000)
        task.in_stream.input_buf_size = 40_000
        task.in_stream.logging_mode = LoggingMode.OFF
        task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
        task.save(**options)  # type: ignore[arg-type]


def test_a_saved_task_comes_back_as_it_was() -> None:
    save_one(author="Ada", save_as="Other")
    assert list(System.local().tasks.task_names) == ["Other"]
    saved = System.local().tasks["Other"]
    assert saved.author == "Ada"
    assert saved.allow_interactive_editing
    assert saved.allow_interactive_deletion
    with saved.load() as task:
        assert task.name == "Other"
        assert task.channel_names == ["volts0", "volts1"]
        assert task.ai_channels[0].ai_max == 2
        assert task.timing.samp_clk_rate == 10_000
        assert task.timing.samp_quant_samp_mode == AcquisitionType.CONTINUOUS
        assert task.in_stream.input_buf_size == 40_000
        assert task.triggers.start_trigger.dig_edge_src == "/Dev1/PFI0"
        assert np.array(task.read(100)).shape == (2, 100)
        with pytest.raises(DaqError) as caught:
            saved.load()
        assert code_of(caught) == -200089
    # It is the saved task that is loaded again, not what became of the first one.
    with PersistedTask("Other").load() as again:
        again.ai_channels.add_ai_voltage_chan("Dev1/ai2")
    with PersistedTask("Other").load() as third:
        assert len(third.channel_names) == 2


def test_saving_again_needs_leave() -> None:
    save_one()
    with pytest.raises(DaqError) as caught:
        save_one()
    assert code_of(caught) == -200484
    save_one(
        author="Bob",
        overwrite_existing_task=True,
        allow_interactive_editing=False,
        allow_interactive_deletion=False,
    )
    saved = PersistedTask("Mine")
    assert saved.author == "Bob"
    assert not saved.allow_interactive_editing
    assert not saved.allow_interactive_deletion
    saved.delete()
    assert list(System.local().tasks.task_names) == []
    for call in (saved.delete, saved.load, lambda: saved.author):
        with pytest.raises(DaqError) as caught:
            call()
        assert code_of(caught) == -200485


def test_a_task_that_cannot_be_saved() -> None:
    with nidaqmx.Task() as task:
        with pytest.raises(DaqError) as caught:
            task.save(save_as="Empty")
        assert code_of(caught) == -200478
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        with pytest.raises(DaqError) as caught:
            task.save(save_as="a/b")
        assert code_of(caught) == -200077


def test_loading_a_task_whose_device_is_gone() -> None:
    save_one()
    sim.configure({"Other": "PCIe-6363"})
    with pytest.raises(DaqError) as caught:
        PersistedTask("Mine").load()
    assert code_of(caught) == -200220
    sim.configure({"Dev1": "PXIe-4499"})
    with PersistedTask("Mine").load() as task:
        assert task.devices[0].product_type == "PXIe-4499"


def test_global_channels() -> None:
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_thrmcpl_chan("Dev1/ai3", "oven")
        task.ai_channels.add_ai_voltage_chan("Dev1/ai4", "level")
        for channel in task.ai_channels:
            channel.save(author="Ada")
        task.ai_channels[0].save(save_as="furnace")
        with pytest.raises(DaqError) as caught:
            task.ai_channels[1].save()
        assert code_of(caught) == -200483
    names = System.local().global_channels.global_channel_names
    assert sorted(names) == ["furnace", "level", "oven"]
    oven = PersistedChannel("oven")
    assert oven.author == "Ada"
    assert oven.allow_interactive_editing
    with nidaqmx.Task() as task:
        task.add_global_channels([oven, PersistedChannel("level")])
        assert task.channel_names == ["oven", "level"]
        assert task.ai_channels[0].is_global
        assert task.ai_channels[0].physical_channel.name == "Dev1/ai3"
        assert len(task.read()) == 2
        with pytest.raises(DaqError) as caught:
            task.add_global_channels([PersistedChannel("nothing")])
        assert code_of(caught) == -200882
    oven.delete()
    with pytest.raises(DaqError) as caught:
        oven.delete()
    assert code_of(caught) == -200882


def test_a_task_and_a_channel_cannot_share_a_name() -> None:
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0", "both")
        task.ai_channels[0].save()
        with pytest.raises(DaqError) as caught:
            task.save(save_as="both")
        assert code_of(caught) == -200919
        task.save(save_as="task")
        with pytest.raises(DaqError) as caught:
            task.ai_channels[0].save(save_as="task")
        assert code_of(caught) == -200918


def test_saved_scales() -> None:
    scale = Scale.create_lin_scale("twice", 2.0, 1.0)
    scale.save(author="Ada")
    with pytest.raises(DaqError) as caught:
        scale.save()
    assert code_of(caught) == -200356
    scale.save(save_as="more", overwrite_existing_scale=True)
    assert sorted(System.local().scales.scale_names) == ["more", "twice"]
    saved = PersistedScale("more")
    assert saved.load().lin_slope == 2.0
    with nidaqmx.Task() as task:
        channel = task.ai_channels.add_ai_voltage_chan(
            "Dev1/ai0",
            units=nidaqmx.constants.VoltageUnits.FROM_CUSTOM_SCALE,
            custom_scale_name="more",
            min_val=-9,
            max_val=11,
        )
        assert channel.ai_custom_scale.name == "more"
        assert -12 < task.read() < 14
    saved.delete()
    for call in (saved.delete, lambda: saved.author):
        with pytest.raises(DaqError) as caught:
            call()
        assert code_of(caught) == -200378


def test_a_reset_forgets_what_was_saved() -> None:
    save_one()
    sim.reset()
    assert list(System.local().tasks.task_names) == []
