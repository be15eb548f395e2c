"""Annotations over a segmentation layer, as a new dataset.

The core plans and moves voxels; this module says what goes where and in which order. Order matters: everything is
validated before the target is touched, the description included, and ``datasource-properties.json`` is written last, so
a target that is not finished never looks like a dataset.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast._warnings import warn
from wkfast.buckets import core_folder
from wkfast.dataset.links import followed, said_of_dangling
from wkfast.dataset.plan_workers import run_on_workers, verify_on_workers
from wkfast.errors import DatasetError, MergeError, ObjectStoreError, VolumeDataError
from wkfast.jobs import warn_if_scarce
from wkfast.merge.description import check_description, describe, description_of
from wkfast.merge.labels import labels_for, remove_labels
from wkfast.merge.report import PROVENANCE_FILE, MergePreview, MergeReport, is_dataset, provenance_of
from wkfast.merge.resuming import resumable
from wkfast.merge.sides import base_of, largest_id, remarks
from wkfast.merge.targets import held_target, of_core
from wkfast.progress import observed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from wkfast.buckets import ObjectPath
    from wkfast.dataset import DataFormat
    from wkfast.dataset.layer_properties import Json
    from wkfast.merge.base import MergeBase
    from wkfast.merge.label_rule import RuleSource
    from wkfast.merge.labels import NewLabels
    from wkfast.merge.options import MergeOptions
    from wkfast.merge.sides import Below, Side
    from wkfast.progress import Observer

# Changes whenever a plan file of an earlier build would be committed differently.
PLAN_FILE_VERSION = 1


@dataclass(frozen=True)
class MergeJob:
    """A merge that has been decided: the core's plan and what the result's description will say.

    Making one reads no voxels and writes nothing. It is plain data: :meth:`to_bytes` carries it to other processes.

    Examples
    --------
    >>> job = MergeJob.prepare([side], Path("merged"), Path("datasets"), MergeOptions())  # doctest: +SKIP
    >>> print(job.merge(MergeOptions(threads=4)))  # doctest: +SKIP
    """

    plan: _core.MergePlan
    target: Path | ObjectPath
    description: Json
    rule: RuleSource | None = None
    # What tells the plan's rule from others, also where the rule itself was not given.
    rule_facts: Json | None = None

    @classmethod
    def prepare(
        cls,
        sides: Sequence[Side],
        target: Path | ObjectPath,
        below: Below,
        options: MergeOptions,
        data_format: DataFormat | None = None,
    ) -> MergeJob:
        """Decide how `sides`, later ones over earlier ones, are merged into the fallback layer that all of them name.

        A fallback alone is copied; a volume layer alone becomes a layer of its own.

        Raises
        ------
        AnnotationError
            There is neither a fallback nor a voxel, or the annotations do not belong together.
        MergeError, DatasetError, MagNotFoundError
            The sides do not fit, the fallback is described badly, the target is taken. Nothing was written.
        """
        base, target = base_of(sides, below, data_format), target.absolute()
        dangling = said_of_dangling(target)
        if dangling is not None:
            raise MergeError(f"cannot merge: {dangling}")
        with labels_for(sides, below, options, None if options.dry_run else target) as labels:
            plan, rule = _plan(sides, base, target, options, labels), options.rule
            if rule is not None:
                rule.give(plan)
        description = description_of(base, target, largest_id(sides), plan.summary()["touched_extra"])
        if labels is not None:
            description["layer"]["largestSegmentId"] = labels.largest
            description["mapping"] = {"table": str(labels.table), "source": labels.source}
        names = [side.annotation for side in sides if side.mags]
        said = {"annotations": names, "warnings": remarks(sides, renamed=labels is not None)}
        for remark in said["warnings"]:
            warn(remark)
        return cls(plan, target, {**description, **said}, rule, None if rule is None else rule.core)

    def preview(self) -> MergePreview:
        """Return what the merge will do; nothing is written."""
        layer = self.description["layer"]
        return MergePreview.from_core(self.target, layer["name"], self.plan.summary(), self.description["warnings"])

    def merge(self, options: MergeOptions) -> MergeReport | MergePreview:
        """Run, verify and commit as the options say, and return the report; or only say what that would do."""
        if options.dry_run:
            return self.preview()
        if options.executor is None and not options.verify:
            with self._merging(options) as observer:
                facts = self.plan.complete(threads=options.threads, progress=observer)
            return self._committed(facts)
        self.run(options)
        verified = self.verify(options) if options.verify else None
        return replace(self.commit(), verified=verified)

    def run(self, options: MergeOptions) -> None:
        """Do everything but the commit.

        Raises
        ------
        VolumeDataError
            A chunk is damaged; the message names file and chunk. Finished shards are used by the next call.
        TargetNotEmptyError
            Another process is at work in the target.
        MergeError
            The plan has a rule that was not given.
        """
        with self._merging(options) as observer:
            if options.executor is None:
                self.plan.run(threads=options.threads, progress=observer)
            else:
                run_on_workers(
                    self.plan, self.target, options.executor, threads=options.threads, workers=options.jobs,
                    observer=observer, rule=self._packed_rule(),
                )  # fmt: skip

    @contextmanager
    def _merging(self, options: MergeOptions) -> Iterator[Observer | None]:
        """Yield who is told how far the merge is; see :meth:`run` for what is raised."""
        self.check_rule()
        warn_if_scarce()
        with resumable(), observed(options.progress, "merging") as observer:
            yield observer

    def verify(self, options: MergeOptions) -> dict[str, Any]:
        """Read what was written back, compare it with what it was made of, and return what was compared.

        Raises
        ------
        VolumeDataError
            There is a difference; the message names file, chunk and voxel.
        MergeError
            The plan has a rule that was not given.
        """
        self.check_rule()
        with resumable(), observed(options.progress, "verifying") as observer:
            # Workers are told by the target that somebody waits for them, which a committed one cannot.
            if options.executor is None or (self.target / PROVENANCE_FILE).is_file():
                return self.plan.verify(threads=options.threads, progress=observer)
            return verify_on_workers(
                self.plan, self.target, options.executor, threads=options.threads, workers=options.jobs,
                observer=observer, rule=self._packed_rule(),
            )  # fmt: skip

    def check_rule(self) -> None:
        """Make sure that the rule is at hand if the plan has one.

        Raises
        ------
        MergeError
            It was not given when the plan file was read.
        """
        if self.rule is None and self.rule_facts is not None:
            raise MergeError(f"the plan has the rule {self.rule_facts['name']}; give it again: --rule FILE.py:NAME")

    def _packed_rule(self) -> bytes | None:
        return None if self.rule is None else self.rule.packed()

    def finished(self) -> MergeReport | None:
        """Return the report of this very merge if the target already holds its result."""
        written = provenance_of(self.target)
        if written is None or written.get("fingerprint") != self.plan.fingerprint or not is_dataset(self.target):
            return None
        return self._report(written["report"])

    def commit(self) -> MergeReport:
        """Make a dataset of the target and return the report.

        Raises
        ------
        MergeError
            Tasks are not done.
        """
        return self._committed(self.plan.commit())

    def _committed(self, facts: dict[str, Any]) -> MergeReport:
        """Make a dataset of a target that the core has committed."""
        report = self._report(facts)
        with held_target(report.target, self.plan.fingerprint) as folder:
            describe(self.description, report, folder)
        if "mapping" in self.description:
            remove_labels(self.target, self.description["mapping"]["table"])
        return report

    def _report(self, facts: dict[str, Any]) -> MergeReport:
        facts = {**facts, "warnings": [*self.description["warnings"], *facts["warnings"]]}
        layer: str = self.description["layer"]["name"]
        report = MergeReport.from_core(self.target, layer, facts, self.description["annotations"])
        return replace(report, mapping=self.description.get("mapping", {}).get("source"))

    def to_bytes(self) -> bytes:
        """Return the job as a plan file of which tasks read their part."""
        return self.plan.to_bytes(json.dumps(self._facts()))

    def to_json(self) -> str:
        """Return the job as text, which has to be read whole."""
        return json.dumps({**self._facts(), "plan": self.plan.to_json()})

    def _facts(self) -> Json:
        facts = {"wkfast_merge": PLAN_FILE_VERSION, "target": str(self.target), "description": self.description}
        return facts if self.rule_facts is None else {**facts, "rule": self.rule_facts}

    @classmethod
    def open(cls, plan_file: Path | ObjectPath, *, rule: RuleSource | None = None) -> MergeJob | None:
        """Return the job of a plan file whose content :meth:`to_bytes` made; ``None`` if it is something else.

        Little of it is read; each call reads what it needs, so the file must stay where it is.

        Raises
        ------
        MergeError
            It is damaged, or of another version of wkfast; or see :meth:`from_json`.
        """
        try:
            # workflows hand files over as links
            plan_file = followed(plan_file)
            found = _core.MergePlan.open(core_folder(plan_file.parent), plan_file.name)
        except ObjectStoreError:
            raise
        except (DatasetError, VolumeDataError) as error:
            raise MergeError(f"{plan_file}: not a merge plan ({error})") from error
        return None if found is None else cls._of(found[1], lambda _: found[0], str(plan_file), rule)

    @classmethod
    def from_json(cls, text: str, *, name: str = "plan file", rule: RuleSource | None = None) -> MergeJob:
        """Return the job that :meth:`to_json` wrote.

        Parameters
        ----------
        rule
            That of the plan, if it has one and tasks are to be run: a plan file says which it is, but holds no code.

        Raises
        ------
        MergeError
            The text is something else, or of another version of wkfast.
        """
        return cls._of(text, lambda facts: _core.MergePlan.from_json(facts["plan"]), name, rule)

    @classmethod
    def _of(cls, text: str, plan_of: Callable[[Json], _core.MergePlan], name: str, rule: RuleSource | None) -> MergeJob:
        """Return the job that `text` and the plan are, once they are known to be one."""
        try:
            facts = json.loads(text)
            version = facts["wkfast_merge"]
            if version != PLAN_FILE_VERSION:
                raise MergeError(f"{name}: made by another version of wkfast; plan anew")
            check_description(facts["description"])
            plan, planned = plan_of(facts), facts.get("rule")
            _check_same(rule, planned, name)
            if rule is not None:
                rule.give(plan)
            return cls(plan, of_core(plan.target), facts["description"], rule, planned)
        except (ValueError, KeyError, TypeError, RecursionError, DatasetError) as error:
            if isinstance(error, MergeError):
                raise
            raise MergeError(f"{name}: not a merge plan ({error})") from error


def _check_same(given: RuleSource | None, planned: Json | None, name: str) -> None:
    """Make sure that a rule, if one is given, is that of a plan."""
    if given is None or given.core == planned:
        return
    if planned is None:
        raise MergeError(f"{name}: the plan has no rule")
    raise MergeError(f"{name}: the plan was made with the rule {planned['name']}, this is another or was changed since")


def _plan(
    sides: Sequence[Side],
    base: MergeBase,
    target: Path | ObjectPath,
    options: MergeOptions,
    labels: NewLabels | None,
) -> _core.MergePlan:
    # A layer of its own has nothing over it.
    over = [] if sides[0].fallback_layer is None else [side for side in sides if side.mags]
    return _core.MergePlan(
        {
            "annotations": [side.mags for side in over],
            "fallback": base.locations,
            "fallback_bounding_box": base.box,
            "target": core_folder(target),
            "target_mags": [{"mag": mag, "folder": base.folder(mag)} for mag in base.mags],
            "options": options.core,
            "mapping": None if labels is None else labels.core,
        },
        resume=options.resume,
    )
