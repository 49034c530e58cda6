"""What recorders on this machine tell each other's viewers: a small file each, replaced as a whole.

A recorder writes ``NAME.json`` in the user's runtime folder twice a second and looks for a file
``NAME.stop`` there. It waits for nobody: a viewer that hangs, or was stopped in the middle of a
read, holds nothing that the recorder needs. A file whose process is gone is recognised by the
number of the process and the time when it began.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import json
import logging
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

__all__ = ["Publisher", "Status", "ask", "recorders", "request_stop", "running", "runtime_folder"]

logger = logging.getLogger("daqring")

#: Seconds between two signs of life, and without one until a recorder counts as stalled.
PERIOD = 0.5
STALLED_AFTER = 5.0
#: Seconds for which a recorder that died is still told.
REMEMBERED = 24 * 3600.0
#: How often, and after how many seconds, a file is tried again that somebody else has open.
TRIES, PAUSE = 20, 0.01

_Result = TypeVar("_Result")


def runtime_folder() -> Path:
    """The folder of the status files: of this user alone, or ``DAQRING_RUNTIME_DIR``.

    Raises:
        OSError: There is none, or somebody else's is in its place.
    """
    if chosen := os.environ.get("DAQRING_RUNTIME_DIR"):
        folder = Path(chosen)
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or tempfile.gettempdir()) / "daqring" / "run"
    elif base := os.environ.get("XDG_RUNTIME_DIR"):
        folder = Path(base) / "daqring"
    else:
        folder = Path(tempfile.gettempdir()) / f"daqring-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform != "win32" and not chosen:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else; set DAQRING_RUNTIME_DIR")
    return folder


@dataclasses.dataclass(frozen=True)
class Status:
    """A recorder as its file tells it."""

    name: str
    #: running, finishing (reading has ended), stalled (no sign of life), gone (its process ended).
    state: Literal["running", "finishing", "stalled", "gone"]
    pid: int
    #: What is recorded into: the path as it was given; empty without a log.
    path: str
    #: Seconds since its last sign of life.
    age: float
    #: As of :meth:`daqring.health.Health.to_dict`; ``None`` before the first look.
    health: dict[str, Any] | None
    #: Names of its triggers, which :func:`ask` can be asked to capture by.
    triggers: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """That of the health, and BAD where the recorder does not answer."""
        if self.state in ("stalled", "gone") or self.health is None:
            return "BAD" if self.state != "running" else "WATCH"
        return str(self.health["verdict"])

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self) | {"verdict": self.verdict}


class Publisher:
    """The file of one recorder in this process, from its claim to :meth:`withdraw`.

    Raises:
        OSError: No file can be made.
    """

    def __init__(self, name: str, path: str, triggers: Sequence[str] = ()) -> None:
        import psutil

        self._triggers = list(triggers)
        self._folder = runtime_folder()
        self._began = psutil.Process().create_time()
        self._path = path
        plain = re.sub(r"[^\w.-]+", "_", name).strip("._") or "recorder"
        self.name = self._claim(plain)
        self._file = self._folder / f"{self.name}.json"
        self._stop_file = self._folder / f"{self.name}.stop"
        with contextlib.suppress(FileNotFoundError):
            self._stop_file.unlink()
        self.asked()
        self.publish("running", None)

    def _claim(self, plain: str) -> str:
        """A name that no other recorder that lives has; its file is made."""
        for number in range(1, 1000):
            name = plain if number == 1 else f"{plain}-{number}"
            file = self._folder / f"{name}.json"
            for _ in range(2):
                try:
                    with file.open("x"):
                        return name
                except FileExistsError:
                    found = _read(file)
                    if found is not None and found.state != "gone":
                        break
                    # Empty for a moment: somebody else is about to have it.
                    if found is None and _age(file) < STALLED_AFTER:
                        break
                    with contextlib.suppress(FileNotFoundError):
                        _patiently(file.unlink)
        raise FileExistsError(f"a thousand recorders are called {plain}")

    def publish(self, state: Literal["running", "finishing"], health: dict[str, Any] | None) -> None:
        """Replaces the file. What goes wrong is no reason for a recording to suffer: it is logged."""
        content = {
            "name": self.name,
            "state": state,
            "pid": os.getpid(),
            "process_began": self._began,
            "path": self._path,
            "updated": time.time(),
            "health": health,
            "triggers": self._triggers,
        }
        new = self._file.with_suffix(".new")
        try:
            new.write_text(json.dumps(content), encoding="utf-8")
            os.replace(new, self._file)
        except OSError as error:
            # On Windows somebody may have it open just now; the next one will come through.
            logger.debug("the status of %s cannot be written: %s", self.name, error)

    def stop_asked(self) -> bool:
        """Whether somebody asked the recorder to end."""
        return self._stop_file.exists()

    def asked(self) -> list[dict[str, Any]]:
        """What :func:`ask` has asked for since the last time; these are taken away."""
        requests = []
        for file in sorted(self._folder.glob(f"{glob.escape(self.name)}@*.ask")):
            try:
                request = json.loads(file.read_text(encoding="utf-8"))
                file.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                # On Windows it may be open just now; it is seen again.
                logger.debug("%s cannot be read: %s", file, error)
                continue
            except ValueError:
                file.unlink(missing_ok=True)
                continue
            if isinstance(request, dict):
                requests.append(request)
        return requests

    def withdraw(self) -> None:
        """Takes the files away."""
        self.asked()
        for file in (self._file, self._stop_file, self._file.with_suffix(".new")):
            with contextlib.suppress(OSError):
                _patiently(file.unlink)


def _patiently(act: Callable[[], _Result]) -> _Result:
    """What `act` gives. Windows refuses it while somebody else reads or replaces the file, which takes a
    moment: then it is tried again."""
    for _ in range(TRIES - 1):
        try:
            return act()
        except PermissionError:
            time.sleep(PAUSE)
    return act()


def _age(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return 0.0


def _read(file: Path) -> Status | None:
    """What a file tells; ``None`` where it is no status."""
    try:
        content = json.loads(_patiently(lambda: file.read_text(encoding="utf-8")))
        age = max(0.0, time.time() - content["updated"])
        if not _lives(content["pid"], content["process_began"]):
            if not file.exists():
                # It ended in order since the file was read.
                return None
            state: Any = "gone"
        elif content["state"] == "running" and age > STALLED_AFTER:
            state = "stalled"
        else:
            state = content["state"]
        return Status(
            name=content["name"],
            state=state,
            pid=content["pid"],
            path=content["path"],
            age=age,
            health=content["health"],
            triggers=tuple(content.get("triggers", ())),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lives(pid: int, began: float) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        # The number of a process that ended is given to another one, which begins later.
        return abs(process.create_time() - began) < 2.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def recorders() -> list[Status]:
    """The recorders of this user on this machine, by name; those that died in the last day, too.

    Raises:
        OSError: The folder cannot be read.
    """
    found = []
    for file in sorted(runtime_folder().glob("*.json")):
        status = _read(file)
        if status is None:
            continue
        if status.state == "gone" and status.age > REMEMBERED:
            with contextlib.suppress(OSError):
                file.unlink()
            continue
        found.append(status)
    return found


def running(name: str) -> Status:
    """The recorder of this name.

    Raises:
        LookupError: None of this name runs.
        OSError: The folder cannot be read.
    """
    found = {status.name: status for status in recorders() if status.state != "gone"}
    if name not in found:
        raise LookupError(
            f"no recorder called {name!r} runs"
            + (f"; running: {', '.join(sorted(found))}" if found else ", and no other one either")
        )
    return found[name]


def ask(name: str, **request: Any) -> Path:
    """Asks the recorder of this name for something; gives a file that is gone once it has heard it.

    Raises:
        LookupError: None of this name runs.
        OSError: It cannot be asked.
    """
    running(name)
    file = runtime_folder() / f"{name}@{time.time_ns():020}-{os.getpid()}.ask"
    new = file.with_suffix(".asking")
    new.write_text(json.dumps(request), encoding="utf-8")
    os.replace(new, file)
    return file


def request_stop(name: str) -> None:
    """Asks the recorder of this name to end in order.

    Raises:
        LookupError: None of this name runs.
        OSError: It cannot be asked.
    """
    running(name)
    (runtime_folder() / f"{name}.stop").touch()
