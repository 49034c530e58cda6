"""Every property that the package knows: it answers with a value that can be set again, or says in
words that it is not supported. Nothing answers with nonsense, nothing crashes, nothing is silent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import daqring.sim as sim
import pytest
from nidaqmx import DaqError, Task
from nidaqmx.constants import AcquisitionType
from nidaqmx.errors import DaqFunctionNotSupportedError
from nidaqmx.system import Device, PhysicalChannel
from nidaqmx.task import InStream, Timing
from nidaqmx.task.channels import AIChannel, CIChannel, DIChannel
from nidaqmx.task.triggering import PauseTrigger, ReferenceTrigger, StartTrigger

# Not supported at all, not in this task, not before it is reserved, not for this kind of object.
REFUSALS = {
    -200197,
    -200452,
    -200983,
    -200478,
    -200077,
    -200231,
    -200236,
    -200233,
    -200170,
    -200378,
    -209842,
    -209844,
}


@contextmanager
def analog(act: Callable[[Task], Any]) -> Iterator[Any]:
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        yield act(task)


@contextmanager
def fixed(thing: Any) -> Iterator[Any]:
    yield thing


@contextmanager
def digital() -> Iterator[Any]:
    with Task() as task:
        yield task.di_channels.add_di_chan("Dev1/port0")


@contextmanager
def counter() -> Iterator[Any]:
    with Task() as task:
        yield task.ci_channels.add_ci_count_edges_chan("Dev1/ctr0")


OBJECTS: dict[type, Callable[[], Any]] = {
    Device: lambda: fixed(Device("Dev1")),
    PhysicalChannel: lambda: fixed(PhysicalChannel("Dev1/ai0")),
    Timing: lambda: analog(lambda task: task.timing),
    InStream: lambda: analog(lambda task: task.in_stream),
    AIChannel: lambda: analog(lambda task: task.ai_channels[0]),
    StartTrigger: lambda: analog(lambda task: task.triggers.start_trigger),
    ReferenceTrigger: lambda: analog(lambda task: task.triggers.reference_trigger),
    PauseTrigger: lambda: analog(lambda task: task.triggers.pause_trigger),
    DIChannel: digital,
    CIChannel: counter,
}

PROPERTIES = [
    (kind, name)
    for kind in OBJECTS
    for name in sorted(dir(kind))
    if not name.startswith("_") and isinstance(getattr(kind, name), property)
]

# What the package itself gets wrong, or answers without asking the driver.
LOCAL = {
    (InStream, "timeout"),
    (InStream, "waveform_attribute_mode"),
}


def check_refusal(refusal: DaqError) -> None:
    text = str(refusal)
    assert refusal.error_code in REFUSALS, text
    assert len(text.splitlines()[0]) > 20
    assert f"Status Code: {refusal.error_code}" in text


def check_missing(name: str, missing: DaqFunctionNotSupportedError) -> None:
    assert "cal" in name
    assert "is not supported" in str(missing)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "name"), PROPERTIES, ids=[f"{kind.__name__}.{name}" for kind, name in PROPERTIES]
)
def test_a_property_answers_or_is_refused_in_words(kind: type, name: str) -> None:
    described = getattr(kind, name)
    with OBJECTS[kind]() as thing:
        try:
            value = getattr(thing, name)
        except DaqFunctionNotSupportedError as error:
            # The library does not export what it does not simulate: calibration, here.
            check_missing(name, error)
            return
        except DaqError as error:
            check_refusal(error)
            return
        if described.fset is None or value is None or (kind, name) in LOCAL:
            return
        try:
            setattr(thing, name, value)
        except DaqError as error:
            check_refusal(error)
            return
        again = getattr(thing, name)
        assert again == value
        if described.fdel is not None:
            delattr(thing, name)
            getattr(thing, name)


def test_the_sweep_is_wide() -> None:
    assert len(PROPERTIES) > 500
    assert {kind for kind, _ in PROPERTIES} == set(OBJECTS)


def test_properties_that_a_recorder_needs_are_there() -> None:
    with analog(lambda task: task) as task:
        channel = task.ai_channels[0]
        assert (channel.ai_resolution, channel.ai_raw_samp_size) == (16.0, 16)
        assert (channel.ai_rng_low, channel.ai_rng_high) == (-5.0, 5.0)
        assert (channel.ai_min, channel.ai_max) == (-5.0, 5.0)
        channel.ai_max = 0.5
        channel.ai_min = -0.5
        assert (channel.ai_rng_low, channel.ai_rng_high) == (-0.5, 0.5)
        assert len(channel.ai_dev_scaling_coeff) == 4
        assert channel.physical_channel.name == "Dev1/ai0"
        assert task.in_stream.num_chans == 1
        assert task.in_stream.raw_data_width == 2
        assert [device.name for device in task.devices] == ["Dev1"]
        assert task.timing.samp_clk_max_rate == 2e6
    device = Device("Dev2")
    assert (device.product_type, device.ai_simultaneous_sampling_supported) == ("PXIe-6396", True)
    assert device.is_simulated
    sim.configure({"Dev1": "PXIe-4499"})
    with Task() as task:
        channel = task.ai_channels.add_ai_voltage_chan("Dev1/ai0", min_val=-10, max_val=10)
        assert (channel.ai_resolution, channel.ai_raw_samp_size) == (24.0, 32)
