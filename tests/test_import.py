"""Importing the package is cheap: it imports neither the driver's package nor anything optional."""

import subprocess
import sys

HEAVY = [
    "nidaqmx",
    "matplotlib",
    "xarray",
    "pandas",
    "h5py",
    "pyarrow",
    "zarr",
    "dask",
    "pyqtgraph",
    "asyncio",
    "http.server",
]


def test_import_brings_nothing_heavy():
    program = f"import sys, daqring; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_import_starts_no_thread():
    program = "import threading, daqring; print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
