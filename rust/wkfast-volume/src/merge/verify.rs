//! Reading a result back and comparing it with what it was made from.
//!
//! Nothing here uses the code that wrote the result: where layers meet, every voxel is looked up by itself, and coarser
//! ones are counted anew. It is slower than the merge, and shares its mistakes only below: in formats and stores.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::chunk::Policy;
use super::compose::Over;
use super::dtype::widen;
use super::journal::{TargetState, check_target};
use super::plan::{MagPlan, MergePlan, ShardPlan};
use super::rule::Runs;
use super::run::{find, open_layer};
use super::share::work_bytes;
use super::sides::Sources;
use super::stamp::{check_archives, check_folders};
use super::terms::Terms;
use crate::error::{Result, VolumeError};
use crate::format::{EncodedChunk, MagArray, UNKNOWN_SIZE, open_mag, read_region};
use crate::geometry::{BoundingBox, ChunkIndex};
use crate::store::{Fetch, Origin, Part, SharedStore, read_all};
use crate::work::{Driver, Observer, ReadMag, Stop, pool_of};

/// Bytes of finer voxels read at once.
const MAX_SOURCE: usize = 8 << 20;
/// Bytes of two files compared at once.
const PIECE: u64 = 1 << 20;
/// Bytes of voxels, and chunks, that are read at once where each chunk costs a request.
const AHEAD: usize = 32 << 20;
const MOST_AHEAD: usize = 1024;

/// What was compared. There was no difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifySummary {
    /// Files of the result.
    pub shards: u64,
    /// Of these, files that are the fallback's, byte for byte.
    pub shards_equal: u64,
    /// Chunks of the other files.
    pub chunks: u64,
    /// Bytes of the result's files.
    pub bytes_read: u64,
    /// Seconds by the clock.
    pub seconds: f64,
}

/// Reads what `tasks` of `plan` wrote back and compares it with `sources`; with the first task goes the check that there
/// are no other files. The first difference is an error that names mag, chunk and voxel.
pub fn verify(
    plan: &MergePlan,
    sources: &Sources,
    tasks: Range<usize>,
    threads: usize,
    observer: &mut Observer,
) -> Result<VerifySummary> {
    let started = Instant::now();
    if check_target(plan)? == TargetState::Fresh {
        let target = &plan.input.target;
        return Err(VolumeError::Mismatch(format!("{target} holds no result to verify: run the merge first")));
    }
    plan.check_range(&tasks)?;
    check_archives(&plan.archives)?;
    let mags = open(plan, sources)?;
    // By one of those who share the work.
    if tasks.start == 0 {
        plan.check_range(&(0..plan.task_count()))?;
        check_folders(&plan.stamps, sources)?;
        mags.iter().try_for_each(check_files)?;
    }
    let compared = Compared::default();
    let terms = Terms::of(plan, sources);
    let work = |task: usize, stop: &Stop| {
        let task = plan.task(task);
        let shard = &plan.mags[task.mag].shards[task.shard];
        let check = ShardCheck { mag: &mags[task.mag], terms: &terms, shard, stop };
        check.run(&compared)
    };
    let shards = tasks.len() as u64;
    let bytes_read = check_each(plan, tasks, threads, observer, work)?;
    Ok(VerifySummary {
        shards,
        shards_equal: compared.shards_equal.into_inner(),
        chunks: compared.chunks.into_inner(),
        bytes_read,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Does `work` for every task and returns the bytes that it read.
fn check_each(
    plan: &MergePlan,
    tasks: Range<usize>,
    threads: usize,
    observer: &mut Observer,
    work: impl Fn(usize, &Stop) -> Result<u64> + Sync,
) -> Result<u64> {
    let weight = |task: usize| work_bytes(plan, plan.task(task));
    let mut bytes_read = 0;
    let pool = pool_of(threads)?;
    let mut driver = Driver::new(&pool, observer);
    driver.expect(tasks.len(), tasks.clone().map(weight).sum());
    driver.each(&tasks.collect::<Vec<_>>(), weight, work, |bytes: u64| bytes_read += bytes)?;
    Ok(bytes_read)
}

#[derive(Debug, Default)]
struct Compared {
    shards_equal: AtomicU64,
    chunks: AtomicU64,
}

/// One mag, and everything it was made from.
struct Made<'a> {
    plan: &'a MagPlan,
    result: Arc<dyn MagArray>,
    fallback: Arc<dyn MagArray>,
    over: Vec<Over>,
}

fn open<'a>(plan: &'a MergePlan, sources: &Sources) -> Result<Vec<Made<'a>>> {
    let mut made: Vec<Made> = Vec::new();
    for mag in &plan.mags {
        let finer: Vec<_> = made.iter().map(|made| made.result.clone()).collect();
        let layers = mag.layers.iter().map(|layer| open_layer(layer, mag.mag, sources, &finer));
        made.push(Made {
            plan: mag,
            result: open_mag(&plan.result_location(mag))?,
            fallback: find(&sources.fallback, mag.mag)?,
            over: layers.collect::<Result<_>>()?,
        });
    }
    Ok(made)
}

