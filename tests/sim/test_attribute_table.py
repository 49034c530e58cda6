"""Every attribute of the simulator's table, on every kind of object that could have it, by way of the
C interface: types, sizes, access, values that cannot be, defaults, and the wrong kind of object."""

import ctypes
import math
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import daqring.sim as sim
import nidaqmx
import pytest
from nidaqmx.constants import AcquisitionType
from nidaqmx.scale import Scale

TABLE = Path(__file__).parents[2] / "rust" / "nidaqmx-sim" / "src" / "attribute_table.rs"

NULL_POINTER = -200604
STRING_TOO_SMALL = -200228
LIST_TOO_SMALL = -200234
READ_ONLY = -200231
NOT_RESETTABLE = -200236
UNKNOWN = -200233
INVALID_VALUE = -200077
NOT_THERE = -200452
#: Not on this device, not in this task, not before it runs or is reserved, no timestamp was taken.
REFUSALS = {
    NOT_THERE,
    -200197,
    -200983,
    -200478,
    -200460,
    -200459,
    -200454,
    -209842,
    -209844,
    -200601,
    -200170,
}
#: A value beside which others do not fit: limits, custom scales, thermocouples' junctions, terminals.
UNFIT = {INVALID_VALUE, -200378, -200447, -200901, -89120, -200409, -200602, -200603, -200527, -200430}

WIDTHS = {"I32": 4, "U32": 4, "Bool": 4, "F64": 8, "U64": 8, "Time": 16}
ELEMENTS = {"Str": 1, "I32s": 4, "U32s": 4, "F64s": 8, "U8s": 1}


class Row(NamedTuple):
    object: str
    id: int
    kind: str
    access: str
    resettable: bool
    name: str


ROWS = [
    Row(m[1], int(m[2], 16), m[3], m[4], m[5] == "true", m[6])
    for m in re.finditer(
        r'row\(Object::(\w+), 0x([0-9A-F]+), (\w+), (\w+), (true|false), "(\w+)"\)', TABLE.read_text("utf-8")
    )
]

CANARY = 0xA5


class Answer(NamedTuple):
    status: int
    memory: bytes


class Target(NamedTuple):
    """One object: what comes before the attribute's number in the C functions."""

    label: str
    object: str
    functions: str  # as in DAQmxGet<functions>Attribute
    prefix: tuple[Any, ...]

    def get(self, library: Any, number: int, size: int, *, null: bool = False) -> Answer:
        memory = ctypes.create_string_buffer(bytes([CANARY]) * 65_536, 65_536)
        out = ctypes.c_void_p(0) if null else memory
        function = library[f"DAQmxGet{self.functions}Attribute"]
        status = function(*self.prefix, ctypes.c_int32(number), out, ctypes.c_uint32(size))
        return Answer(status, memory.raw)

    def set(self, library: Any, number: int, integer: int, count: int = 0, number_f: float = 0.0) -> int:
        function = library[f"DAQmxSet{self.functions}Attribute"]
        arguments = (ctypes.c_size_t(integer), ctypes.c_uint32(count), ctypes.c_double(number_f))
        status: int = function(*self.prefix, ctypes.c_int32(number), *arguments)
        return status

    def reset(self, library: Any, number: int) -> int:
        status: int = library[f"DAQmxReset{self.functions}Attribute"](*self.prefix, ctypes.c_int32(number))
        return status


CHANNELS: dict[str, Callable[[nidaqmx.Task], Any]] = {
    "voltage": lambda task: task.ai_channels.add_ai_voltage_chan("Dev1/ai0"),
    "thermocouple": lambda task: task.ai_channels.add_ai_thrmcpl_chan("Dev1/ai0"),
    "strain": lambda task: task.ai_channels.add_ai_strain_gage_chan("Dev4/ai0"),
    "accelerometer": lambda task: task.ai_channels.add_ai_accel_chan("Dev5/ai0"),
    "lines": lambda task: task.di_channels.add_di_chan("Dev1/port0/line0:7"),
    "edges": lambda task: task.ci_channels.add_ci_count_edges_chan("Dev1/ctr0"),
    "frequency": lambda task: task.ci_channels.add_ci_freq_chan("Dev1/ctr0"),
    "encoder": lambda task: task.ci_channels.add_ci_ang_encoder_chan("Dev1/ctr0"),
    "output": lambda task: task.ao_channels.add_ao_voltage_chan("Dev1/ao0"),
    "output lines": lambda task: task.do_channels.add_do_chan("Dev1/port0/line0:7"),
    "pulses": lambda task: task.co_channels.add_co_pulse_chan_freq("Dev1/ctr0"),
}
OF_TASKS = {
    "Channel": "Chan",
    "Timing": "Timing",
    "Read": "Read",
    "Write": "Write",
    "Buffer": "Buffer",
    "Trigger": "Trig",
    "ExportSignal": "ExportedSignal",
    "Task": "Task",
}
OF_DEVICES = {
    "Device": ("Device", b"Dev1"),
    "PhysicalChannel": ("PhysicalChan", b"Dev1/ai0"),
    "System": ("SystemInfo",),
    "Scale": ("Scale", b"Twice"),
    "PersistedTask": ("PersistedTask", b"Bench"),
    "CalibrationInfo": ("CalInfo", b"Dev1"),
}


