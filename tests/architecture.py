"""The direction of imports, as data and as a walker; shared by the test and its negative control."""

import ast
from pathlib import Path

PACKAGE = "boltzgrad"
ROOMS = (
    "errors",
    "core",
    "linear",  # of solvers/: chains and their linear systems, which know kernels and no model
    "models",  # of families/*: θ ↦ numbers
    "zoo",
    "problems",
    "solvers",
    "witnesses",
    "families",  # the rest of each: numbers ↦ gradients
    "gradients",
    "worlds",
    "verify",
    "followers",
    "estimators",
    "experiments",
    "testing",
    "audits",
    "findings",
    "cli",
)
LINEAR = ("average", "linear")  # the files of solvers/ below every model
MODELS = (
    "average",
    "clocked",
    "contexts",
    "cycles",
    "given",
    "leader_policy",
    "linearise",
    "model",
    "natural_units",
    "plain_form",
    "problem",
    "references",
    "several",
    "steps",
)  # the files of a family that make its models
ALONE = "derivations"  # imports SymPy only
CALLS_DERIVATIONS = ("verify", "experiments", "testing", "findings", "cli")


def room_of(module: str) -> str | None:
    """The room of a dotted module name, or None outside the package and for the package itself."""
    parts = module.split(".")
    if parts[0] != PACKAGE or len(parts) == 1:
        return None
    if parts[1] == "solvers" and len(parts) > 2 and parts[2] in LINEAR:
        return "linear"
    return "models" if parts[1] == "families" and len(parts) == 4 and parts[3] in MODELS else parts[1]


def imports_of(source: str) -> list[tuple[str, list[str]]]:
    """(module, names) of every import statement in a source text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            found.append((node.module or "", [alias.name for alias in node.names]))
    return found


def faults(module: str, source: str) -> list[str]:
    """What is wrong with the imports of one module."""
    mine, out = room_of(module), []
    for target, names in imports_of(source):
        rooms = [room_of(target)] if room_of(target) else []
        if target == PACKAGE:
            rooms = [n for n in names if n in ROOMS or n == ALONE]
            if mine not in (None, "cli") and not names:
                out.append(f"{module} imports the whole package")
        for room in rooms:
            if mine == ALONE and room not in (ALONE, "errors"):
                out.append(f"{module} (stands alone) imports {target}")
            elif mine is None or mine == ALONE or room == mine:
                continue
            elif room == ALONE:
                if mine not in CALLS_DERIVATIONS:
                    out.append(f"{module} imports {target}")
            elif ROOMS.index(room) > ROOMS.index(mine):
                out.append(f"{module} imports {target}, which lies further down")
        private = [n for n in names if n.startswith("_") and not n.startswith("__")]
        if target.startswith(PACKAGE) and private:
            out.append(f"{module} imports private names {private} of {target}")
    return out


def walk(root: Path) -> list[str]:
    """Faults of every module below src/boltzgrad."""
    out = []
    for path in sorted((root / "src" / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root / "src").with_suffix("").parts
        out += faults(".".join(p for p in parts if p != "__init__"), path.read_text(encoding="utf-8"))
    return out
