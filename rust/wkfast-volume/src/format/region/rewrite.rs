//! A shard that takes the place of another: new chunks where there are some, else what the old one has.

use std::fs::File;
use std::ops::Range;

use super::old::OldShard;
use crate::error::{Result, VolumeError};
use crate::format::{MagArray, ShardFile, ShardWriter};
use crate::store;

/// Bytes of old chunks that are read at once where there is no file to copy from, unless a single one has more.
const FETCHED: u64 = 16 << 20;

/// A shard while it is written, front to back.
pub(super) struct Rewrite<'a> {
    array: &'a dyn MagArray,
    old: Option<&'a OldShard>,
    /// The old file, to copy from.
    source: Option<File>,
    writer: Box<dyn ShardWriter + 'a>,
    /// Places in the order in which they are written.
    order: Vec<u32>,
    /// By place: whether a new chunk comes.
    touched: Vec<bool>,
    /// Places of `order` that are written.
    written: usize,
    /// Whether any chunk is present so far.
    present: bool,
}

impl<'a> Rewrite<'a> {
    pub(super) fn start(
        array: &'a dyn MagArray,
        old: Option<&'a OldShard>,
        file: &'a mut dyn ShardFile,
        is_touched: impl Fn(u32) -> bool,
    ) -> Result<Self> {
        let mut writer = array.shard_writer(file)?;
        let mut source = None;
        if let Some(old) = old {
            // The order of the old file, so that what is kept is copied in long runs.
            let table = &old.table;
            let mut places: Vec<u32> = (0..table.spans.len() as u32).collect();
            places.sort_by_key(|&place| table.spans[place as usize].as_ref().map_or(u64::MAX, |span| span.start));
            writer.prefer_order(places)?;
            source = store::open_file(&**array.store(), &table.key)?;
        }
        let order = writer.order().to_vec();
        let touched = (0..order.len() as u32).map(is_touched).collect();
        Ok(Self { array, old, source, writer, order, touched, written: 0, present: false })
    }

    /// The places for which [`write`](Self::write) is to be called, in that order.
    pub(super) fn touched(&self) -> Vec<u32> {
        self.order.iter().copied().filter(|&place| self.touched[place as usize]).collect()
    }

    /// Writes a new chunk, and before it all old ones that come earlier.
    pub(super) fn write(&mut self, place: u32, encoded: Option<&[u8]>) -> Result<()> {
        while self.order[self.written] != place {
            self.keep()?;
        }
        self.append(encoded)
    }

    /// Writes the remaining old chunks and the index; tells whether the shard holds any chunk.
    pub(super) fn finish(mut self) -> Result<bool> {
        while self.written < self.order.len() {
            self.keep()?;
        }
        self.writer.finish()?;
        Ok(self.present)
    }

    /// Writes the next old chunk, with those after it that lie behind it in the old file as well.
    fn keep(&mut self) -> Result<()> {
        let run = self.run();
        let (Some(old), Some(first)) = (self.old, run.first()) else { return self.append(None) };
        if old.table.codec.encoding() != self.array.codec().encoding() {
            let encoded = self.recode(old, self.order[self.written], first.clone())?;
            return self.append(Some(&encoded));
        }
        self.present = true;
        if let Some(source) = &mut self.source {
            self.writer.append_run(source, &run)?;
            self.written += run.len();
            return Ok(());
        }
        self.fetch(old, &run)
    }

    /// Reads old chunks that lie back to back at once, as many as fit, and writes them: each request takes its time.
    fn fetch(&mut self, old: &OldShard, run: &[Range<u64>]) -> Result<()> {
        let start = run[0].start;
        let fitting = run.iter().take_while(|span| span.end - start <= FETCHED).count().max(1);
        let run = &run[..fitting];
        old.read(self.array, start..run[fitting - 1].end, |bytes| {
            let part = |span: &Range<u64>| &bytes[(span.start - start) as usize..(span.end - start) as usize];
            run.iter().try_for_each(|span| self.append(Some(part(span))))
        })
    }

    /// Spans of old chunks from the next place on, back to back; none where that is absent.
    fn run(&self) -> Vec<Range<u64>> {
        let mut run: Vec<Range<u64>> = Vec::new();
        for &place in &self.order[self.written..] {
            let span = self.old.and_then(|old| old.table.spans[place as usize].clone());
            match span {
                Some(span) if !self.touched[place as usize] && run.last().is_none_or(|last| last.end == span.start) => {
                    run.push(span);
                }
                _ => break,
            }
        }
        run
    }

    /// A chunk of a file whose codec differs from its mag's, as WKW files may.
    fn recode(&self, old: &OldShard, place: u32, span: Range<u64>) -> Result<Vec<u8>> {
        let mut voxels = vec![0; self.array.grid().chunk_bytes()];
        let codec = &*old.table.codec;
        old.read(self.array, span, |encoded| {
            codec.decode(encoded, &mut voxels).and_then(|()| self.array.codec().encode(&voxels)).map_err(|reason| {
                let file = self.array.store().describe(&old.table.key);
                VolumeError::corrupt(file, format!("chunk at place {place}: {reason}"))
            })
        })
    }

    fn append(&mut self, encoded: Option<&[u8]>) -> Result<()> {
        self.writer.append(encoded)?;
        self.present |= encoded.is_some();
        self.written += 1;
        Ok(())
    }
}
