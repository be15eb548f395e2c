"""Real annotations over real-format datasets, from bucket to bucket, give what the reference package makes."""

import hashlib
import json

import pytest
from tests.annotation.test_merge_fixtures import PAIRS
from tests.buckets.test_merge_targets import at, objects
from tests.buckets.test_merging import files

import wkfast
from wkfast.buckets import ObjectPath


@pytest.mark.fixtures
@pytest.mark.servers("s3s")
@pytest.mark.parametrize("pair", PAIRS)
def test_voxels_equal_the_reference_merge(bucket, fixtures, tmp_path, pair):
    expected = json.loads((fixtures / "expected" / f"{pair}.json").read_text())
    annotation = wkfast.Annotation.load(fixtures / "annotations" / f"{PAIRS[pair]}.zip")
    name = expected["volume"] if len(list(annotation.get_volume_layer_names())) > 1 else None
    datasets = ObjectPath(bucket.put(fixtures / "datasets", "data sets/ü"), bucket.options)

    def stop(done, *_):
        if done >= 2:
            raise KeyboardInterrupt

    plan = annotation.plan_merge(at(bucket, "out"), datasets, name).plan
    with pytest.raises(KeyboardInterrupt):
        plan.run(progress=stop)
    assert "out/datasource-properties.json" not in bucket.listed("out")
    annotation.merge_fallback_layer(at(bucket, "out"), datasets, name)
    annotation.merge_fallback_layer(tmp_path / "near", fixtures / "datasets", name)
    assert objects(bucket, "out") == files(tmp_path / "near")
    mag = wkfast.Dataset.open(at(bucket, "out")).get_layer(expected["layer"]).get_mag(expected["mag"])
    voxels = mag.read(absolute_offset=expected["topleft"], size=expected["size"])[0]
    assert hashlib.sha256(voxels.tobytes(order="F")).hexdigest() == expected["sha256_f_order"]
