//! The fast reader against a slow one, against itself in other pieces and on threads, and against the writer.

mod support;

use std::fmt::Write;

use proptest::prelude::*;
use support::soup::soup;
use support::{assert_same, document, pieces, read_on_threads, read_text, twin, written};
use wkfast_nml::model::Document;
use wkfast_nml::{NmlError, ReadOptions, TreeStream, read};

fn choices() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..400)
}

/// A text with some of its bytes replaced, dropped or doubled.
fn mutated(text: &str, mutations: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    const BYTES: &[u8] = b"<>/\"'=& ;#x!-?[]a1\n\0\x01\xc3\xbf\xff";
    let mut bytes = text.as_bytes().to_vec();
    for (at, kind, byte) in mutations {
        if bytes.len() < 2 {
            break;
        }
        let at = at.index(bytes.len());
        match kind % 4 {
            0 => _ = bytes.remove(at),
            1 => bytes.insert(at, bytes[at]),
            2 => bytes.truncate(at.max(1)),
            _ => bytes[at] = BYTES[usize::from(*byte) % BYTES.len()],
        }
    }
    bytes
}

fn mutations() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 1..4)
}

fn without_blanks(document: &Document) -> String {
    [" ", "\\n", "\\t", "\\r"].iter().fold(format!("{document:?}"), |text, blank| text.replace(blank, ""))
}

fn sorted(mut document: Document) -> Document {
    document.trees.sort_by_key(|tree| tree.header.id);
    document
}

