"""`boltzgrad report DIR`: one page over every verification in a folder, made first if need be (`--run`)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boltzgrad import problems
from boltzgrad.cli.arguments import AGREEMENT, DISAGREEMENT
from boltzgrad.cli.progress import Counter
from boltzgrad.errors import BoltzgradError, InvalidOption, unknown

if TYPE_CHECKING:
    from boltzgrad.testing.report.collection import Unread


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Put the command among the others."""
    parser = commands.add_parser("report", help="one page over many verifications: failures first, problems × routes")
    parser.add_argument("folder", metavar="DIR", help="a folder of `boltzgrad verify … --json > DIR/….json`")
    parser.add_argument("-o", "--output", metavar="FILE", help="where the page goes (default: DIR/report.html)")
    parser.add_argument(
        "--run", dest="names", metavar="NAME,NAME|all", help="verify these problems of the zoo into DIR first"
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="with --run: at θ of the seeds 0 … N-1 (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make what is asked for, read the folder, write the page, print the table; the exit status is 0 if all is well."""
    # Half a second of imports, that the other commands do without.
    from boltzgrad.testing.report import page
    from boltzgrad.testing.report.collection import read_folder

    folder = Path(arguments.folder)
    output = Path(arguments.output) if arguments.output else folder / "report.html"
    if output.suffix == ".json" and output.resolve().parent == folder.resolve():
        raise InvalidOption(f"-o {output}: a page among the verifications is read as one of them; expected FILE.html")
    unmade: tuple[Unread, ...] = ()
    if arguments.names is not None:
        unmade = _make(folder, _names(arguments.names), 1 if arguments.seeds is None else arguments.seeds)
    elif arguments.seeds is not None:
        raise InvalidOption("--seeds goes with --run: it says at how many θ the problems are verified")
    collection = read_folder(folder, unmade=unmade)
    _write(output, page(collection))
    said = collection.to_json(page=str(output)) if arguments.json else f"{collection}\npage: {output}"
    print(said)
    return AGREEMENT if collection.ok else DISAGREEMENT


def _names(text: str) -> list[str]:
    known = problems.names()
    names = list(dict.fromkeys(text.split(",")))
    names = known if "all" in names else names
    for name in names:
        if name not in known:
            raise unknown("problem", name, [*known, "all"])
    return names


def _make(folder: Path, names: list[str], seeds: int) -> tuple[Unread, ...]:
    """Verify each problem at each seed into its file; a reference that cannot be computed is no reason to stop."""
    from boltzgrad.testing.report.collection import Unread
    from boltzgrad.verify import verify

    if seeds < 1:
        raise InvalidOption(f"--seeds {seeds}: expected at least 1")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidOption(f"{folder}: cannot make this folder: {error.strerror}") from error
    unmade = []
    with Counter(len(names) * seeds) as progress:
        for name in names:
            for seed in range(seeds):
                progress(f"{name}, seed {seed}")
                file = folder / f"{name}-seed{seed}.json"
                # What an earlier run found must not stand for this one, if this one fails.
                _remove(file)
                try:
                    problem = problems.load(name)
                    report = verify(problem, problem.initial_theta(seed=seed))
                except BoltzgradError as error:
                    unmade.append(Unread(file.name, f"could not be made: {type(error).__name__}: {error}"))
                else:
                    _write(file, report.to_json())
    return tuple(unmade)


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidOption(f"{file}: cannot be replaced: {error.strerror}") from error


def _write(file: Path, text: str) -> None:
    try:
        # A name may hold what UTF-8 has no bytes for.
        file.write_bytes(text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise InvalidOption(f"{file}: cannot write it: {error.strerror}") from error
