//! Which nodes of a tree somebody holds: each row has one object at a time.

#![allow(unsafe_code)] // see the lines below

use std::cell::UnsafeCell;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::AcqRel;

use pyo3::prelude::*;

use super::node_class::Node;

/// Rows of a page: few, since most trees of files of many have few nodes. A tree none of whose nodes are held has no pages.
const PAGE: usize = 16;

/// The nodes that are held, by row; they are not kept alive by it, and take themselves out when they go.
///
/// Only threads attached to the interpreter look into it, one at a time: interpreters without a global lock do not load
/// modules of the stable ABI, which this one is built for.
#[derive(Default)]
pub(super) struct LiveNodes(UnsafeCell<Pages>);

// SAFETY: the pages are reached with a token of the interpreter only, by one thread at a time.
unsafe impl Send for LiveNodes {}
// SAFETY: as above.
unsafe impl Sync for LiveNodes {}

#[derive(Default)]
struct Pages {
    pages: Vec<Option<Box<Page>>>,
}

/// The page that was emptied last, of any tree: nodes that come and go one by one are no reason to make one each time.
static SPARE: AtomicPtr<Page> = AtomicPtr::new(null_mut());

struct Page {
    held: usize,
    nodes: [*mut Node; PAGE],
}

impl Page {
    /// An empty page.
    fn new() -> Box<Self> {
        let spare = SPARE.swap(null_mut(), AcqRel);
        if spare.is_null() {
            return Box::new(Self { held: 0, nodes: [null_mut(); PAGE] });
        }
        // SAFETY: it was a box, and whoever swaps it out has it alone.
        unsafe { Box::from_raw(spare) }
    }

    /// Keeps an empty page for the next one that is begun.
    fn lay_aside(self: Box<Self>) {
        let before = SPARE.swap(Box::into_raw(self), AcqRel);
        if !before.is_null() {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(before) });
        }
    }
}

impl LiveNodes {
    /// What `look` finds. It runs no code of Python's, which could come back here.
    #[inline]
    fn with<R>(&self, _py: Python<'_>, look: impl FnOnce(&mut Pages) -> R) -> R {
        // SAFETY: one thread at a time, and `look` does not come back here: this is the only reference.
        look(unsafe { &mut *self.0.get() })
    }

    /// The node of a row, if somebody holds it.
    #[inline]
    pub(super) fn get(&self, py: Python<'_>, row: u32) -> Option<NonNull<Node>> {
        self.with(py, |pages| pages.get(row))
    }

    /// Notes the node of a row that has none.
    #[inline]
    pub(super) fn put(&self, py: Python<'_>, row: u32, node: NonNull<Node>) {
        self.with(py, |pages| pages.put(row, node));
    }

    /// Forgets the node of a row, if it is this one.
    #[inline]
    pub(super) fn remove(&self, py: Python<'_>, row: u32, node: NonNull<Node>) {
        self.with(py, |pages| pages.remove(row, node));
    }

    /// Notes that a node is another row's from now on, which has none.
    #[inline]
    pub(super) fn shift(&self, py: Python<'_>, from: u32, to: u32, node: NonNull<Node>) {
        self.with(py, |pages| {
            if !pages.shift(from, to, node) {
                pages.remove(from, node);
                pages.put(to, node);
            }
        });
    }

    /// The first node that is held from a row on, and its row.
    pub(super) fn next(&self, py: Python<'_>, row: u32) -> Option<(u32, NonNull<Node>)> {
        self.with(py, |pages| pages.next(row as usize))
    }
}

impl Pages {
    #[inline]
    fn get(&self, row: u32) -> Option<NonNull<Node>> {
        let page = self.pages.get(row as usize / PAGE)?.as_ref()?;
        NonNull::new(page.nodes[row as usize % PAGE])
    }

    #[inline]
    fn put(&mut self, row: u32, node: NonNull<Node>) {
        let number = row as usize / PAGE;
        let page = match self.pages.get_mut(number) {
            Some(Some(page)) => page,
            _ => self.begin(number),
        };
        page.nodes[row as usize % PAGE] = node.as_ptr();
        page.held += 1;
    }

    /// As `remove` and `put` within a page, which holds as many as before; says whether that was so.
    #[inline]
    fn shift(&mut self, from: u32, to: u32, node: NonNull<Node>) -> bool {
        let (from, to) = (from as usize, to as usize);
        if from / PAGE != to / PAGE {
            return false;
        }
        let Some(Some(page)) = self.pages.get_mut(to / PAGE) else { return false };
        let is_there = page.nodes[from % PAGE] == node.as_ptr();
        if is_there {
            page.nodes[from % PAGE] = null_mut();
            page.nodes[to % PAGE] = node.as_ptr();
        }
        is_there
    }

    #[cold]
    fn begin(&mut self, number: usize) -> &mut Page {
        if self.pages.len() <= number {
            self.pages.resize_with(number + 1, || None);
        }
        self.pages[number].insert(Page::new())
    }

    #[inline]
    fn remove(&mut self, row: u32, node: NonNull<Node>) {
        let Some(place) = self.pages.get_mut(row as usize / PAGE) else { return };
        let Some(page) = place else { return };
        let held = &mut page.nodes[row as usize % PAGE];
        if *held == node.as_ptr() {
            *held = null_mut();
            page.held -= 1;
            if page.held == 0
                && let Some(page) = place.take()
            {
                page.lay_aside();
            }
        }
    }

    fn next(&self, row: usize) -> Option<(u32, NonNull<Node>)> {
        let mut row = row;
        while let Some(place) = self.pages.get(row / PAGE) {
            let end = (row / PAGE + 1) * PAGE;
            let found = place
                .as_ref()
                .and_then(|page| (row..end).find_map(|row| Some((row as u32, NonNull::new(page.nodes[row % PAGE])?))));
            if found.is_some() {
                return found;
            }
            row = end;
        }
        None
    }
}
