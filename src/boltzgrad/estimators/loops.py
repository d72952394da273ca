"""The loops over steps that estimators spend their time in; compiled where numba is installed, to the same bits.

What is sequential has to be walked step by step: a trajectory, a SARSA table, a sum along a trajectory.  In NumPy a step is a
handful of calls on as many numbers as there are trajectories, which is fine for thousands of them and slow for ten.  Callers
keep a plain path for when `core.compiled.available()` is false.
"""

from __future__ import annotations

from boltzgrad.core.arrays import Array
from boltzgrad.core.compiled import compiled_to_the_bit


@compiled_to_the_bit
def walk(
    began: int,
    uniform: Array,
    state: Array,
    on: Array,
    first: Array,
    age: Array,
    world: Array,
    kernel_of: Array,
    action_edges: Array,
    start_edges: Array,
    to: Array,
    cdf: Array,
    total: Array,
    forced: Array,
    kappa: float,
    length: Array,
    time_limit: int,
    restart: bool,
    numbers: Array,
    flags: Array,
) -> int:
    """Steps `began`, `began` + 1, … of N walkers, as many as `uniform` (T, N, 4) has; the number of steps taken.

    `state`, `on`, `first`, `age` (N,) are moved on in place.  `numbers` (5, T, N) take state, action, next state, slot, age;
    `flags` (5, T, N) alive, first, last, ended, timed out.  `forced` (N or 0,) are the actions of step 0, `length` (N or 0,)
    how long each walks, `time_limit` < 0 is none.  Ends early when nobody is on, unless they `restart`.
    """
    A, m = action_edges.shape[2] + 1, cdf.shape[2]
    for t in range(uniform.shape[0]):
        any_on = False
        for n in range(state.size):
            w, s = world[n], state[n]
            action = 0
            for edge in action_edges[w, s]:
                if uniform[t, n, 0] >= edge:
                    action += 1
            if began + t == 0 and forced.size > 0:
                action = forced[n]
            k, row = kernel_of[w], s * A + action
            slot = 0
            for edge in cdf[k, row]:
                if uniform[t, n, 1] >= edge:
                    slot += 1
            slot = min(slot, m - 1)
            following = to[k, row, slot]
            ended = uniform[t, n, 1] >= total[k, row]
            last = ended or (kappa < 1.0 and uniform[t, n, 2] >= kappa)
            if length.size > 0 and began + t + 1 >= length[n]:
                last = True
            timed_out = time_limit >= 0 and age[n] + 1 >= time_limit and not ended
            last = last or timed_out
            numbers[0, t, n], numbers[1, t, n], numbers[2, t, n] = s, action, following
            numbers[3, t, n], numbers[4, t, n] = slot, age[n]
            flags[0, t, n], flags[1, t, n], flags[2, t, n] = on[n], first[n], last
            flags[3, t, n], flags[4, t, n] = ended, timed_out
            if restart and last:
                fresh = 0
                for i in range(start_edges.shape[1] - 1):
                    if uniform[t, n, 3] >= start_edges[w, i]:
                        fresh += 1
                state[n], first[n], age[n] = fresh, True, 0
                any_on = True
            else:
                on[n] = on[n] and (restart or not last)
                state[n], first[n], age[n] = following, False, age[n] + 1
                any_on = any_on or on[n]
        if not any_on:
            return t + 1
    return len(uniform)


@compiled_to_the_bit
def sarsa(
    q: Array,
    order: Array,
    state: Array,
    action: Array,
    next_state: Array,
    reward: Array,
    alive: Array,
    ended: Array,
    last: Array,
    policy: Array,
    gamma: float,
    rate: float,
    as_published: bool,
) -> None:
    """One pass over a batch in `order` (L, T·E), in place on the table `q` (L, S, A); the batch is (T, L·E).

    An episode's end is worth nothing; where the batch cuts a trajectory, E_π Q of the next state is (`as_published`: nothing).
    """
    T, N = state.shape
    L, _, A = q.shape
    E = N // L
    for lane in range(L):
        for i in range(T * E):
            t, n = order[lane, i] // E, lane * E + order[lane, i] % E
            if not alive[t, n]:
                continue
            after = (t + 1) % T
            ahead = q[lane, state[after, n], action[after, n]]
            if ended[t, n] or (as_published and last[t, n]):
                ahead = 0.0
            elif last[t, n]:
                ahead = 0.0
                for a in range(A):
                    ahead += policy[lane, next_state[t, n], a] * q[lane, next_state[t, n], a]
            old = q[lane, state[t, n], action[t, n]]
            q[lane, state[t, n], action[t, n]] = old + rate * (reward[t, n] + gamma * ahead - old)


@compiled_to_the_bit
def carried(x: Array, discount: float, first: Array, out: Array) -> None:
    """e_t = x_t + δ e_{t−1} along each column of (T, N), begun anew at `first`."""
    T, N = x.shape
    for n in range(N):
        out[0, n] = x[0, n]
    for t in range(1, T):
        for n in range(N):
            before = 0.0 if first[t, n] else discount * out[t - 1, n]
            out[t, n] = x[t, n] + before


@compiled_to_the_bit
def summed_back(x: Array, discount: float, last: Array, out: Array) -> None:
    """G_t = x_t + δ G_{t+1} along each column of (T, N), begun anew at `last`."""
    T, N = x.shape
    for n in range(N):
        out[T - 1, n] = x[T - 1, n]
    for t in range(T - 2, -1, -1):
        for n in range(N):
            ahead = 0.0 if last[t, n] else discount * out[t + 1, n]
            out[t, n] = x[t, n] + ahead
