"""Run files: what they can say, what is told of wrong ones, and how flags and files go together."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import daqring
import daqring.cli
import daqring.sim
import nidaqmx
import numpy as np
import pytest
from daqring import task_tables
from daqring.runfile import KEYS, Run, RunFileError
from daqring.task_tables import check_task
from daqring.toml_lines import lines_of
from pattern_check import assert_pattern
from test_cli import run

RUN = """\
out = "run.tdms"
samples = 20_000

[properties]
operator = "Ada"
shift = 2

[simulation]
signal = "pattern"
clock = "unthrottled"
devices = { Dev1 = "PCIe-6363", Dev2 = "PCIe-6363" }

[[tasks]]
name = "volts"
[tasks.timing]
rate = 1e5
[[tasks.channels]]
kind = "voltage"
physical_channel = "Dev1/ai0:3"
terminal_config = "rse"
min_val = -10.0
max_val = 10.0

[[tasks]]
name = "temperatures"
timing = { rate = 1000, samps_per_chan = 5000 }
channels = [
  { kind = "thermocouple", physical_channel = "Dev2/ai0", thermocouple_type = "k" },
  { kind = "rtd", physical_channel = "Dev2/ai1", rtd_type = "PT_3851", name_to_assign_to_channel = "bath" },
]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(RUN)
    return tmp_path


