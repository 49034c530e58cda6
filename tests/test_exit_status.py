"""The exit status of every command, as the page on the commands has it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import daqring.cli
import daqring.sim
import nptdms
import numpy as np
import pytest
from daqring import status
from daqring.runfile import Run
from test_run_keys import SIMULATION, TASK, command, options, parsers

PAGE = (Path(__file__).parent.parent / "python/docs/commands.md").read_text(encoding="utf-8")
RECORD = ("record", "x.tdms", "--ai", "Dev1/ai0", "--rate", "1e4", "--simulate")


def told_on_the_page() -> dict[str, set[int]]:
    """By command the statuses for which the table has words."""
    found = {}
    for line in PAGE.partition("## Exit status")[2].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if re.fullmatch(r"`\w+`", cells[0]):
            statuses = zip((0, 1, 3, 130), cells[1:], strict=True)
            found[cells[0].strip("`")] = {number for number, text in statuses if text}
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def recorded(folder: Path) -> Path:
    """run.tdms is whole, cut.tdms is not, theirs.tdms is another program's, text.tdms is none."""
    more = ("--samples", "5000", "--block-ms", "20", "--unthrottled")
    assert command("record", "run.tdms", *RECORD[2:], *more)[0] == 0
    shutil.copy("run.tdms", "cut.tdms")
    with open("cut.tdms", "r+b") as file:
        file.truncate(Path("run.tdms").stat().st_size // 3 + 500)
    with nptdms.TdmsWriter("theirs.tdms") as writer:
        for _ in range(3):
            writer.write_segment([nptdms.ChannelObject("group", "channel", np.arange(10.0))])
    Path("text.tdms").write_text("no recording" * 100)
    return folder


@pytest.fixture
def running(folder: Path) -> Iterator[daqring.Recorder]:
    """A recording in this process, called rig."""
    run = Run(
        {
            "out": "rig.tdms",
            "simulation": {},
            "stages": [{"kind": "trigger", "pre": 0.5, "gate": False}],
            "tasks": [{"timing": {"rate": 1e3}, "channels": [{"physical_channel": "Dev1/ai0"}]}],
        }
    )
    run.prepare_driver()
    recorder = run.recorder()
    with recorder:
        yield recorder
    daqring.sim.uninstall()


#: What ends with which status; `None` stands for a test of its own below.
CASES: dict[tuple[str, int], list[list[str]] | None] = {
    ("record", 0): [[*RECORD, "--unthrottled", "--samples", "100"]],
    ("record", 1): [[*RECORD, "--sekonds", "1"], ["record"], ["record", "absent.toml"]],
    ("record", 3): None,
    ("record", 130): None,
    ("check", 0): [["check", *RECORD[2:], "--seconds", "1"]],
    ("check", 1): [["check", *RECORD[2:], "--range", "5", "1"]],
    ("check", 3): None,
    ("top", 0): [["top", "--once"], ["top", "--json", "--once"]],
    ("top", 1): [["top", "absent"], ["top", "--interval", "0"]],
    ("stop", 0): None,
    ("stop", 1): [["stop", "absent"], ["stop", "absent", "--timeout", "x"]],
    ("annotate", 0): None,
    ("annotate", 1): [["annotate", "absent", "x", "--timeout", "1"], ["annotate", "absent"]],
    ("capture", 0): None,
    ("capture", 1): [["capture", "absent"], ["capture", "absent", "x", "--timeout", "1"]],
    ("scope", 0): None,
    ("scope", 1): [["scope", "absent"], ["scope", "absent", "--seconds", "0"]],
    ("info", 0): [["info", "run.tdms"], ["info", "run.tdms", "--json"]],
    ("info", 1): [["info", "text.tdms"], ["info", "absent.tdms"]],
    ("info", 3): [["info", "cut.tdms"]],
    ("verify", 0): [["verify", "run.tdms"], ["verify", "run.tdms", "--json"]],
    ("verify", 1): [["verify", "text.tdms"], ["verify", "absent.tdms"]],
    ("verify", 3): [["verify", "cut.tdms"]],
    ("recover", 0): [
        ["recover", "run.tdms"],
        ["recover", "run.tdms", "-o", "r.tdms", "--json"],
        ["recover", "run.tdms", "--output", "r.tdms", "--overwrite"],
        ["recover", "run.tdms", "--in-place"],
    ],
    ("recover", 1): [["recover", "text.tdms"], ["recover", "run.tdms", "-o", "cut.tdms"]],
    ("recover", 3): [["recover", "cut.tdms"]],
    ("export", 0): [
        ["export", "run.tdms", "--to", "a.npy", "--quiet", "--fill"],
        ["export", "run.tdms", "--to", "b.npy", "--quiet", "--raw", "--start", "10", "--stop", "20"],
        ["export", "run.tdms", "--to", "b.npy", "--quiet", "--overwrite", "--channel", "Dev1/ai0"],
        ["export", "run.tdms", "--to", "c.npy", "--quiet", "--stream", "ai", "--clock", "host"],
        ["export", "run.tdms", "--to", "d.csv", "--quiet", "--compression", "none"],
    ],
    ("export", 1): [
        ["export", "run.tdms", "--to", "a.docx"],
        ["export", "run.tdms"],
        ["export", "run.tdms", "--to", "cut.tdms"],
        ["export", "run.tdms", "--to", "a.npy", "--channel", "x"],
    ],
    ("plot", 0): [
        ["plot", "run.tdms", "-o", "a.png"],
        ["plot", "run.tdms", "--output", "a.png", "--overwrite", "--channel", "Dev1/ai0", "--stream", "ai"],
        ["plot", "run.tdms", "-o", "b.svg", "--start", "10", "--stop", "20", "--clock", "host"],
    ],
    ("plot", 1): [["plot", "run.tdms", "-o", "a.docx"], ["plot", "run.tdms", "-o", "a.png", "--start", "x"]],
    ("defragment", 0): [
        ["defragment", "theirs.tdms", "d.tdms"],
        ["defragment", "theirs.tdms", "d.tdms", "--overwrite"],
    ],
    ("defragment", 1): [["defragment", "run.tdms", "run.tdms"], ["defragment", "text.tdms", "e.tdms"]],
    ("devices", 0): [
        ["devices", "--simulate"],
        ["devices", "--simulate", "--json", "--product", "USB-6003"],
        ["devices", "--products"],
        ["devices", "--simulate", "--save", "rig.toml"],
        ["devices", "--simulate", "--devices", "rig.toml"],
        ["devices", "--simulate", "--pattern", "--unthrottled"],
    ],
    ("devices", 1): [
        ["devices", "--simulate", "--save", "rig.txt"],
        ["devices", "--product", "USB-6003"],
        ["devices", "--simulate", "--product", "x"],
    ],
}
OWN = [case for case, arguments in CASES.items() if arguments is None]


def test_the_page_has_every_command_and_status():
    told = told_on_the_page()
    assert set(told) == set(parsers())
    assert {(name, number) for name, numbers in told.items() for number in numbers} == set(CASES)
    for name in parsers():
        assert f"| `daqring {name}` |" in PAGE
    source = Path(__file__).read_text(encoding="utf-8")
    for name, number in OWN:
        assert f"def test_{name}_{number}(" in source, f"a test of {name} ending with {number} is missing"


@pytest.mark.parametrize("name", [name for name in parsers() if name not in ("record", "check")])
def test_every_flag_of_the_other_commands_is_given_somewhere(name):
    """Those of record and check are in test_run_keys.py."""
    given = {
        word for (each, _), cases in CASES.items() if each == name for case in cases or [] for word in case
    }
    elsewhere = {"--help", "--picture", "--wait"}  # the latter two: test_scope.py
    assert options(name) - elsewhere <= given


@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        pytest.param(number, arguments, id=f"{number}: {' '.join(arguments)}")
        for (_, number), cases in CASES.items()
        for arguments in cases or []
    ],
)
def test_statuses(recorded, number, arguments):
    if arguments[0] == "plot":
        pytest.importorskip("matplotlib", reason="the extra daqring[plot] is not installed")
    for name in ("r.tdms", "a.png", "b.npy", "d.tdms"):
        if "--overwrite" in arguments and name in arguments:
            Path(name).write_text("old")
    if "rig.toml" in arguments and "--devices" in arguments:
        assert command("devices", "--simulate", "--save", "rig.toml")[0] == 0
    found, told, complained = command(*arguments)
    assert found == number, complained
    if number == 1:
        first, *more = complained.splitlines()
        assert first.startswith("daqring: ")
        # Only who gives nothing at all is told more.
        assert not more or arguments == ["record"]
    elif arguments[0] != "check":
        assert complained == ""
    if "--json" in arguments and number == 0:
        json.loads(told)


