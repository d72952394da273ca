"""Runs what a page of docs/ tells its reader to do: files, Python, commands, and the output it promises.

Blocks of a page, in order: `python title="NAME"` (and other languages with a title) is a file; other `python` blocks are one
session; `console` are commands, one a line, that exit with 0 or with what a comment at their end says; `text` is what the
block before it prints, with … for whatever changes.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
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
    counts, printed = {"file": 0, "python": 0, "console": 0, "text": 0}, ""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONWARNINGS": "error",
        "COLUMNS": "80",
        "PYTEST_ADDOPTS": f"-p no:cacheprovider --rootdir={folder}",
    }
    with Session(folder, environment) as session:
        for block in BLOCK.finditer(text):
            language, title, body = block["language"], block["title"], expanded(block["text"])
            if title:
                counts["file"] += 1
                (folder / title).write_text(body, encoding="utf-8")
            elif language == "python":
                counts["python"] += 1
                printed = session.run(body)
            elif language == "console":
                counts["console"] += 1
                printed = "".join(commanded(line, folder, environment) for line in body.splitlines())
            elif language == "text":
                counts["text"] += 1
                compare(body, printed)
    return counts


class Session:
    """One Python process that runs a page's blocks, one after the other, as its `__main__`; it starts with the first."""

    MARK = "═" * 20
    LISTEN = f"""
import __main__, sys
for _line in sys.stdin:
    exec(compile(eval(_line), "<page>", "exec"), __main__.__dict__)
    print({MARK!r}, flush=True)
"""

    def __init__(self, folder, environment):
        self.folder, self.environment, self.process = folder, {**environment, "PYTHONIOENCODING": "utf-8"}, None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.errors = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exc):
        self.stack.close()

    def run(self, code):
        """What a block prints.  Raises: Broken."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self.LISTEN],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                encoding="utf-8",
            )
            self.stack.enter_context(self.process)  # waits for it, once its input is closed
            self.stack.callback(self.process.stdin.close)
        self.process.stdin.write(ascii(code) + "\n")
        self.process.stdin.flush()
        printed = []
        for line in self.process.stdout:
            if line.endswith(self.MARK + "\n"):
                return "".join([*printed, line.removesuffix(self.MARK + "\n")])
            printed.append(line)
        self.errors.seek(0)
        raise Broken(f"exit with {self.process.wait()}:\n{''.join(printed)}\n{self.errors.read()}")


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
