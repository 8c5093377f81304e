"""The report of an experiment's folder: table.md, the figures, and report.html, one page with all of it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from ...errors import DataError, missing_package
from ...serialization import write_atomically
from ..history import share
from .figures import load_matplotlib, write_figures
from .grid import read_config, read_grid, read_runs
from .provenance import describe
from .published import Curves
from .table import HEADER, at_equal_iteration, markdown, notes, rows_of, table, title


def require_packages() -> None:
    """Raise DataError if the packages for a report are not installed."""
    try:
        import jinja2  # noqa: F401

        load_matplotlib()
    except ImportError as error:
        raise missing_package("a report needs more packages", "matplotlib and jinja2", "reproduce", error) from error


def write_report(folder: Path, published: Curves) -> str:
    """Write table.md, the figures and report.html from config.json and the histories; returns the table's text.

    published: the paper's curves by variant ({} for none), drawn into figures 3 and 4 and shown beside ours at equal iteration.
    Raises DataError if the folder holds no experiment, or one without a single evaluation.
    """
    require_packages()
    config, runs, planned = read_config(folder), read_runs(folder), read_grid(folder).runs()
    if not runs:
        raise DataError(f"{folder} has no rows yet", expected="at least one evaluation in history/", got="none")
    text = table(config, runs)
    beside = at_equal_iteration(runs, published)
    if beside:
        text += f"\n## Beside the published curves, at equal iteration\n\n{markdown(beside)}\n"
    write_atomically(folder / "table.md", text.encode())
    settings = config["settings"]
    above = f"{config['dataset']['label']}, {settings['network']} network, {settings['protocol']} protocol"
    figures = [
        {"name": name, "caption": caption, "data": base64.b64encode((folder / name).read_bytes()).decode()}
        for name, caption in write_figures(folder, runs, published, above).items()
    ]
    missing = len(planned) - sum(run.done for run in runs)
    page = _template().render(
        title=title(config).replace("`", ""),
        header=HEADER,
        rows=rows_of(config, runs),
        notes=[note.replace("`", "") for note in notes(config, runs)],
        at_equal=beside,
        figures=figures,
        settings=json.dumps(settings, indent=2),
        dataset=config["dataset"],
        provenance=[describe(origin) for origin in config["provenance"]],
        unfinished=share(missing, len(planned), "run") if missing else "",
    )
    write_atomically(folder / "report.html", page.encode())
    return text


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("minidrop.paper.reproduce", ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template("page.html")
