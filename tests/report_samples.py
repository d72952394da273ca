"""Made-up verifications of every kind, written to a folder as `boltzgrad verify --json` writes them."""

import json
from copy import copy
from functools import cache

import numpy as np

import boltzgrad as bg
from boltzgrad.core.model_check import ModelCheck
from boltzgrad.verify import AgreementReport, Row, Verdict

HOSTILE = "<script>document.title = 'owned'</script><img src=https://example.com/x.png>&\"'"

LONG = f"every-colour{'_and_one_more' * 8}"  # no place to break the line


@cache
def reference(name="synthetic-hard"):
    problem = bg.problems.load(name)
    return bg.hypergradient(problem, problem.initial_theta(seed=0))


def row(route, verdict=Verdict.AGREES, relative=1e-12, *, at=17, of="synthetic-hard", **options):
    """A row whose entry `at` is off by `relative` · ‖∇J‖_∞."""
    ref = reference(of)
    gradient = ref.gradient.copy()
    at = min(at, gradient.size - 1)
    off = relative * np.abs(gradient).max()
    gradient[at] += off
    values = {
        "value": ref.value,
        "gradient": gradient,
        "difference": off,
        "where": at,
        "allowed": 1e-9,
        "seconds": 0.25,
    }
    return Row(route=route, summary=f"how {route} does it", verdict=verdict, **{**values, **options})


def silent(route, verdict, note):
    return Row(route=route, summary="", verdict=verdict, note=note)


def report(*rows, name=None, of="synthetic-hard", model=None):
    problem = bg.problems.load(of)
    problem.name = name or of
    first = row("adjoint", "reference", 0.0, of=of, at=0)
    ref = copy(reference(of))
    if model is not None:
        ref.__dict__["model_check"] = model
    return AgreementReport(problem, ref, (first, *rows))


def confirmed(of="synthetic-hard", relative=1e-12):
    return report(row("covariance", relative=relative, of=of), row("implicit", relative=2 * relative, of=of), of=of)


def every_kind():
    """File stems and reports: three confirmed, and each kind of failure."""
    along = {"directions": np.eye(100)[:2] * 2.0, "gradient": np.array([7.0, 8.0]), "difference": 3.0, "where": 1}
    return {
        "a-good": confirmed("synthetic", 3e-15),
        "b-good": confirmed("toy-game", 0.0),
        "c-wrong": report(
            row("covariance", Verdict.DISAGREES, 1e-3),
            row("differences", Verdict.DISAGREES, **along),
            row("conic", Verdict.CANNOT_TELL, 1e-7, allowed=np.inf),
            silent("unrolled", Verdict.SKIPPED, "would take too long"),
            silent("hpgd", Verdict.FAILED, "it did not converge"),
            silent("unrolled-implicit", Verdict.UNFINISHED, "not at rest after 10 sweeps"),
            row("implicit"),
        ),
        "d-kink": report(silent("complex-step", Verdict.NOT_SMOOTH, "a kink at coordinate 3"), name="kinked"),
        "e-coarse": report(
            row("covariance", Verdict.CANNOT_TELL, 1e-6, allowed=3.5), silent("conic", Verdict.SKIPPED, "no solver")
        ),
        "f-nan": report(
            row("covariance", Verdict.DISAGREES, np.nan, difference=np.inf), row("implicit"), name="with-nan"
        ),
        "g-hostile": report(row("covariance", Verdict.DISAGREES, 1e-2, note=HOSTILE), name=HOSTILE),
        "i-cut": report(
            silent("covariance", Verdict.SKIPPED, "the model's derivative is wrong, and every route differentiates it"),
            name="cut",
            model=ModelCheck(
                "derivative", "the derivative of leader_reward[2, 1] along theta[3] is 0, and its slope 0.5"
            ),
        ),
        "j-zero": report(row("covariance", Verdict.ZERO, 0.0), row("implicit", Verdict.ZERO, 1e-17), name="nothing"),
        "h-scale": report(*(row(f"1e-{k}", relative=10.0**-k) for k in range(1, 18)), name=LONG),
    }


def fill(folder, reports):
    folder.mkdir(parents=True, exist_ok=True)
    for name, one in reports.items():
        (folder / f"{name}.json").write_text(one.to_json(), encoding="utf-8")
    return folder


def altered(one, **changes):
    """A report's JSON with some keys changed, or taken away where None is given as `...`."""
    data = json.loads(one.to_json())
    data.update(changes)
    return json.dumps({k: v for k, v in data.items() if v is not ...})
