//! One way to do many tasks on many threads, with someone to tell how far they are and to stop it all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::error::{Result, VolumeError};

/// How often the observer is called while no task gets done.
const TICK: Duration = Duration::from_millis(50);
/// Items under way per thread where results are taken in order.
const PER_THREAD: usize = 16;
/// Their bytes at most, unless one alone has more.
const MOST_BYTES: usize = 64 << 20;

/// How far work has come. Counts tasks, those that an earlier run had done included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tasks done.
    pub done: usize,
    /// Tasks asked for.
    pub total: usize,
    /// Bytes got through; what a task weighs is its work's to say.
    pub bytes_done: u64,
    /// Bytes to get through in all.
    pub bytes_total: u64,
}

/// Called on the thread that started the work: after every task, and a few times a second in between. An error ends the
/// work at once, [`VolumeError::Enough`] when the tasks under way are done; what is done stays done.
pub type Observer<'a> = dyn FnMut(Progress) -> Result<()> + 'a;

/// Whether the work is to end.
#[derive(Debug, Default)]
pub struct Stop(AtomicU8);

impl Stop {
    /// No task is begun any more.
    const NO_MORE: u8 = 1;
    /// Tasks under way end as well.
    const AT_ONCE: u8 = 2;

    /// `Err` once a task under way is to end.
    pub fn check(&self) -> Result<()> {
        if self.is(Self::AT_ONCE) { Err(VolumeError::Interrupted) } else { Ok(()) }
    }

    fn is(&self, state: u8) -> bool {
        self.0.load(Ordering::Relaxed) >= state
    }

    fn set(&self, state: u8) {
        self.0.fetch_max(state, Ordering::Relaxed);
    }
}

/// Who works, who is told, and whether to stop.
pub struct Driver<'a, 'o> {
    pool: &'a ThreadPool,
    observer: &'a mut Observer<'o>,
    progress: Progress,
    stop: Stop,
}

impl<'a, 'o> Driver<'a, 'o> {
    /// Work on the threads of `pool` that reports to `observer`.
    pub fn new(pool: &'a ThreadPool, observer: &'a mut Observer<'o>) -> Self {
        Self { pool, observer, progress: Progress::default(), stop: Stop::default() }
    }

    /// Threads that work.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Announces work.
    pub fn expect(&mut self, tasks: usize, bytes: u64) {
        self.progress.total += tasks;
        self.progress.bytes_total += bytes;
    }

    /// Counts a task as done that was done before.
    pub fn pass(&mut self, bytes: u64) {
        self.progress.done += 1;
        self.progress.bytes_done += bytes;
    }

    /// Does `tasks`, which must not depend on each other, first ones first, on all threads. `bytes` is what a task weighs;
    /// `take` gets the results on this thread, as they come. The first error stops the others, and is returned when all
    /// threads have ended.
    ///
    /// A thread takes the next task when it has done its last one. What it does in parallel within a task, others do as
    /// soon as no task is left for them.
    pub fn each<R: Send>(
        &mut self,
        tasks: &[usize],
        bytes: impl Fn(usize) -> u64,
        work: impl Fn(usize, &Stop) -> Result<R> + Sync,
        take: impl FnMut(R),
    ) -> Result<()> {
        self.each_on(self.pool, tasks, bytes, work, take)
    }

