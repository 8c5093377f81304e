"""The report of an experiment's folder: table.md, the figures, and report.html, one page that holds all of it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..serialization import write_atomically
from .figures import Curves, write_figures
from .grid import Finished, read_config, read_grid, read_runs
from .provenance import describe
from .published import NAMES, read_curves
from .table import HEADER, markdown, notes, row_of, table, title


def write_report(folder: Path, published: Path | None = None) -> str:
    """Write table.md, the figures and report.html from config.json and the histories; the table's text.

    published: a CSV of the paper's training logs, drawn into figures 3 and 4 and laid beside ours at equal iteration.
    Raises DataError if the folder holds no experiment, or one without a single evaluation.
    """
    config = read_config(folder)
    settings = config["settings"]
    curves = read_curves(published, settings["dataset"]) if published else {}
    runs = read_runs(folder)
    if not runs:
        raise DataError(f"{folder} has no rows yet", expected="at least one evaluation in history/", got="none")
    text = table(folder)
    beside = at_equal_iteration(runs, curves)
    if beside:
        text += f"\n## Beside the published curves, at equal iteration\n\n{markdown(beside)}\n"
    write_atomically(folder / "table.md", text.encode())
    shown = write_figures(folder, runs, curves, short_title(folder))
    figures = [
        {"name": name, "caption": caption, "data": base64.b64encode((folder / name).read_bytes()).decode()}
        for name, caption in shown.items()
    ]
    planned = read_grid(folder).runs()
    finished = sum(bool(run.result) for run in runs)
    page = _template().render(
        title=title(config).replace("`", ""),
        header=HEADER,
        rows=[
            row_of(variant, [run for run in runs if run.run.variant == variant], settings) for variant in settings["variants"]
        ],
        notes=[note.replace("`", "") for note in notes(config, runs)],
        at_equal=beside,
        figures=figures,
        settings=json.dumps(settings, indent=2),
        dataset=config["dataset"],
        provenance=[describe(record) for record in config["provenance"]],
        planned=len(planned),
        unfinished=len(planned) - finished,
    )
    write_atomically(folder / "report.html", page.encode())
    return text


def short_title(folder: Path) -> str:
    """What stands above a figure."""
    config = read_config(folder)
    settings = config["settings"]
    return f"{config['dataset']['label']}, {settings['network']} network, {settings['protocol']} protocol"


def at_equal_iteration(runs: list[Finished], curves: Curves) -> list[tuple[str, ...]]:
    """Rows (the first the header) of published and our loss and accuracy where both have them; at most ten per variant."""
    rows: list[tuple[str, ...]] = []
    for variant, published in curves.items():
        theirs = {row["iteration"]: row for row in published}
        for run in (run for run in runs if run.run.variant == variant and run.run.seed == 0):
            common = [row for row in run.rows if row["iteration"] in theirs]
            step = max(1, len(common) // 5)
            picked = common[:4] + common[4:][step - 1 :: step]
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
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise DataError(
            "report.html needs jinja2", expected="jinja2", got=str(error), help="pip install 'minidrop[reproduce]'"
        ) from error
    environment = Environment(
        loader=PackageLoader("minidrop.reproduce", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html")
