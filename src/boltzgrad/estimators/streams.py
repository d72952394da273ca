"""Named random streams that split: a draw added under one name moves no draw under another.

Every lane of an experiment (a seed) owns one `Stream`.  `stream.split("rollout")` is a stream of its own, a function of the
seed and the names only; two methods with the same seed see the same world, whatever else they draw.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from boltzgrad.errors import InvalidOption


@dataclass(frozen=True)
class Stream:
    """A place in the tree of random streams: a seed and a path of names.

    >>> Stream(3).split("rollout", 7).path
    ('rollout', '7')
    >>> a, b = Stream(3).split("a").generator().random(), Stream(3).split("b").generator().random()
    >>> a == Stream(3).split("a").generator().random(), a == b
    (True, False)
    """

    seed: int
    path: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)) or self.seed < 0:
            raise InvalidOption(f"seed is {self.seed!r}; expected a non-negative integer")

    def split(self, *names: str | int) -> Stream:
        """The stream of that name below this one."""
        return Stream(int(self.seed), (*self.path, *map(str, names)))

    def generator(self) -> np.random.Generator:
        """The numbers of this stream, from the start."""
        text = "\x1f".join(self.path).encode()
        key = np.frombuffer(hashlib.blake2b(text, digest_size=16).digest(), dtype=np.uint32)
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([int(self.seed), *map(int, key)])))


class Draws:
    """The generators of several lanes, by name.

    Made from one `Stream` a lane, each lane draws from its own (a lane's numbers do not depend on its neighbours); made
    from one generator, all lanes share it.
    """

    def __init__(self, source: list[Stream] | np.random.Generator, lanes: int) -> None:
        self.source, self.lanes = source, lanes
        self._made: dict[str, list[np.random.Generator]] = {}
        self._calls: dict[str, int] = {}

    def of(self, name: str) -> list[np.random.Generator]:
        """One generator a lane for this name, or the shared one."""
        if isinstance(self.source, np.random.Generator):
            return [self.source]
        if name not in self._made:
            self._made[name] = [stream.split(name).generator() for stream in self.source]
        return self._made[name]

    def below(self, name: str) -> Draws:
        """Draws of their own below this name (or of the same shared generator)."""
        if isinstance(self.source, np.random.Generator):
            return self
        return Draws([stream.split(name) for stream in self.source], self.lanes)

    def next(self, name: str) -> Draws:
        """Draws of their own for this call: how many numbers a lane takes in it moves nothing in later calls."""
        call = self._calls.get(name, 0)
        self._calls[name] = call + 1
        return self.below(f"{name} {call}")

    def uniform(self, name: str, *shape: int) -> np.ndarray:
        """Numbers drawn uniformly from (0, 1), (lanes, *shape)."""
        made = self.of(name)
        if len(made) == 1:
            return made[0].random((self.lanes, *shape))
        return np.stack([g.random(shape) for g in made])

    def normal(self, name: str, *shape: int) -> np.ndarray:
        """Numbers drawn from the normal law, (lanes, *shape)."""
        made = self.of(name)
        if len(made) == 1:
            return made[0].standard_normal((self.lanes, *shape))
        return np.stack([g.standard_normal(shape) for g in made])


def generators(draws: Draws, lane_theta: np.ndarray, count: int, seed: int) -> list[np.random.Generator]:
    """What the learners of `count` θ draw from.

    That of a lane that lives there, anew in each call; or, where all lanes share one generator, always the same `seed`: a check
    of an estimator's bias draws many batches beside one and the same follower.
    """
    fresh = draws.next("follower")
    if isinstance(fresh.source, np.random.Generator):
        return [np.random.default_rng(seed) for _ in range(count)]
    made = fresh.of("learner")
    return [made[int(np.argmax(lane_theta == i))] for i in range(count)]
