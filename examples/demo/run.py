"""The demo from input to picture."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.demo import picture
from examples.demo.check import CheckResult, check
from examples.demo.generate import DATASET_NAME, DemoInput, generate
from examples.demo.plain_layers import PlainAnnotation, PlainLayer
from wkfast.annotation import Annotation, MergeReport
from wkfast.geometry import Mag
from wkfast.merge.report import PROVENANCE_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from wkfast.progress import Progress


@dataclass(frozen=True)
class DemoResult:
    """What the demo made and found."""

    target: Path
    report: MergeReport
    checks: list[CheckResult]
    picture: Path

    @property
    def ok(self) -> bool:
        """Whether the slow merge agrees on every mag that was compared; recomputed mags are not."""
        return bool(self.checks) and all(result.ok for result in self.checks)


def generated_input(folder: Path) -> DemoInput:
    """Return the demo's own input, made anew below `folder`."""
    _remove_own(folder, marker=f"datasets/{DATASET_NAME}")
    folder.mkdir(parents=True, exist_ok=True)
    return generate(folder)


def run(
    source: DemoInput,
    folder: Path,
    volume_layer_name: str | None = None,
    progress: Progress = None,
) -> DemoResult:
    """Merge `source` into ``folder/merged``, check the result and draw ``folder/merge.png``.

    What an earlier demo left in `folder` is replaced; anything else called ``merged`` is left alone and refused.
    """
    target = folder / "merged"
    _remove_own(target, marker=PROVENANCE_FILE)
    annotation = Annotation.load(source.annotation)
    report = annotation.merge_fallback_layer(target, source.dataset_directory, volume_layer_name, progress=progress)

    plain = PlainAnnotation.open(source.annotation, volume_layer_name)
    fallback = PlainLayer.open(source.dataset_directory / plain.dataset_name, plain.fallback_layer)
    merged = PlainLayer.open(target, plain.fallback_layer)
    checks = [check(merged, fallback, plain, mag) for mag in merged.mags if report.mags[Mag(mag)].recomputed == 0]
    image = folder / "merge.png"
    picture.draw(image, merged, fallback, plain, mag=_finest(merged))
    return DemoResult(target, report, checks, image)


def _remove_own(folder: Path, *, marker: str) -> None:
    """Remove a folder that the demo made: only those hold `marker`."""
    if (folder / marker).exists():
        shutil.rmtree(folder)


def _finest(layer: PlainLayer) -> str:
    return min(layer.mags, key=lambda mag: [int(edge) for edge in mag.split("-")])
