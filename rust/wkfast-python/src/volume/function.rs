//! Functions of the caller's that work on chunks: compiled ones, by their address, and Python's.

use std::sync::Arc;

use bytemuck::Pod;
use numpy::{Element, PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::IntoPyDict;
use wkfast_volume::geometry::{ChunkGrid, ChunkIndex};
use wkfast_volume::merge::{LabelRule, Runs};
use wkfast_volume::reshape::ChunkFunction;
use wkfast_volume::voxels::VoxelType;
use wkfast_volume::with_voxel_type;

use crate::patience::attached;

/// Voxels in, voxels out, then their shape (c, x, y, z). Returns 1 if all went well.
type NativeChunk = extern "C" fn(*const u8, *mut u8, i64, i64, i64, i64) -> i64;

/// A function, and what compiling it gave.
pub(super) struct UserFunction {
    /// Called with the chunk's place, its voxels and where the new ones go. Where there is an address, only to learn what
    /// went wrong.
    pub(super) python: Py<PyAny>,
    pub(super) address: Option<usize>,
}

impl UserFunction {
    /// The function for chunks of two mags that are cut alike.
    pub(super) fn of_chunks(self, source: &ChunkGrid, target: &ChunkGrid) -> Arc<ChunkFunction> {
        let [x, y, z] = source.chunk_shape.map(i64::from);
        let shape = [i64::from(source.channels), x, y, z];
        let types = (source.voxel_type, target.voxel_type);
        Arc::new(move |chunk: &ChunkIndex, voxels: &[u8], out: &mut [u8]| match self.address.map(native_chunk) {
            Some(native) => {
                let [c, x, y, z] = shape;
                if native(voxels.as_ptr(), out.as_mut_ptr(), c, x, y, z) == 1 {
                    return Ok(());
                }
                self.in_python(chunk, shape, types, voxels, out)?;
                Err("the compiled function failed where the same in Python does not".to_owned())
            }
            None => self.in_python(chunk, shape, types, voxels, out),
        })
    }

    fn in_python(
        &self,
        chunk: &ChunkIndex,
        shape: [i64; 4],
        types: (VoxelType, VoxelType),
        voxels: &[u8],
        out: &mut [u8],
    ) -> Result<(), String> {
        let mut call = |py: Python<'_>| -> PyResult<()> {
            let given = with_voxel_type!(types.0, T => array::<T>(py, voxels, shape)?);
            let made = with_voxel_type!(types.1, T => array::<T>(py, out, shape)?);
            let place: Vec<u32> = chunk.extra.iter().chain(&chunk.xyz).copied().collect();
            self.python.call1(py, (place, given, &made))?;
            with_voxel_type!(types.1, T => copy_out::<T>(&made, out))
        };
        attached(|py| call(py).map_err(|error| error.value(py).to_string()))
    }
}

/// Labels by run and annotation, whether they are there, the fallback's, where the new ones go; runs, annotations. Returns
/// the run that failed, or -1.
type NativeRule = extern "C" fn(*const u8, *const u8, *const u8, *mut u8, i64, i64) -> i64;

/// The rule of a merge that a function of Python's is; its machine code is called where there is an address.
pub(super) fn label_rule(python: Py<PyAny>, address: Option<usize>) -> LabelRule {
    LabelRule::new(move |_, voxel_type, runs, out| {
        let Some(native) = address.map(native_rule) else { return in_python(&python, voxel_type, runs, out) };
        let (count, layers) = (runs.count() as i64, runs.layers as i64);
        let [painted, present, fallback] = [&runs.painted, &runs.present, &runs.fallback].map(Vec::as_ptr);
        let failed = native(painted, present, fallback, out.as_mut_ptr(), count, layers);
        if failed < 0 {
            return Ok(());
        }
        // Python says what is wrong with it.
        let (run, width) = (failed as usize, voxel_type.size());
        let one = runs.only(run, width);
        in_python(&python, voxel_type, &one, &mut out[run * width..][..width])?;
        Err("the compiled rule failed where the same in Python does not".to_owned())
    })
}

fn in_python(python: &Py<PyAny>, voxel_type: VoxelType, runs: &Runs, out: &mut [u8]) -> Result<(), String> {
    let table = [runs.count(), runs.layers];
    let mut call = |py: Python<'_>| -> PyResult<()> {
        let painted = with_voxel_type!(voxel_type, T => rows::<T>(py, &runs.painted, &table)?);
        let present = rows::<u8>(py, &runs.present, &table)?;
        let fallback = with_voxel_type!(voxel_type, T => rows::<T>(py, &runs.fallback, &table[..1])?);
        let made = python.call1(py, (painted, present, fallback))?.into_bound(py);
        with_voxel_type!(voxel_type, T => copy_out::<T>(&made, out))
    };
    attached(|py| call(py).map_err(|error| error.value(py).to_string()))
}

/// An array in C order.
fn rows<'py, T: Element + Pod>(py: Python<'py>, bytes: &[u8], shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    let flat = PyArray1::<T>::zeros(py, bytes.len() / size_of::<T>(), false);
    bytemuck::cast_slice_mut(flat.readwrite().as_slice_mut()?).copy_from_slice(bytes);
    flat.call_method1("reshape", (shape.to_vec(),))
}

#[allow(unsafe_code)]
fn native_rule(address: usize) -> NativeRule {
    // SAFETY: as of `native_chunk`; the signature is that in `wkfast.merge.label_rule`.
    unsafe { std::mem::transmute::<usize, NativeRule>(address) }
}

/// An array (c, x, y, z) in Fortran order.
fn array<'py, T: Element + Pod>(py: Python<'py>, bytes: &[u8], shape: [i64; 4]) -> PyResult<Bound<'py, PyAny>> {
    let flat = PyArray1::<T>::zeros(py, bytes.len() / size_of::<T>(), false);
    bytemuck::cast_slice_mut(flat.readwrite().as_slice_mut()?).copy_from_slice(bytes);
    flat.call_method("reshape", (shape.to_vec(),), Some(&[("order", "F")].into_py_dict(py)?))
}

fn copy_out<T: Element + Pod>(made: &Bound<'_, PyAny>, out: &mut [u8]) -> PyResult<()> {
    let flat = made.call_method1("ravel", ("F",))?.cast_into::<PyArray1<T>>()?;
    let held = flat.try_readonly()?;
    out.copy_from_slice(bytemuck::cast_slice(held.as_slice()?));
    Ok(())
}

/// What lies at the address that a compiler gave.
#[allow(unsafe_code)]
fn native_chunk(address: usize) -> NativeChunk {
    // SAFETY: Python hands over the address of a function compiled with this very signature, see `wkfast.dataset.compiled`, and
    // keeps it alive as long as the work runs. It reads and writes no more than the arrays of the shape given, which are as
    // well aligned as the allocator makes what is large.
    unsafe { std::mem::transmute::<usize, NativeChunk>(address) }
}
