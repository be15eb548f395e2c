use std::sync::OnceLock;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn is_close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs()
}

/// The slow obvious twin: nodes by id, edges as sorted pairs.
#[derive(Default)]
struct Plain {
    nodes: BTreeMap<Id, [f64; 3]>,
    edges: BTreeSet<(Id, Id)>,
}

#[derive(Clone, Debug)]
enum Edit {
    AddNode(Id),
    RemoveNode(Id),
    AddEdge(Id, Id),
    RemoveEdge(Id, Id),
    Forget,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let id = || prop_oneof![0..12_i128, Just(1 << 70)];
    let edit = prop_oneof![
        4 => id().prop_map(Edit::AddNode),
        1 => id().prop_map(Edit::RemoveNode),
        6 => (id(), id()).prop_map(|(a, b)| Edit::AddEdge(a, b)),
        2 => (id(), id()).prop_map(|(a, b)| Edit::RemoveEdge(a, b)),
        1 => Just(Edit::Forget),
    ];
    prop::collection::vec(edit, 0..60)
}

fn apply(table: &mut TreeTable, plain: &mut Plain, edit: &Edit) {
    match *edit {
        Edit::AddNode(id) => {
            let node = NodeRow { id, position: [id as f64, 0.5, -1.0], ..NodeRow::default() };
            let added = table.push_node(&node);
            assert_eq!(added.is_ok(), plain.nodes.insert(id, node.position).is_none());
        }
        Edit::RemoveNode(id) => {
            let removed = table.row_of(id).map(|row| table.remove_node(row));
            assert_eq!(removed.is_some(), plain.nodes.remove(&id).is_some());
            plain.edges.retain(|&(a, b)| a != id && b != id);
        }
        Edit::AddEdge(a, b) => {
            if let (Some(from), Some(to)) = (table.row_of(a), table.row_of(b)) {
                assert_eq!(table.add_edge(from, to), Ok(plain.edges.insert((a.min(b), a.max(b)))));
            }
        }
        Edit::RemoveEdge(a, b) => {
            if let (Some(from), Some(to)) = (table.row_of(a), table.row_of(b)) {
                assert_eq!(table.remove_edge(from, to), Ok(plain.edges.remove(&(a.min(b), a.max(b)))));
            }
        }
        // What was built on first use must not matter.
        Edit::Forget => (table.index, table.graph) = (OnceLock::new(), OnceLock::new()),
    }
}

/// Takes a node and all that can be reached from it, until none is left.
fn parts(plain: &Plain) -> usize {
    let mut left: BTreeSet<Id> = plain.nodes.keys().copied().collect();
    let mut count = 0;
    while let Some(first) = left.pop_first() {
        let mut open = vec![first];
        while let Some(node) = open.pop() {
            let ends = plain.edges.iter().filter(|(a, b)| *a == node || *b == node);
            open.extend(ends.flat_map(|&(a, b)| [a, b]).filter(|end| left.remove(end)));
        }
        count += 1;
    }
    count
}

fn compare(table: &mut TreeTable, plain: &Plain) {
    assert_eq!(table.len(), plain.nodes.len());
    assert_eq!(table.edge_count(), plain.edges.len());
    let id = |table: &TreeTable, row: u32| table.columns.ids.get(row as usize).unwrap();
    let edges: BTreeSet<_> = table.edge_rows().iter().map(|&[a, b]| (id(table, a), id(table, b))).collect();
    assert_eq!(edges.iter().map(|&(a, b)| (a.min(b), a.max(b))).collect::<BTreeSet<_>>(), plain.edges);
    for &node in plain.nodes.keys() {
        let row = table.row_of(node).unwrap();
        let around: BTreeSet<_> = table.neighbors(row).unwrap().to_vec().iter().map(|n| id(table, n.row)).collect();
        let expected = plain.edges.iter().filter(|(a, b)| *a == node || *b == node);
        assert_eq!(around, expected.map(|&(a, b)| if a == node { b } else { a }).collect());
    }
    assert_eq!(table.component_count(), parts(plain));
    let kept = TreeTable::from(table.compacted().into_owned());
    assert!(kept.same_content(table));
    assert_eq!(kept.columns.rows(), plain.nodes.len());
    assert_eq!(kept.columns.edge_count(), plain.edges.len());
}

