"""The same with daqring: the producers are iterables, and the end comes by itself."""

import daqring

PRODUCERS = 20
CONSUMERS = 5


def measure(number):
    """Stands for getting an item."""
    return number


def evaluate(item):
    """Stands for working on it."""
    return item * item


def main(count=2000):
    def produce(first):
        for number in range(first, count, PRODUCERS):
            yield measure(number)

    producers = [produce(first) for first in range(PRODUCERS)]
    return sum(daqring.Workers(evaluate, CONSUMERS, producers=producers))


if __name__ == "__main__":
    print(main())
