//! The form of array that WEBKNOSSOS accepts in a data zip.

use crate::format::{DataFormat, ExtraAxis, NewMag, webknossos_blosc};
use crate::geometry::{ChunkGrid, ChunkIndex};

/// Voxels along the edges of what WEBKNOSSOS stores as one.
const BUCKET: [u32; 3] = [32; 3];

/// Zarr v3 in single chunks of 32³, x fastest, blosc with LZ4, named `c.0.x.y.z`: for voxels like those of `grid`, over
/// `extent` and at least all of `chunks`.
pub fn annotation_form<'a>(
    grid: &ChunkGrid,
    extent: [u64; 3],
    chunks: impl IntoIterator<Item = &'a ChunkIndex>,
) -> NewMag {
    let mut new = NewMag {
        chunk_shape: BUCKET,
        chunks_per_shard: [1; 3],
        extent,
        extra_axes: grid.extra_axes.iter().map(|name| ExtraAxis { name: name.clone(), length: 1 }).collect(),
        codecs: Some(vec![webknossos_blosc()]),
        separator: '.',
        ..NewMag::with_defaults(DataFormat::Zarr3, grid.voxel_type, grid.channels)
    };
    for chunk in chunks {
        for (axis, &edge) in BUCKET.iter().enumerate() {
            new.extent[axis] = new.extent[axis].max((u64::from(chunk.xyz[axis]) + 1) * u64::from(edge));
        }
        for (axis, &index) in new.extra_axes.iter_mut().zip(&chunk.extra) {
            axis.length = axis.length.max(u64::from(index) + 1);
        }
    }
    new
}
