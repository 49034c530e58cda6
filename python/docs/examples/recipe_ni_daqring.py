"""The same with daqring: no threads, no queue, no timeouts, and a report of what was lost."""

from __future__ import annotations

from pathlib import Path

import daqring
import daqring.sim
import nidaqmx
from nidaqmx.constants import AcquisitionType

RATE = 10_000.0
CHANNELS = 4


def main(path: Path = Path("log.tdms"), seconds: float = 0.5) -> daqring.Report:
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan(f"Dev1/ai0:{CHANNELS - 1}")
        task.timing.cfg_samp_clk_timing(RATE, sample_mode=AcquisitionType.CONTINUOUS)
        return daqring.record(task, path, seconds=seconds, overwrite=True)


if __name__ == "__main__":
    daqring.sim.install()  # without hardware
    print(main())
