//! One mag, opened: shapes, and boxes of voxels as numpy arrays, out of files and into them.

use std::sync::Arc;

use bytemuck::Pod;
use numpy::{
    Element, PyArray2, PyArray4, PyArrayDescr, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray4, PyUntypedArray,
    PyUntypedArrayMethods, get_array_module,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};
use wkfast_volume::VolumeError;
use wkfast_volume::format::{
    DataFormat, IndexCache, ListedChunk, MagArray, MagLocation, NewMag, Voxels, WriteOptions, create, grow, is_small,
    list_chunks, open_mag, read_region_with, write_region,
};
use wkfast_volume::geometry::{BoundingBox, ChunkGrid};
use wkfast_volume::with_voxel_type;

use super::threads::pool;
use crate::errors::CoreError;

/// A mag of a layer, open for reading and, in a directory, for writing.
#[pyclass(frozen, name = "Mag", module = "wkfast._core")]
#[derive(Debug)]
pub(crate) struct PyMag {
    array: Arc<dyn MagArray>,
    format: DataFormat,
    /// Indexes of shards met so far.
    indexes: IndexCache,
}

#[pymethods]
impl PyMag {
    #[staticmethod]
    fn open(py: Python<'_>, location: &Bound<'_, PyDict>) -> Result<Self, CoreError> {
        let location: MagLocation = pythonize::depythonize(location).map_err(PyErr::from)?;
        let array = py.detach(|| open_mag(&location))?;
        Ok(Self { array, format: location.format, indexes: IndexCache::default() })
    }

    #[staticmethod]
    fn create(py: Python<'_>, location: &Bound<'_, PyDict>, spec: &Bound<'_, PyDict>) -> Result<Self, CoreError> {
        let location: MagLocation = pythonize::depythonize(location).map_err(PyErr::from)?;
        let new: NewMag = pythonize::depythonize(spec).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let array = py.detach(|| create(&location, &new)).map_err(value_error)?;
        Ok(Self { array, format: new.format, indexes: IndexCache::default() })
    }

    #[getter]
    fn data_format(&self) -> String {
        self.format.to_string()
    }

    #[getter]
    fn dtype(&self) -> &'static str {
        self.array.grid().voxel_type.name()
    }

    #[getter]
    fn channels(&self) -> u32 {
        self.array.grid().channels
    }

    #[getter]
    fn chunk_shape(&self) -> (u32, u32, u32) {
        self.array.grid().chunk_shape.into()
    }

    #[getter]
    fn chunks_per_shard(&self) -> (u32, u32, u32) {
        self.array.grid().chunks_per_shard.into()
    }

    #[getter]
    fn extra_axes(&self) -> Vec<String> {
        self.array.grid().extra_axes.clone()
    }

    #[getter]
    fn encoding(&self) -> &str {
        self.array.codec().encoding()
    }

    #[getter]
    fn compressed(&self) -> bool {
        self.array.codec().is_compressed()
    }

    /// Chunks with data, a row each: additional axes, then x, y, z, in chunks.
    fn chunks<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyArray2<u32>>, CoreError> {
        let chunks = py.detach(|| list_chunks(&*self.array))?;
        chunk_rows(py, self.array.grid(), &chunks)
    }

    #[getter]
    fn chunk_count(&self, py: Python<'_>) -> Result<usize, CoreError> {
        Ok(py.detach(|| list_chunks(&*self.array))?.len())
    }

    /// Bytes of all files with chunks.
    #[getter]
    fn stored_bytes(&self, py: Python<'_>) -> Result<u64, CoreError> {
        Ok(py.detach(|| self.array.list_shards())?.shards.iter().map(|(_, size)| size).sum())
    }

    #[pyo3(signature = (topleft, size, *, extra=Vec::new()))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        topleft: [i64; 3],
        size: [i64; 3],
        extra: Vec<u32>,
    ) -> Result<Bound<'py, PyAny>, CoreError> {
        let region = BoundingBox { topleft, size };
        Request { array: &*self.array, indexes: &self.indexes, extra, region }.read_any(py)
    }

    #[pyo3(signature = (topleft, array, *, extra=Vec::new(), keep_zeros=false))]
    fn write(
        &self,
        py: Python<'_>,
        topleft: [i64; 3],
        array: &Bound<'_, PyUntypedArray>,
        extra: Vec<u32>,
        keep_zeros: bool,
    ) -> Result<(), CoreError> {
        let request = WriteRequest { mag: self, extra, topleft, keep_zeros };
        with_voxel_type!(self.array.grid().voxel_type, T => request.write::<T>(py, array))
    }

    /// Makes the array state that it reaches to `extent`.
    #[allow(clippy::needless_pass_by_value)] // as Python hands it over
    #[pyo3(signature = (extent, *, extra=Vec::new()))]
    fn grow(&self, py: Python<'_>, extent: [u64; 3], extra: Vec<u32>) -> Result<(), CoreError> {
        Ok(py.detach(|| grow(&*self.array, &extra, extent))?)
    }
}

