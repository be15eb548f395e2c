//! Writing files and objects that are there as a whole or not at all: a bare NML, an annotation zip.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyList;
use wkfast_files::zip::{Archive, Packed, Sums, ZipWriter};

use super::document::{Detached, Outgoing, check_signals};
use crate::errors::CoreError;
use crate::file_at::{FileAt, ObjectAt};
use crate::files::lock;
use crate::patience::{attached, away};

/// What can be written to and gone back in.
trait Out: Write + Seek {}

impl<T: Write + Seek> Out for T {}

/// Where the content of a zip member comes from.
#[derive(FromPyObject)]
pub(crate) enum Source {
    Bytes(PyBackedBytes),
    /// A file, or a member of a zip file.
    File(FileAt, Option<String>),
}

/// Write an NML file. What was at the path stays until the new file is complete. `observer` is told of the bytes that were
/// written.
#[pyfunction]
#[pyo3(signature = (path, header, trees, observer=None))]
pub(crate) fn write_nml<'py>(
    py: Python<'py>,
    path: FileAt,
    header: &Bound<'py, PyAny>,
    trees: &Bound<'py, PyList>,
    observer: Option<Py<PyAny>>,
) -> Result<(), CoreError> {
    let document = Outgoing::take(header, trees)?;
    let (detached, shown) = (document.detached(), path.shown());
    replace(py, &path, observer, |file| {
        let mut out = BufWriter::with_capacity(1 << 16, file);
        detached.write(&mut out).map_err(CoreError::nml(&shown))?;
        out.flush().map_err(CoreError::io(&shown))
    })
}

/// Write an annotation zip: the NML, deflated, and members copied from elsewhere, from zip files without inflating.
#[pyfunction]
#[pyo3(signature = (path, nml_name, header, trees, members, observer=None))]
pub(crate) fn write_annotation_zip<'py>(
    py: Python<'py>,
    path: FileAt,
    nml_name: &str,
    header: &Bound<'py, PyAny>,
    trees: &Bound<'py, PyList>,
    members: Vec<(String, Source)>,
    observer: Option<Py<PyAny>>,
) -> Result<(), CoreError> {
    let document = Outgoing::take(header, trees)?;
    let (detached, shown) = (document.detached(), path.shown());
    replace(py, &path, observer, |file| fill_zip(file, &shown, nml_name, &detached, &members))
}

fn fill_zip(
    file: &mut dyn Out,
    path: &Path,
    nml_name: &str,
    document: &Detached<'_>,
    members: &[(String, Source)],
) -> Result<(), CoreError> {
    let mut archive = ZipWriter::new(BufWriter::with_capacity(1 << 20, file));
    // The one member whose header is gone back to: it is the first, which an object in parts keeps for that.
    let text = archive.stream(nml_name, true, document.size_hint(), |out| document.write(out));
    text.map_err(CoreError::io(path))?.map_err(CoreError::nml(path))?;
    // Held until the next is open, so that no archive is opened again for each of its members.
    let mut held = None;
    for (name, source) in members {
        held = add_member(&mut archive, path, name, source)?.or(held);
        check_signals(0).map_err(|error| CoreError::io(path)(io::Error::other(error)))?;
    }
    archive.finish().map(drop).map_err(CoreError::io(path))
}

/// Returns the archive that the member was copied from, if it is from one.
fn add_member<W: Write>(
    archive: &mut ZipWriter<W>,
    path: &Path,
    name: &str,
    source: &Source,
) -> Result<Option<Arc<Archive>>, CoreError> {
    match source {
        Source::Bytes(data) => {
            let packed = Packed::new(data).map_err(CoreError::io(path))?;
            archive.add(name, &packed).map_err(CoreError::io(path))?;
            Ok(None)
        }
        // What is put in as a file is an archive itself: left as it is, it can be read in place.
        Source::File(from, None) => {
            let sums = from.with_bytes(None, |bytes, from| Sums::of(bytes).map_err(CoreError::io(from)))?;
            from.with_bytes(None, |bytes, _| archive.store(name, &sums, bytes).map_err(CoreError::io(path)))?;
            Ok(None)
        }
        Source::File(from, Some(member)) => {
            let source = from.open_zip()?;
            archive.copy(&source, member, name).map_err(CoreError::zip(path, source.describe(member)))?;
            Ok(Some(source))
        }
    }
}

