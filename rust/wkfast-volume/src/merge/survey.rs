//! Looking at both sides of a merge and deciding what to do. Everything that can be wrong is found here.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::json;

use super::blocks::Blocks;
use super::boxes::{bounding_box, extent, outside};
use super::chunk::Policy;
use super::cover::{Covered, cover_layers, shards_under};
use super::input::{MergeInput, check_folder};
use super::journal::{self, identity};
use super::links::check_links;
use super::outline::Outline;
use super::plan::{LayerPlan, LayerSource, MagPlan, MergePlan, PLAN_VERSION, ShardPlan};
use super::roles::{MagRoles, Role, Roles, check_types};
use super::sides::{Side, Sources};
use super::stamp::{ArchiveStamp, Digest, MagStamp};
use crate::error::{Result, VolumeError};
use crate::format::Listing;
use crate::geometry::{ChunkGrid, Mag, ShardIndex};
use crate::label::check;
use crate::voxels::VoxelType;

/// Decides what the merge of `sources` as `input` wants it does. Writes nothing.
pub fn survey(input: MergeInput, sources: &Sources) -> Result<MergePlan> {
    let plan = decide(input, sources)?;
    check_links(&plan.input, sources)?;
    journal::check_target(&plan)?;
    Ok(plan)
}

/// The same without a look at the target.
pub(super) fn decide(input: MergeInput, sources: &Sources) -> Result<MergePlan> {
    let count = sources.annotations.len();
    let listed = sources.annotations.iter().enumerate().map(|(place, mags)| Side::annotation(mags, place, count));
    let annotations: Vec<Side> = listed.collect::<Result<_>>()?;
    let fallback = Side::fallback(&sources.fallback)?;
    let roles = Roles::assign(input.options.mags, &annotations, &fallback)?;
    let voxel_type = check_types(&roles, &fallback)?;
    check_functions(&input, &fallback)?;
    let mut warnings = warnings(&annotations, &fallback, &roles);
    let mut mags = plan_mags(&input, &roles, voxel_type)?;
    let bounding_box = bounding_box(input.fallback_bounding_box, &mags)?;
    warnings.extend(outside(input.fallback_bounding_box, &mags));
    for mag in &mut mags {
        mag.extent = extent(&bounding_box, mag.mag);
    }
    let stamps: Vec<MagStamp> = annotations.iter().chain([&fallback]).flat_map(Side::stamps).collect();
    let archives = ArchiveStamp::all(&input);
    let plan = MergePlan {
        version: PLAN_VERSION,
        fingerprint: fingerprint(&input, &stamps),
        ignored_mags: roles.ignored,
        left_out_mags: roles.left_out,
        input,
        stamps,
        archives,
        mags,
        bounding_box,
        warnings,
        outline: Outline::default(),
        tasks: Vec::new(),
        first: 0,
    };
    Ok(plan.assemble())
}

/// Functions of labels need labels, and a rule leaves nothing to a policy.
fn check_functions(input: &MergeInput, fallback: &Side) -> Result<()> {
    if input.options.rule.is_some() && input.options.policy != Policy::Nonzero {
        return Err(VolumeError::Mismatch("a rule goes with the policy nonzero".to_owned()));
    }
    if input.mapping.is_none() && input.options.rule.is_none() {
        return Ok(());
    }
    fallback.mags.iter().try_for_each(|listed| check(listed.grid().voxel_type, listed.grid().channels))
}

/// What an annotation lays over one mag.
struct PlannedLayer<'c> {
    plan: LayerPlan,
    blocks: Cow<'c, Blocks>,
}

/// Finest first: coarser ones are recomputed from those before them.
fn plan_mags(input: &MergeInput, roles: &Roles, voxel_type: VoxelType) -> Result<Vec<MagPlan>> {
    let mut mags = Vec::new();
    for kept in &roles.kept {
        mags.push(plan_mag(input, kept, voxel_type, &mags)?);
    }
    Ok(mags)
}

fn plan_mag(input: &MergeInput, kept: &MagRoles, voxel_type: VoxelType, finer: &[MagPlan]) -> Result<MagPlan> {
    let under = kept.under;
    let mag = under.mag();
    let folder = input.target_mags.iter().find(|target| target.mag == mag).map(|target| target.folder.clone());
    let folder =
        folder.ok_or_else(|| VolumeError::Mismatch(format!("no folder of the target is named for mag {mag}")))?;
    check_folder(&folder)?;
    let grid = ChunkGrid { voxel_type, ..under.grid().clone() };
    let layers: Vec<PlannedLayer> = kept.over.iter().map(|(number, role)| plan_layer(*number, role, finer)).collect();
    let shards = plan_shards(&grid, &under.listing, &layers, input.options.policy);
    Ok(MagPlan {
        mag,
        folder,
        fallback: under.source.location.clone(),
        fallback_type: under.grid().voxel_type,
        extent: [0; 3],
        layers: layers.into_iter().map(|layer| layer.plan).collect(),
        relabels: input.mapping.is_some(),
        recodes: !under.source.array.is_encoded_as_it_lies(),
        shards,
        grid,
    })
}

fn plan_layer<'c>(annotation: usize, role: &Role<'c>, finer: &[MagPlan]) -> PlannedLayer<'c> {
    let (source, block_shape, blocks) = match role {
        Role::Own(over) => {
            let location = over.source.location.clone();
            let source = LayerSource::Annotation { location: Box::new(location), voxel_type: over.grid().voxel_type };
            (source, over.grid().chunk_shape, Cow::Borrowed(&over.chunks))
        }
        Role::Recompute { from, factor } => {
            let (shape, blocks) = scaled_blocks(&finer[*from], annotation, *factor);
            (LayerSource::Recomputed { from: *from, factor: *factor }, shape, Cow::Owned(blocks))
        }
    };
    PlannedLayer { plan: LayerPlan { annotation, source, block_shape }, blocks }
}

