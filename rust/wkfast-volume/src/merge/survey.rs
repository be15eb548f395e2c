//! Looking at both sides of a merge and deciding what to do. Everything that can be wrong is found here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;

use super::chunk::Policy;
use super::cover::{cover, shards_under};
use super::dtype;
use super::input::{MagChoice, MergeInput, check_folder, fineness};
use super::journal;
use super::plan::{MagPlan, MagSource, MergePlan, PLAN_VERSION, ShardPlan};
use super::stamp::{Digest, Stamp, describe};
use crate::error::{Result, VolumeError};
use crate::format::{Container, DataFormat, Listing, MagArray, MagLocation, open_mag_in};
use crate::geometry::{BoundingBox, ChunkGrid, ChunkIndex, Mag, ShardIndex};
use crate::store::SharedStore;
use crate::voxels::VoxelType;

/// Farthest voxel, in mag-1 voxels from 0, that a layer may reach. Far beyond any brain; it keeps sums in range.
const FARTHEST: u128 = 1 << 48;

/// Both sides, opened.
#[derive(Debug)]
pub struct Sources {
    /// The annotation's mags.
    pub annotation: Vec<Source>,
    /// The fallback's mags.
    pub fallback: Vec<Source>,
}

/// One mag of one side.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it lies.
    pub location: MagLocation,
    /// Its chunks.
    pub array: Arc<dyn MagArray>,
}

impl Sources {
    /// Opens every mag, each container once.
    pub fn open(input: &MergeInput) -> Result<Self> {
        let mut containers: Vec<(Container, SharedStore)> = Vec::new();
        let mut open = |locations: &[MagLocation]| -> Result<Vec<Source>> {
            let mut sources = Vec::new();
            for location in locations {
                let known = containers.iter().find(|(container, _)| *container == location.container);
                let store = if let Some((_, store)) = known {
                    store.clone()
                } else {
                    let store = location.container.open()?;
                    containers.push((location.container.clone(), store.clone()));
                    store
                };
                let array = open_mag_in(store, location)?;
                check_fill(&*array)?;
                sources.push(Source { location: location.clone(), array });
            }
            Ok(sources)
        };
        Ok(Self { annotation: open(&input.annotation)?, fallback: open(&input.fallback)? })
    }
}

/// Absent chunks are zeros to a merge.
fn check_fill(array: &dyn MagArray) -> Result<()> {
    if array.fill().is_none() {
        return Ok(());
    }
    let file = array.store().describe(array.prefix());
    Err(VolumeError::Unsupported {
        file,
        what: "its fill_value is not 0, only such are merged; rechunk the layer".to_owned(),
    })
}

/// Decides what the merge of `sources` as `input` wants it does. Writes nothing.
pub fn survey(input: MergeInput, sources: &Sources) -> Result<MergePlan> {
    let annotation = Side::list("annotation", &sources.annotation)?;
    let fallback = Side::list("fallback", &sources.fallback)?;
    let roles = Roles::assign(&input, &annotation, &fallback)?;
    let voxel_type = check_types(&roles, &fallback)?;
    let warnings = warnings(&annotation, &fallback, &roles);
    let mut mags: Vec<MagPlan> = Vec::new();
    for &(listed, ref role) in &roles.kept {
        mags.push(plan_mag(&input, listed, role, voxel_type, &mags)?);
    }
    let bounding_box = bounding_box(&input, &mags)?;
    for mag in &mut mags {
        mag.extent = extent(&bounding_box, mag.mag);
    }
    let stamps: Vec<Stamp> = [&annotation, &fallback].into_iter().flat_map(Side::stamps).collect();
    let plan = MergePlan {
        version: PLAN_VERSION,
        fingerprint: fingerprint(&input, &stamps),
        ignored_mags: roles.ignored,
        left_out_mags: roles.left_out,
        input,
        stamps,
        mags,
        bounding_box,
        warnings,
        tasks: Vec::new(),
    }
    .assemble();
    journal::check_target(&plan)?;
    Ok(plan)
}

