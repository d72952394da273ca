"""Hypergradients of small problems in plain dense NumPy, written once more: the candidate in tests of the test kit.

Forward mode: V by policy iteration, ∇Q_F, ∇π, ∇V_L for each coordinate by `numpy.linalg.solve`.  Of the library only the
problem is used (its arrays at θ and their derivatives).
"""

import numpy as np


def dense(kernel, like):
    """A transition, or its derivative along θ (the kernel's values), as (S, A, S)."""
    S, A = like.follower_reward.shape
    if isinstance(kernel, np.ndarray) and kernel.ndim == 3:
        return kernel
    return np.asarray(kernel.toarray()).reshape(S, A, S)


def soft(q, tau):
    top = q.max(axis=1, keepdims=True)
    e = np.exp((q - top) / tau)
    total = e.sum(axis=1, keepdims=True)
    return e / total, top[:, 0] + tau * np.log(total[:, 0])


def follower(reward, p, gamma, tau):
    S = len(reward)
    v = np.zeros(S)
    for _ in range(200):
        policy, new = soft(reward + gamma * p @ v, tau)
        step = np.linalg.solve(np.eye(S) - gamma * np.einsum("sa,sat->st", policy, p), new - v)
        v = v + step
        if np.abs(step).max() <= 1e-15 * max(1.0, np.abs(v).max()):
            break
    q = reward + gamma * p @ v
    return q, v, soft(q, tau)[0]


def tabular(problem, theta):
    """∇J (d,) of a ConfigurableMDP."""
    linearised = problem.linearise(theta)
    contexts = linearised.model
    total = np.zeros(problem.dim)
    for j, column in enumerate(linearised.columns()):
        for c, m in enumerate(contexts.models):
            value, slope = along(problem, theta, m, column.models[c], np.eye(problem.dim)[j])
            total[j] += contexts.probabilities[c] * slope + column.probabilities[c] * value
    if problem.regulariser is not None:
        total += problem.regulariser.gradient_at(theta)
    return total


def along(problem, theta, m, d, unit):
    """(J, dJ) of one model along one coordinate."""
    S = m.n_states
    gamma, beta, tau = m.follower_discount, m.leader_discount, m.temperature
    world, moved = dense(m.transition, m), spread(d.transition, m.kernel, m)
    planned, moved_planned = world, moved
    if m.own_kernel:
        planned = dense(m.follower_transition, m)
        moved_planned = spread(d.follower_transition, m.follower_kernel, m)
    _, v, policy = follower(m.follower_reward, planned, gamma, tau)
    u = d.follower_reward + gamma * moved_planned @ v
    chain = np.einsum("sa,sat->st", policy, planned)
    dv = np.linalg.solve(np.eye(S) - gamma * chain, (policy * u).sum(axis=1))
    dq = u + gamma * planned @ dv
    dpolicy = policy * (dq - (policy * dq).sum(axis=1, keepdims=True)) / tau
    if problem.objective != "return":
        direct, slope = problem.objective.gradients(theta, policy)
        return problem.objective.value(theta, policy), float(direct @ unit + (slope * dpolicy).sum())
    chain = np.einsum("sa,sat->st", policy, world)
    matrix = np.eye(S) - beta * chain
    worth = np.linalg.solve(matrix, (policy * m.leader_reward).sum(axis=1))
    forcing = (dpolicy * (m.leader_reward + beta * world @ worth)).sum(axis=1)
    forcing = forcing + (policy * (d.leader_reward + beta * moved @ worth)).sum(axis=1)
    return float(m.initial @ worth), float(d.initial @ worth + m.initial @ np.linalg.solve(matrix, forcing))


def spread(values, kernel, m):
    """The derivative of a kernel's values as (S, A, S)."""
    if values.ndim == 3:
        return values
    S, A = m.follower_reward.shape
    out = np.zeros((S * A, S))
    pattern = kernel.pattern
    np.add.at(out, (np.repeat(np.arange(S * A), np.diff(pattern.indptr)), pattern.indices), values)
    return out.reshape(S, A, S)


