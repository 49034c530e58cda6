"""CPython's own tests of `queue.Queue`, from the installation's `test` package, run on `daqring.Queue`."""

import types

from daqring import queue
from test import test_queue as standard

MODULE = types.SimpleNamespace(Queue=queue.Queue, Empty=queue.Empty, Full=queue.Full, ShutDown=queue.ShutDown)


class TestQueue(standard.PyQueueTest):
    queue = MODULE


class TestFailingQueue(standard.PyFailingQueueTest):
    queue = MODULE


def test_the_exceptions_are_those_of_the_standard_library():
    import queue as theirs

    assert queue.Empty is theirs.Empty
    assert queue.Full is theirs.Full
    assert queue.ShutDown is getattr(theirs, "ShutDown", queue.ShutDown)
