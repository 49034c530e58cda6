"""Continuous, finite and on-demand acquisitions: positions, buffers, time-outs, overflows, ledgers."""

import threading
import time

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import DaqError, Task
from nidaqmx.constants import (
    READ_ALL_AVAILABLE,
    AcquisitionType,
    OverwriteMode,
    ReadRelativeTo,
    TaskMode,
)
from nidaqmx.errors import DaqReadError
from nidaqmx.stream_readers import AnalogSingleChannelReader, AnalogUnscaledReader


def continuous(task: Task, channels: str = "Dev1/ai0:3", rate: float = 10_000, buffer: int = 0) -> None:
    task.ai_channels.add_ai_voltage_chan(channels)
    task.timing.cfg_samp_clk_timing(rate, sample_mode=AcquisitionType.CONTINUOUS)
    if buffer:
        task.in_stream.input_buf_size = buffer


def read_codes(task: Task, count: int, timeout: float = 10.0) -> np.ndarray:
    codes = np.zeros((task.number_of_channels, count), np.int16)
    AnalogUnscaledReader(task.in_stream).read_int16(codes, count, timeout)
    return codes


def code_of(error: pytest.ExceptionInfo[DaqError]) -> int:
    return error.value.error_code


def assert_balanced(task: Task) -> sim.Ledger:
    ledger = sim.ledger(task)
    assert ledger.produced == ledger.delivered + ledger.overwritten + ledger.in_buffer
    return ledger