/// One side with its listings, finest mag first.
struct Side<'s> {
    mags: Vec<Listed<'s>>,
}

/// One mag and what its store holds.
struct Listed<'s> {
    source: &'s Source,
    listing: Listing,
    /// Chunks that are present; only looked up for the annotation.
    chunks: Vec<ChunkIndex>,
}

impl<'s> Side<'s> {
    fn list(name: &str, sources: &'s [Source]) -> Result<Self> {
        let mut mags = Vec::new();
        for source in sources {
            let listing = source.array.list_shards()?;
            let chunks = if name == "annotation" { present_chunks(source, &listing)? } else { Vec::new() };
            mags.push(Listed { source, listing, chunks });
        }
        mags.sort_by_key(|listed| fineness(listed.mag()));
        if let Some(pair) = mags.windows(2).find(|pair| pair[0].mag() == pair[1].mag()) {
            let mag = pair[0].mag();
            return Err(VolumeError::Mismatch(format!("the {name} has mag {mag} twice")));
        }
        Ok(Self { mags })
    }

    fn find(&self, mag: Mag) -> Option<&Listed<'s>> {
        self.mags.iter().find(|listed| listed.mag() == mag)
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.mags.iter().map(|listed| listed.mag().to_string()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.mags.iter().map(|l| Stamp::of(&l.source.location, l.source.array.as_ref(), &l.listing)).collect()
    }
}

impl Listed<'_> {
    fn mag(&self) -> Mag {
        self.source.location.mag
    }

    fn grid(&self) -> &ChunkGrid {
        self.source.array.grid()
    }

    fn name(&self) -> String {
        describe(&self.source.location)
    }
}

/// Chunks of the annotation: where every chunk is a file, the listing has them all.
fn present_chunks(source: &Source, listing: &Listing) -> Result<Vec<ChunkIndex>> {
    let grid = source.array.grid();
    let mut chunks = Vec::new();
    for (shard, _) in &listing.shards {
        if grid.chunks_in_shard() == 1 {
            chunks.push(shard.clone());
        } else if let Some(table) = source.array.open_shard(shard)? {
            let present = table.spans.iter().enumerate().filter(|(_, span)| span.is_some());
            chunks.extend(present.map(|(place, _)| grid.chunk_at(shard, place)));
        }
    }
    chunks.sort_unstable();
    Ok(chunks)
}

/// What becomes of each mag.
struct Roles<'s> {
    kept: Vec<(&'s Listed<'s>, Role<'s>)>,
    ignored: Vec<Mag>,
    left_out: Vec<Mag>,
}

enum Role<'s> {
    Copy,
    Merge(&'s Listed<'s>),
    Recompute { from: usize, factor: [u32; 3] },
}

impl<'s> Roles<'s> {
    fn assign(input: &MergeInput, annotation: &'s Side<'s>, fallback: &'s Side<'s>) -> Result<Self> {
        if fallback.mags.is_empty() {
            return Err(VolumeError::Mismatch("the fallback layer has no mags".to_owned()));
        }
        let Some(finest) = annotation.mags.first() else {
            let kept = fallback.mags.iter().map(|listed| (listed, Role::Copy)).collect();
            return Ok(Self { kept, ignored: Vec::new(), left_out: Vec::new() });
        };
        if fallback.find(finest.mag()).is_none() {
            return Err(VolumeError::Missing {
                what: format!("mag {} of the fallback layer, the finest of the annotation,", finest.mag()),
                hint: format!("the annotation has {}, the fallback has {}", annotation.names(), fallback.names()),
            });
        }
        let mut roles = Self { kept: Vec::new(), ignored: Vec::new(), left_out: Vec::new() };
        for listed in &fallback.mags {
            roles.assign_mag(input.options.mags, listed, finest, annotation);
        }
        let missing = |listed: &&Listed| fallback.find(listed.mag()).is_none();
        roles.ignored = annotation.mags.iter().filter(missing).map(Listed::mag).collect();
        Ok(roles)
    }

