//! Both sides of a merge, opened and listed.

use std::sync::{Arc, OnceLock};

use super::blocks::Blocks;
use super::input::{MergeInput, fineness};
use super::rule::LabelRule;
use super::stamp::{MagStamp, describe};
use crate::error::{Result, VolumeError};
use crate::format::{Container, Listing, MagArray, MagLocation, each_index, open_mag_in};
use crate::geometry::{ChunkGrid, Mag};
use crate::mapping::Mapping;
use crate::store::{SharedStore, together};

/// Both sides, opened.
#[derive(Debug)]
pub struct Sources {
    /// The mags of every annotation.
    pub annotations: Vec<Vec<SideMag>>,
    /// The fallback's mags.
    pub fallback: Vec<SideMag>,
    /// What the fallback's labels become.
    pub mapping: Option<Arc<Mapping>>,
    /// What is asked which label a voxel gets, once it is known.
    pub rule: Arc<OnceLock<LabelRule>>,
}

/// One mag of one side.
#[derive(Clone, Debug)]
pub struct SideMag {
    /// Where it lies.
    pub location: MagLocation,
    /// Its chunks.
    pub array: Arc<dyn MagArray>,
}

impl Sources {
    /// Opens the table of labels and every mag, each container once.
    pub fn open(input: &MergeInput) -> Result<Self> {
        let mut containers: Vec<(Container, SharedStore)> = Vec::new();
        let mut open = |locations: &[MagLocation]| -> Result<Vec<SideMag>> {
            let stores = locations.iter().map(|location| shared(&location.container, &mut containers));
            let stores = stores.collect::<Result<Vec<_>>>()?;
            let places: Vec<_> = locations.iter().zip(stores).collect();
            let far = places.iter().any(|(_, store)| store.is_far());
            together(&places, far, |(location, store)| {
                let array = open_mag_in(store.clone(), location)?;
                check_fill(&*array)?;
                Ok(SideMag { location: (*location).clone(), array })
            })
        };
        let annotations = input.annotations.iter().map(|mags| open(mags)).collect::<Result<_>>()?;
        let mapping = input.mapping.as_ref().map(|labels| Mapping::open(&labels.relabeling)).transpose()?;
        Ok(Self { annotations, fallback: open(&input.fallback)?, mapping: mapping.map(Arc::new), rule: Arc::default() })
    }
}

/// The store of a container, opened now or before.
fn shared(container: &Container, opened: &mut Vec<(Container, SharedStore)>) -> Result<SharedStore> {
    if let Some((_, store)) = opened.iter().find(|(known, _)| known == container) {
        return Ok(store.clone());
    }
    let store = container.open()?;
    opened.push((container.clone(), store.clone()));
    Ok(store)
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

/// One side with its listings, finest mag first.
#[derive(Debug)]
pub(super) struct Side<'s> {
    /// What to call it in messages.
    pub(super) name: String,
    pub(super) mags: Vec<Listed<'s>>,
}

/// One mag and what its store holds.
#[derive(Debug)]
pub(super) struct Listed<'s> {
    pub(super) source: &'s SideMag,
    pub(super) listing: Listing,
    /// Chunks that are present; only looked up for annotations.
    pub(super) chunks: Blocks,
}

impl<'s> Side<'s> {
    pub(super) fn fallback(sources: &'s [SideMag]) -> Result<Self> {
        Self::list("fallback".to_owned(), sources, |_, _| Ok(Blocks::default()))
    }

    /// The annotation at `place` of `count`.
    pub(super) fn annotation(sources: &'s [SideMag], place: usize, count: usize) -> Result<Self> {
        let name = if count == 1 { "annotation".to_owned() } else { format!("annotation {}", place + 1) };
        Self::list(name, sources, present_chunks)
    }

    fn list(
        name: String,
        sources: &'s [SideMag],
        chunks: impl Fn(&SideMag, &Listing) -> Result<Blocks> + Sync,
    ) -> Result<Self> {
        let far = sources.iter().any(|source| source.array.store().is_far());
        let places: Vec<&SideMag> = sources.iter().collect();
        let mut mags = together(&places, far, |source| {
            let listing = source.array.list_shards()?;
            Ok(Listed { source, chunks: chunks(source, &listing)?, listing })
        })?;
        mags.sort_by_key(|listed| fineness(listed.mag()));
        if let Some(pair) = mags.windows(2).find(|pair| pair[0].mag() == pair[1].mag()) {
            let mag = pair[0].mag();
            return Err(VolumeError::Mismatch(format!("the {name} has mag {mag} twice")));
        }
        Ok(Self { name, mags })
    }

    /// Whether there is nothing to be laid over anything.
    pub(super) fn is_empty(&self) -> bool {
        self.mags.iter().all(|listed| listed.chunks.is_empty())
    }

    pub(super) fn find(&self, mag: Mag) -> Option<&Listed<'s>> {
        self.mags.iter().find(|listed| listed.mag() == mag)
    }

    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.mags.iter().map(|listed| listed.mag().to_string()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    pub(super) fn stamps(&self) -> Vec<MagStamp> {
        self.mags.iter().map(|l| MagStamp::of(&l.source.location, l.source.array.as_ref(), &l.listing)).collect()
    }
}

impl Listed<'_> {
    pub(super) fn mag(&self) -> Mag {
        self.source.location.mag
    }

    pub(super) fn grid(&self) -> &ChunkGrid {
        self.source.array.grid()
    }

    pub(super) fn name(&self) -> String {
        describe(&self.source.location)
    }
}

/// Chunks of an annotation: where every chunk is a file, the listing has them all.
fn present_chunks(source: &SideMag, listing: &Listing) -> Result<Blocks> {
    if !source.array.is_encoded_as_it_lies() {
        let what = "a server streams it and does not tell which chunks it has: it can lie below others, not over them";
        return Err(VolumeError::Unsupported { file: describe(&source.location), what: what.to_owned() });
    }
    let grid = source.array.grid();
    let shards = listing.shards.iter().map(|(shard, _)| shard);
    let mut chunks = Blocks::default();
    if grid.chunks_in_shard() == 1 {
        shards.for_each(|shard| chunks.extend(&shard.extra, std::iter::once(shard.xyz)));
    } else {
        each_index(&*source.array, shards.cloned(), |shard, table| {
            let present = table.spans.iter().enumerate().filter(|(_, span)| span.is_some());
            chunks.extend(&shard.extra, present.map(|(place, _)| grid.chunk_at(shard, place).xyz));
        })?;
    }
    chunks.sort();
    Ok(chunks)
}
