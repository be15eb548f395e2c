//! One mag, opened: shapes, and boxes of voxels as numpy arrays, out of files and into them.

use bytemuck::Pod;
use numpy::{
    Element, PyArray2, PyArray4, PyArrayDescr, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray4,
    PyUntypedArray, PyUntypedArrayMethods, get_array_module,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};
use wkfast_volume::VolumeError;
use wkfast_volume::format::{
    CurrentMag, IndexCache, ListedChunk, MagArray, MagLocation, NewMag, OpenMag, Voxels, WriteOptions, create, grow,
    is_small, list_chunks, open_mag, read_region_with, write_region,
};
use wkfast_volume::geometry::{BoundingBox, ChunkGrid};
use wkfast_volume::{sample, with_voxel_type};

use super::threads::pool;
use crate::errors::CoreError;
use crate::patience::away_if;

/// A mag of a layer, open for reading and, in a directory, for writing.
#[pyclass(frozen, name = "Mag", module = "wkfast._core")]
#[derive(Debug)]
pub(crate) struct PyMag(CurrentMag);

#[pymethods]
impl PyMag {
    #[staticmethod]
    #[pyo3(signature = (location, *, follow=false))]
    fn open(py: Python<'_>, location: &Bound<'_, PyDict>, follow: bool) -> Result<Self, CoreError> {
        let location: MagLocation = pythonize::depythonize(location).map_err(PyErr::from)?;
        let far = location.container.is_far();
        let open = || {
            if follow {
                return CurrentMag::open(location);
            }
            let array = open_mag(&location)?;
            Ok(CurrentMag::fixed(location, array))
        };
        Ok(Self(away_if(py, far, open)??))
    }

    #[staticmethod]
    fn create(py: Python<'_>, location: &Bound<'_, PyDict>, spec: &Bound<'_, PyDict>) -> Result<Self, CoreError> {
        let location: MagLocation = pythonize::depythonize(location).map_err(PyErr::from)?;
        let new: NewMag = pythonize::depythonize(spec).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let array = py.detach(|| create(&location, &new)).map_err(value_error)?;
        Ok(Self(CurrentMag::fixed(MagLocation { format: new.format, ..location }, array)))
    }

    /// Makes sure that the mag is still there and can be opened.
    fn check(&self) -> Result<(), CoreError> {
        self.0.now()?;
        Ok(())
    }

    #[getter]
    fn data_format(&self) -> String {
        self.0.format().to_string()
    }