    /// [`each`](Self::each) on the threads of another pool: work that waits for others takes more of them than there are
    /// processors.
    pub fn each_on<R: Send>(
        &mut self,
        pool: &ThreadPool,
        tasks: &[usize],
        bytes: impl Fn(usize) -> u64,
        work: impl Fn(usize, &Stop) -> Result<R> + Sync,
        mut take: impl FnMut(R),
    ) -> Result<()> {
        let Self { observer, progress, stop, .. } = self;
        let stop = &*stop;
        let next = AtomicUsize::new(0);
        let results = Results(Mutex::default());
        let (sender, told) = mpsc::channel();
        // One for every thread that works: the channel ends with the last of them.
        let senders = Mutex::new(vec![sender; pool.current_num_threads().min(tasks.len())]);
        let drive = || {
            let sender = senders.lock().unwrap_or_else(PoisonError::into_inner).pop();
            while let Some(sender) = sender.as_ref().filter(|_| !stop.is(Stop::NO_MORE)) {
                let Some(&task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                let result = work(task, stop);
                let failed = result.is_err();
                results.lock().push_back(result.map(|result| (task, result)));
                let sent = sender.send(());
                if failed {
                    // Only now: those who are interrupted by it must not be heard first.
                    stop.set(Stop::AT_ONCE);
                }
                if sent.is_err() {
                    return;
                }
            }
        };
        pool.in_place_scope(|scope| {
            // Not as jobs that any thread may take: one that waits for parts of its task would take a second task.
            scope.spawn_broadcast(|_, _| drive());
            watch(&told, &results, stop, progress, *observer, |(task, result), progress| {
                progress.done += 1;
                progress.bytes_done += bytes(task);
                take(result);
            })
        })
    }

    /// Prepares every item on some thread and hands the results over in the items' order, on this thread.
    ///
    /// `bytes` is what an item takes in memory.
    pub fn in_order<I: Sync, R: Send>(
        &mut self,
        items: &[I],
        bytes: usize,
        prepare: impl Fn(&I) -> Result<R> + Sync,
        mut take: impl FnMut(&I, R) -> Result<()>,
    ) -> Result<()> {
        let most = PER_THREAD * self.threads();
        let batch = (MOST_BYTES / bytes.max(1)).clamp(1, most);
        (self.observer)(self.progress)?;
        for items in items.chunks(batch) {
            let prepared: Vec<Result<R>> = self.pool.install(|| items.par_iter().map(&prepare).collect());
            for (item, result) in items.iter().zip(prepared) {
                take(item, result?)?;
            }
            self.progress.done += items.len();
            self.progress.bytes_done += (items.len() * bytes) as u64;
            (self.observer)(self.progress)?;
        }
        Ok(())
    }
}

/// What threads have made and nobody has taken yet, in the order of making. Beside a channel that tells how many, which is
/// the same code for results of all types.
struct Results<R>(Mutex<VecDeque<Result<R>>>);

impl<R> Results<R> {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Result<R>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Result<R>> {
        self.lock().pop_front()
    }
}

/// Hands results to `take` and tells `observer`, until there are no more to come.
fn watch<R>(
    told: &Receiver<()>,
    results: &Results<R>,
    stop: &Stop,
    progress: &mut Progress,
    observer: &mut Observer,
    mut take: impl FnMut(R, &mut Progress),
) -> Result<()> {
    let mut failure = None;
    loop {
        match told.recv_timeout(TICK).map(|()| results.take()) {
            Ok(Some(Ok(result))) => take(result, progress),
            Ok(Some(Err(error))) if failure.as_ref().is_none_or(is_enough) => failure = Some(error),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if failure.as_ref().is_none_or(is_enough)
            && let Err(error) = observer(*progress)
        {
            stop.set(if is_enough(&error) { Stop::NO_MORE } else { Stop::AT_ONCE });
            failure = Some(error);
        }
    }
    failure.map_or(Ok(()), Err)
}

fn is_enough(error: &VolumeError) -> bool {
    matches!(error, VolumeError::Enough)
}

/// A pool of `threads` threads for one call.
pub fn pool_of(threads: usize) -> Result<ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| VolumeError::io("threads", std::io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 100;

    fn tasks() -> Vec<usize> {
        (0..MANY).collect()
    }

    #[test]
    fn every_task_is_done_once_and_told() {
        for threads in [1, 4] {
            let (pool, mut told) = (pool_of(threads).unwrap(), Vec::new());
            let mut observer = |now| {
                told.push(now);
                Ok(())
            };
            let mut driver = Driver::new(&pool, &mut observer);
            driver.expect(MANY + 1, 7 + 3 * MANY as u64);
            driver.pass(7);
            let mut results = Vec::new();
            driver.each(&tasks(), |_| 3, |task, _| Ok(task), |task| results.push(task)).unwrap();
            results.sort_unstable();
            assert_eq!(results, tasks());
            assert!(told.windows(2).all(|pair| pair[0].done <= pair[1].done));
            let all = 7 + 3 * MANY as u64;
            let end = Progress { done: MANY + 1, total: MANY + 1, bytes_done: all, bytes_total: all };
            assert_eq!(told.last(), Some(&end));
        }
    }

    #[test]
    fn the_first_error_stops_tasks_that_have_not_begun() {
        let (pool, begun) = (pool_of(2).unwrap(), AtomicUsize::new(0));
        let mut quiet = |_| Ok(());
        let mut driver = Driver::new(&pool, &mut quiet);
        let failing = |task, stop: &Stop| {
            begun.fetch_add(1, Ordering::Relaxed);
            if task == 0 {
                return Err(VolumeError::Mismatch("first".to_owned()));
            }
            while !stop.is(Stop::AT_ONCE) {
                std::thread::yield_now();
            }
            stop.check()
        };
        let error = driver.each(&tasks(), |_| 0, failing, |()| ()).unwrap_err();
        assert_eq!(error.to_string(), "first");
        assert!(begun.into_inner() <= 2, "one for each thread at most");
    }

    #[test]
    fn who_has_enough_gets_what_is_under_way_and_no_more() {
        let (pool, begun) = (pool_of(2).unwrap(), AtomicUsize::new(0));
        let mut enough = |_| Err(VolumeError::Enough);
        let mut driver = Driver::new(&pool, &mut enough);
        let slow = |task, stop: &Stop| {
            begun.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(2 * TICK);
            stop.check().map(|()| task)
        };
        let mut done = Vec::new();
        assert!(matches!(driver.each(&tasks(), |_| 0, slow, |task| done.push(task)), Err(VolumeError::Enough)));
        assert!(done.len() < MANY && !done.is_empty());
        assert_eq!(done.len(), begun.load(Ordering::Relaxed));
    }

    #[test]
    fn who_has_enough_can_still_stop_it_at_once() {
        let (pool, mut calls) = (pool_of(2).unwrap(), 0);
        let mut observer = |_| {
            calls += 1;
            Err(if calls == 1 { VolumeError::Enough } else { VolumeError::Interrupted })
        };
        let mut driver = Driver::new(&pool, &mut observer);
        let endless = |_, stop: &Stop| -> Result<()> {
            loop {
                stop.check()?;
                std::thread::yield_now();
            }
        };
        assert!(matches!(driver.each(&tasks(), |_| 0, endless, |()| ()), Err(VolumeError::Interrupted)));
    }

    #[test]
    fn an_observer_stops_work_in_the_midst_of_a_task() {
        let pool = pool_of(2).unwrap();
        let mut stopping = |_| Err(VolumeError::Interrupted);
        let mut driver = Driver::new(&pool, &mut stopping);
        let endless = |_, stop: &Stop| -> Result<()> {
            loop {
                stop.check()?;
                std::thread::yield_now();
            }
        };
        assert!(matches!(driver.each(&tasks(), |_| 0, endless, |()| ()), Err(VolumeError::Interrupted)));
        assert!(matches!(driver.in_order(&tasks(), 1, |_| Ok(()), |_, ()| Ok(())), Err(VolumeError::Interrupted)));
    }

    #[test]
    fn results_are_taken_in_order_whatever_they_weigh() {
        for bytes in [0, 1, MOST_BYTES / 3, 2 * MOST_BYTES] {
            let pool = pool_of(3).unwrap();
            let mut last = Progress::default();
            let mut observer = |now| {
                last = now;
                Ok(())
            };
            let mut driver = Driver::new(&pool, &mut observer);
            driver.expect(MANY, (MANY * bytes) as u64);
            let mut taken = Vec::new();
            let take = |&item: &usize, double: usize| {
                assert_eq!(double, 2 * item);
                taken.push(item);
                Ok(())
            };
            driver.in_order(&tasks(), bytes, |&item| Ok(2 * item), take).unwrap();
            assert_eq!(taken, tasks());
            assert_eq!((last.done, last.bytes_done), (last.total, last.bytes_total));
        }
    }
}
