"""Recorders and streams that a program leaves running: the end of the program closes them in order.

The programs run in processes of their own. With a Python function as a stage, a process whose recorder was
not closed used to abort ("exception not rethrown"), when a worker called into the interpreter that was gone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import daqring
import numpy as np
import pytest
from daqring.sim import pattern
from reader_kinds import READERS

BEGIN = """
import atexit, json, os, sys, threading, time
import daqring, daqring.sim, nidaqmx
from daqring.stages import Native, block_function
from nidaqmx.constants import AcquisitionType

daqring.sim.install(signal="pattern")

def make_task(name="rig", channels="Dev1/ai0:3", rate=100_000):
    task = nidaqmx.Task(name)
    task.ai_channels.add_ai_voltage_chan(channels)
    task.timing.cfg_samp_clk_timing(rate, sample_mode=AcquisitionType.CONTINUOUS)
    return task

@block_function
def busy(block, data, output, user_data):
    time.sleep(0.002)
    return 0

@block_function
def slow(block, data, output, user_data):
    time.sleep(0.05)
    return 0

def tell():
    report = recorder.report
    print(json.dumps([report.samples_per_channel, report.stop_reason, report.complete]))

atexit.register(tell)  # comes after ours: that is registered at the first start
"""

STAGES = {"none": "[]", "busy": "[Native(busy, name='mine')]", "slow": "[Native(slow, name='mine')]"}
RECORDER = "recorder = daqring.Recorder(make_task(), 'a.tdms', {options}); recorder.start()\n"
STREAM = """
stream = daqring.stream(make_task(), 'a.tdms', {options})
stream.start()
recorder = stream.recorder
assert stream.next(20) is not None
"""
#: How the program ends, and its exit status.
ENDS = {"end": ("", 0), "exit": ("sys.exit(7)", 7), "exception": ("raise ValueError('of the program')", 1)}
WAIT = "while recorder.stats()['samples'] < 2000: time.sleep(0.001)\n"


def run(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", BEGIN + text],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def check(folder: Path, done: subprocess.CompletedProcess[str], status: int) -> None:
    """The program ended as it would have without us, and the file holds all that was acquired."""
    assert done.returncode == status, done.stderr
    assert "FATAL" not in done.stderr
    assert "a.tdms'> was not closed" in done.stderr
    samples, reason, complete = json.loads(done.stdout)
    assert (reason, complete) == ("stopped", True)
    assert daqring.verify(folder / "a.tdms").complete
    log = daqring.open(folder / "a.tdms")
    assert log.finished
    written = log["rig/Dev1/ai1"].raw[:]
    assert len(written) == samples >= 2000
    np.testing.assert_array_equal(written, pattern(1, 0, samples))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("stages", ["none", "busy"])
@pytest.mark.parametrize("reader", READERS)
def test_a_recorder_that_nobody_closed(tmp_path, reader, stages, end):
    options = f"reader={reader!r}, block_ms=5, stages={STAGES[stages]}"
    last, status = ENDS[end]
    done = run(tmp_path, RECORDER.format(options=options) + WAIT + last)
    check(tmp_path, done, status)
    assert ("ValueError: of the program" in done.stderr) == (end == "exception")


@pytest.mark.parametrize("stages", ["none", "busy"])
@pytest.mark.parametrize("reader", READERS)
def test_a_stream_that_nobody_closed_and_takes_from(tmp_path, reader, stages):
    """Its ring fills up, and nobody would ever take the blocks out."""
    options = f"reader={reader!r}, block_ms=5, stages={STAGES[stages]}"
    check(tmp_path, run(tmp_path, STREAM.format(options=options) + WAIT + "sys.exit(7)"), 7)


@pytest.mark.parametrize("reader", READERS)
def test_a_loop_left_by_an_exception(tmp_path, reader):
    text = f"""
stream = daqring.stream(make_task(), 'a.tdms', reader={reader!r}, block_ms=5, stages={STAGES["busy"]})
recorder = stream.recorder
blocks = iter(stream)
for block in blocks:
    if block.first_sample >= 2000:
        raise ValueError('of the program')
"""
    check(tmp_path, run(tmp_path, text), 1)


@pytest.mark.parametrize("reader", READERS)
def test_the_end_is_in_order_every_time(tmp_path, reader):
    """What waits in the ring for a slow stage comes into the file, and no worker is left to abort."""
    options = f"reader={reader!r}, block_ms=5, workers=2, overwrite=True, stages={STAGES['slow']}"
    for _ in range(4):
        check(tmp_path, run(tmp_path, RECORDER.format(options=options) + WAIT + "sys.exit(7)"), 7)


@pytest.mark.parametrize("reader", READERS)
def test_several_recorders_and_several_tasks(tmp_path, reader):
    text = f"""