    fn assign_mag(
        &mut self,
        choice: MagChoice,
        listed: &'s Listed<'s>,
        finest: &'s Listed<'s>,
        annotation: &'s Side<'s>,
    ) {
        let mag = listed.mag();
        if choice == MagChoice::Finest && mag != finest.mag() {
            self.left_out.push(mag);
            return;
        }
        // A coarser mag without a single chunk, where the finest has some, was never filled: it says nothing.
        let painted = annotation.find(mag).filter(|own| mag == finest.mag() || !own.chunks.is_empty());
        let own = painted.or_else(|| annotation.find(mag).filter(|_| finest.chunks.is_empty()));
        match (own, self.finer_mag(mag)) {
            (Some(own), _) => self.kept.push((listed, Role::Merge(own))),
            (None, Some((from, factor))) => self.kept.push((listed, Role::Recompute { from, factor })),
            (None, None) => self.left_out.push(mag),
        }
    }

    /// The coarsest mag so far whose voxels fill one of `mag` exactly.
    fn finer_mag(&self, mag: Mag) -> Option<(usize, [u32; 3])> {
        self.kept.iter().enumerate().rev().find_map(|(place, (listed, _))| {
            let finer = listed.mag().0;
            let divides = (0..3).all(|axis| mag.0[axis].is_multiple_of(finer[axis]));
            divides.then(|| (place, std::array::from_fn(|axis| mag.0[axis] / finer[axis])))
        })
    }
}

/// One type for the whole layer, as `datasource-properties.json` has one: the fallback's, or the annotation's if that
/// is wider.
fn check_types(roles: &Roles, fallback: &Side) -> Result<VoxelType> {
    let first = fallback.mags[0].grid();
    if let Some(odd) = fallback.mags.iter().find(|listed| listed.grid().voxel_type != first.voxel_type) {
        let (found, expected) = (odd.grid().voxel_type.name(), first.voxel_type.name());
        return Err(VolumeError::Mismatch(format!(
            "{}: has voxels of type {found} while mag {} of the same layer has {expected}",
            odd.name(),
            fallback.mags[0].mag(),
        )));
    }
    let mut voxel_type = first.voxel_type;
    for (under, role) in &roles.kept {
        let Role::Merge(over) = role else { continue };
        check_shapes(over, under)?;
        voxel_type = dtype::common(voxel_type, over.grid().voxel_type).ok_or_else(|| {
            let (over_type, under_type) = (over.grid().voxel_type.name(), voxel_type.name());
            VolumeError::Mismatch(format!(
                "voxels of type {over_type} ({}) cannot be laid over {under_type} ({}): neither type holds all values \
                 of the other; convert one layer first",
                over.name(),
                under.name(),
            ))
        })?;
    }
    Ok(voxel_type)
}

fn check_shapes(over: &Listed, under: &Listed) -> Result<()> {
    let (above, below) = (over.grid(), under.grid());
    let differ = |what: &str, above: String, below: String| {
        let (over, under) = (over.name(), under.name());
        Err(VolumeError::Mismatch(format!("{what} differ: {above} in {over}, {below} in {under}")))
    };
    if above.channels != below.channels {
        return differ("channels", above.channels.to_string(), below.channels.to_string());
    }
    if above.extra_axes != below.extra_axes {
        return differ("additional axes", format!("{:?}", above.extra_axes), format!("{:?}", below.extra_axes));
    }
    if over.source.location.format == DataFormat::Wkw && above.chunks_in_shard() > 1 {
        let [x, y, z] = above.chunks_per_shard;
        return Err(VolumeError::Mismatch(format!(
            "{}: annotations in WKW have one block per file, these files have {x} x {y} x {z}, so untouched blocks \
             cannot be told from erased ones",
            over.name(),
        )));
    }
    Ok(())
}