/// The result is cut as planned and has the planned files, no more and no less.
fn check_files(made: &Made) -> Result<()> {
    let fault = |reason| Err(VolumeError::corrupt(made.result.store().describe(&made.plan.folder), reason));
    if *made.result.grid() != made.plan.grid {
        return fault(format!("is cut as {:?}, planned is {:?}", made.result.grid(), made.plan.grid));
    }
    let mut found: Vec<_> = made.result.list_shards()?.shards.into_iter().map(|(shard, _)| shard).collect();
    found.sort_unstable();
    if let Some(extra) = found.iter().find(|found| made.plan.shards.binary_search_by(|s| s.at.cmp(found)).is_err()) {
        return fault(format!("has a file {} that the merge did not write", made.result.shard_key(extra)));
    }
    let lacking = made.plan.shards.iter().filter(|shard| found.binary_search(&shard.at).is_err());
    match made.first_to_be_there(&lacking.collect::<Vec<_>>())? {
        Some(shard) => fault(format!("lacks the file {}", made.result.shard_key(&shard.at))),
        None => Ok(()),
    }
}

impl Made<'_> {
    /// The first of `shards` that has to be there: those do not that were planned to be copied because the array has room for
    /// them, and that the fallback does not have.
    fn first_to_be_there<'s>(&self, shards: &[&'s ShardPlan]) -> Result<Option<&'s ShardPlan>> {
        let is_unknown = |shard: &ShardPlan| self.plan.is_copied(shard) && shard.fallback_bytes == Some(UNKNOWN_SIZE);
        // Of what a server streams, each is compared with what is streamed.
        let is_streamed = |shard: &ShardPlan| self.plan.recodes && !shard.is_touched();
        let shards: Vec<&ShardPlan> = shards.iter().copied().filter(|shard| !is_streamed(shard)).collect();
        let shards = &shards[..];
        if let Some(shard) = shards.iter().find(|shard| !is_unknown(shard)) {
            return Ok(Some(shard));
        }
        let keys: Vec<_> = shards.iter().map(|shard| self.fallback.shard_key(&shard.at)).collect();
        let nothing = |key| Fetch { origin: Origin::Key(key), part: Part::Start(0) };
        let found = read_all(&**self.fallback.store(), &keys.iter().map(|key| nothing(key)).collect::<Vec<_>>())?;
        Ok(shards.iter().zip(found).find_map(|(shard, found)| found.map(|_| *shard)))
    }
}

/// One file of the result.
struct ShardCheck<'a> {
    mag: &'a Made<'a>,
    terms: &'a Terms,
    shard: &'a ShardPlan,
    stop: &'a Stop,
}

