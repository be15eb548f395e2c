//! The trees of a file one by one.

use std::io::Read;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use pyo3::prelude::*;
use wkfast_nml::TreeStream as Trees;
use wkfast_nml::model::{Header, Tree};

use super::document::{NewTreeItem, to_item};
use super::header::header_record;
use super::limits::read_options;
use crate::errors::CoreError;
use crate::file_at::FileAt;

/// What a thread of its own makes, one ahead of whoever takes it.
pub(super) struct Feed<T>(Mutex<Receiver<T>>);

/// Where that thread puts it.
pub(super) struct Outlet<T>(SyncSender<T>);

impl<T: Send + 'static> Feed<T> {
    /// `make` ends when nobody takes any more.
    pub(super) fn new(make: impl FnOnce(&Outlet<T>) + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel(0);
        std::thread::spawn(move || make(&Outlet(sender)));
        Self(Mutex::new(receiver))
    }

    /// The next one, `None` after the last. Ctrl-C is seen ten times a second.
    pub(super) fn receive(&self, py: Python<'_>) -> PyResult<Option<T>> {
        loop {
            match py.detach(|| lock(&self.0).recv_timeout(Duration::from_millis(100))) {
                Ok(made) => return Ok(Some(made)),
                Err(RecvTimeoutError::Timeout) => py.check_signals()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }
}

impl<T> Outlet<T> {
    /// Waits until it is taken; `false` if nobody takes any more.
    pub(super) fn send(&self, made: T) -> bool {
        self.0.send(made).is_ok()
    }
}

enum Message {
    /// A tree, and the header as far as it was read.
    Tree(Box<Tree>, Option<Box<Header>>),
    End(Box<Header>),
    Failed(CoreError),
}

/// Trees read ahead by one on a thread of its own, so memory is bounded by the two largest.
#[pyclass(module = "wkfast._core", frozen)]
pub(crate) struct TreeStream {
    messages: Feed<Message>,
    header: Mutex<Header>,
}

#[pymethods]
impl TreeStream {
    #[new]
    #[pyo3(signature = (path, member=None))]
    fn new(path: FileAt, member: Option<String>) -> Self {
        let messages = Feed::new(move |outlet| {
            let sent = path.with_bytes(member.as_deref(), |text, name| send_trees(text, name, outlet));
            if let Err(error) = sent {
                outlet.send(Message::Failed(error));
            }
        });
        Self { messages, header: Mutex::default() }
    }

    /// Everything but trees, as far as it was read.
    #[getter]
    fn header(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        header_record(py, lock(&self.header).clone())
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Result<Option<NewTreeItem<'py>>, CoreError> {
        match self.messages.receive(py)? {
            Some(Message::Tree(tree, header)) => {
                if let Some(header) = header {
                    *lock(&self.header) = *header;
                }
                Ok(Some(to_item(py, *tree)?))
            }
            Some(Message::End(header)) => {
                *lock(&self.header) = *header;
                Ok(None)
            }
            Some(Message::Failed(error)) => Err(error),
            None => Ok(None),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn send_trees(input: &mut dyn Read, path: &Path, outlet: &Outlet<Message>) -> Result<(), CoreError> {
    let mut trees = Trees::new(input, read_options()?);
    let mut first = true;
    while let Some(tree) = trees.next() {
        let tree = tree.map_err(CoreError::nml(path))?;
        let header = std::mem::take(&mut first).then(|| Box::new(trees.header().clone()));
        if !outlet.send(Message::Tree(Box::new(tree), header)) {
            return Ok(());
        }
    }
    // A stream that was dropped needs no end.
    outlet.send(Message::End(Box::new(trees.header().clone())));
    Ok(())
}
