"""Every key of a run file, and every flag: it is there, documented, checked, stored and repeated."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import dataclasses
import inspect
import io
import itertools
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import daqring
import daqring.cli
import daqring.sim
import pytest
from daqring import placement, runfile, stage_tables, tap_tables, task_tables
from daqring.log_options import LogOptions
from daqring.restart import Restart
from daqring.runfile import Run, RunFileError

PAGE = (Path(__file__).parent.parent / "python/docs/run-files.md").read_text(encoding="utf-8")
TASK = (
    '[[tasks]]\nname = "volts"\ntiming = { rate = 1e4 }\nchannels = [{ physical_channel = "Dev1/ai0:1" }]\n'
)
SIMULATION = '[simulation]\nclock = "unthrottled"\n'


def fields(of: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(of)]


#: Section of a run file to what comes before the key there, the keys, and the page's heading.
SECTIONS: dict[str, tuple[str, list[str], str]] = {
    "top": ("", list(runfile.KEYS), "Keys at the top"),
    "log": ("[log]\n", fields(LogOptions), "Storage"),
    "restart": ("[restart]\n", fields(Restart), "Restart"),
    "simulation": ("[simulation]\n", list(runfile.SIMULATION_KEYS), "Simulation"),
    "faults": (
        SIMULATION + '[[simulation.faults]]\ndevice = "Dev1"\nkind = "jitter"\n',
        list(runfile.FAULT_CHECKS),
        "Simulation",
    ),
    "pin": ("[pin]\n", list(placement.KINDS), "Threads"),
    "taps": ('[[taps]]\ncall = "rig.py:look"\n', list(tap_tables.KEYS), "Taps"),
    "tasks": ("", list(task_tables.TASK_KEYS), "Tasks"),
    **{
        f"stages {kind}": (
            f'[[stages]]\nkind = "{kind}"\n',
            [*stage_tables.keys_of(kind), "task"],
            "Stages",
        )
        for kind in stage_tables.KINDS
    },
}
#: By section and key: a value that is taken, and one that is refused.
VALUES: dict[tuple[str, str], tuple[str, str]] = {
    ("top", "out"): ('"x.tdms"', '""'),
    ("top", "name"): ('"rig"', "3"),
    ("top", "from"): ('"rig.py:make"', "3"),
    ("top", "seconds"): ("2.5", "0"),
    ("top", "samples"): ("1000", "1.5"),
    ("top", "block_ms"): ("20", "-1"),
    ("top", "read_ms"): ("5", "0"),
    ("top", "overwrite"): ("true", '"yes"'),
    ("top", "dtype"): ('"raw"', '"int16"'),
    ("top", "buffer_seconds"): ("8", "inf"),
    ("top", "workers"): ("2", "100000"),
    ("top", "reader"): ('"native"', '"fast"'),
    ("top", "every"): ("0.5", "0"),
    ("top", "times"): ('"host"', '"x"'),
    ("top", "overflow"): ('"fail"', '"x"'),
    ("top", "stages"): ('[{ kind = "envelope" }]', "3"),
    ("top", "on_loss"): ('"continue"', '"x"'),
    ("top", "no_samples"): ("5", "nan"),
    ("top", "restart"): ("{ attempts = 3 }", "3"),
    ("top", "history"): ('"1 min"', '"1 parsec"'),
    ("top", "metrics"): ("9108", '"x"'),
    ("top", "keep_awake"): ("true", "1"),
    ("top", "gui"): ("true", "1"),
    ("top", "pin"): ("{ workers = [0] }", "3"),
    ("top", "priority"): ('"high"', '"urgent"'),
    ("top", "keep_seconds"): ("2", "0"),
    ("top", "taps"): ('[{ call = "rig.py:look" }]', "3"),
    ("top", "tasks"): ("", "3"),
    ("top", "log"): ('{ sync = "1 s" }', "3"),
    ("top", "properties"): ("{ operator = 'Ada' }", "3"),
    ("top", "simulation"): ("", "3"),
    ("log", "sync"): ('"block"', "3"),
    ("log", "segment"): ('"4 MiB"', '"4 apples"'),
    ("log", "segment_time"): ('"1 min"', "0"),
    ("log", "flush_every"): ("1.5", '"x"'),
    ("log", "rotate"): ('"4 GB"', "true"),
    ("log", "rotate_samples"): ("1000", "1.5"),
    ("log", "keep"): ('"8 GB"\nrotate = "4 GB"', '"8 GB"'),
    ("log", "reserve"): ('"off"', '"never"'),
    ("log", "warn_left"): ('"off"', "[]"),
    ("log", "direct_io"): ("true", '"yes"'),
    ("log", "checksum"): ("false", '"no"'),
    ("restart", "on"): ('["device error", "overwrite"]', '"rain"'),
    ("restart", "attempts"): ('"unlimited"', "0"),
    ("restart", "wait"): ("0.5", "-1"),
    ("restart", "into"): ('"file"', '"air"'),
    ("simulation", "devices"): ('{ Dev1 = "PCIe-6363" }', "3"),
    ("simulation", "product"): ('"PXIe-6396"', '"PXIe-0000"'),
    ("simulation", "clock"): ('"unthrottled"', '"sundial"'),
    ("simulation", "speed"): ("2", "0"),
    ("simulation", "signal"): ('"pattern"', '"music"'),
    ("simulation", "signals"): ('{ "Dev1/ai0" = 1.5 }', "3"),
    ("simulation", "faults"): ('[{ device = "Dev1", kind = "jitter" }]', "3"),
    ("faults", "device"): ("", "3"),
    ("faults", "kind"): ("", "3"),
    ("faults", "after"): ("1000", '"x"'),
    ("faults", "seconds"): ("0.01", '"x"'),
    ("pin", "acquire"): ("0", '"0"'),
    ("pin", "workers"): ("[0, 0]", "[]"),
    ("pin", "writer"): ("0", "-1"),
    ("taps", "call"): ("", "3"),
    ("taps", "kind"): ('"envelope"', '"x"'),
    ("taps", "stream"): ('"volts"', "3"),
    ("taps", "depth"): ("4", "0"),
    ("taps", "rate"): ("100", "0"),
    ("tasks", "name"): ("", "3"),
    ("tasks", "saved"): ("", "3"),
    ("tasks", "channels"): ("", "3"),
    ("tasks", "timing"): ("", "3"),
    ("tasks", "start_trigger"): ('{ kind = "digital_edge", trigger_source = "/Dev1/PFI0" }', "3"),
    ("tasks", "reference_trigger"): (
        '{ kind = "digital_edge", trigger_source = "/Dev1/PFI0", pretrigger_samples = 10 }',
        "3",
    ),
    ("tasks", "pause_trigger"): ('{ set = { dig_lvl_src = "/Dev1/PFI0" } }', "3"),
    ("tasks", "exports"): ('[{ signal_id = "SAMPLE_CLOCK", output_terminal = "/Dev1/PFI5" }]', "3"),
    ("tasks", "stream"): ("{ input_buf_size = 5000 }", "3"),
}
#: Of every stage, and of some.
OF_STAGES: dict[str, tuple[str, str]] = {
    "name": ('"mine"', "3"),
    "log": ("false", '"no"'),
    "of": ('"first"', '"fist"'),
    "task": ('"volts"', "3"),
    "every": ("0.5", "0"),
    "dtype": ('"float32"', '"int16"'),
    "only": ("true", "1"),
    "factor": ("10", "1"),
    "attenuation": ("60", "1"),
    "channel": ('"Dev1/ai0"', "1.5"),
    "level": ("1.5", '"high"'),
    "condition": ('"falling"', '"sideways"'),
    "hysteresis": ("0.1", "-1"),
    "pre": ("0.1", "1e10"),
    "post": ("0.1", "-1"),
    "gate": ("false", "1"),
    "lines": ('[["Dev1/ai0", 0, "valve"]]', '[["Dev1/ai0", 0]]'),
    "library": ("", '"absent.so"'),
    "symbol": ("", '"absent"'),
    "outputs": ('{ peak = "V" }', "[1]"),
    "ordered": ("true", "1"),
    "check": ("true", "1"),
}
ALL = [(section, key) for section, (_, keys, _) in SECTIONS.items() for key in keys]


def values(section: str, key: str) -> tuple[str, str]:
    return OF_STAGES[key] if section.startswith("stages ") else VALUES[section, key]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled stage: the largest code of a block's first channel."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("library")
    (folder / "stage.c").write_text(
        "#include <stdint.h>\n"
        "int32_t peak(const void *block, const void *data, double *output, void *user) {\n"
        "    uint64_t samples = ((const uint64_t *)block)[2];\n"
        "    const int16_t *values = data;\n"
        "    output[0] = values[0];\n"
        "    for (uint64_t i = 1; i < samples; i++)\n"
        "        if (values[i] > output[0]) output[0] = values[i];\n"
        "    return 0;\n"
        "}\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "stage.so", "stage.c"], cwd=folder, check=True)
    return folder / "stage.so"


RIG = """
import contextlib

