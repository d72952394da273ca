"""Statements in numbers: an instance gives every letter a value, derivatives are complex steps, and no rule is used."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from boltzgrad.derivations.kit.nodes import D, GaussianMean, LogIntegral, Nabla, Tr

Array: TypeAlias = np.ndarray[Any, Any]
STEP = 1e-30  # of the complex step: exact to rounding
_FLOOR = 1e-3  # numbers are of order one: what is smaller than this is compared with this
PARAMETER = sympy.Symbol("x", real=True)  # θ along the direction of the instance


@dataclass(frozen=True)
class Instance:
    """Numbers for letters and functions, at θ + i·STEP·(direction): imaginary parts are derivatives.

    values: symbol ↦ number or matrix (a vector is a column, a covector a row); functions: name of an undefined function
    ↦ array over its integer arguments (counted from 1); sizes: symbol of a range ↦ int.  A letter dX needs no value of
    its own where X has one.
    """

    values: Mapping[Any, Any]
    differentials: Mapping[Any, Any] = field(default_factory=dict)
    functions: Mapping[str, Any] = field(default_factory=dict)
    cache: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)  # of integrals

    def value(self, symbol: Any, stepped: bool) -> Any:
        """The value of a symbol; with `stepped`, at the complex point."""
        if symbol not in self.values:
            for primal, moved in self.differentials.items():
                if moved == symbol and primal in self.values:
                    return np.imag(self.values[primal]) / STEP
            raise KeyError(f"the instance has no value for {symbol}")
        value = self.values[symbol]
        return value if stepped else np.real(value)


Draw: TypeAlias = Callable[[np.random.Generator], Instance]


@dataclass(frozen=True)
class Merged:
    """A draw that knows the letters of several; where two know one, the last decides."""

    draws: tuple[Draw, ...]

    def __call__(self, rng: np.random.Generator) -> Instance:
        """One instance of each, as one."""
        return together(*(draw(rng) for draw in self.draws))


def merged(*draws: Draw) -> Merged:
    """The draw of several families at once."""
    return Merged(draws)


def together(*instances: Instance) -> Instance:
    """The letters of several instances; where two know one, the last decides."""
    return Instance(
        {symbol: value for i in instances for symbol, value in i.values.items()},
        {symbol: value for i in instances for symbol, value in i.differentials.items()},
        {name: table for i in instances for name, table in i.functions.items()},
    )


def evaluate(expression: Any, instance: Instance) -> Array:
    """The value of an expression as a real array.  Raises: ArithmeticError where it has none: a root or logarithm of less than
    zero.
    """
    value = np.asarray(_Evaluator(instance, stepped=False).run(sympy.sympify(expression)))
    if np.iscomplexobj(value) and np.any(value.imag != 0.0):
        raise ArithmeticError(f"{expression} is not real at this instance")
    return np.asarray(np.real(value), dtype=float)


def defect(left: Any, right: Any, instance: Instance) -> float:
    """The largest difference between two sides, relative to the size of their terms."""
    return difference(evaluate(left, instance), evaluate(right, instance), _size(left, right, instance))


def excess(left: Any, right: Any, instance: Instance) -> float:
    """By how much left ≥ right fails, relative to the size of the terms; 0 where it holds."""
    a, b = evaluate(left, instance), evaluate(right, instance)
    if not (np.all(np.isfinite(a)) and np.all(np.isfinite(b)) and (a.size == 1 or b.size == 1 or a.shape == b.shape)):
        return np.inf
    return float(np.max(np.maximum(b - a, 0.0))) / _size(left, right, instance)


def difference(a: Array, b: Array, size: float) -> float:
    """‖a − b‖_∞ over a size; infinite where the shapes or the values are no match."""
    a, b = (np.eye(len(y)) * x if x.ndim == 0 and _is_square(y) else x for x, y in ((a, b), (b, a)))
    if a.size == 1 or b.size == 1 or a.shape == b.shape:
        out = float(np.max(np.abs(a - b))) / size
        return out if np.isfinite(out) else np.inf
    return np.inf


def _is_square(a: Array) -> bool:
    return a.ndim == 2 and a.shape[0] == a.shape[1]


def _size(left: Any, right: Any, instance: Instance) -> float:
    terms = [t for side in (left, right) for t in sympy.Add.make_args(sympy.sympify(side))]
    return max(_FLOOR, *(float(np.max(np.abs(evaluate(t, instance)))) for t in terms))


@dataclass
class _Evaluator:
    instance: Instance
    stepped: bool
    indices: dict[Any, int] = field(default_factory=dict)

    def run(self, e: Any) -> Any:
        if isinstance(e, (Nabla, sympy.Derivative)):
            return self.derivative(e)
        if isinstance(e, sympy.MatrixBase):
            return np.array([[self.run(entry) for entry in row] for row in e.tolist()])
        if isinstance(e, sympy.MatMul):
            return functools.reduce(lambda a, b: a @ b if np.ndim(a) == 2 else a * b, map(self.run, e.args))
        special: dict[Any, Any] = {
            D: self.pointwise,
            Tr: lambda e: np.trace(self.run(e.args[0])),
            GaussianMean: self.mean,
            LogIntegral: self.log_integral,
            sympy.Sum: self.sum,
            sympy.Product: self.product,
            sympy.Integral: self.integral,
            sympy.Subs: lambda e: self.at(e.args[1][0], float(e.args[2][0])).run(e.args[0]),
            sympy.Limit: lambda e: self.run(e.doit()),
        }
        for kind, handler in special.items():
            if isinstance(e, kind):
                return handler(e)
        if isinstance(e, AppliedUndef):
            return self.function(e)
        if e.is_Symbol:
            return self.indices[e] if e in self.indices else self.instance.value(e, self.stepped)
        if e.is_number:
            return complex(e) if not e.is_real else float(e)
        return self.compound(e)

    def derivative(self, e: Any) -> Any:
        """∇ and d/dx in the direction of the instance, by a complex step; in another variable, by a contour."""
        if self.stepped:
            raise NotImplementedError(f"no numbers for {e}: a derivative of a derivative")
        if isinstance(e, Nabla) or e.variables == (PARAMETER,):
            return np.imag(_Evaluator(self.instance, True, self.indices).run(e.args[0])) / STEP
        (variable, order), *more = e.variable_count
        if more:
            raise NotImplementedError(f"no numbers for {e}: a mixed derivative")
        centre, circle = float(self.instance.values[variable]), np.exp(2j * np.pi * np.arange(64) / 64)
        radius = 0.1 * abs(centre)
        around = [self.at(variable, centre + radius * z, stepped=True).run(e.args[0]) for z in circle]
        return float(math.factorial(int(order)) * np.mean(around * circle ** -int(order)).real / radius ** int(order))

    def at(self, symbol: Any, value: Any, *, stepped: bool | None = None) -> _Evaluator:
        """The evaluator with another value of one symbol."""
        values = {**self.instance.values, symbol: value}
        here = replace(self.instance, values=values, cache={})
        return _Evaluator(here, self.stepped if stepped is None else stepped, self.indices)

    def compound(self, e: Any) -> Any:
        parts = [self.run(a) for a in e.args]
        if e.is_Add:
            shape = max((np.shape(p) for p in parts), key=len)
            square = len(shape) == 2 and shape[0] == shape[1] and not e.is_commutative
            lifted = [p * np.eye(shape[0]) if square and np.ndim(p) == 0 else p for p in parts]
            if len({np.shape(p) for p in lifted if np.ndim(p) == 2}) > 1:
                raise ValueError(f"the terms of {e} have different shapes")
            out = lifted[0]
            for p in lifted[1:]:
                out = out + p
            return out
        if e.is_Mul:
            out = 1.0
            for p in parts:
                out = out @ p if np.ndim(out) == 2 and np.ndim(p) == 2 else out * p
            return out
        if e.is_Pow:
            if np.ndim(parts[0]) == 2:
                return np.linalg.matrix_power(parts[0], int(parts[1]))
            return parts[0] ** parts[1]
        if isinstance(e, sympy.exp):
            return np.exp(parts[0])
        if isinstance(e, sympy.log):
            return np.log(parts[0])
        if isinstance(e, sympy.Max):
            return np.max(np.real(parts))
        if isinstance(e, sympy.Abs):
            return np.abs(parts[0])
        raise NotImplementedError(f"no numbers for {type(e).__name__}")

    def pointwise(self, e: Any) -> Any:
        return np.diag(np.asarray(self.run(e.args[0]))[:, 0])

    def function(self, e: Any) -> Any:
        table = self.instance.functions[e.func.__name__]
        index = tuple(int(np.real(self.run(a))) - 1 for a in e.args if a.is_integer or a in self.indices)
        value = np.asarray(table)[index]
        return value if self.stepped else np.real(value)

    def sum(self, e: Any) -> Any:
        return self._over(e, lambda total, term: total + term, 0.0)

    def product(self, e: Any) -> Any:
        return self._over(e, lambda total, term: total * term, 1.0)

    def _over(self, e: Any, fold: Any, start: Any) -> Any:
        *inner, (index, lower, upper) = e.limits
        body = e.func(e.function, *inner) if inner else e.function
        first, last = (int(np.real(self.run(b))) for b in (lower, 400 if upper == sympy.oo else upper))
        for k in range(first, last + 1):
            start = fold(start, _Evaluator(self.instance, self.stepped, {**self.indices, index: k}).run(body))
        return start

    def integral(self, e: Any) -> Any:
        """Over the real line, by the trapezoidal rule after z = sinh(t)."""
        ((variable, lower, upper),) = e.limits
        if (lower, upper) != (-sympy.oo, sympy.oo):
            raise NotImplementedError("integrals run over the real line")
        nodes, weights = _line()
        total = 0.0
        for z, w in zip(nodes, weights, strict=True):
            here = Instance({**self.instance.values, variable: z}, self.instance.differentials, self.instance.functions)
            total = total + w * _Evaluator(here, self.stepped, self.indices).run(e.function)
        return total

    def mean(self, e: Any) -> Any:
        """Exact up to degree 5: three Gauss-Hermite points in each direction of the covariance's root."""
        scalar, vector, covariance = e.args
        root = np.linalg.cholesky(np.real(self.run(covariance)))
        n = len(root)
        nodes, weights = np.array([-np.sqrt(3.0), 0.0, np.sqrt(3.0)]), np.array([1.0, 4.0, 1.0]) / 6.0
        total = 0.0
        for index in np.ndindex(*[3] * n):
            point = root @ nodes[list(index)]
            total = total + weights[list(index)].prod() * self._at(vector, point[:, None]).run(scalar)
        return total

    def log_integral(self, e: Any) -> Any:
        """Tensor trapezoidal rule around the peak, which is searched, not taken from the statement."""
        if self.stepped:
            raise NotImplementedError("the derivative of an integral")
        if e in self.instance.cache:
            return self.instance.cache[e]
        q, vector, tau = e.args[:3]
        tau = float(np.real(self.run(tau)))
        n = np.asarray(self.instance.value(vector, False)).shape[0]

        def value(u: Array) -> float:
            return float(np.real(np.squeeze(self._at(vector, u[:, None]).run(q)))) / tau

        zero, units = np.zeros(n), np.eye(n)
        base = value(zero)
        gradient = np.array([(value(e) - value(-e)) / 2 for e in units])
        hessian = np.array([[value(a + b) - value(a) - value(b) + base for a in units] for b in units])
        centre = -np.linalg.solve(hessian, gradient)
        root = np.linalg.inv(np.linalg.cholesky(-hessian)).T
        grid = np.linspace(-8.0, 8.0, 33)
        mesh = np.stack([g.ravel() for g in np.meshgrid(*[grid] * n)], axis=-1)
        top = value(centre)
        mass = sum(np.exp(value(centre + root @ z) - top) for z in mesh) * (grid[1] - grid[0]) ** n
        return self.instance.cache.setdefault(e, tau * (top + np.log(mass * abs(np.linalg.det(root)))))

    def _at(self, vector: Any, point: Array) -> _Evaluator:
        values = {**self.instance.values, vector: point}
        turned = sympy.Symbol(f"{vector.name}t", commutative=False)
        if turned in values:
            values[turned] = point.T
        here = Instance(values, self.instance.differentials, self.instance.functions)
        return _Evaluator(here, self.stepped, self.indices)


def _line() -> tuple[Array, Array]:
    t = np.linspace(-6.0, 6.0, 2401)
    return np.sinh(t), np.cosh(t) * (t[1] - t[0])