def test_record_3(folder):
    fault = '[[simulation.faults]]\ndevice = "Dev1"\nkind = "slow_bus"\nafter = 5000\n'
    (folder / "run.toml").write_text(SIMULATION + fault + TASK)
    found, told, complained = command("record", "run.toml", "x.tdms", "--samples", "100000")
    assert (found, complained) == (3, "daqring: samples were lost\n")
    assert "device overflow" in told


def interrupt_once(condition: Callable[[], Any]) -> threading.Thread:
    def wait() -> None:
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize(("length", "number"), [(["--seconds", "600"], 130), ([], 0)])
def test_record_130(folder, length, number):
    shown = interrupt_once(
        lambda: [
            each for each in status.recorders() if each.name == "x" and (each.health or {}).get("samples")
        ]
    )
    found, told, complained = command(*RECORD, *length, "--block-ms", "20")
    shown.join()
    assert (found, complained) == (number, "")
    assert "interrupted" in told


def test_check_3(folder, monkeypatch):
    monkeypatch.setattr("daqring.preflight.DISK_BAD", float("inf"))
    found, told, complained = command("check", *RECORD[2:])
    assert (found, complained) == (3, "")
    assert told.startswith("BAD\n")


# Not by command(), which takes the simulated driver away, on which a recording runs.


def test_stop_0(running):
    ended = threading.Thread(target=lambda: (running.wait(), running.close()))
    ended.start()
    assert daqring.cli.main(["stop", running.name, "--timeout", "60"]) == 0
    ended.join()
    assert running.report.stop_reason == "stopped"


def test_annotate_0(running):
    assert daqring.cli.main(["annotate", running.name, "valve", "--timeout", "30"]) == 0


def test_capture_0(running):
    assert daqring.cli.main(["capture", running.name, "records", "--timeout", "30"]) == 0


def test_scope_0(recorded, monkeypatch):
    pytest.importorskip("pyqtgraph", reason="the extra daqring[scope] is not installed")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert command("scope", "run.tdms", "--seconds", "0.1", "--picture", "a.png")[0] == 0
