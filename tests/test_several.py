"""Several tasks in one recorder: a reader and a group each, the order of the starts, one end for all."""

from __future__ import annotations

import threading
import time

import daqring
import daqring.sim
import nidaqmx
import nptdms
import pytest
from daqring.start_order import links
from nidaqmx.constants import AcquisitionType
from pattern_check import assert_pattern

pytestmark = pytest.mark.usefixtures("reader")

TWO = {"devices": {"Dev1": "PXIe-6396", "Dev2": "PXIe-6396"}}


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of tasks in the order in which the recorder starts them."""
    order: list[str] = []
    original = nidaqmx.Task.start

    def start(task: nidaqmx.Task) -> None:
        order.append(task.name)
        original(task)

    monkeypatch.setattr(nidaqmx.Task, "start", start)
    return order


def test_two_devices_in_one_file(make_task, tmp_path, reader):
    fast = make_task("Dev1/ai0:2", 100_000, name="fast", **TWO)
    slow = make_task("Dev2/ai1:2", 1000, name="slow")
    path = tmp_path / "run.tdms"
    report = daqring.record([fast, slow], path, seconds=2, properties={"rig": 7}, progress=False)
    assert report.complete
    assert [stream.group for stream in report.streams] == ["fast", "slow"]
    assert [stream.samples_per_channel for stream in report.streams] == [200_000, 2000]
    assert [stream.requested for stream in report.streams] == [200_000, 2000]
    assert [len(stream.channels) for stream in report.streams] == [3, 2]
    assert {stream.reader for stream in report.streams} == {report.reader} == {reader}
    assert report.group == "fast, slow"
    assert report.channels == ("Dev1/ai0", "Dev1/ai1", "Dev1/ai2", "Dev2/ai1", "Dev2/ai2")
    assert (report.samples, report.requested) == (604_000, 202_000)
    assert report.bytes == 2 * report.samples == sum(stream.bytes for stream in report.streams)
    assert report.stop_reason == "finished"
    assert "fast: 200,000 samples of 200,000 on each of 3 channels" in str(report)
    assert len(report.to_dict()["streams"]) == 2

    log = daqring.open(path)
    assert [group.name for group in log.groups.values() if not group.housekeeping] == ["fast", "slow"]
    for channel in range(3):
        assert_pattern(log[f"fast/Dev1/ai{channel}"].raw[:], channel)
    for channel in (1, 2):
        assert_pattern(nptdms.TdmsFile.read(path)["slow"][f"Dev2/ai{channel}"].raw_data, channel)
    # The clocks of all streams are in the file, beside each other.
    assert set(log.clock_pairs["stream"].tolist()) == {0, 1}
    assert daqring.verify(path).complete
    assert log.properties["daqring.requested"] == 202_000


def test_a_slave_is_started_before_the_owner_of_its_clock(make_task, tmp_path, starts):
    master = make_task("Dev1/ai0", 1000, name="master", **TWO)
    slave = make_task("Dev2/ai0", 1000, name="slave")
    slave.timing.cfg_samp_clk_timing(
        1000, source="/Dev1/ai/SampleClock", sample_mode=AcquisitionType.CONTINUOUS
    )
    path = tmp_path / "run.tdms"
    report = daqring.record([master, slave], path, samples=3000, progress=False)
    assert starts == ["slave", "master"]
    assert [stream.clock_of for stream in report.streams] == [None, "master"]
    assert [stream.samples_per_channel for stream in report.streams] == [3000, 3000]
    groups = daqring.open(path).groups
    assert groups["slave"].properties["clock_of"] == "master"
    assert groups["slave"].properties["clock_via"] == "/Dev1/ai/SampleClock"
    # What has one clock has one begin.
    assert groups["slave"].channels[0].t0 == groups["master"].channels[0].t0
    assert slave.is_task_done()
    assert master.is_task_done()


def test_a_follower_configured_for_another_rate_than_its_clock_is_refused(make_task, tmp_path):
    """It gets one sample with each of the owner's, and its times would say something else."""
    owner = make_task("Dev1/ai0", 1000, name="owner", **TWO)
    follower = make_task("Dev2/ai0", 1000, name="follower")
    source = "/Dev1/ai/SampleClock"
    follower.timing.cfg_samp_clk_timing(500, source=source, sample_mode=AcquisitionType.CONTINUOUS)
    with pytest.raises(daqring.TaskError, match=r"which has 1,000 samples per second, .* configured for 500"):
        daqring.record([owner, follower], tmp_path / "run.tdms", samples=100, progress=False)
    assert list(tmp_path.iterdir()) == []
    by_host = daqring.record(
        [owner, follower], tmp_path / "h.tdms", samples=100, times="host", progress=False
    )
    assert by_host.complete
    # A trigger is no clock.
    follower.timing.cfg_samp_clk_timing(500, sample_mode=AcquisitionType.CONTINUOUS)
    follower.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/ai/StartTrigger")
    report = daqring.record([owner, follower], tmp_path / "t.tdms", samples=100, progress=False)
    assert (report.complete, report.streams[1].clock_of) == (True, "owner")