def record(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("record", *arguments)


def test_a_run_file_records_several_tasks_and_is_stored_in_the_log(folder):
    result = record("run.toml")
    assert result.returncode == 0, result.stderr
    log = daqring.open("run.tdms")
    assert {"volts", "temperatures"} <= set(log.groups)
    for number in range(4):
        assert_pattern(log[f"volts/Dev1/ai{number}"].raw[:], number)
    assert len(log["temperatures/bath"]) == 20_000
    assert log["temperatures/bath"].unit == "°C"
    assert (log.properties["operator"], log.properties["shift"]) == ("Ada", 2)
    assert tomllib.loads(log.properties["daqring.run"]) == tomllib.loads(RUN)
    # What the log says of itself can be recorded again.
    (folder / "again.toml").write_text(log.properties["daqring.run"])
    again = record("again.toml", "again.tdms")
    assert again.returncode == 0, again.stderr
    assert len(daqring.open("again.tdms")["volts/Dev1/ai0"]) == 20_000


def test_flags_win_over_the_file(folder):
    result = record(
        *("run.toml", "other.tdms", "--seconds", "3", "--sync", "1 s", "--property", "operator=Bob"),
        *("--reader", "python", "--workers", "2", "--block-ms", "10", "--buffered", "--show-config"),
        *(
            "--overwrite",
            "--keep-awake",
            "--dtype",
            "float64",
            "--buffer-seconds",
            "2",
            "--product",
            "PXIe-6396",
        ),
        *("--rotate", "1 GB", "--rotate-samples", "1e9", "--keep", "2 GB", "--reserve", "1 MB"),
        *("--segment-time", "1 min", "--flush-every", "1 s"),
    )
    assert result.returncode == 0, result.stderr
    shown = tomllib.loads(result.stdout)
    assert "samples" not in shown
    expected = tomllib.loads(RUN)
    del expected["samples"]
    expected |= {"out": "other.tdms", "seconds": 3.0, "reader": "python", "workers": 2, "block_ms": 10.0}
    expected |= {"overwrite": True, "keep_awake": True, "dtype": "float64", "buffer_seconds": 2.0}
    expected["log"] = {
        **{"sync": "1 s", "direct_io": False, "rotate": "1 GB", "rotate_samples": 10**9, "keep": "2 GB"},
        **{"reserve": "1 MB", "segment_time": "1 min", "flush_every": "1 s"},
    }
    expected["properties"]["operator"] = "Bob"
    expected["simulation"]["product"] = "PXIe-6396"
    del expected["simulation"]["devices"]
    assert shown == expected
    assert not (folder / "other.tdms").exists()


def test_properties_of_a_group_and_of_a_channel(folder):
    own = '[properties.volts]\nfixture = 3\n[properties."temperatures/bath"]\nsensor = "K-12"\n\n[simulation]'
    (folder / "run.toml").write_text(RUN.replace("[simulation]", own, 1))
    result = record("run.toml", "--property", "volts:fixture=4")
    assert result.returncode == 0, result.stderr
    log = daqring.open("run.tdms")
    assert log.properties["operator"] == "Ada"
    assert log.groups["volts"].properties["fixture"] == "4"
    assert log["temperatures/bath"].properties["sensor"] == "K-12"
    (folder / "run.toml").write_text(RUN.replace("[simulation]", own.replace('"K-12"', "[1]"), 1))
    wrong = record("run.toml", "--overwrite")
    assert wrong.returncode == 1
    assert "properties.temperatures/bath.sensor: must be a text" in wrong.stderr


def test_devices_of_a_run_file_keep_all_that_is_said_of_them(folder):
    devices = """
[simulation.devices.cDAQ1Mod1]
product = "NI 9234"
chassis = "rack"
slot = 3

[simulation.devices.rack]
product = "cDAQ-9185"
hostname = "cDAQ9185-1A2B3C4"
"""
    text = RUN.replace('devices = { Dev1 = "PCIe-6363", Dev2 = "PCIe-6363" }\n', "")
    (folder / "run.toml").write_text(text + devices)
    try:
        Run.load("run.toml").prepare_driver()
        module = nidaqmx.system.Device("cDAQ1Mod1")
        assert (module.compact_daq_chassis_device.name, module.compact_daq_slot_num) == ("rack", 3)
        assert nidaqmx.system.Device("rack").tcpip_hostname == "cDAQ9185-1A2B3C4"
        for change, message in [
            (("slot = 3", "slot = 'x'"), "slot has to be a number"),
            (("slot = 3", "slt = 3"), "no key 'slt'"),
        ]:
            (folder / "run.toml").write_text(text + devices.replace(*change))
            with pytest.raises(RunFileError, match=message):
                Run.load("run.toml").prepare_driver()
    finally:
        daqring.sim.uninstall()
        daqring.sim.reset()


def test_devices_of_a_file(folder):
    (folder / "rig.toml").write_text(
        '[devices.DevX]\nproduct = "PXIe-6396"\n[devices.DevY]\nproduct = "USB-6003"\n'
        '[signals]\n"DevX/ai1" = "pattern"\n'
    )
    result = run("devices", "--simulate", "--devices", "rig.toml", "--json")
    assert [row["name"] for row in json.loads(result.stdout)] == ["DevX", "DevY"], result.stderr
    flags = ("--ai", "DevX/ai0:1", "--rate", "1e5", "--samples", "1e3", "--unthrottled")
    result = record("x.tdms", *flags, "--simulate", "--devices", "rig.toml")
    assert result.returncode == 0, result.stderr
    assert_pattern(daqring.open("x.tdms")["DevX/ai1"].raw[:], 1)
    # Instead of the devices of a run file in another folder.
    (folder / "below").mkdir()
    (folder / "run.toml").rename(folder / "below" / "run.toml")
    shown = record("below/run.toml", "--devices", "rig.toml", "--show-config")
    simulation = tomllib.loads(shown.stdout)["simulation"]
    assert simulation["devices"] == str(folder / "rig.toml")
    for wrong, message in [
        (("--simulate", "--devices", "none.toml"), "none.toml cannot be read: No such file"),
        (("--simulate", "--devices", "rig"), "give a .toml or .ini file"),
        (("--devices", "rig.toml"), "add --simulate"),
        (("--simulate", "--devices", "rig.toml", "--product", "USB-6003"), "not both"),
    ]:
        result = record("y.tdms", *flags, *wrong)
        assert result.returncode == 1, result.stdout
        assert message in result.stderr


def test_flags_alone_make_a_run_file(folder):
    flags = ("flags.tdms", "--ai", "Dev1/ai0:1", "--rate", "1e4", "--samples", "1e3", "--name", "rig")
    flags += ("--range", "-5", "5", "--terminal", "diff", "--simulate", "--pattern", "--unthrottled")
    shown = record(*flags, "--show-config")
    assert shown.returncode == 0, shown.stderr
    (folder / "made.toml").write_text(shown.stdout)
    result = record("made.toml")
    assert result.returncode == 0, result.stderr
    log = daqring.open("flags.tdms")
    assert_pattern(log["rig/Dev1/ai1"].raw[:], 1)
    assert log["rig/Dev1/ai1"].properties["maximum"] == 5.0


def test_flags_change_the_only_task_and_are_refused_for_several(folder):
    text = RUN[: RUN.index('[[tasks]]\nname = "temperatures"')]
    (folder / "one.toml").write_text(text)
    shown = tomllib.loads(record("one.toml", "--rate", "5e4", "--name", "other", "--show-config").stdout)[
        "tasks"
    ]
    assert (shown[0]["name"], shown[0]["timing"]["rate"]) == ("other", 5e4)
    assert shown[0]["channels"] == tomllib.loads(text)["tasks"][0]["channels"]
    replaced = tomllib.loads(record("one.toml", "--ai", "Dev1/ai7", "--show-config").stdout)["tasks"]
    assert replaced[0]["timing"] == {"rate": 1e5}
    assert replaced[0]["channels"][0]["physical_channel"] == "Dev1/ai7"
    for flag, value in (("--rate", "1e3"), ("--name", "x")):
        refused = record("run.toml", flag, value)
        assert refused.returncode == 1
        assert f"{flag} is for a single task; there are 2" in refused.stderr


RIG = """
import nidaqmx
from nidaqmx.constants import AcquisitionType

def make_tasks():
    task = nidaqmx.Task("mine")
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
    task.timing.cfg_samp_clk_timing(1e4, sample_mode=AcquisitionType.CONTINUOUS)
    return task
"""


def test_a_function_of_ones_own_makes_the_tasks(folder):
    (folder / "rig.py").write_text(RIG)
    simulate = ("--simulate", "--pattern", "--unthrottled", "--samples", "1000")
    result = record("own.tdms", "--from", "rig.py:make_tasks", *simulate)
    assert result.returncode == 0, result.stderr
    assert_pattern(daqring.open("own.tdms")["mine/Dev1/ai1"].raw[:], 1)
    # In a run file it is looked for beside the file.
    sub = folder / "sub"
    sub.mkdir()
    (folder / "rig.py").rename(sub / "rig.py")
    (sub / "own.toml").write_text('from = "rig.py:make_tasks"\nout = "sub.tdms"\n')
    result = record("sub/own.toml", *simulate)
    assert result.returncode == 0, result.stderr
    for wrong, message in (
        ("rig.py", "must be like rig.py:function"),
        ("absent.py:f", "there is no file absent.py"),
        ("sub/rig.py:absent", "has no function absent"),
        ("absent_module:f", "cannot be imported"),
    ):
        result = record("wrong.tdms", "--from", wrong, *simulate)
        assert result.returncode == 1
        assert message in result.stderr, result.stderr


def test_a_saved_task_is_loaded(simulator, tmp_path, monkeypatch):
    """The simulated driver saves no tasks: the place of NI MAX is taken by a function."""
    from nidaqmx.system.storage import PersistedTask

    simulator()
    names = []

    def load(self):
        names.append(self.name)
        task = nidaqmx.Task("loaded")
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(1e4, sample_mode=nidaqmx.constants.AcquisitionType.CONTINUOUS)
        return task

    monkeypatch.setattr(PersistedTask, "load", load)
    assert daqring.cli.main(["record", str(tmp_path / "x.tdms"), "--task", "MyTask", "--samples", "100"]) == 0
    assert names == ["MyTask"]
    assert len(daqring.open(tmp_path / "x.tdms")["loaded/Dev1/ai0"]) == 100


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("samples = 20_000", "samples = "), 2, "is not TOML"),
        (('out = "run.tdms"', r'out = "C:\data\run.tdms"'), 1, "not TOML: Unescaped"),
        (('out = "run.tdms"', r'out = "C:\data\run.tdms"'), 1, "in single quotes"),
        (('out = "run.tdms"', r'out = "C:\Users\me\run.tdms"'), 1, "in single quotes"),
        (('out = "run.tdms"', r'out = "C:\temp\run.tdms"'), 1, "out: 'C:\\temp\\run.tdms' cannot be a path"),
        (("samples = 20_000", "smples = 20_000"), 2, "smples: no such key; did you mean 'samples'?"),
        (("samples = 20_000", "samples = 1.5"), 2, "samples: 1.5 must be a whole number"),
        (("samples = 20_000", "seconds = -1"), 2, "seconds: -1 must be a finite number above 0"),
        (("samples = 20_000", "samples = 1\nseconds = 1"), 2, "samples: give seconds or samples, not both"),
        (("samples = 20_000", "workers = 0"), 2, "workers: 0 must be a whole number"),
        (("samples = 20_000", "overwrite = 1"), 2, "overwrite: 1 must be true or false"),
        (("samples = 20_000", "reader = 'fast'"), 2, "reader: 'fast' must be one of auto, native, python"),
        (("samples = 20_000", "history = '5 parsecs'"), 2, "history: '5 parsecs' has an unknown unit"),
        (("samples = 20_000", "metrics = true"), 2, "metrics: True must be a port"),
        (("samples = 20_000", "out2 = ''"), 2, "out2: no such key"),
        (('out = "run.tdms"', 'out = ""'), 1, "out: '' must be a text"),
        (("samples = 20_000", "from = 'x.py:f'"), 2, "from: give tasks or from, not both"),
        (("samples = 20_000", "stages = 3"), 2, "stages: must be"),
        (("[simulation]", "[[stages]]\nkind = 'statistic'\n[simulation]"), 9, "did you mean 'statistics'?"),
        (("[simulation]", "[[stages]]\nkind = 'scale'\nx = 1\n[simulation]"), 10, "no such key of the stage"),
        (("[simulation]", "[[stages]]\nkind = 'statistics'\nevery = -1\n[simulation]"), 10, "every must be"),
        (("samples = 20_000", "overflow = 'x'"), 2, "overflow: 'x' must be one of"),
        (("samples = 20_000", "times = 'x'"), 2, "times: 'x' must be one of"),
        (("samples = 20_000", "every = 0"), 2, "every: 0 must be"),
        (("samples = 20_000", "on_loss = 'x'"), 2, "on_loss: 'x' must be one of"),
        (("samples = 20_000", "no_samples = 0"), 2, "no_samples: 0 must be"),
        (("[simulation]", "[restart]\nx = 1\n[simulation]"), 9, "restart.x: no such key"),
        (("shift = 2", "shift = [2]"), 6, "properties.shift: must be a text, a number"),
        (('clock = "unthrottled"', 'clock = "fast"'), 10, "simulation.clock: 'fast' must be one of"),
        (('clock = "unthrottled"', "speed = 0"), 10, "simulation.speed: 0 must be a finite number"),
        (('clock = "unthrottled"', "sped = 0"), 10, "sped: no such key; did you mean 'speed'?"),
        (('Dev2 = "PCIe-6363"', 'Dev2 = "PCIe-1"'), 11, "simulation.devices: There is no product type"),
        (
            ('clock = "unthrottled"', "faults = [{kind='x'}]"),
            10,
            "simulation.faults[0]: must be a table",
        ),
        (("[simulation]", "[log]\nsync = '5 apples'\n[simulation]"), 9, "log.sync: '5 apples'"),
        (("[simulation]", "[log]\nkeep = '5 GB'\n[simulation]"), 9, "log.keep: "),
        (
            ("[simulation]", "[log]\nsnyc = 'block'\n[simulation]"),
            9,
            "did you mean 'sync'",
        ),
        (
            ('name = "volts"', 'nme = "volts"'),
            14,
            "no such key of a task; did you mean 'name'?",
        ),
        (('name = "volts"', "name = 3"), 14, "tasks[0].name: 3 must be a text"),
        (('name = "volts"', 'saved = "X"'), 17, "tasks[0].channels: a saved task has its channels already"),
        (("rate = 1e5", 'rate = "fast"'), 16, "tasks[0].timing.rate: "),
        (("rate = 1e5", 'source = "/Dev1/PFI0"'), 15, "tasks[0].timing: rate is missing"),
        (("rate = 1e5", 'rate = 1e5\nkind = "x"'), 17, "tasks[0].timing.kind: 'x' is no kind"),
        (('kind = "voltage"', 'kind = "volage"'), 18, "no kind of channel; did you mean 'voltage'?"),
        (('terminal_config = "rse"', 'terminal_config = "rze"'), 20, "'rze' is no TerminalConfiguration"),
        (
            ('terminal_config = "rse"', "terminal_config = 3"),
            20,
            "must be the name of a Terminal",
        ),
        (("min_val = -10.0", 'min_val = "low"'), 21, "tasks[0].channels[0].min_val: 'low' must be a number"),
        (("min_val = -10.0", "set = { ai_gain = 'x' }"), 21, "set.ai_gain: "),
        (("min_val = -10.0", "set = { ai_coupl = 'AC' }"), 21, "no property of AIChannel that can be set"),
        (("min_val = -10.0", "set = { ai_coupling = 'XX' }"), 21, "'XX' is no Coupling"),
        (("min_val = -10.0", "set = 3"), 21, "tasks[0].channels[0].set: must be a table of properties"),
        (('thermocouple_type = "k"', 'thermocouple_tpye = "k"'), 28, "did you mean 'thermocouple_type'?"),
        (
            ("[[tasks.channels]]", "[tasks.start_trigger]\nkind = 'x'\n[[tasks.channels]]"),
            18,
            "'x' is no kind",
        ),
        (
            ("[[tasks.channels]]", "[[tasks.exports]]\nsignal_id = 'X'\n[[tasks.channels]]"),
            18,
            "is no Signal",
        ),
    ],
)
def test_what_is_wrong_is_told_with_key_and_line(folder, change, line, message):
    old, new = change
    assert RUN.count(old) >= 1
    (folder / "run.toml").write_text(RUN.replace(old, new, 1))
    result = daqring_main("record", "run.toml")
    assert result[0] == 1
    assert message in result[1]
    assert f"line {line}" in result[1]
    assert not (folder / "run.tdms").exists()


