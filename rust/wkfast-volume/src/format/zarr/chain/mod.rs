//! A chunk's codecs: the order of its values, their byte order, and what compresses them.

mod blosc;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod layout;
mod step;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::RefCell;

pub(super) use self::blosc::{Blosc, Compressor, Shuffle, blosc_size};
use self::layout::Layout;
pub(super) use self::step::{CodecStep, check_crc32c};
use super::axes::{Axes, Axis};
use crate::format::ChunkCodec;
use crate::geometry::ChunkGrid;

/// All codecs of a chunk, from voxels in memory to bytes in the file.
#[derive(Clone, Debug)]
pub(super) struct ChainCodec {
    layout: Option<Layout>,
    /// Bytes of a value, if the file keeps the highest first.
    swap: Option<usize>,
    steps: Vec<CodecStep>,
    encoding: String,
}

/// What a chain is made of.
#[derive(Clone, Debug)]
pub(super) struct ChainParts {
    /// Array axes in the order in which the file keeps them, slowest first.
    pub(super) stored: Vec<usize>,
    pub(super) big_endian: bool,
    pub(super) steps: Vec<CodecStep>,
}

thread_local! {
    /// Room for a chunk that is not in memory order yet.
    static SPACE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl ChainCodec {
    pub(super) fn new(grid: &ChunkGrid, axes: &Axes, parts: ChainParts) -> Self {
        let [x, y, z] = grid.chunk_shape.map(|length| length as usize);
        let lengths = [z, y, x, grid.channels as usize];
        let memory_axis = |&place: &usize| match axes.axis(place) {
            Axis::Space(space) => Some(2 - space),
            Axis::Channel => Some(3),
            Axis::Extra(_) => None,
        };
        let stored: Vec<_> = parts.stored.iter().filter_map(memory_axis).collect();
        let size = grid.voxel_type.size();
        let layout = Layout::new(lengths, &stored, size);
        let swap = (parts.big_endian && size > 1).then_some(size);
        let encoding = encoding(layout.is_some().then_some(&stored), swap.is_some(), &parts.steps);
        Self { layout, swap, steps: parts.steps, encoding }
    }

    /// Whether what is decoded is what is encoded.
    pub(super) fn changes_nothing(&self) -> bool {
        self.layout.is_none() && self.swap.is_none() && self.steps.is_empty()
    }

    fn decode_steps(&self, encoded: &[u8], values: &mut [u8]) -> Result<(), String> {
        let Some((first, between)) = self.steps.split_first() else {
            if encoded.len() != values.len() {
                return Err(format!("are not compressed, but not {} bytes long", values.len()));
            }
            values.copy_from_slice(encoded);
            return Ok(());
        };
        let limit = longest_encoded(values.len()) as usize;
        let mut bytes = Cow::Borrowed(encoded);
        for step in between.iter().rev() {
            bytes =
                Cow::Owned(step.decode_up_to(&bytes, limit).map_err(|reason| format!("{reason} ({})", step.name()))?);
        }
        first.decode(&bytes, values).map_err(|reason| format!("{reason} ({})", first.name()))
    }
}

impl ChunkCodec for ChainCodec {
    fn encoding(&self) -> &str {
        &self.encoding
    }

    fn is_compressed(&self) -> bool {
        self.steps.iter().any(|step| *step != CodecStep::Crc32c)
    }

    fn decode(&self, encoded: &[u8], voxels: &mut [u8]) -> Result<(), String> {
        let described = |reason: String| format!("its {} bytes {reason}", encoded.len());
        match &self.layout {
            None => self.decode_steps(encoded, voxels).map_err(described)?,
            Some(layout) => SPACE.with_borrow_mut(|space| {
                space.resize(voxels.len(), 0);
                self.decode_steps(encoded, space).map_err(described)?;
                layout.gather(space, voxels);
                Ok::<_, String>(())
            })?,
        }
        swap_bytes(self.swap, voxels);
        Ok(())
    }

    fn encode(&self, voxels: &[u8]) -> Result<Vec<u8>, String> {
        let mut bytes = Cow::Borrowed(voxels);
        if let Some(layout) = &self.layout {
            let mut stored = vec![0; voxels.len()];
            layout.scatter(voxels, &mut stored);
            bytes = Cow::Owned(stored);
        }
        if self.swap.is_some() {
            swap_bytes(self.swap, bytes.to_mut());
        }
        for step in &self.steps {
            bytes = Cow::Owned(step.encode(&bytes)?);
        }
        Ok(bytes.into_owned())
    }
}

/// No codec makes a chunk much longer than it was: what is longer is no chunk.
pub(super) fn longest_encoded(decoded: usize) -> u64 {
    (decoded + decoded / 16 + (64 << 10)) as u64
}

fn swap_bytes(size: Option<usize>, values: &mut [u8]) {
    if let Some(size) = size {
        values.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
}

/// Equal for chains that decode alike: levels and other advice to encoders are left out.
fn encoding(stored: Option<&Vec<usize>>, big_endian: bool, steps: &[CodecStep]) -> String {
    let order = stored.map(|axes| axes.iter().map(|&axis| ["z", "y", "x", "c"][axis]).collect::<String>());
    let endian = big_endian.then(|| "big endian".to_owned());
    let steps = steps.iter().map(|step| step.name().to_owned());
    let parts: Vec<_> = order.into_iter().chain(endian).chain(steps).collect();
    if parts.is_empty() { "raw".to_owned() } else { parts.join(", ") }
}