def game(problem, theta):
    """∇J (d,) of a MarkovGame: forward mode on its own variables, for all three kinds of followers."""
    at = problem.linearise(theta)
    f, forward = at.model, at.pushforward
    joint, (S, A) = problem.joint, f.shape
    B = problem.n_follower_actions
    gamma, beta, tau = joint.follower_discount, joint.leader_discount, joint.temperature
    p = dense(joint.transition, joint).reshape(S, A, B, S)
    rF, rL = (x.reshape(S, A, B) for x in (joint.follower_reward, joint.leader_reward))

    def plan(q):
        """(U, ∂U/∂Q) for the way the follower plans."""
        if problem.plans_on == "action":
            g, v = soft(q.reshape(S * A, B), tau)
            g, v = g.reshape(S, A, B), v.reshape(S, A)
            return (f * v).sum(axis=1), f[:, :, None] * g
        h, u = soft((f[:, :, None] * q).sum(axis=1), tau)
        return u, f[:, :, None] * h[:, None, :]

    u = np.zeros(S)
    for _ in range(300):
        new, weight = plan(rF + gamma * p @ u)
        step = np.linalg.solve(np.eye(S) - gamma * np.einsum("sab,sabt->st", weight, p), new - u)
        u = u + step
        if np.abs(step).max() <= 1e-15 * max(1.0, np.abs(u).max()):
            break
    q = rF + gamma * p @ u
    _, weight = plan(q)
    see, v = soft(q.reshape(S * A, B), tau)
    see, v = see.reshape(S, A, B), v.reshape(S, A)
    blind = soft((f[:, :, None] * q).sum(axis=1), tau)[0]
    acting = see if problem.acts_on == "action" else np.repeat(blind[:, None, :], A, axis=1)
    both = f[:, :, None] * acting
    matrix = np.eye(S) - beta * np.einsum("sab,sabt->st", both, p)
    worth = np.linalg.solve(matrix, (both * rL).sum(axis=(1, 2)))
    q_leader = rL + beta * p @ worth
    out = []
    for e in np.eye(problem.dim):
        df = forward(e)
        moved = df * v if problem.plans_on == "action" else blind * (df[:, :, None] * q).sum(axis=1)
        du = np.linalg.solve(np.eye(S) - gamma * np.einsum("sab,sabt->st", weight, p), moved.sum(axis=1))
        dq = gamma * p @ du
        if problem.acts_on == "action":
            dg = see * (dq - (see * dq).sum(axis=2, keepdims=True)) / tau
        else:
            mean = (f[:, :, None] * dq + df[:, :, None] * q).sum(axis=1)
            dh = blind * (mean - (blind * mean).sum(axis=1, keepdims=True)) / tau
            dg = np.repeat(dh[:, None, :], A, axis=1)
        forcing = ((df[:, :, None] * acting + f[:, :, None] * dg) * q_leader).sum(axis=(1, 2))
        out.append(joint.initial @ np.linalg.solve(matrix, forcing))
    return np.array(out)


def lqr(problem, theta):
    """∇J (d,) of a LinearQuadratic: a complex step in the matrices, Riccati sweeps, and moments step by step."""
    linearised = problem.linearise(theta)
    model, step = linearised.model, 1e-30
    out = []
    for column in linearised.columns():
        moved = {
            name: np.asarray(getattr(model, name)) + 1j * step * np.asarray(getattr(column, name))
            for name, _ in column.named()
        }
        out.append(np.imag(lqr_value(model, **moved)) / step)
    return np.array(out)


def lqr_value(model, A, B, W, Q, R, mean, covariance, leader_Q, leader_R, leader_constant, shift=0.0):
    gamma, beta = model.follower_discount, model.leader_discount
    P = Q
    for _ in range(20_000):
        M = R + gamma * B.T @ P @ B
        K = np.linalg.solve(M, gamma * B.T @ P @ A)
        new = Q + K.T @ R @ K + gamma * (A - B @ K).T @ P @ (A - B @ K)
        still = all(np.abs(part(new - P)).max() <= 1e-15 * np.abs(part(P)).max() + 1e-47 for part in (np.real, np.imag))
        P = (new + new.T) / 2
        if still:
            break
    M = R + gamma * B.T @ P @ B
    K, K_w = (np.linalg.solve(M, gamma * B.T @ P @ x) for x in (A, np.eye(len(A))))
    K_w = K_w if model.observed else 0.0 * K_w
    explore = model.temperature / 2 * np.linalg.inv(M)
    F, G = A - B @ K, np.eye(len(A)) - B @ K_w
    noise = G @ W @ G.T + B @ explore @ B.T
    paid = np.trace(leader_R @ (K_w @ W @ K_w.T + explore))
    # What is discounted may grow: the follower need only stabilise √γ F.
    rate = beta * max(1.0, np.abs(np.linalg.eigvals(np.real(F))).max()) ** 2
    endless = 1 if rate == 0.0 else int(np.ceil(np.log(1e-18) / np.log(rate))) + 1
    steps = endless if model.horizon is None else model.horizon
    m, C, total = mean, covariance, 0.0
    for t in range(steps):
        second = C + np.outer(m, m)
        spent = K + shift
        reward = leader_constant - (leader_Q * second).sum() - (leader_R * (spent @ second @ spent.T)).sum() - paid
        if model.bump is not None:
            away, spread = m - model.bump.target, np.eye(len(A)) + C @ model.bump.precision
            reward += (
                model.bump.height
                * np.linalg.det(spread) ** -0.5
                * np.exp(-0.5 * away @ model.bump.precision @ np.linalg.solve(spread, away))
            )
        total += beta**t * reward
        m, C = F @ m, F @ C @ F.T + noise
    return total
