"""Analog outputs: on demand, buffered, with regeneration or not, read back by analog inputs."""

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import DaqError, Scale, Task
from nidaqmx.constants import (
    AcquisitionType,
    FuncGenType,
    RegenerationMode,
    UsageTypeAO,
    WriteRelativeTo,
)
from nidaqmx.stream_readers import AnalogMultiChannelReader, AnalogSingleChannelReader
from nidaqmx.stream_writers import (
    AnalogMultiChannelWriter,
    AnalogSingleChannelWriter,
    AnalogUnscaledWriter,
)

LSB = 20.0 / 65536


def loop(task: Task, output: int = 0, device: str = "Dev1") -> Task:
    """An input task on the inside of an analog output."""
    task.ai_channels.add_ai_voltage_chan(f"{device}/_ao{output}_vs_aognd", min_val=-10, max_val=10)
    return task


def output(task: Task, channels: str = "Dev1/ao0") -> Task:
    task.ao_channels.add_ao_voltage_chan(channels, min_val=-10, max_val=10)
    return task


def finite(task: Task, samples: int, rate: float = 1000.0) -> None:
    task.timing.cfg_samp_clk_timing(rate, samps_per_chan=samples)


def continuous(task: Task, rate: float = 1000.0, samples: int = 1000) -> None:
    task.timing.cfg_samp_clk_timing(rate, sample_mode=AcquisitionType.CONTINUOUS, samps_per_chan=samples)


def code(task: Task, action: object) -> int:
    with pytest.raises(DaqError) as error:
        action()  # type: ignore[operator]
    return error.value.error_code


@pytest.mark.parametrize("volts", [-10.0, -3.3, -0.001, 0.0, 0.5, 1.25, 9.999, 10.0])
@pytest.mark.parametrize("device", ["Dev1", "Dev2"])
def test_a_value_on_demand_is_read_back(device: str, volts: float) -> None:
    with Task() as out, Task() as back:
        out.ao_channels.add_ao_voltage_chan(f"{device}/ao1")
        loop(back, 1, device)
        assert back.read() == pytest.approx(0.0, abs=LSB)
        out.write(volts)
        assert back.read() == pytest.approx(volts, abs=2 * LSB)


def test_an_output_keeps_its_value_after_its_task() -> None:
    with Task() as out:
        output(out).write(2.5)
    with Task() as back:
        assert loop(back).read() == pytest.approx(2.5, abs=2 * LSB)
    sim.reset()
    sim.install()
    with Task() as back:
        assert loop(back).read() == pytest.approx(0.0, abs=2 * LSB)


def test_ground_is_zero_and_other_internal_channels_do_not_exist() -> None:
    sim.signal(None, 0.0)
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/_aognd_vs_aognd")
        assert task.read() == pytest.approx(0.0, abs=2 * LSB)
    for name in ("Dev1/_ao4_vs_aognd", "Dev3/_ao2_vs_aognd", "Dev1/_ao0", "Dev1/ao4", "Dev1/_x"):
        with Task() as task:
            assert (
                code(task, lambda name=name, task=task: task.ai_channels.add_ai_voltage_chan(name)) == -200170
            )


def test_several_channels_on_demand() -> None:
    with Task() as out, Task() as back:
        output(out, "Dev1/ao0:3")
        for channel in range(4):
            loop(back, channel)
        out.write([1.0, -2.0, 3.0, -4.0])
        assert back.read() == pytest.approx([1.0, -2.0, 3.0, -4.0], abs=2 * LSB)
        assert out.out_stream.num_chans == 4


