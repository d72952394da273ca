"""The rows of the experiments' runs that are committed beside the results page."""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path

import numpy as np

from boltzgrad.experiments import catalogue, results
from boltzgrad.experiments.experiment import Curve, Experiment, cosines, rows_by_curve
from boltzgrad.experiments.task import Row

FOLDERS = {"small": ".", "full": "full-length", "paper": "grid"}


def is_in(curve: Curve, setting: str) -> bool:
    """Whether a curve's setting begins so, at the end of a word ("batch 100" is not "batch 1000")."""
    after = curve.setting[len(setting) :][:1]
    return curve.setting.startswith(setting) and not (setting and after.isalnum())


class CommittedRows:
    """Those under a folder (`docs/results`): `NAME.jsonl.gz` of the preset `small`; the same in `full-length` of `full`, and in
    `grid` of `paper`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read = lru_cache(maxsize=None)(self._unpacked)

    def there(self, experiment: str, preset: str) -> bool:
        """Whether there are any of a preset."""
        return self._path(experiment, preset).exists()

    def curves(self, experiment: str, preset: str = "full") -> dict[Curve, list[Row]]:
        """The rows of every curve that has some."""
        return self._read(experiment, preset)

    def rows(self, experiment: str, method: str, setting: str = "", preset: str = "full") -> list[Row]:
        """Those of the one curve with this method, in the setting that begins so."""
        curves = self.curves(experiment, preset).items()
        found = [rows for curve, rows in curves if curve.label == method and is_in(curve, setting)]
        if len(found) != 1:
            raise LookupError(f"{len(found)} curves of {experiment} ({preset}) are {method!r} in {setting!r}")
        return found[0]

    def seeds(self, experiment: str, method: str, setting: str = "", preset: str = "full") -> list[float]:
        """The end of each seed."""
        ends = map(self._experiment(experiment).read_end, self.rows(experiment, method, setting, preset))
        return [float(end) for end in ends]

    def end(self, experiment: str, method: str, setting: str = "", preset: str = "full") -> float:
        """The mean end over seeds."""
        return float(np.mean(self.seeds(experiment, method, setting, preset)))

    def cosine(self, experiment: str, method: str, setting: str = "", preset: str = "full") -> float:
        """The mean cosine with ∇J along the runs."""
        found = np.concatenate([cosines(row) for row in self.rows(experiment, method, setting, preset)])
        return float(np.nanmean(found))

    def _experiment(self, name: str) -> Experiment:
        return catalogue.get(name)

    def _path(self, name: str, preset: str) -> Path:
        return self.folder / FOLDERS[preset] / f"{name}.jsonl.gz"

    def _unpacked(self, name: str, preset: str) -> dict[Curve, list[Row]]:
        path = self._path(name, preset)
        _, records, _ = results.parse(path, gzip.decompress(path.read_bytes()))
        return rows_by_curve(catalogue.get(name), preset, [row for record in records for row in record.rows])
