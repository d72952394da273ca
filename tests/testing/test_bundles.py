"""Reference bundles: what is in them, that they are refused when altered, and that they judge."""

import dataclasses
import json
import os
import shutil

import autograd.numpy as anp
import numpy as np
import pytest
import scipy.sparse

import boltzgrad as bg
from boltzgrad.testing import bundles
from boltzgrad.testing.bundles import layout, reading
from boltzgrad.verify import Verdict
from boltzgrad.verify.mutants import FAMILIES
from tests_helpers import optional

jsonschema = optional("jsonschema")
CASES = [(name, {}) for name in bg.problems.names()] + [
    ("toy-game", {"observes": False}),
    ("random-lqr", {"observed": True}),
    ("four-rooms", {"kernel": "as-published"}),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small bundle, its problem and θ."""
    problem = bg.problems.load("garnet", n_states=12, n_parameters=8, leader_discount=0.9)
    theta = problem.initial_theta(seed=3)
    return (
        bundles.export(problem, theta, tmp_path_factory.mktemp("bundle") / "garnet", theta_source="seed 3"),
        problem,
        theta,
    )


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "copy")


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_family_as_files(name, options, tmp_path):
    problem = bg.problems.load(name, **options)
    theta = problem.initial_theta(seed=0)
    folder = bundles.export(problem, theta, tmp_path / "b")
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    jsonschema.validate(manifest, json.loads((folder / "schema.json").read_text(encoding="utf-8")))
    reference = bg.hypergradient(problem, theta)
    assert manifest["value"] == reference.value
    total = np.zeros(problem.dim)
    for key, entry in manifest["arrays"].items():
        array = np.load(folder / entry["file"], allow_pickle=False)
        assert list(array.shape) == entry["shape"]
        assert array.dtype.str == entry["dtype"]
        assert len(entry["axes"]) == array.ndim
        assert not np.isfortran(array)
        if "jacobian/" in key:  # the chain rule, from files alone
            cotangent = np.load(folder / manifest["arrays"][key.replace("jacobian", "cotangent")]["file"])
            total += np.tensordot(cotangent, array, cotangent.ndim)
    if "outside" in manifest["arrays"]:
        total += np.load(folder / "outside.npy")
    assert np.load(folder / "gradient.npy") == pytest.approx(reference.gradient, rel=0.0, abs=0.0)
    assert np.abs(total - reference.gradient).max() <= 1e-12 * np.abs(reference.gradient).max()
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for entry in manifest["arrays"].values():
        assert f"`{entry['file']}`" in readme
    assert bundles.check(folder, reference.gradient).ok
    assert not bundles.check(folder, 1.001 * reference.gradient).ok


def test_the_schema_refuses_what_is_not_a_manifest(made):
    manifest = json.loads((made[0] / "bundle.json").read_text(encoding="utf-8"))
    schema = json.loads(layout.schema_text())
    for spoil in (
        lambda m: m.pop("value"),
        lambda m: m.update(value="1"),
        lambda m: m["constants"].update(temperature=0.0),
        lambda m: m["arrays"].pop("gradient"),
        lambda m: m["arrays"]["theta"].update(dtype=">f8"),
        lambda m: m.update(extra=1),
    ):
        worse = json.loads(json.dumps(manifest))
        spoil(worse)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(worse, schema)


def test_the_checksums_are_those_of_sha256sum(made):
    import hashlib

    for line in (made[0] / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        expected, name = line.split("  ")
        assert hashlib.sha256((made[0] / name).read_bytes()).hexdigest() == expected


def test_read_back(made):
    bundle = bundles.read(made[0])
    assert bundle.name == "garnet"
    assert np.array_equal(bundle.array("theta"), made[2])
    assert bg.hypergradient(bundle.problem, made[2]).value == bundle.value
    with pytest.raises(bg.errors.BundleUnusable, match=r"there is no array 'gradiant'; it has theta, gradient"):
        bundle.array("gradiant")


def test_a_byte_anywhere_is_noticed(made, tmp_path):
    """Every file, the checksums included: one bit in the middle, and the bundle is refused."""
    for path in sorted(p for p in made[0].rglob("*") if p.is_file()):
        folder = shutil.copytree(made[0], tmp_path / "spoilt", dirs_exist_ok=True)
        victim = folder / path.relative_to(made[0])
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
        with pytest.raises(
            bg.errors.BundleUnusable, match=r"altered|not what was written|damaged|missing|cannot be read"
        ):
            bundles.read(folder)
        shutil.rmtree(folder)
    assert bundles.read(made[0])  # the control


@pytest.mark.parametrize("name", ["gradient.npy", "model/transition.npy", "bundle.json", "README.md", "SHA256SUMS"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(bg.errors.BundleUnusable, match=rf"{name}.* is missing"):
        bundles.read(copy)


def test_a_file_of_ones_own_is_named(copy):
    (copy / "mine.npy").write_bytes(b"")
    with pytest.raises(
        bg.errors.BundleUnusable, match=r"mine\.npy is not part of the bundle; keep your own files elsewhere"
    ):
        bundles.read(copy)


def test_another_version_is_refused(copy, monkeypatch):
    monkeypatch.setattr(reading, "__version__", "9.9.9")
    with pytest.raises(bg.errors.BundleUnusable, match=r"by boltzgrad 0\.1\.0 .*, this is boltzgrad 9\.9\.9.*again"):
        bundles.read(copy)


def test_another_layout_is_refused(copy, monkeypatch):
    monkeypatch.setattr(layout, "FORMAT_VERSION", 3)
    with pytest.raises(bg.errors.BundleUnusable, match=r"\(layout 2\), this is .* \(layout 3\)"):
        bundles.read(copy)


def test_no_bundle_at_all(tmp_path, made):
    for folder, message in (
        (tmp_path / "gone", "is no folder; expected a bundle made by `boltzgrad export"),
        (tmp_path, "is no bundle: there is no bundle.json"),
    ):
        with pytest.raises(bg.errors.BundleUnusable, match=message):
            bundles.read(folder)
    shutil.copytree(made[0], tmp_path / "a")
    assert bundles.find(tmp_path) == tmp_path / "a"
    shutil.copytree(made[0], tmp_path / "b")
    with pytest.raises(bg.errors.BundleUnusable, match=r"holds 2 bundles \(a, b\); name one"):
        bundles.find(tmp_path)


def test_a_wrong_gradient_is_named(made):
    folder, problem, theta = made
    wrong = FAMILIES["tabular"].LeadersDiscountInGradQ(problem, theta).gradient()
    check = bundles.check(folder, wrong)
    assert check.verdict == Verdict.DISAGREES
    assert "looks like: ‘γ_L used in ∇Q_F’ (it matches yours to the last digit)" in str(check)
    assert check.to_dict()["looks_like"][0].startswith("‘γ_L used in ∇Q_F’")
    with pytest.raises(bg.errors.GradientMismatch, match="the difference is yours"):
        check.raise_if_wrong()


@pytest.mark.parametrize("suffix", [".npy", ".json", ".txt"])
def test_gradients_in_files(made, tmp_path, suffix):
    gradient = np.load(made[0] / "gradient.npy")
    file = tmp_path / f"mine{suffix}"
    if suffix == ".npy":
        np.save(file, gradient)
    else:
        file.write_text(json.dumps(gradient.tolist()) if suffix == ".json" else "\n".join(map(repr, gradient.tolist())))
    assert bundles.check(made[0], file).difference == 0.0


def test_single_precision(made, tmp_path):
    gradient = (np.load(made[0] / "gradient.npy") * (1.0 + 1e-6)).astype(np.float32)
    np.save(tmp_path / "g.npy", gradient)
    check = bundles.check(made[0], tmp_path / "g.npy")
    assert check.ok
    assert check.precision == "float32"
    (tmp_path / "g.json").write_text(json.dumps(gradient.astype(float).tolist()))
    assert not bundles.check(made[0], tmp_path / "g.json").ok
    assert bundles.check(made[0], tmp_path / "g.json", precision="float32").ok
    with pytest.raises(bg.errors.InvalidOption, match="precision is 'half'"):
        bundles.check(made[0], gradient, precision="half")


def test_tolerances(made):
    gradient = np.load(made[0] / "gradient.npy")
    off = gradient * (1.0 + 1e-6)
    assert not bundles.check(made[0], off).ok
    assert bundles.check(made[0], off, tolerance=2e-6).ok
    with pytest.raises(bg.errors.InvalidOption, match="tolerance is -1"):
        bundles.check(made[0], off, tolerance=-1)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.json", "{}", "no flat list of numbers"),
        ("g.json", "[1, [2]]", "no flat list of numbers"),
        ("g.json", "[1,", "holds no gradient"),
        ("g.txt", "1 2 x", "holds no gradient"),
        ("g.npy", "nonsense", "holds no gradient"),
        ("g.json", "[1.0, 2.0]", r"has shape \(2,\), expected \(8,\)"),
        ("g.json", "[1.0, 2.0, 3, 4, 5, 6, 7, NaN]", r"\[7\] is nan"),
        ("gone.json", None, "cannot be read: No such file"),
    ],
)
def test_bad_gradient_files(made, tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(bg.errors.InvalidCandidate, match=message):
        bundles.check(made[0], tmp_path / name)


def own_problem(scale=1.0):
    import autograd.numpy as anp

    move = np.array([[[0.9, 0.1], [0.1, 0.9]], [[0.1, 0.9], [0.9, 0.1]]])
    return bg.ConfigurableMDP(
        lambda theta: bg.TabularModel(
            move,
            [1.0, 0.0],
            scale * anp.reshape(theta, (2, 2)),
            [[0.0, 0.0], [1.0, 1.0]],
            follower_discount=0.9,
            leader_discount=0.95,
            temperature=0.5,
        ),
        dim=4,
        name="mine",
    )


def test_a_problem_of_ones_own(tmp_path):
    """No zoo to make it again: it is made of its arrays and their Jacobian, and mistakes are named all the same."""
    problem, theta = own_problem(), np.array([0.3, -0.2, 0.1, 0.4])
    folder = bundles.export(problem, theta, tmp_path / "mine")
    exact = bg.hypergradient(problem, theta).gradient
    assert bundles.check(folder, exact).ok
    check = bundles.check(folder, exact + np.array([0, 0, 0.1, 0]))
    assert check.verdict == Verdict.DISAGREES
    assert "coordinate 2: yours" in str(check)
    assert "−∇J" in str(bundles.check(folder, -exact))
    assert bundles.check(folder, 1.001 * exact, tolerance=0.1).verdict == Verdict.CANNOT_TELL


def with_contexts(theta):
    """Two contexts with discounts and temperatures of their own, probabilities that move, and a regulariser."""
    models = [own_problem().build(theta), own_problem().build(2.0 * theta)]
    models[1] = dataclasses.replace(models[1], follower_discount=0.5, temperature=0.9)
    return bg.problems.ContextualModel(models, bg.softmax(theta[:2]))


def sparse(theta):
    model = own_problem().build(theta)
    kernel = scipy.sparse.csr_matrix(
        np.eye(4)[[0, 1, 2, 3, 3, 2, 1, 0]][: model.n_states * model.n_actions, : model.n_states]
    )
    return dataclasses.replace(model, transition=kernel)


OWN = {
    "contexts": bg.ConfigurableMDP(with_contexts, dim=4, regulariser=lambda t: anp.sum(t**2)),
    "sparse": bg.ConfigurableMDP(sparse, dim=4),
    **{name: bg.problems.load(name) for name in ("toy-game", "random-lqr", "lqr-game", "thermal-control")},
    "published follower": bg.problems.load("toy-game", as_published=True),
    "blind follower": bg.problems.load("toy-game", observes=False),
}


@pytest.mark.parametrize("name", OWN)
def test_every_kind_is_made_again_from_its_arrays(name, tmp_path, monkeypatch):
    """A forger scales gradient.npy and the numbers it is judged by, and signs anew: the model in the bundle tells."""
    problem = OWN[name]
    monkeypatch.setattr(problem, "recipe", None)
    theta = problem.initial_theta(seed=2)
    folder = bundles.export(problem, theta, tmp_path / "own")
    exact = bg.hypergradient(problem, theta).gradient
    check = bundles.check(folder, exact)
    assert check.ok, str(check)
    assert check.again is not None
    np.testing.assert_allclose(check.again.reference.gradient, exact, rtol=1e-9, atol=1e-12 * np.abs(exact).max())
    assert not bundles.check(folder, -5.0 * exact).ok
    np.save(folder / "gradient.npy", -5.0 * exact)
    forged(folder, lambda m: None)
    with pytest.raises(bg.errors.BundleUnusable, match="solved again here"):
        bundles.check(folder, -5.0 * exact).ok  # noqa: B018


def test_where_nothing_can_be_computed_again_it_is_said(tmp_path, monkeypatch):
    problem = bg.problems.load("synthetic-hard")
    monkeypatch.setattr(problem, "recipe", None)
    theta = problem.initial_theta(seed=0)
    folder = bundles.export(problem, theta, tmp_path / "own")
    exact = bg.hypergradient(problem, theta).gradient
    check = bundles.check(folder, exact)
    assert check.again is None
    assert "judged by the bundle's own numbers" in str(check)
    assert "no known mistakes were tried" in str(bundles.check(folder, -exact))


@pytest.mark.parametrize(("array", "size"), [("rounding", -1.0), ("terms", np.inf), ("units", 0.0), ("units", np.nan)])
def test_sizes_that_are_none(tmp_path, array, size, monkeypatch):
    """Where the files are all there is, what they say is judged by has to be sizes."""
    problem = bg.problems.load("synthetic-hard")
    monkeypatch.setattr(problem, "recipe", None)
    folder = bundles.export(problem, problem.initial_theta(seed=0), tmp_path / "own")
    np.save(folder / f"{array}.npy", np.full(100, size))
    forged(folder, lambda m: None)
    with pytest.raises(bg.errors.BundleUnusable, match=rf"{array}\.npy holds what no size is"):
        bundles.check(folder, np.zeros(100)).ok  # noqa: B018


def test_a_model_whose_derivative_is_wrong_makes_no_bundle(tmp_path):
    """Whoever got it would be blamed for the right gradient."""
    right = own_problem()
    wrong = bg.ConfigurableMDP(
        right.build,
        dim=4,
        pullback=lambda theta, g: 1.01 * right.linearise(theta).pullback(g),
        pushforward=lambda theta, v: right.linearise(theta).pushforward(v),
    )
    with pytest.raises(bg.errors.NotDifferentiable, match="model's derivative is wrong, and so would the bundle's"):
        bundles.export(wrong, np.array([0.3, -0.2, 0.1, 0.4]), tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_a_zoo_that_has_changed_since_is_noticed(made, monkeypatch):
    gradient = np.load(made[0] / "gradient.npy")
    changed = bg.problems.load("garnet", n_states=12, n_parameters=8, leader_discount=0.9, seed=1)
    monkeypatch.setattr(reading.problems, "load", lambda name, **options: changed)
    with pytest.raises(bg.errors.BundleUnusable, match="solved again here, garnet has a gradient that differs"):
        str(bundles.check(made[0], 2.0 * gradient))


def test_folders_in_the_way(made, copy, tmp_path):
    _, problem, theta = made
    with pytest.raises(bg.errors.InvalidOption, match=r"exists and is a bundle; replace it"):
        bundles.export(problem, theta, copy)
    assert bundles.export(problem, theta, copy, replace=True) == copy
    (tmp_path / "else").mkdir()
    with pytest.raises(bg.errors.InvalidOption, match="exists and is something else"):
        bundles.export(problem, theta, tmp_path / "else", replace=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(bg.errors.InvalidOption, match="cannot write the bundle"):
        bundles.export(problem, theta, tmp_path / "file" / "b")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_what_is_too_large_is_left_out_and_said(monkeypatch, tmp_path):
    problem = bg.problems.load("garnet", n_states=12, n_parameters=8)
    monkeypatch.setattr(layout, "MOST_NUMBERS", 1000)
    folder = bundles.export(problem, problem.initial_theta(seed=0), tmp_path / "b")
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    assert list(manifest["omitted"]) == ["jacobian/transition"]
    assert "1536 numbers are too many for a file" in (folder / "README.md").read_text(encoding="utf-8")
    monkeypatch.setattr(layout, "MOST_NUMBERS", 10)
    folder = bundles.export(problem, problem.initial_theta(seed=0), tmp_path / "c")
    assert list(json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["omitted"]) == ["jacobian"]


def forged(folder, change):
    """A bundle that was altered, with checksums made anew."""
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    changed = change(manifest)
    manifest = manifest if changed is None else changed
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "SHA256SUMS").write_text(layout.sums_text(folder), encoding="utf-8")
    return folder


FORGERIES = {
    "a list": lambda m: [],
    "no problem": lambda m: m.pop("problem") and None,
    "odd options": lambda m: m["problem"].update(options="x"),
    "no errors": lambda m: m.pop("errors") and None,
    "a negative size": lambda m: m["errors"].update(value_scale=-1.0),
    "an infinite size": lambda m: m["errors"].update(gradient_estimate=1e999),
    "no rounding": lambda m: m["arrays"].pop("rounding") and None,
    "one rounding for all": lambda m: m["arrays"]["rounding"].update(shape=[1]),
    "no arrays": lambda m: m.update(arrays=3),
    "a file elsewhere": lambda m: m["arrays"]["gradient"].update(file="../../../etc/passwd"),
    "another array's file": lambda m: m["arrays"]["gradient"].update(file="theta.npy"),
    "another length": lambda m: m["arrays"]["gradient"].update(shape=[3]),
    "another type": lambda m: m["arrays"]["gradient"].update(dtype="<f4"),
    "no value": lambda m: m.update(value=None),
    "a value of 400 digits": lambda m: m.update(value=10**400),
    "a value of 10,000 digits": lambda m: m.update(value=None, big="X") or m,
    "a scale of 400 digits": lambda m: m["errors"].update(value_scale=10**400),
    "ten million states": lambda m: m["problem"]["options"].update(n_states=10**7),
    "a size without end": lambda m: m["problem"]["options"].update(n_states=1e300),
    "options of something else": lambda m: m["problem"].update(name="grid-world"),
    "a zoo problem as one's own, without its Jacobian": lambda m: m["problem"].update(options=None, family="game"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_with_checksums_of_their_own(copy, name):
    with pytest.raises(bg.errors.BundleUnusable):
        bundles.check(forged(copy, FORGERIES[name]), np.ones(8)).ok  # noqa: B018


@pytest.mark.parametrize("spoil", [b"", b"\x93NUMPY\x01\x00v\x00junk", b"no array at all"])
def test_files_that_are_no_arrays(copy, spoil):
    (copy / "gradient.npy").write_bytes(spoil)
    forged(copy, lambda m: None)
    with pytest.raises(bg.errors.BundleUnusable, match=r"gradient\.npy is no array"):
        bundles.check(copy, np.zeros(8))


def test_links_and_deeper_checksums_are_not_part_of_it(copy, tmp_path):
    (copy / "link.npy").symlink_to(copy / "gradient.npy")
    with pytest.raises(bg.errors.BundleUnusable, match=r"link\.npy is not part of the bundle"):
        bundles.read(copy)
    (copy / "link.npy").unlink()
    (copy / "model" / "SHA256SUMS").write_text("")
    with pytest.raises(bg.errors.BundleUnusable, match=r"model/SHA256SUMS is not part of the bundle"):
        bundles.read(copy)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_not_read(copy, kind, tmp_path, made):
    for path in (copy / "gradient.npy", tmp_path / "g.npy"):
        path.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to({"device": "/dev/zero", "folder": tmp_path}[kind])
    with pytest.raises(bg.errors.BundleUnusable, match="no regular file"):
        bundles.read(copy)
    with pytest.raises(bg.errors.InvalidCandidate, match="no regular file"):
        bundles.check(made[0], tmp_path / "g.npy")


def test_a_header_that_promises_more_than_follows_is_not_believed(copy):
    with (copy / "gradient.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    forged(copy, lambda m: None)
    with pytest.raises(bg.errors.BundleUnusable, match=r"gradient\.npy is no array: its header says"):
        bundles.check(copy, np.zeros(8))


def test_a_folder_that_merely_holds_a_file_of_that_name_is_not_replaced(made, tmp_path):
    _, problem, theta = made
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "bundle.json").write_text("{}")
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(bg.errors.InvalidOption, match="exists and is something else"):
        bundles.export(problem, theta, mine, replace=True)
    inside = shutil.copytree(made[0], tmp_path / "inside")
    (inside / "thesis.tex").write_text("years of work")
    with pytest.raises(bg.errors.InvalidOption, match="exists and is something else"):
        bundles.export(problem, theta, inside, replace=True)
    assert (inside / "thesis.tex").read_text() == (mine / "thesis.tex").read_text() == "years of work"


def test_line_ends_of_another_system(copy):
    sums = (copy / "SHA256SUMS").read_bytes()
    (copy / "SHA256SUMS").write_bytes(sums.replace(b"\n", b"\r\n"))
    with pytest.raises(bg.errors.BundleUnusable, match="line 1 of SHA256SUMS is damaged"):
        bundles.read(copy)


@pytest.mark.parametrize(
    ("name", "text"), [("g.json", "[" + "9" * 401 + "]"), ("g.json", "[" * 100_000), ("g.NPY", "x"), ("g.JSON", "{}")]
)
def test_gradient_files_from_hell(made, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(bg.errors.InvalidCandidate, match="holds no gradient"):
        bundles.check(made[0], tmp_path / name)


@pytest.mark.parametrize("tolerance", ["x", 1j, True])
def test_tolerances_that_are_none(made, tolerance):
    with pytest.raises(bg.errors.InvalidOption, match="tolerance is"):
        bundles.check(made[0], np.zeros(8), tolerance=tolerance)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800"])
def test_folders_that_cannot_be(made, tmp_path, name):
    with pytest.raises(bg.errors.InvalidOption, match="cannot write the bundle"):
        bundles.export(made[1], made[2], tmp_path / name)