def daqring_main(*arguments: str) -> tuple[int, str]:
    """The command in this process: its status and what it complains of."""
    import contextlib
    import io

    told = io.StringIO()
    with contextlib.redirect_stderr(told), daqring.sim.installed():
        try:
            status = daqring.cli.main(arguments)
        except SystemExit as left:
            status = int(left.code or 0)
    return status, told.getvalue()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out.tdms", "--simulate"], "nothing to record"),
        (["out.tdms", "second.tdms"], "several"),
        (["--ai", "Dev1/ai0", "--rate", "1e3", "--simulate"], "no file to make"),
        (["out.tdms", "--ai", "Dev1/ai0", "--simulate"], "--ai needs --rate"),
        (["out.tdms", "--ai", "Dev1/ai0", "--rate", "1", "--task", "X"], "say both what to record"),
        (["out.tdms", "--rate", "1e3", "--simulate"], "--rate is for a single task; there are 0"),
        (["run.toml", "--range", "0", "1"], "--range and --terminal are for the channels of --ai"),
        (["absent.toml"], "absent.toml: No such file"),
        (["out.tdms", "--ai", "Dev1/ai0", "--rate", "1e3", "--sync", "x", "--simulate"], "log.sync: "),
    ],
)
def test_flags_that_do_not_fit(folder, arguments, message):
    status, told = daqring_main("record", *arguments)
    assert status == 1
    assert message in told
    assert not (folder / "out.tdms").exists()