impl ShardCheck<'_> {
    /// Returns the bytes of the file.
    fn run(&self, compared: &Compared) -> Result<u64> {
        let (result, fallback) = (&self.mag.result, &self.mag.fallback);
        let key = result.shard_key(&self.shard.at);
        let size = result.store().size(&key)?.unwrap_or(0);
        if self.mag.plan.is_copied(self.shard) {
            let other = fallback.shard_key(&self.shard.at);
            if same_bytes((result.store(), &key), (fallback.store(), &other), self.stop)? {
                compared.shards_equal.fetch_add(1, Ordering::Relaxed);
                return Ok(size);
            }
        }
        let grid = &self.mag.plan.grid;
        let [after, before] = [result, fallback].map(|array| ReadMag::new(array.clone()));
        let window = (AHEAD / grid.chunk_bytes()).clamp(1, MOST_AHEAD);
        for first in (0..grid.chunks_in_shard()).step_by(window) {
            let chunks =
                || (first..grid.chunks_in_shard().min(first + window)).map(|at| grid.chunk_at(&self.shard.at, at));
            let ahead = [after.ahead(chunks())?, before.ahead(chunks())?];
            for chunk in chunks() {
                self.stop.check()?;
                let (found, expected) = (after.encoded(&chunk, &ahead[0])?, before.encoded(&chunk, &ahead[1])?);
                self.check_chunk(&chunk, found.as_ref(), expected.as_ref())?;
                compared.chunks.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(size)
    }

    fn check_chunk(
        &self,
        chunk: &ChunkIndex,
        after: Option<&EncodedChunk>,
        before: Option<&EncodedChunk>,
    ) -> Result<()> {
        let touched = self.touched(chunk);
        let same_type = self.mag.plan.fallback_type == self.mag.plan.grid.voxel_type;
        match (after, before) {
            (None, None) if !touched => return Ok(()),
            (Some(found), Some(expected))
                if !touched
                    && same_type
                    && self.terms.mapping.is_none()
                    && found.codec.encoding() == expected.codec.encoding()
                    && found.bytes == expected.bytes =>
            {
                return Ok(());
            }
            _ => {}
        }
        let found = decoded(&self.mag.result, after, chunk)?;
        let expected = self.expected(before, chunk)?;
        self.compare(chunk, after.is_some(), found, &expected)
    }

    fn compare(&self, chunk: &ChunkIndex, present: bool, found: Option<Vec<u8>>, expected: &[u8]) -> Result<()> {
        let grid = &self.mag.plan.grid;
        let fault = |reason: String| {
            let key = self.mag.result.shard_key(&self.shard.at);
            Err(VolumeError::corrupt(self.mag.result.store().describe(&key), reason).at_chunk(chunk))
        };
        let found = found.unwrap_or_else(|| vec![0; grid.chunk_bytes()]);
        let width = grid.voxel_type.size();
        if let Some(at) =
            (0..expected.len() / width).find(|at| found[at * width..][..width] != expected[at * width..][..width])
        {
            let voxel = at / grid.channels as usize;
            let shape = grid.chunk_shape.map(|edge| edge as usize);
            let within = [voxel % shape[0], voxel / shape[0] % shape[1], voxel / (shape[0] * shape[1])];
            let [x, y, z]: [u64; 3] = std::array::from_fn(|axis| {
                u64::from(chunk.xyz[axis]) * u64::from(grid.chunk_shape[axis]) + within[axis] as u64
            });
            let [was, is] = [expected, &found].map(|voxels| number(&voxels[at * width..][..width]));
            let mag = self.mag.plan.mag;
            return fault(format!("voxel ({x}, {y}, {z}) of mag {mag} is {is}, what was merged makes it {was}"));
        }
        if !present && self.touched(chunk) {
            return fault("is absent although an annotation has it: an erased chunk would not stay erased".to_owned());
        }
        Ok(())
    }

    fn touched(&self, chunk: &ChunkIndex) -> bool {
        let shape = self.mag.plan.grid.chunk_shape;
        self.shard.blocks.iter().zip(&self.mag.plan.layers).any(|(blocks, layer)| {
            blocks.iter().any(|block| {
                (0..3).all(|axis| {
                    let (edge, other) = (u64::from(layer.block_shape[axis]), u64::from(shape[axis]));
                    let (block, chunk) = (u64::from(block[axis]), u64::from(chunk.xyz[axis]));
                    block * edge < (chunk + 1) * other && chunk * other < (block + 1) * edge
                })
            })
        })
    }

    /// What the chunk must hold, voxel by voxel.
    fn expected(&self, before: Option<&EncodedChunk>, chunk: &ChunkIndex) -> Result<Vec<u8>> {
        let plan = self.mag.plan;
        let (from, to) = (plan.fallback_type, plan.grid.voxel_type);
        let mut voxels = match decoded(&self.mag.fallback, before, chunk)? {
            Some(voxels) => widen(from, to, &voxels),
            None => vec![0; plan.grid.chunk_bytes()],
        };
        let fallback = voxels.clone();
        if before.is_some() {
            self.relabel(chunk, &mut voxels)?;
        }
        let labels = Labels { before: &fallback, after: &voxels.clone() };
        let together = self.terms.asks_about_all();
        if together {
            self.ask_about_all(chunk, &labels, &mut voxels)?;
        }
        for (number, over) in self.mag.over.iter().enumerate() {
            let layer = self.laid(number, chunk);
            match over {
                Over::Annotation(_) if together => {}
                Over::Annotation(mag) if self.terms.rule()?.is_some() => {
                    let shown = self.shown(&mag.array, &layer, &labels)?;
                    self.ask(chunk, &[shown], &mut voxels)?;
                }
                Over::Annotation(mag) => self.lay(&mag.array, &layer, &labels, &mut voxels)?,
                Over::Finer { array, factor } => self.recompute(array, *factor, &layer, &mut voxels)?,
            }
        }
        Ok(voxels)
    }

    /// What the layer `number` of the mag lays over a chunk.
    fn laid<'c>(&'c self, number: usize, chunk: &'c ChunkIndex) -> LaidBlocks<'c> {
        let blocks = self.shard.blocks.get(number).map(Vec::as_slice).unwrap_or_default();
        LaidBlocks { blocks, shape: self.mag.plan.layers[number].block_shape, chunk }
    }

    /// Asks a rule that wants what all annotations show.
    fn ask_about_all(&self, chunk: &ChunkIndex, labels: &Labels<'_>, voxels: &mut [u8]) -> Result<()> {
        let mut shown = Vec::new();
        for (number, over) in self.mag.over.iter().enumerate() {
            if let Over::Annotation(mag) = over {
                shown.push(self.shown(&mag.array, &self.laid(number, chunk), labels)?);
            }
        }
        self.ask(chunk, &shown, voxels)
    }

    /// Gives the fallback's voxels their new labels, one by one.
    fn relabel(&self, chunk: &ChunkIndex, voxels: &mut [u8]) -> Result<()> {
        let Some(mapping) = &self.terms.mapping else { return Ok(()) };
        let voxel_type = self.mag.plan.grid.voxel_type;
        for voxel in voxels.chunks_mut(voxel_type.size()) {
            let failed = |reason| VolumeError::Rule { chunk: chunk.clone(), reason };
            mapping.apply(voxel_type, voxel).map_err(failed)?;
        }
        Ok(())
    }

    fn lay(
        &self,
        annotation: &Arc<dyn MagArray>,
        layer: &LaidBlocks,
        labels: &Labels<'_>,
        voxels: &mut [u8],
    ) -> Result<()> {
        let grid = &self.mag.plan.grid;
        let width = grid.voxel_type.size();
        let voxel = width * grid.channels as usize;
        let mut known = HashMap::<[u32; 3], Vec<u8>>::new();
        for (place, at) in places(grid.chunk_shape, &layer.chunk.xyz) {
            let Some(block) = layer.block_at(at) else { continue };
            let values = match known.entry(block) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(empty) => {
                    let index = ChunkIndex { extra: layer.chunk.extra.clone(), xyz: block };
                    let values = read_block(annotation, &index)?;
                    empty.insert(widen(annotation.grid().voxel_type, grid.voxel_type, &values))
                }
            };
            let source = &values[layer.place_in_block(at) * voxel..][..voxel];
            let [before, after] =
                [labels.before, labels.after].map(|side| side[place * voxel..][..voxel].chunks(width));
            let out = voxels[place * voxel..][..voxel].chunks_mut(width);
            for (((painted, before), after), out) in source.chunks(width).zip(before).zip(after).zip(out) {
                let painted = if painted == before { after } else { painted };
                if self.terms.policy == Policy::Chunk || painted.iter().any(|&byte| byte != 0) {
                    out.copy_from_slice(painted);
                }
            }
        }
        Ok(())
    }

    /// What an annotation shows of a chunk, voxel by voxel.
    fn shown(
        &self,
        annotation: &Arc<dyn MagArray>,
        layer: &LaidBlocks,
        labels: &Labels<'_>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let grid = &self.mag.plan.grid;
        let width = grid.voxel_type.size();
        let mut known = HashMap::<[u32; 3], Vec<u8>>::new();
        let mut shown = vec![None; grid.chunk_bytes() / width];
        for (place, at) in places(grid.chunk_shape, &layer.chunk.xyz) {
            let Some(block) = layer.block_at(at) else { continue };
            let index = ChunkIndex { extra: layer.chunk.extra.clone(), xyz: block };
            let values = match known.entry(block) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(empty) => {
                    let values = read_block(annotation, &index)?;
                    empty.insert(widen(annotation.grid().voxel_type, grid.voxel_type, &values))
                }
            };
            let painted = &values[layer.place_in_block(at) * width..][..width];
            let [before, after] = [labels.before, labels.after].map(|side| &side[place * width..][..width]);
            shown[place] = Some(if painted == before { after } else { painted }.to_vec());
        }
        Ok(shown)
    }

    /// Asks the rule about every voxel by itself, of which `shown` has what some annotations show.
    fn ask(&self, chunk: &ChunkIndex, shown: &[Vec<Option<Vec<u8>>>], voxels: &mut [u8]) -> Result<()> {
        let voxel_type = self.mag.plan.grid.voxel_type;
        let Some(rule) = self.terms.rule()?.filter(|_| !shown.is_empty()) else { return Ok(()) };
        let mut known = HashMap::<Question<'_>, Vec<u8>>::new();
        let mut last: Option<(Question<'_>, Vec<u8>)> = None;
        let beneath = voxels.to_vec();
        let widths = beneath.chunks(voxel_type.size()).zip(voxels.chunks_mut(voxel_type.size()));
        for (place, (below, out)) in widths.enumerate() {
            let labels = || shown.iter().map(|one| one[place].as_deref());
            if labels().all(|label| label.is_none()) {
                continue;
            }
            let question = || labels().chain([Some(below)]);
            if last.as_ref().is_none_or(|(before, _)| !question().eq(before.iter().copied())) {
                let asked: Question<'_> = question().collect();
                let label = match known.entry(asked.clone()) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(empty) => {
                        empty.insert(rule.ask(chunk, voxel_type, &Runs::of_voxel(&asked[..shown.len()], below))?)
                    }
                };
                last = Some((asked, label.clone()));
            }
            if let Some((_, label)) = &last {
                out.copy_from_slice(label);
            }
        }
        Ok(())
    }

    fn recompute(
        &self,
        finer: &Arc<dyn MagArray>,
        factor: [u32; 3],
        layer: &LaidBlocks,
        voxels: &mut [u8],
    ) -> Result<()> {
        if layer.blocks.is_empty() {
            return Ok(());
        }
        let grid = &self.mag.plan.grid;
        let channels = grid.channels as usize;
        let width = grid.voxel_type.size();
        let [nx, ny, nz] = grid.chunk_shape.map(i64::from);
        let [fx, fy, fz] = factor.map(i64::from);
        let plane = (nx * fx * ny * fy * fz) as usize * width * channels;
        let step = (MAX_SOURCE / plane).clamp(1, nz as usize) as i64;
        let first: [i64; 3] = std::array::from_fn(|a| i64::from(layer.chunk.xyz[a]) * i64::from(grid.chunk_shape[a]));
        for start in (0..nz).step_by(step as usize) {
            let planes = step.min(nz - start);
            let topleft = [first[0] * fx, first[1] * fy, (first[2] + start) * fz];
            let size = [nx * fx, ny * fy, planes * fz];
            let mut source = vec![0; size.iter().product::<i64>() as usize * width * channels];
            read_region(finer.as_ref(), &layer.chunk.extra, &BoundingBox { topleft, size }, &mut source)?;
            let source = FinerVoxels { voxels: &source, size, factor: [fx, fy, fz], channels, width };
            for (place, at) in places(grid.chunk_shape, &layer.chunk.xyz) {
                let within: [i64; 3] = std::array::from_fn(|axis| at[axis] as i64 - first[axis]);
                if layer.block_at(at).is_none() || !(start..start + planes).contains(&within[2]) {
                    continue;
                }
                for channel in 0..channels {
                    let label = source.most_frequent([within[0], within[1], within[2] - start], channel);
                    voxels[(place * channels + channel) * width..][..width].copy_from_slice(label);
                }
            }
        }
        Ok(())
    }
}