def test_wires_connect_inputs_to_outputs() -> None:
    sim.wire("Dev1/ai3", "Dev1/ao0")
    sim.wire("Dev2/ai0", "Dev1/ao0")
    with Task() as out, Task() as back, Task() as other:
        output(out).write(4.0)
        back.ai_channels.add_ai_voltage_chan("Dev1/ai3")
        other.ai_channels.add_ai_voltage_chan("Dev2/ai0")
        assert back.read() == pytest.approx(4.0, abs=2 * LSB)
        assert other.read() == pytest.approx(4.0, abs=2 * LSB)
        sim.wire("Dev1/ai3", None)
        sim.signal("Dev1/ai3", 1.0)
        assert back.read() == pytest.approx(1.0, abs=2 * LSB)
    for wrong in [("Dev1/ao0", "Dev1/ao0"), ("Dev1/ai0", "Dev1/ai1"), ("Dev9/ai0", None)]:
        with pytest.raises(ValueError, match="is not an analog"):
            sim.wire(*wrong)


@pytest.mark.parametrize("regeneration", list(RegenerationMode))
@pytest.mark.usefixtures("stepped")
def test_a_finite_generation_is_read_back_sample_by_sample(regeneration: RegenerationMode) -> None:
    wave = np.linspace(-9, 9, 500)
    with Task() as out, Task() as back:
        output(out)
        finite(out, 500)
        out.out_stream.regen_mode = regeneration
        finite(loop(back), 600)
        assert out.write(wave) == 500
        out.start()
        back.start()
        assert not out.is_task_done()
        sim.step(1.0)
        assert out.is_task_done()
        out.wait_until_done(0)
        data = np.array(back.read(600))
        assert np.allclose(data[:500], wave, atol=2 * LSB)
        assert np.allclose(data[500:], wave[-1], atol=2 * LSB)
        assert out.out_stream.total_samp_per_chan_generated == 500
        assert out.out_stream.curr_write_pos == 500


@pytest.mark.usefixtures("stepped")
def test_a_buffer_is_generated_again_and_again() -> None:
    wave = np.sin(np.arange(100) / 100 * 2 * np.pi) * 5
    with Task() as out, Task() as back:
        continuous(output(out))
        continuous(loop(back), samples=2000)
        out.write(wave, auto_start=True)
        back.start()
        sim.step(1.234)
        assert not out.is_task_done()
        data = np.array(back.read(1234))
        assert np.allclose(data, np.resize(wave, 1234), atol=2 * LSB)
        assert out.out_stream.total_samp_per_chan_generated == 1234
        assert out.out_stream.output_buf_size == 100
        # The value at the stop stays.
        out.stop()
        sim.step(0.1)
        assert np.allclose(back.read(100)[1:], wave[33], atol=2 * LSB)


@pytest.mark.usefixtures("stepped")
def test_an_output_twice_as_fast_as_its_input() -> None:
    wave = np.arange(-50, 50) / 10
    with Task() as out, Task() as back:
        continuous(output(out), rate=2000)
        finite(loop(back), 50, rate=1000)
        out.write(wave, auto_start=True)
        back.start()
        sim.step(1.0)
        assert np.allclose(back.read(50), wave[1::2], atol=2 * LSB)


@pytest.mark.usefixtures("stepped")
def test_overwriting_a_regenerated_buffer_holds_from_its_next_round() -> None:
    with Task() as out, Task() as back:
        continuous(output(out))
        continuous(loop(back), samples=1000)
        out.write(np.full(100, 1.0), auto_start=True)
        back.start()
        sim.step(0.2)
        out.write(np.full(100, 2.0))
        sim.step(0.2)
        data = np.array(back.read(400))
        assert np.allclose(data[:200], 1.0, atol=2 * LSB)
        assert np.allclose(data[200:], 2.0, atol=2 * LSB)


@pytest.mark.usefixtures("stepped")
def test_a_stream_without_regeneration_is_every_sample_once() -> None:
    wave = np.linspace(-5, 5, 1000)
    with Task() as out, Task() as back:
        continuous(output(out))
        out.out_stream.regen_mode = RegenerationMode.DONT_ALLOW_REGENERATION
        out.out_stream.output_buf_size = 400
        continuous(loop(back), samples=1000)
        writer = AnalogSingleChannelWriter(out.out_stream)
        assert writer.write_many_sample(wave[:400]) == 400
        assert out.out_stream.space_avail == 0
        out.start()
        back.start()
        for first in range(400, 1000, 200):
            sim.step(0.2)
            assert out.out_stream.space_avail == 200
            assert writer.write_many_sample(wave[first : first + 200]) == 200
        assert out.out_stream.curr_write_pos == 1000
        sim.step(0.39)
        data = np.array(back.read(990))
        assert np.allclose(data, wave[:990], atol=2 * LSB)


