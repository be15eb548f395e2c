//! The threads that requests run on: made with the first request, anew in every forked child.

use std::future::Future;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// They move bytes and compute checksums; what is decoded is decoded elsewhere.
const THREADS: usize = 2;

/// Something that belongs to one process. A forked child has none of the threads of its parent, so it makes its own and
/// leaves the parent's alone: dropping it would wait for threads that do not exist.
#[derive(Debug)]
pub struct OfProcess<T>(Mutex<Option<(u32, Arc<T>)>>);

impl<T> OfProcess<T> {
    /// Nothing is made yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What this process has, made where it has none.
    pub fn get<E>(&self, create: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let process = std::process::id();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, made)) = kept.as_ref().filter(|(owner, _)| *owner == process) {
            return Ok(Arc::clone(made));
        }
        let made = Arc::new(create()?);
        mem::forget(kept.replace((process, Arc::clone(&made))));
        Ok(made)
    }
}

impl<T> Default for OfProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for OfProcess<T> {
    fn drop(&mut self) {
        let kept = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((owner, made)) = kept
            && owner != std::process::id()
        {
            mem::forget(made);
        }
    }
}

static RUNTIME: OfProcess<Runtime> = OfProcess::new();

/// The runtime of this process.
pub fn runtime() -> io::Result<Arc<Runtime>> {
    RUNTIME.get(|| {
        // The one provider of TLS that is compiled in; who installed another one keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Builder::new_multi_thread().worker_threads(THREADS).thread_name("wkfast-io").enable_all().build()
    })
}

fn ends() -> &'static watch::Sender<u64> {
    static ENDS: OnceLock<watch::Sender<u64>> = OnceLock::new();
    ENDS.get_or_init(|| watch::Sender::new(0))
}

/// Ends all requests of this process that are under way. For signals, which are sent to a process and not to one of its
/// threads.
pub fn end_requests() {
    ends().send_modify(|count| *count += 1);
}

/// How often requests have been ended.
pub fn ends_so_far() -> u64 {
    *ends().borrow()
}

/// Runs `work` to its end; `None` if requests are ended before.
pub fn wait_for<T>(work: impl Future<Output = T>) -> io::Result<Option<T>> {
    let mut end = ends().subscribe();
    Ok(runtime()?.block_on(async {
        tokio::select! {
            done = work => Some(done),
            _ = end.changed() => None,
        }
    }))
}
