//! Documents to measure with.

use wkfast_nml::columns::{NodeRow, TreeColumns};
use wkfast_nml::model::{Document, Experiment, Header, Id, Parameters, Scale, Tree, TreeHeader};

/// A skeleton as a server writes it: every node has all attributes, each tree is one path, about 235 bytes of text per
/// node with its edge.
pub fn skeleton(trees: usize, nodes_per_tree: usize) -> Document {
    let scale = Scale { x: Some(11.24), y: Some(11.24), z: Some(28.0), ..Scale::default() };
    let experiment = Experiment { name: Some("dataset".to_owned()), ..Experiment::default() };
    let header = Header { parameters: Parameters { experiment, scale, ..Parameters::default() }, ..Header::default() };
    Document { header, trees: (0..trees).map(|index| tree(index, nodes_per_tree)).collect() }
}

fn tree(index: usize, nodes: usize) -> Tree {
    let mut columns = TreeColumns::default();
    let first = (index * nodes) as Id + 1;
    for node in 0..nodes {
        columns.push_node(&row(first + node as Id));
        if node > 0 {
            let id = first + node as Id;
            columns.push_edge(id - 1, id);
        }
    }
    let color = [0.678_431_391_716_003_4, 0.141_176_477_074_623_1, 0.050_980_392_843_484_9, 1.0].map(Some);
    let name = Some(format!("tree {index:03}"));
    Tree { header: TreeHeader { id: index as Id + 1, name, color: Some(color), ..TreeHeader::default() }, columns }
}

fn row(id: Id) -> NodeRow {
    // A multiplicative step scatters the digits without a generator to carry along.
    let scatter = |factor: u64| (id as u64).wrapping_mul(factor) >> 44;
    NodeRow {
        id,
        position: [6_364_136_223_846_793_005, 1_442_695_040_888_963_407, 3_935_559_000_370_003_845]
            .map(|factor| (scatter(factor) % 100_000) as f64),
        radius: Some(100.0 + (scatter(2_862_933_555_777_941_757) % 1000) as f64 / 8.0),
        rotation: Some([0.0, 90.0, 270.0]),
        in_vp: Some((id % 3) as i32),
        in_mag: Some(1),
        bit_depth: Some(8),
        interpolation: Some(false),
        time: Some(1_644_425_520_594 + id as i64 * 437),
    }
}
