"""Two-player Markov games: the leader has a policy f_θ(a|s), the follower answers with a Boltzmann policy.

Source: BC-HG sections 2 and 4 (2-player Markov games), (4)(8)–(13), footnote 1.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal

import autograd.numpy as anp
import numpy as np
from scipy import sparse

from boltzgrad.core.array_map import ArrayMap
from boltzgrad.core.arrays import Array
from boltzgrad.core.checks import numeric_array, real_number, untraced
from boltzgrad.core.constants import followed
from boltzgrad.core.kernel import DenseKernel, SparseKernel, SparsePattern
from boltzgrad.core.linearise import Linearised, RoundedBuild, traced_jvp, traced_vjp
from boltzgrad.core.problem import ParametricProblem
from boltzgrad.core.stochastic import scatter, scattered_pull
from boltzgrad.errors import InvalidModel, InvalidOption, NotDifferentiable
from boltzgrad.families.game.leader_policy import LeaderPolicy, softmax_table
from boltzgrad.families.game.references import log_positive, log_reference, without
from boltzgrad.families.game.steps import OverSteps, Steps, in_pairs
from boltzgrad.families.tabular.model import TabularModel
from boltzgrad.families.tabular.problem import ConfigurableMDP

Sees = Literal["action", "state"]


class MarkovGame(ParametricProblem):
    """A finite game of a leader f_θ(a|s) and a follower that answers optimally under entropy regularisation.

    `transition` (S, A, B, S) or SciPy sparse (S·A·B, S) with row (s·A + a)·B + b; `initial` (S,); rewards (S, A, B);
    a the leader's action, b the follower's.  `policy` is a `LeaderPolicy` (a softmax table by default); only f depends
    on θ.

    `observes=True`: the follower sees a before it picks b (the paper's setting).  `observes=False`: it picks b knowing
    the state only (BC-HG footnote 1).  `as_published=True`: it *acts* on the action it sees but *plans* as if it would
    not see the next one, as the published code does (the log-sum-exp stands outside the average over a').

    `reference` π⁰(b|s,a), (S, A, B) or (S, B), is what the follower is kept near, at −τ KL; its zeros are actions that are not
    there, and where the follower does not see a it says nothing of a.  What is kept is the same follower with entropy, whose
    reward and Q_F hold τ log π⁰.
    `leader_temperature` τ_L ≥ 0 is the weight of the leader's own entropy, or of −KL(f_θ(·|s) ‖ f⁰(·|s)) with a
    `leader_reference` f⁰ (S, A): its reward is r_L − τ_L (log f_θ − log f⁰).  A follower with one action and this is a policy
    gradient with a regulariser.

    With a `horizon` H the game ends after H steps, discounts are at most 1, and where it ends the players are paid
    `terminal_follower_reward` and `terminal_leader_reward` (S,).  Kernel, rewards, references and what `policy` returns may
    then have a first axis for the step, (H, …); what is found has one, too.  It is solved as the game on pairs (step, state),
    row t·S + s, which `n_states`, `joint` and `linearise` are of.

    `state_names` are for pictures.  Raises: InvalidModel naming the entry; InvalidOption.

    >>> game = MarkovGame(np.ones((1, 2, 2, 1)), [1.0], np.zeros((1, 2, 2)), np.zeros((1, 2, 2)),
    ...                   follower_discount=0.9, leader_discount=0.9, temperature=0.1)
    >>> game.as_configurable_mdp().model(np.zeros(2)).n_states
    2
    """

    def __init__(
        self,
        transition: Any,
        initial: Any,
        follower_reward: Any,
        leader_reward: Any,
        *,
        follower_discount: float,
        leader_discount: float,
        temperature: float,
        reference: Any = None,
        leader_temperature: float = 0.0,
        leader_reference: Any = None,
        policy: LeaderPolicy | None = None,
        observes: bool = True,
        as_published: bool = False,
        horizon: int | None = None,
        terminal_follower_reward: Any = None,
        terminal_leader_reward: Any = None,
        initial_scale: float = 1.0,
        name: str = "",
        state_names: Sequence[str] | None = None,
    ) -> None:
        if as_published and not observes:
            raise InvalidOption("as_published is a follower that acts on what it observes; observes=False is another")
        tau = real_number("temperature", temperature)
        self.steps: Steps | None = None
        if horizon is not None:
            gammas = (
                real_number("follower_discount", follower_discount),
                real_number("leader_discount", leader_discount),
            )
            ends = (terminal_follower_reward, terminal_leader_reward)
            steps = self.steps = Steps.of(horizon, transition, (follower_reward, leader_reward), ends, gammas)
            transition, initial = steps.kernel, steps.start(numeric_array("initial", initial, ndim=1, axes="(states,)"))
            follower_reward, leader_reward = steps.reward(0), steps.reward(1)
        elif terminal_follower_reward is not None or terminal_leader_reward is not None:
            raise InvalidOption("terminal rewards are paid at the end of a horizon: give horizon=")
        follower_reward = numeric_array("follower_reward", follower_reward, ndim=3, axes="(states, leader, follower)")
        leader_reward = numeric_array("leader_reward", leader_reward, ndim=3, axes="(states, leader, follower)")
        S, A, B = follower_reward.shape
        if leader_reward.shape != (S, A, B):
            raise InvalidModel(f"leader_reward has shape {leader_reward.shape}, follower_reward {(S, A, B)}")
        if not sparse.issparse(transition):
            transition = numeric_array("transition", transition)
            if transition.shape != (S, A, B, S):
                raise InvalidModel(
                    f"transition has shape {transition.shape}, expected {(S, A, B, S)} as in the rewards"
                )
            transition = transition.reshape(S, A * B, S)
        self.n_states, self.n_leader_actions, self.n_follower_actions = S, A, B
        self.leader_temperature = real_number("leader_temperature", leader_temperature)
        if not 0.0 <= self.leader_temperature < np.inf:
            raise InvalidModel(f"leader_temperature is {self.leader_temperature!r}; it must be at least 0 and finite")
        self.bonus: Any = 0.0  # τ log π⁰, which the follower's reward has taken in
        self.beside: Any = 0.0  # τ_L log f⁰, which the leader's has
        self.available: Array | None = None
        if reference is not None:
            sees = observes and not as_published
            shape = (S, A, B)
            if self.steps is not None:
                one = [self.steps.shape] * sees + [(self.steps.shape[0], B)]
                reference = self.steps.on_pairs("reference", reference, one)
            log, self.available = log_reference(reference, shape, sees_action=sees)
            self.bonus = tau * log
            follower_reward = follower_reward + self.bonus
            if self.available is not None:
                transition, follower_reward = without(self.available, transition, follower_reward, tau)
        if leader_reference is not None:
            if self.steps is not None:
                leader_reference = self.steps.on_pairs("leader_reference", leader_reference, [self.steps.shape[:2]])
            log = log_positive("leader_reference", leader_reference, [(S, A)])
            self.beside = self.leader_temperature * log[:, :, None]
            leader_reward = leader_reward + self.beside
        expected = S if self.steps is None else self.steps.shape[0]
        if state_names is not None and len(state_names) != expected:
            raise InvalidOption(f"state_names has {len(state_names)} names, expected {expected}")
        self.state_names = None if state_names is None else list(state_names)
        # The joint model: pairs (a, b) are its actions, so every check and every kernel operation applies.
        try:
            self.joint = TabularModel(
                transition,
                initial,
                follower_reward.reshape(S, A * B),
                leader_reward.reshape(S, A * B),
                follower_discount=follower_discount,
                leader_discount=leader_discount,
                temperature=temperature,
            )
        except InvalidModel as error:
            raise InvalidModel(in_pairs(str(error), B)) from None
        if policy is not None and not isinstance(policy, LeaderPolicy):
            raise InvalidOption(f"policy is {policy!r}; expected LeaderPolicy(function, dim)")
        self.policy = self._over_steps(policy if policy is not None else softmax_table(expected, A))
        self.plans_on: Sees = "action" if observes and not as_published else "state"
        self.acts_on: Sees = "action" if observes else "state"
        super().__init__(dim=self.policy.dim, name=name, initial_scale=initial_scale)
        self.tree = self.policy.tree

    def _over_steps(self, policy: LeaderPolicy) -> LeaderPolicy:
        """The policy on the states that the game is solved on."""
        if self.steps is None:
            return policy
        rows = OverSteps(policy.function, self.steps, policy.pullback, policy.pushforward)
        by_hand = policy.pullback is not None and policy.pushforward is not None
        back, forward = (rows.pullback, rows.pushforward) if by_hand else (None, None)
        return LeaderPolicy(rows, policy.dim, back, forward, policy.tree)

    @property
    def source(self) -> Callable[[Any], Any]:
        """The function of θ that the problem is made from."""
        return self.policy.function

    def made_from(self, function: Callable[[Any], Any], dim: int) -> MarkovGame:
        """The game with another leader's policy."""
        game = copy.copy(self)
        game.policy, game.dim, game.tree = LeaderPolicy(function, dim), dim, None
        return game

    def leader_policy(self, theta: Any) -> Array:
        """The leader's policy f_θ (S, A) at θ, checked.  Raises: InvalidTheta, InvalidModel."""
        return self._checked(self.policy.function(self.check_theta(theta)))

    def linearise(self, theta: Any) -> Linearised[Array, Array]:
        """The leader's policy f (S, A) at θ with its pull-back and push-forward.  Raises: NotDifferentiable, InvalidTheta."""
        theta = self.check_theta(theta)
        policy = self.policy
        if policy.pullback is None or policy.pushforward is None:
            (f,), back = traced_vjp(lambda t: (policy.function(t),), theta)
            forward = traced_jvp(lambda t: (policy.function(t),), theta)
            return Linearised(
                self._checked(f),
                lambda cotangent: back((cotangent,)),
                lambda u: forward(u)[0],
                self.dim,
                self._rounded(theta),
            )
        by_hand_back, by_hand_forward = policy.pullback, policy.pushforward
        shape = (self.n_states, self.n_leader_actions)

        def pullback(cotangent: Array) -> Array:
            return _shaped("pullback", by_hand_back(theta, cotangent), theta.shape)

        def pushforward(direction: Array) -> Array:
            return _shaped("pushforward", by_hand_forward(theta, direction), shape)

        return Linearised(self._checked(policy.function(theta)), pullback, pushforward, self.dim)

    def _rounded(self, theta: Array) -> RoundedBuild | None:
        function = self.policy.function
        if not getattr(function, "traced", True):
            return None
        return RoundedBuild(
            lambda rng: (np.asarray(scatter(function, theta, rng)),),
            lambda parts, rng: scattered_pull(function, theta, parts[0], rng),
        )

    def array_map(self, theta: Any, linearised: Linearised[Array, Array] | None = None) -> ArrayMap:
        """θ ↦ the leader's policy f (S, A), at one θ; `linearised` is `linearise(theta)` where it is known already."""
        theta = self.check_theta(theta)
        at = self.linearise(theta) if linearised is None else linearised
        return ArrayMap(
            theta=theta,
            names=("policy",),
            values=(at.model,),
            scales=(1.0,),
            evaluate=lambda t: (np.asarray(self.policy.function(t)),),
            pull=lambda parts: at.pullback(parts[0]),
            push=lambda direction: (at.pushforward(direction),),
            again=self.array_map,
            takes_complex=getattr(self.policy.function, "takes_complex", True),
        )

    def as_configurable_mdp(self) -> ConfigurableMDP:
        """The game as a configurable MDP, on which Theorem 1 is Theorem 2.

        A follower that sees the action lives on the states z = (s, a): p(z'|z, b) = p(s'|s,a,b) f(a'|s'), started
        from ρ(s) f(a|s).  One that does not lives on s, with kernel and rewards averaged over f.
        Source: derivation `theorem-2-by-lifting`; BC-HG footnote 1.  Raises: InvalidOption for `as_published`.
        """
        if self.plans_on != self.acts_on:
            raise InvalidOption("as published, the follower plans otherwise than it acts: no MDP has it as its optimum")
        build = self._lifted if self.acts_on == "action" else self._averaged
        return ConfigurableMDP(
            build, dim=self.dim, initial_scale=self.initial_scale, name=f"{self.name} (lifted)".strip()
        )

    def _lifted(self, theta: Any) -> TabularModel:
        S, A, B = self.n_states, self.n_leader_actions, self.n_follower_actions
        f, joint = followed(self.policy.function(theta)), self.joint
        paid = paid_to_leader(self, f)
        if isinstance(joint.kernel, DenseKernel):
            p = joint.kernel.values.reshape(S * A, B, S, 1)
            kernel: Any = anp.reshape(p * anp.reshape(f, (1, 1, S, A)), (S * A, B, S * A))
        else:
            pattern = joint.kernel.pattern
            to = (pattern.indices[:, None] * A + np.arange(A)).ravel()
            lifted = SparsePattern(pattern.indptr.astype(np.int64) * A, to, n_states=S * A, n_actions=B)
            kernel = SparseKernel(lifted, anp.ravel(joint.kernel.values[:, None] * f[pattern.indices]))
        return TabularModel(
            kernel,
            anp.ravel(joint.initial[:, None] * f),
            joint.follower_reward.reshape(S * A, B),
            anp.reshape(paid, (S * A, B)),
            available=self._there((S, A, B), (S * A, B)),
            **self._constants(),
        )

    def _averaged(self, theta: Any) -> TabularModel:
        S, A, B = self.n_states, self.n_leader_actions, self.n_follower_actions
        f, joint = anp.reshape(followed(self.policy.function(theta)), (S, A, 1)), self.joint
        if isinstance(joint.kernel, DenseKernel):
            p = joint.kernel.values.reshape(S, A, B, S)
            kernel: Any = anp.sum(anp.reshape(f, (S, A, 1, 1)) * p, axis=1)
        else:
            kernel = self._averaged_sparse(f)
        return TabularModel(
            kernel,
            joint.initial,
            anp.sum(f * joint.follower_reward.reshape(S, A, B), axis=1),
            anp.sum(f * anp.reshape(paid_to_leader(self, anp.reshape(f, (S, A))), (S, A, B)), axis=1),
            available=self._there((S, 1, B), (S, B)),
            **self._constants(),
        )

    def _there(self, whole: tuple[int, ...], shape: tuple[int, ...]) -> Array | None:
        """Where actions are, laid out as a table's."""
        return None if self.available is None else np.broadcast_to(self.available, whole).reshape(shape)

    def _averaged_sparse(self, f: Any) -> SparseKernel:
        """Rows (s, b) hold the successors of (s, a, b) for every a, one entry each."""
        S, A, B = self.n_states, self.n_leader_actions, self.n_follower_actions
        assert isinstance(self.joint.kernel, SparseKernel)
        pattern = self.joint.kernel.pattern
        row = np.repeat(np.arange(S * A * B), pattern.row_lengths)
        s, a, b = row // (A * B), row // B % A, row % B
        order = np.argsort(s * B + b, kind="stable")
        indptr = np.r_[0, np.cumsum(np.bincount(s * B + b, minlength=S * B))]
        averaged = SparsePattern(indptr, pattern.indices[order], n_states=S, n_actions=B)
        weight = anp.reshape(f, (S, A))[s[order], a[order]]
        return SparseKernel(averaged, self.joint.kernel.values[order] * weight)

    def _constants(self) -> dict[str, Any]:
        joint = self.joint
        return {
            "follower_discount": joint.follower_discount,
            "leader_discount": joint.leader_discount,
            "temperature": joint.temperature,
        }

    def _checked(self, f: Any) -> Array:
        f = np.asarray(numeric_array("leader's policy", f), dtype=float)
        expected = (self.n_states, self.n_leader_actions)
        if f.shape != expected:
            raise InvalidModel(f"the leader's policy has shape {f.shape}, expected {expected}")
        if f.min() < 0.0:
            at = np.unravel_index(int(np.argmin(f)), f.shape)
            raise InvalidModel(
                f"the leader's policy[{at[0]}, {at[1]}] is {f.min():.6g}; probabilities must not be negative"
            )
        off = np.abs(f.sum(axis=1) - 1.0)
        if off.max() > 1e-10:
            s = int(np.argmax(off))
            raise InvalidModel(f"the leader's policy[{s}] sums to {f[s].sum():.12g}; it must be a distribution")
        return np.asarray(f)


def paid_to_leader(game: MarkovGame, f: Any) -> Any:
    """The leader's reward of every pair (S, A·B): r_L − τ_L (log f − log f⁰); f (S, A) may be traced, or complex."""
    joint = game.joint
    if not game.leader_temperature:
        return joint.leader_reward
    # An action that is never taken pays nothing: f log f is zero.
    log = anp.log(anp.where(np.real(untraced(f)) > 0.0, f, 1.0))
    own = anp.reshape(log, (*np.shape(untraced(f)), 1)) * np.ones(game.n_follower_actions)
    return joint.leader_reward - game.leader_temperature * anp.reshape(own, joint.leader_reward.shape)


def joint_under(game: MarkovGame, f: Array) -> TabularModel:
    """The joint model with what the leader is paid under f (S, A)."""
    if not game.leader_temperature:
        return game.joint
    out = copy.copy(game.joint)
    object.__setattr__(out, "leader_reward", paid_to_leader(game, f))
    return out


def _shaped(name: str, x: Any, shape: tuple[int, ...]) -> Array:
    out = np.asarray(x, float)
    if out.shape != shape:
        raise NotDifferentiable(f"the policy's {name} returned shape {out.shape}, expected {shape}")
    return out
