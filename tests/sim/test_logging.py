"""The driver's own logging: real TDMS files, opened with npTDMS and with daqring."""

import os
import threading
import time
from pathlib import Path

import daqring
import daqring.sim as sim
import nidaqmx
import numpy as np
import pytest
from nidaqmx.constants import AcquisitionType, LoggingMode, LoggingOperation
from nidaqmx.errors import DaqError
from nptdms import TdmsFile


def code_of(caught: pytest.ExceptionInfo[DaqError]) -> int:
    return caught.value.error_code


def make(task: nidaqmx.Task, channels: str = "Dev1/ai0:1", samples: int = 1000, rate: float = 10_000) -> None:
    task.ai_channels.add_ai_voltage_chan(channels)
    task.timing.cfg_samp_clk_timing(rate, sample_mode=AcquisitionType.FINITE, samps_per_chan=samples)


def codes(group: object, channel: str) -> object:
    return group[channel].raw_data[:]  # type: ignore[index]


def test_log_and_read_writes_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.tdms"
    with nidaqmx.Task("Mine") as task:
        make(task)
        task.in_stream.configure_logging(path, LoggingMode.LOG_AND_READ)
        data = np.array(task.read(1000))
        assert task.in_stream.logging_mode == LoggingMode.LOG_AND_READ
        assert task.in_stream.logging_file_path == path
    file = TdmsFile.read(path)
    assert [group.name for group in file.groups()] == ["Mine"]
    assert [channel.name for channel in file["Mine"].channels()] == ["Dev1/ai0", "Dev1/ai1"]
    for index, channel in enumerate(file["Mine"].channels()):
        assert np.array_equal(channel[:], data[index])
        assert np.array_equal(channel.raw_data, sim.pattern(index, 0, 1000))
        assert channel.properties["unit_string"] == "Volts"
        assert channel.properties["NI_ChannelName"] == channel.name
        assert channel.properties["wf_increment"] == pytest.approx(1e-4)
        started = channel.properties["wf_start_time"].astype("datetime64[ms]").astype(np.int64) / 1e3
        assert abs(started - time.time()) < 60
    assert np.array_equal(daqring.open(path)["Dev1/ai1"][:], data[1])


def test_codes_are_raw_data_of_daqmx(tmp_path: Path) -> None:
    """The form of NI's driver: rows of codes, a scaler, and the polynomial as the second scale."""
    path = tmp_path / "data.tdms"
    with nidaqmx.Task("Raw") as task:
        make(task, "Dev2/ai0:2", samples=200_000, rate=1e6)
        task.in_stream.configure_logging(path)
        data = np.array(task.read(200_000))
        coefficients = task.ai_channels["Dev2/ai1"].ai_dev_scaling_coeff
    lead_in = path.read_bytes()[:8]
    assert lead_in[:4] == b"TDSm"
    assert int.from_bytes(lead_in[4:], "little") == 0x8E  # metadata, new list, raw data, DAQmx
    group = TdmsFile.read(path)["Raw"]
    log = daqring.open(path)
    for index, channel in enumerate(group.channels()):
        assert np.array_equal(channel[:], data[index])
        assert list(channel.raw_scaler_data) == [0]
        assert np.array_equal(channel.raw_scaler_data[0] >> 2, sim.pattern(index, 0, 200_000) >> 2)
        assert np.array_equal(log[channel.name][:], data[index])
        assert channel.properties["NI_Scaling_Status"] == "unscaled"
        assert channel.properties["NI_Number_Of_Scales"] == 2
        assert channel.properties["NI_Scale[1]_Polynomial_Input_Source"] == 0
    found = [group["Dev2/ai1"].properties[f"NI_Scale[1]_Polynomial_Coefficients[{k}]"] for k in range(4)]
    assert found == coefficients


def test_only_what_is_read_is_logged_with_log_and_read(tmp_path: Path) -> None:
    path = tmp_path / "data.tdms"
    with nidaqmx.Task("T") as task:
        make(task)
        task.in_stream.configure_logging(path)
        task.start()
        task.read(300)
        task.read(200)
        task.stop()
    assert np.array_equal(codes(TdmsFile.read(path)["T"], "Dev1/ai0"), sim.pattern(0, 0, 500))


