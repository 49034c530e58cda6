"""What the simulator costs: CPU seconds for each GB of int16 that it hands over, unthrottled.

    python benches/feeding.py [--gigabytes 2] [--channels 8]

Each kind of signal is read with nidaqmx's own stream reader, 100,000 samples per channel at a time, in
rounds that take turns, and the least of each counts; the line "copy" is the same amount copied by numpy.
"""

import argparse
import resource

import daqring.sim as sim
import numpy as np
from nidaqmx import Task
from nidaqmx.constants import AcquisitionType
from nidaqmx.stream_readers import AnalogUnscaledReader

SAMPLES = 100_000
ROUNDS = 3


def spent() -> float:
    """CPU seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def feed(signal: object, channels: int, reads: int) -> float:
    """CPU seconds for so many reads of a signal."""
    sim.signal(None, signal)
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan(f"Dev2/ai0:{channels - 1}", min_val=-10, max_val=10)
        task.timing.cfg_samp_clk_timing(1e6, sample_mode=AcquisitionType.CONTINUOUS)
        reader = AnalogUnscaledReader(task.in_stream)
        out = np.zeros((channels, SAMPLES), np.int16)
        reader.read_int16(out, SAMPLES)
        before = spent()
        for _ in range(reads):
            reader.read_int16(out, SAMPLES)
        return spent() - before


def copy(channels: int, reads: int) -> float:
    """CPU seconds for copying as much."""
    source = np.ones((channels, SAMPLES), np.int16)
    out = np.zeros_like(source)
    before = spent()
    for _ in range(reads):
        np.copyto(out, source)
    return spent() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--channels", type=int, default=8)
    arguments = parser.parse_args()
    channels = arguments.channels
    read = channels * SAMPLES * 2
    reads = max(1, int(arguments.gigabytes * 1e9 / read))
    memory = np.arange(1_000_000, dtype=np.int64).astype(np.int16)
    signals: dict[str, object] = {"pattern": "pattern", "sine": "sine", "memory": memory}
    least: dict[str, float] = {}
    with sim.installed({"Dev2": "PXIe-6396"}, clock="unthrottled"):
        for _ in range(ROUNDS):
            for name, signal in signals.items():
                least[name] = min(least.get(name, float("inf")), feed(signal, channels, reads))
            least["copy"] = min(least.get("copy", float("inf")), copy(channels, reads))
    print(f"{channels} channels of int16, {reads * read / 1e9:.1f} GB in each of {ROUNDS} rounds")
    for name, seconds in least.items():
        print(f"{name:8} {seconds / (reads * read / 1e9):6.3f} CPU s/GB")


if __name__ == "__main__":
    main()
