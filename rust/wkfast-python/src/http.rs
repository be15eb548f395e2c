//! Requests to servers for Python: one, whose answer comes in pieces or goes into a file, or many, whose voxels go into an
//! array. Waits are ended by what a signal's handler raises.

use std::collections::HashMap;
use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::ops::Range;
use std::os::fd::{FromRawFd, RawFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use numpy::{PyArray1, PyArrayMethods};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use wkfast_http::{
    Answer, Client, Ended, Failure, Get, Head, Kind, PROXY_ASKS, Passage, Refusal, Route, Secrets, Sink, Times, Wanted,
    passage,
};
use wkfast_objects::fills_box;
use wkfast_volume::canvas::{BodyLayout, Canvas, Patch, Planes};

use crate::patience::{LOOK, attached};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyHttpClient>()?;
    module.add_class::<PyHttpRequest>()?;
    module.add_class::<PyHttpAnswer>()?;
    module.add_class::<PyHttpFailure>()?;
    module.add_class::<PyVoxelSink>()?;
    module.add("PROXY_ASKS", PROXY_ASKS)?;
    module.add_function(wrap_pyfunction!(refusal_of, module)?)?;
    module.add_function(wrap_pyfunction!(is_redirect, module)?)?;
    module.add_function(wrap_pyfunction!(way_to, module)?)?;
    module.add_function(wrap_pyfunction!(proxy_before, module)?)
}

/// What a status that is no success says, and whether the server certainly did nothing and asks to come again.
#[pyfunction]
fn refusal_of(status: u16) -> (&'static str, bool) {
    (Refusal::of(status).name(), wkfast_http::is_put_off(status))
}

/// Whether what was asked for lies where the answer says.
#[pyfunction]
fn is_redirect(status: u16) -> bool {
    wkfast_http::is_redirect(status)
}

/// How the environment says that a server is reached: straight, through a proxy, or one of another kind.
#[pyfunction]
fn way_to(origin: &str) -> PyResult<&'static str> {
    match passage(origin) {
        Ok(Passage::Straight) => Ok("straight"),
        Ok(Passage::Through(_)) => Ok("proxy"),
        Ok(Passage::Foreign(_)) => Ok("foreign"),
        Err(failure) => Err(PyValueError::new_err(failure.text)),
    }
}

/// What messages say of the proxy before a server, if one stands there.
#[pyfunction]
fn proxy_before(origin: &str) -> Option<String> {
    wkfast_http::proxy_before(origin)
}

/// What `work` gives, or what a signal's handler raises meanwhile. Nothing of `work` goes on after that.
fn wait<T: Send>(py: Python<'_>, work: impl Future<Output = T> + Send) -> PyResult<T> {
    let waited = py.detach(|| {
        wkfast_http::wait_for(async {
            tokio::select! {
                biased;
                done = work => Ok(done),
                raised = signal() => Err(raised),
            }
        })
    })?;
    waited.unwrap_or_else(|| Err(PyKeyboardInterrupt::new_err("requests were ended")))
}

/// What a signal's handler raises.
async fn signal() -> PyErr {
    loop {
        tokio::time::sleep(LOOK).await;
        #[allow(clippy::redundant_closure_for_method_calls)] // the method alone is of one lifetime
        match Python::try_attach(|py| py.check_signals()) {
            Some(Ok(())) => {}
            Some(Err(raised)) => return raised,
            // The interpreter has ended, so nobody is there to answer to.
            None => std::future::pending().await,
        }
    }
}

/// Why no whole answer came: what it means, and a text without anything of the request.
#[pyclass(frozen, name = "HttpFailure", module = "wkfast._core")]
pub(crate) struct PyHttpFailure(Failure);

#[pymethods]
impl PyHttpFailure {
    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.kind {
            Kind::Unsendable => "unsendable",
            Kind::Unreached => "unreached",
            Kind::UnreachedInTime => "unreached in time",
            Kind::Untrusted => "untrusted",
            Kind::Silent => "silent",
            Kind::Late => "late",
            Kind::Odd => "odd",
            // Broken, and whatever the crate may add.
            _ => "broken",
        }
    }

    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    fn __repr__(&self) -> String {
        format!("HttpFailure({})", self.0)
    }
}

