"""The tasks of a recording: given as they are, or by a function that makes them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from daqring.errors import TaskError

if TYPE_CHECKING:
    import nidaqmx

__all__ = ["TaskSet", "Tasks"]

#: A task, several of them, or a function that makes them.
Tasks: TypeAlias = Union[
    "nidaqmx.Task",
    Sequence["nidaqmx.Task"],
    Callable[[], Union["nidaqmx.Task", Sequence["nidaqmx.Task"]]],
]


class TaskSet:
    """One or more tasks. Those that a function made are ours to close.

    Raises:
        TaskError: What was given, or what the function made, are no tasks.
    """

    def __init__(self, tasks: Tasks) -> None:
        #: Makes the tasks anew; ``None`` where they were given as they are.
        self.factory: Callable[[], Any] | None = None
        given: Any = tasks
        if self.is_factory(tasks):
            self.factory = given
            given = given()
        self.tasks: tuple[nidaqmx.Task, ...]
        self._closed = False
        try:
            self.tasks = self._checked(given)
        except TaskError:
            if self.factory is not None:
                _close(given if isinstance(given, Sequence) else (given,))
            raise

    @staticmethod
    def is_factory(tasks: Tasks) -> bool:
        """Whether these are no tasks, but a function that makes some."""
        return callable(tasks) and not _is_task(tasks)

    def _checked(self, given: Any) -> tuple[nidaqmx.Task, ...]:
        made = "" if self.factory is None else ", which the function made,"
        if _is_task(given):
            return (given,)
        if not isinstance(given, Sequence) or isinstance(given, str | bytes):
            raise TaskError(
                "a nidaqmx.Task, a sequence of tasks or a function that makes them is needed; "
                f"{given!r}{made} is none of these"
            )
        tasks = tuple(given)
        if not tasks:
            raise TaskError("there are no tasks to record; give at least one")
        for task in tasks:
            if not _is_task(task):
                raise TaskError(f"{task!r}{made} is no nidaqmx.Task")
        if len({id(task) for task in tasks}) != len(tasks):
            raise TaskError("the same task was given twice; give each once")
        return tasks

    def close(self) -> None:
        """Closes the tasks that a function made, once; others stay."""
        if self.factory is not None and not self._closed:
            self._closed = True
            _close(self.tasks)


def _is_task(thing: Any) -> bool:
    return not isinstance(thing, type) and hasattr(thing, "in_stream") and hasattr(thing, "timing")


def _close(tasks: Sequence[Any]) -> None:
    for task in tasks:
        # A device that went away takes the right to complain with it.
        with contextlib.suppress(Exception):
            task.close()