def test_every_key_is_known_to_the_recorder_or_to_us():
    import inspect

    from daqring.runfile import OUR_KEYS

    known = set(inspect.signature(daqring.Recorder.__init__).parameters)
    assert {key for key in KEYS if key not in OUR_KEYS} <= known


def test_every_kind_of_channel_of_nidaqmx_can_be_named():
    """By its own parameters without a default, no kind is refused."""
    import inspect

    from nidaqmx.task import collections

    kinds = task_tables._channel_kinds()
    methods = {method for _, method in kinds.values()}
    expected = {
        method
        for name in ("AI", "DI", "CI")
        for method in dir(getattr(collections, f"{name}ChannelCollection"))
        if method.startswith("add_")
    }
    assert methods == expected
    needed = {
        "rosette_type": "RECTANGULAR",
        "rosette_meas_types": ["PRINCIPAL_STRAIN_1"],
        "gage_orientation": 0.0,
        "voltage_setpoint": 1.0,
        "current_setpoint": 1.0,
        "output_enable": True,
    }
    for kind, (collection, method) in kinds.items():
        of = getattr(collections, collection.split("_")[0].upper() + "ChannelCollection")
        parameters = list(inspect.signature(getattr(of, method)).parameters.values())[1:]
        channel = {
            parameter.name: needed.get(parameter.name, "Dev1/x")
            for parameter in parameters
            if parameter.default is inspect.Parameter.empty
        }
        check_task({"timing": {"rate": 1}, "channels": [{"kind": kind, **channel}]})


