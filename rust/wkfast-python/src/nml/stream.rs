//! The trees of a file one by one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use pyo3::prelude::*;
use wkfast_nml::model::{Header, Tree};
use wkfast_nml::{ReadOptions, TreeStream as Trees};

use super::document::{NewTreeItem, open_zip, to_item};
use super::header::header_record;
use crate::errors::CoreError;

enum Message {
    /// A tree, and the header as far as it was read.
    Tree(Box<Tree>, Option<Box<Header>>),
    End(Box<Header>),
    Failed(CoreError),
}

/// Trees read ahead by one on a thread of its own, so memory is bounded by the two largest.
#[pyclass(module = "wkfast._core", frozen)]
pub(crate) struct TreeStream {
    messages: Mutex<Option<Receiver<Message>>>,
    header: Mutex<Header>,
}

#[pymethods]
impl TreeStream {
    #[new]
    #[pyo3(signature = (path, member=None))]
    fn new(path: PathBuf, member: Option<String>) -> Self {
        let (sender, messages) = sync_channel(0);
        std::thread::spawn(move || {
            if let Err(error) = read(&path, member.as_deref(), &sender) {
                // Nobody listens any more: the stream was dropped.
                let _ = sender.send(Message::Failed(error));
            }
        });
        Self { messages: Mutex::new(Some(messages)), header: Mutex::default() }
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
        match self.receive(py)? {
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

impl TreeStream {
    /// The next message, `None` after the last one. Ctrl-C is seen ten times a second.
    fn receive(&self, py: Python<'_>) -> PyResult<Option<Message>> {
        loop {
            let received = py.detach(|| {
                let mut messages = lock(&self.messages);
                let received = messages.as_ref().map(|messages| messages.recv_timeout(Duration::from_millis(100)));
                if !matches!(received, Some(Ok(Message::Tree(..)) | Err(RecvTimeoutError::Timeout))) {
                    *messages = None;
                }
                received
            });
            match received {
                Some(Ok(message)) => return Ok(Some(message)),
                Some(Err(RecvTimeoutError::Timeout)) => py.check_signals()?,
                Some(Err(RecvTimeoutError::Disconnected)) | None => return Ok(None),
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn read(path: &Path, member: Option<&str>, sender: &SyncSender<Message>) -> Result<(), CoreError> {
    let Some(member) = member else {
        return send_trees(File::open(path).map_err(CoreError::io(path))?, path, sender);
    };
    let archive = open_zip(path)?;
    let name = archive.describe(member);
    let text = archive.reader(member).map_err(CoreError::zip(path, &name))?;
    send_trees(text, Path::new(&name), sender)
}

fn send_trees(input: impl Read, path: &Path, sender: &SyncSender<Message>) -> Result<(), CoreError> {
    let mut trees = Trees::new(input, ReadOptions::default());
    let mut first = true;
    while let Some(tree) = trees.next() {
        let tree = tree.map_err(CoreError::nml(path))?;
        let header = std::mem::take(&mut first).then(|| Box::new(trees.header().clone()));
        if sender.send(Message::Tree(Box::new(tree), header)).is_err() {
            return Ok(());
        }
    }
    // A stream that was dropped needs no end.
    let _ = sender.send(Message::End(Box::new(trees.header().clone())));
    Ok(())
}
