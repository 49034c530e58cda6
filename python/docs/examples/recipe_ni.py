"""Producer and consumer in two threads, as NI's article on nidaqmx in Python teaches it.

One thread reads the task for a while and puts blocks on a queue. Another takes them, waits up to two
seconds for each, works on them and writes a log; it is done when the task is done and the queue is
empty. The main program waits for both and cleans up.
"""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path

import daqring.sim
import nidaqmx
import numpy as np
from nidaqmx.constants import AcquisitionType
from nidaqmx.stream_readers import AnalogMultiChannelReader

RATE = 10_000.0
CHANNELS = 4
BLOCK = 1_000


def producer(task: nidaqmx.Task, blocks: queue.Queue, seconds: float, done: threading.Event) -> None:
    reader = AnalogMultiChannelReader(task.in_stream)
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            block = np.empty((CHANNELS, BLOCK))
            reader.read_many_sample(block, BLOCK)
            blocks.put(block)
    finally:
        done.set()


def consumer(blocks: queue.Queue, path: Path, done: threading.Event) -> None:
    with path.open("w") as log:
        while not (done.is_set() and blocks.empty()):
            try:
                block = blocks.get(timeout=2.0)
            except queue.Empty:
                continue
            np.savetxt(log, block.T, fmt="%.6f", delimiter="\t")


def main(path: Path = Path("log.txt"), seconds: float = 0.5) -> Path:
    blocks: queue.Queue = queue.Queue()
    done = threading.Event()
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan(f"Dev1/ai0:{CHANNELS - 1}")
        task.timing.cfg_samp_clk_timing(RATE, sample_mode=AcquisitionType.CONTINUOUS)
        task.start()
        threads = [
            threading.Thread(target=producer, args=(task, blocks, seconds, done)),
            threading.Thread(target=consumer, args=(blocks, path, done)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        task.stop()
    return path


if __name__ == "__main__":
    daqring.sim.install()  # without hardware
    print(main(), "written")
