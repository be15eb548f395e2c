//! Connections that are kept for the next request, by server and by who is asking: nobody gets another's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::route::Route;
use crate::wire::Wire;

/// Connections that all batches of a client may have together.
pub(crate) const MOST: usize = 256;
/// Connections of one route that stay open while nothing is read.
pub(crate) const KEPT: usize = 16;
/// Idle connections over all servers and users: a service speaks for many.
pub(crate) const MOST_IDLE: usize = 512;
/// From so many connections on, a batch opens more only while it waits for the server.
const CAUTIOUS: usize = 64;

/// Connections that lie idle, and how many there may be.
pub(crate) struct Pool {
    state: Mutex<State>,
    /// How long the connections that a wide read leaves stay open.
    surplus: Duration,
}

#[derive(Default)]
struct State {
    /// The route that was first to leave a connection comes first, and of its connections the oldest.
    idle: Vec<(Route, Vec<Wire>)>,
    reserved: usize,
    widths: HashMap<String, usize>,
    used: Option<Instant>,
    is_closer_under_way: bool,
    is_closed: bool,
}

impl Pool {
    pub(crate) fn new(surplus: Duration) -> Self {
        Self { state: Mutex::default(), surplus }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that lay idle and is still open.
    pub(crate) async fn idle(&self, route: &Route) -> Option<Wire> {
        loop {
            let mut wire = self.state().take(route)?;
            if wire.is_free().await {
                return Some(wire);
            }
        }
    }

    /// Takes a connection back.
    pub(crate) fn keep(&self, route: &Route, wire: Wire) {
        let mut state = self.state();
        if !state.is_closed {
            state.put(route, wire);
            let surplus = state.beyond(MOST_IDLE);
            drop(state);
            drop(surplus);
        }
    }

    /// How many lie idle, by origin.
    pub(crate) fn count(&self) -> Vec<(String, usize)> {
        self.state().idle.iter().map(|(route, wires)| (route.origin().to_owned(), wires.len())).collect()
    }

    /// Closes what lies idle, and what is in use when it is done.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
    }

    /// How many connections a batch may have: what others leave of all there may be, at least one.
    pub(crate) fn reserve(self: &Arc<Self>, wanted: usize) -> Reserved {
        let mut state = self.state();
        let granted = wanted.min(MOST.saturating_sub(state.reserved)).max(1);
        state.reserved += granted;
        drop(state);
        Reserved { pool: Arc::clone(self), granted }
    }

    /// How many connections to a server served the last batch well; few before the first.
    pub(crate) fn width(&self, origin: &str) -> usize {
        self.state().widths.get(origin).copied().unwrap_or(CAUTIOUS)
    }

    pub(crate) fn note_width(&self, origin: &str, width: usize) {
        let width = width.max(self.width(origin));
        self.state().widths.insert(origin.to_owned(), width);
    }

    /// Closes all but a few of those that lie idle, once nothing has been read for a while.
    async fn close_surplus(pool: Weak<Self>, mut pause: Duration) {
        loop {
            tokio::time::sleep(pause).await;
            let Some(pool) = pool.upgrade() else { return };
            let mut state = pool.state();
            let rest = state.used.map_or(Duration::ZERO, |used| pool.surplus.saturating_sub(used.elapsed()));
            if rest.is_zero() || state.reserved > 0 {
                // one that is under way starts this anew at its end
                state.is_closer_under_way = false;
                let surplus = if state.reserved > 0 { Vec::new() } else { state.surplus() };
                drop(state);
                drop(surplus);
                return;
            }
            pause = rest;
        }
    }
}

impl State {
    fn take(&mut self, route: &Route) -> Option<Wire> {
        let place = self.idle.iter().position(|(kept, _)| kept == route)?;
        let wire = self.idle[place].1.pop();
        if self.idle[place].1.is_empty() {
            self.idle.remove(place);
        }
        wire
    }

    fn put(&mut self, route: &Route, wire: Wire) {
        match self.idle.iter_mut().find(|(kept, _)| kept == route) {
            Some((_, wires)) => wires.push(wire),
            None => self.idle.push((route.clone(), vec![wire])),
        }
    }

    /// The oldest connection of the route that was first to leave one, if there are too many.
    fn beyond(&mut self, most: usize) -> Option<Wire> {
        if self.idle.iter().map(|(_, wires)| wires.len()).sum::<usize>() <= most {
            return None;
        }
        let oldest = self.idle[0].1.remove(0);
        if self.idle[0].1.is_empty() {
            self.idle.remove(0);
        }
        Some(oldest)
    }

    fn surplus(&mut self) -> Vec<Wire> {
        self.idle.iter_mut().flat_map(|(_, wires)| wires.split_off(wires.len().min(KEPT))).collect()
    }
}

/// Connections that one batch may have.
pub(crate) struct Reserved {
    pool: Arc<Pool>,
    pub(crate) granted: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.reserved -= self.granted;
        state.used = Some(Instant::now());
        let is_wide = state.idle.iter().any(|(_, wires)| wires.len() > KEPT);
        if is_wide && !state.is_closer_under_way && !state.is_closed {
            // Without a runtime nothing is left to be closed.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                state.is_closer_under_way = true;
                runtime.spawn(Pool::close_surplus(Arc::downgrade(&self.pool), self.pool.surplus));
            }
        }
    }
}
