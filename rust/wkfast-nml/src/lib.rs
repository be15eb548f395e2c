//! NML, the skeleton file of WEBKNOSSOS: bytes to a columnar [`model`] and back, streaming.

pub mod columns;
pub mod error;
pub mod model;

pub use error::{NmlError, Problem};
pub use model::{Document, Tree};
