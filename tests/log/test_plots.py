"""Pictures: what is written on them. SVGs tell their texts as comments."""

from __future__ import annotations

import re
from pathlib import Path

import daqring
import numpy as np
import pytest
from daqring.cli import main
from daqring.stages import DigitalLines, Trigger
from stage_run import run_stages

pytest.importorskip("matplotlib")

TIME = np.arange(60_000)
WAVE = np.array([8000 * np.sin(2 * np.pi * TIME / 731 + at) for at in range(2)]).astype(np.int16)
SCALE = (0.0, 1e-3)


def texts(file: Path) -> list[str]:
    return re.findall(r"<!-- (.*?) -->", file.read_text("utf-8"))


def test_labels_of_gaps_do_not_stand_on_each_other(tmp_path):
    lost = {20: 3000, 45: None, 47: 20_000, 59: 10}
    log, _ = run_stages(tmp_path / "a.tdms", WAVE, [], blocks=(1000,), scale=SCALE, gaps=lost)
    said = texts(daqring.plot(log, tmp_path / "a.svg"))
    assert [text for text in said if "lost" in text] == ["3,000 lost", "2 gaps, 20,000 + ? lost", "10 lost"]
    assert "task  ·  a.tdms" in said
    # Nearer, there is room for each.
    said = texts(daqring.plot(log, tmp_path / "b.svg", start=47_000, stop=72_000))
    assert [text for text in said if "lost" in text] == ["? lost", "20,000 lost"]
    assert "ch0" in said


def test_records_tell_their_triggers_where_they_are_few(tmp_path):
    trigger = Trigger("ch0", level=4.0, hysteresis=1.0, pre=0.05, post=0.2)
    run_stages(tmp_path / "a.tdms", WAVE, [trigger], blocks=(1000,), scale=SCALE)
    # Of the task itself nothing was recorded: the records are what there is to draw.
    assert main(["plot", str(tmp_path / "a.tdms"), "-o", str(tmp_path / "a.svg")]) == 0
    count = len(daqring.open(tmp_path / "a.tdms").records)
    said = texts(tmp_path / "a.svg")
    assert f"records  ·  a.tdms  ·  {count} records" in said
    assert not any(text.startswith("record ") for text in said)
    end = daqring.open(tmp_path / "a.tdms").record(2).first_sample
    said = texts(daqring.plot(tmp_path / "a.tdms", tmp_path / "b.svg", stop=end))
    assert [text for text in said if text.startswith("record ")] == ["record 0", "record 1"]


def test_lines_are_off_or_on(tmp_path):
    port = (TIME[None] % 256).astype(np.uint8)
    run_stages(tmp_path / "a.tdms", port, [DigitalLines()], blocks=(1000,))
    options = ["--stream", "lines", "--channel", "ch0/line3", "--start", "100", "--stop", "180"]
    assert main(["plot", str(tmp_path / "a.tdms"), "-o", str(tmp_path / "a.svg"), *options]) == 0
    said = texts(tmp_path / "a.svg")
    assert "ch0/line3" in said
    assert "0.5" not in said
    assert {"0", "1"} <= set(said)


def test_nothing_to_draw_is_an_error(tmp_path, capsys):
    run_stages(tmp_path / "a.tdms", WAVE, [], blocks=(1000,), gaps={5: 5000})
    for start, stop in (("1000000", "2000000"), ("6000", "9000")):
        asked = ["--start", start, "--stop", stop]
        assert main(["plot", str(tmp_path / "a.tdms"), "-o", str(tmp_path / "a.png"), *asked]) == 1
        assert "nothing to draw of stream 'task' in that range" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()
