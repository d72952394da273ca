"""Forward and gradient times (CPU seconds), memory and accuracy against peers, side by side in one run.

    python benchmarks/hypergradient.py [--sizes 100,1000,…] [--families grid-world,garnet] [-o benchmarks/results]

Every measurement is a process of its own (one thread), so that peak memory is that method's alone and a peer that
runs out of time or memory takes nothing with it.  Peers are optional (`pip install '.[peers]'`); one that is
absent, or cannot go where it is asked to, has a cell that says so.  Writes hypergradient.json, .md and .png.

The row "limit" is what no method can go below on this machine: the bytes of a kernel that is written once, read once by each of
the four solves (V_F, V_L, ν, y), and whose cotangent is written and read once, over the bandwidth measured in the same run.

Task: ∇J of the zoo's `garnet` and `grid-world` (γ = 0.99, τ = 0.05, 4 actions, 4 successors, d = 64).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
# The largest size each method is asked to do; beyond, it needs more time or memory than the machine has (see notes).
METHODS = {
    "boltzgrad": (1_000_000, ""),
    "boltzgrad without [fast]": (100_000, "minutes beyond; benchmarks/compiled.py"),
    "boltzgrad value iteration": (100_000, "minutes beyond"),
    "jax unrolled": (10_000, "the tape needs about 100 GB at 10⁵"),
    "jax checkpointed": (10_000, "minutes at 10⁵"),
    "jaxopt implicit": (10_000, "minutes at 10⁵"),
    "autograd unrolled": (1_000, "12 GB of tape at 10⁴"),
    "central differences": (1_000, "128 forward solves"),
    "QuantEcon (forward)": (100_000, "its DiscreteDP takes minutes to make"),
}
PLAIN = "boltzgrad without [fast]"
SWEEPS = 3000


def load(family: str, size: int):
    """The zoo problem of about `size` states."""
    import boltzgrad as bg

    if family == "grid-world":
        return bg.problems.load(family, size=round(size**0.5))
    return bg.problems.load(family, n_states=size)


def measure(method: str, family: str, size: int, repeats: int) -> dict:
    """One method on one problem, in this process: medians of forward and gradient seconds, and the gradient."""
    if method == PLAIN:
        sys.modules["numba"] = None  # as where it is not installed
    problem = load(family, size)
    theta = problem.initial_theta(seed=0)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = RUNNERS[method](problem, theta)
    forward, backward, gradient = [], [], None
    for _ in range(repeats + 1):  # the first is a warm-up (compilation, caches)
        gradient, f, b = run()
        forward.append(f)
        backward.append(b)
    forward, backward = forward[1:] or forward, backward[1:] or backward
    return {
        "forward": float(np.median(forward)),
        "gradient": float(np.median(backward)),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "before_mb": base / 1e3,
        "result": np.asarray(gradient, float).tolist(),
    }


def ours(problem, theta):
    """Newton, then adjoint and pull-back, timed apart."""
    from boltzgrad.families.tabular import adjoint
    from boltzgrad.solvers import solve_follower

    def run():
        began = time.process_time()
        at = problem.linearise(theta)
        model = at.model.models[0]
        follower = solve_follower(model)
        value = adjoint.evaluate(model, problem, theta, follower)
        solved = time.process_time()
        context = adjoint.adjoin(model, follower, value)
        _, cotangent, outside = adjoint.assemble(problem, theta, at.model.probabilities, (context,))
        gradient = at.pullback(cotangent) + outside
        return gradient, solved - began, time.process_time() - solved

    return run


def ours_by_sweeps(problem, theta):
    """The same gradient on value iteration."""
    from boltzgrad.families.tabular import adjoint
    from boltzgrad.solvers import solve_follower

    def run():
        began = time.process_time()
        at = problem.linearise(theta)
        model = at.model.models[0]
        follower = solve_follower(model, method="value-iteration", tolerance=1e-12)
        solved = time.process_time()
        context = adjoint.solve_context(model, problem, theta, warm_start=follower.value)
        _, cotangent, outside = adjoint.assemble(problem, theta, at.model.probabilities, (context,))
        gradient = at.pullback(cotangent) + outside
        return gradient, solved - began, time.process_time() - solved

    return run


def _tiles(problem):
    """The tables behind a zoo problem made by `load`."""
    from boltzgrad.zoo.garnet import garnet_tiles
    from boltzgrad.zoo.grid_world import grid_tiles

    size = problem.contexts(np.zeros(problem.dim)).models[0].n_states
    return grid_tiles(round(size**0.5)) if problem.name == "grid-world" else garnet_tiles(size)


def _jax_parts(problem):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    tiles = _tiles(problem)
    S, A = tiles.follower_reward.shape
    successors = jnp.asarray(tiles.pattern.indices.reshape(S, A, -1))

    def arrays(theta):
        logits = jnp.asarray(tiles.logits) + theta[jnp.asarray(tiles.logit_tile)]
        p = (jnp.asarray(tiles.continuation) * jax.nn.softmax(logits, axis=1)).reshape(S, A, -1)
        rho = jax.nn.softmax(jnp.asarray(tiles.initial_logits) + theta[jnp.asarray(tiles.initial_tile)])
        r_f = jnp.asarray(tiles.follower_reward) + theta[jnp.asarray(tiles.follower_tile)]
        r_l = jnp.asarray(tiles.leader_reward) + theta[jnp.asarray(tiles.leader_tile)]
        return p, rho, r_f, r_l

    gamma, tau = 0.99, 0.05

    def q(v, p, r):
        return r + gamma * (p * v[successors]).sum(-1)

    def soft(v, p, r):
        return tau * jax.nn.logsumexp(q(v, p, r) / tau, axis=1)

    def policy(v, p, r):
        return jax.nn.softmax(q(v, p, r) / tau, axis=1)

    def leader(v, p, r, pi):
        return (pi * q(v, p, r)).sum(1)

    return jax, jnp, S, arrays, soft, policy, leader


def _jax_runner(problem, theta, value_of):
    jax, jnp, *_ = _jax_parts(problem)
    forward = jax.jit(value_of)
    both = jax.jit(jax.value_and_grad(value_of))

    def run():
        began = time.process_time()
        forward(jnp.asarray(theta)).block_until_ready()
        middle = time.process_time()
        gradient = both(jnp.asarray(theta))[1].block_until_ready()
        end = time.process_time()
        return gradient, middle - began, max(end - middle - (middle - began), 0.0)

    return run


def jax_unrolled(problem, theta, checkpointed=False):
    """Differentiate through every sweep."""
    jax, jnp, S, arrays, soft, policy, leader = _jax_parts(problem)

    def iterate(step, start):
        if not checkpointed:
            return jax.lax.scan(lambda v, _: (step(v), None), start, None, length=SWEEPS)[0]
        block = jax.checkpoint(lambda v: jax.lax.scan(lambda w, _: (step(w), None), v, None, length=50)[0])
        return jax.lax.scan(lambda v, _: (block(v), None), start, None, length=SWEEPS // 50)[0]

    def value_of(t):
        p, rho, r_f, r_l = arrays(t)
        v = iterate(lambda v: soft(v, p, r_f), jnp.zeros(S))
        pi = policy(v, p, r_f)
        return rho @ iterate(lambda v: leader(v, p, r_l, pi), jnp.zeros(S))

    return _jax_runner(problem, theta, value_of)


def jaxopt_implicit(problem, theta):
    """jaxopt.FixedPointIteration with its default implicit differentiation."""
    import jaxopt

    _, jnp, S, arrays, soft, policy, leader = _jax_parts(problem)
    options = {"maxiter": SWEEPS, "tol": 1e-12, "implicit_diff": True}
    follower = jaxopt.FixedPointIteration(lambda v, p, r: soft(v, p, r), **options)
    evaluation = jaxopt.FixedPointIteration(lambda v, p, r, pi: leader(v, p, r, pi), **options)

    def value_of(t):
        p, rho, r_f, r_l = arrays(t)
        v = follower.run(jnp.zeros(S), p, r_f).params
        return rho @ evaluation.run(jnp.zeros(S), p, r_l, policy(v, p, r_f)).params

    return _jax_runner(problem, theta, value_of)


def autograd_unrolled(problem, theta):
    """HIPS autograd through every backup, from a converged start."""
    from boltzgrad.families.tabular.sweeps import leader_values, planned, soft_backup, soft_values
    from boltzgrad.families.tabular.unrolled import unrolled

    def run():
        began = time.process_time()
        model = problem.contexts(theta).models[0]
        v = soft_values(model).x
        leader_values(model, soft_backup(model, planned(model), v)[1])
        middle = time.process_time()
        gradient = unrolled(problem, theta).gradient
        end = time.process_time()
        return gradient, middle - began, max(end - middle - (middle - began), 0.0)

    return run


def central_differences(problem, theta):
    """Two Newton solves a coordinate, h = 1e-5."""
    from boltzgrad.solvers import evaluate_leader, solve_follower

    def value(t, start=None):
        model = problem.contexts(t).models[0]
        follower = solve_follower(model, warm_start=start)
        return evaluate_leader(model, follower).expected_return, follower.value

    def run():
        began = time.process_time()
        _, start = value(theta)
        middle = time.process_time()
        h = 1e-5
        gradient = [
            (value(theta + h * u, start)[0] - value(theta - h * u, start)[0]) / (2 * h) for u in np.eye(theta.size)
        ]
        return gradient, middle - began, time.process_time() - middle

    return run


def quantecon_forward(problem, theta):
    """Modified policy iteration for the hard maximum, which is easier; it has no gradient."""
    from quantecon.markov import DiscreteDP

    def run():
        model = problem.contexts(theta).models[0]
        S, A = model.follower_reward.shape
        states, actions = np.divmod(np.arange(S * A), A)
        began = time.process_time()
        planner = DiscreteDP(model.follower_reward.ravel(), model.kernel.flat, model.follower_discount, states, actions)
        planner.solve(method="modified_policy_iteration", epsilon=1e-10)
        return np.full(theta.size, np.nan), time.process_time() - began, 0.0

    return run


def bandwidth() -> float:
    """Bytes a second of a triad a = b + 2 c over arrays that no cache holds."""
    b, c = np.ones(20_000_000), np.ones(20_000_000)
    a, best = np.empty_like(b), np.inf
    for _ in range(5):
        began = time.perf_counter()
        np.multiply(c, 2.0, out=a)
        np.add(a, b, out=a)
        best = min(best, time.perf_counter() - began)
    return 5 * a.nbytes / best


def limit(family: str, size: int, rate: float) -> float:
    """Seconds that moving a kernel takes at the least; see above."""
    entries = 16 * size  # 4 actions, 4 successors
    return entries * ((8 + 4) * 5 + 8 * 2) / rate


RUNNERS = {
    "boltzgrad": ours,
    PLAIN: ours,
    "QuantEcon (forward)": quantecon_forward,
    "boltzgrad value iteration": ours_by_sweeps,
    "jax unrolled": jax_unrolled,
    "jax checkpointed": lambda p, t: jax_unrolled(p, t, checkpointed=True),
    "jaxopt implicit": jaxopt_implicit,
    "autograd unrolled": autograd_unrolled,
    "central differences": central_differences,
}


def in_a_process(method: str, family: str, size: int, seconds: float, repeats: int) -> dict:
    """`measure` in a fresh process; a word instead of numbers where that failed."""
    command = [sys.executable, __file__, "--one", method, family, str(size), str(repeats)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"note": f"> {seconds:g} s"}
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return {"note": "not installed" if "ModuleNotFoundError" in last else last[:80]}
    return json.loads(done.stdout.splitlines()[-1])


def table(rows: list[dict], families: list[str], sizes: list[int], rate: float) -> str:
    """Markdown: a table a family, a cell forward + gradient seconds; peak MB; relative error."""
    out = []
    for family in families:
        out += [f"### {family}", "", "| method | " + " | ".join(f"S = {s:,}" for s in sizes) + " |"]
        out.append("|---" * (len(sizes) + 1) + "|")
        for method in METHODS:
            cells = []
            for size in sizes:
                row = next(r for r in rows if (r["method"], r["family"], r["size"]) == (method, family, size))
                if "note" in row:
                    cells.append(row["note"])
                elif "forward" in method:
                    cells.append(f"{row['forward']:.2g} s; no gradient")
                else:
                    error = "" if row["error"] is None else f"; {row['error']:.0e}"
                    cells.append(f"{row['forward']:.2g} + {row['gradient']:.2g} s; {row['peak_mb']:.0f} MB{error}")
            out.append(f"| {method} | " + " | ".join(cells) + " |")
        out.append("| limit | " + " | ".join(f"{limit(family, size, rate):.1g} s" for size in sizes) + " |")
        out.append("")
    return "\n".join(out)


def plot(rows: list[dict], families: list[str], path: Path) -> None:
    """Forward + gradient seconds against the number of states, a panel a family."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(families), figsize=(6 * len(families), 4.8), sharey=True, squeeze=False)
    for axis, family in zip(axes[0], families, strict=True):
        for method in METHODS:
            mine = [r for r in rows if r["method"] == method and r["family"] == family and "forward" in r]
            if mine:
                seconds = [r["forward"] + r["gradient"] for r in mine]
                style = {"linewidth": 2.5, "marker": "o"} if method == "boltzgrad" else {"marker": ".", "alpha": 0.8}
                axis.loglog(
                    [r["size"] for r in mine],
                    seconds,
                    label=method + slope([r["size"] for r in mine], seconds),
                    **style,
                )
        axis.set(title=f"{family} (in parentheses: growth over the last decade)", xlabel="states")
        axis.legend(fontsize=7, ncol=3, loc="upper center", bbox_to_anchor=(0.5, -0.14))
        axis.grid(alpha=0.3, which="both")
    axes[0][0].set_ylabel("forward + gradient, CPU seconds")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def slope(sizes: list[int], seconds: list[float]) -> str:
    """The power of S by which time grows over the last decade that was run, in words."""
    if len(sizes) < 2:
        return ""
    return f" (S^{np.log(seconds[-1] / seconds[-2]) / np.log(sizes[-1] / sizes[-2]):.2f})"


