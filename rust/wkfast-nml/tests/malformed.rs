//! What is not XML, or not NML: an error with its place, never a panic, never much memory.

mod support;

use std::error::Error;

use support::{pieces, read_on_threads, read_text};
use wkfast_nml::{Limits, NmlError, ReadOptions, TreeStream, read};

/// The error of a text, which must be the same however it is read.
fn error(text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    let error = read_text(text).expect_err(&String::from_utf8_lossy(text)).to_string();
    assert_eq!(read(text, pieces(3)).expect_err("in pieces").to_string(), error);
    assert_eq!(read_on_threads(text, 3).expect_err("on threads").to_string(), error);
    error
}

#[test]
fn malformed_xml_is_refused_with_line_and_column() {
    for (text, at, reason) in [
        ("", (1, 1), "no element"),
        (" \n ", (2, 2), "no element"),
        ("text", (1, 1), "text before the root"),
        ("<a>", (1, 4), "ends before </a>"),
        ("<a><b></a>", (1, 7), "expected </b>"),
        ("<a>\n</a>\n<b/>", (3, 1), "after the root element"),
        ("<a/> x", (1, 6), "text after the root"),
        ("<a/><![CDATA[ ]]>", (1, 5), "outside the root"),
        ("</a>", (1, 1), "without a start tag"),
        ("<a b=\"1\" b=\"2\"/>", (1, 10), "appears twice"),
        ("<a µ='1' b=\"<\"/>", (1, 13), "\"<\" in an attribute value"),
        ("<a b=\"&nbsp;\"/>", (1, 7), "unknown reference \"&nbsp;\""),
        ("<a b='&#0;'/>", (1, 7), "unknown reference \"&#0;\""),
        ("<a>µ &</a>", (1, 6), "unknown reference"),
        ("<a>]]></a>", (1, 4), "\"]]>\""),
        ("<a b/>", (1, 5), "expected \"=\""),
        ("<a b=1/>", (1, 6), "quoted value"),
        ("<a b='1'c='2'/>", (1, 9), "expected a blank"),
        ("<a b='1/>", (1, 1), "ends inside a tag"),
        ("<1/>", (1, 2), "name of an element"),
        ("< a/>", (1, 2), "name of an element"),
        ("<a 1='1'/>", (1, 4), "name of an attribute"),
        ("<a", (1, 1), "ends inside a tag"),
        ("<!-- a", (1, 1), "ends inside a comment"),
        ("<!-- a -- b --><a/>", (1, 8), "\"--\" inside a comment"),
        ("<!ELEMENT a><a/>", (1, 1), "expected a comment"),
        ("<?xml version='1.0'", (1, 1), "ends inside a processing instruction"),
        ("<?xml encoding='utf-8'?><a/>", (1, 1), "version"),
        ("<?xml version='1.'?><a/>", (1, 1), "version"),
        ("<?xml version='1.0' standalone='maybe'?><a/>", (1, 1), "standalone"),
        ("<?xml version='1.0' b?><a/>", (1, 22), "expected \"=\""),
        ("<?xml version='1.0'> ?><a/>", (1, 20), "\">\" inside"),
        (" <?xml version='1.0'?><a/>", (1, 2), "not at the start"),
        ("<??><a/>", (1, 3), "name of a processing instruction"),
        ("<a>\u{1}</a>", (1, 4), "U+0001"),
        ("<a b='\u{fffe}'/>", (1, 7), "U+FFFE"),
        ("<a><![CDATA[\u{0}]]></a>", (1, 13), "U+0000"),
    ] {
        let shown = error(text);
        assert!(shown.starts_with(&format!("line {}, column {}: ", at.0, at.1)), "{text}: {shown}");
        assert!(shown.contains(reason), "{text}: {shown}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_where_they_stand() {
    assert_eq!(error(b"<a>\n<b c='\xff'/></a>"), "line 2, column 7: <a>: bytes that are not UTF-8");
    assert!(error(b"\xff\xfe<\0a\0>\0\x00\xd8<\0").contains("not UTF-16LE"));
}

#[test]
fn document_types_are_refused_so_entities_cannot_expand() {
    let bomb = "<!DOCTYPE lolz [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><things>&b;</things>";
    assert!(error(bomb).contains("document type declaration, which is refused"));
}

#[test]
fn a_file_without_parameters_is_refused() {
    assert!(error("<things/>").contains("no <parameters>"));
    assert!(error("<svg/>").contains("no <parameters> in it, and the root is <svg>; expected an annotation"));
    let prefixed = "<n:things xmlns:n='urn:x'><n:parameters/></n:things>";
    assert!(error(prefixed).contains("without a namespace prefix"));
    let stream = TreeStream::new("<things><comments/></things>".as_bytes(), ReadOptions::default());
    assert_eq!(stream.map(|tree| tree.is_ok()).collect::<Vec<_>>(), [false]);
}

#[test]
fn other_files_that_end_in_nml_are_told_by_what_they_are() {
    for (text, what) in [
        ("<?xml version='1.0'?>\n<NML VERSION='19'><HEAD PROGRAM='Traktor'/></NML>", "a collection of music (Traktor"),
        ("<DJ_PLAYLISTS Version='1.0.0'/>", "a collection of music"),
        ("<neuroml xmlns='http://www.neuroml.org/schema/neuroml2'><cell/></neuroml>", "NeuroML, a model of neurons"),
        ("<mml:morphml xmlns:mml='urn:x'/>", "NeuroML of version 1"),
        ("<html><body>", "a web page"),
        ("&input\n a = 1\n/\n", "a namelist of Fortran"),
        ("! the run of May\n\n  &domains\n max_dom = 1\n/\n", "a namelist of Fortran"),
        (" $params x=1 $end", "a namelist of Fortran"),
        ("# Notes\n\nsome <b>text</b>", "Markdown or a script"),
        ("{\"things\": []}", "JSON"),
        ("PK\u{3}\u{4}\u{0}\u{1}", "a zip archive, no XML: let its name end in .zip"),
        ("position,1,2", "text before the root element"),
    ] {
        let shown = error(text);
        assert!(shown.starts_with("line ") && shown.contains(what), "{text}: {shown}");
        assert!(shown.contains("whose root is <things>") || shown.contains(".zip"), "{text}: {shown}");
    }
}

#[test]
fn ids_that_are_none_are_refused() {
    for inner in [
        "<thing/>",
        "<thing id='1.0'/>",
        "<thing id=''/>",
        "<thing id='1'><nodes><node x='1'/></nodes></thing>",
        "<thing id='1'><nodes><node id='1.0' x='1' y='1' z='1'/></nodes></thing>",
        "<thing id='1'><edges><edge source='1'/></edges></thing>",
        "<thing id='1'><edges><edge source='1' target='b'/></edges></thing>",
        "<groups><group name='g'/></groups>",
        "<branchpoints><branchpoint time='1'/></branchpoints>",
        "<comments><comment content='c'/></comments>",
        "<volume id='x'/>",
        "<volume id='0'><segments><segment/></segments></volume>",
        "<thing id='340282366920938463463374607431768211456'/>",
    ] {
        let shown = error(format!("<things><parameters/>\n{inner}</things>"));
        assert!(shown.starts_with("line 2, column "), "{shown}");
        assert!(shown.contains("integer of at most 128 bits"), "{shown}");
    }
}

/// The error of a text under these limits.
fn limited(text: &str, set: impl Fn(&mut Limits)) -> NmlError {
    let mut options = ReadOptions::default();
    set(&mut options.limits);
    read(text.as_bytes(), options).expect_err(text)
}

#[test]
fn hostile_sizes_meet_a_limit() {
    let deep = "<a>".repeat(100_000);
    assert!(matches!(limited(&deep, |_| {}), NmlError::Limit { .. }));
    let deep = format!("<things><parameters/><groups>{}", "<group id='1'>".repeat(100_000));
    assert!(limited(&deep, |_| {}).to_string().ends_with("groups nested deeper than 510"));
    let attributes = (0..100).map(|index| format!("a{index}='1'")).collect::<Vec<_>>().join(" ");
    assert!(
        limited(&format!("<a {attributes}/>"), |limits| limits.attributes = 99).to_string().contains("99 attributes")
    );
    assert!(limited("<abcdef/>", |limits| limits.name_bytes = 5).to_string().contains("element name"));
    assert!(limited("<a bcdefg='1'/>", |limits| limits.name_bytes = 5).to_string().contains("attribute name"));
    assert!(limited("<a b='123456'/>", |limits| limits.value_bytes = 5).to_string().contains("attribute value"));
    let comment = format!("<!--{}--><a/>", "x".repeat(3 << 20));
    assert!(matches!(limited(&comment, |limits| limits.token_bytes = 1 << 20), NmlError::Limit { .. }));
    let unknown = format!("<things><parameters/>{}</things>", "<new/>".repeat(1000));
    assert!(matches!(limited(&unknown, |limits| limits.extras_bytes = 10_000), NmlError::Limit { .. }));
    let long = format!("<things><parameters/>{}</things>", "<thing id='1'/>".repeat(100_000));
    assert!(limited(&long, |limits| limits.text_bytes = 1_000_000).to_string().contains("text of more than 1000000"));
}

#[test]
fn what_becomes_objects_is_counted() {
    let group = "<groups><group id='1' name='a'/><group id='2' name='b'/></groups>";
    let bounds = "<userBoundingBox/><additionalAxes><additionalAxis name='t'/></additionalAxes>";
    let text = format!("<things><meta/><parameters>{bounds}</parameters>{group}<volume id='0'/></things>");
    assert!(limited(&text, |limits| limits.records = 5).to_string().contains("more than 5 groups, boxes"));
    let mut options = ReadOptions::default();
    options.limits.records = 6;
    assert_eq!(read(text.as_bytes(), options).expect("loads").document.header.groups.len(), 2);
}

#[test]
fn a_bad_quote_does_not_make_the_reader_buffer_the_file() {
    // The next tag shows the fault, long before any limit.
    let text = format!("<things><a b=\"1/>{}", "<c/>".repeat(1 << 20));
    let shown = limited(&text, |limits| limits.token_bytes = 1 << 12).to_string();
    assert_eq!(shown, "line 1, column 18: <things>: \"<\" in an attribute value");
}

#[test]
fn problems_beyond_the_limit_are_only_counted() {
    let edges = "<edge source='1' target='1'/>".repeat(5000);
    let text = format!(
        "<things><parameters><experiment/><scale x='1' y='1' z='1'/></parameters><thing id='1'><nodes><node id='1' x='0' y='0' z='0'/>\
         </nodes><edges>{edges}</edges></thing></things>"
    );
    let loaded = read_text(&text).expect("loads");
    assert_eq!((loaded.problems.len(), loaded.problems_omitted), (1000, 4000));
    let mut none = ReadOptions { strict: true, ..ReadOptions::default() };
    none.limits.problems = 0;
    assert!(matches!(read(text.as_bytes(), none), Err(NmlError::Rejected(_))));
}

#[test]
fn an_input_that_fails_is_an_io_error() {
    struct Broken(usize);
    impl std::io::Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            if self.0 > 3 {
                return Err(std::io::Error::other("the wire broke"));
            }
            buffer[..3].copy_from_slice(b"<a>");
            Ok(3)
        }
    }
    let error = read(Broken(0), ReadOptions::default()).expect_err("broken");
    assert!(matches!(&error, NmlError::Io(error) if error.to_string() == "the wire broke"), "{error}");
    let error = wkfast_nml::read_threaded(Broken(0), pieces(1)).expect_err("broken");
    assert!(matches!(error, NmlError::Io(_)), "{error}");
}

