//! Sixteen times as many elements of a kind take about sixteen times as long, not 256 times: reading, writing and the
//! stream of trees. `make growth`; the time of a processor is compared with itself, and no test run depends on it.

use std::fmt::Write;
use std::io::Cursor;

use wkfast_nml::{ReadOptions, TreeStream, WriteOptions, read, read_forest, write};

/// How many of a kind there are, less and more.
const FEW: usize = 2_000;
const TIMES: usize = 16;
/// What is linear takes [`TIMES`] as long, what is quadratic the square of that.
const MOST: f64 = 4.0 * TIMES as f64;
/// The shortest of so many runs counts, each of so many nanoseconds: others are disturbed.
const RUNS: usize = 3;
const LONG: u64 = 60_000_000;

type Element = (&'static str, fn(usize) -> String);

const KINDS: [Element; 24] = [
    ("additional coordinates of one node", |n| {
        tree(&node(1, &repeat(n, |i| format!(" additionalCoordinate-a{i}=\"{i}\""))), "", "")
    }),
    ("additional coordinates, another axis on each node", |n| {
        tree(&repeat(n, |i| node(i, &format!(" additionalCoordinate-a{i}=\"1\""))), "", "")
    }),
    ("additional coordinates of nodes", |n| {
        tree(&repeat(n, |i| node(i, &format!(" additionalCoordinate-t=\"{i}\""))), "", "")
    }),
    ("axes of the file", |n| {
        let axes = repeat(n, |i| format!("<additionalAxis name=\"a{i}\" index=\"{i}\" start=\"0\" end=\"9\"/>"));
        things(&format!("<additionalAxes>{axes}</additionalAxes>"), "")
    }),
    ("unknown attributes of one node", |n| tree(&node(1, &repeat(n, |i| format!(" b{i}=\"{i}\""))), "", "")),
    ("unknown attributes of nodes", |n| tree(&repeat(n, |i| node(i, &format!(" b{i}=\"{i}\""))), "", "")),
    ("attributes of one tree", |n| tree(&node(1, ""), &repeat(n, |i| format!(" b{i}=\"{i}\"")), "")),
    ("attributes of trees", |n| {
        things("", &repeat(n, |i| format!("<thing id=\"{i}\" b{i}=\"1\" name=\"n{i}\" type=\"t{i}\"/>")))
    }),
    ("nodes", |n| tree(&repeat(n, |i| node(n - i, "")), "", "")),
    ("edges of a path", |n| tree(&repeat(n, |i| node(i, "")), "", &repeat(n - 1, |i| edge(i, i + 1)))),
    ("edges of one node", |n| tree(&repeat(n, |i| node(i, "")), "", &repeat(n - 1, |i| edge(0, i + 1)))),
    ("the same edge", |n| tree(&repeat(2, |i| node(i, "")), "", &repeat(n, |_| edge(0, 1)))),
    ("edges to nodes that are not there", |n| tree(&node(1, ""), "", &repeat(n, |i| edge(1, i + 2)))),
    ("trees", |n| things("", &repeat(n, |i| format!("<thing id=\"{i}\"><nodes>{}</nodes></thing>", node(i, ""))))),
    ("trees of one id", |n| things("", &repeat(n, |_| "<thing id=\"1\"/>".to_owned()))),
    ("comments", |n| {
        let comments = repeat(n, |i| format!("<comment node=\"{i}\" content=\"c{i}\"/>"));
        things("", &format!("{}<comments>{comments}</comments>", nodes_of(n)))
    }),
    ("comments of one node", |n| {
        let comments = repeat(n, |i| format!("<comment node=\"1\" content=\"c{i}\"/>"));
        things("", &format!("{}<comments>{comments}</comments>", nodes_of(2)))
    }),
    ("branchpoints", |n| {
        let points = repeat(n, |i| format!("<branchpoint id=\"{}\" time=\"{i}\"/>", n - i));
        things("", &format!("{}<branchpoints>{points}</branchpoints>", nodes_of(n)))
    }),
    ("groups beside each other", |n| {
        let groups = repeat(n, |i| format!("<group id=\"{}\" name=\"g{i}\"/>", i + 1));
        things("", &format!("{}<groups>{groups}</groups>", nodes_of(2)))
    }),
    ("trees in groups", |n| {
        let groups = repeat(n, |i| format!("<group id=\"{}\" name=\"g{i}\"/>", i + 1));
        let trees = repeat(n, |i| format!("<thing id=\"{i}\" groupId=\"{}\"/>", n - i));
        things("", &format!("{trees}<groups>{groups}</groups>"))
    }),
    ("segments", |n| {
        let segments = repeat(n, |i| {
            let meta = format!("<metadata><metadataEntry key=\"k\" stringValue=\"{i}\"/></metadata>");
            format!("<segment id=\"{}\" name=\"s{i}\" created=\"{i}\">{meta}</segment>", n - i)
        });
        things("", &format!("<volume id=\"0\" location=\"d.zip\"><segments>{segments}</segments></volume>"))
    }),
    ("groups of segments", |n| {
        let groups = repeat(n, |i| format!("<group id=\"{}\" name=\"g{i}\"/>", i + 1));
        things("", &format!("<volume id=\"0\" location=\"d.zip\"><groups>{groups}</groups></volume>"))
    }),
    ("bounding boxes", |n| {
        things(
            &repeat(n, |i| {
                let place = "topLeftX=\"0\" topLeftY=\"0\" topLeftZ=\"0\" width=\"1\" height=\"1\" depth=\"1\"";
                format!("<userBoundingBox id=\"{i}\" name=\"b{i}\" {place}/>")
            }),
            "",
        )
    }),
    ("parameters, metadata and what is unknown", |n| {
        let entries = repeat(n, |i| format!("<metadataEntry key=\"k{i}\" stringListValue-0=\"{i}\"/>"));
        let tree = format!("<thing id=\"1\"><metadata>{entries}</metadata></thing>");
        let parameters = repeat(n, |i| format!("<unknown{i} a=\"{i}\"/><offset x=\"{i}\" y=\"0\" z=\"0\"/>"));
        let metas = repeat(n, |i| format!("<meta name=\"m{i}\" content=\"{i}\"/><new{i}/>"));
        things(&parameters, &format!("{metas}{tree}"))
    }),
];

fn repeat(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let _ = write!(text, "{}", one(number));
        text
    })
}