fn or_failure<'py, T>(
    py: Python<'py>,
    done: Result<T, Failure>,
    wrap: impl FnOnce(T) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    match done {
        Ok(done) => wrap(done),
        Err(failure) => Ok(Bound::new(py, PyHttpFailure(failure))?.into_any()),
    }
}

/// What is the same in requests to one server.
#[pyclass(frozen, name = "HttpRequest", module = "wkfast._core")]
pub(crate) struct PyHttpRequest(Get);

fn seconds(value: f64) -> Duration {
    // what is no number of seconds, or beyond all clocks, is as long as can be
    Duration::try_from_secs_f64(value).unwrap_or(if value < 0.0 { Duration::ZERO } else { Duration::MAX })
}

#[pymethods]
impl PyHttpRequest {
    #[new]
    #[pyo3(signature = (method, origin, headers, times, *, secret_headers=Vec::new(), secret_query=String::new()))]
    #[allow(clippy::needless_pass_by_value)] // as Python hands them over
    fn new(
        method: &str,
        origin: &str,
        headers: Vec<(String, String)>,
        times: [f64; 4],
        secret_headers: Vec<(String, String)>,
        secret_query: String,
    ) -> PyResult<Self> {
        let [connect, first_byte, read, total] = times.map(seconds);
        let hidden: Vec<_> = secret_headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let made = Secrets::new(&hidden, secret_query)
            .and_then(|secrets| Route::new(origin, passage(origin)?.proxy()?, secrets))
            .and_then(|route| Get::new(route, method, &headers, Times { connect, first_byte, read, total }));
        made.map(Self).map_err(|failure| PyValueError::new_err(failure.text))
    }

    fn __repr__(&self) -> String {
        format!("HttpRequest({})", self.0.route.origin())
    }
}

/// Keeps connections, for any number of threads.
#[pyclass(frozen, name = "HttpClient", module = "wkfast._core")]
pub(crate) struct PyHttpClient(Client);

#[pymethods]
impl PyHttpClient {
    #[new]
    fn new() -> Self {
        Self(Client::new())
    }

    fn trust_also(&self, file: PathBuf) {
        self.0.trust_also(file);
    }

    fn close(&self) {
        self.0.close();
    }

    /// How many connections lie idle, by origin.
    fn idle(&self) -> Vec<(String, usize)> {
        self.0.idle()
    }

    fn get<'py>(&self, py: Python<'py>, request: &PyHttpRequest, target: &str) -> PyResult<Bound<'py, PyAny>> {
        let answered = wait(py, self.0.get(&request.0, target))?;
        or_failure(py, answered, |answer| {
            let head = answer.head().clone();
            Ok(Bound::new(py, PyHttpAnswer { head, answer: Mutex::new(Some(answer)) })?.into_any())
        })
    }

    /// `judge` is called with number, status and beginning of other answers than those asked for.
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)] // as Python hands them over
    fn batch<'py>(
        &self,
        py: Python<'py>,
        request: &PyHttpRequest,
        wanted: Vec<(String, u64)>,
        most: usize,
        sink: &PyVoxelSink,
        begun: Py<PyAny>,
        judge: Py<PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if wanted.len() != sink.0.patches.len() {
            return Err(PyValueError::new_err("a box for each request is needed"));
        }
        let wanted = wanted.into_iter().map(|(target, size)| Wanted { target, size }).collect();
        let begun = || {
            attached(|py| begun.call0(py))?;
            memory::ready(&sink.0.memory.place);
            Ok(())
        };
        let judge = |number: usize, head: &Head, beginning: &[u8]| {
            attached(|py| judge.call1(py, (number, head.status, PyBytes::new(py, beginning)))?.is_truthy(py))
        };
        match wait(py, self.0.batch(&request.0, wanted, most, &sink.0, begun, judge))? {
            Ok(left) => Ok(left.into_pyobject(py)?.into_any()),
            Err(Ended::By(raised)) => Err(raised),
            Err(Ended::Failed(failure)) => or_failure(py, Err::<(), _>(failure), |()| unreachable!()),
        }
    }
}

/// An answer whose body is still to be read.
#[pyclass(frozen, name = "HttpAnswer", module = "wkfast._core")]
pub(crate) struct PyHttpAnswer {
    head: Head,
    answer: Mutex<Option<Answer>>,
}