def test_clocks_triggers_exports_and_settings_reach_the_task(simulator):
    simulator()
    table = {
        "name": "all",
        "channels": [{"physical_channel": "Dev1/ai0", "set": {"ai_term_cfg": "DIFF"}}],
        "timing": {"rate": 1e4, "source": "/Dev1/PFI0", "active_edge": "falling", "sample_mode": "finite"},
        "start_trigger": {
            "kind": "digital_edge",
            "trigger_source": "/Dev1/PFI1",
            "set": {"retriggerable": True},
        },
        "stream": {"input_buf_size": 5000},
    }
    # The simulated driver exports no signals.
    exports = [{"signal_id": "sample clock", "output_terminal": "/Dev1/PFI5"}]
    (planned,) = task_tables._Plan(table | {"exports": exports}, ()).exports
    assert planned == {"signal_id": nidaqmx.constants.Signal.SAMPLE_CLOCK, "output_terminal": "/Dev1/PFI5"}
    with task_tables.make_task(table) as task:
        assert task.name == "all"
        assert task.timing.samp_clk_src == "/Dev1/PFI0"
        assert task.timing.samp_clk_active_edge.name == "FALLING"
        assert task.timing.samp_quant_samp_mode.name == "FINITE"
        assert task.triggers.start_trigger.dig_edge_src == "/Dev1/PFI1"
        assert task.triggers.start_trigger.retriggerable is True
        assert task.in_stream.input_buf_size == 5000
        assert task.ai_channels.all.ai_term_cfg.name == "DIFF"


