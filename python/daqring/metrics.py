"""Figures of a running recorder for Prometheus, by the extra ``daqring[metrics]``."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from daqring.errors import TaskError
from daqring.monitor import VERDICTS

if TYPE_CHECKING:
    from daqring.recorder import Recorder

__all__ = ["address", "served"]

#: Name, kind, help, key of `Recorder.stats()["streams"]`, factor to base units.
OF_STREAMS = (
    ("samples", "counter", "samples per channel in the log", "samples", 1.0),
    ("bytes", "counter", "bytes of samples in the log", "bytes", 1.0),
    ("gated_samples", "counter", "samples per channel kept from the log on purpose", "gated", 1.0),
    ("lost_samples", "counter", "samples per channel that are missing, as far as counted", "lost", 1.0),
    ("gaps", "counter", "holes in the samples", "gaps", 1.0),
    ("wanted_bytes_per_second", "gauge", "what the task brings", "wanted_mb_per_s", 1e6),
    ("ring_fill_ratio", "gauge", "how full the ring is", "ring_fill", 1.0),
    ("ring_margin_seconds", "gauge", "how long the ring could still take samples", "ring_margin_s", 1.0),
    ("driver_fill_ratio", "gauge", "how full the driver's buffer is", "driver_fill", 1.0),
    (
        *("driver_margin_seconds", "gauge", "how long the driver could still wait for a reader"),
        *("driver_margin_s", 1.0),
    ),
)
#: Name, kind, help, field of `Health`, factor.
OF_RECORDER = (
    ("elapsed_seconds", "gauge", "time since the start", "elapsed", 1.0),
    ("log_bytes_per_second", "gauge", "what reached the log in the last seconds", "actual_mb_per_s", 1e6),
    ("slowest_write_seconds", "gauge", "longest time that the log took for a block", "slowest_write", 1.0),
    ("lost_unknown", "gauge", "1 where samples are missing that nobody counted", "lost_unknown", 1.0),
    ("restarts", "counter", "how often the tasks were made anew after a failure", "restarts", 1.0),
    ("restarting", "gauge", "1 while a restart is being tried: nothing is recorded", "restarting", 1.0),
    ("disk_free_bytes", "gauge", "free on the disk, above what is kept free", "disk_free", 1.0),
    ("disk_seconds", "gauge", "how long the disk lasts at the wanted rate", "disk_seconds", 1.0),
)


def address(value: int | str) -> tuple[str, int]:
    """Host and port of ``9108`` (this machine only), ``"9108"`` or ``"0.0.0.0:9108"``.

    Raises:
        TaskError: It is none of these.
    """
    host, colon, port = str(value).rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) <= 65535 or (colon and not host):
        raise TaskError(f"metrics: {value!r} is no port such as 9108 and no address such as '0.0.0.0:9108'")
    return host or "127.0.0.1", int(port)


class _Figures:
    """A collector of prometheus-client's: looks at the recorder when somebody asks."""

    def __init__(self, recorder: Recorder) -> None:
        self._watched = weakref.ref(recorder)

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        recorder = self._watched()
        if recorder is None:
            return
        try:
            health = recorder.health()
        except RuntimeError:
            return
        name = recorder.name or ""
        family = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
        verdict = GaugeMetricFamily("daqring_verdict", "0 GOOD, 1 WATCH, 2 BAD", labels=["recorder"])
        verdict.add_metric([name], VERDICTS[health.verdict])
        yield verdict
        for metric, kind, help_text, key, factor in OF_RECORDER:
            value = getattr(health, key)
            if value is not None:
                made = family[kind](f"daqring_{metric}", help_text, labels=["recorder"])
                made.add_metric([name], float(value) * factor)
                yield made
        for metric, kind, help_text, key, factor in OF_STREAMS:
            made = family[kind](f"daqring_{metric}", help_text, labels=["recorder", "task"])
            for stream in health.streams:
                made.add_metric([name, stream["name"]], float(stream[key]) * factor)
            yield made


@contextlib.contextmanager
def served(recorder: Recorder, where: int | str) -> Iterator[tuple[str, int]]:
    """Answers HTTP requests with the figures of a recorder; gives host and port.

    Without a host it listens on this machine only (127.0.0.1). Port 0 takes a free one.

    Raises:
        TaskError: The address is none, or prometheus-client is not installed.
        OSError: The address is taken.
    """
    host, port = address(where)
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise TaskError("metrics need prometheus-client: pip install 'daqring[metrics]'") from None
    registry = CollectorRegistry()
    registry.register(_Figures(recorder))
    server, thread = start_http_server(port, host, registry)
    try:
        yield host, server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