fn node(id: usize, more: &str) -> String {
    format!("<node id=\"{id}\" radius=\"1\" x=\"1\" y=\"2\" z=\"3\"{more}/>")
}

fn edge(source: usize, target: usize) -> String {
    format!("<edge source=\"{source}\" target=\"{target}\"/>")
}

fn tree(nodes: &str, attributes: &str, edges: &str) -> String {
    things("", &format!("<thing id=\"1\"{attributes}><nodes>{nodes}</nodes><edges>{edges}</edges></thing>"))
}

fn nodes_of(count: usize) -> String {
    format!("<thing id=\"1\"><nodes>{}</nodes></thing>", repeat(count, |id| node(id, "")))
}

fn things(parameters: &str, more: &str) -> String {
    format!("<things><parameters><experiment name=\"e\"/>{parameters}</parameters>{more}</things>")
}

/// Nanoseconds that this thread has been on a processor.
fn processor_time() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    told.split_whitespace().next().and_then(|text| text.parse().ok()).expect("a number")
}

/// Nanoseconds that everything takes that is done with a file, at the least. The clock moves by ticks of milliseconds, so
/// many are done between two looks.
fn cost(text: &str) -> f64 {
    let once = |_| {
        let (before, mut count) = (processor_time(), 0_u32);
        loop {
            work(text.as_bytes());
            count += 1;
            let spent = processor_time() - before;
            if spent > LONG {
                return spent as f64 / f64::from(count);
            }
        }
    };
    (0..RUNS).map(once).fold(f64::INFINITY, f64::min)
}

fn work(text: &[u8]) {
    let loaded = read(Cursor::new(text), ReadOptions::default()).expect("it is read");
    let mut written = Vec::new();
    write(&loaded.document, &mut written, WriteOptions::default()).expect("it is written");
    read_forest(Cursor::new(&written), ReadOptions::default()).expect("it is read again");
    let stream = TreeStream::new(Cursor::new(&written), ReadOptions::default());
    stream.for_each(|tree| drop(tree.expect("each tree is read")));
}

#[test]
#[ignore = "compares times of a processor: `make growth`"]
fn what_a_kind_of_element_takes_grows_as_their_number() {
    let mut failed = Vec::new();
    for (name, document) in KINDS {
        let (few, many) = (document(FEW), document(FEW * TIMES));
        let grows = cost(&many) / cost(&few);
        println!("{name}: {TIMES} times as many take {grows:.1} times as long");
        if grows > MOST {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "more than {MOST} times as long: {failed:?}");
}

/// The gate reads all of them at least, so that the texts are what they are called.
#[test]
fn every_kind_is_read_written_and_read_again() {
    for (name, document) in KINDS {
        let loaded = read(Cursor::new(document(20).as_bytes()), ReadOptions::default());
        assert!(loaded.is_ok(), "{name}: {loaded:?}");
        work(document(20).as_bytes());
    }
}