@pytest.mark.usefixtures("stepped")
def test_a_generation_that_runs_dry_stops_with_an_error() -> None:
    with Task() as out, Task() as back:
        continuous(output(out))
        out.out_stream.regen_mode = RegenerationMode.DONT_ALLOW_REGENERATION
        out.write(np.linspace(0, 1, 100))
        out.start()
        continuous(loop(back), samples=1000)
        back.start()
        sim.step(0.1)
        assert not out.is_task_done()
        sim.step(0.1)
        assert code(out, out.is_task_done) == -200290
        assert code(out, lambda: out.write(np.zeros(10))) == -200290
        assert code(out, lambda: out.wait_until_done(1)) == -200290
        assert out.out_stream.total_samp_per_chan_generated == 100
        assert np.allclose(back.read(200)[100:], 1.0, atol=2 * LSB)
        out.stop()
        # The stream is gone: it has to be written again.
        assert code(out, out.start) == -200462
        out.write(np.linspace(1, 0, 100))
        out.start()


@pytest.mark.usefixtures("stepped")
def test_the_last_write_may_run_dry() -> None:
    with Task() as out:
        continuous(output(out), rate=100_000)
        out.out_stream.regen_mode = RegenerationMode.DONT_ALLOW_REGENERATION
        out.out_stream.output_buf_size = 1000
        out.write(np.zeros(1000))
        out.start()
        out._interpreter.set_write_attribute_bool(out._handle, 0x296C, True)
        sim.step(0.005)
        out.write(np.zeros(100))
        sim.step(0.010)
        out.wait_until_done(5)
        assert out.out_stream.total_samp_per_chan_generated == 1100


@pytest.mark.usefixtures("stepped")
def test_a_write_that_has_to_wait_times_out_with_what_it_wrote() -> None:
    with Task() as out:
        continuous(output(out))
        out.out_stream.regen_mode = RegenerationMode.DONT_ALLOW_REGENERATION
        out.write(np.zeros(100))
        out.start()
        sim.step(0.030)
        with pytest.raises(DaqError) as error:
            out.write(np.zeros(50), timeout=0)
        assert error.value.error_code == -200292
        assert error.value.samps_per_chan_written == 30
        assert out.out_stream.curr_write_pos == 130


def test_a_write_waits_for_space_in_real_time() -> None:
    with Task() as out:
        continuous(output(out), rate=20_000)
        out.out_stream.regen_mode = RegenerationMode.DONT_ALLOW_REGENERATION
        out.write(np.zeros(2000))
        out.start()
        for _ in range(5):
            assert out.write(np.zeros(2000), timeout=10) == 2000
        assert 8000 <= out.out_stream.total_samp_per_chan_generated <= 12000


@pytest.mark.parametrize("clock", ["real", "unthrottled"])
def test_finite_generations_end_by_themselves_and_run_again(clock: str) -> None:
    sim.clock(clock)
    with Task() as out:
        finite(output(out), 200, rate=100_000)
        out.write(np.linspace(0, 1, 200), auto_start=True)
        out.wait_until_done(5)
        out.stop()
        # A write commits the task: its buffer is still there.
        for _ in range(2):
            out.start()
            out.wait_until_done(5)
            assert out.out_stream.total_samp_per_chan_generated == 200
            out.stop()