impl PyHttpAnswer {
    /// For as long as something is read of it; what raises, or fails, closes it.
    fn take(&self) -> Option<Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put_back(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }
}

#[pymethods]
impl PyHttpAnswer {
    #[getter]
    fn status(&self) -> u16 {
        self.head.status
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let headers = PyDict::new(py);
        for (name, value) in self.head.headers() {
            headers.set_item(name, value)?;
        }
        Ok(headers)
    }

    fn piece<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some(mut answer) = self.take() else { return Ok(py.None().into_bound(py)) };
        let piece = wait(py, answer.piece())?;
        or_failure(py, piece, |piece| match piece {
            Some(bytes) => {
                self.put_back(answer);
                Ok(PyBytes::new(py, &bytes).into_any())
            }
            None => Ok(py.None().into_bound(py)),
        })
    }

    /// Appends to an open file for about the given seconds: how many bytes, at most one piece more than `most`, and whether
    /// that was the end.
    fn copy_to<'py>(&self, py: Python<'py>, file: RawFd, most: u64, pause: f64) -> PyResult<Bound<'py, PyAny>> {
        let Some(mut answer) = self.take() else { return Ok((0, true).into_pyobject(py)?.into_any()) };
        let copied = wait(py, async {
            let copied = copy(&mut answer, file, most, Instant::now() + seconds(pause)).await;
            (answer, copied)
        })?;
        let (answer, copied) = copied;
        let (count, is_over) = match copied.map_err(|error| os_error(&error))? {
            Ok(copied) => copied,
            failed => return or_failure(py, failed, |_| unreachable!()),
        };
        if !is_over {
            self.put_back(answer);
        }
        Ok((count, is_over).into_pyobject(py)?.into_any())
    }

    /// Closes the connection, unless the body has been read to its end.
    fn close(&self) {
        drop(self.take());
    }
}

/// As Python's own, whose class follows from the number.
fn os_error(error: &std::io::Error) -> PyErr {
    let code = error.raw_os_error();
    let text = error.to_string();
    let reason = code.and_then(|code| text.strip_suffix(&format!(" (os error {code})"))).unwrap_or(&text);
    PyOSError::new_err((code, reason.to_owned()))
}

/// The outer error is the file's.
async fn copy(
    answer: &mut Answer,
    file: RawFd,
    most: u64,
    until: Instant,
) -> std::io::Result<Result<(u64, bool), Failure>> {
    let mut file = lent(file);
    let mut count = 0;
    while count <= most && Instant::now() < until {
        match answer.piece().await {
            Ok(Some(piece)) => {
                file.write_all(&piece)?;
                count += piece.len() as u64;
            }
            Ok(None) => return Ok(Ok((count, true))),
            Err(failure) => return Ok(Err(failure)),
        }
    }
    Ok(Ok((count, false)))
}

/// A file of Python's, which stays open: it is Python that closes it.
#[allow(unsafe_code)] // the one line below
fn lent(file: RawFd) -> std::mem::ManuallyDrop<File> {
    // SAFETY: nothing is done with it but writing, and it is never closed; a number that is no file fails as such.
    std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(file) })
}

/// Memory that the system is asked for while the first requests are under way.
#[cfg(target_os = "linux")]
const READIED: usize = 64 << 20;

/// Puts bodies into an array.
#[pyclass(frozen, name = "VoxelSink", module = "wkfast._core")]
pub(crate) struct PyVoxelSink(Arc<Voxels>);

type Corner = [i64; 4];

#[pymethods]
impl PyVoxelSink {
    /// `array` is the memory of (c, x, y, z) in Fortran order as bytes, its values little-endian and `value` bytes large.
    #[new]
    #[pyo3(signature = (array, shape, value, boxes, wanted, *, refused, z_fastest=false, big_endian=false))]
    #[allow(clippy::too_many_arguments)] // as Python hands them over
    fn new(
        array: &Bound<'_, PyArray1<u8>>,
        shape: [usize; 4],
        value: usize,
        boxes: Vec<(Corner, [usize; 4])>,
        wanted: [[i64; 2]; 4],
        refused: String,
        z_fastest: bool,
        big_endian: bool,
    ) -> PyResult<Self> {
        let plane = shape[..3].iter().product::<usize>() * value;
        let memory = Memory::of(array, plane)?;
        if !matches!(value, 1 | 2 | 4 | 8) || memory.place.len() != plane * shape[3] {
            return Err(PyTypeError::new_err("the array is not of that shape"));
        }
        let patches = boxes.into_iter().map(|(start, shape)| Patch { start, shape, wanted }).collect();
        let layout = BodyLayout { z_fastest, big_endian };
        let canvas = Canvas { shape, value };
        Ok(Self(Arc::new(Voxels { canvas, patches, layout, refused, memory, begun: Mutex::default() })))
    }
}