import nidaqmx

def make():
    task = nidaqmx.Task("volts")
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
    task.timing.cfg_samp_clk_timing(1e4, sample_mode=nidaqmx.constants.AcquisitionType.CONTINUOUS)
    return task

seen = []

def look(tap, recorder):
    for block in tap:
        seen.append(block.samples if hasattr(block, "samples") else block.low.shape[1])
        # The last blocks are looked at when the recording is over.
        with contextlib.suppress(RuntimeError):
            recorder.latest(0.1)

def fail(tap, recorder):
    raise ValueError("no screen")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rig.py").write_text(RIG)
    return tmp_path


def command(*arguments: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of the command in this process."""
    told, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(complained), daqring.sim.installed():
        try:
            status = daqring.cli.main(arguments)
        except SystemExit as left:
            status = int(left.code or 0)
    daqring.sim.reset()
    return status, told.getvalue(), complained.getvalue()


def text_with(section: str, key: str, value: str) -> str:
    """A run file with this value at the key, and otherwise what is needed around it."""
    before = SECTIONS[section][0]
    lines = [line for line in before.splitlines(keepends=True) if not value or line.partition(" ")[0] != key]
    if section == "stages decimate" and key != "factor":
        lines.append("factor = 10\n")
    if section == "stages native":
        needed = {"library": "stage.so", "symbol": "peak"}
        lines += [f"{name} = '{text}'\n" for name, text in needed.items() if not value or name != key]
    if key == "of":
        lines.insert(0, '[[stages]]\nkind = "scale"\nname = "first"\n')
    here = f"{key} = {value}\n" if value else ""
    task = TASK
    if section == "tasks":
        kept = [line for line in TASK.splitlines(keepends=True) if not value or line.partition(" ")[0] != key]
        return SIMULATION + "".join(kept) + here
    if section == "top":
        if key == "simulation" and value:
            return here + task
        task = "" if key in ("from", "tasks") and value else task
        return here + SIMULATION + task
    driver = "" if "simulation" in before else SIMULATION
    return driver + "".join(lines) + here + task


# -- the schema ---------------------------------------------------------------------------------


def test_there_are_values_for_every_key():
    assert set(VALUES) == {each for each in ALL if not each[0].startswith("stages ")}
    assert set(OF_STAGES) == {key for section, key in ALL if section.startswith("stages ")}


def test_everything_that_a_recorder_takes_is_a_key():
    taken = set(inspect.signature(daqring.Recorder).parameters) - {"tasks", "path", "_feed"}
    assert taken <= set(runfile.KEYS)


@pytest.mark.parametrize(("section", "key"), ALL)
def test_every_key_is_documented(section, key):
    heading = SECTIONS[section][2]
    part = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert part is not None, f"run-files.md has no part {heading!r}"
    assert re.search(rf"[`\[.]{key}\b", part[1]), f"{key} is not told under {heading!r}"


@pytest.mark.parametrize(("section", "key"), ALL)
def test_every_key_is_taken_and_shown(folder, library, section, key):
    shutil.copy(library, folder)
    good = values(section, key)[0]
    text = text_with(section, key, good)
    (folder / "run.toml").write_text(text)
    status, told, complained = command("record", "run.toml", "--show-config")
    assert (status, complained) == (0, "")
    # Paths are whole; all else is as it was written.
    shown = told.replace(f"{folder}/", "")
    assert tomllib.loads(shown) == tomllib.loads(text)
    # And shown again it is the same.
    (folder / "again.toml").write_text(told)
    assert command("record", "again.toml", "--show-config")[1] == told


@pytest.mark.parametrize(("section", "key"), ALL)
def test_every_key_is_checked(folder, library, section, key):
    shutil.copy(library, folder)
    text = text_with(section, key, values(section, key)[1])
    (folder / "run.toml").write_text(text)
    line = next(number for number, each in enumerate(text.splitlines(), 1) if each.startswith(f"{key} = "))
    more = [] if section == "top" and key in ("out", "seconds", "samples") else ["--samples", "10"]
    status, _, complained = command("record", "run.toml", *([] if key == "out" else ["out.tdms"]), *more)
    assert status == 1
    assert re.match(rf"daqring: run\.toml, line {line}: (.*\.)?{key}(\[\d+\])?: .", complained), complained
    assert complained.count("\n") == 1
    assert not (folder / "out.tdms").exists()


ODD = (
    *('""', "-1", "nan", "1e308", "1" + "0" * 40, "true", "[[1]]", "{ a = { b = [{}] } }", "[{ a = 1 }]"),
    *("2020-01-01", "12:00:00", r'"日本\u0000"', "'''multi\nline'''", '"1e999 GB"'),
)


@pytest.mark.parametrize("section", SECTIONS)
def test_odd_values_are_one_line_and_never_a_traceback(folder, library, section):
    shutil.copy(library, folder)
    refused = 0
    for key, value in itertools.product(SECTIONS[section][1], ODD):
        (folder / "run.toml").write_text(text_with(section, key, value), encoding="utf-8")
        status, _, complained = command("record", "run.toml", "--show-config")
        assert status in (0, 1)
        assert complained.count("\n") == status, (key, value, complained)
        assert complained.startswith("daqring: run.toml" if status else ""), complained
        refused += status
    assert refused > 5 * len(SECTIONS[section][1])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "run.toml: nothing to record"),
        ("[", "is not TOML"),
        ("a = 1\na = 2", "is not TOML"),
        ("[[tasks]]", "line 1: tasks[0]: the task has no channels"),
        ("[tasks]", "line 1: tasks: must be a list"),
        ("tasks = [[]]", "line 1: tasks[0]: a task must be a table"),
        ("a = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("seconds.a = 1", "line 1: seconds: {'a': 1} must be a finite number"),
        ('"ключ" = 1', "line 1: ключ: no such key"),
        ('"" = 1\n' + TASK, "no such key"),
        ("x" * 100_000, "is not TOML"),
        ("[properties]\n'daqring.run' = 1\n" + TASK, "line 2: properties.daqring.run: names that begin with"),
        ("[properties]\nx = 10000000000000000000000\n" + TASK, "more than 64 bits can hold"),
        ("[[taps]]\n" + TASK, "line 1: taps[0]: call is missing"),
        ("taps = [3]\n" + TASK, "line 1: taps[0]: must be a table"),
        ("[[taps]]\nx = 1\n" + TASK, "line 2: taps[0].x: no such key of a tap"),
        ("[[taps]]\ncall = 'rig.py'\n" + SIMULATION + TASK, "must be like rig.py:function"),
        (
            "[[taps]]\ncall = 'rig.py:x'\n" + SIMULATION + TASK,
            "line 2: taps[0].call: rig.py has no function x",
        ),
        (
            "[[taps]]\ncall = 'rig.py:look'\nstream = 'vlts'\n" + SIMULATION + TASK,
            "line 3: taps[0].stream: there is no stream 'vlts'; did you mean 'volts'?",
        ),
        ("stages = [3]\n" + TASK, "line 1: stages[0]: must be a table"),
        ("[[stages]]\n" + TASK, "line 1: stages[0]: kind is missing"),
        ("[[stages]]\nkind = 'native'\nsymbol = 'f'\n" + TASK, "stages[0]: library is missing"),
        ("[[stages]]\nkind = 'native'\nlibrary = 'rig.py'\n" + TASK, "stages[0]: symbol is missing"),
        (
            "[[stages]]\nkind = 'native'\nlibrary = 'rig.py'\nsymbol = 'f'\n" + TASK,
            "line 3: stages[0].library: rig.py is no library",
        ),
        (
            "[[stages]]\nkind = 'scale'\n[[stages]]\nkind = 'envelope'\ntask = 'volts'\n" + TASK,
            "line 1: stages: either every stage names its task",
        ),
        ("[pin]\nreader = 0\n" + TASK, "line 2: pin.reader: no such kind of thread"),
        ("[pin]\nwriter = 4095\n" + SIMULATION + TASK, "line 1: pin: pin['writer'] asks for core 4095"),
        (
            "[simulation]\nproduct = 'USB-6003'\ndevices = ['USB-6003']\n" + TASK,
            "line 3: simulation.devices: give devices or product",
        ),
        (
            "[simulation]\ndevices = 'absent.toml'\n" + TASK,
            "line 2: simulation.devices: absent.toml cannot be",
        ),
        (
            "[[simulation.faults]]\ndevice = 'Dev1'\n" + TASK,
            "line 1: simulation.faults[0]: must be a table with",
        ),
        (
            "[[simulation.faults]]\ndevice='Dev1'\nkind='x'\ny=1\n" + TASK,
            "line 4: simulation.faults[0].y: no such",
        ),
        ("[[simulation.faults]]\ndevice='Dev1'\nkind='x'\n" + TASK, "simulation.faults[0]: "),
        (
            SIMULATION + TASK.replace("1e4", "1e4, samps_per_chan = -1"),
            "timing.samps_per_chan: -1 must be 1 or",
        ),
        (
            SIMULATION + TASK.replace("1e4", "1e4, samps_per_chan = 1.5"),
            "samps_per_chan: 1.5 must be a whole",
        ),
        (SIMULATION + TASK.replace("1e4", "1e4, active_edge = ['RISING']"), "must be the name of a Edge"),
        (
            SIMULATION
            + TASK.replace(
                "channels = [{", "channels = [{ kind = 'force_bridge_polynomial', forward_coeffs = ['a'], "
            ),
            "channels[0].forward_coeffs[0]: 'a' must be a number",
        ),
        (
            SIMULATION
            + TASK.replace(
                "channels = [{", "channels = [{ kind = 'force_bridge_polynomial', forward_coeffs = 1, "
            ),
            "channels[0].forward_coeffs: must be a list of values",
        ),
        ("from = 'rig.py:f'\n" + SIMULATION, "line 1: from: rig.py has no function f"),
        (
            "from = 'broken.py:f'\n" + SIMULATION,
            "line 1: from: broken.py, line 2: ZeroDivisionError: division",
        ),
        ("from = 'syntax.py:f'\n" + SIMULATION, "line 1: from: syntax.py: SyntaxError: "),
        ("from = 'fails.py:f'\n" + SIMULATION, "line 1: from: fails.py, line 2: KeyError: 'no such rig'"),
        ("from = 'fails.py:g'\n" + SIMULATION, "from: fails.py: TypeError: g() missing 1 required"),
        ("from = 'fails.py:h'\n" + SIMULATION, "3, which the function made, is no nidaqmx.Task"),
    ],
)
def test_what_is_wrong_is_told(folder, text, told):
    (folder / "broken.py").write_text("\n1 / 0\n")
    (folder / "syntax.py").write_text("def f(:\n")
    (folder / "fails.py").write_text(
        "def f():\n    raise KeyError('no such rig')\ndef g(x): pass\ndef h(): return [3]\n"
    )
    (folder / "run.toml").write_text(text, encoding="utf-8")
    status, _, complained = command("record", "run.toml", "out.tdms", "--samples", "10")
    assert status == 1
    assert told in complained
    assert complained.count("\n") == 1
    assert not (folder / "out.tdms").exists()


def test_what_is_no_text_is_no_run_file(folder):
    (folder / "run.toml").write_bytes(b"\xff\xfe\x00")
    assert "it is not UTF-8 text" in command("record", "run.toml")[2]


# -- doing it -----------------------------------------------------------------------------------

EVERYTHING = """\
out = "all.tdms"
name = "everything"
samples = 30_000
block_ms = 50
overwrite = true
dtype = "raw"
buffer_seconds = 5
workers = 2
reader = "python"
times = "auto"
overflow = "wait"
on_loss = "continue"
no_samples = 30
history = "0.5 s"
keep_awake = false
gui = false
keep_seconds = 1
priority = "normal"
pin = { workers = [0, 0] }

[properties]
operator = "Ada"
when = 2026-01-02T03:04:05Z

[log]
sync = "64 MB"
rotate_samples = 20_000
keep = "1 GB"
reserve = "off"
warn_left = "off"
direct_io = false

[restart]
on = ["device error", "no samples"]
attempts = "unlimited"

[simulation]
signal = "pattern"
clock = "unthrottled"

[[stages]]
kind = "native"
library = "stage.so"
symbol = "peak"
outputs = { peak = "code" }
name = "peaks"

[[stages]]
kind = "statistics"
every = 0.5

[[taps]]
call = "rig.py:look"
depth = 4

[[taps]]
call = "rig.py:look"
kind = "envelope"
rate = 100
stream = "volts"

[[taps]]
call = "rig.py:fail"

"""


def test_everything_at_once_and_the_same_again_from_the_log(folder, library, caplog):
    shutil.copy(library, folder)
    (folder / "run.toml").write_text(EVERYTHING + TASK)
    status, told, _ = command("record", "run.toml")
    assert status == 0, told
    # The tap that failed is told, and has not disturbed the recording.
    assert "the tap fail failed; the recording goes on without it" in caplog.text
    assert "ValueError: no screen" in caplog.text
    first = daqring.open(folder / "all_0000.tdms")
    assert len(first["volts/Dev1/ai0"]) == 30_000
    assert Path("all_0001.tdms").exists()
    codes = first["volts/Dev1/ai0"].raw[:]
    assert list(first["peaks/peak"][:]) == [float(max(part)) for part in codes.reshape(-1, 500)]
    assert "statistics" in first.groups
    stored = tomllib.loads(first.properties["daqring.run"])
    expected = tomllib.loads(EVERYTHING + TASK)
    expected["stages"][0]["library"] = str(folder / "stage.so")
    for tap in expected["taps"]:
        tap["call"] = f"{folder}/{tap['call']}"
    assert stored == expected

    # From another folder, without the run file.
    (folder / "run.toml").unlink()
    (folder / "elsewhere").mkdir()
    status, told, complained = command("record", "again.tdms", "--like", "all_0000.tdms")
    assert status == 0, complained
    again = daqring.open(folder / "again_0000.tdms")
    repeated = tomllib.loads(again.properties["daqring.run"])
    # To overwrite the log that it is like is not meant, and neither is a window.
    assert repeated == {key: value for key, value in stored.items() if key not in ("overwrite", "gui")} | {
        "out": "again.tdms"
    }
    assert list(again["volts/Dev1/ai0"].raw[:]) == list(codes)


def test_like_what_cannot_be(folder):
    run = Run({"tasks": [{"timing": {"rate": 1e4}, "channels": [{"physical_channel": "Dev1/ai0"}]}]})
    with daqring.sim.installed(clock="unthrottled"):
        daqring.record(run.make_tasks, "mine.tdms", samples=100)
    status, _, told = command("record", "x.tdms", "--like", "mine.tdms")
    assert (status, "does not tell how it was recorded" in told) == (1, True)
    assert "No such file" in command("record", "x.tdms", "--like", "absent.tdms")[2]
    (folder / "run.toml").write_text(SIMULATION + TASK)
    assert "give one of them" in command("record", "run.toml", "--like", "mine.tdms")[2]
    # Without another name it would be the same file.
    assert command("record", "run.toml", "a.tdms", "--samples", "10")[0] == 0
    assert "a.tdms exists already" in command("record", "--like", "a.tdms")[2]


@pytest.mark.parametrize("clock", ["real", "unthrottled"])
def test_taps_see_what_is_recorded_from_the_first_block_on(folder, clock):
    text = 'samples = 10_000\nblock_ms = 20\nkeep_seconds = 1\n[[taps]]\ncall = "rig.py:look"\ndepth = 1000\n'
    (folder / "run.toml").write_text(text + "[simulation]\n" + f"clock = '{clock}'\n" + TASK)
    run = Run.load("run.toml")
    run = run.over({"out": "run.tdms"})
    run.prepare_driver()
    try:
        from daqring.cli.ending import Ending

        around = run.around()
        recorder = run.recorder()
        with Ending(recorder, **around) as ending:
            report = ending.run(show=False)
    finally:
        daqring.sim.uninstall()
    (module,) = run.modules.values()
    assert report.samples_per_channel == sum(module.seen) == 10_000
    assert set(module.seen) == {200}


def test_a_tap_sees_a_stage_behind_another_one(folder):
    chain = '[[stages]]\nkind = "scale"\n[[stages]]\nkind = "statistics"\nof = "scaled"\nname = "slow"\n'
    taps = '[[taps]]\ncall = "rig.py:look"\nstream = "{}"\n'
    (folder / "run.toml").write_text(taps.format("slow") + chain + SIMULATION + TASK)
    assert command("record", "run.toml", "a.tdms", "--samples", "1000")[0] == 0
    (folder / "run.toml").write_text(taps.format("slwo") + chain + SIMULATION + TASK)
    assert "did you mean 'slow'?" in command("record", "run.toml", "b.tdms", "--samples", "1000")[2]


def test_never_is_a_word(folder):
    options = Run({"log": {"reserve": "off", "warn_left": "off"}}).log_options()
    assert (options.reserve, options.warn_left) == (None, None)
    restart = Run({"restart": {"attempts": "unlimited"}}).restart()
    assert restart is not None
    assert restart.attempts is None


def test_a_native_stage_is_a_symbol_of_a_library(folder, library):
    run = Run({"stages": [{"kind": "native", "library": str(library), "symbol": "peak", "ordered": True}]})
    (stage,) = run.stages()
    assert isinstance(stage, daqring.stages.Native)
    assert stage.ordered is True
    assert ctypes.cast(stage.function, ctypes.c_void_p).value


def test_an_error_without_a_file_names_the_key():
    with pytest.raises(RunFileError, match=r"^tasks\[0\].timing.rate: 'x' must be a number$"):
        Run({"tasks": [{"timing": {"rate": "x"}, "channels": [{"physical_channel": "a"}]}]}).check()


# -- the flags ----------------------------------------------------------------------------------

#: Flags of record and check: how they are given, and what they make of the description.
FLAGS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "--seconds": (["2"], {"seconds": 2.0}),
    "--samples": (["1e3"], {"samples": 1000}),
    "--block-ms": (["20"], {"block_ms": 20.0}),
    "--read-ms": (["5"], {"read_ms": 5.0}),
    "--dtype": (["float64"], {"dtype": "float64"}),
    "--buffer-seconds": (["2"], {"buffer_seconds": 2.0}),
    "--reader": (["python"], {"reader": "python"}),
    "--workers": (["2"], {"workers": 2}),
    "--metrics": (["9108"], {"metrics": "9108"}),
    "--every": (["0.5"], {"every": 0.5}),
    "--times": (["host"], {"times": "host"}),
    "--overflow": (["fail"], {"overflow": "fail"}),
    "--on-loss": (["continue"], {"on_loss": "continue"}),
    "--no-samples": (["5"], {"no_samples": 5.0}),
    "--history": (["off"], {"history": "off"}),
    "--priority": (["high"], {"priority": "high"}),
    "--pin": (["acquire=0", "--pin", "workers=0,1"], {"pin": {"acquire": 0, "workers": [0, 1]}}),
    "--run-name": (["rig"], {"name": "rig"}),
    "--overwrite": ([], {"overwrite": True}),
    "--keep-awake": ([], {"keep_awake": True}),
    "--gui": ([], {"gui": True}),
    "--no-gui": ([], {"gui": False}),
    "--property": (["a=b=c", "--property", "d="], {"properties": {"a": "b=c", "d": ""}}),
    "--sync": (["block"], {"log": {"sync": "block"}}),
    "--segment": (["1 MB"], {"log": {"segment": "1 MB"}}),
    "--segment-time": (["1 s"], {"log": {"segment_time": "1 s"}}),
    "--flush-every": (["1 s"], {"log": {"flush_every": "1 s"}}),
    "--rotate": (["1 GB"], {"log": {"rotate": "1 GB"}}),
    "--rotate-samples": (["1e3"], {"log": {"rotate_samples": 1000}}),
    "--keep": (["1 GB", "--rotate", "1 h"], {"log": {"keep": "1 GB", "rotate": "1 h"}}),
    "--reserve": (["off"], {"log": {"reserve": "off"}}),
    "--warn-left": (["1 h"], {"log": {"warn_left": "1 h"}}),
    "--buffered": ([], {"log": {"direct_io": False}}),
    "--no-checksum": ([], {"log": {"checksum": False}}),
    "--direct": ([], {"log": {"direct_io": True}}),
    "--product": (["USB-6003"], {"simulation": {"signal": "sine", "product": "USB-6003"}}),
    "--devices": (["rig.toml"], {"simulation": {"devices": "{folder}/rig.toml"}}),
    "--pattern": ([], {"simulation": {"signal": "pattern"}}),
    "--unthrottled": ([], {"simulation": {"signal": "sine", "clock": "unthrottled"}}),
}
CHANNEL = {"kind": "voltage", "physical_channel": "Dev1/ai0", "min_val": -10.0, "max_val": 10.0}
AI = ["x.tdms", "--ai", "Dev1/ai0", "--rate", "1e3", "--simulate"]
#: Those that say what is recorded, as a whole command.
WHAT: dict[str, tuple[list[str], dict[str, Any]]] = {
    "--ai": (AI, {"tasks": [{"timing": {"rate": 1e3}, "channels": [CHANNEL]}]}),
    "--rate": (AI, {"tasks": [{"timing": {"rate": 1e3}, "channels": [CHANNEL]}]}),
    "--simulate": (AI, {"simulation": {"signal": "sine"}}),
    "--range": (
        [*AI, "--range", "-1", "2"],
        {"tasks": [{"timing": {"rate": 1e3}, "channels": [CHANNEL | {"min_val": -1.0, "max_val": 2.0}]}]},
    ),
    "--terminal": (
        [*AI, "--terminal", "rse"],
        {"tasks": [{"timing": {"rate": 1e3}, "channels": [CHANNEL | {"terminal_config": "RSE"}]}]},
    ),
    "--name": (
        [*AI, "--name", "volts"],
        {"tasks": [{"timing": {"rate": 1e3}, "channels": [CHANNEL], "name": "volts"}]},
    ),
    "--task": (["x.tdms", "--task", "A", "--task", "B"], {"tasks": [{"saved": "A"}, {"saved": "B"}]}),
    "--from": (["x.tdms", "--from", "rig.py:make"], {"from": "{folder}/rig.py:make"}),
    "--like": (["x.tdms", "--like", "old.tdms"], {"out": "x.tdms", "samples": 10}),
}
#: Tested where what they do is tested.
ELSEWHERE = {
    "record": {"--help", "--show-config", "--json", "--quiet", "--log"},
    "check": {"--help", "--json", "--log"},
}


def parsers() -> dict[str, argparse.ArgumentParser]:
    actions = daqring.cli._parser()._actions
    (commands,) = (action for action in actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def options(command: str) -> set[str]:
    return {
        option
        for action in parsers()[command]._actions
        for option in action.option_strings
        if option.startswith("--")
    }


@pytest.mark.parametrize("name", ["record", "check"])
def test_every_flag_of_a_run_is_tested(name):
    assert options(name) == {*FLAGS, *WHAT, *ELSEWHERE[name]}


@pytest.mark.parametrize("flag", [*FLAGS, *WHAT])
def test_every_flag_reaches_the_description(folder, flag):
    (folder / "rig.toml").write_text('[devices.Dev1]\nproduct = "PCIe-6363"\n')
    if flag in FLAGS:
        given, expected = FLAGS[flag]
        arguments = [*AI, flag, *given]
    else:
        arguments, expected = WHAT[flag]
    if flag == "--like":
        assert command("record", "old.tdms", *AI[1:], "--unthrottled", "--samples", "10")[0] == 0
    status, told, complained = command("record", *arguments, "--show-config")
    assert (status, complained) == (0, "")
    shown = tomllib.loads(told.replace(str(folder), "{folder}"))
    assert {key: shown[key] for key in expected} == expected
    if flag in FLAGS:
        assert set(shown) == {"out", "tasks", "simulation", *expected}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--pin", "acquire"], "is not of the form KIND=CORES"),
        (["--pin", "acquire=x"], "is not of the form KIND=CORES"),
        (["--pin", "reader=0"], "pin.reader: no such kind of thread; known are acquire, workers, writer"),
        (["--priority", "urgent"], "'urgent' is not known; known are high, normal"),
        (["--history", "x"], "history: 'x' is no size"),
        (["--metrics", "x"], "metrics: 'x' must be a port"),
        (["--workers", "1e6"], "workers: 1000000 threads are more than the 1024"),
        (
            ["--sekonds", "1"],
            "there is no option --sekonds; did you mean --seconds? (see 'daqring record --help')",
        ),
        (["-x"], "there is no option -x (see"),
        (["--buffered", "--direct"], "not allowed with argument --buffered"),
        (["second.tdms"], "one file can be made, and x.tdms, second.tdms are several"),
        (["--seconds"], "argument --seconds: expected one argument"),
        (["--range", "a", "b"], "--range: invalid float value: 'a'"),
        (["--terminal", "dif"], "did you mean 'diff'?"),
    ],
)
def test_flags_that_are_wrong(folder, given, told):
    status, _, complained = command("record", *AI, *given)
    assert status == 1
    assert told in complained
    assert complained.count("\n") == 1
    assert list(folder.iterdir()) == [folder / "rig.py"]


def test_who_gives_nothing_is_told_where_to_begin():
    status, told, complained = command()
    assert (status, told) == (1, "")
    assert "daqring record run.tdms --ai" in complained
    status, _, complained = command("record")
    assert status == 1
    assert complained.startswith("daqring: nothing to record: ")
    assert "--simulate" in complained
    assert "--help" in complained
    assert "did you mean 'record'?" in command("recrd")[2]
    assert "nothing is known to do with 'b'" in command("recover", "a", "b")[2]


def test_what_the_help_shows_works(folder):
    """Every example of the help of record, as it stands, but for hardware and saved tasks."""
    from daqring.cli.record import EXAMPLES

    lines = re.findall(r"^ {6}daqring record (.*)$", EXAMPLES, re.MULTILINE)
    assert len(lines) > 5
    import shlex

    (folder / "run.tdms").unlink(missing_ok=True)
    for line in lines:
        text = line.partition(" > ")[0].replace("rig.py:make_tasks", "rig.py:make")
        given = shlex.split(text)
        if given == ["run.toml"]:
            (folder / "run.toml").write_text('out = "by-file.tdms"\n' + TASK)
        more = ["--simulate", "--unthrottled"]
        more += [] if "--seconds" in given else ["--samples", "1000"]
        if "--show-config" not in given and given[0] == "run.tdms":
            more.append("--overwrite")
        status, _, complained = command("record", *given, *more)
        assert status == 0, (line, complained)


if sys.platform == "win32":  # pragma: no cover
    pytestmark = pytest.mark.skip("the paths in here are those of POSIX")
