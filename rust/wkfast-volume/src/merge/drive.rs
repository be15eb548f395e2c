//! Tasks in parallel, with someone to tell how far they are.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::plan::MergePlan;
use super::share::work_bytes;
use crate::error::Result;

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

/// Does `tasks` of `plan`, which must not depend on each other, first ones first, on `drivers` threads. Returns the sum
/// of what `work` returns. The first error sets `stop` and is returned when all threads have ended.
pub(super) fn in_parallel(
    plan: &MergePlan,
    tasks: &[usize],
    drivers: usize,
    stop: &AtomicBool,
    progress: &mut Progress,
    observer: &mut Observer,
    work: impl Fn(usize) -> Result<u64> + Sync,
) -> Result<u64> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..drivers.min(tasks.len()) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Some(&task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    if sender.send(work(task).map(|amount| (task, amount))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
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
    })
}
