//! A merge that is read instead of written: every mag of the result as an array whose chunks are made when asked for.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::compose::{Beneath, Composer, Laid, Over};
use super::cover::{blocks_over, cover, cover_layers};
use super::dtype::widen;
use super::input::{MergeInput, MergeOptions, NewLabels, TargetMag};
use super::plan::{MagPlan, MergePlan, ShardPlan};
use super::rule::LabelRule;
use super::run::{find, open_layer};
use super::sides::Sources;
use super::survey::decide;
use super::target::MergeTarget;
use super::terms::Terms;
use crate::error::{Result, VolumeError};
use crate::format::{
    ChunkCodec, EncodedChunk, Listing, MagArray, MagLocation, ShardFile, ShardWriter, TakeChunk, decode, list_chunks,
    take_made,
};
use crate::geometry::{BoundingBox, ChunkGrid, ChunkIndex, Mag, ShardIndex};
use crate::store::{SharedStore, on_pool};
use crate::voxels::VoxelType;
use crate::work::{Ahead, ReadMag};

/// Chunks for which both sides are read together.
const CHUNKS_AT_ONCE: usize = 256;

/// What is to be seen merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewInput {
    /// See [`MergeInput::annotations`].
    pub annotations: Vec<Vec<MagLocation>>,
    /// See [`MergeInput::fallback`].
    pub fallback: Vec<MagLocation>,
    /// See [`MergeInput::fallback_bounding_box`].
    pub fallback_bounding_box: BoundingBox,
    /// See [`MergeInput::options`].
    #[serde(default)]
    pub options: MergeOptions,
    /// See [`MergeInput::mapping`].
    #[serde(default)]
    pub mapping: Option<NewLabels>,
}

/// A merged layer that exists nowhere.
#[derive(Debug)]
pub struct MergedView {
    plan: MergePlan,
    /// By place in [`MergePlan::mags`].
    mags: Vec<Arc<MergedArray>>,
    rule: Arc<OnceLock<LabelRule>>,
}

impl MergedView {
    /// Opens both sides and decides as a merge does. Reads listings and metadata, no voxels, and writes nothing.
    pub fn open(input: ViewInput) -> Result<Self> {
        // A merge names a folder for every mag; nothing is ever put there.
        let folder = |location: &MagLocation| TargetMag { mag: location.mag, folder: location.mag.to_string() };
        let input = MergeInput {
            target_mags: input.fallback.iter().map(folder).collect(),
            annotations: input.annotations,
            fallback: input.fallback,
            fallback_bounding_box: input.fallback_bounding_box,
            target: MergeTarget::Directory(PathBuf::new()),
            options: input.options,
            mapping: input.mapping,
        };
        let sources = Sources::open(&input)?;
        Self::of(input, &sources)
    }

    /// The view of sides that are open already.
    pub(super) fn of(input: MergeInput, sources: &Sources) -> Result<Self> {
        let plan = decide(input, sources)?;
        let mut mags: Vec<Arc<MergedArray>> = Vec::new();
        for mag in &plan.mags {
            let finer: Vec<Arc<dyn MagArray>> = mags.iter().map(|array| array.clone() as _).collect();
            let open = |layer| open_layer(layer, mag.mag, sources, &finer);
            mags.push(Arc::new(MergedArray {
                grid: ChunkGrid { chunks_per_shard: [1; 3], ..mag.grid.clone() },
                fallback: ReadMag::new(find(&sources.fallback, mag.mag)?),
                over: mag.layers.iter().map(open).collect::<Result<_>>()?,
                terms: Terms::of(&plan, sources),
                codec: Arc::new(Plain),
                mag: mag.clone(),
            }));
        }
        Ok(Self { plan, mags, rule: sources.rule.clone() })
    }

    /// Gives the view the rule that its options name, before anything is read.
    pub fn use_rule(&self, rule: LabelRule) {
        self.rule.get_or_init(|| rule);
    }

    /// What a merge would do: its boxes, types and warnings hold for the view.
    pub fn plan(&self) -> &MergePlan {
        &self.plan
    }

    /// A mag of the result, with the location of the fallback's that it is modelled on.
    pub fn mag(&self, mag: Mag) -> Option<(&MagPlan, Arc<dyn MagArray>)> {
        let place = self.plan.mags.iter().position(|plan| plan.mag == mag)?;
        Some((&self.plan.mags[place], self.mags[place].clone() as _))
    }

    /// Whether a merge would compress the chunks of `mag`.
    pub fn is_compressed(&self, mag: Mag) -> bool {
        self.mags.iter().any(|array| array.mag.mag == mag && array.fallback.array.codec().is_compressed())
    }
}

