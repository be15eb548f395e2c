//! Running a job: shards in parallel.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Job;
use super::shard::{Counts, Crew, ShardJob};
use super::tile::tile_shape;
use crate::error::{Result, VolumeError};

/// How often the observer is called while no shard gets done.
const TICK: Duration = Duration::from_millis(50);
/// Tiles in memory for each thread, and bytes of them in all, unless a single one has more.
const TILES_PER_THREAD: usize = 16;
const MAX_AHEAD: usize = 48 << 20;

/// How far a run has come, in shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Shards done.
    pub done: usize,
    /// Shards asked for.
    pub total: usize,
}

/// Called on the thread that called [`run`]: after every shard, and a few times a second in between. An error ends the
/// run at once; shards that are done stay done.
pub type Observer<'a> = dyn FnMut(Progress) -> Result<()> + 'a;

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

/// Writes `shards` (numbers in [`Job::shards`]) on `threads` threads.
pub fn run(job: &Job, shards: Range<usize>, threads: usize, observer: &mut Observer) -> Result<Summary> {
    let started = Instant::now();
    let all = job.shards().len();
    if shards.start > shards.end || shards.end > all {
        return Err(VolumeError::Mismatch(format!("there are {all} shards, not {shards:?}")));
    }
    let mut summary = Summary::default();
    if shards.is_empty() {
        return Ok(summary);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| VolumeError::io("threads", std::io::Error::other(error)))?;
    let drivers = threads.min(shards.len());
    let stop = AtomicBool::new(false);
    let crew = Crew { pool: &pool, window: window(job, threads, drivers), stop: &stop };
    let mut progress = Progress { done: 0, total: shards.len() };
    let next = AtomicUsize::new(shards.start);
    std::thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..drivers {
            let (sender, next, end) = (sender.clone(), &next, shards.end);
            scope.spawn(move || drive(job, next, end, crew, &sender));
        }
        drop(sender);
        let mut failure = None;
        loop {
            match results.recv_timeout(TICK) {
                Ok(Ok(counts)) => {
                    progress.done += 1;
                    summary.chunks_passed += counts.passed;
                    summary.chunks_computed += counts.computed;
                }
                Ok(Err(error)) => {
                    stop.store(true, Ordering::Relaxed);
                    failure.get_or_insert(error);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if failure.is_none()
                && let Err(error) = observer(progress)
            {
                stop.store(true, Ordering::Relaxed);
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), Err)
    })?;
    summary.shards = progress.done;
    summary.seconds = started.elapsed().as_secs_f64();
    Ok(summary)
}

/// Tiles that one of `drivers` shards may have in memory.
fn window(job: &Job, threads: usize, drivers: usize) -> usize {
    let grid = job.target.grid();
    let tile = tile_shape(job).iter().map(|&edge| edge as usize).product::<usize>() * grid.chunk_bytes();
    let tiles = (TILES_PER_THREAD * threads).min((MAX_AHEAD / tile.max(1)).max(1));
    tiles.div_ceil(drivers)
}

fn drive(job: &Job, next: &AtomicUsize, end: usize, crew: Crew, results: &Sender<Result<Counts>>) {
    while crew.check().is_ok() {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= end || results.send(ShardJob::new(job, &job.shards()[number]).write(crew)).is_err() {
            return;
        }
    }
}