/// Plain trees of a few rows, some of them a little less plain.
fn small_trees(choices: &[u8]) -> String {
    const ODD: &[&str] = &[
        " name=\"&amp;\"",
        " name=\"a>b\"",
        " name=\"\u{e9}\"",
        " groupId=\"\"",
        " groupId=\"7\"",
        " groupId=\"-1\"",
        " comment=\"c\"",
        " color.r=\"\"",
        " color.g=\"nan\"",
        " isVisible=\"True\"",
        " edgesAreVisible=\"false\"",
        " id=\"1\"",
        " new=\"1\"",
        "  type=\"T\"",
        " type=\"T\" type=\"T\"",
        "\n",
    ];
    const INSIDE: &[&str] = &[
        "<metadata/>",
        "<metadata />\n",
        "<metadata><metadataEntry key=\"k\" stringValue=\"v\"/></metadata>",
        "text",
        "<!-- -->",
        "<edges/>",
        "<nodes/>",
        "<edges><edge source=\"1\" target=\"2\"/></edges>",
        "<nodes><node id=\"4\" x=\"1\" y=\"2\" z=\"3\"/>\n\n</nodes>",
        "<comments/>",
        "<node id=\"9\" x=\"1\" y=\"2\" z=\"3\"/>",
        "<nodes a=\"1\"/>",
        "<nodes><node id=\"1\" x=\"1\" y=\"2\" z=\"inf\"/></nodes>",
        "</nodes>",
        "<nodes></edges>",
    ];
    let mut text = "<things><parameters/>".to_owned();
    let mut next = 1;
    for (number, &choice) in choices.iter().enumerate() {
        let (odd, inside) = (usize::from(choice) % 32, usize::from(choice / 8) % 32);
        let id = if choice % 29 == 3 { 1 } else { number as i64 + 1 };
        let _ = write!(text, "\n <thing id=\"{id}\"{} name=\"t {id}\">", ODD.get(odd).unwrap_or(&""));
        if choice % 11 > 0 {
            // Ids come again now and then, and edges lead nowhere, to themselves or twice to the same node.
            let (first, second) = (next, if choice % 23 == 5 { next } else { next + 1 });
            next += if choice % 19 == 7 { 0 } else { 2 };
            let _ = write!(
                text,
                "\n<nodes>\n  <node id=\"{first}\" x=\"1\" y=\"2\" z=\"3\" /> <node id=\"{second}\" x=\"1.5\" y=\"2\" z=\"3\"/>\n</nodes>\n<edges>\n<edge source=\"{first}\" target=\"{}\"/></edges>",
                if choice % 17 == 2 { 0 } else { second }
            );
        }
        text += INSIDE.get(inside).unwrap_or(&"\n");
        text += "</thing>";
    }
    text + "<groups><group id=\"7\"/></groups></things>"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_reader_agrees_with_a_slow_obvious_one(choices in choices()) {
        let text = soup(&choices);
        let slow = twin::read(&text);
        match read_text(&text) {
            Ok(fast) => assert_same(&fast.document, &slow.expect("loads"), &text),
            Err(error) => prop_assert!(slow.is_err(), "{}\n{}", error, text),
        }
    }

    #[test]
    fn the_reader_agrees_with_a_slow_obvious_one_on_damaged_text(choices in choices(), mutations in mutations()) {
        let bytes = mutated(&soup(&choices), &mutations);
        let slow = std::str::from_utf8(&bytes).map_err(|error| error.to_string()).and_then(twin::read);
        match (read_text(&bytes), slow) {
            // The slow reader does not tell blanks at the ends of a CDATA section from those around it.
            (Ok(fast), Ok(slow)) => {
                let same = without_blanks(&fast.document) == without_blanks(&slow);
                prop_assert!(same, "{:#?}\n{:#?}\n{}", fast.document, slow, String::from_utf8_lossy(&bytes));
            }
            (Err(_), Err(_)) => {}
            // The slow reader knows namespaces; NML has none, a colon is a letter.
            (Ok(_), Err(reason)) => prop_assert!(reason.contains("namespace"), "{}\n{}", reason, String::from_utf8_lossy(&bytes)),
            // It is lax with the grammar of what both throw away, and with numbers of characters that do not exist.
            (Err(error), Ok(_)) => {
                let lax = ["processing instruction", "XML declaration", "encoding", "reference \"&#"].iter().any(|part| error.to_string().contains(part));
                prop_assert!(lax, "{}\n{}", error, String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn any_split_of_the_input_parses_the_same(choices in choices(), mutations in mutations(), piece in 1_usize..200, damaged: bool) {
        let text = soup(&choices);
        let bytes = if damaged { mutated(&text, &mutations) } else { text.into_bytes() };
        let whole = format!("{:#?}", read_text(&bytes));
        prop_assert_eq!(format!("{:#?}", read(bytes.as_slice(), pieces(piece))), whole.clone());
        prop_assert_eq!(format!("{:#?}", read_on_threads(&bytes, piece)), whole);
    }

    #[test]
    fn what_is_read_and_written_reads_the_same(choices in choices()) {
        let text = soup(&choices);
        let Ok(loaded) = read_text(&text) else { return Ok(()) };
        // Unknown attributes are written sorted, so the first round settles their order.
        let settled = document(written(&loaded.document));
        let text = written(&settled);
        assert_same(&document(&text), &sorted(settled), &text);
    }

    #[test]
    fn a_problem_names_the_place_of_its_element(choices in choices()) {
        let text = soup(&choices);
        let Ok(loaded) = read_text(&text) else { return Ok(()) };
        let lines: Vec<&str> = text.split('\n').collect();
        for problem in loaded.problems {
            let rest: String = lines[problem.at.line as usize - 1].chars().skip(problem.at.column as usize - 1).collect();
            prop_assert!(rest.starts_with(&format!("<{}", problem.element)), "{:?}: {}", problem, rest);
        }
    }

    #[test]
    fn a_stream_gives_the_trees_of_the_whole(choices in choices()) {
        let text = soup(&choices);
        let Ok(loaded) = read_text(&text) else { return Ok(()) };
        let mut stream = TreeStream::new(text.as_bytes(), pieces(50));
        let trees: Vec<_> = stream.by_ref().map(|tree| tree.expect("a tree")).collect();
        prop_assert_eq!(trees.len(), loaded.document.trees.len());
        for (streamed, whole) in trees.iter().zip(&loaded.document.trees) {
            prop_assert_eq!(format!("{:?}", streamed.columns.positions), format!("{:?}", whole.columns.positions));
            prop_assert_eq!(&streamed.columns.edges, &whole.columns.edges);
            prop_assert_eq!(streamed.header.id, whole.header.id);
        }
        let attached = |document: &Document| document.trees.iter().flat_map(|tree| tree.columns.notes.values()).map(|notes| notes.comments.len()).sum::<usize>();
        let comments = attached(&loaded.document) + loaded.document.header.stray_comments.len();
        prop_assert_eq!(stream.header().stray_comments.len(), comments);
    }

    #[test]
    fn strict_reading_stops_at_what_a_server_would_reject(choices in choices()) {
        let text = soup(&choices);
        let Ok(loaded) = read_text(&text) else { return Ok(()) };
        let strict = read(text.as_bytes(), ReadOptions { strict: true, ..ReadOptions::default() });
        let rejected = loaded.problems.iter().any(|problem| problem.rejected_by_server);
        match strict {
            Ok(_) => prop_assert!(!rejected),
            Err(NmlError::Rejected(problem)) => prop_assert!(loaded.problems.contains(&problem)),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn small_trees_read_whole_are_those_read_tag_by_tag(choices in prop::collection::vec(any::<u8>(), 0..40), strict: bool) {
        let text = small_trees(&choices);
        // In pieces of some bytes no tree is there as a whole.
        let options = |piece| ReadOptions { strict, ..pieces(piece) };
        let slow = read(text.as_bytes(), options(3));
        prop_assert_eq!(format!("{:#?}", read(text.as_bytes(), options(1 << 16))), format!("{slow:#?}"));
        let streamed = |piece| {
            let mut stream = TreeStream::new(text.as_bytes(), options(piece));
            (format!("{:#?}", stream.by_ref().collect::<Vec<_>>()), stream.problems().to_vec())
        };
        prop_assert_eq!(streamed(1 << 16), streamed(3));
        if let (Ok(slow), false) = (slow, strict) {
            assert_same(&slow.document, &twin::read(&text).expect("loads"), &text);
        }
    }
}
