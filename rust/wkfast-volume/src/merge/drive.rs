//! Tasks in parallel, with someone to tell how far they are.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rayon::ThreadPool;

use super::plan::MergePlan;
use super::share::work_bytes;
use crate::error::{Result, VolumeError};

/// How often the observer is called while no task gets done.
const TICK: Duration = Duration::from_millis(50);

/// How far a run has come. Counts tasks, those that an earlier run had done included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Tasks done.
    pub done: usize,
    /// Tasks asked for.
    pub total: usize,
    /// Bytes got through, see [`work_bytes`].
    pub bytes_done: u64,
    /// Bytes to get through in all.
    pub bytes_total: u64,
}

impl Progress {
    /// Nothing done yet of `tasks`.
    pub(super) fn start(plan: &MergePlan, tasks: impl ExactSizeIterator<Item = usize>) -> Self {
        let total = tasks.len();
        let bytes_total = tasks.map(|task| work_bytes(plan, plan.tasks()[task])).sum();
        Self { done: 0, total, bytes_done: 0, bytes_total }
    }

    pub(super) fn add(&mut self, plan: &MergePlan, task: usize) {
        self.done += 1;
        self.bytes_done += work_bytes(plan, plan.tasks()[task]);
    }
}

/// Called on the thread that started the work: after every task, and a few times a second in between. An error ends the
/// work at once; what is done stays done.
pub type Observer<'a> = dyn FnMut(Progress) -> Result<()> + 'a;

/// Does `tasks` of `plan`, which must not depend on each other, first ones first, on all threads of `pool`. Returns the sum
/// of what `work` returns. The first error sets `stop` and is returned when all threads have ended.
///
/// A thread takes the next task when it has done its last one. What it does in parallel within a task, others do as soon
/// as no task is left for them.
pub(super) fn in_parallel(
    plan: &MergePlan,
    tasks: &[usize],
    pool: &ThreadPool,
    stop: &AtomicBool,
    progress: &mut Progress,
    observer: &mut Observer,
    work: impl Fn(usize) -> Result<u64> + Sync,
) -> Result<u64> {
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    // One for every thread that works: the channel ends with the last of them.
    let senders = Mutex::new(vec![sender; pool.current_num_threads().min(tasks.len())]);
    let drive = || {
        let sender = senders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        while let Some(sender) = sender.as_ref().filter(|_| !stop.load(Ordering::Relaxed)) {
            let Some(&task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            if sender.send(work(task).map(|amount| (task, amount))).is_err() {
                return;
            }
        }
    };
    pool.in_place_scope(|scope| {
        // Not as jobs that any thread may take: one that waits for parts of its task would take a second task.
        scope.spawn_broadcast(|_, _| drive());
        watch(plan, &results, stop, progress, observer)
    })
}

/// Tells `observer` of `results` until there are no more to come.
fn watch(
    plan: &MergePlan,
    results: &Receiver<Result<(usize, u64)>>,
    stop: &AtomicBool,
    progress: &mut Progress,
    observer: &mut Observer,
) -> Result<u64> {
    let (mut sum, mut failure) = (0, None);
    loop {
        match results.recv_timeout(TICK) {
            Ok(Ok((task, amount))) => {
                sum += amount;
                progress.add(plan, task);
            }
            Ok(Err(error)) => {
                stop.store(true, Ordering::Relaxed);
                failure.get_or_insert(error);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if failure.is_none()
            && let Err(error) = observer(*progress)
        {
            stop.store(true, Ordering::Relaxed);
            failure = Some(error);
        }
    }
    failure.map_or(Ok(sum), Err)
}

/// A pool of `threads` threads for one call.
pub(super) fn pool_of(threads: usize) -> Result<ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| VolumeError::io("threads", std::io::Error::other(error)))
}