#[test]
fn progress_is_told_and_can_stop_the_reader() {
    let text = format!("<things><parameters/>{}</things>", format!("{:150}", "<thing id='1'/>").repeat(1 << 17));
    let mut told = Vec::new();
    let mut hook = |bytes| {
        told.push(bytes);
        if bytes > 9 << 20 { Err(Box::<dyn Error + Send + Sync>::from("enough")) } else { Ok(()) }
    };
    let options = ReadOptions { progress: Some(&mut hook), ..ReadOptions::default() };
    let error = read(text.as_bytes(), options).expect_err("stopped");
    assert!(matches!(error, NmlError::Stopped(_)), "{error}");
    assert!(told.len() == 3 && told.is_sorted(), "{told:?}");
}

/// Whether a text that is fine but for its size loads under these limits.
fn loads(text: &str, set: impl Fn(&mut Limits)) -> bool {
    let mut options = ReadOptions::default();
    set(&mut options.limits);
    match read(text.as_bytes(), options) {
        Ok(_) => true,
        Err(error) => {
            assert!(error.to_string().contains(" more than "), "{text}: {error}");
            false
        }
    }
}

#[test]
fn as_much_as_a_limit_says_is_allowed() {
    let text = "<things new='1' newer='2' n='4444'><parameters/></things>";
    assert!(loads(text, |limits| limits.attributes = 3) && !loads(text, |limits| limits.attributes = 2));
    assert!(loads(text, |limits| limits.name_bytes = 10) && !loads(text, |limits| limits.name_bytes = 9));
    assert!(loads(text, |limits| limits.value_bytes = 4) && !loads(text, |limits| limits.value_bytes = 3));
}