def test_tasks_do_not_stay_behind_where_one_cannot_be_made(simulator):
    """The names are free again."""
    simulator()
    good = {"name": "good", "channels": [{"physical_channel": "Dev1/ai0"}], "timing": {"rate": 1e3}}
    bad = {"name": "bad", "channels": [{"physical_channel": "Dev9/ai0"}], "timing": {"rate": 1e3}}
    with pytest.raises(nidaqmx.errors.DaqError):
        Run({"tasks": [good, bad]}).make_tasks()
    for table in (good, bad | {"channels": good["channels"]}):
        with task_tables.make_task(table):
            pass


DOCUMENT = '''\
# comment with a = "key"
a = 1
"b c".d = """
x = 2
""""   # quotes at the end
e = [ 1,  # [not a table]
  { f = 'it''s' },
]
[g.h]
i = {j = [1, 2], k = "]"}
[[l]]
m = 1
[[l]]
[l.n]
o = 1979-05-27T07:32:00Z
[[l.p]]
q = '\\\\'
'''


def test_lines_of_a_document():
    text = DOCUMENT.replace("'it''s'", "'its'")
    tomllib.loads(text)
    lines = lines_of(text)
    expected = {
        **{("a",): 2, ("b c",): 3, ("b c", "d"): 3, ("e",): 6, ("e", 0): 6, ("e", 1): 7, ("e", 1, "f"): 7},
        **{("g", "h"): 9, ("g", "h", "i"): 10, ("g", "h", "i", "j", 1): 10, ("g", "h", "i", "k"): 10},
        **{("l", 0): 11, ("l", 0, "m"): 12, ("l", 1): 13, ("l", 1, "n"): 14, ("l", 1, "n", "o"): 15},
        **{("l", 1, "p", 0): 16, ("l", 1, "p", 0, "q"): 17},
    }
    assert {path: lines.get(path) for path in expected} == expected


def test_a_run_file_error_is_a_task_error_of_the_package():
    assert issubclass(RunFileError, daqring.TaskError)
    with pytest.raises(RunFileError, match="nothing to record"):
        Run({}).check()


def test_the_example_of_the_page_records(folder):
    page = Path(__file__).parent.parent / "python" / "docs" / "run-files.md"
    text = page.read_text(encoding="utf-8")
    example = text[text.index("```toml\n") + 8 :]
    (folder / "page.toml").write_text(example[: example.index("```")])
    result = record("page.toml", "page.tdms", "--samples", "1e4", "--simulate", "--unthrottled")
    assert result.returncode == 0, result.stderr
    log = daqring.open(next(folder.glob("page*.tdms")))
    assert log["temperatures/Dev2/ai0"].unit == "°C"


