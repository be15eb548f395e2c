//! Work done ahead on other threads, its results taken in order.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets `workers` threads turn what `source` gives, one piece at a time, into results, which `consume` takes in the
/// order of the source. At most a few pieces per worker are ahead of the consumer. When the consumer returns early, no
/// further pieces are begun.
pub(crate) fn run_ahead<S, T: Send, R>(
    workers: usize,
    source: impl FnMut() -> Option<S> + Send,
    work: impl Fn(S) -> T + Sync,
    consume: impl FnOnce(&mut dyn FnMut() -> Option<T>) -> R,
) -> R {
    let board = Board { state: Mutex::default(), changed: Condvar::new(), ahead: 2 * workers as u64 + 2 };
    let source = Mutex::new((0, source));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut stop = StopOnPanic { board: &board, clean: false };
                while let Some((number, piece)) = take_piece(&source, &board) {
                    board.put(number, work(piece));
                }
                stop.clean = true;
            });
        }
        let _stop = StopOnPanic { board: &board, clean: false };
        consume(&mut || board.take())
    })
}

/// The next piece and its number; `None` when there is nothing left to do.
fn take_piece<S>(source: &Mutex<(u64, impl FnMut() -> Option<S>)>, board: &Board<impl Send>) -> Option<(u64, S)> {
    let mut source = source.lock().ok()?;
    let number = source.0;
    if !board.wait_for_room(number) {
        return None;
    }
    let Some(piece) = source.1() else {
        board.end(number);
        return None;
    };
    source.0 += 1;
    Some((number, piece))
}

/// What workers and consumer share.
struct Board<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    ahead: u64,
}

struct State<T> {
    ready: BTreeMap<u64, T>,
    /// Results that the consumer took.
    taken: u64,
    /// Number of pieces, once known.
    count: Option<u64>,
    /// The consumer left, or a worker panicked.
    stopped: bool,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self { ready: BTreeMap::new(), taken: 0, count: None, stopped: false }
    }
}

impl<T> Board<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until piece `number` may begin; `false` if none may any more.
    fn wait_for_room(&self, number: u64) -> bool {
        let mut state = self.lock();
        while !state.stopped && state.count.is_none() && number >= state.taken + self.ahead {
            state = self.wait(state);
        }
        !state.stopped && state.count.is_none()
    }

    fn put(&self, number: u64, result: T) {
        self.lock().ready.insert(number, result);
        self.changed.notify_all();
    }

    fn end(&self, count: u64) {
        self.lock().count = Some(count);
        self.changed.notify_all();
    }

    fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            let number = state.taken;
            if let Some(result) = state.ready.remove(&number) {
                state.taken += 1;
                drop(state);
                self.changed.notify_all();
                return Some(result);
            }
            if state.count == Some(number) {
                return None;
            }
            assert!(!state.stopped, "a worker thread panicked");
            state = self.wait(state);
        }
    }
}

/// Nobody waits for a thread that is gone.
struct StopOnPanic<'a, T> {
    board: &'a Board<T>,
    clean: bool,
}

impl<T> Drop for StopOnPanic<'_, T> {
    fn drop(&mut self) {
        if !self.clean {
            self.board.lock().stopped = true;
            self.board.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::run_ahead;

    #[test]
    fn results_come_in_the_order_of_the_source() {
        for workers in 1..5 {
            let mut numbers = 0..1000_u32;
            let squares =
                run_ahead(workers, || numbers.next(), |n| n * n, |next| std::iter::from_fn(next).collect::<Vec<_>>());
            assert_eq!(squares, (0..1000).map(|n| n * n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_consumer_that_leaves_ends_the_work() {
        let mut numbers = 0..;
        let first = run_ahead(3, || numbers.next(), |n: u32| n + 1, |next| next());
        assert_eq!(first, Some(1));
    }

    #[test]
    #[should_panic(expected = "a worker thread panicked")]
    fn a_worker_that_panics_does_not_leave_the_consumer_waiting() {
        let mut numbers = 0..100_u32;
        run_ahead(2, || numbers.next(), |n| assert_ne!(n, 50), |next| while next().is_some() {});
    }
}