#[test]
fn what_is_kept_is_counted_by_its_letters() {
    let unknown = format!("<things><parameters/><new {}='{}'/></things>", "n".repeat(100), "v".repeat(100));
    assert!(
        loads(&unknown, |limits| limits.extras_bytes = 1000) && !loads(&unknown, |limits| limits.extras_bytes = 200)
    );
    // An axis is kept once, however many nodes have a place along it.
    let nodes = |axis: fn(usize) -> String| {
        let node = |n| format!("<node id='{n}' x='0' y='0' z='0' additionalCoordinate-{}='1'/>", axis(n));
        let nodes: String = (0..100).map(node).collect();
        format!("<things><parameters/><thing id='1'><nodes>{nodes}</nodes></thing></things>")
    };
    let (one, many) = (nodes(|_| "t".repeat(100)), nodes(|n| format!("{n:0100}")));
    assert!(loads(&one, |limits| limits.extras_bytes = 1000) && !loads(&many, |limits| limits.extras_bytes = 1000));
}

#[test]
fn a_declaration_without_an_end_is_not_waited_for() {
    struct Counted(std::rc::Rc<std::cell::Cell<usize>>);
    impl std::io::Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let text = if self.0.get() == 0 { &b"<?xml version="[..] } else { &[b' '; 1000] };
            let count = text.len().min(buffer.len());
            buffer[..count].copy_from_slice(&text[..count]);
            self.0.set(self.0.get() + count);
            // An end, for those who would wait for one.
            Ok(if self.0.get() > 1 << 24 { 0 } else { count })
        }
    }
    let counted = std::rc::Rc::new(std::cell::Cell::new(0));
    let mut options = ReadOptions::default();
    options.limits.token_bytes = 1 << 12;
    read(Counted(std::rc::Rc::clone(&counted)), options).expect_err("no end");
    assert!(counted.get() < 1 << 20, "{}", counted.get());
}

#[test]
fn small_trees_have_ids_as_all_have() {
    for tree in ["<thing name=\"a\"/>", "<thing name=\"a\"><nodes></nodes></thing>", "<thing/>"] {
        let shown = error(format!("<things><parameters/>{tree}</things>"));
        assert!(shown.contains("id"), "{tree}: {shown}");
    }
}

#[test]
fn a_box_that_lacks_a_side_is_told_of() {
    let sides = ["topLeftX", "topLeftY", "topLeftZ", "width", "height", "depth"].map(|name| format!("{name}='1'"));
    for missing in 0..6 {
        let some: Vec<_> = sides.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, side)| &**side).collect();
        for (sides, problems) in [(some.join(" "), 1), (sides.join(" "), 0)] {
            let text = format!("<things><parameters><userBoundingBox id='1' {sides}/></parameters></things>");
            let found = read_text(&text).expect("loads").problems;
            let of_the_box = found.iter().filter(|problem| problem.reason.contains("not all of")).count();
            assert_eq!(of_the_box, problems, "{sides}: {found:?}");
        }
    }
}
