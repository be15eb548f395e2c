//! A plan as a file of which a task reads its part: a head with all that does not grow with files, an index of parts of
//! some thousand files in it, and the parts, each compressed by itself.
//!
//! Layout, numbers little endian: [`MAGIC`]; length, inflated length and CRC-32C of the head, `u32` each; the head, JSON
//! compressed by zstd; the parts, columns compressed by zstd, in the order of their tasks. Their lengths
//! and checksums are in the head. Nothing of it is believed before it is checked.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;

use std::io::Read;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::columns;
use super::outline::Outline;
use super::plan::{MagPlan, MergePlan, ShardPlan, Task};
use super::share::{self, Weighed, work_bytes};
use super::target::MergeTarget;
use crate::error::{Result, VolumeError};
use crate::store::{Fetch, MemoryStore, Origin, Part as FilePart, SharedStore, read_all};

/// What a plan file begins with; the last byte is the version of the layout.
pub const MAGIC: &[u8; 8] = b"WKFPLAN\x01";
/// Which of those is the version.
const VERSION: usize = MAGIC.len() - 1;
const PREFIX: usize = MAGIC.len() + 3 * size_of::<u32>();
/// Bytes that are asked for first: the heads of most plans are shorter.
const FIRST_READ: u64 = 64 << 10;
/// Bytes of a head, inflated, at most: those of a billion files have a third of it.
const MOST_OF_HEAD: usize = 64 << 20;
/// Bytes of a part, inflated, at most.
const MOST_OF_PART: usize = 64 << 20;
/// Files of a part, at most.
const FILES_IN_PART: usize = 4096;
/// Blocks of a part, unless a single file has more.
const BLOCKS_IN_PART: usize = 1 << 17;
const ZSTD_LEVEL: i32 = 3;

/// A plan in a file, opened: the head is here, files are read when they are asked for.
#[derive(Debug)]
pub struct PlanFile {
    /// Without any file.
    head: MergePlan,
    said: String,
    parts: Vec<Stored>,
    store: SharedStore,
    key: String,
    /// Where the first part begins.
    body: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    #[serde(flatten)]
    plan: MergePlan,
    outline: Outline,
    said: String,
    parts: Vec<Stored>,
}

/// Tasks, work, length in the file, inflated length, and CRC-32C of a part.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Stored(usize, u64, u32, u32, u32);

impl Stored {
    fn part(&self) -> Weighed {
        Weighed { tasks: self.0, bytes: self.1 }
    }
}

impl MergePlan {
    /// The plan, which must be whole, as a plan file that says `said` of it besides.
    pub fn to_bytes(&self, said: &str) -> Result<Vec<u8>> {
        self.check_range(&(0..self.task_count()))?;
        let mut body = Vec::new();
        let mut parts = Vec::new();
        for tasks in cut(self) {
            let mag = &self.mags[tasks[0].mag];
            let shards: Vec<&ShardPlan> = tasks.iter().map(|&task| self.task_parts(task).1).collect();
            let raw = columns::encode(mag, &shards);
            let packed = pack(&raw, MOST_OF_PART)?;
            let bytes = tasks.iter().map(|&task| work_bytes(self, task)).sum();
            parts.push(Stored(tasks.len(), bytes, packed.len() as u32, raw.len() as u32, crc32c::crc32c(&packed)));
            body.extend(packed);
        }
        let head = Head { plan: self.bare(), outline: self.outline().clone(), said: said.to_owned(), parts };
        let raw = serde_json::to_vec(&head).map_err(|error| VolumeError::io("merge plan", error.into()))?;
        let packed = pack(&raw, MOST_OF_HEAD)?;
        let numbers = [packed.len() as u32, raw.len() as u32, crc32c::crc32c(&packed)];
        let mut file = MAGIC.to_vec();
        file.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        file.extend(packed);
        file.append(&mut body);
        Ok(file)
    }

