"""Single functions out of a checkout that the reader has, without importing the package or what it depends on."""

from __future__ import annotations
import __future__

import hashlib
import importlib
import json
import re
import subprocess
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from boltzgrad.errors import InvalidOption, MissingExtra


class Checkout:
    """A folder with somebody's code.

    `functions` takes definitions out of a file (a module or a notebook) and runs them among names that the audit gives, so that
    nothing else of the package runs.  `digests` remembers the text of each, to say whether it is what was judged.
    Raises: InvalidOption if there is no such folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InvalidOption(f"--checkout {folder}: there is no such folder")
        self.digests: dict[str, str] = {}

    @property
    def commit(self) -> str:
        """The commit that is checked out, or "" where git does not say."""
        asked = ["git", "-C", str(self.folder), "rev-parse", "HEAD"]
        try:
            return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    def functions(self, file: str, *names: str, among: dict[str, Any]) -> SimpleNamespace:
        """The functions and classes `names` of a file, run `among` these names.

        `Class.method` is a plain function here.  A definition ends where its indentation does; decorators are left out,
        annotations are not evaluated.
        Raises: InvalidOption if the file or a name is not there.
        """
        text, space = self._text(file), dict(among)
        out = {}
        for name in names:
            found = _definition(text, name)
            if found is None:
                raise InvalidOption(f"{self.folder / file} defines no {name}: is this the repository that was judged?")
            self.digests[f"{file}: {name}"] = hashlib.sha256(found.encode()).hexdigest()
            code = compile(found, f"{file}", "exec", flags=__future__.annotations.compiler_flag, dont_inherit=True)
            exec(code, space)
            last = name.rpartition(".")[2]
            out[last] = space[last]
        return SimpleNamespace(**out)

    def _text(self, file: str) -> str:
        path = self.folder / file
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise InvalidOption(
                f"{path}: {error.strerror or error}; expected the top folder of the repository that was judged"
            ) from error
        if path.suffix != ".ipynb":
            return text
        cells = json.loads(text)["cells"]
        return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def _definition(text: str, name: str) -> str | None:
    """The text of a function or class, its indentation taken off; `Class.method` is looked for below the class."""
    within, _, last = name.rpartition(".")
    if within:
        text = _definition(text, within) or ""
    lines = text.splitlines()
    pattern = re.compile(rf"(\s*)(?:def|class) {re.escape(last)}\b")
    for number, line in enumerate(lines):
        begins = pattern.match(line)
        if begins is None:
            continue
        depth, end, header = len(begins[1]), number + 1, True
        while end < len(lines):
            ahead = lines[end]
            if header and re.search(r"\)[^#]*:\s*(#.*)?$", lines[end - 1]):
                header = False
            if not header and ahead.strip() and len(ahead) - len(ahead.lstrip()) <= depth:
                break
            end += 1
        return textwrap.dedent("\n".join(lines[number:end])) + "\n"
    return None


def needed(module: str, audit: str) -> Any:
    """A module that running an audit takes.  Raises: MissingExtra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtra(
            f"running the audit of {audit} needs {package} (pip install {package}); without --checkout or --installed it is "
            "judged by what was recorded"
        ) from error
