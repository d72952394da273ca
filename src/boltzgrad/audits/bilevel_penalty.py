r"""A penalty for bilevel RL with PPO below, as in `Penalty-Based-Bilevel-Optimization`.

Nothing here is a formula to compare: the upper level's step either stops with an error or moves nothing.  The environment is a
stub, a state and an action on a line, one step in five ending the episode, paid −(a − 1)².
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from boltzgrad.audits.audit import Audit, Case, Source
from boltzgrad.audits.checkout import Checkout, needed
from boltzgrad.core.arrays import Array

_UPPER = 3  # parameters of the upper level


class _Line:
    """What `gym.make` returns here."""

    observation_space = action_space = SimpleNamespace(shape=(1,))

    def __init__(self) -> None:
        self.steps = 0

    def reset(self) -> Array:
        self.steps = 0
        return np.zeros(1)

    def step(self, action: Any) -> tuple[Array, float, bool, dict[str, Any]]:
        self.steps += 1
        return np.full(1, self.steps / 5.0), -float((np.asarray(action).ravel()[0] - 1.0) ** 2), self.steps >= 5, {}


def _run(*checkouts: Checkout) -> dict[str, Array]:
    (code,) = checkouts
    torch = needed("torch", "bilevel-penalty")
    functional, optim = needed("torch.nn.functional", "bilevel-penalty"), needed("torch.optim", "bilevel-penalty")
    normal = needed("torch.distributions", "bilevel-penalty").Normal
    among = {"np": np, "torch": torch, "nn": torch.nn, "F": functional, "optim": optim, "Normal": normal}
    among |= vars(code.functions("utils.py.py", "compute_gae", among=among))
    gym = SimpleNamespace(make=lambda name: _Line())
    nets = code.functions("networks.py.py", "PolicyNetwork", "UpperLevelModel", among=among)
    names = ("LowerLevelOptimizer", "StandardPolicyOptimizer", "CoupledPolicyOptimizer")
    below = code.functions("lower_level.py.py", *names, among=among)
    wrapper = code.functions("env_wrapper.py.py", "EnvironmentWrapper", among={**among, "gym": gym})
    above = code.functions("upper_level.py.py", "UpperLevelOptimizer", among=among)

    def update(detached: bool) -> Array:
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - the code draws from it
        world = wrapper.EnvironmentWrapper("line")
        world.collect_trajectory = partial(world.collect_trajectory, num_steps=128)
        policies = [nets.PolicyNetwork(1, 1, _UPPER, 8) for _ in range(2)]
        upper = nets.UpperLevelModel(_UPPER, 8)
        lower = [
            below.StandardPolicyOptimizer(policies[0]),
            below.CoupledPolicyOptimizer(policies[1]),
        ]
        if detached:
            for optimiser in lower:
                optimiser.update = _detached(optimiser.update)
        before = torch.nn.utils.parameters_to_vector(upper.parameters()).detach().clone()
        above.UpperLevelOptimizer(upper, world, *policies, *lower).update()
        after = torch.nn.utils.parameters_to_vector(upper.parameters()).detach()
        return np.asarray((after - before).numpy())

    try:
        update(detached=False)
        error = ""
    except RuntimeError as raised:
        error = str(raised)
    return {"as_it_comes": np.array([error]), "detached": update(detached=True)}


def _detached(update: Any) -> Any:
    return lambda upper, data: update(upper.detach(), data)


AUDIT = Audit(
    name="bilevel-penalty",
    sources=(
        Source(
            "MuditGaur/Penalty-Based-Bilevel-Optimization",
            "c373607a69845b1d87291a9460eb66ee474d5102",
            ("upper_level.py.py: UpperLevelOptimizer.update", "lower_level.py.py: both updates"),
        ),
    ),
    computes="the upper level's step, with a penalty from the difference of two policies' gradients",
    shows="always: the upper loss is a fresh leaf, which no parameter of the upper model leads to",
    known="",
    needs=("torch",),
    cases=(
        Case(key="as_it_comes", of="error", title="one update as it comes", expects="fails",
             mistake="the second minibatch goes backward through the upper model's graph, which the first has freed"),
        Case(key="detached", of="movement", title="one update with the upper parameters detached below", expects="stands still",
             mistake="the loss is torch.tensor(…, requires_grad=True): no gradient reaches the model"),
    ),
    run=_run,
)  # fmt: skip