def test_log_mode_refuses_reads_and_logs_everything(tmp_path: Path) -> None:
    path = tmp_path / "data.tdms"
    with nidaqmx.Task("T") as task:
        make(task, samples=5000, rate=50_000)
        task.in_stream.configure_logging(path, LoggingMode.LOG, "The group", LoggingOperation.CREATE)
        task.start()
        with pytest.raises(DaqError) as caught:
            task.read(10)
        assert code_of(caught) == -201301
        task.wait_until_done()
        task.stop()
        ledger = sim.ledger(task)
        assert (ledger.produced, ledger.delivered) == (5000, 5000)
    group = TdmsFile.read(path)["The group"]
    for index in range(2):
        assert np.array_equal(codes(group, f"Dev1/ai{index}"), sim.pattern(index, 0, 5000))


def test_log_mode_continuously_until_the_stop(tmp_path: Path) -> None:
    path = tmp_path / "data.tdms"
    with nidaqmx.Task("T") as task:
        task.ai_channels.add_ai_voltage_chan("Dev2/ai0:3")
        task.timing.cfg_samp_clk_timing(100_000, sample_mode=AcquisitionType.CONTINUOUS)
        task.in_stream.configure_logging(path, LoggingMode.LOG)
        task.start()
        time.sleep(0.35)
        task.stop()
        ledger = sim.ledger(task)
        assert ledger.produced == ledger.delivered >= 35_000
        assert ledger.in_buffer == ledger.overwritten == 0
    group = TdmsFile.read(path)["T"]
    for index in range(4):
        assert np.array_equal(codes(group, f"Dev2/ai{index}"), sim.pattern(index, 0, ledger.produced))


def test_log_mode_in_stepped_time(tmp_path: Path, stepped: None) -> None:
    path = tmp_path / "data.tdms"
    with nidaqmx.Task("T") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        task.in_stream.configure_logging(path, LoggingMode.LOG)
        task.start()
        for _ in range(3):
            sim.step(0.111)
        task.stop()
    assert len(TdmsFile.read(path)["T"]["Dev1/ai0"]) == 333


def test_groups_are_appended_under_new_names(tmp_path: Path) -> None:
    path = tmp_path / "data.tdms"
    for _ in range(3):
        with nidaqmx.Task("T") as task:
            make(task, samples=100)
            task.in_stream.configure_logging(path, group_name="Voltage")
            task.read(100)
    file = TdmsFile.read(path)
    assert [group.name for group in file.groups()] == ["Voltage", "Voltage #1", "Voltage #2"]
    assert all(len(group["Dev1/ai0"]) == 100 for group in file.groups())
    with nidaqmx.Task("T") as task:
        make(task, samples=100)
        task.in_stream.configure_logging(
            path, group_name="Voltage", operation=LoggingOperation.CREATE_OR_REPLACE
        )
        task.read(100)
    assert [group.name for group in TdmsFile.read(path).groups()] == ["Voltage"]


@pytest.mark.parametrize(
    ("operation", "before", "code"),
    [
        (LoggingOperation.CREATE, "tdms", -201309),
        (LoggingOperation.OPEN, None, -201304),
        (LoggingOperation.OPEN, "text", -201303),
        (LoggingOperation.OPEN_OR_CREATE, "text", -201303),
        (LoggingOperation.OPEN_OR_CREATE, "directory", -201303),
        (LoggingOperation.CREATE_OR_REPLACE, "directory", -201302),
    ],
)
def test_files_that_cannot_be_opened(
    tmp_path: Path, operation: LoggingOperation, before: str | None, code: int
) -> None:
    path = tmp_path / "data.tdms"
    if before == "text":
        path.write_text("this is no TDMS file")
    elif before == "directory":
        path.mkdir()
    elif before == "tdms":
        path.touch()
    with nidaqmx.Task("T") as task:
        make(task, samples=100)
        task.in_stream.configure_logging(path, operation=operation)
        with pytest.raises(DaqError) as caught:
            task.start()
        assert code_of(caught) == code
        assert "data.tdms" in str(caught.value)
        # The task can go on without the log.
        task.in_stream.logging_mode = LoggingMode.OFF
        assert len(task.read(100)[0]) == 100


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with nidaqmx.Task() as task:
        make(task, samples=100)
        task.in_stream.configure_logging(tmp_path / "no" / "data.tdms")
        with pytest.raises(DaqError) as caught:
            task.start()
        assert code_of(caught) == -201304


def test_two_tasks_cannot_log_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "data.tdms"
    with nidaqmx.Task() as one, nidaqmx.Task() as two:
        make(one, "Dev1/ai0")
        make(two, "Dev2/ai0")
        one.in_stream.configure_logging(path)
        two.in_stream.configure_logging(path)
        one.start()
        with pytest.raises(DaqError) as caught:
            two.start()
        assert code_of(caught) == -201311
        one.stop()
        two.start()


