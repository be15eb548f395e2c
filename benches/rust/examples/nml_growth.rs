//! Times the NML reader and writer on one large document and says what memory it took.
//!
//! `cargo run --release -p wkfast-benches --example nml_growth -- write|read|stream FILE [NODES [TREES]] [--threads N]`
//! One operation per process, so that its peak memory is its own.

use std::fs::File;
use std::io::BufWriter;
use std::num::NonZeroUsize;
use std::time::Instant;

use wkfast_nml::{ReadOptions, TreeStream, WriteOptions, read_file, write};

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let threads = arguments.iter().position(|argument| argument == "--threads").map(|at| {
        let count = arguments[at + 1].parse::<NonZeroUsize>().expect("a number of threads");
        arguments.drain(at..=at + 1);
        count
    });
    let (what, file) = (arguments[0].as_str(), arguments[1].as_str());
    let number = |at: usize, default: usize| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let (nodes, trees) = (number(2, 1_000_000), number(3, 1));
    let before = resident();
    let start = Instant::now();
    let (seconds, count) = match what {
        "write" => {
            let document = wkfast_benches::skeleton(trees, nodes / trees);
            let (start, out) = (Instant::now(), BufWriter::new(File::create(file).expect("the file")));
            write(&document, out, WriteOptions { threads, ..WriteOptions::default() }).expect("written");
            (start.elapsed(), nodes)
        }
        "stream" => {
            let trees = TreeStream::new(File::open(file).expect("the file"), ReadOptions::default());
            let count = trees.map(|tree| tree.expect("a tree").columns.rows()).sum();
            (start.elapsed(), count)
        }
        _ => {
            let loaded = read_file(file, ReadOptions { threads, ..ReadOptions::default() }).expect("read");
            let seconds = start.elapsed();
            let count = loaded.document.trees.iter().map(|tree| tree.columns.rows()).sum();
            println!("{:.0} bytes per node held", (resident() - before) as f64 / count as f64);
            (seconds, count)
        }
    };
    let seconds = seconds.as_secs_f64();
    let bytes = std::fs::metadata(file).expect("the file").len();
    println!(
        "{what}: {count} nodes, {:.1} MB, {seconds:.3} s, {:.2} GB/s",
        bytes as f64 / 1e6,
        bytes as f64 / 1e9 / seconds
    );
    println!("{:.0} bytes per node at the peak", (status("VmHWM") - before) as f64 / count as f64);
}

fn resident() -> u64 {
    status("VmRSS")
}

/// A figure of this process in bytes; 0 where the system does not tell.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or_default() * 1024
}
