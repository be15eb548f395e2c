"""``wkfast export``: a volume layer of an annotation, as a layer of a dataset."""

from typing import TYPE_CHECKING, Annotated

import wkfast as wk
from wkfast._lazy import lazy_import
from wkfast.cli.arguments import Argument, Option
from wkfast.cli.console import after_work, progress_wanted, tell, tell_json

if TYPE_CHECKING:
    from wkfast.dataset import internals
else:
    internals = lazy_import("wkfast.dataset.internals")


def export(
    target: Annotated[str, Argument("Dataset to create, or to add the layer to; or its address.")],
    source_annotation: Annotated[str, Argument("The annotation zip, or its address.")],
    *,
    volume_layer_name: Annotated[str | None, Option("Which volume layer, if there are several.")] = None,
    volume_layer_id: Annotated[int | None, Option("The same by id.")] = None,
    layer_name: Annotated[str, Option("Name of the new layer.")] = "volume_layer",
    jobs: Annotated[int | None, Option("Threads; default: one per core.", least=1)] = None,
    as_json: Annotated[bool, Option("Print facts as JSON.", spelling="--json")] = False,
    progress: Annotated[bool | None, Option("Default: shown in a terminal.")] = None,
) -> None:
    """Write what was painted in SOURCE_ANNOTATION as a segmentation layer of TARGET, without the fallback layer."""
    annotation = wk.Annotation.load(source_annotation)
    volume = annotation.get_volume_layer(volume_layer_name, volume_layer_id)
    volume.require_data()
    dataset = wk.Dataset(target, voxel_size=annotation.voxel_size, exist_ok=True)
    layer = volume.export_to_dataset(dataset, layer_name, threads=jobs, progress=progress_wanted(progress))
    mags = [mag.to_layer_name() for mag in layer.mags]
    what = f"{layer.name!r} ({layer.dtype}, {layer.data_format.value})"
    with after_work(f"layer {layer.name!r} of {target} is written"):
        if as_json:
            tell_json(_facts(layer, mags))
        else:
            tell(f"exported {what} to {layer.path}, mags: {', '.join(mags) or 'none'}")


def _facts(layer: "wk.SegmentationLayer", mags: list[str]) -> dict[str, object]:
    box = internals.properties_of(layer).bounding_box
    return {
        "layer": layer.name,
        "path": str(layer.path),
        "dtype": str(layer.dtype),
        "data_format": layer.data_format.value,
        "mags": mags,
        "bounding_box": {"topleft": box.topleft.to_list(), "size": box.size.to_list()},
        "largest_segment_id": layer.largest_segment_id,
    }
