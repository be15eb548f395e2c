//! Room for decoded chunks, used again and again: fresh memory costs as much in page faults as a chunk in decoding.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Buffers a thread keeps: the result, one below and one above are in use at once.
const KEPT: usize = 4;
/// Larger ones are let go of: a thread that has read a huge chunk must not hold it for ever.
const LARGEST: usize = 4 << 20;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that go back to the thread which drops them.
#[derive(Debug, Default)]
pub(super) struct Space(Vec<u8>);

impl Space {
    /// Room for `length` bytes that hold anything, to be overwritten.
    pub(super) fn of(length: usize) -> Self {
        let mut bytes = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        bytes.resize(length, 0);
        Self(bytes)
    }

    /// Room for `length` bytes that are zero.
    pub(super) fn zeros(length: usize) -> Self {
        let mut space = Self::of(length);
        space.0.fill(0);
        space
    }

    /// Room with a copy of `bytes`.
    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        let mut space = Self::of(bytes.len());
        space.0.copy_from_slice(bytes);
        space
    }

    /// What it holds, to be kept.
    pub(super) fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl From<Vec<u8>> for Space {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Space {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Space {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if self.0.capacity() == 0 || self.0.capacity() > LARGEST {
            return;
        }
        let bytes = std::mem::take(&mut self.0);
        // A thread that is ending keeps nothing any more.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < KEPT {
                spare.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_as_long_as_asked_for_and_zero_where_that_counts() {
        let mut first = Space::of(8);
        first.fill(7);
        drop(first);
        assert_eq!(&*Space::zeros(3), [0; 3]);
        assert_eq!(Space::of(16).len(), 16);
        assert_eq!(Space::copy_of(&[1, 2]).into_vec(), [1, 2]);
    }

    #[test]
    fn a_thread_keeps_few_and_no_large_ones() {
        drop((0..9).map(Space::of).chain([Space::of(LARGEST + 1)]).collect::<Vec<_>>());
        SPARE.with_borrow(|spare| {
            assert!(spare.len() <= KEPT);
            assert!(spare.iter().all(|bytes| bytes.capacity() <= LARGEST));
        });
    }
}
