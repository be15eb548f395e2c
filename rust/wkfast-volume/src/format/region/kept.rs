//! Decoded chunks that small reads are likely to ask for again: a script that reads a voxel per node of a path meets the
//! same chunk many times in a row, and decoding it costs far more than all else.
//!
//! What is kept belongs to a state of a file, which is looked at before every use.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use crate::geometry::ChunkIndex;
use crate::store::Stamp;

/// Bytes kept by a process, and the largest chunk that is kept.
const MAX_BYTES: usize = 16 << 20;
const MAX_CHUNK: usize = 2 << 20;
const MAX_CHUNKS: usize = 64;

/// A file that was changed within one tick of its file system's clock may change again without another stamp. Ticks last
/// up to two seconds.
const SETTLED: Duration = Duration::from_secs(3);

/// The chunks that are kept for one mag: until it goes, or others take their place. It has a number, which is never given
/// twice, from its first chunk on: most mags are read in large boxes, and keep none.
#[derive(Debug)]
pub(super) struct KeptChunks {
    number: OnceLock<u64>,
    all: &'static Mutex<AllKept>,
}

impl Default for KeptChunks {
    fn default() -> Self {
        Self::among(&KEPT)
    }
}

impl KeptChunks {
    /// Those of one mag among all that are kept.
    fn among(all: &'static Mutex<AllKept>) -> Self {
        Self { number: OnceLock::new(), all }
    }

    /// The decoded chunk, if it was kept, and the state that its file was in then.
    pub(super) fn last(&self, chunk: &ChunkIndex) -> Option<(Stamp, Arc<Vec<u8>>)> {
        let owner = *self.number.get()?;
        let mut kept = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        kept.ask(owner, chunk).map(|found| (found.stamp, Arc::clone(&found.voxels)))
    }

    /// The decoded chunk, if it was kept and its file is still in that state.
    pub(super) fn find(&self, chunk: &ChunkIndex, stamp: Stamp) -> Option<Arc<Vec<u8>>> {
        let owner = *self.number.get()?;
        let mut kept = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.ask(owner, chunk)?;
        if found.stamp == stamp {
            return Some(Arc::clone(&found.voxels));
        }
        let gone = kept.chunks.pop_back()?;
        kept.bytes -= gone.voxels.len();
        None
    }

    /// Keeps what `voxels` holds, if that is allowed, and leaves a buffer that is no longer needed in its place.
    pub(super) fn keep(&self, chunk: &ChunkIndex, stamp: Stamp, voxels: &mut Vec<u8>) -> Option<Arc<Vec<u8>>> {
        let settled = stamp.modified.is_some_and(|then| {
            stamp.inode.is_some() && SystemTime::now().duration_since(then).is_ok_and(|age| age > SETTLED)
        });
        if !settled || voxels.len() > MAX_CHUNK {
            return None;
        }
        let owner = *self.number.get_or_init(|| NEXT.fetch_add(1, Ordering::Relaxed));
        let mut kept = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spare = Vec::new();
        while kept.chunks.len() == MAX_CHUNKS || kept.bytes + voxels.len() > MAX_BYTES {
            let Some(oldest) = kept.chunks.pop_front() else { break };
            kept.bytes -= oldest.voxels.len();
            spare = Arc::try_unwrap(oldest.voxels).unwrap_or_default();
        }
        let held = Arc::new(std::mem::replace(voxels, spare));
        kept.bytes += held.len();
        kept.chunks.push_back(KeptChunk { owner, chunk: chunk.clone(), stamp, voxels: Arc::clone(&held) });
        Some(held)
    }
}

impl Drop for KeptChunks {
    fn drop(&mut self) {
        let Some(owner) = self.number.get() else { return };
        let mut kept = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        kept.chunks.retain(|one| one.owner != *owner);
        kept.bytes = kept.chunks.iter().map(|one| one.voxels.len()).sum();
    }
}

#[derive(Debug)]
struct KeptChunk {
    owner: u64,
    chunk: ChunkIndex,
    stamp: Stamp,
    voxels: Arc<Vec<u8>>,
}

/// The least recently used first.
#[derive(Debug)]
struct AllKept {
    chunks: VecDeque<KeptChunk>,
    bytes: usize,
}

impl AllKept {
    const fn nothing() -> Mutex<Self> {
        Mutex::new(Self { chunks: VecDeque::new(), bytes: 0 })
    }

    /// The chunk, which is the one that was asked for last from now on: it comes last.
    fn ask(&mut self, owner: u64, chunk: &ChunkIndex) -> Option<&KeptChunk> {
        let place = self.chunks.iter().rposition(|one| one.owner == owner && one.chunk == *chunk)?;
        let found = self.chunks.remove(place)?;
        self.chunks.push_back(found);
        self.chunks.back()
    }
}

/// The number that the next mag gets.
static NEXT: AtomicU64 = AtomicU64::new(0);

static KEPT: Mutex<AllKept> = AllKept::nothing();

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(age: u64, size: u64) -> Stamp {
        Stamp { size, modified: SystemTime::now().checked_sub(Duration::from_secs(age)), inode: Some(1) }
    }

    #[test]
    fn a_chunk_is_found_as_long_as_its_file_is_the_same() {
        // Other tests fill what belongs to the process.
        static ALL: Mutex<AllKept> = AllKept::nothing();
        let (owner, other) = (KeptChunks::among(&ALL), KeptChunks::among(&ALL));
        let (chunk, state) = (ChunkIndex::xyz(1, 2, 3), stamp(10, 5));
        let mut voxels = vec![7; 8];
        assert_eq!(owner.keep(&chunk, state, &mut voxels).as_deref(), Some(&vec![7; 8]));
        assert_eq!(owner.find(&chunk, state).as_deref(), Some(&vec![7; 8]));
        assert_eq!(other.find(&chunk, state), None);
        assert_eq!(owner.find(&ChunkIndex::xyz(1, 2, 4), state), None);
        assert_eq!(owner.find(&chunk, stamp(10, 6)), None);
        assert_eq!(owner.find(&chunk, state), None, "what was of another state is gone");
    }

    #[test]
    fn a_file_that_was_just_written_is_not_kept() {
        let owner = KeptChunks::default();
        for state in [stamp(0, 5), Stamp { modified: None, ..stamp(10, 5) }, Stamp { inode: None, ..stamp(10, 5) }] {
            assert_eq!(owner.keep(&ChunkIndex::xyz(0, 0, 0), state, &mut vec![7; 8]), None);
        }
        assert_eq!(owner.keep(&ChunkIndex::xyz(0, 0, 0), stamp(10, 5), &mut vec![7; MAX_CHUNK + 1]), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        static ALL: Mutex<AllKept> = AllKept::nothing();
        let (owner, state) = (KeptChunks::among(&ALL), stamp(10, 5));
        for x in 0..200 {
            owner.keep(&ChunkIndex::xyz(x, 0, 0), state, &mut vec![1; 1 << 20]);
        }
        let kept = ALL.lock().unwrap();
        assert!(!kept.chunks.is_empty() && kept.bytes <= MAX_BYTES && kept.chunks.len() <= MAX_CHUNKS);
        drop(kept);
        drop(owner);
        assert!(ALL.lock().unwrap().chunks.is_empty());
    }
}
