//! Bytes per second of the NML reader and writer, beside what limits them: a plain read of the file, a search for every `<`,
//! and a general XML tokeniser that only looks at the tokens.

use std::hint::black_box;
use std::io::Read;
use std::num::NonZeroUsize;

use criterion::{Criterion, Throughput};
use wkfast_benches::skeleton;
use wkfast_nml::{Document, ReadOptions, TreeStream, WriteOptions, read, read_file, write};

fn written(document: &Document, threads: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let options = WriteOptions { threads: NonZeroUsize::new(threads), ..WriteOptions::default() };
    write(document, &mut out, options).expect("written");
    out
}

fn threads(count: usize) -> ReadOptions<'static> {
    ReadOptions { threads: NonZeroUsize::new(count), ..ReadOptions::default() }
}

fn count_tags(text: &[u8]) -> usize {
    let mut reader = quick_xml::Reader::from_reader(text);
    let mut tags = 0;
    loop {
        match reader.read_event().expect("well-formed") {
            quick_xml::events::Event::Start(_) | quick_xml::events::Event::Empty(_) => tags += 1,
            quick_xml::events::Event::Eof => return tags,
            _ => {}
        }
    }
}

/// As [`count_tags`], and takes every attribute apart.
fn count_attributes(text: &[u8]) -> usize {
    let mut reader = quick_xml::Reader::from_reader(text);
    let mut attributes = 0;
    loop {
        match reader.read_event().expect("well-formed") {
            quick_xml::events::Event::Start(tag) | quick_xml::events::Event::Empty(tag) => {
                attributes += tag.attributes().flatten().count();
            }
            quick_xml::events::Event::Eof => return attributes,
            _ => {}
        }
    }
}

fn bench(criterion: &mut Criterion) {
    // The many-trees document has the size that users call large per tree; the one-tree document cannot be cut at trees.
    for (shape, trees, nodes) in [("one tree", 1, 100_000), ("1000 trees", 1000, 100), ("20000 trees", 20_000, 5)] {
        let document = skeleton(trees, nodes);
        let text = written(&document, 1);
        assert_eq!(read(text.as_slice(), ReadOptions::default()).expect("read").document, document);
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &text).expect("the file");

        let mut group = criterion.benchmark_group(format!("nml, {shape}"));
        group.sample_size(10).throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("limit: plain read", |b| {
            b.iter(|| {
                let (mut input, mut piece) = (std::fs::File::open(file.path()).expect("the file"), vec![0; 1 << 18]);
                while input.read(&mut piece).expect("a piece") > 0 {
                    black_box(&piece);
                }
            });
        });
        group.bench_function("limit: find every tag", |b| {
            b.iter(|| memchr::memchr_iter(b'<', black_box(&text)).count());
        });
        group.bench_function("limit: tokenise", |b| b.iter(|| count_tags(black_box(&text))));
        group.bench_function("limit: tokenise with attributes", |b| b.iter(|| count_attributes(black_box(&text))));
        for count in [1, 2] {
            group.bench_function(format!("read, {count} threads"), |b| {
                b.iter(|| read_file(file.path(), threads(count)).expect("read"));
            });
        }
        group.bench_function("stream trees", |b| {
            b.iter(|| {
                let input = std::fs::File::open(file.path()).expect("the file");
                TreeStream::new(input, ReadOptions::default())
                    .map(|tree| tree.expect("a tree").columns.rows())
                    .sum::<usize>()
            });
        });
        for count in [1, 2] {
            group
                .bench_function(format!("write, {count} threads"), |b| b.iter(|| written(black_box(&document), count)));
        }
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}