@pytest.mark.usefixtures("unthrottled")
def test_without_a_throttle_writes_never_wait() -> None:
    with Task() as out:
        continuous(output(out), rate=1000)
        out.out_stream.regen_mode = RegenerationMode.DONT_ALLOW_REGENERATION
        out.write(np.zeros(1000))
        out.start()
        for _ in range(20):
            assert out.write(np.zeros(1000), timeout=0) == 1000
        assert out.out_stream.total_samp_per_chan_generated == 21_000


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.uint32])
@pytest.mark.usefixtures("stepped")
def test_codes_are_volts(dtype: type) -> None:
    codes = np.array([-32768, -1000, -1, 0, 1, 1000, 32767], np.int64)
    write = {
        np.int16: "write_int16",
        np.uint16: "write_uint16",
        np.int32: "write_int32",
        np.uint32: "write_uint32",
    }[dtype]
    with Task() as out, Task() as back:
        finite(output(out), 7)
        finite(loop(back), 7)
        data = codes.astype(dtype).reshape(1, 7)
        assert getattr(AnalogUnscaledWriter(out.out_stream), write)(data) == 7
        out.start()
        back.start()
        sim.step(0.01)
        assert np.allclose(back.read(7), codes * 10 / 32768, atol=2 * LSB)


@pytest.mark.usefixtures("stepped")
def test_raw_writes_are_codes_scan_by_scan() -> None:
    with Task() as out, Task() as back:
        finite(output(out, "Dev1/ao0:1"), 3)
        loop(back, 0)
        finite(loop(back, 1), 3)
        codes = np.array([100, -100, 200, -200, 300, -300], np.int16)
        assert out.out_stream.write(codes) == 3
        out.start()
        back.start()
        sim.step(0.01)
        expected = codes.reshape(3, 2).T * 10 / 32768
        assert np.allclose(back.read(3), expected, atol=2 * LSB)


@pytest.mark.usefixtures("stepped")
def test_writers_of_several_channels() -> None:
    with Task() as out, Task() as back:
        finite(output(out, "Dev1/ao0:2"), 100)
        for channel in range(3):
            loop(back, channel)
        finite(back, 100)
        waves = np.array([np.linspace(-1, 1, 100), np.zeros(100), np.linspace(5, 0, 100)])
        assert AnalogMultiChannelWriter(out.out_stream).write_many_sample(waves) == 100
        out.start()
        back.start()
        sim.step(0.2)
        data = np.zeros((3, 100))
        AnalogMultiChannelReader(back.in_stream).read_many_sample(data, 100)
        assert np.allclose(data, waves, atol=2 * LSB)


def test_one_sample_writers() -> None:
    with Task() as out, Task() as back:
        output(out, "Dev1/ao0:1")
        loop(back, 0)
        loop(back, 1)
        AnalogMultiChannelWriter(out.out_stream).write_one_sample(np.array([1.5, -1.5]))
        assert back.read() == pytest.approx([1.5, -1.5], abs=2 * LSB)
    with Task() as out, Task() as back:
        AnalogSingleChannelWriter(output(out).out_stream).write_one_sample(0.25)
        assert AnalogSingleChannelReader(loop(back).in_stream).read_one_sample() == pytest.approx(
            0.25, abs=2 * LSB
        )


@pytest.mark.usefixtures("stepped")
def test_waveforms_are_written() -> None:
    from nitypes.waveform import AnalogWaveform

    data = np.linspace(-2, 2, 50)
    with Task() as out, Task() as back:
        finite(output(out, "Dev1/ao0:1"), 50)
        loop(back, 0)
        finite(loop(back, 1), 50)
        waves = [AnalogWaveform.from_array_1d(data), AnalogWaveform.from_array_1d(-data)]
        assert out.write_waveform(waves) == 50
        out.start()
        back.start()
        sim.step(0.1)
        assert np.allclose(back.read(50), [data, -data], atol=2 * LSB)