def test_a_chain_decides_the_order(make_task, tmp_path, starts):
    tasks = [
        make_task(f"Dev{n}/ai0", 1000, name=f"t{n}", devices={f"Dev{n}": "PXIe-6396" for n in (1, 2, 3)})
        for n in (1, 2, 3)
    ]
    for task, source in ((tasks[1], 1), (tasks[2], 2)):
        task.timing.cfg_samp_clk_timing(
            1000, source=f"/Dev{source}/ai/SampleClock", sample_mode=AcquisitionType.CONTINUOUS
        )
    daqring.record(tasks, tmp_path / "run.tdms", samples=100, progress=False)
    assert starts == ["t3", "t2", "t1"]
    starts.clear()
    daqring.record([tasks[1], tasks[2], tasks[0]], tmp_path / "again.tdms", samples=100, progress=False)
    assert starts == ["t3", "t2", "t1"]


def test_tasks_without_relation_start_in_the_order_given(make_task, tmp_path, starts):
    one = make_task("Dev1/ai0", 1000, name="one", **TWO)
    two = make_task("Dev2/ai0", 1000, name="two")
    # A trigger from outside, and the own clock by its name, are no relation.
    two.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev2/PFI0")
    one.timing.cfg_samp_clk_timing(1000, source="OnboardClock", sample_mode=AcquisitionType.CONTINUOUS)
    daqring.record([two, one], tmp_path / "run.tdms", samples=100, progress=False)
    assert starts == ["two", "one"]


def test_a_circle_is_refused(make_task, tmp_path):
    one = make_task("Dev1/ai0", 1000, name="one", **TWO)
    two = make_task("Dev2/ai0", 1000, name="two")
    one.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev2/ai/StartTrigger")
    two.timing.cfg_samp_clk_timing(
        1000, source="/Dev1/ai/SampleClock", sample_mode=AcquisitionType.CONTINUOUS
    )
    with pytest.raises(daqring.TaskError, match=r"wait for each other in a circle.*'one' waits for 'two'"):
        daqring.record([one, two], tmp_path / "run.tdms", samples=10, progress=False)
    assert list(tmp_path.iterdir()) == []


class Terminals:
    """A task of which only terminals are known, to try what the simulator cannot be told."""

    def __init__(self, name, device, *, kind="ANALOG_INPUT", channel="ai0", source="", exported=""):
        class Thing:
            def __init__(self, **members):
                self.__dict__.update(members)

        class Exports(Thing):
            samp_clk_output_term = ""

        off = Thing(trig_type=Thing(name="NONE"))
        physical = Thing(name=f"{device}/{channel}")
        self.name = name
        self.channels = [Thing(chan_type=Thing(name=kind), physical_channel=physical)]
        self.devices = [Thing(name=device)]
        self.timing = Thing(samp_clk_src=source)
        self.export_signals = Exports(samp_clk_output_term=exported)
        self.triggers = Thing(
            start_trigger=off, arm_start_trigger=off, reference_trigger=off, pause_trigger=off
        )


def test_shared_lines_and_counters_relate_tasks():
    backplane = [
        Terminals("a", "Dev1", exported="/Dev1/PXI_Trig3, /Dev1/PFI5"),
        Terminals("b", "Dev2", source="/Dev2/PXI_Trig3"),
        Terminals("c", "Dev3", source="/Dev3/PFI5"),  # another device's PFI5 is another place
    ]
    found = links(backplane)
    assert (found.owner_of, found.order) == ({1: 0}, (1, 0, 2))
    counters = [
        Terminals("pulse", "Dev1", kind="COUNTER_OUTPUT", channel="ctr1"),
        Terminals("of 1", "Dev1", source="/Dev1/Ctr1InternalOutput"),
        Terminals("of 10", "Dev2", source="/Dev1/Ctr10InternalOutput"),
    ]
    found = links(counters)
    assert (found.owner_of, found.order) == ({1: 0}, (1, 0, 2))
    own = [Terminals("a", "Dev1", source="/Dev1/ai/SampleClock"), Terminals("b", "Dev2")]
    assert links(own).owner_of == {}