/// Voxels that coarser ones are counted anew of, x fastest.
struct FinerVoxels<'a> {
    voxels: &'a [u8],
    size: [i64; 3],
    /// Finer voxels in a coarser one.
    factor: [i64; 3],
    channels: usize,
    width: usize,
}

impl<'a> FinerVoxels<'a> {
    /// The label that most finer voxels of the coarser one `at` have.
    fn most_frequent(&self, at: [i64; 3], channel: usize) -> &'a [u8] {
        let [x, y, z]: [i64; 3] = std::array::from_fn(|axis| at[axis] * self.factor[axis]);
        let [fx, fy, fz] = self.factor;
        // As layers are downsampled, ties go to the first with y fastest, then x, then z.
        let values: Vec<&[u8]> = (0..fz)
            .flat_map(|c| (0..fx).flat_map(move |a| (0..fy).map(move |b| (a, b, c))))
            .map(|(a, b, c)| self.value([x + a, y + b, z + c], channel))
            .collect();
        first_most_frequent(&values)
    }

    fn value(&self, [x, y, z]: [i64; 3], channel: usize) -> &'a [u8] {
        let value = (x + self.size[0] * (y + self.size[1] * z)) as usize * self.channels + channel;
        &self.voxels[value * self.width..][..self.width]
    }
}

