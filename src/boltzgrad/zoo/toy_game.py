"""The paper's toy Markov game: three states, and everything hangs on P(a=1|A).

Source: BC-HG 5.3, C.3.  `bonus` is what the follower earns by going from A to B when the leader plays 0 there
(1: the journal's R1; 2: R2, the paper's Figures 4 and 7).
"""

from __future__ import annotations

import numpy as np

from boltzgrad.errors import InvalidOption
from boltzgrad.families.game.problem import MarkovGame

STATES, FOLLOWER = "SAB", "sab"
# (state, leader's action): for each follower's action s, a, b the next state, follower's and leader's reward.
RULES = {
    ("S", 0): (("S", 0, 0), ("A", 1, 1), ("B", 1, 0)),
    ("S", 1): (("S", 0, 0), ("A", 1, 1), ("B", 1, 0)),
    ("A", 0): (("S", 0, 0), ("A", 0, 0), ("B", None, 0)),  # None: the bonus
    ("A", 1): (("S", -1, 0), ("S", -1, 0), ("S", -1, 0)),
    ("B", 0): (("S", 0, 0), ("B", 0, 0), ("B", 0, 0)),
    ("B", 1): (("S", 0, 0), ("B", 0, 0), ("B", 0, 0)),
}


def toy_game(
    bonus: int = 2, observes: bool = True, as_published: bool = False, temperature: float = 0.05
) -> MarkovGame:
    """States S, A, B; leader's actions 0, 1; follower's s, a, b; deterministic; discounts 0.99, start S.

    θ is the (3, 2) table of the leader's logits in row-major order.
    """
    if isinstance(bonus, bool) or bonus not in (1, 2):
        raise InvalidOption(f"bonus is {bonus!r}; expected 1 or 2")
    p, r_f, r_l = np.zeros((3, 2, 3, 3)), np.zeros((3, 2, 3)), np.zeros((3, 2, 3))
    for (state, a), moves in RULES.items():
        s = STATES.index(state)
        for b, (to, follower, leader) in enumerate(moves):
            p[s, a, b, STATES.index(to)] = 1.0
            r_f[s, a, b], r_l[s, a, b] = bonus if follower is None else follower, leader
    return MarkovGame(
        p,
        [1.0, 0.0, 0.0],
        r_f,
        r_l,
        follower_discount=0.99,
        leader_discount=0.99,
        temperature=temperature,
        observes=bool(observes),
        as_published=bool(as_published),
        name="toy-game",
        state_names=STATES,
    )
