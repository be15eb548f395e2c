//! Channels cut into several chunks, as OME-Zarr has them: one file for a channel, or for a few.
//!
//! Above, a chunk has all channels. So the files of a place are joined: a store shows them as one file, whose parts a codec
//! inflates and brings together. Such arrays are read, never written.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::axes::{Axes, Axis};
use super::below;
use super::chain::ChainCodec;
use super::keys::KeyStyle;
use crate::error::{Result, VolumeError};
use crate::format::{ChunkCodec, join_key};
use crate::store::{
    Entry, Fetch, Found, ListStore, Origin, Part, ReadStore, SharedStore, Stamp, Take, list, on_pool, read_all,
    read_near,
};

/// How channels are spread over files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChannelCut {
    /// Channels of the array.
    pub(super) channels: u32,
    /// Channels in a file; the last one may be padded.
    pub(super) per_file: u32,
}

/// Places whose files are read together from a far store.
const PLACES_AT_ONCE: usize = 64;
/// What stands for the length of a file that is not there.
const ABSENT: u64 = u64::MAX;
/// Bytes of a length.
const LENGTH: usize = 8;

impl ChannelCut {
    /// Files that hold the channels of one place.
    pub(super) fn files(self) -> usize {
        self.channels.div_ceil(self.per_file) as usize
    }

    /// Bytes before the parts of a joined file: their lengths.
    pub(super) fn header_length(self) -> u64 {
        (self.files() * LENGTH) as u64
    }
}

/// A store that shows the files of one place as one, under the name of the first.
#[derive(Debug)]
struct ChannelStore {
    inner: SharedStore,
    prefix: String,
    keys: KeyStyle,
    axes: Axes,
    cut: ChannelCut,
}

impl ChannelStore {
    /// Indices of the chunk file `key`, and which of them counts channels; `None` if it is another file.
    fn indices(&self, key: &str) -> Option<(Vec<u32>, usize)> {
        let indices = self.keys.parse(below(key, &self.prefix)?)?;
        let channel = (0..self.axes.len()).find(|&place| self.axes.axis(place) == Axis::Channel)?;
        (indices.len() == self.axes.len()).then_some((indices, channel))
    }

    /// Keys of the files that are shown as `key`; `None` if it is not a chunk's.
    fn parts(&self, key: &str) -> Option<Vec<String>> {
        let (mut indices, channel) = self.indices(key)?;
        let part = |number: usize| {
            indices[channel] = number as u32;
            join_key(&self.prefix, &self.keys.key(&indices))
        };
        Some((0..self.cut.files()).map(part).collect())
    }

    /// One file of the parts of a place, read one after the other.
    fn joined(&self, parts: &[String], limit: u64) -> Result<Option<Vec<u8>>> {
        let read = |key: &String| Ok(self.inner.read(key, limit)?.filter(|bytes| !bytes.is_empty()));
        Ok(join(&parts.iter().map(read).collect::<Result<Vec<_>>>()?))
    }

    /// Reads whole files of joined parts, all parts of all of them together.
    fn read_joined(&self, wholes: &[(u64, Vec<String>)], first: usize, take: &Take<'_>) -> Result<()> {
        let fetch = |key, limit| Fetch { origin: Origin::Key(key), part: Part::Whole(limit) };
        let fetches: Vec<Fetch<'_>> =
            wholes.iter().flat_map(|(limit, parts)| parts.iter().map(|key| fetch(key, *limit))).collect();
        let read: Vec<_> =
            read_all(&*self.inner, &fetches)?.into_iter().map(|part| part.filter(|bytes| !bytes.is_empty())).collect();
        on_pool(wholes.len(), |number| {
            let mut bytes = join(&read[number * self.cut.files()..][..self.cut.files()]);
            take(first + number, bytes.as_mut().map(|bytes| Found { bytes, stamp: None }))
        })
    }
}

impl ReadStore for ChannelStore {
    fn describe(&self, key: &str) -> String {
        self.inner.describe(key)
    }

    fn size(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.stamp(key)?.map(|stamp| stamp.size))
    }

    fn stamp(&self, key: &str) -> Result<Option<Stamp>> {
        let Some(parts) = self.parts(key) else { return self.inner.stamp(key) };
        let mut joined: Option<Stamp> = None;
        for part in parts {
            let Some(stamp) = self.inner.stamp(&part)?.filter(|stamp| stamp.size > 0) else { continue };
            let none = Stamp { size: self.cut.header_length(), modified: None, inode: None };
            let joined = joined.get_or_insert(none);
            joined.size += stamp.size;
            joined.modified = joined.modified.max(stamp.modified);
        }
        Ok(joined)
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.parts(key) {
            Some(parts) => self.joined(&parts, limit),
            None => self.inner.read(key, limit),
        }
    }

    fn read_into(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let Some(parts) = self.parts(key) else { return self.inner.read_into(key, offset, buffer) };
        let bytes = self.joined(&parts, u64::MAX)?.unwrap_or_default();
        let range = offset as usize..(offset as usize).saturating_add(buffer.len());
        let fault = || VolumeError::corrupt(self.describe(key), "became shorter while it was read");
        buffer.copy_from_slice(bytes.get(range).ok_or_else(fault)?);
        Ok(())
    }

    fn read_batch(&self, fetches: &[Fetch<'_>], take: &Take<'_>) -> Result<()> {
        let whole = |fetch: &Fetch<'_>| match (fetch.origin, &fetch.part) {
            (Origin::Key(key), Part::Whole(limit)) => Some((*limit, self.parts(key)?)),
            _ => None,
        };
        let wholes = if self.is_far() { fetches.iter().map(whole).collect::<Option<Vec<_>>>() } else { None };
        let Some(wholes) = wholes else { return read_near(self, fetches, take) };
        let batches = wholes.chunks(PLACES_AT_ONCE).enumerate();
        batches.into_iter().try_for_each(|(batch, wholes)| self.read_joined(wholes, batch * PLACES_AT_ONCE, take))
    }

    fn is_far(&self) -> bool {
        self.inner.is_far()
    }

    fn trusts_shapes(&self) -> bool {
        self.inner.trusts_shapes()
    }

    fn lister(&self) -> Option<&dyn ListStore> {
        self.inner.lister().map(|_| self as _)
    }
}

