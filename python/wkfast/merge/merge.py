"""Painted mags over a segmentation layer, as a new dataset.

The core plans and moves voxels; this module says what goes where and describes the result. Order matters: everything is
validated before the target is touched, the description included, and ``datasource-properties.json`` is written last, so
a target that is not finished never looks like a dataset.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast import _core
from wkfast.dataset.merge_executor import run_on
from wkfast.dataset.metadata_files import read_json
from wkfast.dataset.properties import FILE_NAME as PROPERTIES_FILE
from wkfast.dataset.properties import DatasetProperties, LayerProperties
from wkfast.errors import DatasetError, MergeError
from wkfast.merge.report import PROVENANCE_FILE, MergePreview, MergeReport
from wkfast.merge.rules import MergeRules, MergeRun
from wkfast.progress import observed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wkfast.dataset.properties import Json
    from wkfast.geometry import Mag
    from wkfast.merge.base import MergeBase
    from wkfast.merge.rules import MergeOptions
    from wkfast.progress import Progress

# Changes whenever a plan file of an earlier build would be committed differently.
PLAN_FILE_VERSION = 1


@dataclass(frozen=True)
class MergeJob:
    """A merge that has been decided: the core's plan and what the result's description will say.

    Making one reads no voxels and writes nothing. It is plain data: :meth:`to_json` carries it to other processes.

    Examples
    --------
    >>> job = MergeJob.prepare(base, [painted], target, MergeRules())  # doctest: +SKIP
    >>> job.run(MergeRun(threads=4))  # doctest: +SKIP
    >>> print(job.commit())  # doctest: +SKIP
    """

    plan: _core.MergePlan
    target: Path
    description: Json

    @classmethod
    def prepare(
        cls,
        base: MergeBase,
        painted: Sequence[Sequence[_core.MagLocation]],
        target: Path,
        rules: MergeRules,
        *,
        resume: bool = True,
        largest_painted_id: int = 0,
        names: Sequence[str] = (),
        warnings: Sequence[str] = (),
    ) -> MergeJob:
        """Decide how `base` with the `painted` layers over it becomes the only layer of the dataset `target`.

        Parameters
        ----------
        painted
            Where the mags of each annotation lie, later ones over earlier ones; without any, the base is copied.
        resume
            Accept a target in which this very merge has begun.
        largest_painted_id
            What the annotations say of their largest id; what is found in their chunks counts too.
        names
            What the report shall call the annotations.
        warnings
            What the report shall say beside the core's own warnings.

        Raises
        ------
        MergeError, DatasetError, MagNotFoundError
            The sides do not fit, the base is described badly, the target is taken. Nothing was written.
        """
        target = target.absolute()
        box = base.bounding_box
        mags = [location["mag"] for location in base.locations]
        plan = _core.MergePlan(
            {
                "annotations": [list(mags) for mags in painted],
                "fallback": base.locations,
                "fallback_bounding_box": {
                    "topleft": list(box.topleft.to_tuple()),
                    "size": list(box.size.to_tuple()),
                },
                "target": str(target),
                "target_mags": [{"mag": list(mag), "folder": base.folder(mag)} for mag in mags],
                "options": rules.options,
            },
            resume=resume,
        )
        description = _description(base, target, largest_painted_id)
        if description["layer"].get("additionalAxes"):
            layer = LayerProperties(description["layer"], target / PROPERTIES_FILE)
            layer.widen_additional_axes(plan.summary()["touched_extra"])
        return cls(plan, target, {**description, "annotations": list(names), "warnings": list(warnings)})

    def preview(self) -> MergePreview:
        """Return what the merge will do; nothing is written."""
        layer = self.description["layer"]
        return MergePreview.from_core(self.target, layer["name"], self.plan.summary(), self.description["warnings"])

    def run(self, run: MergeRun) -> None:
        """Do everything but the commit.

        Raises
        ------
        VolumeDataError
            A chunk is damaged; the message names file and chunk. Finished shards are used by the next call.
        TargetNotEmptyError
            Another process is at work in the target.
        """
        with observed(run.progress, "merging") as observer:
            if run.executor is None:
                self.plan.run(threads=run.threads, progress=observer)
            else:
                run_on(run.executor, self.plan, threads=run.threads, workers=run.jobs, observer=observer)

    def verify(self, *, threads: int | None = None, progress: Progress = None) -> dict[str, Any]:
        """Read what was written back, compare it with what it was made of, and return what was compared.

        Raises
        ------
        VolumeDataError
            There is a difference; the message names file, chunk and voxel.
        """
        with observed(progress, "verifying") as observer:
            return self.plan.verify(threads=threads, progress=observer)

    def finished(self) -> MergeReport | None:
        """Return the report of this very merge if the target already holds its result."""
        try:
            written = read_json(self.target / PROVENANCE_FILE)
        except DatasetError:
            return None
        if not isinstance(written, dict):
            return None
        whole = (self.target / PROPERTIES_FILE).is_file() and written.get("fingerprint") == self.plan.fingerprint
        return self._report(written["report"]) if whole else None

    def commit(self) -> MergeReport:
        """Make a dataset of the target and return the report.

        Raises
        ------
        MergeError
            Tasks are not done.
        """
        report = self._report(self.plan.commit())
        _describe(self.description, report)
        return report

    def _report(self, facts: dict[str, Any]) -> MergeReport:
        facts = {**facts, "warnings": [*self.description["warnings"], *facts["warnings"]]}
        layer: str = self.description["layer"]["name"]
        return MergeReport.from_core(self.target, layer, facts, self.description["annotations"])

    def to_json(self) -> str:
        """Return the job as text."""
        facts = {"wkfast_merge": PLAN_FILE_VERSION, "target": str(self.target), "description": self.description}
        return json.dumps({**facts, "plan": self.plan.to_json()})

    @classmethod
    def from_json(cls, text: str, *, name: str = "plan file") -> MergeJob:
        """Return the job that :meth:`to_json` wrote.

        Raises
        ------
        MergeError
            The text is something else, or of another version of wkfast.
        """
        try:
            facts = json.loads(text)
            version = facts["wkfast_merge"]
            if version != PLAN_FILE_VERSION:
                raise MergeError(f"{name}: made by another version of wkfast; plan anew")
            return cls(_core.MergePlan.from_json(facts["plan"]), Path(facts["target"]), facts["description"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if isinstance(error, MergeError):
                raise
            raise MergeError(f"{name}: not a merge plan ({error})") from error


def merge(job: MergeJob, run: MergeRun) -> MergeReport:
    """Run and commit a job, and verify it if that is wanted."""
    job.run(run)
    threads = run.threads if run.executor is None else None
    verified = job.verify(threads=threads, progress=run.progress) if run.verify else None
    return replace(job.commit(), verified=verified)


def plan_and_merge(
    plan: Callable[..., MergeJob], executor: Any, options: MergeOptions, *, dry_run: bool
) -> MergeReport | MergePreview:
    """Merge what `plan` decides on, which is asked with ``rules`` and ``resume``; or only tell what that would do.

    Raises
    ------
    MergeError
        An option does not exist; `plan` has not been called then.
    """
    run = MergeRun(executor, options["threads"], verify=options["verify"], progress=options["progress"])
    rules = MergeRules(options["policy"], options["mags"], options["link"])
    job = plan(rules=rules, resume=options["resume"])
    return job.preview() if dry_run else merge(job, run)


def _description(base: MergeBase, target: Path, largest_painted_id: int) -> Json:
    """Return everything that will be written about the result, as plain data."""
    dataset = DatasetProperties.create(target, target.name, base.voxel_size, base.unit)
    return {
        "dataset": dataset.json,
        "layer": copy.deepcopy(base.entry),
        "mags": {
            name: {key: value for key, value in entry.items() if key not in {"mag", "path", "resolution"}}
            for name, entry in base.mag_entries.items()
        },
        "groups": base.groups,
        "layer_groups": base.layer_groups,
        "largest_painted_id": largest_painted_id,
    }


def _describe(description: Json, report: MergeReport) -> None:
    """Write the files that make a dataset of the target, the one that counts last."""
    properties = DatasetProperties(copy.deepcopy(description["dataset"]), report.target / PROPERTIES_FILE)
    layer = copy.deepcopy(description["layer"])
    layer["mags"] = [_mag_entry(mag, layer["name"], description["mags"]) for mag in report.mags]
    layer["largestSegmentId"] = _largest_of_both(description, report)
    view = LayerProperties(layer, properties.file)
    if np.dtype(report.dtype) != view.dtype:
        layer["elementClass"] = report.dtype
    view.set_bounding_box(report.bounding_box)
    properties.json["dataLayers"] = [layer]
    kept = {mag.to_layer_name() for mag in report.mags}
    for content in description["layer_groups"].values():
        _keep_mags(content, kept)
    _write_group_metadata(description["groups"], report.target)
    _write_group_metadata(description["layer_groups"], report.target / report.layer_name)
    properties.write()


def _mag_entry(mag: Mag, layer: str, entries: Json) -> Json:
    name = mag.to_layer_name()
    return {"mag": list(mag.to_tuple()), "path": f"./{layer}/{name}", **entries[name]}


def _largest_of_both(description: Json, report: MergeReport) -> int | None:
    """Return the largest id of all sides, ``None`` where the fallback's, and so the result's, is not known."""
    largest: int | None = description["layer"]["largestSegmentId"]
    if largest is None:
        return None
    painted: int = description["largest_painted_id"]
    return max(largest, report.largest_segment_id, painted)


def _write_group_metadata(files: dict[str, Any], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=4), encoding="utf-8")


def _keep_mags(content: Any, kept: set[str]) -> None:
    """Drop multiscale datasets whose path is not in `kept`, wherever OME metadata nests them."""
    if not isinstance(content, dict):
        return
    multiscales = content.get("multiscales")
    for multiscale in multiscales if isinstance(multiscales, list) else []:
        if isinstance(multiscale, dict) and isinstance(multiscale.get("datasets"), list):
            entries = multiscale["datasets"]
            multiscale["datasets"] = [e for e in entries if isinstance(e, dict) and e.get("path") in kept]
    for value in content.values():
        _keep_mags(value, kept)
