//! Work on several things of which each may have to wait for a server.

use std::thread;

use crate::error::Result;

/// What waits for a server at once, at most.
const AT_ONCE: usize = 16;

/// What `work` makes of each of `items`, in their order: one after the other, or, where they are `far`, at the same time, so
/// that all of them take as long as the slowest. Of several errors the first in this order is returned.
pub(crate) fn together<I: Sync, R: Send>(
    items: &[I],
    far: bool,
    work: impl Fn(&I) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    if !far || items.len() < 2 {
        return items.iter().map(work).collect();
    }
    let mut made = Vec::with_capacity(items.len());
    for some in items.chunks(AT_ONCE) {
        made.extend(thread::scope(|scope| {
            let begun: Vec<_> = some.iter().map(|item| scope.spawn(|| work(item))).collect();
            let ended =
                begun.into_iter().map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            // All are waited for before the first error is told: no thread outlives the call.
            ended.collect::<Vec<_>>().into_iter().collect::<Result<Vec<R>>>()
        })?);
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::error::VolumeError;

    #[test]
    fn what_is_far_is_worked_on_at_the_same_time_and_comes_in_order() {
        let all_here = Barrier::new(AT_ONCE);
        let items: Vec<usize> = (0..2 * AT_ONCE).collect();
        let work = |item: &usize| {
            // Waits for ever unless as many are at work.
            all_here.wait();
            Ok(item * 2)
        };
        assert_eq!(together(&items, true, work).unwrap(), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        let here = thread::current().id();
        let near = together(&items, false, |_| Ok(thread::current().id())).unwrap();
        assert!(near.into_iter().all(|thread| thread == here));
    }

    #[test]
    fn the_first_error_is_told() {
        for far in [false, true] {
            let work = |item: &u64| if *item < 3 { Ok(()) } else { Err(VolumeError::Mismatch(item.to_string())) };
            let error = together(&[1, 4, 2, 3], far, work).unwrap_err();
            assert!(matches!(&error, VolumeError::Mismatch(which) if which == "4"), "{error}");
        }
    }
}