impl ListStore for ChannelStore {
    fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let mut joined: HashMap<String, u64> = HashMap::new();
        for Entry { key, size } in list(&*self.inner, prefix)? {
            match self.indices(&key) {
                Some((mut indices, channel)) if size > 0 => {
                    indices[channel] = 0;
                    let first = join_key(&self.prefix, &self.keys.key(&indices));
                    *joined.entry(first).or_insert(self.cut.header_length()) += size;
                }
                Some(_) => {}
                None => drop(joined.insert(key, size)),
            }
        }
        Ok(joined.into_iter().map(|(key, size)| Entry { key, size }).collect())
    }
}

/// The lengths of the parts, then the parts; `None` if none of them is there.
fn join(parts: &[Option<Vec<u8>>]) -> Option<Vec<u8>> {
    if parts.iter().all(Option::is_none) {
        return None;
    }
    let length = |part: &Option<Vec<u8>>| part.as_ref().map_or(ABSENT, |bytes| bytes.len() as u64).to_le_bytes();
    let mut bytes: Vec<u8> = parts.iter().flat_map(length).collect();
    parts.iter().flatten().for_each(|part| bytes.extend(part));
    Some(bytes)
}

/// Inflates the parts of a joined file and brings their channels together.
#[derive(Debug)]
pub(super) struct ChannelCodec {
    /// Decodes one file.
    part: ChainCodec,
    cut: ChannelCut,
    /// Bytes of a value.
    size: usize,
    /// A voxel that was never written, all channels; `None` for zeros.
    fill: Option<Vec<u8>>,
    encoding: String,
}

thread_local! {
    /// Room for the channels of one file.
    static SPACE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl ChannelCodec {
    pub(super) fn new(part: ChainCodec, cut: ChannelCut, size: usize, fill: Option<Vec<u8>>) -> Self {
        let encoding = format!("channels by {}, {}", cut.per_file, part.encoding());
        Self { part, cut, size, fill, encoding }
    }

    /// Copies the channels of file `number` into `voxels`, which have all channels.
    fn spread(&self, number: usize, values: &[u8], voxels: &mut [u8]) {
        let (all, some) = (self.cut.channels as usize, self.cut.per_file as usize);
        let first = number * some;
        let length = some.min(all - first) * self.size;
        let rows = voxels.chunks_exact_mut(all * self.size).zip(values.chunks_exact(some * self.size));
        rows.for_each(|(voxel, values)| voxel[first * self.size..][..length].copy_from_slice(&values[..length]));
    }

    fn decode_part(&self, number: usize, encoded: Option<&[u8]>, voxels: &mut [u8]) -> Result<(), String> {
        let Some(encoded) = encoded else { return Ok(()) };
        SPACE.with_borrow_mut(|space| {
            space.resize(voxels.len() / self.cut.channels as usize * self.cut.per_file as usize, 0);
            self.part.decode(encoded, space).map_err(|reason| format!("{reason} (file {number} of its channels)"))?;
            self.spread(number, space, voxels);
            Ok(())
        })
    }
}

impl ChunkCodec for ChannelCodec {
    fn encoding(&self) -> &str {
        &self.encoding
    }

    fn is_compressed(&self) -> bool {
        self.part.is_compressed()
    }

    fn decode(&self, encoded: &[u8], voxels: &mut [u8]) -> Result<(), String> {
        match &self.fill {
            Some(fill) => voxels.chunks_exact_mut(fill.len()).for_each(|voxel| voxel.copy_from_slice(fill)),
            None => voxels.fill(0),
        }
        let cut_off = || format!("its {} bytes are not the {} files of its channels", encoded.len(), self.cut.files());
        let (lengths, mut rest) = encoded.split_at_checked(self.cut.header_length() as usize).ok_or_else(cut_off)?;
        for (number, length) in lengths.as_chunks::<LENGTH>().0.iter().enumerate() {
            let part = match u64::from_le_bytes(*length) {
                ABSENT => None,
                length => {
                    let (part, others) = rest.split_at_checked(length as usize).ok_or_else(cut_off)?;
                    rest = others;
                    Some(part)
                }
            };
            self.decode_part(number, part, voxels)?;
        }
        Ok(())
    }

    fn encode(&self, _: &[u8]) -> Result<Vec<u8>, String> {
        Err(READ_ONLY.to_owned())
    }
}

/// Why nothing is written.
pub(super) const READ_ONLY: &str =
    "its channels are cut into several chunks: wkfast reads such arrays, but does not write them; rechunk it first";

/// `inner` with the files of each place joined.
pub(super) fn joined_store(
    inner: SharedStore,
    prefix: &str,
    keys: KeyStyle,
    axes: &Axes,
    cut: ChannelCut,
) -> SharedStore {
    Arc::new(ChannelStore { inner, prefix: prefix.to_owned(), keys, axes: axes.clone(), cut })
}