left, right = make_task('left', 'Dev2/ai0', 10_000), make_task('right', 'Dev3/ai0', 10_000)
with daqring.Recorder(left, 'c.tdms', samples=1000) as closed:
    closed.wait(20)
options = dict(reader={reader!r}, block_ms=5, stages={STAGES["busy"]})
other = daqring.Recorder([left, right], 'b.tdms', **options)
other.start()
"""
    options = f"reader={reader!r}, block_ms=5, stages={STAGES['busy']}"
    done = run(tmp_path, text + RECORDER.format(options=options) + WAIT)
    check(tmp_path, done, 0)
    assert "b.tdms'> was not closed" in done.stderr
    assert "c.tdms" not in done.stderr
    assert daqring.verify(tmp_path / "b.tdms").complete


@pytest.mark.parametrize("reader", READERS)
def test_a_recording_in_a_daemon_thread(tmp_path, reader):
    text = f"""
def work():
    global recorder
    options = dict(reader={reader!r}, block_ms=5, stages={STAGES["busy"]})
    with daqring.Recorder(make_task(), 'a.tdms', **options) as made:
        recorder = made
        time.sleep(1000)

recorder = None
threading.Thread(target=work, daemon=True).start()
while recorder is None:
    time.sleep(0.001)
"""
    check(tmp_path, run(tmp_path, text + WAIT + "sys.exit(7)"), 7)


def test_who_closes_at_the_exit_is_not_told(tmp_path):
    done = run(tmp_path, RECORDER.format(options="block_ms=5") + "atexit.register(recorder.close)\n" + WAIT)
    assert done.returncode == 0, done.stderr
    assert "was not closed" not in done.stderr
    assert daqring.verify(tmp_path / "a.tdms").complete


def test_a_warning_tells_it_too_and_changes_no_status(tmp_path):
    text = RECORDER.format(options="block_ms=5, overwrite=True") + WAIT + "sys.exit(7)"
    done = run(tmp_path, text, "-W", "always::ResourceWarning")
    check(tmp_path, done, 7)
    assert "ResourceWarning: unclosed <Recorder of rig into 'a.tdms'>" in done.stderr
    done = run(tmp_path, text, "-W", "error::ResourceWarning")
    check(tmp_path, done, 7)
    assert "unclosed <Recorder of rig into 'a.tdms'>" in done.stderr


def test_a_failure_at_the_exit_is_told_and_changes_no_status(tmp_path):
    text = """
calls = []

@block_function
def fails(block, data, output, user_data):
    calls.append(None)
    return 13 if len(calls) == 8 else 0

recorder = daqring.Recorder(make_task(), 'a.tdms', block_ms=5, stages=[Native(fails, name='mine')])
recorder.start()
recorder.wait(20)
sys.exit(7)
"""
    done = run(tmp_path, text)
    assert done.returncode == 7, done.stderr
    assert "stage 'mine' failed on block" in done.stderr
    assert json.loads(done.stdout)[1:] == ["error", False]
    # The file is whole, and says that more was acquired.
    checked = daqring.verify(tmp_path / "a.tdms")
    assert checked.problems == ()
    assert daqring.open(tmp_path / "a.tdms").finished
    assert "an error ended the recording" in checked.verdict


@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("reader", READERS)
def test_a_forgotten_recorder_does_not_disturb_the_end(tmp_path, reader, where):
    """It is closed where it is forgotten, or beside; the end of the program waits for that."""
    text = f"""
def begin():
    options = dict(reader={reader!r}, block_ms=5, overwrite=True, stages={STAGES["slow"]})
    recorder = daqring.Recorder(make_task(), 'a.tdms', **options)
    recorder.start()
    while recorder.stats()['samples'] < 500: time.sleep(0.001)

atexit.unregister(tell)
thread = threading.Thread(target=begin)
thread.start() if {where == "thread"} else begin()
if {where == "thread"}: thread.join()
sys.exit(7)
"""
    for _ in range(3):
        done = run(tmp_path, text)
        assert done.returncode == 7, done.stderr
        assert "FATAL" not in done.stderr
        assert done.stderr.count("was not closed") == 1
        assert daqring.verify(tmp_path / "a.tdms").complete


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_the_end_of_a_forked_process_leaves_the_recorder_alone(tmp_path):
    text = (
        RECORDER.format(options="block_ms=5")
        + WAIT
        + """
child = os.fork()
if not child:
    atexit.unregister(tell)
    from daqring import unclosed
    unclosed._close_all()
    os._exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
sys.exit(7)
"""
    )
    done = run(tmp_path, text)
    check(tmp_path, done, 7)
    assert done.stderr.count("was not closed") == 1