/// What does not fit together is the caller's mistake.
fn value_error(error: VolumeError) -> CoreError {
    match error {
        VolumeError::Mismatch(reason) => PyValueError::new_err(reason).into(),
        other => other.into(),
    }
}

/// A row per chunk: additional axes, then x, y, z.
pub(super) fn chunk_rows<'py>(
    py: Python<'py>,
    grid: &ChunkGrid,
    chunks: &[ListedChunk],
) -> Result<Bound<'py, PyArray2<u32>>, CoreError> {
    let columns = 3 + grid.extra_axes.len();
    let flat: Vec<u32> = chunks.iter().flat_map(|(index, _)| index.extra.iter().chain(&index.xyz)).copied().collect();
    let rows = numpy::PyArray1::from_vec(py, flat);
    Ok(rows.reshape([chunks.len(), columns])?)
}

/// A box to be read.
pub(super) struct Request<'a> {
    pub(super) array: &'a dyn MagArray,
    pub(super) indexes: &'a IndexCache,
    pub(super) extra: Vec<u32>,
    pub(super) region: BoundingBox,
}

impl Request<'_> {
    pub(super) fn read_any<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, CoreError> {
        with_voxel_type!(self.array.grid().voxel_type, T => self.read::<T>(py))
    }

    fn read<'py, T: Element + Pod>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, CoreError> {
        let out = self.zeros::<T>(py)?;
        let mut guard = out.readwrite();
        let voxels: &mut [u8] = bytemuck::cast_slice_mut(guard.as_slice_mut().map_err(PyErr::from)?);
        let array = self.array;
        let fill = || read_region_with(self.indexes, array, &self.extra, &self.region, voxels);
        let read = if is_small(array.grid(), &self.region) {
            py.detach(fill)
        } else {
            let pool = pool()?;
            py.detach(|| pool.install(fill))
        };
        drop(guard);
        read.map(|()| out.into_any()).map_err(value_error)
    }

    /// An array (c, x, y, z) in Fortran order. numpy makes it, so that too large a box is a `MemoryError`.
    fn zeros<'py, T: Element>(&self, py: Python<'py>) -> Result<Bound<'py, PyArray4<T>>, CoreError> {
        let [x, y, z] = self.region.size;
        let shape = (i64::from(self.array.grid().channels), x, y, z);
        let order = [("order", "F")].into_py_dict(py)?;
        let dtype = PyArrayDescr::of::<T>(py);
        let array = get_array_module(py)?.call_method("zeros", (shape, dtype), Some(&order))?;
        Ok(array.cast_into::<PyArray4<T>>().map_err(PyErr::from)?)
    }
}

/// A box to be written.
struct WriteRequest<'a> {
    mag: &'a PyMag,
    extra: Vec<u32>,
    topleft: [i64; 3],
    keep_zeros: bool,
}

impl WriteRequest<'_> {
    fn write<T: Element + Pod>(&self, py: Python<'_>, array: &Bound<'_, PyUntypedArray>) -> Result<(), CoreError> {
        let held = self.typed::<T>(py, array)?;
        let z_fastest = !held.is_fortran_contiguous();
        // Both of numpy's own orders are taken as they are; anything else has been copied into one of them.
        let bytes = bytemuck::cast_slice(held.as_slice().map_err(PyErr::from)?);
        let &[_, x, y, z] = held.shape() else { return Err(PyValueError::new_err("not four axes").into()) };
        let region = BoundingBox { topleft: self.topleft, size: [x as i64, y as i64, z as i64] };
        let pool = pool()?;
        let options = WriteOptions { keep_zeros: self.keep_zeros, pool: Some(&pool) };
        let voxels = Voxels { bytes, z_fastest };
        py.detach(|| write_region(&*self.mag.array, &self.extra, &region, &voxels, &options)).map_err(value_error)
    }

    fn typed<'py, T: Element>(
        &self,
        py: Python<'py>,
        array: &Bound<'py, PyUntypedArray>,
    ) -> Result<PyReadonlyArray4<'py, T>, CoreError> {
        let (grid, dtype) = (self.mag.array.grid(), array.dtype());
        let fits = array.ndim() == 4 && array.shape()[0] == grid.channels as usize;
        if !fits || !dtype.is_equiv_to(&PyArrayDescr::of::<T>(py)) {
            let (name, channels) = (grid.voxel_type.name(), grid.channels);
            let text =
                format!("expected {name} of the shape ({channels}, x, y, z), not {dtype} of {:?}", array.shape());
            return Err(PyValueError::new_err(text).into());
        }
        let array = if array.is_contiguous() || array.is_fortran_contiguous() {
            array.as_any().clone()
        } else {
            get_array_module(py)?.call_method1("asfortranarray", (array,))?
        };
        let array = array.cast_into::<PyArray4<T>>().map_err(PyErr::from)?;
        Ok(array.try_readonly().map_err(PyErr::from)?)
    }
}