    /// The same without its shards, and so without its tasks.
    fn bare(&self) -> Self {
        Self {
            fingerprint: self.fingerprint.clone(),
            input: self.input.clone(),
            stamps: self.stamps.clone(),
            archives: self.archives.clone(),
            mags: self.mags.iter().map(MagPlan::bare).collect(),
            ignored_mags: self.ignored_mags.clone(),
            left_out_mags: self.left_out_mags.clone(),
            warnings: self.warnings.clone(),
            outline: self.outline.clone(),
            tasks: Vec::new(),
            first: 0,
            ..*self
        }
    }
}

/// The tasks of a plan in parts, each of one stage and mag.
fn cut(plan: &MergePlan) -> Vec<&[Task]> {
    let mut parts = Vec::new();
    for run in plan.tasks.chunk_by(|a, b| (a.stage, a.mag) == (b.stage, b.mag)) {
        let (mut start, mut blocks) = (0, 0);
        for (place, &task) in run.iter().enumerate() {
            let more: usize = plan.task_parts(task).1.blocks.iter().map(Vec::len).sum();
            if place > start && (place - start == FILES_IN_PART || blocks + more > BLOCKS_IN_PART) {
                parts.push(&run[start..place]);
                (start, blocks) = (place, 0);
            }
            blocks += more;
        }
        parts.push(&run[start..]);
    }
    parts
}

fn pack(raw: &[u8], most: usize) -> Result<Vec<u8>> {
    if raw.len() > most {
        return Err(VolumeError::Mismatch("a plan of so many painted chunks has no place in a file".to_owned()));
    }
    zstd::bulk::compress(raw, ZSTD_LEVEL).map_err(|error| VolumeError::io("merge plan", error))
}

impl PlanFile {
    /// Opens the plan file `name` in `folder`; `None` if there is none, or it is something else.
    pub fn open(folder: &MergeTarget, name: &str) -> Result<Option<Self>> {
        Self::read(folder.container().open()?, name)
    }