/// A mag of the result. Its chunks are those a merge would write, each its own shard, as it is made alone.
#[derive(Debug)]
struct MergedArray {
    mag: MagPlan,
    grid: ChunkGrid,
    terms: Terms,
    fallback: ReadMag,
    over: Vec<Over>,
    codec: Arc<dyn ChunkCodec>,
}

/// The blocks of each layer over one chunk; layers without any are left out.
type BlocksByLayer = Vec<(usize, Vec<[u32; 3]>)>;

impl MergedArray {
    fn shard_of(&self, chunk: &ChunkIndex) -> ShardIndex {
        self.mag.grid.locate(chunk).0
    }

    fn blocks(&self, chunk: &ChunkIndex) -> BlocksByLayer {
        let shard = self.shard_of(chunk);
        let found = self.mag.shards.binary_search_by(|plan| plan.at.cmp(&shard));
        let Some(shard) = found.ok().map(|place| &self.mag.shards[place]).filter(|shard| shard.is_touched()) else {
            return Vec::new();
        };
        let over = |layer: usize| {
            let block_shape = self.mag.layers[layer].block_shape;
            blocks_over(self.grid.chunk_shape, chunk.xyz, block_shape, &shard.blocks[layer])
        };
        let layers = (0..self.mag.layers.len()).map(|layer| (layer, over(layer)));
        layers.filter(|(_, blocks)| !blocks.is_empty()).collect()
    }

    /// The fallback's chunk in the result's type and with its new labels.
    fn untouched(&self, chunk: &ChunkIndex, fallback: EncodedChunk) -> Result<EncodedChunk> {
        let (from, to) = (self.mag.fallback_type, self.grid.voxel_type);
        if from == to && self.terms.mapping.is_none() {
            return Ok(fallback);
        }
        let mut voxels = vec![0; self.fallback.array.grid().chunk_bytes()];
        let EncodedChunk { key, codec, bytes } = fallback;
        decode(&*self.fallback.array, &*codec, &key, chunk, &bytes, &mut voxels)?;
        if from != to {
            voxels = widen(from, to, &voxels);
        }
        self.terms.rename(chunk, to, &mut voxels)?;
        Ok(EncodedChunk { key, codec: self.codec.clone(), bytes: voxels })
    }

    /// The layer, with its place, whose chunk hides all that lies beneath it.
    fn hiding(&self, chunk: &ChunkIndex, blocks: &BlocksByLayer) -> Option<(usize, &ReadMag)> {
        let (layer, blocks) = blocks.last()?;
        let same_grid = self.mag.layers[*layer].block_shape == self.grid.chunk_shape;
        let hides = same_grid && self.terms.is_plain_chunk() && blocks.contains(&chunk.xyz);
        match &self.over[*layer] {
            Over::Annotation(mag) if hides && mag.array.grid().voxel_type == self.grid.voxel_type => {
                Some((*layer, mag))
            }
            _ => None,
        }
    }

    /// Makes a chunk of what was read ahead, and of what is read now.
    fn make(
        &self,
        chunk: &ChunkIndex,
        blocks: &BlocksByLayer,
        fallback: &Ahead,
        over: &[Ahead],
    ) -> Result<Option<EncodedChunk>> {
        if let Some((layer, mag)) = self.hiding(chunk, blocks) {
            let found = mag.encoded(chunk, &over[layer])?;
            if found.is_some() {
                return Ok(found);
            }
        }
        let fallback = self.fallback.encoded(chunk, fallback)?;
        if blocks.is_empty() {
            return fallback.map(|found| self.untouched(chunk, found)).transpose();
        }
        let bytes = self.compose(chunk, blocks, fallback.as_ref(), over)?;
        Ok(Some(EncodedChunk { key: self.shard_key(chunk), codec: self.codec.clone(), bytes }))
    }

    /// Makes chunks of what is read for all of them together.
    fn make_together(&self, chunks: &[ChunkIndex], take: &TakeChunk<'_>) -> Result<()> {
        let blocks: Vec<BlocksByLayer> = chunks.iter().map(|chunk| self.blocks(chunk)).collect();
        let both = || chunks.iter().zip(&blocks);
        let beneath = both().filter(|(chunk, blocks)| self.hiding(chunk, blocks).is_none());
        let fallback = self.fallback.ahead(beneath.map(|(chunk, _)| chunk.clone()))?;
        let extra = chunks.first().map(|chunk| chunk.extra.clone()).unwrap_or_default();
        let of = |layer: usize| {
            let laid = blocks.iter().flatten().filter(move |laid| laid.0 == layer);
            laid.flat_map(|laid| laid.1.iter().copied())
        };
        let over = self.over.iter().enumerate();
        let over: Vec<Ahead> = over.map(|(layer, over)| over.ahead(&extra, of(layer))).collect::<Result<_>>()?;
        on_pool(chunks.len(), |number| {
            take_made(number, self.make(&chunks[number], &blocks[number], &fallback, &over)?, take)
        })
    }

