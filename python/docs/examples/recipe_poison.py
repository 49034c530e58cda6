"""One producer, three workers and a collector, ended by poison pills, as it is usually written."""

import queue
import threading

WORKERS = 3


def work(item):
    """Stands for working on an item."""
    return item + 1


def main(count=2000):
    todo = queue.Queue()
    done = queue.Queue()

    def produce():
        for number in range(count):
            todo.put(number)
        todo.put(None)

    def transform():
        while True:
            item = todo.get()
            if item is None:
                todo.put(None)  # for the next worker
                done.put(None)
                break
            done.put(work(item))

    threads = [threading.Thread(target=produce)]
    threads += [threading.Thread(target=transform) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    total = 0
    pills = 0
    while pills < WORKERS:
        item = done.get()
        if item is None:
            pills += 1
        else:
            total += item
    for thread in threads:
        thread.join()
    return total


if __name__ == "__main__":
    print(main())
