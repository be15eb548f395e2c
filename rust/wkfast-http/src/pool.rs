//! Connections that are kept for the next request, by server and by who is asking: nobody gets another's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::route::Route;
use crate::shares::{Share, Shares};

/// Connections of one route that stay open while nothing is read.
pub(crate) const KEPT: usize = 16;
/// Idle connections over all servers and users: a service speaks for many.
pub(crate) const MOST_IDLE: usize = 512;
/// From so many connections on, a batch opens more only while it waits for the server.
const CAUTIOUS: usize = 64;

/// Connections that lie idle, and how many there may be.
pub(crate) struct Pool {
    state: Mutex<State>,
    shares: Arc<Shares>,
    /// How long the connections that a wide read leaves stay open.
    surplus: Duration,
}

#[derive(Default)]
struct State {
    /// The route that was first to leave a connection comes first, and of its connections the oldest.
    idle: Vec<(Route, Vec<Connection>)>,
    widths: HashMap<String, usize>,
    used: Option<Instant>,
    is_closer_under_way: bool,
    is_closed: bool,
}

impl Pool {
    pub(crate) fn new(surplus: Duration) -> Self {
        Self { state: Mutex::default(), shares: Arc::default(), surplus }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that lay idle and is still open.
    pub(crate) async fn idle(&self, route: &Route) -> Option<Connection> {
        loop {
            let mut connection = self.state().take(route)?;
            if connection.is_free().await {
                return Some(connection);
            }
        }
    }

    /// Takes a connection back.
    pub(crate) fn keep(&self, route: &Route, connection: Connection) {
        let mut state = self.state();
        if !state.is_closed {
            state.put(route, connection);
            let surplus = state.beyond(MOST_IDLE);
            drop(state);
            drop(surplus);
        }
    }

    /// How many lie idle, by origin.
    pub(crate) fn count(&self) -> Vec<(String, usize)> {
        self.state().idle.iter().map(|(route, connections)| (route.origin().to_owned(), connections.len())).collect()
    }

    /// Closes what lies idle, and what is in use when it is done.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
    }

    /// Connections for a batch that may have a use for `wanted`: its share of all there may be, at first up to `first`.
    pub(crate) fn reserve(self: &Arc<Self>, wanted: usize, first: usize) -> Reserved {
        Reserved { pool: Arc::clone(self), share: self.shares.take(wanted, first) }
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
            let is_in_use = pool.shares.are_taken();
            if rest.is_zero() || is_in_use {
                // one that is under way starts this anew at its end
                state.is_closer_under_way = false;
                let surplus = if is_in_use { Vec::new() } else { state.surplus() };
                drop(state);
                drop(surplus);
                return;
            }
            pause = rest;
        }
    }
}

impl State {
    fn take(&mut self, route: &Route) -> Option<Connection> {
        let place = self.idle.iter().position(|(kept, _)| kept == route)?;
        let connection = self.idle[place].1.pop();
        if self.idle[place].1.is_empty() {
            self.idle.remove(place);
        }
        connection
    }

    fn put(&mut self, route: &Route, connection: Connection) {
        match self.idle.iter_mut().find(|(kept, _)| kept == route) {
            Some((_, connections)) => connections.push(connection),
            None => self.idle.push((route.clone(), vec![connection])),
        }
    }

    /// The oldest connection of the route that was first to leave one, if there are too many.
    fn beyond(&mut self, most: usize) -> Option<Connection> {
        if self.idle.iter().map(|(_, connections)| connections.len()).sum::<usize>() <= most {
            return None;
        }
        let oldest = self.idle[0].1.remove(0);
        if self.idle[0].1.is_empty() {
            self.idle.remove(0);
        }
        Some(oldest)
    }

    fn surplus(&mut self) -> Vec<Connection> {
        self.idle.iter_mut().flat_map(|(_, connections)| connections.split_off(connections.len().min(KEPT))).collect()
    }
}

/// Connections that one batch may have.
pub(crate) struct Reserved {
    pool: Arc<Pool>,
    pub(crate) share: Share,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.share.give_back();
        let mut state = self.pool.state();
        state.used = Some(Instant::now());
        let is_wide = state.idle.iter().any(|(_, connections)| connections.len() > KEPT);
        if is_wide && !state.is_closer_under_way && !state.is_closed {
            // Without a runtime nothing is left to be closed.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                state.is_closer_under_way = true;
                runtime.spawn(Pool::close_surplus(Arc::downgrade(&self.pool), self.pool.surplus));
            }
        }
    }
}