/// The annotation's chunk, which was there when the merge was planned.
fn read_block(annotation: &Arc<dyn MagArray>, index: &ChunkIndex) -> Result<Vec<u8>> {
    let found = annotation.read_encoded(index)?.ok_or_else(|| VolumeError::Missing {
        what: format!("chunk {index} of an annotation"),
        hint: "the annotation has changed since the merge was planned".to_owned(),
    })?;
    let mut values = vec![0; annotation.grid().chunk_bytes()];
    let fault = |reason| VolumeError::corrupt(annotation.store().describe(&found.key), reason).at_chunk(index);
    found.codec.decode(&found.bytes, &mut values).map_err(fault)?;
    Ok(values)
}

/// What a rule is asked about a voxel: what each annotation shows there, and the label below.
type Question<'a> = Vec<Option<&'a [u8]>>;

/// The fallback's chunk as it was, and with its new labels.
struct Labels<'a> {
    before: &'a [u8],
    after: &'a [u8],
}

/// Blocks of a layer as one chunk sees them.
struct LaidBlocks<'a> {
    blocks: &'a [[u32; 3]],
    shape: [u32; 3],
    chunk: &'a ChunkIndex,
}

impl LaidBlocks<'_> {
    /// The block that holds the voxel, if the layer has it.
    fn block_at(&self, at: [u64; 3]) -> Option<[u32; 3]> {
        let block = std::array::from_fn(|axis| (at[axis] / u64::from(self.shape[axis])) as u32);
        self.blocks.binary_search(&block).is_ok().then_some(block)
    }

    fn place_in_block(&self, at: [u64; 3]) -> usize {
        let [x, y, z]: [usize; 3] = std::array::from_fn(|axis| (at[axis] % u64::from(self.shape[axis])) as usize);
        x + self.shape[0] as usize * (y + self.shape[1] as usize * z)
    }
}

