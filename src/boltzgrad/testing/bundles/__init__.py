"""Reference bundles: a problem at one θ with its exact solution, as files that any language reads.

    bg.testing.bundles.export(problem, theta, "garnet-0")            # or: boltzgrad export garnet --theta 0 -o bundles
    bg.testing.bundles.check("garnet-0", gradient).raise_if_wrong()  # or: boltzgrad check bundles/garnet --gradient FILE

A bundle is a folder of `.npy` arrays, `bundle.json` (described by `schema.json`), a README and `SHA256SUMS`.
"""

from boltzgrad.testing.bundles.judging import BundleCheck, check, read_gradient
from boltzgrad.testing.bundles.reading import Bundle, find, read
from boltzgrad.testing.bundles.writing import export

__all__ = ["Bundle", "BundleCheck", "check", "export", "find", "read", "read_gradient"]
