//! NML, the skeleton file of WEBKNOSSOS: bytes to a columnar [`model`] and back, streaming.

mod ahead;
pub mod columns;
pub mod coordinates;
pub mod edit;
pub mod error;
mod graph;
pub mod model;
mod read;
mod row_index;
mod table;
mod write;

pub use edit::{Changes, EditError, TreeTable, same_node};
pub use error::{NmlError, Position, Problem};
pub use graph::Neighbor;
pub use model::{Document, Tree};
pub use read::{Limits, Loaded, Progress, ReadOptions, TreeStream, read, read_file, read_threaded};
pub use table::{AnyColumn, AnyColumnMut, Cell, CellKind, NODE_COLUMNS, NodeColumn};
pub use write::{TreeRef, WriteOptions, write, write_trees_of};