def test_custom_scales_turn_round() -> None:
    Scale.create_lin_scale("pressure", 100.0, 50.0)
    with Task() as out, Task() as back:
        from nidaqmx.constants import VoltageUnits

        channel = out.ao_channels.add_ao_voltage_chan(
            "Dev1/ao0",
            min_val=-450,
            max_val=550,
            units=VoltageUnits.FROM_CUSTOM_SCALE,
            custom_scale_name="pressure",
        )
        assert channel.ao_dac_rng_high == 5.0
        out.write(250.0)
        assert loop(back).read() == pytest.approx(2.0, abs=2 * LSB)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (FuncGenType.SINE, [1, 0, -1, 0]),
        (FuncGenType.TRIANGLE, [1, 0, -1, 0]),
        (FuncGenType.SQUARE, [1, 1, -1, -1]),
        (FuncGenType.SAWTOOTH, [-0.5, 0, 0.5, 1]),
    ],
)
@pytest.mark.usefixtures("stepped")
def test_functions_are_generated(shape: FuncGenType, expected: list[float]) -> None:
    with Task() as out, Task() as back:
        channel = out.ao_channels.add_ao_func_gen_chan(
            "Dev1/ao0", type=shape, freq=250.0, amplitude=2.0, offset=1.0
        )
        assert channel.ao_func_gen_type == shape
        assert channel.ao_func_gen_freq == 250.0
        assert channel.ao_output_type == UsageTypeAO.FUNCTION_GENERATION
        finite(loop(back), 8, rate=1000)
        out.start()
        back.start()
        assert not out.is_task_done()
        sim.step(0.1)
        values = 1.0 + 2.0 * np.array(expected * 2)
        assert np.allclose(back.read(8), values, atol=3 * LSB)
        assert code(out, lambda: out.write(1.0)) == -200526


@pytest.mark.usefixtures("stepped")
def test_writes_relative_to_the_first_sample() -> None:
    with Task() as out, Task() as back:
        finite(output(out), 10)
        finite(loop(back), 10)
        out.write(np.zeros(10))
        out.out_stream.relative_to = WriteRelativeTo.FIRST_SAMPLE
        out.out_stream.offset = 4
        out.write(np.array([1.0, 2.0]))
        out.start()
        back.start()
        sim.step(0.1)
        assert np.allclose(back.read(10), [0, 0, 0, 0, 1, 2, 0, 0, 0, 0], atol=2 * LSB)
        out.out_stream.offset = -1
        assert code(out, lambda: out.write(np.zeros(2))) == -200287


def test_attributes_of_an_output_channel() -> None:
    with Task() as out:
        channel = out.ao_channels.add_ao_voltage_chan("Dev1/ao2", "drive", min_val=-4, max_val=4)
        assert channel.name == "drive"
        assert channel.physical_channel.name == "Dev1/ao2"
        assert (channel.ao_min, channel.ao_max) == (-4.0, 4.0)
        assert (channel.ao_dac_rng_low, channel.ao_dac_rng_high) == (-5.0, 5.0)
        assert channel.ao_resolution == 16.0
        assert channel.ao_output_type == UsageTypeAO.VOLTAGE
        coefficients = channel.ao_dev_scaling_coeff
        assert coefficients[:2] == pytest.approx([0.0, 32768 / 5])
        channel.ao_max = 8.0
        assert channel.ao_dac_rng_high == 10.0
        assert out.out_stream.raw_data_width == 2


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("regen_mode", RegenerationMode.DONT_ALLOW_REGENERATION),
        ("relative_to", WriteRelativeTo.FIRST_SAMPLE),
        ("offset", -5),
        ("sleep_time", 0.25),
        ("output_buf_size", 12345),
    ],
)
def test_write_attributes_are_kept_and_reset(attribute: str, value: object) -> None:
    with Task() as out:
        stream = output(out).out_stream
        before = getattr(stream, attribute)
        setattr(stream, attribute, value)
        assert getattr(stream, attribute) == value
        delattr(stream, attribute)
        assert getattr(stream, attribute) == before