/// Places in a chunk, x fastest, and the voxels they are.
fn places(shape: [u32; 3], chunk: &[u32; 3]) -> impl Iterator<Item = (usize, [u64; 3])> + use<> {
    let first: [u64; 3] = std::array::from_fn(|axis| u64::from(chunk[axis]) * u64::from(shape[axis]));
    let range = move |axis: usize| -> Range<u64> { first[axis]..first[axis] + u64::from(shape[axis]) };
    range(2).flat_map(move |z| range(1).flat_map(move |y| range(0).map(move |x| [x, y, z]))).enumerate()
}

fn first_most_frequent<'v>(values: &[&'v [u8]]) -> &'v [u8] {
    let mut counts = HashMap::<&[u8], usize>::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or(0);
    values.iter().find(|&value| counts[value] == most).copied().unwrap_or_default()
}

/// A value for a message: as an unsigned number, which segments are.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn decoded(array: &Arc<dyn MagArray>, encoded: Option<&EncodedChunk>, chunk: &ChunkIndex) -> Result<Option<Vec<u8>>> {
    let Some(found) = encoded else { return Ok(None) };
    let mut voxels = vec![0; array.grid().chunk_bytes()];
    let fault = |reason| VolumeError::corrupt(array.store().describe(&found.key), reason).at_chunk(chunk);
    found.codec.decode(&found.bytes, &mut voxels).map_err(fault)?;
    Ok(Some(voxels))
}

