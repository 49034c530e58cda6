"""Traces of what a program called, and their replay."""

import json
from pathlib import Path
from typing import Any

import daqring.sim as sim
import nidaqmx
import numpy as np
import pytest
from daqring.sim.replay import main, replay
from nidaqmx.constants import AcquisitionType
from nidaqmx.stream_readers import AnalogMultiChannelReader


def program() -> None:
    """Reads, writes, properties, a callback and an error."""
    with nidaqmx.Task("in") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1", min_val=-5.0, max_val=5.0)
        task.timing.cfg_samp_clk_timing(1000.0, sample_mode=AcquisitionType.CONTINUOUS)
        task.ai_channels[0].ai_max = 2.5
        task.register_every_n_samples_acquired_into_buffer_event(100, lambda *_: 0)
        task.start()
        sim.step(0.5)
        task.read(100)
        AnalogMultiChannelReader(task.in_stream).read_many_sample(np.zeros((2, 50)), 50)
        with pytest.raises(nidaqmx.DaqError):
            task.ai_channels[0].ai_max = 5.0
        sim.step(0.5)
        assert task.in_stream.avail_samp_per_chan == 850
    with nidaqmx.Task() as out, nidaqmx.Task() as back:
        out.ao_channels.add_ao_voltage_chan("Dev1/ao0")
        back.ai_channels.add_ai_voltage_chan("Dev1/_ao0_vs_aognd")
        out.write(2.5)
        assert back.read() == pytest.approx(2.5, abs=0.01)


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    sim.clock("stepped")
    path = tmp_path / "calls.jsonl"
    with sim.trace(path):
        sim.signal(None, "pattern")
        program()
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_calls_are_there_with_their_arguments_and_results(traced: Path) -> None:
    header, *entries = lines(traced)
    assert header["clock"][0] == "stepped"
    assert [one["name"] for one in header["devices"]] == ["Dev1", "Dev2", "Dev3"]
    calls = {one["call"]: one for one in entries if "call" in one}
    clock = calls["DAQmxCfgSampClkTiming"]
    assert clock["code"] == 0
    assert [note[1] for note in clock["arguments"][2:]] == [1000.0, 10280, 10123, 1000]
    created = calls["DAQmxCreateAIVoltageChan"]["arguments"]
    assert "Dev1/_ao0_vs_aognd" in [note[1] for note in created if len(note) > 1]
    assert [one["code"] for one in entries if one.get("call") == "DAQmxSetChanAttribute"] == [0, -200557]
    read = next(one for one in entries if one.get("call") == "DAQmxReadAnalogF64")
    assert ["array", "<f8", 200] in [note[:3] for note in read["arguments"]]
    assert 100 in read["results"]
    steps = [one["arguments"] for one in entries if one.get("control") == "sim_step"]
    assert steps == [[0.5], [0.5]]


def test_a_trace_ends(traced: Path) -> None:
    count = len(lines(traced))
    program()
    sim.step(0.1)
    assert len(lines(traced)) == count


def test_the_same_calls_give_the_same(traced: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(traced) == []
    assert main([str(traced)]) == 0
    assert "the same" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["code", "results", "steps"])
def test_differences_are_told(traced: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    entries = lines(traced)
    for entry in entries:
        if what == "code" and entry.get("call") == "DAQmxStartTask":
            entry["code"] = -200088
        if what == "results" and entry.get("call") == "DAQmxReadAnalogF64":
            entry["results"] = [1 if one == 100 else one for one in entry["results"]]
        if what == "steps" and entry.get("control") == "sim_step":
            entry["arguments"] = [0.4]
    traced.write_text("\n".join(json.dumps(entry) for entry in entries), encoding="utf-8")
    assert main([str(traced)]) == 1
    said = capsys.readouterr().out
    expected = {"code": "DAQmxStartTask gave 0, not -200088.", "results": "gave back 100, not 1."}
    assert expected.get(what, "DAQmxGetReadAttribute gave back 650, not 850.") in said


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"format": "other"}', "[1]"])
def test_only_traces_are_replayed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="is not a trace"):
        replay(path)


def test_one_trace_at_a_time_and_only_of_the_simulator(tmp_path: Path) -> None:
    with (
        sim.trace(tmp_path / "one"),
        pytest.raises(RuntimeError, match="already"),
        sim.trace(tmp_path / "two"),
    ):
        pass
    sim.uninstall()
    with pytest.raises(RuntimeError, match="install"), sim.trace(tmp_path / "three"):
        pass
    assert not (tmp_path / "three").exists()
    sim.install(signal="pattern")