    #[getter]
    fn dtype(&self) -> Result<&'static str, CoreError> {
        Ok(self.0.now()?.array.grid().voxel_type.name())
    }

    #[getter]
    fn channels(&self) -> Result<u32, CoreError> {
        Ok(self.0.now()?.array.grid().channels)
    }

    #[getter]
    fn chunk_shape(&self) -> Result<(u32, u32, u32), CoreError> {
        Ok(self.0.now()?.array.grid().chunk_shape.into())
    }

    #[getter]
    fn chunks_per_shard(&self) -> Result<(u32, u32, u32), CoreError> {
        Ok(self.0.now()?.array.grid().chunks_per_shard.into())
    }

    #[getter]
    fn extra_axes(&self) -> Result<Vec<String>, CoreError> {
        Ok(self.0.now()?.array.grid().extra_axes.clone())
    }

    #[getter]
    fn encoding(&self) -> Result<String, CoreError> {
        Ok(self.0.now()?.array.codec().encoding().to_owned())
    }

    #[getter]
    fn compressed(&self) -> Result<bool, CoreError> {
        Ok(self.0.now()?.array.codec().is_compressed())
    }

    /// Chunks with data, a row each: additional axes, then x, y, z, in chunks.
    fn chunks<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyArray2<u32>>, CoreError> {
        let list = |mag: &OpenMag| Ok((list_chunks(&*mag.array)?, mag.array.grid().clone()));
        let (chunks, grid) = away_if(py, self.0.is_far(), || self.0.of_one_state::<_, VolumeError>(list))??;
        chunk_rows(py, &grid, &chunks)
    }

    #[getter]
    fn chunk_count(&self, py: Python<'_>) -> Result<usize, CoreError> {
        Ok(away_if(py, self.0.is_far(), || self.0.of_one_state(|mag| list_chunks(&*mag.array)))??.len())
    }

    /// Bytes of all files with chunks.
    #[getter]
    fn stored_bytes(&self, py: Python<'_>) -> Result<u64, CoreError> {
        let listing = away_if(py, self.0.is_far(), || self.0.of_one_state(|mag| mag.array.list_shards()))??;
        Ok(listing.shards.iter().map(|(_, size)| size).sum())
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
        self.0.of_one_state(|mag| {
            Request { array: &*mag.array, indexes: &mag.indexes, extra: &extra, region }.read_any(py)
        })
    }

    #[allow(clippy::needless_pass_by_value)] // as Python hands it over
    fn values_at<'py>(
        &self,
        py: Python<'py>,
        points: PyReadonlyArray2<'py, i64>,
    ) -> Result<Bound<'py, PyAny>, CoreError> {
        self.0.of_one_state(|mag| values_at(py, &*mag.array, &mag.indexes, &points))
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
        let mag = self.0.to_write()?;
        let request = WriteRequest { mag: &*mag.array, extra, topleft, keep_zeros };
        with_voxel_type!(mag.array.grid().voxel_type, T => request.write::<T>(py, array))?;
        Ok(crate::files::tell_of_missing_locks(py)?)
    }

    /// Makes the array state that it reaches to `extent`.
    #[allow(clippy::needless_pass_by_value)] // as Python hands it over
    #[pyo3(signature = (extent, *, extra=Vec::new()))]
    fn grow(&self, py: Python<'_>, extent: [u64; 3], extra: Vec<u32>) -> Result<(), CoreError> {
        let mag = self.0.to_write()?;
        Ok(py.detach(|| grow(&*mag.array, &extra, extent))?)
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

/// The voxels at points, a row each: one value, or one for each channel.
pub(super) fn values_at<'py>(
    py: Python<'py>,
    array: &dyn MagArray,
    indexes: &IndexCache,
    points: &PyReadonlyArray2<'py, i64>,
) -> Result<Bound<'py, PyAny>, CoreError> {
    let rows = points.as_slice().map_err(PyErr::from)?;
    let shape = [points.shape()[0], array.grid().channels as usize];
    with_voxel_type!(array.grid().voxel_type, T => {
        let out = PyArray2::<T>::zeros(py, shape, false);
        let mut guard = out.readwrite();
        let values: &mut [u8] = bytemuck::cast_slice_mut(guard.as_slice_mut().map_err(PyErr::from)?);
        let pool = pool()?;
        let done = away_if(py, array.store().is_far(), || pool.install(|| sample::values_at(indexes, array, rows, values)));
        drop(guard);
        done?.map(|()| out.into_any()).map_err(value_error)
    })
}

/// A box to be read.
pub(super) struct Request<'a> {
    pub(super) array: &'a dyn MagArray,
    pub(super) indexes: &'a IndexCache,
    pub(super) extra: &'a [u32],
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
        let (array, far) = (self.array, self.array.store().is_far());
        let fill = || read_region_with(self.indexes, array, self.extra, &self.region, voxels);
        let read = if is_small(array.grid(), &self.region) {
            away_if(py, far, fill)
        } else {
            let pool = pool()?;
            away_if(py, far, || pool.install(fill))
        };
        drop(guard);
        read?.map(|()| out.into_any()).map_err(value_error)
    }

    /// An array (c, x, y, z) in Fortran order. numpy makes it, so that too large a box is a `MemoryError`.
    fn zeros<'py, T: Element>(&self, py: Python<'py>) -> Result<Bound<'py, PyArray4<T>>, CoreError> {
        let [x, y, z] = self.region.size;
        if is_small(self.array.grid(), &self.region) {
            let shape = [self.array.grid().channels as usize, x as usize, y as usize, z as usize];
            return Ok(PyArray4::zeros(py, shape, true));
        }
        let shape = (i64::from(self.array.grid().channels), x, y, z);
        let order = [("order", "F")].into_py_dict(py)?;
        let dtype = PyArrayDescr::of::<T>(py);
        let array = get_array_module(py)?.call_method("zeros", (shape, dtype), Some(&order))?;
        Ok(array.cast_into::<PyArray4<T>>().map_err(PyErr::from)?)
    }
}

/// A box to be written.
struct WriteRequest<'a> {
    mag: &'a dyn MagArray,
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
        py.detach(|| write_region(self.mag, &self.extra, &region, &voxels, &options)).map_err(value_error)
    }

    fn typed<'py, T: Element>(
        &self,
        py: Python<'py>,
        array: &Bound<'py, PyUntypedArray>,
    ) -> Result<PyReadonlyArray4<'py, T>, CoreError> {
        let (grid, dtype) = (self.mag.grid(), array.dtype());
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
