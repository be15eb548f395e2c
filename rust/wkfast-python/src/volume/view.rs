//! Layers merged while they are read.

use std::sync::Arc;

use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyAny;
use pythonize::{depythonize, pythonize};
use wkfast_volume::VolumeError;
use wkfast_volume::format::{DataFormat, IndexCache, MagArray, list_chunks};
use wkfast_volume::geometry::{BoundingBox, ChunkGrid, Mag};
use wkfast_volume::merge::{MergedView, ViewInput};

use super::function::label_rule;
use super::mag::{Request, chunk_rows, values_at};
use crate::errors::CoreError;
use crate::patience::away_if;

/// A merged layer that exists nowhere.
#[pyclass(name = "MergedLayer", module = "wkfast._core", frozen)]
#[derive(Debug)]
pub(crate) struct PyMergedLayer(MergedView);

#[pymethods]
impl PyMergedLayer {
    #[new]
    fn new(py: Python<'_>, input: &Bound<'_, PyAny>) -> Result<Self, CoreError> {
        let input: ViewInput =
            depythonize(input).map_err(|error| VolumeError::Mismatch(format!("what to merge: {error}")))?;
        let far = input.fallback.iter().any(|location| location.container.is_far());
        Ok(Self(away_if(py, far, || MergedView::open(input))??))
    }

    #[getter]
    fn mags(&self) -> Vec<(u32, u32, u32)> {
        self.0.plan().mags.iter().map(|mag| mag.mag.0.into()).collect()
    }

    fn summary<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, CoreError> {
        Ok(pythonize(py, &self.0.plan().facts()).map_err(PyErr::from)?)
    }

    #[pyo3(signature = (rule, *, address=None))]
    fn use_rule(&self, rule: Py<PyAny>, address: Option<usize>) {
        self.0.use_rule(label_rule(rule, address));
    }

    fn mag(&self, mag: [u32; 3]) -> Result<PyMergedMag, CoreError> {
        let mag = Mag(mag);
        let (plan, array) = self.0.mag(mag).ok_or_else(|| VolumeError::Missing {
            what: format!("mag {mag} of the merged layer"),
            hint: "its property mags lists those it has".to_owned(),
        })?;
        let (format, grid) = (plan.fallback.format, plan.grid.clone());
        let compressed = self.0.is_compressed(mag);
        Ok(PyMergedMag { array, format, grid, compressed, indexes: IndexCache::default() })
    }
}

/// A mag of a merged layer.
#[pyclass(name = "MergedMag", module = "wkfast._core", frozen)]
#[derive(Debug)]
pub(crate) struct PyMergedMag {
    array: Arc<dyn MagArray>,
    format: DataFormat,
    /// As a merge would write it.
    grid: ChunkGrid,
    compressed: bool,
    indexes: IndexCache,
}

#[pymethods]
impl PyMergedMag {
    #[getter]
    fn data_format(&self) -> String {
        self.format.to_string()
    }

    #[getter]
    fn dtype(&self) -> &'static str {
        self.grid.voxel_type.name()
    }

    #[getter]
    fn channels(&self) -> u32 {
        self.grid.channels
    }

    #[getter]
    fn chunk_shape(&self) -> (u32, u32, u32) {
        self.grid.chunk_shape.into()
    }

    #[getter]
    fn chunks_per_shard(&self) -> (u32, u32, u32) {
        self.grid.chunks_per_shard.into()
    }

    #[getter]
    fn extra_axes(&self) -> Vec<String> {
        self.grid.extra_axes.clone()
    }

    #[getter]
    fn compressed(&self) -> bool {
        self.compressed
    }

    /// Chunks with data, a row each: additional axes, then x, y, z, in chunks.
    fn chunks<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyArray2<u32>>, CoreError> {
        let chunks = py.detach(|| list_chunks(&*self.array))?;
        chunk_rows(py, &self.grid, &chunks)
    }

    #[allow(clippy::needless_pass_by_value)] // as Python hands it over
    fn values_at<'py>(
        &self,
        py: Python<'py>,
        points: PyReadonlyArray2<'py, i64>,
    ) -> Result<Bound<'py, PyAny>, CoreError> {
        values_at(py, &*self.array, &self.indexes, &points)
    }

    #[allow(clippy::needless_pass_by_value)] // as Python hands it over
    #[pyo3(signature = (topleft, size, *, extra=Vec::new()))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        topleft: [i64; 3],
        size: [i64; 3],
        extra: Vec<u32>,
    ) -> Result<Bound<'py, PyAny>, CoreError> {
        let region = BoundingBox { topleft, size };
        Request { array: &*self.array, indexes: &self.indexes, extra: &extra, region }.read_any(py)
    }
}
