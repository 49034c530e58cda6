"""20 producers in a ThreadPool, 5 consumers and a sentinel for each, as it is usually written."""

import queue
import threading
from multiprocessing.pool import ThreadPool

PRODUCERS = 20
CONSUMERS = 5


def measure(number):
    """Stands for getting an item."""
    return number


def evaluate(item):
    """Stands for working on it."""
    return item * item


def main(count=2000):
    inbox = queue.Queue()
    results = []

    def produce(number):
        inbox.put(measure(number))

    def consume():
        while True:
            item = inbox.get()
            if item is None:
                break
            results.append(evaluate(item))

    consumers = [threading.Thread(target=consume) for _ in range(CONSUMERS)]
    for thread in consumers:
        thread.start()
    with ThreadPool(PRODUCERS) as pool:
        for number in range(count):
            pool.apply_async(produce, (number,))
        pool.close()
        pool.join()
    for _ in consumers:
        inbox.put(None)
    for thread in consumers:
        thread.join()
    return sum(results)


if __name__ == "__main__":
    print(main())
