//! Writing files that are there as a whole or not at all: a bare NML, an annotation zip.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyList;
use wkfast_files::zip::ZipWriter;

use super::document::{Detached, Outgoing, check_signals, open_zip};
use crate::errors::CoreError;
use crate::files::lock;

/// Where the content of a zip member comes from.
#[derive(FromPyObject)]
pub(crate) enum Source {
    Bytes(PyBackedBytes),
    /// A file, or a member of a zip file.
    File(PathBuf, Option<String>),
}

/// Write an NML file. What was at the path stays until the new file is complete. `observer` is told of the bytes that were
/// written.
#[pyfunction]
#[pyo3(signature = (path, header, trees, observer=None))]
pub(crate) fn write_nml<'py>(
    py: Python<'py>,
    path: PathBuf,
    header: &Bound<'py, PyAny>,
    trees: &Bound<'py, PyList>,
    observer: Option<Py<PyAny>>,
) -> Result<(), CoreError> {
    let document = Outgoing::take(header, trees)?;
    let detached = document.detached();
    py.detach(|| {
        replace(&path, observer, |file| {
            let mut out = BufWriter::with_capacity(1 << 16, file);
            detached.write(&mut out).map_err(CoreError::nml(&path))?;
            out.flush().map_err(CoreError::io(&path))
        })
    })
}

/// Write an annotation zip: the NML, deflated, and members copied from elsewhere, from zip files without inflating.
#[pyfunction]
#[pyo3(signature = (path, nml_name, header, trees, members, observer=None))]
pub(crate) fn write_annotation_zip<'py>(
    py: Python<'py>,
    path: PathBuf,
    nml_name: &str,
    header: &Bound<'py, PyAny>,
    trees: &Bound<'py, PyList>,
    members: Vec<(String, Source)>,
    observer: Option<Py<PyAny>>,
) -> Result<(), CoreError> {
    let document = Outgoing::take(header, trees)?;
    let detached = document.detached();
    py.detach(|| replace(&path, observer, |file| fill_zip(file, &path, nml_name, &detached, &members)))
}

fn fill_zip(
    file: &mut WriteBehind<'_>,
    path: &Path,
    nml_name: &str,
    document: &Detached<'_>,
    members: &[(String, Source)],
) -> Result<(), CoreError> {
    let mut archive = ZipWriter::new(BufWriter::with_capacity(1 << 20, file));
    let text = archive.stream(nml_name, true, document.size_hint(), |out| document.write(out));
    text.map_err(CoreError::io(path))?.map_err(CoreError::nml(path))?;
    for (name, source) in members {
        add_member(&mut archive, path, name, source)?;
        check_signals(0).map_err(|error| CoreError::io(path)(io::Error::other(error)))?;
    }
    archive.finish().map(drop).map_err(CoreError::io(path))
}

fn add_member<W: Write + Seek>(
    archive: &mut ZipWriter<W>,
    path: &Path,
    name: &str,
    source: &Source,
) -> Result<(), CoreError> {
    match source {
        Source::Bytes(data) => {
            let written = archive.stream(name, true, data.len() as u64, |out| out.write_all(data));
            written.and_then(|filled| filled).map_err(CoreError::io(path))
        }
        Source::File(from, None) => {
            let opened = wkfast_files::open(from).and_then(|file| file.ok_or_else(|| io::ErrorKind::NotFound.into()));
            let mut file = opened.map_err(CoreError::io(from))?;
            let size = file.metadata().map_err(CoreError::io(from))?.len();
            // What is put in as a file is an archive itself: left as it is, it can be read in place.
            let written = archive.stream(name, false, size, |out| io::copy(&mut file, out).map(drop));
            written.map_err(CoreError::io(path))?.map_err(CoreError::io(from))
        }
        Source::File(from, Some(member)) => {
            // Whoever loaded the annotation has it open, so that it is not opened again for every member.
            let source = open_zip(from)?;
            archive.copy(&source, member, name).map_err(CoreError::zip(path, source.describe(member)))
        }
    }
}

/// Writes a file beside its final name, syncs it, and moves it there. Messages name the file that was asked for.
fn replace(
    path: &Path,
    observer: Option<Py<PyAny>>,
    write: impl FnOnce(&mut WriteBehind<'_>) -> Result<(), CoreError>,
) -> Result<(), CoreError> {
    // A link stays a link; what it points to is replaced.
    let target = if path.is_symlink() { fs::canonicalize(path).map_err(CoreError::io(path))? } else { path.to_owned() };
    let mut draft = lock(&target, path)?;
    let mut file = WriteBehind::new(draft.file(), observer);
    write(&mut file)?;
    file.tell().map_err(CoreError::io(path))?;
    let placed = draft.place_durably().map_err(CoreError::io(path))?;
    if placed { Ok(()) } else { Err(CoreError::Io(path.to_owned(), io::ErrorKind::NotFound.into())) }
}

/// A file being written whose text goes to the disk while more is made, so that little is left for syncing to wait for.
/// Ctrl-C ends it.
struct WriteBehind<'f> {
    file: &'f File,
    /// Bytes written, and those of them that are on their way to the disk.
    written: u64,
    sent: u64,
    /// Called in Python with the bytes written and `None`: how many there will be is not known.
    observer: Option<Py<PyAny>>,
}

/// Bytes sent to the disk at once.
const SENT_AT_ONCE: u64 = 4 << 20;

impl<'f> WriteBehind<'f> {
    fn new(file: &'f File, observer: Option<Py<PyAny>>) -> Self {
        Self { file, written: 0, sent: 0, observer }
    }

    fn send(&mut self) -> io::Result<()> {
        start_writing_back(self.file, self.sent, self.written - self.sent);
        self.sent = self.written;
        check_signals(0).map_err(io::Error::other)?;
        self.tell()
    }

    /// Whatever the observer raises ends the writing.
    fn tell(&self) -> io::Result<()> {
        let Some(observer) = &self.observer else { return Ok(()) };
        let told = Python::attach(|py| observer.call1(py, (self.written, py.None())).map(drop));
        told.map_err(io::Error::other)
    }
}

impl Write for WriteBehind<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        if self.written >= self.sent + SENT_AT_ONCE {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Zip writers go back to fill in sizes; what they change is sent by the final sync.
impl Seek for WriteBehind<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.written = self.file.seek(to)?;
        self.sent = self.sent.max(self.written);
        Ok(self.written)
    }
}

/// Asks the system to begin writing a range to the disk. A hint: the final sync is what makes the file safe.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // see below
fn start_writing_back(file: &File, offset: u64, bytes: u64) {
    let (offset, bytes) = (offset as i64, bytes as i64);
    // SAFETY: a system call on an open file; no memory is passed.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, bytes, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(not(target_os = "linux"))]
fn start_writing_back(_: &File, _: u64, _: u64) {}