fn plan_mag(
    input: &MergeInput,
    listed: &Listed,
    role: &Role,
    voxel_type: VoxelType,
    finer: &[MagPlan],
) -> Result<MagPlan> {
    let (source, block_shape, blocks) = match role {
        Role::Copy => (MagSource::Fallback, listed.grid().chunk_shape, Vec::new()),
        Role::Merge(over) => {
            let location = over.source.location.clone();
            let source = MagSource::Annotation { location, voxel_type: over.grid().voxel_type };
            (source, over.grid().chunk_shape, over.chunks.clone())
        }
        Role::Recompute { from, factor } => {
            let (shape, blocks) = scaled_blocks(&finer[*from], *factor);
            (MagSource::Recomputed { from: *from, factor: *factor }, shape, blocks)
        }
    };
    let mag = listed.mag();
    let folder = input.target_mags.iter().find(|target| target.mag == mag).map(|target| target.folder.clone());
    let folder =
        folder.ok_or_else(|| VolumeError::Mismatch(format!("no folder of the target is named for mag {mag}")))?;
    check_folder(&folder)?;
    let grid = ChunkGrid { voxel_type, ..listed.grid().clone() };
    let policy = if matches!(role, Role::Recompute { .. }) { Policy::Chunk } else { input.options.policy };
    Ok(MagPlan {
        mag,
        folder,
        fallback: listed.source.location.clone(),
        fallback_type: listed.grid().voxel_type,
        extent: [0; 3],
        source,
        block_shape,
        shards: plan_shards(&grid, &listed.listing, block_shape, &blocks, policy),
        grid,
    })
}

/// Touched blocks of a finer mag as blocks of a coarser one, of the shape returned. Where the edges do not divide, the
/// blocks reach further, never less far.
fn scaled_blocks(finer: &MagPlan, factor: [u32; 3]) -> ([u32; 3], Vec<ChunkIndex>) {
    let shape: [u32; 3] = std::array::from_fn(|axis| finer.block_shape[axis].div_ceil(factor[axis]));
    let mut blocks = BTreeSet::new();
    for shard in &finer.shards {
        for block in &shard.blocks {
            let [xs, ys, zs]: [_; 3] = std::array::from_fn(|axis| {
                let (edge, factor) = (u64::from(finer.block_shape[axis]), u64::from(factor[axis]));
                let start = u64::from(block[axis]) * edge / factor;
                let end = ((u64::from(block[axis]) + 1) * edge).div_ceil(factor);
                (start / u64::from(shape[axis])) as u32..end.div_ceil(u64::from(shape[axis])) as u32
            });
            for z in zs {
                for y in ys.clone() {
                    let row = xs.clone().map(|x| ChunkIndex { extra: shard.at.extra.clone(), xyz: [x, y, z] });
                    blocks.extend(row);
                }
            }
        }
    }
    (shape, blocks.into_iter().collect())
}

fn plan_shards(
    grid: &ChunkGrid,
    listing: &Listing,
    block_shape: [u32; 3],
    blocks: &[ChunkIndex],
    policy: Policy,
) -> Vec<ShardPlan> {
    let mut shards = BTreeMap::<ShardIndex, (Option<u64>, Vec<[u32; 3]>)>::new();
    for (shard, size) in &listing.shards {
        shards.insert(shard.clone(), (Some(*size), Vec::new()));
    }
    for block in blocks {
        for xyz in shards_under(grid, block_shape, block.xyz) {
            let shard = ShardIndex { extra: block.extra.clone(), xyz };
            shards.entry(shard).or_default().1.push(block.xyz);
        }
    }
    let plan_shard = |(at, (fallback_bytes, blocks)): (ShardIndex, (Option<u64>, Vec<[u32; 3]>))| {
        let covered = cover(grid, &at, block_shape, &blocks);
        let replaced = covered.values().filter(|covered| policy == Policy::Chunk && covered.is_full()).count();
        ShardPlan {
            at,
            fallback_bytes,
            blocks,
            chunks_replaced: replaced as u32,
            chunks_mixed: (covered.len() - replaced) as u32,
        }
    };
    shards.into_iter().map(plan_shard).collect()
}