def targets(channels: str, task: nidaqmx.Task) -> Iterator[Target]:
    for kind, functions in OF_TASKS.items():
        prefix = (task._handle, b"") if kind == "Channel" else (task._handle,)
        yield Target(channels, kind, functions, prefix)


@pytest.fixture
def rig() -> None:
    sim.configure({"Dev1": "PCIe-6363", "Dev4": "PXIe-4331", "Dev5": "PXIe-4499"})


def make(task: nidaqmx.Task, channels: str) -> None:
    CHANNELS[channels](task)
    if channels in ("voltage", "thermocouple", "strain", "accelerometer", "output"):
        task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.FINITE, samps_per_chan=100)


def needed(row: Row, target: Target, library: Any) -> int:
    """The size that a string or list needs; asked with no room, as the package does."""
    answer = target.get(library, row.id, 0)
    assert set(answer.memory) == {CANARY}, row
    return answer.status


def check_get(row: Row, target: Target, library: Any) -> bytes | None:
    """Reads an attribute as the table says it is. None where it is refused."""
    if row.access == "W":
        assert target.get(library, row.id, 0).status in REFUSALS, row
        return None
    if row.kind in WIDTHS:
        width = WIDTHS[row.kind]
        status, memory = target.get(library, row.id, width)
        if status < 0:
            assert status in REFUSALS, (row, status)
            assert set(memory) == {CANARY}, row
            return None
        assert status == 0, (row, status)
        assert set(memory[width:]) == {CANARY}, f"{row}: more than {width} bytes were written"
        if row.kind == "Bool":
            assert memory[:4] in (b"\0\0\0\0", b"\1\0\0\0"), row
        if row.kind == "F64":
            assert not math.isnan(struct.unpack("<d", memory[:8])[0]), row
        assert target.get(library, row.id, width, null=True).status == NULL_POINTER, row
        return memory[:width]
    size = needed(row, target, library)
    if size < 0:
        assert size in REFUSALS, (row, size)
        return None
    element = ELEMENTS[row.kind]
    too_small = STRING_TOO_SMALL if row.kind == "Str" else LIST_TOO_SMALL
    if size > 1:
        short = target.get(library, row.id, size - 1)
        assert short.status == too_small, (row, short.status)
        assert set(short.memory) == {CANARY}, row
    assert target.get(library, row.id, 0, null=True).status == size, row
    if size == 0:
        return b""
    status, memory = target.get(library, row.id, size)
    assert status == 0, (row, status)
    assert set(memory[size * element :]) == {CANARY}, row
    if row.kind == "Str":
        assert memory[size - 1] == 0, row
        assert 0 not in memory[: size - 1], row
    # More room changes nothing.
    assert target.get(library, row.id, size + 7).memory[: size * element] == memory[: size * element], row
    return memory[: size * element]