fn same_bytes(one: (&SharedStore, &str), other: (&SharedStore, &str), stop: &Stop) -> Result<bool> {
    let size = one.0.size(one.1)?;
    if size != other.0.size(other.1)? {
        return Ok(false);
    }
    let size = size.unwrap_or(0);
    for start in (0..size).step_by(PIECE as usize) {
        stop.check()?;
        let range = start..size.min(start + PIECE);
        if one.0.read_range(one.1, range.clone())? != other.0.read_range(other.1, range)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::world::{World, merge_all, simple_case, spec};
    use super::*;
    use crate::voxels::VoxelType;

    /// Chunks of one shard that a block touches, along each axis.
    fn touched(log2_chunk: u8, log2_block: u8, block: u32) -> Vec<u32> {
        let mut case = simple_case();
        case.fallback = spec(case.fallback.spelling, VoxelType::UInt32, log2_chunk, 5 - log2_chunk);
        case.annotation = spec(case.annotation.spelling, VoxelType::UInt32, log2_block, 0);
        let mut world = World::build(&case);
        let chunk = BTreeMap::from([([block; 3], vec![1; case.annotation.chunk_edge().pow(3)])]);
        world.input.annotations = vec![vec![case.annotation.write(world.folder.path(), "one", &chunk)]];
        let (plan, _) = merge_all(&world.input).unwrap();
        let sources = Sources::open(&world.input).unwrap();
        let (mags, terms, stop) = (open(&plan, &sources).unwrap(), Terms::of(&plan, &sources), Stop::default());
        let check = ShardCheck { mag: &mags[0], terms: &terms, shard: &plan.mags[0].shards[0], stop: &stop };
        let edge = 32 >> log2_chunk;
        let (inside, outside): (Vec<u32>, Vec<u32>) =
            (0..edge).partition(|&at| check.touched(&ChunkIndex::xyz(at, at, at)));
        for (&at, &other) in inside.iter().flat_map(|at| outside.iter().map(move |other| (at, other))) {
            assert!(!check.touched(&ChunkIndex::xyz(at, at, other)), "{other} along z");
            assert!(!check.touched(&ChunkIndex::xyz(other, at, at)), "{other} along x");
        }
        inside
    }

    #[test]
    fn chunks_that_a_block_reaches_into_are_touched_and_no_others() {
        assert_eq!(touched(2, 3, 1), [2, 3]);
        assert_eq!(touched(3, 2, 3), [1]);
        assert_eq!(touched(2, 2, 5), [5]);
    }

    #[test]
    fn values_of_every_width_are_told_as_numbers() {
        assert_eq!([number(&[7]), number(&[0x34, 0x12])], [7, 0x1234]);
        assert_eq!(number(&0xfedc_ba98_7654_3210_u64.to_le_bytes()), 0xfedc_ba98_7654_3210);
    }
}
