//! `wkfast._core`: extract, detach from the interpreter, call the pure crates, wrap.

mod classes;
mod errors;
mod file_at;
mod files;
mod geometry;
mod http;
mod kept;
mod nml;
mod objects;
mod patience;
mod volume;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("DEBUG_BUILD", cfg!(debug_assertions))?;
    geometry::register(module)?;
    files::register(module)?;
    http::register(module)?;
    kept::register(module)?;
    nml::register(module)?;
    objects::register(module)?;
    volume::register(module)
}