/// The fallback's box and every chunk of the annotation's finest mag. Chunks of coarser mags hold the same paint in
/// larger steps: counting them would add a margin without a voxel.
fn bounding_box(input: &MergeInput, mags: &[MagPlan]) -> Result<BoundingBox> {
    let given = input.fallback_bounding_box;
    let mut touched: Option<([u128; 3], [u128; 3])> = None;
    if let Some(mag) = mags.iter().find(|mag| matches!(mag.source, MagSource::Annotation { .. })) {
        for block in mag.shards.iter().flat_map(|shard| &shard.blocks) {
            let edge = |axis: usize| u128::from(mag.block_shape[axis]) * u128::from(mag.mag.0[axis]);
            let start: [u128; 3] = std::array::from_fn(|axis| u128::from(block[axis]) * edge(axis));
            let end: [u128; 3] = std::array::from_fn(|axis| start[axis] + edge(axis));
            if end.iter().any(|&end| end > FARTHEST) {
                let chunk = ChunkIndex::xyz(block[0], block[1], block[2]);
                let reason = format!("chunk {chunk} of mag {} lies beyond any layer", mag.mag);
                return Err(VolumeError::corrupt("annotation", reason));
            }
            let (low, high) = touched.get_or_insert((start, end));
            for axis in 0..3 {
                low[axis] = low[axis].min(start[axis]);
                high[axis] = high[axis].max(end[axis]);
            }
        }
    }
    let bad = (0..3).any(|axis| given.size[axis] < 0 || given.topleft[axis].checked_add(given.size[axis]).is_none());
    if bad {
        return Err(VolumeError::Mismatch(format!("the fallback's bounding box {given:?} is no box")));
    }
    let Some((low, high)) = touched else { return Ok(given) };
    if given.size.contains(&0) {
        let (topleft, size) = (low.map(|v| v as i64), std::array::from_fn(|axis| (high[axis] - low[axis]) as i64));
        return Ok(BoundingBox { topleft, size });
    }
    let topleft: [i64; 3] = std::array::from_fn(|axis| given.topleft[axis].min(low[axis] as i64));
    let end: [i64; 3] = std::array::from_fn(|a| (given.topleft[a] + given.size[a]).max(high[a] as i64));
    Ok(BoundingBox { topleft, size: std::array::from_fn(|axis| end[axis] - topleft[axis]) })
}

fn extent(bounding_box: &BoundingBox, mag: Mag) -> [u64; 3] {
    std::array::from_fn(|axis| {
        let end = bounding_box.topleft[axis] + bounding_box.size[axis];
        u64::try_from(end).unwrap_or(0).div_ceil(u64::from(mag.0[axis]).max(1))
    })
}

fn warnings(annotation: &Side, fallback: &Side, roles: &Roles) -> Vec<String> {
    let mut warnings = Vec::new();
    for listed in annotation.mags.iter().chain(&fallback.mags) {
        if let Some(first) = listed.listing.empty_files.first() {
            let (count, name) = (listed.listing.empty_files.len(), listed.name());
            warnings.push(format!("{name}: {count} files of zero bytes count as absent, e.g. {first}"));
        }
    }
    if !annotation.mags.is_empty() && annotation.mags.iter().all(|listed| listed.chunks.is_empty()) {
        warnings.push("the annotation has no chunks: the result is the fallback".to_owned());
    }
    let unasked = !roles.left_out.is_empty() && roles.kept.len() > 1;
    if unasked {
        let mags = roles.left_out.iter().map(Mag::to_string).collect::<Vec<_>>().join(", ");
        warnings
            .push(format!("mags {mags} of the fallback are left out: the annotation has nothing to fill them from"));
    }
    warnings
}

fn fingerprint(input: &MergeInput, stamps: &[Stamp]) -> String {
    let mut digest = Digest::default();
    digest.add(json!({"version": PLAN_VERSION, "input": input, "stamps": stamps}).to_string().as_bytes());
    digest.finish()
}
