"""Run lessons and write what they gave: the notebook with its outputs, its thumbnail, the table in README.md.

    python lessons/make.py            # all
    python lessons/make.py 03 07      # some

The source of a lesson is its .py (jupytext's percent format); the .ipynb beside it is made from it, in a fresh kernel, with
errors on. Edited the notebook in JupyterLab instead? With jupytext installed, saving there writes both.
"""

from __future__ import annotations

import argparse
import io
import re
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from minidrop.serialization import write_atomically

HERE = Path(__file__).resolve().parent
SOURCES = sorted(HERE.glob("[0-9][0-9]-*.py"))
WIDGET = "application/vnd.jupyter.widget-view+json"


def read_source(path: Path) -> Any:
    """The notebook that a .py describes: cells without outputs, ids that do not change from run to run."""
    notebook = jupytext.read(path)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index}"
    return notebook


def execute(notebook: Any, timeout: int = 1800) -> float:
    """Run all cells in a fresh kernel, in place, in the folder of the lessons; returns seconds. A cell that fails raises.

    timeout: seconds for a cell. A kernel that falls silent or dies is replaced once: seldom, it is idle, and the message that
    says so is lost on its way (seen with ipykernel 7).
    """
    for last in (False, True):
        started = time.perf_counter()
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            resources={"metadata": {"path": str(HERE)}},
        )
        try:
            client.execute()
            break
        except (CellTimeoutError, DeadKernelError):
            if last:
                raise
    return time.perf_counter() - started


def clean(notebook: Any, seconds: float) -> None:
    """Leave out what differs from run to run or needs a live kernel: times of cells, widgets; note how long it took."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["minidrop"] = {"seconds": round(seconds)}
    notebook.metadata.get("jupytext", {}).pop("text_representation", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [
                output for output in cell.outputs if WIDGET not in output.get("data", {})
            ]


def claims(notebook: Any) -> list[dict[str, Any]]:
    """What `say` said in a notebook: [{"text", "numbers", "agree"}]."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [
        output["metadata"]["minidrop"]
        for output in outputs
        if "minidrop" in output.get("metadata", {})
    ]


def images(notebook: Any, tag: str | None = None) -> list[bytes]:
    """The PNG figures of a notebook, or of its cells with a tag."""
    import base64

    return [
        base64.b64decode(output["data"]["image/png"])
        for cell in notebook.cells
        if tag is None or tag in cell.metadata.get("tags", ())
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]


def thumbnail(notebook: Any) -> bytes:
    """A small PNG of the figure in the cell tagged "thumbnail", else of the first figure."""
    from PIL import Image

    picture = Image.open(
        io.BytesIO((images(notebook, "thumbnail") or images(notebook))[0])
    ).convert("RGB")
    picture.thumbnail((260, 150))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def title_and_gift(notebook: Any) -> tuple[str, str]:
    """The title of a lesson, and what the reader ends with, from its first cell."""
    first = notebook.cells[0].source
    title = re.search(r"^# \d\d · (.+)$", first, flags=re.MULTILINE)
    gift = re.search(r"^\*\*You get\*\* (.+?)\n\n", first + "\n\n", flags=re.MULTILINE | re.DOTALL)
    assert title and gift, "the first cell needs '# NN · title' and '**You get** ...'"
    return title[1], " ".join(gift[1].split())


def table() -> str:
    """The table of README.md, from the notebooks that are there."""
    lines = [
        "| | # | lesson | the reader ends with | seconds, two cores |",
        "|---|---|---|---|---|",
    ]
    for path in SOURCES:
        notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
        title, gift = title_and_gift(notebook)
        number = path.name[:2]
        picture = f'<img src="thumbnails/{number}.png" width="180" alt="{title}">'
        lines.append(
            f"| {picture} | {number} | [{title}]({path.stem}.ipynb) | {gift} | {notebook.metadata.minidrop.seconds} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lessons", nargs="*", help="numbers, such as 03; none: all")
    wanted = parser.parse_args().lessons
    (HERE / "thumbnails").mkdir(exist_ok=True)
    for path in SOURCES:
        if wanted and path.name[:2] not in wanted:
            continue
        notebook = read_source(path)
        seconds = execute(notebook)
        clean(notebook, seconds)
        write_atomically(path.with_suffix(".ipynb"), (nbformat.writes(notebook) + "\n").encode())
        write_atomically(HERE / "thumbnails" / f"{path.name[:2]}.png", thumbnail(notebook))
        print(f"{path.stem}: {seconds:.0f} s")
    readme = HERE / "README.md"
    start, end = "<!-- lessons -->\n", "<!-- end of lessons -->\n"
    if all(path.with_suffix(".ipynb").exists() for path in SOURCES):
        before, _, rest = readme.read_text(encoding="utf-8").partition(start)
        write_atomically(readme, (before + start + table() + end + rest.partition(end)[2]).encode())


if __name__ == "__main__":
    main()
