"""Neither JAX nor PyTorch is needed for anything else, and the adapters say what to install."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(("name", "package"), [("jax", "JAX"), ("torch", "PyTorch")])
def test_without_it(name, package):
    code = f"""
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ImportError(name)

sys.meta_path.insert(0, NotInstalled())
import boltzgrad as bg
problem = bg.problems.load("random-lqr")
theta = problem.initial_theta(seed=0)
assert bg.testing.assert_hypergradient(bg.hypergradient(problem, theta).gradient, problem, theta).ok
try:
    bg.testing.{name}
except bg.errors.MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"boltzgrad.testing.{name} needs {package}: pip install 'boltzgrad[{name}]'"


def test_the_library_loads_neither():
    code = "import sys, boltzgrad as bg; bg.testing.assert_hypergradient; print({'jax', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