proptest! {
    #[test]
    fn any_sequence_of_edits_equals_a_plain_graph(edits in edits()) {
        let (mut table, mut plain) = (TreeTable::default(), Plain::default());
        for edit in &edits {
            apply(&mut table, &mut plain, edit);
            compare(&mut table, &plain);
        }
    }

    #[test]
    fn a_list_of_edges_with_repeats_strays_and_loops_is_a_simple_graph(
        pairs in prop::collection::vec((0..9_i128, 0..9_i128), 0..80), missing in 0..9_i128,
    ) {
        let mut columns = TreeColumns::default();
        let mut plain = Plain::default();
        for id in (0..9).filter(|&id| id != missing) {
            columns.push_node(&NodeRow { id, ..NodeRow::default() });
            plain.nodes.insert(id, [0.0; 3]);
        }
        for &(a, b) in &pairs {
            columns.push_edge(a, b);
            if a != missing && b != missing {
                plain.edges.insert((a.min(b), a.max(b)));
            }
        }
        let mut table = TreeTable::from(columns);
        assert_eq!(table.edge_count(), plain.edges.len());
        for &(a, b) in plain.edges.clone().iter().step_by(2) {
            apply(&mut table, &mut plain, &Edit::RemoveEdge(a, b));
        }
        assert_eq!(table.edge_count(), plain.edges.len());
        let left = TreeTable::from(table.compacted().into_owned()).edge_rows().len();
        assert_eq!(left, plain.edges.len(), "a removed edge is removed with its repetitions");
    }

    #[test]
    fn renumbering_keeps_everything_but_ids(edits in edits(), first in -5..1000_i128) {
        let (mut table, mut plain) = (TreeTable::default(), Plain::default());
        for edit in &edits {
            apply(&mut table, &mut plain, edit);
        }
        let renumbered = TreeTable::from(table.renumbered(first));
        assert_eq!(renumbered.columns.ids.iter().collect::<Vec<_>>(), (first..).take(table.len()).collect::<Vec<_>>());
        assert_eq!(renumbered.edge_count(), table.edge_count());
        assert_eq!(renumbered.degrees(), table.degrees());
        assert!(is_close(renumbered.path_length([1.0, 2.0, 3.0]), table.path_length([1.0, 2.0, 3.0])));
    }
}

#[test]
fn the_path_length_is_the_sum_of_the_edges_in_scaled_space() {
    let mut table = TreeTable::default();
    for (id, position) in [(1, [0.0; 3]), (2, [3.0, 4.0, 0.0]), (3, [3.0, 4.0, 2.0])] {
        table.push_node(&NodeRow { id, position, ..NodeRow::default() }).unwrap();
    }
    table.add_edge(0, 1).unwrap();
    table.add_edge(1, 2).unwrap();
    assert!(is_close(table.path_length([1.0, 1.0, 10.0]), 25.0));
    assert_eq!(table.bounds(), Some([[0.0; 3], [3.0, 4.0, 2.0]]));
}

#[test]
fn a_star_of_many_rays_is_taken_apart_quickly_and_wholly() {
    let mut table = TreeTable::default();
    for id in 0..50_000 {
        table.push_node(&NodeRow { id, ..NodeRow::default() }).unwrap();
        table.add_edge(0, id as u32).unwrap();
    }
    table.remove_node(0).unwrap();
    assert_eq!((table.len(), table.edge_count()), (49_999, 0));
}

#[test]
fn rows_come_in_runs_and_changes_are_counted() {
    let mut table = TreeTable::default();
    for id in 0..6 {
        table.push_node(&NodeRow { id, ..NodeRow::default() }).unwrap();
    }
    let changes = table.changes();
    assert_eq!((table.live_run(2), changes.count()), (2..6, 6));
    for row in [0, 3, 4] {
        table.remove_node(row).unwrap();
    }
    assert_eq!([0, 1, 3, 5, 6].map(|row| table.live_run(row)), [1..3, 1..3, 5..6, 5..6, 6..6]);
    table.clone().remove_node(1).unwrap();
    assert_eq!(changes.count(), 9);
}

#[test]
fn a_loop_that_removes_nodes_looks_at_few_rows_each_time() {
    let mut table = TreeTable::default();
    for id in 0..20_000 {
        table.push_node(&NodeRow { id, ..NodeRow::default() }).unwrap();
    }
    assert_eq!(table.live_run(0), 0..20_000);
    table.remove_node(5).unwrap();
    assert_eq!(table.live_run(6), 6..6 + RUN);
    assert_eq!(table.live_run(6 + RUN).start, 6 + RUN);
}

#[test]
fn a_removed_node_cannot_be_used() {
    let mut table = TreeTable::default();
    let row = table.push_node(&NodeRow::default()).unwrap();
    table.remove_node(row).unwrap();
    assert_eq!(table.add_edge(row, row), Err(EditError::NoSuchRow(row)));
    assert_eq!(table.remove_node(row), Err(EditError::NoSuchRow(row)));
    assert_eq!(table.push_node(&NodeRow::default()), Ok(1));
}