def main() -> None:
    """Measure, compare with boltzgrad's gradient, write the table and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--families", default="grid-world,garnet")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seconds", type=float, default=400.0, help="bound on one measurement")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--one", nargs=4, metavar=("METHOD", "FAMILY", "SIZE", "REPEATS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        method, family, size, repeats = arguments.one
        print(json.dumps(measure(method, family, int(size), int(repeats))))
        return
    sizes, families = [int(s) for s in arguments.sizes.split(",")], arguments.families.split(",")
    rows: list[dict] = []
    for family in families:
        for size in sizes:
            truth = None
            for method in METHODS:
                limit, why = METHODS[method]
                row = {"method": method, "family": family, "size": size}
                if method not in arguments.methods.split(","):
                    row["note"] = "–"
                elif size > limit:
                    row["note"] = f"not run ({why})"
                else:
                    row |= in_a_process(method, family, size, arguments.seconds, 3 if size <= 10_000 else 1)
                if "result" in row:
                    gradient = np.array(row.pop("result"))
                    truth = gradient if method == "boltzgrad" else truth
                    same = method == "boltzgrad" or truth is None or "forward" in method
                    row["error"] = None if same else float(np.abs(gradient - truth).max() / np.abs(truth).max())
                rows.append(row)
                print({k: v for k, v in row.items() if k != "before_mb"}, flush=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "hypergradient.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    rate = bandwidth()
    head = (
        "CPU seconds on one thread, float64.  Forward + gradient; peak memory; largest difference from boltzgrad relative to "
        "‖∇J‖_∞.  "
        f"Limit: the bytes that have to move (`benchmarks/hypergradient.py`) at {rate / 1e9:.1f} GB/s."
    )
    text = f"# Hypergradients side by side\n\n{head}\n\n{table(rows, families, sizes, rate)}"
    (arguments.output / "hypergradient.md").write_text(text, encoding="utf-8")
    try:
        plot(rows, families, arguments.output / "hypergradient.png")
    except ImportError:
        print("no plot: matplotlib is not installed")


if __name__ == "__main__":
    main()