@pytest.mark.parametrize(
    "attribute",
    [
        "accessory_insertion_or_removal_detected",
        "external_overvoltage_chans_exist",
        "open_current_loop_chans_exist",
        "overcurrent_chans_exist",
        "overloaded_chans_exist",
        "overtemperature_chans_exist",
        "power_supply_fault_chans_exist",
    ],
)
def test_nothing_overloads_an_output(attribute: str) -> None:
    with Task() as out:
        assert getattr(output(out).out_stream, attribute) is False


@pytest.mark.parametrize(
    ("physical", "low", "high", "expected"),
    [
        ("Dev1/ao0", -11.0, 10.0, -200077),
        ("Dev1/ao0", -10.0, 11.0, -200077),
        ("Dev1/ao0", 5.0, -5.0, -200082),
        ("Dev1/ai0", -10.0, 10.0, -200430),
        ("Dev1/ctr0", -10.0, 10.0, -200430),
        ("Dev1/ao7", -10.0, 10.0, -200170),
        ("Dev9/ao0", -10.0, 10.0, -200220),
        ("", -10.0, 10.0, -200170),
    ],
)
def test_outputs_that_cannot_be_are_refused(physical: str, low: float, high: float, expected: int) -> None:
    with Task() as out:
        assert (
            code(
                out,
                lambda: out.ao_channels.add_ao_voltage_chan(physical, min_val=low, max_val=high),
            )
            == expected
        )


def test_multifunction_devices_put_out_no_current() -> None:
    with Task() as out:
        assert code(out, lambda: out.ao_channels.add_ao_current_chan("Dev1/ao0")) == -200432


@pytest.mark.parametrize("volts", [10.1, -10.1, 1e9, float("nan"), float("inf")])
def test_values_out_of_reach_are_refused(volts: float) -> None:
    with Task() as out:
        output(out)
        assert code(out, lambda: out.write(volts)) == -200561


def test_what_a_write_needs() -> None:
    with Task() as out:
        output(out)
        assert code(out, lambda: out.write(1.0, auto_start=False)) == -200846
        finite(out, 100)
        assert code(out, out.start) == -200462
        out.write(np.zeros(1), auto_start=False)
        assert code(out, out.start) == -200609
    with Task() as out:
        finite(output(out), 100)
        out.write(np.zeros(100))
        # The first write made the buffer.
        assert code(out, lambda: out.write(np.zeros(1))) == -200547
        out.out_stream.regen_mode = RegenerationMode.DONT_ALLOW_REGENERATION
        assert code(out, out.start) == -200568
    with Task() as out:
        finite(output(out), 100)
        out.out_stream.output_buf_size = 100
        out.write(np.zeros(60))
        assert code(out, lambda: out.write(np.zeros(60))) == -200293
        out.out_stream.output_buf_size = 200
        assert code(out, out.start) == -200567
    with Task() as out:
        finite(output(out), 100)
        out.out_stream.output_buf_size = 0
        assert code(out, lambda: out.write(np.zeros(100))) == -200859
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        assert (
            code(task, lambda: task._interpreter.write_analog_scalar_f64(task._handle, True, 1.0, 1.0))
            == -200459
        )
    with Task() as out:
        output(out)
        assert (
            code(out, lambda: out._interpreter.write_digital_scalar_u32(out._handle, True, 1.0, 1)) == -200526
        )
        assert code(out, lambda: out._interpreter.read_analog_scalar_f64(out._handle, 1.0)) == -200460


@pytest.mark.usefixtures("stepped")
def test_beyond_the_last_sample_nothing_can_be_written() -> None:
    with Task() as out:
        finite(output(out), 100)
        out.out_stream.regen_mode = RegenerationMode.DONT_ALLOW_REGENERATION
        out.write(np.zeros(100))
        out.start()
        sim.step(0.05)
        assert code(out, lambda: out.write(np.zeros(10))) == -201132
        sim.step(0.05)
        out.wait_until_done(0)


