"""Runs what a page of docs/ tells its reader to do: files, Python, commands, and the output it promises.

Blocks of a page, in order: `python title="NAME"` (and other languages with a title) is a file; other `python` blocks are one
session; `console` are commands, one a line, that exit with 0 or with what a comment at their end says; `text` is what the
block before it prints, with … for whatever changes.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Broken(AssertionError):
    """A page says what is not so."""


def run_page(text, folder, path=()):
    """Do what a page says in `folder`.  Returns how many blocks of each kind there were.  Raises: Broken."""
    counts, session, printed = {"file": 0, "python": 0, "console": 0, "text": 0}, [], ""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONWARNINGS": "error",
        "COLUMNS": "80",
        "PYTEST_ADDOPTS": f"-p no:cacheprovider --rootdir={folder}",
    }
    for block in BLOCK.finditer(text):
        language, title, body = block["language"], block["title"], expanded(block["text"])
        if title:
            counts["file"] += 1
            (folder / title).write_text(body, encoding="utf-8")
        elif language == "python":
            counts["python"] += 1
            mark = "═" * 20
            script = "\n".join([*session, f"print({mark!r})", body])
            printed = executed([sys.executable, "-c", script], folder, environment, 0).rpartition(mark + "\n")[2]
            session.append(body)
        elif language == "console":
            counts["console"] += 1
            printed = "".join(commanded(line, folder, environment) for line in body.splitlines())
        elif language == "text":
            counts["text"] += 1
            compare(body, printed)
    return counts


def expanded(text):
    """The text with the files that `--8<--` names put in."""
    return re.sub(r'^--8<-- "(.+)"$', lambda m: (ROOT / m[1]).read_text(encoding="utf-8"), text, flags=re.MULTILINE)


def commanded(line, folder, environment):
    if line.startswith("pip "):
        return ""  # the tests run where it has been done
    comment = re.search(r"# exit status (\d)$", line)
    return executed(["sh", "-c", line], folder, environment, int(comment[1]) if comment else 0)


def executed(words, folder, environment, status):
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != status:
        raise Broken(f"{words[:3]} exits with {done.returncode}, not {status}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def compare(promised, printed):
    """Whether what was printed holds the promised lines; … stands for anything, also for several lines on a line of its own."""
    pattern = re.escape(promised.strip()).replace("…", "(?s:.*)")
    if not re.search(pattern, printed):
        raise Broken(f"promised:\n{promised}\nprinted:\n{printed}")
