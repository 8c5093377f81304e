"""The report of an experiment's folder: table.md, the figures, and report.html, one page with all of it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from ...errors import DataError, missing_package
from ...serialization import write_atomically
from .figures import Curves, write_figures
from .grid import Finished, read_config, read_grid, read_runs
from .provenance import describe
from .published import NAMES
from .table import HEADER, markdown, notes, rows_of, table, title


def require_packages() -> None:
    """Raise DataError if the packages for a report are not installed."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
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
        planned=len(planned),
        unfinished=len(planned) - sum(run.done for run in runs),
    )
    write_atomically(folder / "report.html", page.encode())
    return text


def at_equal_iteration(runs: list[Finished], curves: Curves) -> list[tuple[str, ...]]:
    """Rows (the first is the header): published and our loss and accuracy where both exist; about ten per variant."""
    rows: list[tuple[str, ...]] = []
    for variant, published in curves.items():
        theirs = {row["iteration"]: row for row in published}
        for run in (run for run in runs if run.run.variant == variant and run.run.seed == 0):
            common = [row for row in run.rows if row["iteration"] in theirs]
            early, late = common[:4], common[4:]  # the rise in full, then about five more, including the last
            step = max(1, len(late) // 5)
            picked = early + late[::-step][::-1]
            rows += [
                (
                    NAMES[variant],
                    f"{row['iteration']:,}",
                    f"{theirs[row['iteration']]['loss']:.3f}",
                    f"{row['loss']:.3f}",
                    f"{theirs[row['iteration']]['accuracy']:.4f}",
                    f"{row['accuracy']:.4f}",
                )
                for row in picked
            ]
    header = ("network", "iteration", "loss: published", "loss: ours", "accuracy: published", "accuracy: ours")
    return [header, *rows] if rows else []


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("minidrop.paper.reproduce", ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template("page.html")
