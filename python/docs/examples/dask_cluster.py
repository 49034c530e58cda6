"""RMS of every minute of a rotation, on a local dask cluster.

`python dask_cluster.py FIRST_FILE CHANNEL`
"""

import sys

import daqring
import numpy as np
from dask.distributed import Client, LocalCluster


def rms_per_minute(path: str, name: str, client: Client) -> np.ndarray:
    channel = daqring.open(path)[name]
    per_minute = max(1, round(60 / channel.dt))
    minutes = len(channel) // per_minute
    if minutes == 0:
        per_minute, minutes = len(channel), 1
    volts = channel.to_dask()[: minutes * per_minute].rechunk(per_minute)
    squares = (volts.reshape(minutes, per_minute) ** 2).mean(axis=1)
    return np.sqrt(client.compute(squares, sync=True))


if __name__ == "__main__":
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        for minute, rms in enumerate(rms_per_minute(sys.argv[1], sys.argv[2], client)):
            print(f"minute {minute}: {rms:.6f}")