/// Makes a file anew, as a whole or not at all. Messages name the file that was asked for.
fn replace(
    py: Python<'_>,
    file: &FileAt,
    observer: Option<Py<PyAny>>,
    write: impl FnOnce(&mut dyn Out) -> Result<(), CoreError> + Send,
) -> Result<(), CoreError> {
    match file {
        FileAt::Near(path) => py.detach(|| replace_file(path, observer, write)),
        FileAt::Far(object) => away(py, || replace_object(object, &file.shown(), observer, write))?,
    }
}

/// Writes a file beside its final name, syncs it, and moves it there.
fn replace_file(
    path: &Path,
    observer: Option<Py<PyAny>>,
    write: impl FnOnce(&mut dyn Out) -> Result<(), CoreError>,
) -> Result<(), CoreError> {
    // A link stays a link; what it points to is replaced.
    let target = if path.is_symlink() { fs::canonicalize(path).map_err(CoreError::io(path))? } else { path.to_owned() };
    let mut draft = lock(&target, path)?;
    let file = draft.file();
    let mut out = WriteBehind::new(file, Some(file), observer);
    write(&mut out)?;
    out.tell().map_err(CoreError::io(path))?;
    let placed = draft.place_durably().map_err(CoreError::io(path))?;
    if placed { Ok(()) } else { Err(CoreError::Io(path.to_owned(), io::ErrorKind::NotFound.into())) }
}

/// Sends an object in parts; it is there with the last of them.
fn replace_object(
    object: &ObjectAt,
    shown: &Path,
    observer: Option<Py<PyAny>>,
    write: impl FnOnce(&mut dyn Out) -> Result<(), CoreError>,
) -> Result<(), CoreError> {
    let mut upload = object.upload()?;
    let mut out = WriteBehind::new(&mut *upload, None, observer);
    write(&mut out)?;
    out.tell().map_err(CoreError::io(shown))?;
    upload.finish().map(drop).map_err(CoreError::io(shown))
}

/// A file being written whose text goes to the disk while more is made, so that little is left for syncing to wait for.
/// Ctrl-C ends it.
struct WriteBehind<'f, W> {
    out: W,
    /// Where that is a file on a disk.
    file: Option<&'f File>,
    /// Bytes written, and those of them that are on their way to the disk.
    written: u64,
    sent: u64,
    /// Called in Python with the bytes written and `None`: how many there will be is not known.
    observer: Option<Py<PyAny>>,
}

/// Bytes sent to the disk at once.
const SENT_AT_ONCE: u64 = 4 << 20;

impl<'f, W> WriteBehind<'f, W> {
    fn new(out: W, file: Option<&'f File>, observer: Option<Py<PyAny>>) -> Self {
        Self { out, file, written: 0, sent: 0, observer }
    }

    fn send(&mut self) -> io::Result<()> {
        if let Some(file) = self.file {
            start_writing_back(file, self.sent, self.written - self.sent);
        }
        self.sent = self.written;
        check_signals(0).map_err(io::Error::other)?;
        self.tell()
    }

    /// Whatever the observer raises ends the writing.
    fn tell(&self) -> io::Result<()> {
        let Some(observer) = &self.observer else { return Ok(()) };
        let told = attached(|py| observer.call1(py, (self.written, py.None())).map(drop));
        told.map_err(io::Error::other)
    }
}

impl<W: Write> Write for WriteBehind<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
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
impl<W: Seek> Seek for WriteBehind<'_, W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.written = self.out.seek(to)?;
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