    fn compose(
        &self,
        chunk: &ChunkIndex,
        blocks: &BlocksByLayer,
        fallback: Option<&EncodedChunk>,
        ahead: &[Ahead],
    ) -> Result<Vec<u8>> {
        // Within the chunk alone, so that only its blocks are looked at.
        let cover = |(layer, blocks): &(usize, Vec<[u32; 3]>)| {
            cover(&self.grid, chunk, self.mag.layers[*layer].block_shape, blocks).remove(&0).unwrap_or_default()
        };
        let covered: Vec<_> = blocks.iter().map(cover).collect();
        let parts = blocks.iter().zip(&covered);
        let layers: Vec<Laid> =
            parts.map(|((layer, blocks), covered)| Laid { layer: *layer, covered, blocks }).collect();
        let maker = Composer {
            terms: &self.terms,
            mag: &self.mag,
            fallback: self.fallback.array.as_ref(),
            over: &self.over,
            ahead,
        };
        let beneath = fallback.map(|found| Beneath { codec: found.codec.as_ref(), bytes: &found.bytes });
        Ok(maker.compose(chunk, beneath, &layers)?.voxels.into_vec())
    }

    fn touched_chunks(&self, shard: &ShardPlan) -> Vec<ChunkIndex> {
        let layers: Vec<_> = self.mag.layers.iter().collect();
        let covered = cover_layers(&self.mag.grid, &shard.at, &layers, &shard.blocks);
        covered.into_keys().map(|place| self.mag.grid.chunk_at(&shard.at, place as usize)).collect()
    }
}

impl MagArray for MergedArray {
    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn store(&self) -> &SharedStore {
        self.fallback.array.store()
    }

    fn prefix(&self) -> &str {
        self.fallback.array.prefix()
    }

    fn codec(&self) -> &Arc<dyn ChunkCodec> {
        &self.codec
    }

    fn shard_key(&self, chunk: &ShardIndex) -> String {
        self.fallback.array.shard_key(&self.shard_of(chunk))
    }

    fn list_shards(&self) -> Result<Listing> {
        let mut chunks = list_chunks(self.fallback.array.as_ref())?;
        let touched = self.mag.shards.iter().filter(|shard| shard.is_touched());
        chunks.extend(touched.flat_map(|shard| self.touched_chunks(shard)).map(|chunk| (chunk, 0)));
        chunks.sort_unstable();
        chunks.dedup_by(|next, kept| next.0 == kept.0);
        Ok(Listing { shards: chunks, empty_files: Vec::new() })
    }

    fn read_encoded(&self, chunk: &ChunkIndex) -> Result<Option<EncodedChunk>> {
        let nothing: Vec<Ahead> = self.over.iter().map(|_| Ahead::default()).collect();
        self.make(chunk, &self.blocks(chunk), &Ahead::default(), &nothing)
    }

    fn make_chunks(&self, chunks: &[ChunkIndex], take: &TakeChunk<'_>) -> Result<()> {
        // Chunks of one slice along additional axes together: whoever reads a box asks for no others.
        let slices = chunks.chunk_by(|one, other| one.extra == other.extra);
        let mut first = 0;
        for chunks in slices.flat_map(|slice| slice.chunks(CHUNKS_AT_ONCE)) {
            self.make_together(chunks, &|number, found| take(first + number, found))?;
            first += chunks.len();
        }
        Ok(())
    }

    fn metadata_like(&self, voxel_type: VoxelType, extent: [u64; 3], extra: &[u64]) -> Result<Vec<(String, Vec<u8>)>> {
        self.fallback.array.metadata_like(voxel_type, extent, extra)
    }

    fn shard_writer<'f>(&self, _file: &'f mut dyn ShardFile) -> Result<Box<dyn ShardWriter + 'f>> {
        Err(VolumeError::Mismatch("a merged view is read only: merge into a new dataset to change it".to_owned()))
    }
}

/// Voxels as they lie in memory.
#[derive(Debug)]
struct Plain;

impl ChunkCodec for Plain {
    fn encoding(&self) -> &'static str {
        "raw"
    }

    fn is_compressed(&self) -> bool {
        false
    }

    fn decode(&self, encoded: &[u8], voxels: &mut [u8]) -> Result<(), String> {
        if encoded.len() != voxels.len() {
            return Err(format!("{} bytes instead of {}", encoded.len(), voxels.len()));
        }
        voxels.copy_from_slice(encoded);
        Ok(())
    }

    fn encode(&self, voxels: &[u8]) -> Result<Vec<u8>, String> {
        Ok(voxels.to_vec())
    }
}
