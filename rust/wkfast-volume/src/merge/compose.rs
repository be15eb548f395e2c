//! One chunk of the result out of what lies over each other there. The merge encodes what comes out, a merged view hands
//! it to its reader.

use std::sync::Arc;

use super::chunk::{Overlap, Policy, count_conflicts, overlay, paste};
use super::cover::Covered;
use super::dtype::widen;
use super::plan::MagPlan;
use super::recompute;
use super::report::{ChunkCounts, Conflict};
use super::rule::{Runs, Shown};
use super::space::Space;
use super::tally::Tally;
use super::terms::{Renamed, Terms};
use crate::error::{Result, VolumeError};
use crate::format::{ChunkCodec, EncodedChunk, MagArray, decode};
use crate::geometry::ChunkIndex;
use crate::work::{Ahead, ReadMag};

/// What lies over the fallback.
#[derive(Clone, Debug)]
pub(super) enum Over {
    /// An annotation's mag.
    Annotation(Arc<ReadMag>),
    /// A finer mag of the result, of which `factor` voxels make one.
    Finer {
        /// The finer mag.
        array: Arc<dyn MagArray>,
        /// Its voxels in one of this mag, along x, y, z.
        factor: [u32; 3],
    },
}

impl Over {
    /// Reads the blocks at `places` ahead, which have the additional coordinates `extra`.
    pub(super) fn ahead(&self, extra: &[u32], places: impl Iterator<Item = [u32; 3]>) -> Result<Ahead> {
        match self {
            Self::Annotation(mag) => {
                let blocks = places.map(|xyz| ChunkIndex { extra: extra.into(), xyz });
                mag.ahead(blocks)
            }
            Self::Finer { .. } => Ok(Ahead::default()),
        }
    }
}

/// How the chunks of one mag come about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Composer<'a> {
    pub(super) terms: &'a Terms,
    pub(super) mag: &'a MagPlan,
    pub(super) fallback: &'a dyn MagArray,
    /// By place in [`MagPlan::layers`].
    pub(super) over: &'a [Over],
    /// What was read ahead of each layer.
    pub(super) ahead: &'a [Ahead],
}

/// The part of a layer that lies over one chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Laid<'a> {
    pub(super) layer: usize,
    pub(super) covered: &'a Covered,
    /// What the numbers in `covered` count.
    pub(super) blocks: &'a [[u32; 3]],
}

/// The fallback's chunk as it lies in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beneath<'a> {
    pub(super) codec: &'a dyn ChunkCodec,
    pub(super) bytes: &'a [u8],
}

/// A chunk of the result.
#[derive(Debug, Default)]
pub(super) struct Composed {
    pub(super) voxels: Space,
    /// A chunk of an annotation that holds exactly these voxels, in the type of the result.
    pub(super) same: Option<EncodedChunk>,
    pub(super) counts: ChunkCounts,
    pub(super) tally: Tally,
    pub(super) conflicts: Vec<Conflict>,
    /// Encoded bytes of annotations.
    pub(super) bytes_read: u64,
}

/// What a layer is laid over.
struct Ground<'c> {
    voxels: &'c mut [u8],
    tally: &'c mut Tally,
    /// Zeros that take what the annotation has there, whatever the policy makes of it.
    paint: Option<&'c mut [u8]>,
    /// The fallback's chunk, where its labels have become others.
    renamed: Option<&'c Renamed>,
    /// Whether the fallback or a layer before has left anything.
    used: bool,
}

/// What laying one layer came to.
#[derive(Debug, Default)]
struct Outcome {
    same: Option<EncodedChunk>,
    /// No voxel of what lay there before is left.
    replaced: bool,
    recomputed: bool,
    bytes_read: u64,
}

