"""The C interface of analog inputs, timing, triggers, buffers, events and reads: each function with
one parameter after the other wrong, and the code that says so. Counters and lines have theirs in
``test_c_interface.py``."""

import ctypes
from collections.abc import Iterator
from typing import Any

import daqring.sim as sim
import pytest
from test_c_interface import EVERYWHERE, C

NULL_POINTER = -200604
INVALID_VALUE = -200077
NO_CHANNELS = -200478
RUNNING = -200557
INVALID_TIMEOUT = -200453
INVALID_ACTION = -200538
MIN_NOT_BELOW_MAX = -200082


@pytest.fixture
def c() -> Iterator[C]:
    sim.configure({"Dev1": "PCIe-6363", "Dev4": "PXIe-4331", "Dev5": "PXIe-4499"})
    sim.clock("unthrottled")
    library = C()
    yield library
    library.library.DAQmxClearTask(library.task)


# ---- analog inputs ----

VOLTS = {"physical": b"Dev1/ai0", "terminals": -1, "min": -1.0, "max": 1.0}
TEMPERATURE = {"physical": b"Dev1/ai0", "min": 0.0, "max": 100.0, "units": 10143}
EXCITED = {"source": 10200, "value": 0.00015}
BRIDGE = {"physical": b"Dev4/ai0", "configuration": 10182, "source": 10200, "value": 2.5, "nominal": 350.0}
TWO_POINTS = {
    **{"first_electrical": 0.0, "second_electrical": 2.0, "electrical_units": 15897},
    **{"first_physical": 0.0, "second_physical": 100.0},
}
TABLE = {
    **{"electrical": (ctypes.c_double * 3)(-2, 0, 2), "electrical_count": 3, "electrical_units": 15897},
    **{"physical_values": (ctypes.c_double * 3)(-100, 0, 100), "physical_count": 3},
}
POLYNOMIAL = {
    **{"forward": (ctypes.c_double * 2)(0, 50), "forward_count": 2},
    **{"reverse": (ctypes.c_double * 2)(0, 0.02), "reverse_count": 2, "electrical_units": 15897},
}
IEPE = {"physical": b"Dev5/ai0", "terminals": -1, "source": 10200, "value": 0.004}
SENSITIVE = {"sensitivity": 100.0, "sensitivity_units": 12509}

FORCE = {"min": -50.0, "max": 50.0, "units": 15876, "physical_units": 15876}
PRESSURE = {"min": -50.0, "max": 50.0, "units": 15879, "physical_units": 15879}
TORQUE = {"min": -50.0, "max": 50.0, "units": 15884, "physical_units": 15884}