def test_files_of_so_many_samples(tmp_path: Path) -> None:
    path = tmp_path / "data.tdms"
    with nidaqmx.Task("T") as task:
        make(task, samples=1000)
        task.in_stream.configure_logging(path)
        task.in_stream.logging_samps_per_file = 300
        task.start()
        for count in (250, 250, 500):
            task.read(count)
    parts = [codes(TdmsFile.read(tmp_path / name)["T"], "Dev1/ai0") for name in sorted(os.listdir(tmp_path))]
    assert sorted(os.listdir(tmp_path)) == [
        "data.tdms",
        "data_0001.tdms",
        "data_0002.tdms",
        "data_0003.tdms",
    ]
    assert [len(part) for part in parts] == [300, 300, 300, 100]  # type: ignore[arg-type]
    assert np.array_equal(np.concatenate(parts), sim.pattern(0, 0, 1000))  # type: ignore[arg-type]
    starts = [
        TdmsFile.read(tmp_path / name)["T"]["Dev1/ai0"].properties["wf_start_time"]
        for name in ("data.tdms", "data_0001.tdms")
    ]
    assert (starts[1] - starts[0]).astype("timedelta64[us]").astype(int) == pytest.approx(30_000, abs=2)


def test_start_new_file(tmp_path: Path) -> None:
    with nidaqmx.Task("T") as task:
        make(task)
        task.in_stream.configure_logging(tmp_path / "a.tdms")
        with pytest.raises(DaqError) as caught:
            task.in_stream.start_new_file(tmp_path / "b.tdms")
        assert code_of(caught) == -200475
        task.start()
        task.read(400)
        task.in_stream.start_new_file(tmp_path / "b.tdms")
        task.read(600)
    assert np.array_equal(codes(TdmsFile.read(tmp_path / "a.tdms")["T"], "Dev1/ai1"), sim.pattern(1, 0, 400))
    assert np.array_equal(
        codes(TdmsFile.read(tmp_path / "b.tdms")["T"], "Dev1/ai1"), sim.pattern(1, 400, 600)
    )


def test_a_pause_makes_a_new_group(tmp_path: Path) -> None:
    path = tmp_path / "data.tdms"
    with nidaqmx.Task("T") as task:
        make(task)
        task.in_stream.configure_logging(path)
        task.start()
        task.read(100)
        task.in_stream.logging_pause = True
        task.read(300)
        task.in_stream.logging_pause = False
        task.read(600)
    file = TdmsFile.read(path)
    assert [group.name for group in file.groups()] == ["T", "T #1"]
    assert np.array_equal(codes(file["T"], "Dev1/ai0"), sim.pattern(0, 0, 100))
    assert np.array_equal(codes(file["T #1"], "Dev1/ai0"), sim.pattern(0, 400, 600))


def test_sensors_are_logged_in_their_units_and_wide_codes_as_such(tmp_path: Path) -> None:
    sim.configure({"Dev1": "PCIe-6363", "Dev2": "PXIe-4499"})
    sim.clock("unthrottled")
    with nidaqmx.Task("TC") as task:
        task.ai_channels.add_ai_thrmcpl_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=100)
        task.in_stream.configure_logging(tmp_path / "tc.tdms")
        values = np.array(task.read(100))
    channel = TdmsFile.read(tmp_path / "tc.tdms")["TC"]["Dev1/ai0"]
    assert channel.dtype == np.float64
    assert np.array_equal(channel[:], values)
    assert channel.properties["unit_string"] == "Deg C"
    with nidaqmx.Task("W") as task:
        task.ai_channels.add_ai_voltage_chan("Dev2/ai0")
        task.timing.cfg_samp_clk_timing(10_000, samps_per_chan=100)
        task.in_stream.configure_logging(tmp_path / "w.tdms")
        values = np.array(task.read(100))
    channel = TdmsFile.read(tmp_path / "w.tdms")["W"]["Dev2/ai0"]
    assert channel.raw_data.dtype == np.int32
    assert np.array_equal(channel[:], values)


def test_digital_lines_are_logged(tmp_path: Path) -> None:
    sim.clock("unthrottled")
    with nidaqmx.Task("D") as task:
        task.di_channels.add_di_chan("Dev1/port0")
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=100)
        task.in_stream.configure_logging(tmp_path / "d.tdms")
        values = np.array(task.read(100), dtype=np.uint32)
    assert np.array_equal(TdmsFile.read(tmp_path / "d.tdms")["D"]["Dev1/port0"][:], values)


