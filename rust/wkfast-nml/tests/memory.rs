//! Memory is bounded: a child process reads what never stands anywhere as a whole, and says what it took at its peak.

use std::io::Read;
use std::process::Command;

use wkfast_nml::{ReadOptions, TreeStream, read};

/// Text that is made while it is read: trees of 1,000 nodes.
struct Trees {
    left: usize,
    piece: Vec<u8>,
    at: usize,
    /// Attributes of every node beyond id, radius and place.
    more: &'static str,
}

impl Trees {
    fn new(count: usize) -> Self {
        Self { left: count, piece: b"<things><parameters/>".to_vec(), at: 0, more: "" }
    }

    fn next_piece(&mut self) {
        self.at = 0;
        self.piece.clear();
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let (tree, first) = (self.left, self.left * 1000);
        self.piece.extend(format!("<thing id=\"{tree}\"><nodes>").bytes());
        for id in first..first + 1000 {
            self.piece
                .extend(format!("\n<node id=\"{id}\" radius=\"1.5\" x=\"1\" y=\"2\" z=\"3\"{} />", self.more).bytes());
        }
        self.piece.extend(b"</nodes></thing>");
        if self.left == 0 {
            self.piece.extend(b"</things>");
        }
    }
}

impl Read for Trees {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.piece.len() {
            self.next_piece();
        }
        let length = buffer.len().min(self.piece.len() - self.at);
        buffer[..length].copy_from_slice(&self.piece[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// Peak resident bytes of this process so far; `None` where the system does not tell.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Peak bytes over the baseline of a child that runs one of the ignored tests below.
fn peak_of(child: &str) -> Option<u64> {
    peak()?;
    let command = Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "--nocapture", child])
        .output();
    let output = String::from_utf8(command.expect("a child").stdout).expect("text");
    let line = output.lines().find_map(|line| line.split_once("peak: ")).unwrap_or_else(|| panic!("{output}"));
    Some(line.1.parse().expect("a number"))
}

fn report(before: Option<u64>) {
    if let (Some(before), Some(after)) = (before, peak()) {
        println!("\npeak: {}", after - before);
    }
}

/// 2,000 trees of 1,000 nodes: 110 MB of text.
const TREES: usize = 2_000;

#[test]
#[ignore = "the child of the test below"]
fn child_that_streams() {
    let before = peak();
    let stream = TreeStream::new(Trees::new(TREES), ReadOptions::default());
    let nodes: usize = stream.map(|tree| tree.expect("a tree").columns.rows()).sum();
    assert_eq!(nodes, 1000 * TREES);
    report(before);
}

#[test]
fn streaming_takes_the_memory_of_one_tree() {
    let Some(bytes) = peak_of("child_that_streams") else { return };
    assert!(bytes < 4 << 20, "{bytes} bytes");
}

#[test]
#[ignore = "the child of the test below"]
fn child_that_reads() {
    let before = peak();
    let loaded = read(Trees::new(TREES), ReadOptions::default()).expect("loads");
    assert_eq!(loaded.document.trees.len(), TREES);
    report(before);
}

#[test]
fn reading_takes_the_memory_of_the_columns() {
    let Some(bytes) = peak_of("child_that_reads") else { return };
    // Id, position and radius are 40 bytes; the text of a node has 55.
    let per_node = bytes / (1000 * TREES as u64);
    assert!((40..50).contains(&per_node), "{per_node} bytes per node");
}

#[test]
#[ignore = "the child of the test below"]
fn child_that_reads_more_axes() {
    let before = peak();
    let trees = Trees { more: " additionalCoordinate-t=\"4\" additionalCoordinate-channel=\"1\"", ..Trees::new(TREES) };
    let loaded = read(trees, ReadOptions::default()).expect("loads");
    assert_eq!(loaded.document.trees[0].columns.coordinates.names(), ["t", "channel"]);
    report(before);
}

#[test]
fn each_further_axis_takes_a_column() {
    let Some(bytes) = peak_of("child_that_reads_more_axes") else { return };
    let per_node = bytes / (1000 * TREES as u64);
    assert!((56..68).contains(&per_node), "{per_node} bytes per node");
}
