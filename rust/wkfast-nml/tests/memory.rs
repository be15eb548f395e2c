//! Memory is bounded: a child process reads what never stands anywhere as a whole, and says what it took at its peak.

use std::io::Read;
use std::process::Command;

use wkfast_nml::{LoadedForest, ReadOptions, TreeStream, read, read_forest};

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

/// Text that is made while it is read: an element many times over.
struct Repeated {
    /// Around the elements, and what an element is; `#` stands for its number.
    texts: [&'static str; 3],
    /// Of the piece that is next.
    number: usize,
    piece: Vec<u8>,
    at: usize,
}

/// Elements of each kind.
const ELEMENTS: usize = 1_000_000;

impl Repeated {
    fn new(start: &'static str, element: &'static str, end: &'static str) -> Self {
        Self { texts: [start, element, end], number: 0, piece: start.into(), at: 0 }
    }

    fn length(&self) -> usize {
        self.texts[1].len() * ELEMENTS
    }
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.piece.len() {
            self.at = 0;
            self.number += 1;
            self.piece = match self.number {
                1..=ELEMENTS => self.texts[1].replace('#', &self.number.to_string()).into(),
                _ if self.number == ELEMENTS + 1 => self.texts[2].into(),
                _ => Vec::new(),
            };
        }
        let length = buffer.len().min(self.piece.len() - self.at);
        buffer[..length].copy_from_slice(&self.piece[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

fn empty_trees() -> Repeated {
    Repeated::new("<things><parameters/>", "<thing id='#'/>", "</things>")
}

fn tiny_trees() -> Repeated {
    let tree = "<thing id='#' name='t'><nodes><node id='#' x='1' y='2' z='3'/></nodes></thing>";
    Repeated::new("<things><parameters/>", tree, "</things>")
}

fn stray_comments() -> Repeated {
    Repeated::new("<things><parameters/><comments>", "<comment node='#' content='abc'/>", "</comments></things>")
}

fn comments_of_one_node() -> Repeated {
    let tree = "<things><parameters/><thing id='1'><nodes><node id='7' x='1' y='2' z='3'/></nodes></thing><comments>";
    Repeated::new(tree, "<comment node='7' content='#'/>", "</comments></things>")
}

fn stray_branchpoints() -> Repeated {
    Repeated::new("<things><parameters/><branchpoints>", "<branchpoint id='#'/>", "</branchpoints></things>")
}

fn segments() -> Repeated {
    let start = "<things><parameters/><volume id='0' location='a.zip'><segments>";
    Repeated::new(start, "<segment id='#'/>", "</segments></volume></things>")
}

fn load(text: Repeated) -> (u64, LoadedForest) {
    let length = text.length() as u64;
    (length, read_forest(text, ReadOptions::default()).expect("loads"))
}

macro_rules! kinds {
    ($($child:ident, $test:ident, $text:ident, $times:literal;)*) => {$(
        #[test]
        #[ignore = "the child of the test below"]
        fn $child() {
            let before = peak();
            let loaded = load($text());
            report(before);
            drop(loaded);
        }

        #[test]
        fn $test() {
            let Some(bytes) = peak_of(stringify!($child)) else { return };
            let length = $text().length() as u64;
            assert!(bytes < $times * length, "{bytes} bytes of {length} bytes of text");
        }
    )*};
}

kinds! {
    child_of_empty_trees, empty_trees_take_little_more_than_their_text, empty_trees, 4;
    child_of_tiny_trees, tiny_trees_take_about_their_text, tiny_trees, 2;
    child_of_stray_comments, stray_comments_take_little_more_than_their_text, stray_comments, 5;
    child_of_comments, comments_of_one_node_take_little_more_than_their_text, comments_of_one_node, 6;
    child_of_branchpoints, stray_branchpoints_take_little_more_than_their_text, stray_branchpoints, 7;
    child_of_segments, segments_take_little_more_than_their_text, segments, 2;
}
