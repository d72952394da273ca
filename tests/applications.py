"""The papers' applications as tests load them, and how a mistake of their own is made: another build, judged at the entry."""

import boltzgrad as bg
from boltzgrad.testing import check_hypergradient
from boltzgrad.verify.tolerances import Verdict

CASES = {
    "irl": ("irl", {}),
    "irl, plain counts": ("irl", {"counts": "plain"}),
    "irl, 20 episodes": ("irl", {"n_demonstrations": 20, "seed": 1}),
    "irl, an apprentice": ("irl", {"objective": "features", "n_demonstrations": 20}),
    "rlhf-kl": ("rlhf-kl", {}),
    "rlhf-kl, a bandit": ("rlhf-kl", {"world": "bandit", "n_tokens": 5}),
    "reward-shaping": ("reward-shaping", {}),
    "contract-design": ("contract-design", {}),
    "navigation": ("navigation", {}),
    "tax-design": ("tax-design", {}),
    "principal-agent": ("principal-agent", {}),
    "meta-rl": ("meta-rl", {}),
}


def loaded(case, seed=0):
    name, options = CASES[case]
    problem = bg.problems.load(name, **options)
    return problem, problem.initial_theta(seed=seed)


def exact(problem, theta):
    return bg.hypergradient(problem, theta).gradient


def refused(wrong, problem, theta):
    """Whether a gradient is told from the right one, and by more than rounding."""
    return check_hypergradient(wrong, problem, theta).verdict == Verdict.DISAGREES


def like(problem, build, **options):
    """The same problem with another build."""
    options = {"objective": problem.objective, "regulariser": problem.regulariser, **options}
    return bg.ConfigurableMDP(build, dim=problem.dim, **options)


def each_model(problem, change):
    """The problem whose models are `change(model, theta)`."""

    def build(theta):
        # What the zoo's own build returns, before it is made into the table that is solved.
        made = problem.source(theta)
        if isinstance(made, bg.ContextualModel):
            return bg.ContextualModel([change(m, theta) for m in made.models], made.probabilities)
        return change(made, theta)

    return like(problem, build)
