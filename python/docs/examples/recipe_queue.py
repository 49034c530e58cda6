"""A reader thread, a queue and a writer thread, as it is usually written."""

import queue
import tempfile
import threading

import numpy as np

SAMPLES = 1000


def read(number):
    """Stands for reading a block from an instrument."""
    return np.full(SAMPLES, number, dtype=np.int16)


def main(blocks=1000, path=None):
    inbox = queue.Queue(maxsize=64)
    with open(path, "wb") if path else tempfile.TemporaryFile() as file:

        def reader():
            for number in range(blocks):
                inbox.put(read(number))
            inbox.put(None)

        def writer():
            while True:
                block = inbox.get()
                if block is None:
                    break
                file.write(memoryview(block))

        threads = [threading.Thread(target=reader), threading.Thread(target=writer)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return file.tell()


if __name__ == "__main__":
    print(main(), "bytes")
