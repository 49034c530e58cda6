"""The same with daqring: one import changed, then without the sentinel."""

import tempfile
import threading

import numpy as np
from daqring import queue  # was: import queue

SAMPLES = 1000


def read(number):
    """Stands for reading a block from an instrument."""
    return np.full(SAMPLES, number, dtype=np.int16)


def main(blocks=1000, path=None):
    inbox = queue.Queue(maxsize=64)
    with open(path, "wb") if path else tempfile.TemporaryFile() as file:

        def reader():
            try:
                inbox.put_many(read(number) for number in range(blocks))
            except queue.ShutDown:
                pass  # the writer has given up
            finally:
                inbox.shutdown()  # also if reading fails: the writer never waits for ever

        def writer():
            try:
                for block in inbox:  # ends when the queue is shut down and empty
                    file.write(memoryview(block))
            finally:
                inbox.shutdown(immediate=True)  # also if writing fails: the reader never waits for ever

        threads = [threading.Thread(target=reader), threading.Thread(target=writer)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return file.tell()


if __name__ == "__main__":
    print(main(), "bytes")
