//! The threads that requests run on: made with the first request, anew in every forked child.

use std::future::Future;
use std::mem;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use wkfast_volume::VolumeError;
use wkfast_volume::error::Result;

/// They move bytes and compute checksums; what is decoded is decoded elsewhere.
const THREADS: usize = 2;

/// Something that belongs to one process. A forked child has none of the threads of its parent, so it makes its own and
/// leaves the parent's alone: dropping it would wait for threads that do not exist.
#[derive(Debug)]
pub(crate) struct OfProcess<T>(Mutex<Option<(u32, Arc<T>)>>);

impl<T> OfProcess<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What this process has, made where it has none.
    pub(crate) fn get(&self, create: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
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

pub(crate) fn runtime() -> Result<Arc<Runtime>> {
    RUNTIME.get(|| {
        // The one provider of TLS that is compiled in; who installed another one keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Builder::new_multi_thread().worker_threads(THREADS).thread_name("wkfast-io").enable_all().build();
        builder.map_err(|error| VolumeError::io("requests", error))
    })
}

fn ends() -> &'static watch::Sender<u64> {
    static ENDS: OnceLock<watch::Sender<u64>> = OnceLock::new();
    ENDS.get_or_init(|| watch::Sender::new(0))
}

/// Ends all requests of this process that are under way: they fail with [`VolumeError::Interrupted`]. For signals, which
/// are sent to a process and not to one of its threads.
pub fn end_requests() {
    ends().send_modify(|count| *count += 1);
}

/// How often requests have been ended.
pub(crate) fn ends_so_far() -> u64 {
    *ends().borrow()
}

/// Runs `work` to its end, or until requests are ended.
pub(crate) fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut end = ends().subscribe();
    runtime()?.block_on(async {
        tokio::select! {
            done = work => done,
            _ = end.changed() => Err(VolumeError::Interrupted),
        }
    })
}