def test_stages_of_a_run_file_are_in_the_log(folder):
    stages = """
[[stages]]
kind = "statistics"
task = "volts"
every = 0.01
[[stages]]
kind = "decimate"
task = "temperatures"
factor = 10
"""
    (folder / "staged.toml").write_text(RUN + stages)
    result = record("staged.toml", "--overflow", "fail")
    assert result.returncode == 0, result.stderr
    log = daqring.open("run.tdms")
    assert {"volts", "temperatures", "statistics", "decimated"} <= set(log.groups)
    np.testing.assert_allclose(
        log["statistics/Dev1/ai0 max"][:],
        log["volts/Dev1/ai0"][:].reshape(20, 1000).max(axis=1),
    )
    (folder / "staged.toml").write_text(RUN + stages.replace('task = "volts"\n', ""))
    assert "either every stage names its task, or none does" in record("staged.toml").stderr


@pytest.mark.parametrize(
    ("stages", "line", "message"),
    [
        (
            "kind = 'scale'\ntask = 'volts'\n[[stages]]\nkind = 'trigger'\ntask = 'volts'\nchannel = 'ai9'",
            *(7, "stages[1].channel: 'volts' has no channel 'ai9', only Dev1/ai0, "),
        ),
        (
            # The stages of the tasks alternate.
            "kind = 'scale'\ntask = 'volts'\n[[stages]]\nkind = 'scale'\nname = 'a'\ntask = 'temperatures'\n"
            "[[stages]]\nkind = 'scale'\nname = 'b'\ntask = 'volts'\n[[stages]]\nkind = 'digital_lines'\n"
            "task = 'temperatures'",
            *(12, "stages[3]: samples of type float64 have no lines"),
        ),
        (
            # The equal one of the second task is meant.
            "kind = 'trigger'\ntask = 'temperatures'\n[[stages]]\nkind = 'trigger'\ntask = 'volts'",
            *(1, "stages[0]: two groups would be named 'records'"),
        ),
        ("kind = 'trigger'\nchannel = 4", 3, "stages[0].channel: channel must be a name or a number below 4"),
        ("kind = 'scale'\ntask = 'vlts'", 3, "stages[0].task: stages were given for 'vlts'"),
        ("kind = 'scale'\nname = 'volts'\ntask = 'volts'", 3, "stages[0].name: two groups would be named"),
        (
            "kind = 'digital_lines'\ntask = 'volts'\nlines = [['x', 0, 'valve']]",
            *(4, "stages[0].lines: 'volts' has no channel 'x'"),
        ),
        (
            "kind = 'trigger'\ntask = 'volts'\n[[stages]]\nkind = 'decimate'\nfactor = 2\n"
            "task = 'volts'\nof = 'records'",
            *(4, "stages[1]: decimation cannot work on"),
        ),
    ],
)
def test_a_stage_that_does_not_fit_its_task_is_told_with_its_line(folder, stages, line, message):
    before, simulation = RUN.split("[simulation]", 1)
    (folder / "run.toml").write_text(f"{before}[[stages]]\n{stages}\n[simulation]{simulation}")
    # Lines of the parameters count from those of the [[stages]].
    shift = before.count("\n")
    status, told = daqring_main("record", "run.toml")
    assert status == 1
    assert f"run.toml, line {line + shift}: {message}" in told
    assert not (folder / "run.tdms").exists()


def test_what_is_done_after_a_loss_or_a_failure_reaches_the_recorder(folder):
    (folder / "run.toml").write_text(RUN + '\n[restart]\non = ["device error", "no samples"]\nattempts = 3\n')
    shown = record("run.toml", "--on-loss", "continue", "--no-samples", "5", "--show-config")
    assert shown.returncode == 0, shown.stderr
    (folder / "made.toml").write_text(shown.stdout)
    made = Run.load("made.toml")
    assert made.restart() == daqring.Restart(on=["device error", "no samples"], attempts=3)
    assert (made.description["on_loss"], made.description["no_samples"]) == ("continue", 5.0)
    result = record("made.toml")
    assert result.returncode == 0, result.stderr
    assert_pattern(daqring.open("run.tdms")["volts/Dev1/ai3"].raw[:], 3)