CHANNELS: dict[str, dict[str, Any]] = {
    "DAQmxCreateAIVoltageChan": VOLTS | {"units": 10348},
    "DAQmxCreateAIVoltageChanWithExcit": VOLTS
    | {"units": 10348, "configuration": 10228, "source": 10167, "value": 0.0},
    "DAQmxCreateAICurrentChan": VOLTS
    | {"min": -0.01, "max": 0.01, "units": 10342, "location": 10167, "ohms": 249.0},
    "DAQmxCreateAIThrmcplChan": TEMPERATURE | {"kind": 10073, "cjc_source": 10116, "cjc_value": 25.0},
    "DAQmxCreateAIRTDChan": TEMPERATURE | EXCITED | {"kind": 12481, "wires": 2, "r0": 100.0},
    "DAQmxCreateAIThrmstrChanIex": TEMPERATURE
    | EXCITED
    | {"wires": 2, "a": 1.295361e-3, "b": 2.343159e-4, "c": 1.018703e-7},
    "DAQmxCreateAIThrmstrChanVex": TEMPERATURE
    | {"source": 10167, "value": 2.5, "wires": 2, "r1": 5000.0}
    | {"a": 1.295361e-3, "b": 2.343159e-4, "c": 1.018703e-7},
    "DAQmxCreateAIResistanceChan": {"physical": b"Dev1/ai0", "min": 100.0, "max": 1000.0, "units": 10384}
    | EXCITED
    | {"wires": 2},
    "DAQmxCreateAIStrainGageChan": {
        **BRIDGE,
        **{"min": -0.001, "max": 0.001, "units": 10299, "configuration": 10183, "gage_factor": 2.0},
        **{"poisson": 0.3},
    },
    "DAQmxCreateAIBridgeChan": BRIDGE | {"min": -0.002, "max": 0.002, "units": 15896},
    "DAQmxCreateAIForceBridgeTwoPointLinChan": BRIDGE | FORCE | TWO_POINTS,
    "DAQmxCreateAIForceBridgeTableChan": BRIDGE | FORCE | TABLE,
    "DAQmxCreateAIForceBridgePolynomialChan": BRIDGE | FORCE | POLYNOMIAL,
    "DAQmxCreateAIPressureBridgeTwoPointLinChan": BRIDGE | PRESSURE | TWO_POINTS,
    "DAQmxCreateAIPressureBridgeTableChan": BRIDGE | PRESSURE | TABLE,
    "DAQmxCreateAIPressureBridgePolynomialChan": BRIDGE | PRESSURE | POLYNOMIAL,
    "DAQmxCreateAITorqueBridgeTwoPointLinChan": BRIDGE | TORQUE | TWO_POINTS,
    "DAQmxCreateAITorqueBridgeTableChan": BRIDGE | TORQUE | TABLE,
    "DAQmxCreateAITorqueBridgePolynomialChan": BRIDGE | TORQUE | POLYNOMIAL,
    "DAQmxCreateAIAccelChan": IEPE | SENSITIVE | {"min": -5.0, "max": 5.0, "units": 10186},
    "DAQmxCreateAIForceIEPEChan": IEPE
    | {"min": -2000.0, "max": 2000.0, "units": 15875, "sensitivity": 2.25, "sensitivity_units": 15891},
    "DAQmxCreateAIVelocityIEPEChan": IEPE
    | {"min": -0.04, "max": 0.04, "units": 15959, "sensitivity": 100.0, "sensitivity_units": 15963},
    "DAQmxCreateAIMicrophoneChan": IEPE | {"units": 10081, "sensitivity": 10.0, "max_level": 100.0},
}


@pytest.mark.parametrize("name", CHANNELS)
def test_what_is_right_makes_a_channel(c: C, name: str) -> None:
    c.ok(name, **CHANNELS[name])
    c.ok("DAQmxTaskControl", action=2)


def of_channels() -> Iterator[tuple[str, dict[str, Any], set[int]]]:
    for name, valid in CHANNELS.items():
        parameters = EVERYWHERE[name]
        for parameter, kind in parameters.items():
            if kind == "i32":
                for value in (1, -7, 987_654_321):
                    yield name, {parameter: value}, {INVALID_VALUE}
        for text, code in [
            (None, -200170),
            (b"", -200170),
            (b"Dev1/ai999", -200170),
            (b"Dev9/ai0", -200220),
            (b"Dev1/ctr0", -200430),
            (b"Dev1/port0", -200430),
            (b"Dev1/ao0", -200430),
            (b"Dev1/ai0:x", -200086),
        ]:
            yield name, {"physical": text}, {code}
        yield name, {"names": b"a, b"}, {-200087}
        if "min" in valid:
            yield name, {"min": valid["max"], "max": valid["min"]}, {MIN_NOT_BELOW_MAX}
            yield name, {"min": float("nan")}, {MIN_NOT_BELOW_MAX}
            yield name, {"max": float("inf")}, {INVALID_VALUE}
            # A thermistor has a resistance at any temperature.
            if "Thrmstr" not in name:
                yield name, {"min": -1e12, "max": 1e12}, {INVALID_VALUE}
        for parameter in ("value", "ohms", "gage_factor", "nominal", "poisson", "r0", "sensitivity"):
            if parameter in valid:
                yield name, {parameter: float("nan")}, {INVALID_VALUE}
        if "max_level" in valid:
            yield name, {"max_level": float("nan")}, {MIN_NOT_BELOW_MAX}
        if "scale" in parameters:
            yield name, {"scale": b"no such scale"}, {-200447}
            yield name, {"units": 10065, "scale": b"no such scale"}, {-200378}
            yield name, {"units": 10065}, {-200378}
        if "electrical" in valid:
            yield name, {"electrical_count": 2}, {-200350}
            yield name, {"electrical": None}, {NULL_POINTER}
            yield name, {"physical_values": None}, {NULL_POINTER}
            yield name, {"electrical_count": 1, "physical_count": 1}, {-200434}
        if "forward" in valid:
            yield name, {"forward": None}, {NULL_POINTER}
            yield name, {"reverse": None}, {NULL_POINTER}
            yield name, {"forward_count": 0}, {-200405}
            yield name, {"reverse_count": 0}, {-200406}