    /// The plan file that `bytes` are.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Option<Self>> {
        const NAME: &str = "plan";
        let store = MemoryStore::default();
        store.insert(NAME, bytes)?;
        Self::read(std::sync::Arc::new(store), NAME)
    }

    fn read(store: SharedStore, key: &str) -> Result<Option<Self>> {
        let fetch = Fetch { origin: Origin::Key(key), part: FilePart::Start(FIRST_READ) };
        let Some(start) = read_all(&*store, &[fetch])?.pop().flatten() else { return Ok(None) };
        let Some(version) = start.get(VERSION).filter(|_| start.starts_with(&MAGIC[..VERSION])) else {
            return Ok(None);
        };
        let name = store.describe(key);
        let fault = |reason: &str| VolumeError::corrupt(&name, reason);
        if *version != MAGIC[VERSION] {
            return Err(fault("is a merge plan of another version of wkfast: plan anew"));
        }
        let behind = &start[MAGIC.len()..];
        let numbers = behind.get(..PREFIX - MAGIC.len()).ok_or_else(|| fault("it is cut off"))?;
        let [length, raw, crc] =
            std::array::from_fn(|place| u32::from_le_bytes(std::array::from_fn(|byte| numbers[4 * place + byte])));
        let body = PREFIX as u64 + u64::from(length);
        let packed = match start.get(PREFIX..body as usize) {
            Some(packed) => packed.to_vec(),
            None if length as usize > MOST_OF_HEAD => return Err(fault("its head is too long")),
            None => store.read_range(key, PREFIX as u64..body)?,
        };
        let raw = inflate(&packed, raw, crc, MOST_OF_HEAD).map_err(|reason| fault(&format!("its head {reason}")))?;
        let head: Head =
            serde_json::from_slice(&raw).map_err(|error| fault(&format!("its head is not readable: {error}")))?;
        let Head { mut plan, outline, said, parts } = head;
        plan.check()?;
        plan.mags.iter_mut().for_each(|mag| mag.shards.clear());
        outline.check(&plan.mags, &parts.iter().map(Stored::part).collect::<Vec<_>>())?;
        if parts.iter().any(|part| part.0 > FILES_IN_PART) {
            return Err(fault("a part of it has too many files"));
        }
        plan.outline = outline;
        Ok(Some(Self { head: plan, said, parts, store, key: key.to_owned(), body }))
    }

    /// The plan without its files.
    pub fn head(&self) -> &MergePlan {
        &self.head
    }

    /// What was said of the plan besides.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// The plan with those of its files that `tasks` are about.
    pub fn part(&self, tasks: &Range<usize>) -> Result<MergePlan> {
        let mut plan = self.head.bare();
        plan.outline.check_range(tasks)?;
        let (mut first, mut offset) = (0, self.body);
        let (mut wanted, mut from) = (Vec::new(), None);
        for (number, part) in self.parts.iter().enumerate() {
            let here = first..first + part.0;
            if !tasks.is_empty() && here.start < tasks.end && tasks.start < here.end {
                from.get_or_insert((offset, here.start));
                wanted.push(number);
            }
            (first, offset) = (here.end, offset.saturating_add(part.2.into()));
        }
        let Some((start, first)) = from else { return Ok(plan) };
        let length: u64 = wanted.iter().map(|&number| u64::from(self.parts[number].2)).sum();
        let end = start.checked_add(length).ok_or_else(|| self.fault("it is cut off"))?;
        let bytes = self.bytes(start..end)?;
        let mut rest = bytes.as_slice();
        for number in wanted {
            let (packed, behind) = rest.split_at(self.parts[number].2 as usize);
            let (mag, shards) = self.shards(number, packed)?;
            plan.mags[mag].shards.extend(shards);
            rest = behind;
        }
        for mag in &mut plan.mags {
            mag.shards.sort_unstable_by(|one, other| one.at.cmp(&other.at));
            if mag.shards.windows(2).any(|pair| pair[0].at == pair[1].at) {
                return Err(self.fault("it has a file twice"));
            }
        }
        plan.tasks = plan.list_tasks();
        plan.first = first;
        Ok(plan)
    }

    /// The whole plan.
    pub fn whole(&self) -> Result<MergePlan> {
        self.part(&(0..self.head.task_count()))
    }

    /// The tasks of a stage that are share `share` of `shares`; see [`share`](mod@share).
    pub fn share(&self, stage: &Range<usize>, share: u64, shares: u64) -> Result<Range<usize>> {
        let mut first = 0;
        let mut parts: Vec<Weighed> = Vec::new();
        for part in self.parts.iter().map(Stored::part) {
            if stage.contains(&first) {
                parts.push(part);
            }
            first += part.tasks;
        }
        let weights = |number: usize| {
            let start = stage.start + parts[..number].iter().map(|part| part.tasks).sum::<usize>();
            let plan = self.part(&(start..start + parts[number].tasks))?;
            Ok(plan.tasks.iter().map(|&task| work_bytes(&plan, task)).collect())
        };
        share::share(&parts, share, shares, &weights)
    }

    fn fault(&self, reason: &str) -> VolumeError {
        VolumeError::corrupt(self.store.describe(&self.key), reason)
    }

    /// A range of the file, in pieces: what is not there takes no memory.
    fn bytes(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start + MOST_OF_PART as u64);
            bytes.extend(self.store.read_range(&self.key, start..end)?);
            start = end;
        }
        Ok(bytes)
    }

    /// The files of a part, and the place of their mag.
    fn shards(&self, number: usize, packed: &[u8]) -> Result<(usize, Vec<ShardPlan>)> {
        let Stored(tasks, bytes, _, raw, crc) = self.parts[number];
        let fault = |reason: &str| self.fault(&format!("part {number} of it {reason}"));
        let first = self.parts[..number].iter().map(|part| part.0).sum();
        let run = self.head.outline.run_of(first).ok_or_else(|| fault("is of no mag"))?;
        let (mag, depth) = (&self.head.mags[run.mag], self.head.depth()[run.mag]);
        let raw = inflate(packed, raw, crc, MOST_OF_PART).map_err(|reason| fault(&reason))?;
        let shards = columns::decode(mag, tasks, &raw).map_err(|reason| fault(&format!("is damaged: {reason}")))?;
        let stage = |shard: &ShardPlan| if shard.is_touched() { depth } else { 0 };
        let work = |shard: &ShardPlan| share::bytes_of(mag, shard);
        let is_sorted = shards.is_sorted_by(|one, next| one.at < next.at);
        let sum = shards.iter().try_fold(0_u64, |sum, shard| sum.checked_add(work(shard)));
        if !is_sorted || sum != Some(bytes) || shards.iter().any(|shard| stage(shard) != run.stage) {
            return Err(fault("is not what the index says"));
        }
        Ok((run.mag, shards))
    }
}

