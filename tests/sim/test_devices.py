"""Product types, chassis and modules, network devices, and devices from and to files."""

import subprocess
import sys
from pathlib import Path

import daqring.sim as sim
import nidaqmx
import numpy as np
import pytest
from nidaqmx.constants import AcquisitionType, BusType, ProductCategory
from nidaqmx.errors import DaqError
from nidaqmx.system import Device, System

RIG = ["cDAQ-9178", "NI 9234", "NI 9205", "NI 9401", "NI 9213"]


def code_of(caught: pytest.ExceptionInfo[DaqError]) -> int:
    return caught.value.error_code


def test_a_chassis_knows_its_modules() -> None:
    sim.configure(RIG)
    system = System.local()
    assert system.devices.device_names == ["cDAQ1", "cDAQ1Mod1", "cDAQ1Mod2", "cDAQ1Mod3", "cDAQ1Mod4"]
    chassis = Device("cDAQ1")
    assert chassis.product_category == ProductCategory.COMPACT_DAQ_CHASSIS
    assert [one.name for one in chassis.chassis_module_devices] == [f"cDAQ1Mod{slot}" for slot in range(1, 5)]
    module = Device("cDAQ1Mod2")
    assert module.product_category == ProductCategory.C_SERIES_MODULE
    assert module.product_type == "NI 9205"
    assert module.compact_daq_chassis_device == chassis
    assert module.compact_daq_slot_num == 2
    assert module.bus_type == BusType.COMPACT_DAQ
    assert len(module.ai_physical_chans) == 32
    assert chassis.ci_physical_chans.channel_names == [f"cDAQ1/_ctr{number}" for number in range(4)]
    assert "/cDAQ1/PFI0" in module.terminals


def test_modules_find_their_places() -> None:
    sim.configure(
        {"A": "cDAQ-9174", "AMod4": "NI 9215", "B": "cDAQ-9171", "M": "NI 9215", "AMod1": "NI 9239"}
    )
    assert Device("AMod4").compact_daq_slot_num == 4
    assert Device("M").compact_daq_chassis_device.name == "B"
    assert Device("AMod1").compact_daq_chassis_device.name == "A"


