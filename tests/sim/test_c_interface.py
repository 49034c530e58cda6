"""The C interface of counters and digital inputs, by way of ctypes: what every function does with a
task that is none, with null pointers, with sizes and values that cannot be.

The functions and their parameters are read from the simulator's sources, so that none is forgotten.
"""

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import daqring.sim as sim
import pytest

SOURCES = Path(__file__).parents[2] / "rust" / "nidaqmx-sim" / "src"

INVALID_TASK = -200088
NULL_POINTER = -200604
INVALID_VALUE = -200077
TOO_SMALL = -200229

KINDS = {
    "Handle": ctypes.c_void_p,
    "i32": ctypes.c_int32,
    "u32": ctypes.c_uint32,
    "u64": ctypes.c_uint64,
    "usize": ctypes.c_size_t,
    "f64": ctypes.c_double,
}


def exported(file: str) -> dict[str, dict[str, str]]:
    """The functions that a source exports, with names and types of their parameters."""
    text = (SOURCES / file).read_text(encoding="utf-8")
    functions = {}
    for match in re.finditer(r"^    fn (DAQmx\w+)\((.*?)\) \{", text, re.MULTILINE | re.DOTALL):
        functions[match[1]] = dict(re.findall(r"(\w+): ([^,]+?)(?:,|$)", match[2].strip()))
    return functions


FUNCTIONS = exported("abi_counter.rs") | exported("abi_digital.rs")
EVERYWHERE = {
    name: parameters
    for file in sorted(SOURCES.glob("abi*.rs"))
    for name, parameters in exported(file.name).items()
}


