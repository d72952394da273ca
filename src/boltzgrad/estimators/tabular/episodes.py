"""A batch of tabular trajectories, and the cotangents that sums along them put on the model's arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from boltzgrad.core.arrays import Array
from boltzgrad.errors import InvalidOption, UnusableBatch
from boltzgrad.estimators.sampling import Sampling
from boltzgrad.estimators.tabular.cotangents import TabularCotangents
from boltzgrad.estimators.tabular.rollouts import Rollout
from boltzgrad.estimators.tabular.worlds import TabularWorlds
from boltzgrad.estimators.traces import returns, trace

Segments = Literal["sampled", "averaged", "exact"] | float


@dataclass(frozen=True, eq=False)
class Values:
    """The leader's values along a rollout: `q` at (s_t, a_t), `v` at s_t, `v_next` at s_{t+1}, all (T, N).

    `benefit` is Q_L − V_L as a table (L, S, A) where the critic has one.  `expected` is E[v_next | s_t, a_t] where the critic
    knows it, `mean` (N,) the mean of V over the start, else None.
    """

    q: Array
    v: Array
    v_next: Array
    benefit: Array | None = None
    expected: Array | None = None
    mean: Array | None = None


class TabularEpisodes(TabularCotangents):
    """One batch in every lane, and what can be computed from it.

    `as_published` treats ends, time-outs and cuts alike and divides by the number of *finished* episodes (at least one),
    as the published code does.
    """

    def __init__(
        self, worlds: TabularWorlds, rollout: Rollout, sampling: Sampling, *, as_published: bool = False
    ) -> None:
        super().__init__(worlds)
        self.rollout, self.sampling, self.as_published = rollout, sampling, as_published
        kappa = sampling.survival(worlds.gamma_L, worlds.gamma_F)
        # The largest of the discounts may be zero: then nothing is ever carried over and any κ will do.
        self.leader_discount = worlds.gamma_L / kappa if kappa else 0.0
        self.follower_discount = worlds.gamma_F / kappa if kappa else 0.0
        L = worlds.lanes
        finished = np.bincount(rollout.lane, weights=(rollout.ended | rollout.timed_out).sum(axis=0), minlength=L)
        if sampling.steps is None:
            self.trajectories = np.bincount(rollout.lane, minlength=L).astype(float)
        elif as_published:
            self.trajectories = np.maximum(finished, 1.0)
        else:
            if (finished == 0).any():
                lane = int(np.argmin(finished))
                raise UnusableBatch(
                    f"no episode ends within the {sampling.steps} steps of lane {lane}'s batch: there is nothing to "
                    "divide by; use more steps, a time_limit, or horizon='geometric' without steps"
                )
            self.trajectories = finished
        w = np.where(rollout.alive, self.leader_discount**rollout.age, 0.0)
        self.weights = w / self.trajectories[rollout.lane]

    # Reading the rollout

    published_segments: Segments = "averaged"

    @property
    def steps(self) -> Array:
        """Environment steps of each lane (L,)."""
        return self.rollout.steps

    def at(self, table: Array) -> Array:
        """A table (W, S, A) at (s_t, a_t), (T, N)."""
        r = self.rollout
        return table[r.world, r.state, r.action]

    def leader_returns(self) -> Array:
        """Discounted sums of the leader's rewards from every step on, within the data (T, N)."""
        r = self.rollout
        return returns(np.where(r.alive, self.at(self.worlds.r_L), 0.0), self.leader_discount, r.last)

    def visits(self, x: Array, *, actions: bool) -> tuple[Array, Array]:
        """(Σ over visits of x, number of visits) for each (lane, s) or (lane, s, a)."""
        index, shape = self._index(actions)
        size = int(np.prod(shape))
        live = self.rollout.alive.ravel()
        flat = index.ravel()[live]
        total = np.bincount(flat, weights=x.ravel()[live], minlength=size)
        return total.reshape(shape), np.bincount(flat, minlength=size).reshape(shape)

    def averages(self, x: Array, *, actions: bool) -> Array:
        """M_s{x} (L, S) or M_sa{x} (L, S, A): averages over all visits in the batch, 0 where there is none."""
        total, count = self.visits(x, actions=actions)
        return total / np.maximum(count, 1)

    def _index(self, actions: bool) -> tuple[Array, tuple[int, ...]]:
        r, w = self.rollout, self.worlds
        index = r.lane * w.S + r.state
        if not actions:
            return index, (w.lanes, w.S)
        return index * w.A + r.action, (w.lanes, w.S, w.A)

    # Putting cotangents on the model's arrays

    def add_leader_reward(self, coefficients: Array) -> None:
        """Σ_t coefficient ∇r_L(s_t, a_t)."""
        self.leader_reward += self.visits(coefficients, actions=True)[0]

    def add_follower_reward(self, coefficients: Array) -> None:
        """Σ_t coefficient ∇r_F(s_t, a_t)."""
        self.follower_reward += self.visits(coefficients, actions=True)[0]

    def add_score(self, coefficients: Array) -> None:
        """Σ_t coefficient ∇log p(s_{t+1}|s_t, a_t); nothing where the episode ended."""
        if not self.worlds.moves.transition:
            return
        r, s = self.rollout, self.worlds.successors
        live = r.alive & ~r.ended
        k = np.broadcast_to(s.kernel_of[r.world], r.state.shape)[live]
        row, slot = (r.state * self.worlds.A + r.action)[live], r.slot[live]
        lane = np.broadcast_to(r.lane, r.state.shape)[live]
        value = coefficients[live] / s.probability[k, row, slot]
        self.transitions.append((lane, s.position[k, row, slot], value))

    def add_start(self, values: Array, mean: Array | None) -> None:
        """∇log ρ(s₀) V_L(s₀), less a baseline; and the same for the probability of the context."""
        w, r = self.worlds, self.rollout
        begins = r.first & r.alive
        lane, world, s0 = (np.broadcast_to(x, r.state.shape)[begins] for x in (r.lane, r.world, r.state))
        weight, value = 1.0 / self.trajectories[lane], values[begins]
        if w.moves.initial:
            whole = np.abs(w.initial[world].sum(axis=1) - 1.0) < 1e-9
            base = np.where(whole, np.broadcast_to(mean, r.state.shape)[begins], 0.0) if mean is not None else 0.0
            np.add.at(self.initial, (lane, s0), weight * (value - base) / w.initial[world, s0])
        if w.moves.probabilities:
            self.probability += np.bincount(lane, weights=weight * value, minlength=w.lanes)

    # The parts of a hypergradient

    def direct(self, values: Values, *, baseline: bool = False) -> None:
        """The partial derivative: ∇log ρ V_L + Σ_t γ_L^t (∇r_L + γ_L ∇log p V_L(s'))  (BC-HG (5), first terms).

        With `baseline`, less what the critic expects of V_L(s') given (s, a), where the row of p sums to one.
        """
        expected, mean = (values.expected, values.mean) if baseline else (None, None)
        self.add_leader_reward(self.weights)
        self.add_score(self.worlds.gamma_L * self.weights * (values.v_next - self._baseline(expected)))
        self.add_start(values.v, mean)

    def published_direct(self, values: Values) -> None:
        """The published direct term: the mean over first steps of M_s{Ret[∇r_L]}.

        The published kernel is constant; where one is not, the scores are those of `direct`.
        """
        r = self.rollout
        begins = (r.first & r.alive).astype(float)
        share = begins / np.bincount(r.lane, weights=begins.sum(axis=0), minlength=self.worlds.lanes)[r.lane]
        c = self._spread(share, actions=False)
        self.add_leader_reward(trace(c, self.leader_discount, r.first))
        self.add_score(self.worlds.gamma_L * self.weights * values.v_next)
        self.add_start(values.v, None)

    def guide(self, weights: Array, segments: Segments = "sampled", *, baseline: bool = False) -> None:
        """Σ_t weight_t ∇Q_F(s_t, a_t), with ∇Q_F from the trajectory's own segment, averaged, exact, or a λ-return.

        - "sampled": Σ_{k≥t} γ_F^{k−t} (∇r_F + γ_F ∇log p V_F(s_{k+1}))  (BC-HG (6)); `baseline` subtracts
          E[V_F(s_{k+1})|s_k, a_k] (derivation `transition-control-variate`);
        - "averaged": the mean of those over all visits to (s, a) in the batch (published; a bias);
        - λ in [0, 1]: λ-returns with the white-box follower's ∇V_F (derivation `lambda-returns`);
        - "exact": the white-box follower's ∇Q_F(s_t, a_t).
        """
        w, r = self.worlds, self.rollout
        if segments == "exact":
            self.add_white_box(self.visits(weights, actions=True)[0])
            return
        carried = 1.0
        if segments == "averaged":
            weights = self._spread(weights, actions=True)
        elif segments != "sampled":
            carried = float(segments)
        e = trace(weights, carried * self.follower_discount, r.first)
        self.add_follower_reward(e)
        following = w.value[r.world, r.next_state]
        centre = self._baseline(self.at(w.expect(w.value))) if baseline else 0.0
        self.add_score(w.gamma_F * e * (following - centre))
        if carried < 1.0:
            ahead = np.where(r.alive & ~r.ended, (1.0 - carried) * w.gamma_F * e, 0.0)
            index = r.lane * w.S + r.next_state
            on_value = np.bincount(index.ravel(), weights=ahead.ravel(), minlength=w.lanes * w.S)
            self.add_white_box_value(on_value.reshape(w.lanes, w.S))

    def guide_in_expectation(self, values: Values) -> None:
        """Σ_t γ_L^t Σ_a π(a|s_t) (B_L(s_t, a)/τ) ∇Q_F(s_t, a): the actions summed out, the white-box ∇Q_F.

        Raises: InvalidOption if the critic has no table, UnusableBatch if it knows nothing of an action in a visited state.
        """
        if values.benefit is None:
            raise InvalidOption("actions='expected' needs a critic with a table: 'exact', 'sarsa' or 'td'")
        w = self.worlds
        states, count = self.visits(self.weights, actions=False)
        unseen = np.argwhere(np.isnan(values.benefit) & (count > 0)[:, :, None])
        if unseen.size:
            lane, s, a = unseen[0]
            raise UnusableBatch(
                f"action {a} was never taken in state {s} in lane {lane}'s batch ({len(unseen)} such pairs in all), so a "
                "Monte-Carlo critic knows nothing of it; use more episodes, actions='sampled', or critic 'sarsa', 'td' or "
                "'exact'"
            )
        benefit = np.where((count > 0)[:, :, None], values.benefit, 0.0)
        self.add_white_box(states[:, :, None] * w.policy[w.lane_world] * benefit / w.tau)

    def guide_by_advantage(self, weights: Array, segments: Segments = "averaged", *, baseline: bool = False) -> None:
        """Σ_t weight_t (∇Q_F(s_t, a_t) − ∇V_F(s_t)), HPGD's centring.

        "averaged": both means over the batch's visits; "exact": the white-box follower's; "sampled" or λ: a segment for
        ∇Q_F and the white-box ∇V_F.
        """
        if segments == "averaged":
            self.guide_by_averages(self.visits(weights, actions=True)[0])
            return
        self.guide(weights, segments, baseline=baseline)
        self.add_white_box_value(-self.visits(weights, actions=False)[0])

    def guide_by_averages(self, totals: Array) -> None:
        """Σ totals(s,a) (M_sa{D} − M_s{D}) (L, S, A), D the segment gradients of this batch (HPGD's MC, SA and oracle)."""
        w, r = self.worlds, self.rollout
        c = self._share(totals, actions=True) - self._share(totals.sum(axis=2), actions=False)
        e = trace(c, self.follower_discount, r.first)
        self.add_follower_reward(e)
        self.add_score(w.gamma_F * e * w.value[r.world, r.next_state])

    def guide_one_step(self, weights: Array) -> None:
        """Σ_t weight_t (∇r_F(s_t, a_t) − E_π ∇r_F(s_t, ·)), SoBiRL's truncation  (BC-HG (44), (45)); biased."""
        self.follower_reward += self.visits(weights, actions=True)[0]
        policy = self.worlds.policy[self.worlds.lane_world]
        self.follower_reward -= policy * self.visits(weights, actions=False)[0][:, :, None]

    def _spread(self, weights: Array, *, actions: bool) -> Array:
        """Each visit's share of what all visits to its (s, a), or s, weigh together: Σ_t w_t M{x}(t) = Σ_j share_j x_j."""
        return self._share(self.visits(weights, actions=actions)[0], actions=actions)

    def _share(self, totals: Array, *, actions: bool) -> Array:
        """Totals by (lane, s) or (lane, s, a), divided evenly among the visits (T, N)."""
        _, count = self.visits(self.weights, actions=actions)
        index, _ = self._index(actions)
        share = (totals / np.maximum(count, 1)).ravel()[index]
        return np.where(self.rollout.alive, share, 0.0)

    def _baseline(self, expected: Array | None) -> Array | float:
        """E[V(s')|s,a] where the row sums to one; elsewhere a score need not have mean zero."""
        if expected is None:
            return 0.0
        r, s = self.rollout, self.worlds.successors
        total = s.total[np.broadcast_to(s.kernel_of[r.world], r.state.shape), r.state * self.worlds.A + r.action]
        return np.where(total == 1.0, expected, 0.0)


def check_segments(segments: object) -> None:
    """Raises: InvalidOption unless 'sampled', 'averaged', 'exact' or a λ in [0, 1]."""
    if isinstance(segments, str):
        if segments in ("sampled", "averaged", "exact"):
            return
    elif not isinstance(segments, bool) and isinstance(segments, (int, float)) and 0.0 <= segments <= 1.0:
        return
    raise InvalidOption(f"segments is {segments!r}; expected 'sampled', 'averaged', 'exact' or a λ in [0, 1]")
