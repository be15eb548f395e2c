//! A new file on a disk: a draft beside the one that it replaces.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;

use wkfast_files::Draft;

use super::{NewFile, copy_range};

/// Below so many bytes a copy by the kernel costs more in calls than it saves.
const SHORT_RUN: u64 = 1 << 16;

/// See [`wkfast_files::replace`].
#[derive(Debug)]
pub(super) struct DraftFile(pub(super) Draft);

impl Write for DraftFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.writer().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.writer().flush()
    }
}

impl Seek for DraftFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.writer().seek(to)
    }
}

impl NewFile for DraftFile {
    fn append_from(&mut self, source: &mut File, range: Range<u64>) -> io::Result<()> {
        let writer = self.0.writer();
        // Long runs are the kernel's; short ones share the buffer with their neighbours.
        if range.end - range.start < SHORT_RUN {
            return copy_range(source, range, writer);
        }
        writer.flush()?;
        copy_range(source, range, writer.get_mut())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }

    fn place(&mut self) -> io::Result<bool> {
        self.0.place()
    }

    fn remove_target(&mut self) -> io::Result<bool> {
        self.0.remove_target()
    }
}
