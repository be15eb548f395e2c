//! The writer's bytes, and what it refuses.

mod support;

use std::num::NonZeroUsize;

use proptest::prelude::*;
use support::{document, written};
use wkfast_nml::columns::{NodeNotes, NodeRow, TreeColumns};
use wkfast_nml::model::{Document, Group, Header, Id, Meta, NmlBoundingBox, Tree, TreeHeader, Volume};
use wkfast_nml::{Limits, NmlError, ReadOptions, WriteOptions, read, write};

#[test]
fn what_the_reference_writes_comes_back_byte_for_byte() {
    for text in [
        include_str!("data/reference_form.nml"),
        include_str!("data/generated_7.nml"),
        include_str!("data/generated_12.nml"),
        include_str!("data/generated_31.nml"),
    ] {
        assert_eq!(written(&document(text)), text);
    }
}

fn rows() -> impl Strategy<Value = NodeRow> {
    let float = prop::num::f64::ANY;
    let three = prop::array::uniform3(float);
    let numbers = (three, prop::option::of(float), prop::option::of(three));
    let others =
        (any::<Option<i32>>(), any::<Option<i32>>(), any::<Option<i32>>(), any::<Option<bool>>(), any::<Option<i64>>());
    let ids = prop_oneof![8 => -1000_i128..1000, 1 => any::<Id>()];
    (ids, numbers, others).prop_map(
        |(id, (position, radius, rotation), (in_vp, in_mag, bit_depth, interpolation, time))| NodeRow {
            id,
            position,
            radius,
            rotation,
            in_vp,
            in_mag,
            bit_depth,
            interpolation,
            time,
        },
    )
}