@pytest.mark.usefixtures("stepped")
class TestSteppedTime:
    def test_samples_come_with_time_and_are_counted(self) -> None:
        with Task() as task:
            continuous(task)
            task.start()
            assert task.in_stream.avail_samp_per_chan == 0
            sim.step(0.1)
            assert task.in_stream.avail_samp_per_chan == 1000
            codes = read_codes(task, 600)
            for channel in range(4):
                assert np.array_equal(codes[channel], sim.pattern(channel, 0, 600))
            assert task.in_stream.curr_read_pos == 600
            assert task.in_stream.avail_samp_per_chan == 400
            assert task.in_stream.total_samp_per_chan_acquired == 1000
            assert np.array_equal(read_codes(task, 400)[2], sim.pattern(2, 600, 400))
            task.stop()
        ledger = assert_balanced(task)
        assert (ledger.produced, ledger.delivered, ledger.overwritten) == (1000, 1000, 0)

    def test_a_timeout_hands_over_what_is_there_packed(self) -> None:
        with Task() as task:
            continuous(task)
            task.start()
            sim.step(0.1)
            codes = np.zeros((4, 1500), np.int16)
            with pytest.raises(DaqReadError) as error:
                AnalogUnscaledReader(task.in_stream).read_int16(codes, 1500, timeout=0)
            assert code_of(error) == -200284
            assert error.value.samps_per_chan_read == 1000
            assert task.in_stream.curr_read_pos == 1000
            # The channels are packed with the count that was read, not the count that was asked for.
            packed = codes.ravel()[:4000].reshape(4, 1000)
            for channel in range(4):
                assert np.array_equal(packed[channel], sim.pattern(channel, 0, 1000))
            assert not codes.ravel()[4000:].any()

    def test_a_waiting_read_wakes_when_its_samples_come(self) -> None:
        with Task() as task:
            continuous(task, "Dev1/ai0")
            task.start()
            got: list[np.ndarray] = []
            reader = threading.Thread(target=lambda: got.append(read_codes(task, 1000, timeout=5.0)))
            reader.start()
            sim.step(0.05)
            assert not got
            sim.step(0.05)
            reader.join(30)
            assert np.array_equal(got[0][0], sim.pattern(0, 0, 1000))

    def test_timeouts_count_in_simulated_time(self) -> None:
        with Task() as task:
            continuous(task, "Dev1/ai0", buffer=100_000_000)
            task.start()
            errors: list[DaqError] = []

            def read() -> None:
                try:
                    read_codes(task, 50_000_000, timeout=1.0)
                except DaqError as error:
                    errors.append(error)

            reader = threading.Thread(target=read)
            reader.start()
            while reader.is_alive():
                sim.step(0.01)
            assert errors[0].error_code == -200284

    def test_unread_samples_are_overwritten_and_the_count_runs_on(self) -> None:
        with Task() as task:
            continuous(task, buffer=1000)
            task.start()
            sim.step(0.1)
            read_codes(task, 100)
            sim.step(0.0101)
            with pytest.raises(DaqError) as error:
                read_codes(task, 10)
            assert code_of(error) == -200279
            sim.step(1.0)
            with pytest.raises(DaqError) as error:
                read_codes(task, 10)
            assert code_of(error) == -200279
            assert task.in_stream.total_samp_per_chan_acquired == 11_101
            ledger = assert_balanced(task)
            assert (ledger.delivered, ledger.overwritten, ledger.in_buffer) == (100, 10_001, 1000)
            assert (ledger.reads, ledger.errors) == (3, 2)

    def test_exactly_full_is_not_an_overflow(self) -> None:
        with Task() as task:
            continuous(task, buffer=1000)
            task.start()
            sim.step(0.1)
            assert read_codes(task, 1000).shape == (4, 1000)

    def test_do_not_overwrite_stops_the_acquisition(self) -> None:
        with Task() as task:
            continuous(task, buffer=1000)
            task.in_stream.overwrite = OverwriteMode.DO_NOT_OVERWRITE_UNREAD_SAMPLES
            task.start()
            sim.step(0.2)
            assert task.in_stream.total_samp_per_chan_acquired == 1000
            with pytest.raises(DaqError) as error:
                task.is_task_done()
            assert code_of(error) == -200222
            assert np.array_equal(read_codes(task, 1000)[1], sim.pattern(1, 0, 1000))
            with pytest.raises(DaqError) as error:
                read_codes(task, 1)
            assert code_of(error) == -200222
            assert_balanced(task)

    def test_overwriting_allowed_a_program_can_read_the_newest(self) -> None:
        with Task() as task:
            continuous(task, "Dev1/ai0", buffer=1000)
            task.in_stream.overwrite = OverwriteMode.OVERWRITE_UNREAD_SAMPLES
            task.in_stream.relative_to = ReadRelativeTo.MOST_RECENT_SAMPLE
            task.in_stream.offset = -100
            task.start()
            sim.step(1.0)
            assert np.array_equal(read_codes(task, 100)[0], sim.pattern(0, 9_900, 100))
            sim.step(0.05)
            assert np.array_equal(read_codes(task, 100)[0], sim.pattern(0, 10_400, 100))
            task.in_stream.relative_to = ReadRelativeTo.CURRENT_READ_POSITION
            task.in_stream.offset = 0
            assert task.in_stream.curr_read_pos == 10_500
            ledger = assert_balanced(task)
            assert ledger.delivered == 200
            assert ledger.overwritten == 9_500 - 0

    def test_reading_twice_delivers_once(self) -> None:
        with Task() as task:
            continuous(task, "Dev1/ai0")
            task.in_stream.relative_to = ReadRelativeTo.FIRST_SAMPLE
            task.start()
            sim.step(0.1)
            for _ in range(3):
                read_codes(task, 500)
            ledger = assert_balanced(task)
            assert (ledger.delivered, ledger.in_buffer) == (500, 500)

    def test_before_the_first_sample_is_refused(self) -> None:
        with Task() as task:
            continuous(task, "Dev1/ai0")
            task.in_stream.offset = -1
            task.start()
            sim.step(0.1)
            with pytest.raises(DaqError) as error:
                read_codes(task, 1)
            assert code_of(error) == -200277

    def test_finite_acquisitions_end(self) -> None:
        with Task() as task:
            task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
            task.timing.cfg_samp_clk_timing(1000, samps_per_chan=500)
            task.start()
            sim.step(0.4)
            assert not task.is_task_done()
            sim.step(0.4)
            assert task.is_task_done()
            task.wait_until_done(0)
            assert task.in_stream.total_samp_per_chan_acquired == 500
            with pytest.raises(DaqError) as error:
                read_codes(task, 501)
            assert code_of(error) == -200278
            data = task.read(READ_ALL_AVAILABLE)
            assert np.shape(data) == (2, 500)
            with pytest.raises(DaqError) as error:
                read_codes(task, 1)
            assert code_of(error) == -200278

    def test_waiting_for_a_task_that_takes_longer_times_out(self) -> None:
        with Task() as task:
            task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
            task.timing.cfg_samp_clk_timing(1000, samps_per_chan=500)
            task.start()
            with pytest.raises(DaqError) as error:
                task.wait_until_done(0)
            assert code_of(error) == -200560

    def test_positions_need_a_reserved_task(self) -> None:
        with Task() as task:
            continuous(task)
            for name in ("avail_samp_per_chan", "curr_read_pos", "total_samp_per_chan_acquired"):
                with pytest.raises(DaqError) as error:
                    getattr(task.in_stream, name)
                assert code_of(error) == -200983
            task.control(TaskMode.TASK_COMMIT)
            assert task.in_stream.total_samp_per_chan_acquired == 0
            task.start()
            sim.step(0.01)
            task.stop()
            # It was committed before the start, and is again: the count can still be read.
            assert task.in_stream.total_samp_per_chan_acquired == 100
            task.control(TaskMode.TASK_UNRESERVE)
            with pytest.raises(DaqError) as error:
                _ = task.in_stream.total_samp_per_chan_acquired
            assert code_of(error) == -200983


