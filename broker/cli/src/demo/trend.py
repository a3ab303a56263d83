# Script Name: Trend
import statistics
from collections import defaultdict, deque

recent = defaultdict(lambda: deque(maxlen=5))


def note(machine, celsius):
    """The mean of a machine's last readings, and degrees per reading."""
    values = recent[machine]
    values.append(float(celsius))
    rise = statistics.linear_regression(range(len(values)), values).slope if len(values) > 1 else 0
    return {"mean": round(statistics.mean(values), 2), "rise": round(rise, 2)}
