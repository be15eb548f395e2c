//! Layers, mags and the merge for `wkfast.dataset` and `wkfast.annotation`.

mod function;
mod mag;
mod memory;
mod merge;
mod pack;
mod reshape;
mod statistics;
mod threads;
mod view;
pub(crate) mod watch;

use std::ffi::CString;

use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use wkfast_volume::format::{Cells, DataFormat, blocks, discover};
use wkfast_volume::voxels::VoxelType;

pub(crate) use threads::{pool, pool_of};

use crate::errors::CoreError;
use crate::file_at::FileAt;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<mag::PyMag>()?;
    module.add_class::<merge::PyMergePlan>()?;
    module.add_class::<merge::PyMergeHold>()?;
    module.add_function(wrap_pyfunction!(merge::merge_status, module)?)?;
    module.add_class::<reshape::PyReshape>()?;
    module.add_class::<statistics::PyStatistics>()?;
    module.add_class::<statistics::PySegmentTable>()?;
    module.add_function(wrap_pyfunction!(reshape::exchange_folders, module)?)?;
    module.add_function(wrap_pyfunction!(reshape::restore_folder, module)?)?;
    module.add_function(wrap_pyfunction!(reshape::remove_folder, module)?)?;
    module.add_class::<view::PyMergedLayer>()?;
    module.add_class::<view::PyMergedMag>()?;
    module.add_class::<pack::PyArchive>()?;
    module.add_function(wrap_pyfunction!(pack::probe_members, module)?)?;
    module.add_function(wrap_pyfunction!(pack::largest_label_of, module)?)?;
    module.add_function(wrap_pyfunction!(pack::unpack_mags, module)?)?;
    module.add_function(wrap_pyfunction!(pack::pack_mags, module)?)?;
    module.add("VOXEL_TYPES", PyTuple::new(module.py(), VoxelType::ALL.map(VoxelType::name))?)?;
    module.add("LEAST_MEMORY", wkfast_volume::work::STANDING)?;
    module.add_function(wrap_pyfunction!(memory::memory_limit, module)?)?;
    module.add_function(wrap_pyfunction!(memory::bytes_in_flight, module)?)?;
    module.add_function(wrap_pyfunction!(cutout_blocks, module)?)?;
    module.add_function(wrap_pyfunction!(discover_mags, module)?)
}

/// The boxes of chunks, each from and to along x, y, z, in which a data store is asked for `cells` of them.
#[pyfunction]
fn cutout_blocks(cells: [(u64, u64); 3], chunk_bytes: u64) -> Vec<[(u64, u64); 3]> {
    let all = cells.map(|(start, end)| start..end);
    let ends = |block: Cells| block.map(|range| (range.start, range.end));
    blocks(&all, chunk_bytes).into_iter().map(ends).collect()
}

/// The mags in an archive, finest first, as plain data. What is strange about the archive is warned of.
#[pyfunction]
#[pyo3(signature = (path, member=None, *, declared=None))]
fn discover_mags<'py>(
    py: Python<'py>,
    path: FileAt,
    member: Option<String>,
    declared: Option<&Bound<'py, PyAny>>,
) -> Result<Bound<'py, PyAny>, CoreError> {
    let declared: Option<DataFormat> = declared.map(pythonize::depythonize).transpose().map_err(PyErr::from)?;
    let file = path.clone();
    let found = file.patiently(py, move |_| discover(&path.container(member), declared))??;
    for warning in &found.warnings {
        let text = CString::new(warning.replace('\0', "")).unwrap_or_default();
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 2)?;
    }
    Ok(pythonize::pythonize(py, &found.mags).map_err(PyErr::from)?)
}
