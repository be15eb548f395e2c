"""What a merge did, for people and for scripts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from wkfast.dataset.metadata_files import read_json
from wkfast.dataset.properties import FILE_NAME as PROPERTIES_FILE
from wkfast.errors import DatasetError
from wkfast.geometry import BoundingBox, Mag, Vec3Int
from wkfast.pictures import html

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wkfast.buckets import ObjectPath

PROVENANCE_FILE = "wkfast-merge.json"


def provenance_of(target: Path | ObjectPath) -> dict[str, Any] | None:
    """Return what a committed merge left in its target; ``None`` where there is nothing of the kind."""
    try:
        written = read_json(target / PROVENANCE_FILE)
    except DatasetError as error:
        if isinstance(error.__cause__, OSError):  # whether there is something is not known
            raise
        return None
    return written if isinstance(written, dict) else None


def is_dataset(target: Path | ObjectPath) -> bool:
    """Return whether the file is there that is written last."""
    return (target / PROPERTIES_FILE).is_file()


@dataclass(frozen=True)
class MergeCounts:
    """Numbers of one mag, or of all. Chunks of shards that were copied as files are not looked at and count nowhere.

    Attributes
    ----------
    shards_copied, shards_rewritten
        Files taken over as they are, and files in which the annotation changed something.
    passed, transcoded, relabeled
        Chunks of the fallback: encoded bytes taken over, encoded anew, or with other labels.
    from_annotation, from_annotation_passed
        Chunks that are wholly the annotation's, and those of them whose encoded bytes were taken over.
    mixed, recomputed, all_zero
        Chunks with voxels of both; computed from a finer mag; left without a voxel.
    voxels_changed, voxels_erased, voxels_painted
        Voxels that differ from the fallback's; those that are zero now; those that were zero.
    voxels_relabeled
        Voxels of the fallback to which a mapping gave another label; the counts above compare with what they became.
    segments_gained, segments_lost, segments_complete
        Segments with more or fewer voxels than before; whether every one was followed.
    largest_gains, largest_losses
        Up to 100 segments that gained or lost most, each with the voxels it gained (negative: lost), most first.
    bytes_read, bytes_written
        Encoded bytes.
    """

    shards_copied: int
    shards_rewritten: int
    passed: int
    transcoded: int
    relabeled: int
    from_annotation: int
    from_annotation_passed: int
    mixed: int
    recomputed: int
    all_zero: int
    voxels_changed: int
    voxels_erased: int
    voxels_painted: int
    voxels_relabeled: int
    segments_gained: int
    segments_lost: int
    segments_complete: bool
    largest_gains: tuple[tuple[int, int], ...]
    largest_losses: tuple[tuple[int, int], ...]
    bytes_read: int
    bytes_written: int

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> MergeCounts:
        """Return the counts among `facts`."""
        numbers = {name: facts[name] for name in cls.__dataclass_fields__}
        for name in ("largest_gains", "largest_losses"):
            numbers[name] = tuple((segment, voxels) for segment, voxels in facts[name])
        return cls(**numbers)


@dataclass(frozen=True)
class MergeConflict:
    """Two annotations that painted the same voxels with different labels.

    Attributes
    ----------
    lower, upper
        Names of the annotations; what the upper one painted is what the result shows.
    voxels
        How many voxels of the finest mag.
    """

    lower: str
    upper: str
    voxels: int


@dataclass(frozen=True)
class MergeReport:
    """What ``merge_fallback_layer`` did.

    Attributes
    ----------
    target
        The merged dataset.
    layer_name
        Its layer.
    total
        Numbers over all mags; voxels and segments are those of the finest mag, else the same paint would count twice.
    mags
        Numbers by mag, finest first.
    conflicts
        Pairs of annotations that differ where both painted.
    bounding_box
        Extent of the result in mag-1 voxels.
    dtype
        Voxel type of the result.
    largest_segment_id
        Largest label in the annotation's chunks, 0 without any.
    warnings
        What the user should know.
    seconds
        By the clock and by phase: ``plan``, ``run``, ``verify``, ``commit``. ``run`` counts whenever any worker of any
        process was at it, ``work`` is the same added up over workers.
    verified
        What was read back and compared, if that was wanted: ``shards``, ``chunks``, ``bytes_read``, ``seconds``.
    mapping
        Where the mapping of the fallback's labels is from, if there was one.
    """

    target: Path | ObjectPath
    layer_name: str
    total: MergeCounts
    mags: Mapping[Mag, MergeCounts]
    conflicts: tuple[MergeConflict, ...]
    bounding_box: BoundingBox
    dtype: str
    largest_segment_id: int
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]
    _facts: Mapping[str, Any]
    verified: Mapping[str, Any] | None = None
    mapping: str | None = None

    @classmethod
    def from_core(
        cls, target: Path | ObjectPath, layer_name: str, facts: Mapping[str, Any], annotations: Sequence[str] = ()
    ) -> MergeReport:
        """Return the report that the core's facts make.

        Parameters
        ----------
        target
            Folder that was created.
        layer_name
            The layer that was written.
        facts
            What the core counted.
        annotations
            Names of the annotations that painted.
        """
        box = facts["bounding_box"]
        return cls(
            target=target,
            layer_name=layer_name,
            total=MergeCounts.of(facts["total"]),
            mags={Mag(mag["mag"]): MergeCounts.of(mag) for mag in facts["mags"]},
            conflicts=tuple(
                MergeConflict(annotations[pair["first"]], annotations[pair["second"]], pair["voxels"])
                for pair in facts["total"]["conflicts"]
            ),
            bounding_box=BoundingBox(Vec3Int(box["topleft"]), Vec3Int(box["size"])),
            dtype=facts["dtype"],
            largest_segment_id=facts["largest_segment_id"],
            warnings=tuple(facts["warnings"]),
            seconds=dict(facts["seconds"]),
            _facts=facts,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data: lists, numbers, texts."""
        plain: dict[str, Any] = json.loads(json.dumps(self._facts))
        conflicts = [asdict(conflict) for conflict in self.conflicts]
        return {
            "target": str(self.target),
            "layer": self.layer_name,
            **plain,
            "conflicts": conflicts,
            "verified": self.verified,
            **({} if self.mapping is None else {"mapping": self.mapping}),
        }

    def _repr_html_(self) -> str:
        # Lines of the log that begin with what they are about.
        first, *lines = str(self).splitlines()
        counts: dict[str, str] = {}
        for line in lines:
            name, _, text = line.partition(": ")
            counts[name] = f"{counts[name]}; {text}" if name in counts else text
        gains = [(segment, f"{voxels:,}") for segment, voxels in self.total.largest_gains]
        losses = [(segment, f"{voxels:,}") for segment, voxels in self.total.largest_losses]
        heads = ("segment", "voxels")
        parts = [html.rows("Largest gains", heads, gains), html.rows("Largest losses", heads, losses)]
        return html.card("Merge", {"result": first, **counts}, parts)

    def _renamed(self) -> list[str]:
        if self.mapping is None:
            return []
        voxels, chunks = self.total.voxels_relabeled, self.total.relabeled
        return [f"mapping: {self.mapping}; {voxels:,} voxels have another label, {chunks:,} chunks for no other reason"]

    def __str__(self) -> str:
        """Return a few lines for a log."""
        total = self.total
        seconds = sum(length for phase, length in self.seconds.items() if phase != "work")
        lines = [
            f"merged {self.layer_name!r} into {self.target} in {seconds:.2f} s, mags {', '.join(map(str, self.mags))}",
            f"shards: {total.shards_copied:,} copied, {total.shards_rewritten:,} rewritten",
            (
                f"chunks: {total.from_annotation:,} of the annotation ({total.from_annotation_passed:,} as they were), "
                f"{total.mixed:,} mixed, {total.recomputed:,} recomputed, {total.passed:,} of the fallback as they were"
            ),
            (
                f"voxels: {total.voxels_changed:,} changed, {total.voxels_painted:,} newly painted, "
                f"{total.voxels_erased:,} erased"
            ),
            *self._renamed(),
            *(
                []
                if self.verified is None
                else [f"verified: {self.verified['shards']:,} shards read back, no difference"]
            ),
            *(
                f"conflict: {pair.voxels:,} voxels that {pair.lower!r} and {pair.upper!r} labelled differently"
                for pair in self.conflicts
            ),
            *(f"warning: {warning}" for warning in self.warnings),
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class MagPreview:
    """What a merge will do to one mag.

    Attributes
    ----------
    source
        Where touched voxels come from: ``"annotation"``, ``"recomputed"``, ``"fallback"`` if nothing is touched.
    shards_untouched, shards_touched
        Files to take over as they are, and files to write.
    annotation_chunks
        Chunks that were painted.
    chunks_replaced, chunks_mixed
        Chunks of the result that are wholly painted over, or in part.
    fallback_bytes
        Size of the fallback's files.
    """

    source: str
    shards_untouched: int
    shards_touched: int
    annotation_chunks: int
    chunks_replaced: int
    chunks_mixed: int
    fallback_bytes: int

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> MagPreview:
        """Return the numbers among `facts`."""
        return cls(**{name: facts[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class MergePreview:
    """What ``merge_fallback_layer(..., dry_run=True)`` would do: numbers of the plan, nothing was read or written.

    Attributes
    ----------
    target, layer_name
        The dataset to be, and its layer.
    mags
        Numbers by mag, finest first.
    bounding_box
        Extent of the result in mag-1 voxels.
    dtype
        Voxel type of the result.
    tasks
        Files to write; what executors and job arrays share.
    warnings
        What the user should know.
    """

    target: Path | ObjectPath
    layer_name: str
    mags: Mapping[Mag, MagPreview]
    bounding_box: BoundingBox
    dtype: str
    tasks: int
    warnings: tuple[str, ...]
    _facts: Mapping[str, Any]

    @classmethod
    def from_core(
        cls, target: Path | ObjectPath, layer_name: str, facts: Mapping[str, Any], warnings: Sequence[str] = ()
    ) -> MergePreview:
        """Return the preview that the core's summary of a plan makes.

        Parameters
        ----------
        target
            Folder that would be created.
        layer_name
            The layer that would be written.
        facts
            The core's summary of the plan.
        warnings
            What a merge would warn of.
        """
        box = facts["bounding_box"]
        return cls(
            target=target,
            layer_name=layer_name,
            mags={Mag(mag["mag"]): MagPreview.of(mag) for mag in facts["mags"]},
            bounding_box=BoundingBox(Vec3Int(box["topleft"]), Vec3Int(box["size"])),
            dtype=facts["dtype"],
            tasks=facts["tasks"],
            warnings=(*warnings, *facts["warnings"]),
            _facts=facts,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the preview as plain data: lists, numbers, texts."""
        plain: dict[str, Any] = json.loads(json.dumps(self._facts))
        plain["warnings"] = list(self.warnings)
        return {"dry_run": True, "target": str(self.target), "layer": self.layer_name, **plain}

    def __str__(self) -> str:
        """Return a few lines for a log."""
        box = self.bounding_box
        start, size = box.topleft.to_tuple(), box.size.to_tuple()
        lines = [f"would merge {self.layer_name!r} ({self.dtype}, box {start} + {size}) into {self.target}"]
        for mag, numbers in self.mags.items():
            lines.append(
                f"mag {mag} ({numbers.source}): {numbers.shards_untouched:,} shards as they are, "
                f"{numbers.shards_touched:,} to write; {numbers.annotation_chunks:,} painted chunks, "
                f"{numbers.chunks_replaced:,} replaced, {numbers.chunks_mixed:,} mixed"
            )
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])
