"""Every table again, one after the other: `python benchmarks/renew.py [NAMES]`; half a day, on a machine that is free for it.

Names are those of the scripts beside this one, without `.py`.  What a script needs and is not there (peers, PETSc) it says.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OPTIONS = {"estimators": ["--write"], "guard": ["--write"]}


def main() -> int:
    """Run them; the names of those that failed, and how many."""
    known = sorted(p.stem for p in HERE.glob("*.py") if p.name != Path(__file__).name)
    chosen = sys.argv[1:] or known
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    failed = []
    for name in chosen:
        print(f"== {name}", flush=True)
        command = [sys.executable, str(HERE / f"{name}.py"), *OPTIONS.get(name, [])]
        failed += [name] if subprocess.run(command, check=False).returncode else []
    print(f"failed: {', '.join(failed)}" if failed else "all renewed")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