impl Composer<'_> {
    /// Lays `layers`, bottom to top, over the fallback's chunk.
    pub(super) fn compose(
        &self,
        chunk: &ChunkIndex,
        beneath: Option<Beneath<'_>>,
        layers: &[Laid<'_>],
    ) -> Result<Composed> {
        let (voxels, renamed) = self.beneath(chunk, beneath)?;
        let mut composed = Composed { voxels, ..Composed::default() };
        composed.tally.voxels_relabeled = renamed.as_ref().map_or(0, |renamed| renamed.voxels);
        let renamed = renamed.as_ref();
        match layers {
            [] if renamed.is_some() => composed.counts.relabeled = 1,
            [] => composed.counts.transcoded = 1,
            [one] => {
                let Composed { voxels, tally, .. } = &mut composed;
                let ground = Ground { voxels, tally, paint: None, renamed, used: beneath.is_some() };
                let outcome = self.lay(chunk, one, ground)?;
                composed.account(vec![outcome]);
            }
            several => self.compose_several(chunk, (beneath.is_some(), renamed), several, &mut composed)?,
        }
        Ok(composed)
    }

    /// Counts must compare the fallback with the result, not with what a layer in between left.
    fn compose_several(
        &self,
        chunk: &ChunkIndex,
        (mut used, renamed): (bool, Option<&Renamed>),
        layers: &[Laid<'_>],
        composed: &mut Composed,
    ) -> Result<()> {
        let (mut voxels, mut between) = (Space::copy_of(&composed.voxels), Tally::default());
        let (mut outcomes, mut paints) = (Vec::new(), Vec::<(usize, Space)>::new());
        let (together, layers): (Vec<&Laid>, Vec<&Laid>) = layers.iter().partition(|laid| self.is_asked_about(laid));
        if !together.is_empty() {
            let mut ground = Ground { voxels: &mut voxels, tally: &mut between, paint: None, renamed, used };
            outcomes.push(self.ask_about_all(chunk, &together, &mut ground, &mut paints)?);
            for (place, (second, paint)) in paints.iter().enumerate() {
                composed.conflicts.extend(self.conflicts(&paints[..place], *second, paint));
            }
            used = true;
        }
        for laid in layers {
            let mut paint = Space::zeros(voxels.len());
            let ground = Ground { voxels: &mut voxels, tally: &mut between, paint: Some(&mut paint), renamed, used };
            let outcome = self.lay(chunk, laid, ground)?;
            if !outcome.recomputed {
                let annotation = self.mag.layers[laid.layer].annotation;
                composed.conflicts.extend(self.conflicts(&paints, annotation, &paint));
                paints.push((annotation, paint));
            }
            outcomes.push(outcome);
            used = true;
        }
        self.lay_whole(&voxels, &mut composed.voxels, &mut composed.tally);
        composed.tally.largest_segment_id = between.largest_segment_id;
        composed.account(outcomes);
        Ok(())
    }

    /// What the annotation `second` painted otherwise than those in `paints`.
    fn conflicts(&self, paints: &[(usize, Space)], second: usize, paint: &Space) -> Vec<Conflict> {
        let counts = paints.iter().map(|(first, other)| {
            let voxels = count_conflicts(self.mag.grid.voxel_type, other, paint);
            Conflict { first: *first, second, voxels }
        });
        counts.filter(|conflict| conflict.voxels > 0).collect()
    }

    /// Whether a layer is one of those that the rule is asked about together. Others are recomputed, of what came of that.
    fn is_asked_about(&self, laid: &Laid<'_>) -> bool {
        self.terms.asks_about_all() && matches!(self.over[laid.layer], Over::Annotation(_))
    }

    /// Asks the rule about all annotations at once, and gathers what each painted.
    fn ask_about_all(
        &self,
        chunk: &ChunkIndex,
        layers: &[&Laid<'_>],
        ground: &mut Ground<'_>,
        paints: &mut Vec<(usize, Space)>,
    ) -> Result<Outcome> {
        let voxel_type = self.mag.grid.voxel_type;
        let (width, mut outcome, mut all) = (voxel_type.size(), Outcome::default(), Vec::new());
        for laid in layers {
            let Over::Annotation(annotation) = &self.over[laid.layer] else { continue };
            let (mut paint, mut shown) =
                (Space::zeros(ground.voxels.len()), Shown::nothing(ground.voxels.len(), width));
            for (number, overlap) in &laid.covered.parts {
                let index = ChunkIndex { extra: chunk.extra.clone(), xyz: laid.blocks[*number] };
                let (encoded, mut block) = self.read_block(annotation, laid.layer, &index)?;
                outcome.bytes_read += encoded.bytes.len() as u64;
                paste(width, overlap, &block, &mut paint);
                if let Some(renamed) = ground.renamed {
                    renamed.carry_over(voxel_type, overlap, &mut block);
                }
                shown.add(width, overlap, &block);
            }
            paints.push((self.mag.layers[laid.layer].annotation, paint));
            all.push(shown);
        }
        if let Some(rule) = self.terms.rule()? {
            let runs = Runs::of_chunk(voxel_type, &all, ground.voxels);
            runs.put(voxel_type, &rule.ask(chunk, voxel_type, &runs)?, ground.voxels, ground.tally);
        }
        Ok(outcome)
    }

    /// The fallback's chunk in the result's type and with its new labels, zeros where there is none.
    fn beneath(&self, chunk: &ChunkIndex, beneath: Option<Beneath<'_>>) -> Result<(Space, Option<Renamed>)> {
        let Some(Beneath { codec, bytes }) = beneath else {
            return Ok((Space::zeros(self.mag.grid.chunk_bytes()), None));
        };
        let mut voxels = Space::of(self.fallback.grid().chunk_bytes());
        codec.decode(bytes, &mut voxels).map_err(|reason| self.corrupt(chunk, reason))?;
        let (from, to) = (self.mag.fallback_type, self.mag.grid.voxel_type);
        let mut voxels = if from == to { voxels } else { widen(from, to, &voxels).into() };
        let renamed = self.terms.rename(chunk, to, &mut voxels)?;
        Ok((voxels, renamed))
    }

    /// Lays one layer over what is there.
    fn lay(&self, chunk: &ChunkIndex, laid: &Laid<'_>, ground: Ground<'_>) -> Result<Outcome> {
        match &self.over[laid.layer] {
            Over::Annotation(mag) => self.lay_annotation(mag, chunk, laid, ground),
            Over::Finer { array, factor } => {
                let shape = self.mag.grid.chunk_shape;
                let new = recompute::chunk(array.as_ref(), *factor, laid.covered, chunk, shape, ground.voxels)?;
                // Its largest value may be the fallback's.
                let largest = ground.tally.largest_segment_id;
                self.lay_whole(&new, ground.voxels, ground.tally);
                ground.tally.largest_segment_id = largest;
                Ok(Outcome { replaced: laid.covered.is_full(), recomputed: true, ..Outcome::default() })
            }
        }
    }

    fn lay_annotation(
        &self,
        annotation: &ReadMag,
        chunk: &ChunkIndex,
        laid: &Laid<'_>,
        mut ground: Ground<'_>,
    ) -> Result<Outcome> {
        let (from, to) = (annotation.array.grid().voxel_type, self.mag.grid.voxel_type);
        let channels = self.mag.grid.channels as usize;
        let mut outcome = Outcome::default();
        let (mut last, mut as_stored) = (None, true);
        let rule = self.terms.rule()?;
        for (number, overlap) in &laid.covered.parts {
            let index = ChunkIndex { extra: chunk.extra.clone(), xyz: laid.blocks[*number] };
            let (encoded, mut block) = self.read_block(annotation, laid.layer, &index)?;
            if let Some(paint) = &mut ground.paint {
                paste(to.size() * channels, overlap, &block, paint);
            }
            as_stored &= !ground.renamed.is_some_and(|renamed| renamed.carry_over(to, overlap, &mut block));
            if let Some(rule) = rule {
                let runs = Runs::of_block(to, overlap, &block, ground.voxels);
                runs.put(to, &rule.ask(chunk, to, &runs)?, ground.voxels, ground.tally);
            } else {
                overlay(to, channels, self.terms.policy, overlap, &block, ground.voxels, ground.tally);
            }
            outcome.bytes_read += encoded.bytes.len() as u64;
            last = Some(encoded);
        }
        let stands_alone = self.terms.policy == Policy::Chunk || !ground.used;
        outcome.replaced = laid.covered.is_full() && stands_alone && rule.is_none();
        outcome.same =
            last.filter(|_| outcome.replaced && laid.covered.same_block().is_some() && from == to && as_stored);
        Ok(outcome)
    }

    /// A block of an annotation: as it is stored, and in the result's type.
    fn read_block(&self, mag: &ReadMag, layer: usize, index: &ChunkIndex) -> Result<(EncodedChunk, Space)> {
        let annotation = mag.array.as_ref();
        let encoded = mag.encoded(index, &self.ahead[layer])?.ok_or_else(|| VolumeError::Missing {
            what: format!("chunk {index} of the annotation's mag {}", self.mag.mag),
            hint: "the annotation has changed since the merge was planned".to_owned(),
        })?;
        let mut block = Space::of(annotation.grid().chunk_bytes());
        decode(annotation, &*encoded.codec, &encoded.key, index, &encoded.bytes, &mut block)?;
        let (from, to) = (annotation.grid().voxel_type, self.mag.grid.voxel_type);
        Ok((encoded, if from == to { block } else { widen(from, to, &block).into() }))
    }

    /// Puts `new` in place of `voxels` and counts what changes.
    fn lay_whole(&self, new: &[u8], voxels: &mut [u8], tally: &mut Tally) {
        let whole = Overlap::whole(self.mag.grid.chunk_shape.map(|edge| edge as usize));
        let channels = self.mag.grid.channels as usize;
        overlay(self.mag.grid.voxel_type, channels, Policy::Chunk, &whole, new, voxels, tally);
    }

    pub(super) fn corrupt(&self, chunk: &ChunkIndex, reason: String) -> VolumeError {
        let shard = self.fallback.grid().locate(chunk).0;
        let key = self.fallback.shard_key(&shard);
        VolumeError::corrupt(self.fallback.store().describe(&key), reason).at_chunk(chunk)
    }
}

impl Composed {
    fn account(&mut self, outcomes: Vec<Outcome>) {
        let annotations = outcomes.iter().any(|outcome| !outcome.recomputed);
        let replaced = outcomes.iter().any(|outcome| outcome.replaced && !outcome.recomputed);
        let counts = &mut self.counts;
        *(match (annotations, replaced) {
            (_, true) => &mut counts.from_annotation,
            (true, false) => &mut counts.mixed,
            (false, false) => &mut counts.recomputed,
        }) += 1;
        counts.all_zero += u64::from(replaced && self.voxels.iter().all(|&byte| byte == 0));
        self.bytes_read += outcomes.iter().map(|outcome| outcome.bytes_read).sum::<u64>();
        self.same = outcomes.into_iter().next_back().and_then(|top| top.same);
    }
}
