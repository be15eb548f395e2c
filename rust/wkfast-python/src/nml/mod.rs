//! NML documents and tree columns for `wkfast.skeleton`.

// pyo3 hands extracted arguments over by value.
#![allow(clippy::needless_pass_by_value)]

mod columns;
mod document;
mod facts;
mod files;
mod graph;
mod header;
mod ids;
mod iterator;
mod limits;
mod live_nodes;
mod loaded;
mod many;
mod neighbors;
mod node;
mod node_class;
mod packed;
mod plain_type;
mod record;
mod stream;
mod tables;
mod vectors;

use pyo3::prelude::*;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<columns::TreeColumns>()?;
    module.add_class::<document::AnnotationZip>()?;
    module.add_class::<document::NmlDocument>()?;
    node_class::register(module)?;
    module.add_class::<facts::NodeAttribute>()?;
    facts::register(module.py())?;
    module.add("GROUP_DEPTH", wkfast_nml::Limits::default().group_depth())?;
    module.add("NODE_COLUMNS", facts::columns(module.py())?)?;
    module.add_class::<graph::Adjacency>()?;
    module.add_class::<graph::DegreeView>()?;
    module.add_class::<graph::NeighborMap>()?;
    module.add_class::<header::PackedRecords>()?;
    module.add_class::<header::RecordIterator>()?;
    module.add_class::<ids::IdCounter>()?;
    module.add_class::<loaded::LoadedTrees>()?;
    module.add("NodeIterator", iterator::NodeIterator::class(module.py())?)?;
    module.add_class::<record::TreeRecord>()?;
    module.add_class::<many::TableStream>()?;
    module.add_class::<stream::TreeStream>()?;
    module.add_function(wrap_pyfunction!(columns::restore_tree, module)?)?;
    module.add_function(wrap_pyfunction!(loaded::restore_trees, module)?)?;
    module.add_function(wrap_pyfunction!(document::empty_header, module)?)?;
    module.add_function(wrap_pyfunction!(document::read_nml, module)?)?;
    module.add_function(wrap_pyfunction!(document::read_nml_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(files::write_annotation_zip, module)?)?;
    module.add_function(wrap_pyfunction!(files::write_nml, module)?)?;
    module.add_function(wrap_pyfunction!(many::read_tables, module)?)?;
    module.add_function(wrap_pyfunction!(node::restore_node, module)?)?;
    Ok(())
}
