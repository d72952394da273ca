"""Thousands of spoiled bundles and gradients: refused or judged, never accepted, never a traceback, never a hang."""

import json
import math
import shutil
import signal
from contextlib import contextmanager

import numpy as np
import pytest

import boltzgrad as bg
from boltzgrad.testing import bundles
from boltzgrad.testing.bundles import layout
from tests_helpers import slow

LONGEST = 5  # CPU seconds, whatever else the machine does; an alarm interrupts what takes longer
IN_WORDS = 20  # and for the words of a verdict, for which other routes are asked, on a busy machine, too


@contextmanager
def in_time(most=LONGEST):
    def late(*_):
        raise TimeoutError(f"more than {most} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, most)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


NASTY = [
    None, True, False, 0, -1, 2, 3.5, 10**7, 10**18, -(10**30), 10**400, 1e308, -1e-320, math.nan,
    math.inf, "", "x", "é" * 999,
    "../../etc/passwd", "gradient.npy", "<f8", "O", "game", "lqr", [], [[]], [10**12], [-1], [[[[[]]]]], [0] * 1000, {},
    {"x": {}},
]  # fmt: skip


def places(data, path=()):
    """Every place in a JSON document."""
    yield path
    if isinstance(data, dict):
        for key in data:
            yield from places(data[key], (*path, key))
    elif isinstance(data, list):
        for i in range(len(data)):
            yield from places(data[i], (*path, i))


def put(data, path, value):
    for key in path[:-1]:
        data = data[key]
    data[path[-1]] = value


def manifest_spoiled(rng, folder):
    data = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    for _ in range(int(rng.integers(1, 3))):
        every = [path for path in places(data) if path]
        path = every[int(rng.integers(len(every)))]
        value = NASTY[int(rng.integers(len(NASTY)))]
        kind = rng.random()
        if kind < 0.15:
            parent = data
            for key in path[:-1]:
                parent = parent[key]
            del parent[path[-1]]
        elif kind < 0.3 and isinstance(path[-1], str):
            put(data, (*path[:-1], path[-1] + "x"), value)
        else:
            put(data, path, value)
    (folder / "bundle.json").write_text(json.dumps(data), encoding="utf-8")


def text_spoiled(rng, folder):
    name = ["bundle.json", "SHA256SUMS", "README.md"][int(rng.integers(3))]
    raw = bytearray((folder / name).read_bytes())
    for _ in range(int(rng.integers(1, 6))):
        raw[int(rng.integers(len(raw)))] = int(rng.integers(256))
    (folder / name).write_bytes(raw[: int(rng.integers(1, len(raw) + 1))] if rng.random() < 0.3 else raw)
    return name != "SHA256SUMS"


def array_spoiled(rng, folder):
    files = sorted(folder.rglob("*.npy"))
    path = files[int(rng.integers(len(files)))]
    x = np.load(path)
    kinds = [
        lambda: np.full(x.shape, np.nan), lambda: np.full(x.shape, np.inf), lambda: x * 0, lambda: -x, lambda: x * 1e300,
        lambda: x + (rng.random(x.shape) < 0.1), lambda: x[..., :-1] if x.ndim else x, lambda: np.stack([x, x]),
        lambda: x.astype(complex), lambda: x.astype("f4"), lambda: x.astype("<i8") if np.isfinite(x).all() else x,
        lambda: np.zeros(0), lambda: x.astype("S8"), lambda: np.moveaxis(x, 0, -1) if x.ndim > 1 else x[::-1] if x.ndim else x,
    ]  # fmt: skip
    spoiled = kinds[int(rng.integers(len(kinds)))]()
    np.save(path, spoiled)
    if rng.random() < 0.7:  # and the manifest goes along
        data = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        for entry in data["arrays"].values():
            if folder / entry["file"] == path:
                entry.update(dtype=spoiled.dtype.str, shape=list(spoiled.shape))
        (folder / "bundle.json").write_text(json.dumps(data), encoding="utf-8")


def bytes_spoiled(rng, folder):
    files = sorted(folder.rglob("*.npy"))
    path = files[int(rng.integers(len(files)))]
    raw = bytearray(path.read_bytes())
    for _ in range(int(rng.integers(1, 8))):
        raw[int(rng.integers(min(len(raw), 200)))] = int(rng.integers(256))
    path.write_bytes(raw if rng.random() < 0.8 else raw[: int(rng.integers(len(raw)))])


def files_spoiled(rng, folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    path, other = (files[int(rng.integers(len(files)))] for _ in range(2))
    if rng.random() < 0.3:
        (folder / "extra.npy").write_bytes(b"")
    elif rng.random() < 0.5:
        path.unlink()
    elif path != other:
        shutil.copyfile(other, path)


SPOILERS = [
    manifest_spoiled,
    manifest_spoiled,
    text_spoiled,
    array_spoiled,
    array_spoiled,
    bytes_spoiled,
    files_spoiled,
]


def gradient_spoiled(rng, folder, exact):
    """A gradient that is wrong, or none: in memory or in a file of any kind."""
    wrong = -5.0 * exact
    kind = int(rng.integers(8))
    if kind < 3:
        return wrong
    if kind == 3:
        odd = [
            wrong[:-1],
            wrong[None],
            wrong * np.nan,
            wrong.astype(complex) * 1j,
            np.array(["x"] * exact.size),
            None,
            3,
            {},
            "no such file",
        ]
        return odd[int(rng.integers(len(odd)))]
    path = folder / ["g.npy", "g.json", "g.txt", "g"][int(rng.integers(4))]
    if path.suffix == ".npy":
        np.save(path, wrong)
    else:
        numbers = [float(x) for x in wrong]
        path.write_text(json.dumps(numbers) if path.suffix == ".json" else "\n".join(map(repr, numbers)))
    raw = bytearray(path.read_bytes())
    for _ in range(int(rng.integers(3))):
        raw[int(rng.integers(len(raw)))] = int(rng.integers(256))
    path.write_bytes(raw)
    return path


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Small bundles of every family, from the zoo and of somebody's own."""
    out, root = [], tmp_path_factory.mktemp("originals")
    cases = [("garnet", {"n_states": 5, "n_parameters": 4}), ("toy-game", {}), ("random-lqr", {}), ("lqr-game", {})]
    for name, options in cases:
        for own in (False, True):
            problem = bg.problems.load(name, **options)
            if own:
                problem.recipe = None
            theta = problem.initial_theta(seed=1)
            folder = bundles.export(problem, theta, root / f"{name}-{own}")
            out.append((folder, bg.hypergradient(problem, theta).gradient))
    return out


@pytest.mark.parametrize(("seed", "count"), [(0, 120), slow(1, 1500)])
def test_nothing_spoiled_is_accepted(originals, tmp_path, seed, count):
    refused = judged = 0
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        original, exact = originals[int(rng.integers(len(originals)))]
        folder = shutil.copytree(original, tmp_path / "spoiled")
        aside = tmp_path / "aside"
        aside.mkdir(exist_ok=True)
        if rng.random() < 0.9:
            signed = SPOILERS[int(rng.integers(len(SPOILERS)))](rng, folder)
            if signed is not False and rng.random() < 0.85:  # by hands that know about checksums
                (folder / "SHA256SUMS").write_text(layout.sums_text(folder), encoding="utf-8")
        gradient = gradient_spoiled(rng, aside, exact)
        try:
            with in_time():
                check = bundles.check(folder, gradient)
                ok = check.ok
            if k % 25 == 0:
                with in_time(IN_WORDS):
                    assert str(check)
                    json.dumps(check.to_dict())
        except bg.errors.BoltzgradError as error:
            refused += bool(str(error))
        except Exception as error:
            raise AssertionError(f"case {[seed, k]}: {type(error).__name__}: {error}") from error
        else:
            assert not ok, f"case {[seed, k]}: −5∇J was accepted: {check}"
            judged += 1
        shutil.rmtree(folder)
        shutil.rmtree(aside)
    assert refused > count // 4
    assert judged > count // 10


def test_the_control_what_is_not_spoiled_is_accepted(originals):
    for folder, exact in originals:
        assert bundles.check(folder, exact).ok