@pytest.mark.parametrize("attribute", ["curr_write_pos", "space_avail", "total_samp_per_chan_generated"])
def test_positions_need_a_reserved_task(attribute: str) -> None:
    with Task() as out:
        finite(output(out), 10)
        assert code(out, lambda: getattr(out.out_stream, attribute)) == -200983


def test_rates_of_outputs_are_limited_by_their_number() -> None:
    with Task() as out:
        output(out)
        out.timing.cfg_samp_clk_timing(2.86e6)
        assert out.timing.samp_clk_rate == pytest.approx(2.86e6, rel=0.02)
        out.timing.cfg_samp_clk_timing(3e6)
        assert code(out, lambda: out.write(np.zeros(10))) == -200077
    with Task() as out:
        output(out, "Dev1/ao0:3")
        out.timing.cfg_samp_clk_timing(2e6)
        assert code(out, lambda: out.write(np.zeros((4, 10)))) == -200081


def test_engines_of_outputs_are_reserved() -> None:
    with Task() as first, Task() as second, Task() as third:
        finite(output(first), 100)
        first.write(np.zeros(100))
        finite(output(second, "Dev1/ao1"), 100)
        assert code(second, lambda: second.write(np.zeros(100))) == -50103
        # A value on demand is another matter, unless it is for the same output.
        output(third, "Dev1/ao2").write(1.0)
        with Task() as fourth:
            assert code(fourth, lambda: output(fourth).write(1.0)) == -50103


def test_faults_end_generations() -> None:
    with Task() as out:
        continuous(output(out))
        out.write(np.zeros(100), auto_start=True)
        sim.unplug("Dev1")
        assert code(out, lambda: out.wait_until_done(5)) == -201003
        assert code(out, lambda: out.write(np.zeros(100))) == -201003
    sim.plug("Dev1")


def test_devices_show_their_outputs() -> None:
    import nidaqmx.system

    devices = nidaqmx.system.System.local().devices
    assert [one.name for one in devices["Dev1"].ao_physical_chans] == [
        f"Dev1/ao{channel}" for channel in range(4)
    ]
    assert devices["Dev1"].ao_max_rate == 2.86e6
    assert devices["Dev1"].ao_voltage_rngs == [-5.0, 5.0, -10.0, 10.0]
    assert devices["Dev1"].ao_samp_clk_supported
    assert not devices["Dev3"].ao_samp_clk_supported
    assert len(devices["Dev1"].do_lines) == 48
    assert [one.name for one in devices["Dev1"].do_ports] == ["Dev1/port0", "Dev1/port1", "Dev1/port2"]
    assert [one.name for one in devices["Dev1"].co_physical_chans] == [f"Dev1/ctr{n}" for n in range(4)]
    assert list(devices["Dev3"].co_physical_chans) == []


@pytest.mark.usefixtures("stepped")
def test_every_n_samples_of_an_output() -> None:
    import threading

    calls: list[tuple[int, int]] = []
    enough = threading.Event()

    def called(handle: object, kind: int, samples: int, data: object) -> int:
        calls.append((kind, samples))
        if len(calls) == 5:
            enough.set()
        return 0

    with Task() as out:
        continuous(output(out))
        out.register_every_n_samples_transferred_from_buffer_event(50, called)
        out.write(np.zeros(100))
        out.start()
        sim.step(0.25)
        assert enough.wait(5)
        out.stop()
    assert calls == [(2, 50)] * 5
    with Task() as out:
        output(out)
        assert (
            code(out, lambda: out.register_every_n_samples_acquired_into_buffer_event(50, called)) == -200964
        )


def test_the_ledger_of_an_output_accounts_for_what_was_written() -> None:
    with Task("source") as out:
        finite(output(out), 100, rate=100_000)
        out.write(np.zeros(100), auto_start=True)
        out.wait_until_done(5)
        out.stop()
        ledger = sim.ledger(out)
    assert (ledger.produced, ledger.delivered, ledger.in_buffer) == (100, 100, 0)
    assert ledger.produced == ledger.delivered + ledger.overwritten + ledger.in_buffer