def test_a_start_that_fails_undoes_the_others(make_task, tmp_path):
    first = make_task("Dev1/ai0", 1_000_000, name="first", **TWO)
    second = make_task("Dev2/ai0", 1000, name="second")
    busy = make_task("Dev2/ai1", 1000, name="busy")
    busy.start()
    before = first.in_stream.input_buf_size
    kind = type(first)
    recorder = daqring.Recorder([first, second], tmp_path / "run.tdms", seconds=1)
    with pytest.raises(daqring.DriverError, match=r"task 'second': .*-50103"):
        recorder.start()
    assert list(tmp_path.iterdir()) == []
    assert first.is_task_done()
    assert first.in_stream.input_buf_size == before
    assert type(first) is kind
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("daqring")]
    with pytest.raises(RuntimeError, match="was not started"):
        recorder.wait()
    report = daqring.record(first, tmp_path / "run.tdms", samples=10, progress=False)
    assert report.complete


def test_one_task_that_cannot_be_recorded_is_named(make_task, tmp_path):
    good = make_task("Dev1/ai0", 1000, name="good", **TWO)
    bad = make_task("Dev2/ai0", 1000, name="bad")
    bad.in_stream.offset = -5
    with pytest.raises(daqring.TaskError, match=r"task 'bad': .*delete these settings"):
        daqring.record([good, bad], tmp_path / "run.tdms", samples=10, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "there are no tasks"),
        ("Dev1/ai0", "'Dev1/ai0' is none of these"),
        (None, "None is none of these"),
        ([1], "1 is no nidaqmx.Task"),
        (lambda: 5, "5, which the function made, is none of these"),
        (nidaqmx.Task, "no channels"),
    ],
)
def test_what_are_no_tasks_is_refused(simulator, tmp_path, tasks, message):
    simulator()
    with pytest.raises(daqring.TaskError, match=message):
        daqring.record(tasks, tmp_path / "run.tdms", samples=10, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_task_given_twice_is_refused(make_task, tmp_path):
    task = make_task()
    with pytest.raises(daqring.TaskError, match="given twice"):
        daqring.Recorder([task, task], tmp_path / "run.tdms")


def test_tasks_of_a_function_are_closed_at_the_end(simulator, tmp_path):
    simulator(**TWO)
    made = []

    def make():
        for device in ("Dev1", "Dev2"):
            task = nidaqmx.Task(f"on {device}")
            task.ai_channels.add_ai_voltage_chan(f"{device}/ai0")
            task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
            made.append(task)
        return made

    report = daqring.record(make, tmp_path / "run.tdms", samples=500, progress=False)
    assert (report.complete, report.group) == (True, "on Dev1, on Dev2")
    assert [task._handle for task in made] == [None, None]


def test_the_look_at_several_streams(make_task, tmp_path):
    fast = make_task("Dev1/ai0:1", 10_000, name="fast", clock="stepped", **TWO)
    slow = make_task("Dev2/ai0", 100, name="slow")
    with daqring.Recorder([fast, slow], tmp_path / "run.tdms", block_ms=100) as recorder:
        daqring.sim.step(1.0)
        deadline = time.monotonic() + 20
        while recorder.stats()["samples"] < 10_100 and time.monotonic() < deadline:
            time.sleep(0.005)
        stats = recorder.stats()
        assert recorder.wanted is None
        assert recorder.rate == 10_000
    assert [stream["name"] for stream in stats["streams"]] == ["fast", "slow"]
    assert [stream["samples"] for stream in stats["streams"]] == [10_000, 100]
    assert stats["samples"] == 10_100
    assert stats["bytes"] == 2 * (2 * 10_000 + 100)
    assert stats["wanted_mb_per_s"] == pytest.approx((4 * 10_000 + 2 * 100) / 1e6)
    assert (stats["lost"], stats["lost_unknown"], stats["gaps"]) == (0, False, 0)
    for name in ("ring_fill", "driver_fill", "ring_high_water", "driver_high_water"):
        assert 0 <= stats[name] <= 1
        assert stats[name] == max(stream[name] for stream in stats["streams"])
    for name in ("ring_margin_s", "driver_margin_s"):
        assert stats[name] == min(stream[name] for stream in stats["streams"]) > 0
    assert stats["disk_free"] > 0
    assert stats["disk_seconds"] == pytest.approx(stats["disk_free"] / 40_200)
    assert stats["slowest_write_s"] > 0
    assert all(stream["running"] for stream in stats["streams"])


def test_what_ends_one_ends_all(make_task, tmp_path):
    one = make_task("Dev1/ai0", 1000, name="one", clock="stepped", **TWO)
    two = make_task("Dev2/ai0", 1000, name="two")
    recorder = daqring.Recorder([one, two], tmp_path / "run.tdms", block_ms=100)
    recorder.start()
    daqring.sim.step(0.5)
    daqring.sim.unplug("Dev2")
    try:
        assert recorder.wait(20)
    finally:
        daqring.sim.plug("Dev2")
    with pytest.raises(daqring.DriverError, match="task 'two': ") as caught:
        recorder.close()
    report = caught.value.report
    assert [stream.stop_reason for stream in report.streams] == ["stopped", "error"]
    assert (report.stop_reason, report.streams[0].samples_per_channel) == ("error", 500)
    assert report.error == report.streams[1].error
    assert_pattern(daqring.open(tmp_path / "run.tdms")["one/Dev1/ai0"].raw[:], 0)


def test_one_that_is_done_leaves_the_others_running(make_task, tmp_path):
    endless = make_task("Dev1/ai0", 1000, name="endless", clock="stepped", **TWO)
    short = make_task("Dev2/ai0", 1000, name="short", mode=AcquisitionType.FINITE, samples=200)
    with daqring.Recorder([short, endless], tmp_path / "run.tdms", block_ms=100) as recorder:
        daqring.sim.step(0.2)
        deadline = time.monotonic() + 20
        while recorder.stats()["streams"][0]["running"] and time.monotonic() < deadline:
            time.sleep(0.005)
        assert not recorder.wait(0.3)
        daqring.sim.step(0.3)
    report = recorder.report
    assert [stream.stop_reason for stream in report.streams] == ["finished", "stopped"]
    assert [stream.samples_per_channel for stream in report.streams] == [200, 500]
    assert (report.requested, report.complete) == (None, True)


def test_all_tasks_are_guarded_and_freed(make_task, tmp_path):
    tasks = [
        make_task("Dev1/ai0", 1000, name="one", clock="stepped", **TWO),
        make_task("Dev2/ai0", 1000, name="two"),
    ]
    kinds = [type(task) for task in tasks]
    with daqring.Recorder(tasks, tmp_path / "run.tdms"):
        for task in tasks:
            with pytest.raises(daqring.TaskError, match=r"task.stop\(\) was called while"):
                task.stop()
    assert [type(task) for task in tasks] == kinds
    assert all(task.is_task_done() for task in tasks)


def test_without_a_file(make_task):
    task = make_task(name="rig")
    with daqring.Recorder(task, None, samples=5000) as recorder:
        assert recorder.wait(20)
        assert recorder.stats()["disk_free"] is None
        with pytest.raises(RuntimeError, match="no log; give it a path"):
            recorder.annotate("valve opened")
    report = recorder.report
    assert (report.files, report.io, report.file_bytes) == ((), "none", 0)
    assert (report.samples_per_channel, report.complete) == (5000, True)


def test_tasks_without_names_are_groups_of_what_they_measure(make_task, tmp_path):
    devices = {"devices": {"Dev1": "PCIe-6363", "Dev2": "PCIe-6363", "Dev3": "USB-6003"}}
    tasks = [make_task(**devices), make_task("Dev2/ai0", name="ai 2"), make_task("Dev3/ai0:1", rate=10_000)]
    assert tasks[0].name.startswith("_unnamedTask<")
    report = daqring.record(tasks, tmp_path / "run.tdms", samples=1000)
    assert [stream.group for stream in report.streams] == ["ai", "ai 2", "ai 3"]
    assert {"ai", "ai 2", "ai 3"} <= set(daqring.open(tmp_path / "run.tdms").groups)
    digital = nidaqmx.Task()
    with digital:
        digital.di_channels.add_di_chan("Dev1/port0/line0:3")
        digital.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.CONTINUOUS)
        assert daqring.record(digital, None, samples=100).group == "di"
    counter = nidaqmx.Task()
    with counter:
        counter.ci_channels.add_ci_count_edges_chan("Dev1/ctr0")
        assert daqring.record(counter, None, samples=3, every=0.01).group == "ci"