def test_a_file_per_run(tmp_path: Path) -> None:
    path = tmp_path / "data.tdms"
    with nidaqmx.Task("T") as task:
        make(task, samples=100)
        task.in_stream.configure_logging(path)
        for _ in range(2):
            task.read(100)
            task.stop()
    assert [group.name for group in TdmsFile.read(path).groups()] == ["T", "T #1"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda stream: setattr(stream, "logging_file_path", None), -201304),
        (lambda stream: setattr(stream, "offset", -10), -201300),
        (lambda stream: setattr(stream, "logging_file_write_size", 3), -201382),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, change: object, code: int) -> None:
    with nidaqmx.Task() as task:
        make(task)
        task.in_stream.configure_logging(tmp_path / "data.tdms")
        change(task.in_stream)  # type: ignore[operator]
        with pytest.raises(DaqError) as caught:
            task.start()
        assert code_of(caught) == code
    assert list(tmp_path.iterdir()) == []


def test_write_size_and_samples_per_file_fit_each_other(tmp_path: Path) -> None:
    with nidaqmx.Task() as task:
        make(task)
        stream = task.in_stream
        stream.configure_logging(tmp_path / "data.tdms", LoggingMode.LOG)
        stream.logging_file_write_size = 256
        stream.logging_samps_per_file = 300
        with pytest.raises(DaqError) as caught:
            task.start()
        assert code_of(caught) == -201402
        stream.logging_samps_per_file = 512
        stream.logging_file_preallocation_size = 4096
        assert (stream.logging_file_write_size, stream.logging_file_preallocation_size) == (256, 4096)
        task.start()
        task.wait_until_done()
        task.stop()
    assert len(list(tmp_path.iterdir())) == 2


def test_logging_needs_a_clock(tmp_path: Path) -> None:
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.in_stream.configure_logging(tmp_path / "data.tdms")
        with pytest.raises(DaqError) as caught:
            task.read()
        assert code_of(caught) == -201299


def test_attributes_of_logging() -> None:
    with nidaqmx.Task() as task:
        make(task, samples=10)
        stream = task.in_stream
        assert stream.logging_mode == LoggingMode.OFF
        assert stream.logging_file_path is None
        assert stream.logging_tdms_operation == LoggingOperation.OPEN_OR_CREATE
        stream.logging_tdms_group_name = "g"
        assert stream.logging_tdms_group_name == "g"
        del stream.logging_tdms_group_name
        assert stream.logging_tdms_group_name == ""
        for attribute, value in ((0x2EC5, 7), (0x2EC7, 1)):
            with pytest.raises(DaqError) as caught:
                task._interpreter.set_read_attribute_int32(task._handle, attribute, value)
            assert code_of(caught) == -200077
            assert "You Can Select" in str(caught.value)
        with pytest.raises(DaqError) as caught:
            task._interpreter.configure_logging(task._handle, "x", 1, "", 15846)
        assert code_of(caught) == -200077
        task.start()
        with pytest.raises(DaqError) as caught:
            stream.logging_mode = LoggingMode.LOG
        assert code_of(caught) == -200557
        with pytest.raises(DaqError) as caught:
            stream.configure_logging("x")
        assert code_of(caught) == -200557


def test_a_stop_from_another_thread_and_a_close_end_the_log(tmp_path: Path) -> None:
    for end in ("stop", "close"):
        path = tmp_path / f"{end}.tdms"
        task = nidaqmx.Task(end)
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.CONTINUOUS)
        task.in_stream.configure_logging(path, LoggingMode.LOG)
        task.start()
        time.sleep(0.25)
        thread = threading.Thread(target=getattr(task, end))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        if end == "stop":
            task.close()
        values = codes(TdmsFile.read(path)[end], "Dev1/ai0")
        assert len(values) >= 1000  # type: ignore[arg-type]
        assert np.array_equal(values, sim.pattern(0, 0, len(values)))  # type: ignore[arg-type]


def test_a_device_that_goes_away_ends_the_log_readably(tmp_path: Path) -> None:
    path = tmp_path / "data.tdms"
    sim.fault("Dev1", "unplugged", after=2500)
    with nidaqmx.Task("T") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.CONTINUOUS)
        task.in_stream.configure_logging(path, LoggingMode.LOG)
        task.start()
        with pytest.raises(DaqError) as caught:
            task.wait_until_done(5)
        assert code_of(caught) == -201003
        task.stop()
    assert np.array_equal(codes(TdmsFile.read(path)["T"], "Dev1/ai0"), sim.pattern(0, 0, 2500))