def try_set(row: Row, target: Target, library: Any, value: bytes) -> int:
    """Sets an attribute to a value as a get gave it."""
    if row.kind == "F64":
        return target.set(library, row.id, struct.unpack("<Q", value)[0], 0, struct.unpack("<d", value)[0])
    if row.kind in WIDTHS:
        return target.set(library, row.id, int.from_bytes(value[:8], "little"))
    array = ctypes.create_string_buffer(value, len(value) + 1)
    return target.set(library, row.id, ctypes.addressof(array), len(value) // ELEMENTS[row.kind])


def has(library: Any, verb: str, target: Target) -> bool:
    return hasattr(library, f"DAQmx{verb}{target.functions}Attribute")


def of(target: Target) -> list[Row]:
    return [row for row in ROWS if row.object == target.object]


@pytest.fixture
def library() -> Any:
    return ctypes.CDLL(sim.library_path())


def check_access(row: Row, target: Target, library: Any, before: bytes | None) -> None:
    """What may not be set is not, what may not be reset is not."""
    if row.access == "R" and has(library, "Set", target):
        status = target.set(library, row.id, 0)
        assert status == READ_ONLY, (row, status)
    if not row.resettable and has(library, "Reset", target):
        status = target.reset(library, row.id)
        assert status == NOT_RESETTABLE, (row, status)
    if row.access == "R" and row.object not in ("Read", "System") and before is not None:
        assert check_get(row, target, library) == before, row


NONSENSE_INTEGER = 987_654_321
#: Whole numbers that are no enumerations.
NUMBERS = {"ReadOffset", "WriteOffset"}


def check_values(row: Row, target: Target, library: Any, before: bytes) -> None:
    """The value can be set again, nonsense cannot, and a reset brings the default."""
    status = try_set(row, target, library, before)
    assert status == 0 or status in REFUSALS | UNFIT, (row, status)
    if status == 0:
        assert check_get(row, target, library) == before, row
    if row.kind == "I32" and row.name not in NUMBERS:
        status = target.set(library, row.id, NONSENSE_INTEGER)
        assert status in REFUSALS | UNFIT | {READ_ONLY}, f"{row}: nonsense is taken ({status})"
        assert check_get(row, target, library) == before, row
    if row.kind == "F64":
        nan = struct.pack("<d", math.nan)
        status = try_set(row, target, library, nan)
        assert status in REFUSALS | UNFIT, f"{row}: not a number is taken ({status})"
        assert check_get(row, target, library) == before, row
    if row.resettable and has(library, "Reset", target):
        status = target.reset(library, row.id)
        assert status == 0 or status in REFUSALS, (row, status)
        if status == 0:
            default = check_get(row, target, library)
            if row.kind == "Bool" and try_set(row, target, library, bytes([1 - before[0], 0, 0, 0])) == 0:
                assert target.reset(library, row.id) == 0, row
                assert check_get(row, target, library) == default, f"{row}: a reset brings no default"


def sweep(target: Target, library: Any) -> list[str]:
    wrong = []
    for row in of(target):
        try:
            before = check_get(row, target, library)
            check_access(row, target, library, before)
            if row.access == "RW" and before is not None and has(library, "Set", target):
                check_values(row, target, library, before)
        except AssertionError as error:
            wrong.append(str(error).split("\n", 1)[0])
    return wrong


@pytest.mark.usefixtures("rig")
@pytest.mark.parametrize("kind", OF_TASKS)
@pytest.mark.parametrize("channels", CHANNELS)
def test_attributes_of_tasks(channels: str, kind: str, library: Any) -> None:
    with nidaqmx.Task() as task:
        make(task, channels)
        target = next(one for one in targets(channels, task) if one.object == kind)
        assert sweep(target, library) == []


@pytest.mark.usefixtures("rig")
@pytest.mark.parametrize("kind", OF_DEVICES)
def test_attributes_of_devices_and_the_system(kind: str, library: Any) -> None:
    Scale.create_lin_scale("Twice", 2.0)
    with nidaqmx.Task("Bench") as task:
        make(task, "voltage")
        task.save()
        functions, *prefix = OF_DEVICES[kind]
        target = Target(kind, kind, functions, tuple(prefix))
        assert sweep(target, library) == []


@pytest.mark.usefixtures("rig")
@pytest.mark.parametrize("kind", OF_TASKS)
def test_attributes_of_other_objects_are_unknown(kind: str, library: Any) -> None:
    with nidaqmx.Task() as task:
        make(task, "voltage")
        target = next(one for one in targets("voltage", task) if one.object == kind)
        known = {row.id for row in of(target)}
        foreign = [number for number in (0x1344, 0x1095, 0x631, 0x7FFF, -1, 0) if number not in known]
        assert foreign
        for number in foreign:
            assert target.get(library, number, 4).status == UNKNOWN
            if has(library, "Set", target):
                assert target.set(library, number, 1) == UNKNOWN
            if has(library, "Reset", target):
                assert target.reset(library, number) == UNKNOWN


@pytest.mark.usefixtures("rig")
@pytest.mark.parametrize("channels", CHANNELS)
def test_channels_have_no_attributes_of_other_kinds(channels: str, library: Any) -> None:
    """AI_ on a counter, CO_ on lines, and so on: refused, for reading, setting and resetting."""
    with nidaqmx.Task() as task:
        make(task, channels)
        target = next(targets(channels, task))
        own = task.channels.chan_type.name.split("_")
        prefix = own[0][0] + own[1][0]
        others = [
            row
            for row in of(target)
            if row.name[:2] in ("AI", "AO", "DI", "DO", "CI", "CO") and not row.name.startswith(prefix)
        ]
        assert len(others) > 100
        for row in others:
            expected = REFUSALS if row.access != "W" else REFUSALS | {UNKNOWN}
            assert target.get(library, row.id, 16 if row.kind in WIDTHS else 0).status in expected, row
            if row.access != "R":
                assert target.set(library, row.id, 0) in REFUSALS | UNFIT | {NULL_POINTER}, row
            if row.resettable:
                assert target.reset(library, row.id) in REFUSALS, row


def test_the_table_is_understood() -> None:
    assert len(ROWS) > 1_150
    assert {row.kind for row in ROWS} <= WIDTHS.keys() | ELEMENTS.keys()
