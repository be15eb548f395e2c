//! Running a job: shards in parallel.

use std::ops::Range;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::ReshapeJob;
use super::shard::{ChunksDone, ShardReshape, Share, has_same_chunks, unit_shape};
use crate::error::{Result, VolumeError};
use crate::work::{Driver, Observer, Stop, pool_of};

/// Units (chunks, or tiles of them) in memory for each thread, and bytes of them in all, unless a single one has more.
const UNITS_PER_THREAD: usize = 16;
const MAX_AHEAD: usize = 48 << 20;

/// What a call of [`run`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Shards written, or left out because nothing was in them.
    pub shards: usize,
    /// Chunks whose bytes were taken over as they lay.
    pub chunks_passed: u64,
    /// Chunks that were encoded.
    pub chunks_computed: u64,
    /// Seconds by the clock.
    pub seconds: f64,
}

/// Writes `shards` (numbers in [`ReshapeJob::shards`]) on `threads` threads.
pub fn run(job: &ReshapeJob, shards: Range<usize>, threads: usize, observer: &mut Observer) -> Result<Summary> {
    let started = Instant::now();
    let all = job.shards().len();
    if shards.start > shards.end || shards.end > all {
        return Err(VolumeError::Mismatch(format!("there are {all} shards, not {shards:?}")));
    }
    let mut summary = Summary::default();
    if shards.is_empty() {
        return Ok(summary);
    }
    let pool = pool_of(threads)?;
    let mut driver = Driver::new(&pool, observer);
    let weight = job.shard_bytes();
    driver.expect(shards.len(), weight * shards.len() as u64);
    let window = window(job, threads, threads.min(shards.len()));
    let write =
        |number: usize, stop: &Stop| ShardReshape::new(job, &job.shards()[number]).write(Share { window, stop });
    let take = |written: ChunksDone| {
        summary.shards += 1;
        summary.chunks_passed += written.passed;
        summary.chunks_computed += written.computed;
    };
    driver.each(&shards.collect::<Vec<_>>(), |_| weight, write, take)?;
    summary.seconds = started.elapsed().as_secs_f64();
    Ok(summary)
}

/// Units that one of `drivers` shards may have in memory. Chunks of a far source that are only passed on are as many as there
/// is room for: so few requests are waited for one after the other.
fn window(job: &ReshapeJob, threads: usize, drivers: usize) -> usize {
    let unit = unit_shape(job).iter().map(|&edge| edge as usize).product::<usize>() * job.target.grid().chunk_bytes();
    let most = (MAX_AHEAD / unit.max(1)).max(1);
    let passes_far = has_same_chunks(job) && job.source.is_far();
    let units = if passes_far { most } else { (UNITS_PER_THREAD * threads).min(most) };
    units.div_ceil(drivers)
}