@pytest.mark.parametrize(
    ("devices", "text"),
    [
        (["NI 9234"], "needs a chassis"),
        ({"c": "cDAQ-9171", "cMod2": "NI 9234"}, "slots 1 to 1"),
        (["cDAQ-9171", "NI 9234", "NI 9215"], "no free slot"),
        (["TS-15000", "NI 9234"], "needs a chassis"),
        ([{"name": "m", "product": "NI 9234", "chassis": "nowhere"}], "is not described"),
        (
            [{"name": "c", "product": "TS-15000"}, {"name": "m", "product": "NI 9234", "chassis": "c"}],
            "does not fit",
        ),
        (
            [{"product": "cDAQ-9178"}, {"product": "NI 9234", "slot": 2}, {"product": "NI 9215", "slot": 2}],
            "holds cDAQ1Mod2 already",
        ),
        ([{"name": "d", "product": "PCIe-6363", "chassis": "c"}], "is no module"),
        ([{"name": "d", "product": "PCIe-6363", "hostname": "c"}], "no network device"),
        ([{"product": "NI 9234", "chasis": "c"}], "no key 'chasis'"),
        ([("", "PCIe-6363")], "no name"),
        (["=PCIe-6363"], "no name"),
        (["PCIe-6363", "XYZ"], "no product type"),
    ],
)
def test_rigs_that_cannot_be(devices: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        sim.configure(devices)  # type: ignore[arg-type]
    assert list(sim.devices()) == ["Dev1", "Dev2", "Dev3"]


def test_one_task_over_several_modules() -> None:
    sim.clock("unthrottled")
    sim.configure(RIG)
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("cDAQ1Mod1/ai0:3", min_val=-5, max_val=5)
        task.ai_channels.add_ai_voltage_chan("cDAQ1Mod2/ai0:1")
        task.timing.cfg_samp_clk_timing(25_600, sample_mode=AcquisitionType.CONTINUOUS)
        assert task.timing.samp_clk_rate == 25_600
        assert [one.name for one in task.devices] == ["cDAQ1Mod1", "cDAQ1Mod2"]
        data = np.array(task.read(1000))
        assert data.shape == (6, 1000)
        # 24 bits beside 16: raw samples of all channels have the width of the widest.
        assert task.in_stream.raw_data_width == 4


def test_rates_of_a_converter_with_an_oscillator_of_its_own() -> None:
    sim.configure(RIG)
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("cDAQ1Mod1/ai0", min_val=-5, max_val=5)
        for wanted, got in [
            (51_200, 51_200),
            (50_000, 51_200),
            (20_000, 25_600),
            (1_700, 13_107_200 / 256 / 30),
        ]:
            task.timing.cfg_samp_clk_timing(wanted)
            assert task.timing.samp_clk_rate == pytest.approx(got)
        for refused in (52_000, 1_000):
            task.timing.cfg_samp_clk_timing(refused)
            with pytest.raises(DaqError) as caught:
                task.start()
            assert code_of(caught) == -200077


def test_a_chassis_has_three_engines() -> None:
    sim.configure(["cDAQ-9178", *["NI 9215"] * 5])
    tasks = [nidaqmx.Task() for _ in range(4)]
    try:
        for slot, task in enumerate(tasks, 1):
            task.ai_channels.add_ai_voltage_chan(f"cDAQ1Mod{slot}/ai0")
            task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        for task in tasks[:3]:
            task.start()
        with pytest.raises(DaqError) as caught:
            tasks[3].start()
        assert code_of(caught) == -50103
        tasks[1].stop()
        tasks[3].start()
    finally:
        for task in tasks:
            task.close()


@pytest.mark.parametrize(
    ("devices", "channels", "works"),
    [
        ({"A": "PXIe-6363", "B": "PXIe-6363"}, "A/ai0, B/ai0", True),
        ({"A": "PXIe-6363", "B": "PXIe-6361"}, "A/ai0, B/ai0", True),
        ({"A": "PXIe-6396", "B": "PXIe-6376"}, "A/ai0, B/ai0", True),
        ({"A": "PXIe-4499", "B": "PXIe-4499"}, "A/ai0, B/ai0", True),
        ({"A": "USB-6363", "B": "USB-6363"}, "A/ai0, B/ai0", False),
        ({"A": "PXIe-6363", "B": "PCIe-6363"}, "A/ai0, B/ai0", False),
        ({"A": "PXIe-6363", "B": "PXIe-4499"}, "A/ai0, B/ai0", False),
        (
            {"c": "cDAQ-9174", "d": "cDAQ-9174", "cMod1": "NI 9215", "dMod1": "NI 9215"},
            "cMod1/ai0, dMod1/ai0",
            False,
        ),
        ({"A": "PXIe-6363", "c": "cDAQ-9174", "cMod1": "NI 9215"}, "A/ai0, cMod1/ai0", False),
    ],
)
def test_channel_expansion(devices: dict[str, str], channels: str, works: bool) -> None:
    sim.clock("unthrottled")
    sim.configure(devices)
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan(channels, min_val=-1, max_val=1)
        task.timing.cfg_samp_clk_timing(10_000, samps_per_chan=100)
        if works:
            assert np.array(task.read(100)).shape == (2, 100)
        else:
            with pytest.raises(DaqError) as caught:
                task.read(100)
            assert code_of(caught) == -200558


@pytest.mark.parametrize("product", sim.products())
def test_every_product_lists_itself_and_reads(product: str) -> None:
    sim.clock("unthrottled")
    module = product.startswith(("NI 9", "TS-151", "TS-152"))
    chassis = "TS-15000" if product.startswith("TS-") else "cDAQ-9189"
    sim.configure([chassis, product] if module else [product])
    device = System.local().devices[-1]
    assert device.product_type == product
    assert device.is_simulated
    inputs = device.ai_physical_chans.channel_names
    if inputs:
        rate = device.ai_max_single_chan_rate
        assert device.ai_max_multi_chan_rate <= rate
        assert device.ai_min_rate < rate
        assert len(device.ai_voltage_rngs) % 2 == 0
        kinds = device.ai_meas_types
        with nidaqmx.Task() as task:
            high = device.ai_voltage_rngs[1]
            if nidaqmx.constants.UsageTypeAI.VOLTAGE in kinds:
                task.ai_channels.add_ai_voltage_chan(inputs[0], min_val=-high, max_val=high)
            elif nidaqmx.constants.UsageTypeAI.CURRENT in kinds:
                high = device.ai_current_rngs[-1]
                task.ai_channels.add_ai_current_chan(inputs[0], min_val=-high, max_val=high)
            elif nidaqmx.constants.UsageTypeAI.BRIDGE in kinds:
                high = device.ai_bridge_rngs[-1]
                task.ai_channels.add_ai_bridge_chan(inputs[0], min_val=-high, max_val=high)
            else:
                task.ai_channels.add_ai_resistance_chan(inputs[0], min_val=0, max_val=100)
            task.timing.cfg_samp_clk_timing(rate, samps_per_chan=1000)
            assert task.timing.samp_clk_rate == pytest.approx(rate, rel=0.01)
            assert len(task.read(1000)) == 1000
            channel = task.ai_channels[0]
            bits = channel.ai_raw_samp_size
            assert channel.ai_resolution <= bits
            assert bits == (32 if channel.ai_resolution > 16 else 16)
    for line in device.di_lines.channel_names[:1]:
        with nidaqmx.Task() as task:
            task.di_channels.add_di_chan(line)
            assert task.read() in (True, False)


def test_lines_of_a_fast_digital_board() -> None:
    sim.clock("unthrottled")
    sim.configure({"Dev1": "PXIe-6537"})
    device = Device("Dev1")
    assert device.product_category == ProductCategory.DIGITAL_IO
    assert len(device.di_lines) == 32
    assert device.di_max_rate == 50e6
    with nidaqmx.Task() as task:
        task.di_channels.add_di_chan("Dev1/port0:3")
        task.timing.cfg_samp_clk_timing(50e6, samps_per_chan=1000)
        assert task.timing.samp_clk_rate == 50e6
        assert len(task.read(1000)) == 1000


def test_a_network_chassis_is_reserved_and_given_free() -> None:
    sim.clock("unthrottled")
    sim.configure(
        [
            {"name": "net", "product": "cDAQ-9185", "hostname": "cDAQ9185-1", "address": "10.0.0.7"},
            {"name": "netMod1", "product": "NI 9215"},
        ]
    )
    chassis = Device("net")
    assert chassis.bus_type == BusType.TCPIP
    assert (chassis.tcpip_hostname, chassis.tcpip_ethernet_ip) == ("cDAQ9185-1", "10.0.0.7")
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("netMod1/ai0")
        task.read()
        chassis.unreserve_network_device()
        with pytest.raises(DaqError) as caught:
            task.read()
        assert code_of(caught) == -201388
        with pytest.raises(DaqError) as caught:
            chassis.unreserve_network_device()
        assert code_of(caught) == -201388
        chassis.reserve_network_device(override_reservation=False)
        task.read()
    chassis.delete_network_device()
    assert System.local().devices.device_names == []
    again = Device.add_network_device("10.0.0.7", "other", attempt_reservation=True)
    assert again.name == "other"
    assert System.local().devices.device_names == ["other", "otherMod1"]
    assert Device("otherMod1").compact_daq_chassis_device.name == "other"
    with pytest.raises(DaqError) as caught:
        Device.add_network_device("10.0.0.8", attempt_reservation=False)
    assert code_of(caught) == -201251


def test_network_calls_need_a_network_device() -> None:
    device = Device("Dev1")
    for call in (
        lambda: device.reserve_network_device(override_reservation=True),
        device.unreserve_network_device,
        device.delete_network_device,
    ):
        with pytest.raises(DaqError) as caught:
            call()
        assert code_of(caught) == -201247
    with pytest.raises(DaqError) as caught:
        _ = device.tcpip_hostname
    assert code_of(caught) == -200197


def test_unplugging_a_chassis_takes_its_modules() -> None:
    sim.configure(RIG)
    sim.unplug("cDAQ1")
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("cDAQ1Mod2/ai0")
        with pytest.raises(DaqError) as caught:
            task.read()
        assert code_of(caught) == -201003
        sim.plug("cDAQ1")
        task.read()


@pytest.mark.parametrize("suffix", ["toml", "ini"])
def test_devices_come_back_from_the_file_that_was_saved(tmp_path: Path, suffix: str) -> None:
    sim.configure(
        [
            *RIG,
            {"name": "net", "product": "cDAQ-9188", "hostname": "host", "address": "10.1.2.3"},
            {"name": "strange name", "product": "NI 9239", "chassis": "net", "slot": 7},
            {"name": "P", "product": "PXIe-6396", "serial": 0x1ABCDEF, "pxi_chassis": 1, "slot": 4},
        ]
    )
    before = sim._control._native.sim_device_specs()
    sim.save_devices(tmp_path / f"rig.{suffix}")
    sim.configure({"Dev1": "PCIe-6363"})
    sim.configure(tmp_path / f"rig.{suffix}")
    assert sim._control._native.sim_device_specs() == before
    assert Device("P").pxi_slot_num == 4
    assert Device("strange name").compact_daq_slot_num == 7


def test_the_command_saves_the_rig(tmp_path: Path) -> None:
    rig = tmp_path / "rig.toml"
    program = (
        "import daqring.sim as sim, sys\n"
        "sim.install(['cDAQ-9178', 'NI 9234', 'PXIe-6396'])\n"
        "from daqring.cli import main\n"
        "sys.exit(main(['devices', '--save', sys.argv[1]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(rig)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    sim.configure(rig)
    assert sim.devices() == {"cDAQ1": "cDAQ-9178", "cDAQ1Mod1": "NI 9234", "Dev3": "PXIe-6396"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "rig.txt")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert ".toml or .ini" in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", '[devices.A]\nproduct = "PCIe-6363"\n\n[devices.B]\nserial = 3', "line 4, devices.B"),
        ("a.toml", '[devices.A]\nproduct = "XYZ"', "line 2, devices.A.product"),
        ("a.toml", '[devices.A]\nproduct = "PCIe-6363"\nchasis = "c"', "line 3, devices.A.chasis.*not known"),
        ("a.toml", '[devices.A]\nproduct = "PCIe-6363"\nserial = "7"', "line 3, devices.A.serial.*a number"),
        (
            "a.toml",
            '[devices."A b"]\nproduct = "PCIe-6363"\nreserved = 1',
            "line 3, devices.A b.reserved.*true or",
        ),
        ("a.toml", '[devices]\nA = "PCIe-6363"\nB = "XYZ"', "line 3, devices.B"),
        ("a.toml", '[devices.A]\nproduct = "NI 9234"', "needs a chassis"),
        ("a.toml", '[devices.A\nproduct = "NI 9234"', "not TOML.*line 1"),
        (
            "a.ini",
            "[DAQmx]\nx = 1\n[DAQmxDevice A]\nProductType = XYZ",
            r"line 4, \[DAQmxDevice A\] ProductType",
        ),
        ("a.ini", "[DAQmxDevice A]\nDevSerialNum = 1", r"line 1, \[DAQmxDevice A\]"),
        (
            "a.ini",
            "[DAQmxDevice A]\nProductType = PCIe-6363\nDevSerialNum = many",
            r"line 3, \[DAQmxDevice A\] DevSerialNum.*number",
        ),
    ],
)
def test_errors_in_files_name_line_and_key(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        sim.configure(tmp_path / name)
    assert name in str(caught.value)


def test_modules_may_stand_before_their_chassis_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rig.ini"
    path.write_text(
        "[DAQmxCDAQModule m2]\nProductType = NI 9215\nDevSerialNum = 0x0\nDevIsSimulated = 1\n"
        "CompactDAQ.ChassisDevName = box\nCompactDAQ.SlotNum = 2\n\n"
        "[DAQmxAccessory RM-24999_A/Dev1/0]\n\n[DAQmxScale twice]\nLin.Slope = 2\n\n"
        "[DAQmxCDAQChassis box]\nProductType = cDAQ-9185\nDevSerialNum = 0x0\nDevIsSimulated = 1\n"
        "BusType = TCP/IP\nTCPIP.Hostname =\nTCPIP.EthernetIP = 0.0.0.0\nTCPIP.DevIsReserved = 0\n"
    )
    sim.configure(path)
    assert sim.devices() == {"box": "cDAQ-9185", "m2": "NI 9215"}
    assert Device("m2").compact_daq_slot_num == 2
    assert Device("box").tcpip_hostname.startswith("cDAQ9185-")


def test_self_calibration_where_there_are_inputs() -> None:
    from nidaqmx._lib import lib_importer

    sim.configure({"Dev1": "PCIe-6363", "Dev2": "PXIe-6537"})
    call = lib_importer.windll.DAQmxSelfCal
    assert [call(name) for name in (b"Dev1", b"Dev2", b"Dev3")] == [0, -200445, -200220]