@pytest.mark.parametrize(("name", "wrong", "codes"), list(of_channels()))
def test_what_is_wrong_makes_no_channel(c: C, name: str, wrong: dict[str, Any], codes: set[int]) -> None:
    assert c.call(name, task=c.task.value, **(CHANNELS[name] | wrong)) in codes
    count = ctypes.c_uint32(7)
    get = c.library.DAQmxGetTaskAttribute
    assert get(c.task, ctypes.c_int32(0x2181), ctypes.byref(count), ctypes.c_uint32(4)) == 0
    assert count.value == 0
    c.ok(name, **CHANNELS[name])


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_is_in_a_task_once_and_of_one_type(c: C, name: str) -> None:
    c.ok(name, **CHANNELS[name])
    assert c.call(name, task=c.task.value, **CHANNELS[name]) == -200489
    lines = {"lines": b"Dev1/port0/line0", "grouping": 1}
    assert c.call("DAQmxCreateDIChan", task=c.task.value, **lines) == -200559
    c.ok("DAQmxCfgSampClkTiming", rate=1000.0, edge=10280, mode=10123, samples=100)
    c.ok("DAQmxStartTask")
    other = CHANNELS[name] | {"names": b"other"}
    assert c.call(name, task=c.task.value, **other) == -200479


# ---- timing, triggers, buffers, events ----

CLOCK = {"rate": 1000.0, "edge": 10280, "mode": 10178, "samples": 100}
TRIGGERS: dict[str, dict[str, Any]] = {
    "DAQmxCfgDigEdgeStartTrig": {"source": b"/Dev1/PFI0", "edge": 10280},
    "DAQmxCfgAnlgEdgeStartTrig": {"source": b"Dev1/ai0", "slope": 10280, "level": 0.5},
    "DAQmxCfgAnlgWindowStartTrig": {"source": b"Dev1/ai0", "when": 10163, "top": 0.5, "bottom": -0.5},
    "DAQmxCfgDigEdgeRefTrig": {"source": b"/Dev1/PFI0", "edge": 10171, "before": 10},
    "DAQmxCfgAnlgEdgeRefTrig": {"source": b"Dev1/ai0", "slope": 10171, "level": 0.5, "before": 10},
    "DAQmxCfgAnlgWindowRefTrig": {
        **{"source": b"Dev1/ai0", "when": 10208, "top": 0.5, "bottom": -0.5, "before": 10},
    },
}
SETTINGS = TRIGGERS | {"DAQmxCfgSampClkTiming": CLOCK}


def voltage(c: C, **timing: Any) -> None:
    c.ok("DAQmxCreateAIVoltageChan", **CHANNELS["DAQmxCreateAIVoltageChan"])
    c.ok("DAQmxCfgSampClkTiming", **(CLOCK | timing))


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_are_right(c: C, name: str) -> None:
    voltage(c)
    c.ok(name, **SETTINGS[name])
    c.ok("DAQmxTaskControl", action=2)


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_need_channels_and_rest(c: C, name: str) -> None:
    assert c.call(name, task=c.task.value, **SETTINGS[name]) == NO_CHANNELS
    voltage(c)
    c.ok("DAQmxStartTask")
    assert c.call(name, task=c.task.value, **SETTINGS[name]) == RUNNING


def of_settings() -> Iterator[tuple[str, dict[str, Any], int]]:
    for name, valid in SETTINGS.items():
        for parameter, kind in EVERYWHERE[name].items():
            if kind == "i32":
                for value in (0, -1, 987_654_321):
                    yield name, {parameter: value}, INVALID_VALUE
        if "before" in valid:
            for before in (0, 1, 99, 2**32 - 1):
                yield name, {"before": before}, INVALID_VALUE
        if "top" in valid:
            yield name, {"top": -0.5, "bottom": 0.5}, INVALID_VALUE
            yield name, {"top": 0.5, "bottom": 0.5}, INVALID_VALUE
            yield name, {"top": float("nan")}, INVALID_VALUE
        if "level" in valid:
            yield name, {"level": float("nan")}, INVALID_VALUE
        if "source" in valid:
            for source in (b"/Dev1/PFI999", b"/Dev9/PFI0", b"no terminal", b""):
                yield name, {"source": source}, -89120
    for rate in (0.0, -1.0, float("nan"), float("inf"), 1e12):
        yield "DAQmxCfgSampClkTiming", {"rate": rate}, INVALID_VALUE
    for samples in (0, 1, 2**64 - 1):
        yield "DAQmxCfgSampClkTiming", {"samples": samples}, INVALID_VALUE
    yield "DAQmxCfgSampClkTiming", {"source": b"/Dev1/PFI999"}, -89120


