"""Execute the notebooks: `run.py` writes their outputs, `run.py --check` compares them with the committed ones.

Text and tables must be equal; a picture must be there where one was.  Exit status 1 if a cell fails or an output differs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
HERE = Path(__file__).resolve().parent
PICTURES = ("image/png", "image/svg+xml")


def outputs(cell: nbformat.NotebookNode) -> list[str]:
    """What a cell shows, without what differs from run to run: pictures count, their bytes do not."""
    shown = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            # How a text is cut into pieces depends on the clock.
            if shown and shown[-1].startswith(f"{output.name}: "):
                shown[-1] += output.text
            else:
                shown.append(f"{output.name}: {output.text}")
            continue
        data = output.get("data", {})
        if any(kind in data for kind in PICTURES):
            shown.append("a picture")
        else:
            shown.append(str(data.get("text/markdown", data.get("text/plain", ""))))
    return shown


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook, run from top to bottom in a fresh kernel."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata.pop("language_info", None)
    return notebook


def differences(old: nbformat.NotebookNode, new: nbformat.NotebookNode) -> list[str]:
    """Cells whose output is not the committed one."""
    found = []
    for number, (before, after) in enumerate(zip(old.cells, new.cells, strict=True), 1):
        if before.cell_type == "code" and outputs(before) != outputs(after):
            found.append(f"cell {number}: committed {outputs(before)!r:.300}, now {outputs(after)!r:.300}")
    return found


def main() -> int:
    """Run all notebooks, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names (default: all)")
    parser.add_argument("--check", action="store_true", help="compare with the committed outputs, write nothing")
    arguments = parser.parse_args()
    wanted = [
        p for p in sorted(HERE.glob("*.ipynb")) if not arguments.names or any(n in p.name for n in arguments.names)
    ]
    if not wanted:
        print(f"no notebook is called like {', '.join(arguments.names)}", file=sys.stderr)
        return 2
    failed = 0
    for path in wanted:
        start = time.perf_counter()
        try:
            new = execute(path)
        except CellExecutionError as error:
            print(f"✗ {path.name}: {error}")
            failed += 1
            continue
        wrong = differences(nbformat.read(path, as_version=4), new) if arguments.check else []
        if not arguments.check:
            nbformat.write(new, path)
        print(
            f"{'✗' if wrong else '✓'} {path.name} ({time.perf_counter() - start:.0f} s)", *wrong, sep="\n  ", flush=True
        )
        failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