fn trees() -> impl Strategy<Value = Tree> {
    let text = "(\\PC|[\n\t\r\"'<&>\u{85}\u{1d11e}]){0,12}";
    let nodes = prop::collection::vec((rows(), prop::collection::vec(text, 0..2)), 0..12);
    let header = (any::<Id>(), prop::option::of(text), any::<Option<[Option<f64>; 4]>>());
    (header, nodes, prop::collection::vec((any::<Id>(), -9_i128..9), 0..9)).prop_map(
        |((id, name, color), nodes, edges)| {
            let mut columns = TreeColumns::default();
            for (node, comments) in nodes {
                let row = columns.push_node(&node);
                if !comments.is_empty() {
                    columns.notes.insert(row, NodeNotes { comments, ..NodeNotes::default() });
                }
            }
            for (source, target) in edges {
                columns.push_edge(source, target);
            }
            // Channels that are left out of a color are not told from empty ones of a color of none.
            Tree { header: TreeHeader { id, name, color, ..TreeHeader::default() }, columns }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn documents_made_by_hand_survive(mut trees in prop::collection::vec(trees(), 0..4)) {
        trees.sort_by_key(|tree| tree.header.id);
        let made = Document { trees, ..Document::default() };
        let text = written(&made);
        let read = document(&text);
        for (read, made) in read.trees.iter().zip(&made.trees) {
            prop_assert_eq!(format!("{:?}", read.header), format!("{:?}", made.header));
            for row in 0..made.columns.rows() {
                prop_assert_eq!(format!("{:?}", read.columns.node(row)), format!("{:?}", made.columns.node(row)));
            }
            prop_assert_eq!(&read.columns.edges, &made.columns.edges);
        }
        let comments = |document: &Document| {
            let notes = document.trees.iter().flat_map(|tree| tree.columns.notes.values());
            let mut comments: Vec<_> = notes.flat_map(|notes| notes.comments.clone()).collect();
            comments.sort();
            comments
        };
        prop_assert_eq!(comments(&read), comments(&made));
    }
}

fn path(nodes: usize) -> Tree {
    let mut columns = TreeColumns::default();
    for id in 0..nodes as Id {
        columns.push_node(&NodeRow { id, position: [id as f64, 0.5, -1.0], ..NodeRow::default() });
        columns.push_edge(id, id + 1);
    }
    Tree { columns, ..Tree::default() }
}

#[test]
fn the_text_does_not_depend_on_the_number_of_threads() {
    let trees = [path(60_000), path(3), path(0), path(20_000)].into_iter().cycle().take(60);
    let document = Document { trees: trees.collect(), ..Document::default() };
    let text = |threads| {
        let mut out = Vec::new();
        let options = WriteOptions { threads: NonZeroUsize::new(threads), ..WriteOptions::default() };
        write(&document, &mut out, options).expect("written");
        out
    };
    assert!(text(1) == text(4), "texts differ");
}

#[test]
fn removed_nodes_are_not_written() {
    let mut tree = path(3);
    tree.columns.notes.insert(1, NodeNotes { comments: vec!["gone".to_owned()], ..NodeNotes::default() });
    tree.columns.removed = vec![false, true, false];
    let text = written(&Document { trees: vec![tree], ..Document::default() });
    assert!(text.contains("<node id=\"2\"") && !text.contains("<node id=\"1\"") && !text.contains("gone"));
}

#[test]
fn what_no_file_can_hold_is_refused() {
    for name in ["\u{0}", "a\u{1}", "\u{fffe}", "\u{b}"] {
        let mut tree = path(1);
        tree.header.name = Some(name.to_owned());
        let document = Document { trees: vec![tree], ..Document::default() };
        let error = write(&document, Vec::new(), WriteOptions::default()).expect_err("refused");
        assert!(matches!(&error, NmlError::Unwritable { element, .. } if element == "thing"), "{error}");
    }
    let mut tree = path(1);
    tree.header.extras.attributes.push(("not a name".to_owned(), String::new()));
    let document = Document { trees: vec![tree], ..Document::default() };
    assert!(write(&document, Vec::new(), WriteOptions::default()).is_err());
}

/// Makes a header of so many records.
type Change<'a> = &'a dyn Fn(&mut Header, usize);

#[test]
fn no_more_records_are_written_than_are_read() {
    let group = |children| Group { children, ..Group::default() };
    let most = Limits::default().records;
    let nested = |count: usize| vec![group((0..count).map(|_| group(Vec::new())).collect())];
    let changes: [(&str, Change<'_>); 4] = [
        ("metas", &|header, count| header.meta = vec![Meta { name: Some("a".to_owned()), ..Meta::default() }; count]),
        ("groups", &|header, count| header.groups = nested(count)),
        ("groups of segments", &|header, count| {
            header.volumes = vec![Volume { groups: nested(count), ..Volume::default() }];
        }),
        ("boxes", &|header, count| {
            header.parameters.user_bounding_boxes = vec![NmlBoundingBox::default(); count];
        }),
    ];
    for (what, change) in changes {
        let mut document = Document::default();
        change(&mut document.header, most);
        let error = write(&document, std::io::sink(), WriteOptions::default()).unwrap_err().to_string();
        assert!(error.contains("262144 can be read again"), "{what}: {error}");
        change(&mut document.header, most - 10);
        let mut text = Vec::new();
        write(&document, &mut text, WriteOptions::default()).unwrap();
        read(&text[..], ReadOptions::default()).unwrap();
    }
}

#[test]
fn groups_of_any_depth_are_written_without_recursion() {
    let mut group = Group::default();
    for id in 1..500 {
        group = Group { id, children: vec![group], ..Group::default() };
    }
    let mut made = Document::default();
    made.header.groups.push(group);
    assert_eq!(document(written(&made)).header.groups, made.header.groups);
}

#[test]
fn the_progress_hook_can_stop_the_writer() {
    let document = Document { trees: vec![path(100_000)], ..Document::default() };
    for threads in [1, 3] {
        let mut hook = |bytes| if bytes > 1 << 20 { Err("enough".into()) } else { Ok(()) };
        let options =
            WriteOptions { threads: NonZeroUsize::new(threads), progress: Some(&mut hook), ..WriteOptions::default() };
        assert!(matches!(write(&document, Vec::new(), options), Err(NmlError::Stopped(_))));
    }
}

#[test]
fn an_element_of_very_many_attributes_is_written_in_time() {
    let lists =
        (0..30_000).map(|index| format!("stringListValue-{index}='' a{index}=''")).collect::<Vec<_>>().join(" ");
    let text = format!(
        "<things><parameters/><thing id='1'><metadata><metadataEntry key='' {lists}/></metadata></thing></things>"
    );
    let made = document(text);
    assert_eq!(document(written(&made)).trees[0].header.metadata[0].list.len(), 30_000);
}

#[test]
fn a_name_of_an_axis_that_cannot_be_written_can_be_taken_back() {
    let mut columns = TreeColumns::default();
    columns.push_node(&NodeRow { id: 1, ..NodeRow::default() });
    let text = |columns: &TreeColumns| {
        let trees = vec![Tree { header: TreeHeader::default(), columns: columns.clone() }];
        let mut out = Vec::new();
        write(&Document { trees, ..Document::default() }, &mut out, WriteOptions::default()).map(|()| out)
    };
    columns.coordinates.set(0, [("not a name", 1)]);
    assert!(matches!(text(&columns), Err(NmlError::Unwritable { .. })));
    columns.coordinates.set(0, [("t", 1)]);
    let out = String::from_utf8(text(&columns).expect("written")).expect("utf-8");
    assert!(out.contains(" additionalCoordinate-t=\"1\""), "{out}");
}