fn inflate(packed: &[u8], raw: u32, crc: u32, most: usize) -> Result<Vec<u8>, String> {
    if crc32c::crc32c(packed) != crc {
        return Err("is damaged: its checksum is another".to_owned());
    }
    let raw = raw as usize;
    if raw > most {
        return Err("is too long".to_owned());
    }
    let mut out = Vec::new();
    let read =
        zstd::Decoder::with_buffer(packed).and_then(|decoder| decoder.take(raw as u64 + 1).read_to_end(&mut out));
    match read {
        Ok(length) if length == raw => Ok(out),
        Ok(_) => Err("is damaged: it has another length".to_owned()),
        Err(error) => Err(format!("is damaged: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::world::{World, simple_case};
    use super::*;
    use crate::store::ReadStore;

    /// A file of any length.
    #[derive(Debug, Default)]
    struct Zeros {
        /// Bytes that were asked for at once.
        longest: AtomicUsize,
        reads: AtomicUsize,
    }

    impl ReadStore for Zeros {
        fn describe(&self, key: &str) -> String {
            key.to_owned()
        }

        fn size(&self, _: &str) -> Result<Option<u64>> {
            Ok(Some(u64::MAX))
        }

        fn read(&self, _: &str, _: u64) -> Result<Option<Vec<u8>>> {
            Ok(None)
        }

        fn read_into(&self, _: &str, _: u64, buffer: &mut [u8]) -> Result<()> {
            self.longest.fetch_max(buffer.len(), Ordering::Relaxed);
            self.reads.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    #[test]
    fn of_a_part_that_is_said_to_be_long_a_piece_is_read_after_the_other() {
        let plan = MergePlan::new(World::build(&simple_case()).input.clone()).unwrap();
        let zeros = Arc::new(Zeros::default());
        let file = PlanFile {
            head: plan.bare(),
            said: String::new(),
            parts: Vec::new(),
            store: Arc::clone(&zeros) as _,
            key: "plan".to_owned(),
            body: 0,
        };
        assert_eq!(file.bytes(5..MOST_OF_PART as u64 + 8).unwrap().len(), MOST_OF_PART + 3);
        let (longest, reads) = (zeros.longest.load(Ordering::Relaxed), zeros.reads.load(Ordering::Relaxed));
        assert_eq!((longest, reads), (MOST_OF_PART, 2));
    }

    /// Lengths of the parts of a plan whose only mag has files of so many blocks each.
    fn parts(blocks: &[usize]) -> Vec<usize> {
        let mut plan = MergePlan::new(World::build(&simple_case()).input.clone()).unwrap();
        plan.mags.truncate(1);
        let first = plan.mags[0].shards.iter().find(|shard| shard.is_touched()).unwrap().clone();
        let shard = |(number, &blocks): (usize, &usize)| {
            let mut shard = ShardPlan { blocks: vec![vec![[0; 3]; blocks]], ..first.clone() };
            shard.at.xyz = [number as u32, 0, 0];
            shard
        };
        plan.mags[0].shards = blocks.iter().enumerate().map(shard).collect();
        cut(&plan.assemble()).into_iter().map(<[Task]>::len).collect()
    }

    #[test]
    fn parts_have_as_many_files_and_blocks_as_they_may_and_no_more() {
        assert_eq!(parts(&vec![1; FILES_IN_PART]), [FILES_IN_PART]);
        assert_eq!(parts(&vec![1; FILES_IN_PART + 1]), [FILES_IN_PART, 1]);
        let half = BLOCKS_IN_PART / 2;
        assert_eq!(parts(&[half, half, 1]), [2, 1]);
        assert_eq!(parts(&[half, half - 1, 1, 1]), [3, 1]);
        assert_eq!(parts(&[half, half + 1, half - 1]), [1, 2]);
        assert_eq!(parts(&[BLOCKS_IN_PART + 1, 1]), [1, 1]);
    }
}
