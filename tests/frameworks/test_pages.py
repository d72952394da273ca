"""The pages about JAX and PyTorch: what they say is so."""

from importlib.util import find_spec

import pytest

from pages import BLOCK, DOCS, run_page
from tests_helpers import optional, sample


@pytest.mark.parametrize("name", sample(["jax", "torch"], "torch"))
def test_what_a_page_says_is_so(name, tmp_path):
    if find_spec(name) is None:
        optional(name)
    text = (DOCS / "five-minutes" / f"{name}.md").read_text(encoding="utf-8")
    assert sum(run_page(text, tmp_path).values()) == len(BLOCK.findall(text))