struct Voxels {
    canvas: Canvas,
    patches: Vec<Patch>,
    layout: BodyLayout,
    /// How the content type of what is no data begins.
    refused: String,
    memory: Memory,
    /// What came of bodies that cannot be taken in pieces.
    begun: Mutex<HashMap<usize, Vec<u8>>>,
}

impl Voxels {
    fn begun(&self) -> MutexGuard<'_, HashMap<usize, Vec<u8>>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Voxels {
    fn accepts(&self, _: usize, head: &Head) -> bool {
        head.header("content-type").is_none_or(|kind| !kind.starts_with(&self.refused)) && fills_box(head)
    }

    fn piece(&self, number: usize, offset: u64, bytes: &[u8]) {
        if self.layout.is_plain() {
            self.canvas.paint(&self.memory, &self.patches[number], offset as usize, bytes);
        } else {
            self.begun().entry(number).or_default().extend_from_slice(bytes);
        }
    }

    fn whole(&self, number: usize) {
        let begun = self.begun().remove(&number);
        if let Some(body) = begun {
            self.canvas.paint_whole(&self.memory, &self.patches[number], self.layout, &body);
        }
    }

    fn broken(&self, number: usize) {
        if self.layout.is_plain() {
            self.canvas.clear(&self.memory, &self.patches[number]);
        } else {
            self.begun().remove(&number);
        }
    }
}

/// The bytes of an array of numpy's, which lives as long as this.
struct Memory {
    _array: Py<PyArray1<u8>>,
    place: Range<usize>,
    planes: Vec<Mutex<memory::Plane>>,
}

impl Memory {
    fn of(array: &Bound<'_, PyArray1<u8>>, plane: usize) -> PyResult<Self> {
        let mut taken = array.try_readwrite()?;
        let bytes = taken.as_slice_mut()?;
        let first = bytes.as_ptr().addr();
        let addresses = first..first + bytes.len();
        let planes = bytes.chunks_exact_mut(plane.max(1)).map(|plane| Mutex::new(memory::Plane::of(plane))).collect();
        Ok(Self { place: addresses, planes, _array: array.clone().unbind() })
    }
}

impl Planes for Memory {
    fn with(&self, z: usize, work: impl FnOnce(&mut [u8])) {
        work(self.planes[z].lock().unwrap_or_else(PoisonError::into_inner).bytes());
    }
}

#[allow(unsafe_code)] // each line says why it may
mod memory {
    use std::ops::Range;

    /// A part of the memory of an array, which whoever has this holds.
    pub(super) struct Plane {
        first: *mut u8,
        length: usize,
    }

    // SAFETY: whoever has it is the only one to use that part.
    unsafe impl Send for Plane {}

    impl Plane {
        pub(super) fn of(bytes: &mut [u8]) -> Self {
            Self { first: bytes.as_mut_ptr(), length: bytes.len() }
        }

        pub(super) fn bytes(&mut self) -> &mut [u8] {
            // SAFETY: it was a writable slice of this length when the array was taken, and an array that is referred to
            // does not change its memory.
            unsafe { std::slice::from_raw_parts_mut(self.first, self.length) }
        }
    }

    /// Lets the system find memory for what the first requests bring, which takes as long as receiving it.
    #[cfg(target_os = "linux")]
    pub(super) fn ready(place: &Range<usize>) {
        // SAFETY: a question.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(super::READIED);
        let first = place.start.next_multiple_of(page);
        let length = place.end.saturating_sub(first).min(super::READIED);
        // SAFETY: no content changes, whoever writes meanwhile; what the system cannot do it refuses.
        unsafe { libc::madvise(first as *mut libc::c_void, length, libc::MADV_POPULATE_WRITE) };
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn ready(_: &Range<usize>) {}
}
