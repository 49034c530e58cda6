"""The page on unattended recordings: its run file, the service and the scheduled task."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import daqring
import daqring.cli
import pytest
from daqring.runfile import Run
from test_cli import daqring_command

PAGE = (Path(__file__).resolve().parent.parent / "python" / "docs" / "unattended.md").read_text("utf-8")


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return found


def service() -> configparser.ConfigParser:
    unit = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block("ini"))
    return unit


def test_the_run_file_is_one():
    Run(tomllib.loads(block("toml"))).check()


@pytest.mark.skipif(os.name == "nt", reason="sends SIGTERM as systemd does")
def test_the_command_of_the_service_ends_in_order_by_sigterm(tmp_path):
    """As systemd starts and stops it, in other folders and on the simulated driver."""
    command = shlex.split(service()["Service"]["ExecStart"])
    assert command[0].endswith("/daqring")
    text = block("toml").replace("/data", str(tmp_path)).replace("metrics = 9108", "metrics = 0")
    # Not every machine has 10 GB free.
    text = text.replace('reserve = "10 GB"', 'reserve = "64 MiB"')
    (tmp_path / "run.toml").write_text(text + "\n[simulation]\n")
    places = {"/etc/daqring/run.toml": "run.toml", "/var/log/daqring/rig.log": "rig.log"}
    arguments = [str(tmp_path / places[word]) if word in places else word for word in command[1:]]
    process = subprocess.Popen(
        daqring_command(*arguments),
        env=os.environ | {"DAQRING_RUNTIME_DIR": str(tmp_path / "runtime")},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if any(file.stat().st_size > 100_000 for file in tmp_path.glob("rig_*.tdms")):
                break
            time.sleep(0.05)
        process.terminate()
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    (file,) = tmp_path.glob("rig_*.tdms")
    assert daqring.verify(file).complete
    told = (tmp_path / "rig.log").read_text()
    assert "recording <Recorder of volts" in told
    assert "ended (interrupted)" in told


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_takes_the_unit(tmp_path):
    unit = tmp_path / "daqring.service"
    # The program has to exist.
    unit.write_text(block("ini").replace("/opt/daqring/bin/daqring", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_task_of_windows_is_well_formed_and_its_command_is_ours():
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    task = ElementTree.fromstring(block("xml"))
    assert task.tag == f"{{{space['t']}}}Task"
    principal = task.find("t:Principals/t:Principal", space)
    actions = task.find("t:Actions", space)
    assert principal is not None
    assert actions is not None
    assert principal.get("id") == actions.get("Context")
    arguments = actions.findtext("t:Exec/t:Arguments", namespaces=space)
    assert arguments is not None
    parsed = daqring.cli._parser().parse_args(arguments.split())
    assert parsed.paths == [r"C:\daqring\run.toml"]
    assert parsed.log == r"C:\daqring\rig.log"
