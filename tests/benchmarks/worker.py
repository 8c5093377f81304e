"""One framework and one work in a separate process, which runs on command: `python -m tests.benchmarks.worker FRAMEWORK WORK`.

The first line that it prints is what must be the same in all frameworks. Each line on stdin is a number of repeats; the answer
is one line of JSON: the seconds of each, and the process's peak memory in MB. Between commands
the process sleeps, so that it does not disturb the others.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from .works import build, checked


def main(framework: str, work: str) -> None:
    """Answer until stdin ends."""
    print(json.dumps({"checked": checked(framework, work)}), flush=True)
    once = build(framework, work)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            once()
            seconds.append(time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux
        print(json.dumps({"seconds": seconds, "peak_mb": peak}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