class TestRealTime:
    def test_a_recording_has_every_sample(self) -> None:
        with Task() as task:
            continuous(task, "Dev1/ai0:7", rate=50_000)
            task.start()
            position = 0
            for count in (1, 999, 4096, 5000, 10):
                codes = read_codes(task, count)
                for channel in range(8):
                    assert np.array_equal(codes[channel], sim.pattern(channel, position, count))
                position += count
            task.stop()
        ledger = assert_balanced(task)
        assert ledger.delivered == position
        assert ledger.overwritten == 0

    @pytest.mark.parametrize("end", ["stop", "close", "abort"])
    def test_ending_a_task_frees_a_reader_that_waits(self, end: str) -> None:
        task = Task()
        continuous(task, "Dev1/ai0")
        task.start()
        errors: list[BaseException] = []
        reading = threading.Event()

        def read() -> None:
            reading.set()
            try:
                AnalogSingleChannelReader(task.in_stream).read_many_sample(
                    np.zeros(1_000_000), 1_000_000, timeout=-1
                )
            except BaseException as error:
                errors.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        reading.wait()
        time.sleep(0.05)
        {
            "stop": task.stop,
            "close": task.close,
            "abort": lambda: task.control(TaskMode.TASK_ABORT),
        }[end]()
        reader.join(30)
        assert not reader.is_alive()
        assert isinstance(errors[0], DaqError)
        assert errors[0].error_code in ({-200278} if end == "stop" else {-88709})
        if end != "close":
            task.close()

    def test_on_demand_reads_come_at_once(self) -> None:
        with Task() as task:
            task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1", min_val=-5, max_val=5)
            first, second = task.read(), task.read(3)
            assert np.shape(first) == (2,)
            assert np.shape(second) == (2, 3)
            assert task.is_task_done()

    def test_the_speed_of_time_can_be_chosen(self) -> None:
        sim.clock("real", speed=1000.0)
        with Task() as task:
            continuous(task, "Dev1/ai0", rate=1000)
            before = time.monotonic()
            read_codes(task, 20_000, timeout=-1)
            assert time.monotonic() - before < 10  # instead of 20 s


@pytest.mark.usefixtures("unthrottled")
def test_unthrottled_nothing_waits_and_nothing_overflows() -> None:
    with Task() as task:
        continuous(task, "Dev2/ai0:7", rate=1e6, buffer=10_000)
        task.start()
        for position in range(0, 3_000_000, 300_000):
            codes = read_codes(task, 300_000)
            for channel in (0, 7):
                assert np.array_equal(codes[channel], sim.pattern(channel, position, 300_000))
            assert task.in_stream.avail_samp_per_chan == 10_000
        ledger = assert_balanced(task)
        assert ledger.delivered == 3_000_000
        assert ledger.overwritten == 0


@pytest.mark.parametrize(
    ("rate", "samples", "size"),
    [
        (100, 1000, 1_000),
        (1000, 1000, 10_000),
        (1e5, 1000, 100_000),
        (1.5e6, 1000, 1_000_000),
        (1e5, 250_000, 250_000),
    ],
)
def test_the_default_buffer_follows_rate_and_samples(rate: float, samples: int, size: int) -> None:
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(rate, sample_mode=AcquisitionType.CONTINUOUS, samps_per_chan=samples)
        assert task.in_stream.input_buf_size == size
        task.in_stream.input_buf_size = 123_456
        assert task.in_stream.input_buf_size == 123_456
        del task.in_stream.input_buf_size
        assert task.in_stream.input_buf_size == size
