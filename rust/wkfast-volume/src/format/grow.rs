//! Arrays that state how far they reach, and reach farther when something is written beyond.

use serde_json::Value;

use super::draft::Draft;
use super::{MagArray, again, join_key};
use crate::error::{Result, VolumeError};

/// Metadata are small; this is far more than a page of attributes needs.
const MAX_METADATA: u64 = 16 << 20;
/// How often the shape is written again because somebody else changed it meanwhile.
const TRIES: u32 = 100;

/// Makes the array's stated shape hold `extra` (a coordinate along each additional axis) and all voxels before `extent`.
/// Nothing but the shape changes in its file, and nothing at all if it holds them already.
pub fn grow(array: &dyn MagArray, extra: &[u32], extent: [u64; 3]) -> Result<()> {
    let Some(name) = array.shape_file() else { return Ok(()) };
    let key = join_key(array.prefix(), name);
    again(TRIES, || {
        if grown(array, &key, extra, extent)?.is_none() {
            return Ok(());
        }
        // Another process may grow it as well, so what counts is what stands there once the file is ours.
        let mut draft = Draft::lock(array, &key)?;
        let Some(metadata) = grown(array, &key, extra, extent)? else { return Ok(()) };
        draft.put(format!("{metadata:#}").as_bytes())
    })
}

/// The metadata with a larger shape, `None` if the present one is large enough.
fn grown(array: &dyn MagArray, key: &str, extra: &[u32], extent: [u64; 3]) -> Result<Option<Value>> {
    let fault = |reason: String| VolumeError::corrupt(array.store().describe(key), reason);
    let json = array.store().read(key, MAX_METADATA)?.ok_or_else(|| fault("is gone".to_owned()))?;
    let mut metadata: Value = serde_json::from_slice(&json).map_err(|error| fault(error.to_string()))?;
    let present: Vec<u64> =
        serde_json::from_value(metadata["shape"].clone()).map_err(|error| fault(format!("shape: {error}")))?;
    let wanted = array.grown_shape(&present, extra, extent);
    if wanted == present {
        return Ok(None);
    }
    metadata["shape"] = wanted.into();
    Ok(Some(metadata))
}
