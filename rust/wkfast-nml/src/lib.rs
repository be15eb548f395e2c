//! NML, the skeleton file of WEBKNOSSOS: bytes to a columnar [`model`] and back, streaming.

mod ahead;
pub mod columns;
pub mod coordinates;
pub mod edit;
pub mod error;
mod forest;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod graph;
pub mod model;
mod pack;
mod read;
mod row_index;
mod table;
pub mod tables;
mod write;

pub use edit::{Changes, EditError, TreeTable, same_node};
pub use error::{NmlError, Position, Problem};
pub use forest::{Forest, PackedTree, PackedTrees, TreeEntry};
pub use graph::Neighbor;
pub use model::{Document, Tree};
pub use pack::{Pack, PackedList};
pub use read::{
    Limits, Loaded, LoadedForest, Progress, ReadOptions, TreeStream, read, read_file, read_forest, read_forest_file,
    read_forest_threaded, read_threaded,
};
pub use table::{AnyColumn, AnyColumnMut, Cell, CellKind, NODE_COLUMNS, NodeColumn};
pub use write::{TreeRef, WriteOptions, write, write_trees_of};
