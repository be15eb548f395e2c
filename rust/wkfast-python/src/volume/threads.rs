//! The threads that decode chunks for Python.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::{CoreError, EnvironmentVariableError, VolumeDataError};

/// More threads than this on each core only cost memory; a typing error must not stop the machine.
const MOST_PER_CORE: usize = 16;

const VARIABLE: &str = "WKFAST_THREADS";
/// What Slurm gave a task; it confines processes to so many cores only where a cluster's plugin does.
const SLURM: &str = "SLURM_CPUS_PER_TASK";

/// A process's pool. A forked child has none of its parent's threads, so it must make its own.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// The pool of this process: `WKFAST_THREADS` threads, else one per core that it may use.
pub(crate) fn pool() -> Result<Arc<ThreadPool>, CoreError> {
    let process = std::process::id();
    let mut kept = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, pool)) = kept.as_ref().filter(|(owner, _)| *owner == process) {
        return Ok(Arc::clone(pool));
    }
    let pool = build(thread_count(None)?)?;
    // The parent's pool would wait for threads that do not exist here, so it is not dropped.
    std::mem::forget(kept.replace((process, Arc::clone(&pool))));
    Ok(pool)
}

/// A pool for one call, of as many threads as asked for.
pub(crate) fn pool_of(threads: NonZeroUsize) -> Result<Arc<ThreadPool>, CoreError> {
    build(thread_count(Some(threads))?)
}

fn build(threads: usize) -> Result<Arc<ThreadPool>, CoreError> {
    let builder = ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("wkfast-{index}"));
    let fault = |error| CoreError::Python(VolumeDataError::new_err(format!("cannot start threads: {error}")));
    builder.build().map(Arc::new).map_err(fault)
}

/// Threads to use: as asked for, else `WKFAST_THREADS`, else one per core that this process may use.
pub(crate) fn thread_count(asked: Option<NonZeroUsize>) -> Result<usize, CoreError> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let wanted = asked.map_or_else(from_environment, |threads| Ok(Some(threads)))?;
    Ok(wanted.map_or_else(|| given_cores(cores), |threads| threads.get().min(MOST_PER_CORE * cores)))
}

/// Of `cores` (what affinity and the quota of the control group leave of the machine's), those that the scheduler gave.
fn given_cores(cores: usize) -> usize {
    let given = std::env::var(SLURM).ok().and_then(|text| text.trim().parse::<NonZeroUsize>().ok());
    given.map_or(cores, |given| given.get().min(cores))
}

fn from_environment() -> Result<Option<NonZeroUsize>, CoreError> {
    let Some(text) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.to_str().and_then(|text| text.trim().parse().ok()).map(Some).ok_or_else(|| {
        let message = format!(
            "{VARIABLE} is \"{}\", expected a positive number of threads; unset it for one per core",
            text.display()
        );
        CoreError::Python(EnvironmentVariableError::new_err(message))
    })
}