@pytest.mark.parametrize(("name", "wrong", "code"), list(of_settings()))
def test_settings_that_are_wrong(c: C, name: str, wrong: dict[str, Any], code: int) -> None:
    """Refused at once, or when the task is verified."""
    voltage(c)
    status = c.call(name, task=c.task.value, **(SETTINGS[name] | wrong))
    if status == 0:
        status = c.call("DAQmxTaskControl", task=c.task.value, action=2)
    assert status == code


def test_actions_and_states_that_are_wrong(c: C) -> None:
    task = c.task.value
    assert c.call("DAQmxStartTask", task=task) == NO_CHANNELS
    assert c.call("DAQmxTaskControl", task=task, action=2) == NO_CHANNELS
    voltage(c)
    for action in (-1, 7, 987_654_321):
        assert c.call("DAQmxTaskControl", task=task, action=action) == INVALID_ACTION
    assert c.call("DAQmxWaitUntilTaskDone", task=task, timeout=0.0) == 0
    for timeout in (-0.5, float("nan")):
        assert c.call("DAQmxWaitUntilTaskDone", task=task, timeout=timeout) == INVALID_TIMEOUT


@pytest.mark.parametrize("name", ["DAQmxIsTaskDone"])
def test_places_for_answers_have_to_be_there(c: C, name: str) -> None:
    voltage(c)
    assert c.call(name, task=c.task.value) == NULL_POINTER


# ---- reads ----

READS: dict[str, tuple[str, int]] = {
    "DAQmxReadAnalogF64": ("array", 8),
    "DAQmxReadBinaryI16": ("array", 2),
    "DAQmxReadBinaryU16": ("array", 2),
    "DAQmxReadBinaryI32": ("array", 4),
    "DAQmxReadBinaryU32": ("array", 4),
}


def request(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "samples": 10,
        "timeout": 10.0,
        "fill": 0,
        "size": 10,
        "array": (ctypes.c_double * 20)(),
    }
    return given | {"count": ctypes.byref(ctypes.c_int32(5))} | changes


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"array": None}, NULL_POINTER),
        ({"size": 9}, -200229),
        ({"size": 0}, -200229),
        ({"fill": 2}, INVALID_VALUE),
        ({"samples": -2}, INVALID_VALUE),
        ({"timeout": -2.0}, INVALID_TIMEOUT),
        ({"timeout": float("nan")}, INVALID_TIMEOUT),
    ],
)
def test_reads_that_are_wrong(c: C, name: str, wrong: dict[str, Any], code: int) -> None:
    voltage(c, mode=10123)
    c.ok("DAQmxStartTask")
    count = ctypes.c_int32(5)
    given = request(count=ctypes.byref(count)) | wrong
    assert c.call(name, task=c.task.value, **given) == code
    assert count.value == 0
    assert c.call(name, task=c.task.value, **request()) == 0
    assert c.call(name, task=c.task.value, **request(count=None)) == 0


@pytest.mark.parametrize("name", READS)
def test_reads_of_tasks_that_are_wrong(c: C, name: str) -> None:
    assert c.call(name, task=c.task.value, **request()) == -200460
    c.ok("DAQmxCreateDIChan", lines=b"Dev1/port0/line0", grouping=1)
    assert c.call(name, task=c.task.value, **request()) == -200525


@pytest.mark.parametrize("name", READS)
def test_reads_beyond_the_end(c: C, name: str) -> None:
    voltage(c)
    c.ok("DAQmxStartTask")
    for _ in range(10):
        assert c.call(name, task=c.task.value, **request()) == 0
    assert c.call(name, task=c.task.value, **request()) == -200278