class C:
    """The library; ``call`` takes a function's parameters by name, those not given are 0 or null."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(sim.library_path())
        self.task = ctypes.c_void_p()
        assert self.library.DAQmxCreateTask(b"t", ctypes.byref(self.task)) == 0

    def call(self, name: str, **given: Any) -> int:
        parameters = EVERYWHERE[name]
        assert given.keys() <= parameters.keys(), name
        values = []
        for parameter, kind in parameters.items():
            value = given.get(parameter)
            values.append(
                KINDS[kind](value or 0) if kind in KINDS else ctypes.c_void_p(0) if value is None else value
            )
        function = getattr(self.library, name)
        function.restype = ctypes.c_int32
        status: int = function(*values)
        if status < 0:
            text = ctypes.create_string_buffer(2048)
            assert self.library.DAQmxGetExtendedErrorInfo(text, 2048) == 0
            assert f"Status Code: {status}".encode() in text.value
        return status

    def ok(self, name: str, **given: Any) -> None:
        status = self.call(name, task=self.task.value, **given)
        assert status == 0, f"{name}: {status}"


@pytest.fixture
def c() -> Iterator[C]:
    sim.clock("unthrottled")
    library = C()
    yield library
    library.library.DAQmxClearTask(library.task)


def test_the_sources_are_understood() -> None:
    assert len(FUNCTIONS) >= 31
    assert FUNCTIONS["DAQmxReadCtrTicks"] == {
        **{"task": "Handle", "samples": "i32", "timeout": "f64", "fill": "u32", "high": "*mut u32"},
        **{"low": "*mut u32", "size": "u32", "count": "*mut i32", "reserved": "*mut u32"},
    }
    assert all(parameters.get("task", "Handle") == "Handle" for parameters in EVERYWHERE.values())


# ---- a task that is none ----


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize(
    "name", sorted(name for name, parameters in EVERYWHERE.items() if next(iter(parameters), "") == "task")
)
def test_a_task_that_is_none(c: C, name: str, filled: bool) -> None:
    given: dict[str, Any] = {}
    if filled:
        room = ctypes.create_string_buffer(4096)
        given = {
            parameter: room
            for parameter, kind in EVERYWHERE[name].items()
            if kind.startswith(("*mut", "*const"))
        }
    dead = ctypes.c_void_p()
    assert c.library.DAQmxCreateTask(b"gone", ctypes.byref(dead)) == 0
    assert c.library.DAQmxClearTask(dead) == 0
    for task in (0, 0x10, 2**64 - 1, dead.value):
        assert c.call(name, task=task, **given) == INVALID_TASK


# ---- creating channels, timing, triggers ----

LIMITS = {"min": 0.001, "max": 0.1}
RATES = {"min": 10.0, "max": 1000.0}
MEASURED = {"edge": 10280, "method": 10105, "time": 0.001, "divisor": 4}
ENCODED = {"decoding": 10090, "index": 1, "index_phase": 10040, "initial": 1.0}
SAMPLES = {"mode": 10123, "samples": 1000}
PATTERN = {"source": b"Dev1/port0/line0:1", "pattern": b"1X", "when": 10254}
NO_CLOCK = {"rate": 1000.0, "pause": 10192, "ready": 10192}

VALID: dict[str, dict[str, Any]] = {
    "DAQmxCreateCICountEdgesChan": {"edge": 10280, "initial": 3, "direction": 10128},
    "DAQmxCreateCIFreqChan": RATES | MEASURED | {"units": 10373},
    "DAQmxCreateCIPeriodChan": LIMITS | MEASURED | {"units": 10364},
    "DAQmxCreateCIPulseWidthChan": LIMITS | {"units": 10364, "edge": 10171},
    "DAQmxCreateCISemiPeriodChan": LIMITS | {"units": 10364},
    "DAQmxCreateCITwoEdgeSepChan": LIMITS | {"units": 10364, "first": 10280, "second": 10171},
    "DAQmxCreateCIPulseChanFreq": RATES | {"units": 10373},
    "DAQmxCreateCIPulseChanTime": LIMITS | {"units": 10364},
    "DAQmxCreateCIPulseChanTicks": {"source": b"OnboardClock", "min": 10.0, "max": 1000.0},
    "DAQmxCreateCIDutyCycleChan": RATES | {"edge": 10280},
    "DAQmxCreateCIAngEncoderChan": ENCODED | {"units": 10146, "pulses": 24},
    "DAQmxCreateCILinEncoderChan": ENCODED | {"units": 10219, "distance": 0.001},
    "DAQmxCreateCIAngVelocityChan": LIMITS | {"decoding": 10090, "units": 16080, "pulses": 24},
    "DAQmxCreateCILinVelocityChan": LIMITS | {"decoding": 10090, "units": 15959, "distance": 0.001},
    "DAQmxCreateCIGPSTimestampChan": {"units": 10364, "method": 10070},
    "DAQmxCfgImplicitTiming": SAMPLES,
    "DAQmxCfgChangeDetectionTiming": SAMPLES | {"rising": b"Dev1/port0/line0", "falling": b""},
    "DAQmxCfgHandshakingTiming": SAMPLES,
    "DAQmxCfgBurstHandshakingTimingImportClock": SAMPLES
    | NO_CLOCK
    | {"source": b"/Dev1/PFI0", "edge": 10280},
    "DAQmxCfgBurstHandshakingTimingExportClock": SAMPLES | NO_CLOCK | {"terminal": b"/Dev1/PFI0"},
    "DAQmxCfgPipelinedSampClkTiming": SAMPLES | {"source": b"/Dev1/PFI0", "rate": 1000.0, "edge": 10280},
    "DAQmxCfgDigPatternStartTrig": PATTERN,
    "DAQmxCfgDigPatternRefTrig": PATTERN | {"before": 10},
}
READS: dict[str, int] = {
    "DAQmxReadCtrFreq": 15864,
    "DAQmxReadCtrFreqScalar": 15864,
    "DAQmxReadCtrTime": 15865,
    "DAQmxReadCtrTimeScalar": 15865,
    "DAQmxReadCtrTicks": 15866,
    "DAQmxReadCtrTicksScalar": 15866,
}
for _name, _given in VALID.items():
    if _name.startswith("DAQmxCreate"):
        VALID[_name] = {"counter": b"Dev1/ctr0"} | _given


def test_no_function_is_forgotten() -> None:
    others = {"DAQmxWaitForValidTimestamp", "DAQmxInternalReadDigitalWaveform"}
    assert set(FUNCTIONS) == VALID.keys() | READS.keys() | others


def with_lines(c: C, name: str) -> None:
    """Timing and triggers are those of a task with lines; channels need none before them."""
    if "counter" not in VALID[name]:
        c.ok("DAQmxCreateDIChan", lines=b"Dev1/port0/line0:7", grouping=1)


@pytest.mark.parametrize("name", VALID)
def test_what_is_right_is_taken(c: C, name: str) -> None:
    with_lines(c, name)
    c.ok(name, **VALID[name])


@pytest.mark.parametrize("name", [name for name, given in VALID.items() if "counter" not in given])
def test_a_task_without_channels_has_no_timing_and_no_triggers(c: C, name: str) -> None:
    assert c.call(name, task=c.task.value, **VALID[name]) == -200478


def wrongs() -> Iterator[tuple[str, dict[str, Any], int]]:
    """Each function with one parameter after the other wrong, and the code that says so."""
    ignored = {"pause", "ready", "polarity"}  # Of timing that no simulated device has.
    for name, valid in VALID.items():
        unsupported = "Handshaking" in name or "Pipelined" in name
        for parameter, kind in FUNCTIONS[name].items():
            if kind == "i32" and parameter not in ignored and not (unsupported and parameter == "edge"):
                for value in (0, -1, 12345):
                    yield name, {parameter: value}, INVALID_VALUE
        if "samples" in valid and not unsupported:
            for samples in (0, 1, 2**64 - 1):
                yield name, {"mode": 10178, "samples": samples}, INVALID_VALUE
        if "counter" in valid:
            for text, code in [
                (None, -200170),
                (b"", -200170),
                (b"Dev1/ctr99", -200170),
                (b"Dev1/ai0", -200430),
                (b"Dev9/ctr0", -200220),
            ]:
                yield name, {"counter": text}, code
            yield name, {"names": b"a, b"}, -200087
        if "min" in valid:
            yield name, {"min": valid["max"], "max": valid["min"]}, -200527
            yield name, {"min": float("nan")}, -200527
        if "scale" in FUNCTIONS[name]:
            yield name, {"scale": b"no such scale"}, -200378
            if "units" in FUNCTIONS[name]:
                yield name, {"scale": b"no such scale", "units": 10065}, -200378
        if "pattern" in valid:
            for pattern in (b"12", b"?"):
                yield name, {"pattern": pattern}, -200901


@pytest.mark.parametrize(("name", "wrong", "code"), list(wrongs()))
def test_what_is_wrong_is_refused(c: C, name: str, wrong: dict[str, Any], code: int) -> None:
    with_lines(c, name)
    assert c.call(name, task=c.task.value, **(VALID[name] | wrong)) == code
    # Nothing of it has been done.
    if "counter" in VALID[name]:
        c.ok(name, **VALID[name])


@pytest.mark.parametrize("name", VALID)
def test_nothing_is_configured_while_the_task_runs(c: C, name: str) -> None:
    c.ok("DAQmxCreateCICountEdgesChan", counter=b"Dev1/ctr1", edge=10280, direction=10128)
    c.ok("DAQmxStartTask")
    code = -200479 if "counter" in VALID[name] else -200557
    assert c.call(name, task=c.task.value, **VALID[name]) == code


@pytest.mark.parametrize("pattern", [None, b"", b"1", b"1X1"])
@pytest.mark.parametrize(
    ("name", "code"), [("DAQmxCfgDigPatternStartTrig", -200894), ("DAQmxCfgDigPatternRefTrig", -200895)]
)
def test_a_pattern_has_a_character_for_each_line(c: C, name: str, code: int, pattern: bytes | None) -> None:
    with_lines(c, name)
    c.ok("DAQmxCfgSampClkTiming", rate=1000.0, edge=10280, mode=10178, samples=100)
    c.ok(name, **(VALID[name] | {"pattern": pattern}))
    assert c.call("DAQmxTaskControl", task=c.task.value, action=2) == code


# ---- reading ----


def reading(c: C, name: str) -> dict[str, Any]:
    """A running task that the function reads, and the parameters of a read of 4 samples."""
    kind = name.removeprefix("DAQmxReadCtr").removesuffix("Scalar")
    create = f"DAQmxCreateCIPulseChan{kind}"
    c.ok(create, **VALID[create])
    c.ok("DAQmxCfgImplicitTiming", **SAMPLES)
    c.ok("DAQmxStartTask")
    arrays = [parameter for parameter, given in FUNCTIONS[name].items() if given in ("*mut f64", "*mut u32")]
    given = {array: (ctypes.c_uint64 * 4)() for array in arrays[:2]} | {"timeout": 10.0}
    if not name.endswith("Scalar"):
        given |= {"samples": 4, "size": 4, "count": ctypes.byref(ctypes.c_int32())}
    return given


@pytest.mark.parametrize("name", READS)
def test_reads_of_pulses(c: C, name: str) -> None:
    given = reading(c, name)
    task = c.task.value
    assert c.call(name, task=task, **given) == 0
    # What a pulse read alone gives first is no whole pulse.
    assert c.call(name, task=task, **given) == 0
    for array in [parameter for parameter, value in given.items() if isinstance(value, ctypes.Array)]:
        assert any(given[array]), "nothing was written"
        assert c.call(name, task=task, **(given | {array: None})) == NULL_POINTER
    if not name.endswith("Scalar"):
        assert c.call(name, task=task, **(given | {"count": None})) == 0
        for wrong, code in [
            ({"size": 0}, TOO_SMALL),
            ({"size": 3}, TOO_SMALL),
            ({"fill": 2}, INVALID_VALUE),
            ({"samples": -2}, INVALID_VALUE),
        ]:
            count = ctypes.c_int32(7)
            assert c.call(name, task=task, **(given | {"count": ctypes.byref(count)} | wrong)) == code, wrong
            assert count.value == 0
    for other, measurement in READS.items():
        if measurement != READS[name]:
            assert c.call(other, task=task, **parameters(other)) == -200466, other


def parameters(name: str) -> dict[str, Any]:
    """Room for whatever a read gives back."""
    given: dict[str, Any] = {
        parameter: (ctypes.c_uint64 * 16)()
        for parameter, kind in FUNCTIONS[name].items()
        if kind.startswith("*")
    }
    return given | {key: 1 for key in ("samples", "size") if key in FUNCTIONS[name]}


@pytest.mark.parametrize("name", [*READS, "DAQmxInternalReadDigitalWaveform"])
def test_reads_of_a_task_without_channels(c: C, name: str) -> None:
    assert c.call(name, task=c.task.value, **parameters(name)) == -200460


@pytest.mark.parametrize("name", [*READS, "DAQmxInternalReadDigitalWaveform"])
def test_reads_of_channels_of_another_type(c: C, name: str) -> None:
    c.ok("DAQmxCreateAIVoltageChan", physical=b"Dev1/ai0", terminals=-1, min=-1.0, max=1.0, units=10348)
    assert c.call(name, task=c.task.value, **parameters(name)) == -200525


def test_reads_of_digital_waveforms(c: C) -> None:
    name, task = "DAQmxInternalReadDigitalWaveform", c.task.value
    c.ok("DAQmxCreateDIChan", lines=b"Dev1/port0/line0:7", grouping=1)
    c.ok("DAQmxCfgSampClkTiming", rate=1000.0, edge=10280, mode=10123, samples=100)
    c.ok("DAQmxStartTask")
    array, lines = ctypes.create_string_buffer(64), (ctypes.c_uint32 * 2)(9, 9)
    times, intervals = (ctypes.c_int64 * 1)(), (ctypes.c_int64 * 1)()
    width, count = ctypes.c_int32(), ctypes.c_int32()
    given = {
        **{"samples": 8, "timeout": 10.0, "array": array, "size": 64, "lines": lines, "channels": 2},
        **{"first_times": times, "intervals": intervals, "times": 1},
        **{"count": ctypes.byref(count), "bytes": ctypes.byref(width)},
    }
    assert c.call(name, task=task, **given) == 0
    assert (count.value, width.value, list(lines)) == (8, 8, [8, 9])
    assert intervals[0] == 10_000
    assert times[0] > 0
    for optional in ("first_times", "intervals", "count", "bytes", "lines"):
        assert c.call(name, task=task, **(given | {optional: None})) == 0, optional
    for wrong, code in [
        ({"array": None}, NULL_POINTER),
        ({"size": 0}, TOO_SMALL),
        ({"size": 63}, TOO_SMALL),
        ({"fill": 2}, INVALID_VALUE),
        ({"samples": -2}, INVALID_VALUE),
    ]:
        assert c.call(name, task=task, **(given | wrong)) == code, wrong
        assert count.value == 0


def test_waiting_for_a_timestamp(c: C) -> None:
    name, task = "DAQmxWaitForValidTimestamp", c.task.value
    timestamp = (ctypes.c_uint64 * 2)()
    given = {"event": 16130, "timeout": 1.0, "timestamp": timestamp}
    c.ok("DAQmxCreateAIVoltageChan", physical=b"Dev1/ai0", terminals=-1, min=-1.0, max=1.0, units=10348)
    c.ok("DAQmxCfgSampClkTiming", rate=1000.0, edge=10280, mode=10123, samples=100)
    assert c.call(name, task=task, **given) == -209842
    assert c.call(name, task=task, **(given | {"timestamp": None})) == NULL_POINTER
    for event in (0, -1, 12345):
        assert c.call(name, task=task, **(given | {"event": event})) == -209833