/// Blocks of a finer mag that an annotation touched, as blocks of a coarser one, of the shape returned. Where the edges
/// do not divide, the blocks reach further, never less far.
fn scaled_blocks(finer: &MagPlan, annotation: usize, factor: [u32; 3]) -> ([u32; 3], Blocks) {
    let Some(layer) = finer.layers.iter().position(|layer| layer.annotation == annotation) else {
        return ([1; 3], Blocks::default());
    };
    let block_shape = finer.layers[layer].block_shape;
    let shape: [u32; 3] = std::array::from_fn(|axis| block_shape[axis].div_ceil(factor[axis]));
    let mut blocks = Blocks::default();
    for shard in finer.shards.iter().filter(|shard| shard.is_touched()) {
        for block in &shard.blocks[layer] {
            let [xs, ys, zs]: [_; 3] = std::array::from_fn(|axis| {
                let (edge, factor) = (u64::from(block_shape[axis]), u64::from(factor[axis]));
                let start = u64::from(block[axis]) * edge / factor;
                let end = ((u64::from(block[axis]) + 1) * edge).div_ceil(factor);
                (start / u64::from(shape[axis])) as u32..end.div_ceil(u64::from(shape[axis])) as u32
            });
            for z in zs {
                for y in ys.clone() {
                    blocks.extend(&shard.at.extra, xs.clone().map(|x| [x, y, z]));
                }
            }
        }
    }
    blocks.sort();
    (shape, blocks)
}

/// Blocks of every layer, by shard.
type Touched = HashMap<ShardIndex, Vec<Vec<[u32; 3]>>>;

fn touched_shards(grid: &ChunkGrid, layers: &[PlannedLayer]) -> Touched {
    let mut touched = Touched::new();
    for (number, layer) in layers.iter().enumerate() {
        for (extra, block) in layer.blocks.iter() {
            for xyz in shards_under(grid, layer.plan.block_shape, block) {
                let shard = ShardIndex { extra: extra.into(), xyz };
                touched.entry(shard).or_insert_with(|| vec![Vec::new(); layers.len()])[number].push(block);
            }
        }
    }
    touched
}

fn plan_shards(grid: &ChunkGrid, listing: &Listing, layers: &[PlannedLayer], policy: Policy) -> Vec<ShardPlan> {
    let plans: Vec<&LayerPlan> = layers.iter().map(|layer| &layer.plan).collect();
    let plan_shard = |at, fallback_bytes, blocks: Vec<Vec<[u32; 3]>>| {
        let covered = cover_layers(grid, &at, &plans, &blocks);
        let hides = |&(layer, ref covered): &(usize, Covered)| {
            let recomputed = matches!(plans[layer].source, LayerSource::Recomputed { .. });
            covered.is_full() && (recomputed || policy == Policy::Chunk)
        };
        let replaced = covered.values().filter(|over| over.iter().any(hides)).count();
        ShardPlan {
            at,
            fallback_bytes,
            blocks,
            chunks_replaced: replaced as u32,
            chunks_mixed: (covered.len() - replaced) as u32,
        }
    };
    let mut touched = touched_shards(grid, layers);
    let mut shards = Vec::with_capacity(listing.shards.len());
    for (at, size) in &listing.shards {
        let mut blocks = touched.remove(at).unwrap_or_default();
        blocks.iter_mut().for_each(Vec::shrink_to_fit);
        shards.push(plan_shard(at.clone(), Some(*size), blocks));
    }
    // Where the fallback has none.
    shards.extend(touched.into_iter().map(|(at, blocks)| plan_shard(at, None, blocks)));
    // Stable: of a file that was listed twice, the first has the blocks.
    shards.sort_by(|one, other| one.at.cmp(&other.at));
    shards.dedup_by(|next, kept| next.at == kept.at);
    shards
}

fn warnings(annotations: &[Side], fallback: &Side, roles: &Roles) -> Vec<String> {
    let mut warnings = Vec::new();
    for listed in annotations.iter().chain([fallback]).flat_map(|side| &side.mags) {
        if let Some(first) = listed.listing.empty_files.first() {
            let (count, name) = (listed.listing.empty_files.len(), listed.name());
            warnings.push(format!("{name}: {count} files of zero bytes count as absent, e.g. {first}"));
        }
    }
    for empty in annotations.iter().filter(|side| !side.mags.is_empty() && side.is_empty()) {
        let rest = if annotations.len() == 1 { "the result is the fallback" } else { "it changes nothing" };
        warnings.push(format!("the {} has no chunks: {rest}", empty.name));
    }
    let unasked = !roles.left_out.is_empty() && roles.kept.len() > 1;
    if unasked {
        let mags = roles.left_out.iter().map(Mag::to_string).collect::<Vec<_>>().join(", ");
        warnings
            .push(format!("mags {mags} of the fallback are left out: the annotation has nothing to fill them from"));
    }
    warnings
}

fn fingerprint(input: &MergeInput, stamps: &[MagStamp]) -> String {
    let mut digest = Digest::default();
    digest.add(json!({"version": PLAN_VERSION, "input": identity(input), "stamps": stamps}).to_string().as_bytes());
    digest.finish()
}
