"""A child process that trains one run until it is done or killed: `python child_run.py FOLDER JSON`. See test_resume.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import small_data
from threadpoolctl import threadpool_limits

from minidrop.paper.training import Run, train

if __name__ == "__main__":
    folder, run = Path(sys.argv[1]), Run.from_dict(json.loads(sys.argv[2]))
    with threadpool_limits(limits=1):
        print("started", flush=True)
        train(run, small_data.pair(), folder / "run.csv", folder / "run.safetensors")
