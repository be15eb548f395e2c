//! NML, the skeleton file of WEBKNOSSOS: bytes to a columnar [`model`] and back, streaming.

mod ahead;
pub mod columns;
pub mod error;
pub mod model;
mod read;
mod write;

pub use error::{NmlError, Position, Problem};
pub use model::{Document, Tree};
pub use read::{Limits, Loaded, Progress, ReadOptions, TreeStream, read, read_file, read_threaded};
pub use write::{WriteOptions, write};
