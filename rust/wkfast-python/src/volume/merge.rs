//! The merge: a plan that Python holds, sends to other processes, runs and commits.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::{PyAny, PyString, PyTuple};
use pythonize::{depythonize, pythonize};
use wkfast_volume::merge::{
    self, Access, LabelRule, MergeInput, MergePlan, MergeTarget, Seconds, Sources, TargetState, check_target,
};
use wkfast_volume::work::Observer;
use wkfast_volume::{Result, VolumeError};

use super::function::label_rule;
use super::threads::thread_count;
use super::watch::Watch;
use crate::errors::CoreError;
use crate::patience::{away, away_if};

/// A merge, decided to the last chunk; nothing has been written yet.
#[pyclass(name = "MergePlan", module = "wkfast._core", frozen)]
pub(crate) struct PyMergePlan {
    plan: MergePlan,
    state: Mutex<Gathered>,
}

/// What a plan gathers while it is run here; it does not travel to other processes.
#[derive(Default)]
struct Gathered {
    /// Both sides, while they are open from planning.
    sources: Option<Sources>,
    seconds: Seconds,
    rule: Option<LabelRule>,
}

impl PyMergePlan {
    fn with(plan: MergePlan, state: Gathered) -> Self {
        Self { plan, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, Gathered> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` on both sides, open from planning or opened now, watched by `progress` and for Ctrl-C.
    fn watched<T: Send>(
        &self,
        py: Python<'_>,
        progress: Option<Bound<'_, PyAny>>,
        work: impl FnOnce(&Sources, &mut Observer) -> Result<T> + Send,
    ) -> Result<T, CoreError> {
        self.told(py, Watch::new(progress), |tell| self.with_sources(|sources| work(sources, tell)))
    }

    /// Does `work`, which tells `watch` how far it is.
    fn told<T: Send>(
        &self,
        py: Python<'_>,
        mut watch: Watch,
        work: impl FnOnce(&mut Observer) -> Result<T> + Send,
    ) -> Result<T, CoreError> {
        if self.plan.input.is_far() {
            return watch.away(py, |tell| work(tell));
        }
        let done = py.detach(|| work(&mut |now| watch.tell(now)));
        watch.outcome(done)
    }

    /// Does `work` on both sides, which stay open.
    fn with_sources<T>(&self, work: impl FnOnce(&Sources) -> Result<T>) -> Result<T> {
        // Apart from the `match`, so that the state is not locked while files are opened.
        let open = self.state().sources.take();
        let sources = match open {
            Some(sources) => sources,
            None => Sources::open(&self.plan.input)?,
        };
        if let Some(rule) = &self.state().rule {
            sources.rule.get_or_init(|| rule.clone());
        }
        let done = work(&sources);
        self.state().sources = Some(sources);
        done
    }

    fn range(&self, tasks: Option<(usize, usize)>) -> Range<usize> {
        tasks.map_or(0..self.plan.tasks().len(), |(start, end)| start..end)
    }
}

#[pymethods]
impl PyMergePlan {
    #[new]
    #[pyo3(signature = (input, *, resume=true))]
    fn new(py: Python<'_>, input: &Bound<'_, PyAny>, resume: bool) -> Result<Self, CoreError> {
        let input: MergeInput =
            depythonize(input).map_err(|error| VolumeError::Mismatch(format!("what to merge: {error}")))?;
        let (plan, state) = away_if(py, input.is_far(), || -> Result<_> {
            let started = Instant::now();
            let sources = Sources::open(&input)?;
            let plan = MergePlan::of(input, &sources)?;
            if !resume && check_target(&plan)? != TargetState::Fresh {
                return Err(VolumeError::TargetTaken {
                    target: plan.input.target.to_string(),
                    reason: "holds an unfinished merge; pass resume=True to complete it, or remove it".to_owned(),
                });
            }
            let seconds = Seconds { plan: started.elapsed().as_secs_f64(), ..Seconds::default() };
            Ok((plan, Gathered { sources: Some(sources), seconds, rule: None }))
        })??;
        Ok(Self::with(plan, state))
    }

    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> Result<Self, CoreError> {
        let plan = py.detach(|| MergePlan::from_json(text))?;
        Ok(Self::with(plan, Gathered::default()))
    }

    fn to_json(&self, py: Python<'_>) -> Result<String, CoreError> {
        Ok(py.detach(|| self.plan.to_json())?)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> Result<(Bound<'py, PyAny>, Bound<'py, PyTuple>), CoreError> {
        let py = slf.py();
        let text = PyString::new(py, &slf.get().to_json(py)?);
        Ok((slf.get_type().getattr("from_json")?, PyTuple::new(py, [text])?))
    }

    #[pyo3(signature = (rule, *, address=None))]
    fn use_rule(&self, rule: Py<PyAny>, address: Option<usize>) {
        self.state().rule = Some(label_rule(rule, address));
    }

    #[getter]
    fn fingerprint(&self) -> &str {
        &self.plan.fingerprint
    }

    #[getter]
    fn target<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, CoreError> {
        Ok(pythonize(py, &self.plan.input.target).map_err(PyErr::from)?)
    }

    #[getter]
    fn task_count(&self) -> usize {
        self.plan.tasks().len()
    }

    #[getter]
    fn stages(&self) -> Vec<(usize, usize)> {
        self.plan.stages().into_iter().map(|stage| (stage.start, stage.end)).collect()
    }

    fn summary<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, CoreError> {
        Ok(pythonize(py, &self.plan.facts()).map_err(PyErr::from)?)
    }

    fn work_bytes(&self) -> Vec<u64> {
        self.plan.tasks().iter().map(|&task| merge::work_bytes(&self.plan, task)).collect()
    }

    fn open_tasks(&self, py: Python<'_>) -> Result<Vec<usize>, CoreError> {
        Ok(away_if(py, self.plan.input.is_far(), || merge::open_tasks(&self.plan))??)
    }

    fn hold(&self, py: Python<'_>) -> Result<PyMergeHold, CoreError> {
        let hold = self.told(py, Watch::new(None), |tell| merge::Hold::take(&self.plan, tell))?;
        Ok(PyMergeHold { hold: Mutex::new(Some(hold)) })
    }

    #[pyo3(signature = (tasks=None, *, threads=None, progress=None, access=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        tasks: Option<(usize, usize)>,
        threads: Option<NonZeroUsize>,
        progress: Option<Bound<'py, PyAny>>,
        access: Option<&str>,
    ) -> Result<Bound<'py, PyAny>, CoreError> {
        let threads = thread_count(threads)?;
        let access = parse_access(access)?;
        let tasks = self.range(tasks);
        let run = |sources: &Sources, observer: &mut Observer| {
            merge::run(&self.plan, sources, tasks, threads, access, observer)
        };
        let summary = self.watched(py, progress, run)?;
        Ok(pythonize(py, &summary).map_err(PyErr::from)?)
    }

    #[pyo3(signature = (tasks=None, *, threads=None, progress=None))]
    fn verify<'py>(
        &self,
        py: Python<'py>,
        tasks: Option<(usize, usize)>,
        threads: Option<NonZeroUsize>,
        progress: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>, CoreError> {
        let threads = thread_count(threads)?;
        let tasks = self.range(tasks);
        let verify =
            |sources: &Sources, observer: &mut Observer| merge::verify(&self.plan, sources, tasks, threads, observer);
        let summary = self.watched(py, progress, verify)?;
        self.state().seconds.verify += summary.seconds;
        Ok(pythonize(py, &summary).map_err(PyErr::from)?)
    }

    #[pyo3(signature = (*, threads=None, progress=None))]
    fn complete<'py>(
        &self,
        py: Python<'py>,
        threads: Option<NonZeroUsize>,
        progress: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>, CoreError> {
        let threads = thread_count(threads)?;
        let seconds = self.state().seconds;
        let complete = |sources: &Sources, observer: &mut Observer| {
            merge::complete(&self.plan, sources, threads, seconds, observer)
        };
        let report = self.watched(py, progress, complete)?;
        Ok(pythonize(py, &report).map_err(PyErr::from)?)
    }

    #[pyo3(signature = (*, sync=false))]
    fn commit<'py>(&self, py: Python<'py>, sync: bool) -> Result<Bound<'py, PyAny>, CoreError> {
        let seconds = self.state().seconds;
        let report = self.told(py, Watch::new(None), |tell| merge::commit(&self.plan, seconds, sync, tell))?;
        Ok(pythonize(py, &report).map_err(PyErr::from)?)
    }

    fn __repr__(&self) -> String {
        let mags: Vec<String> = self.plan.mags.iter().map(|mag| mag.mag.to_string()).collect();
        let (tasks, target) = (self.plan.tasks().len(), &self.plan.input.target);
        format!("MergePlan(mags {}, {tasks} tasks, target {target})", mags.join(", "))
    }
}

/// A target held for workers in other processes.
#[pyclass(name = "MergeHold", module = "wkfast._core", frozen)]
pub(crate) struct PyMergeHold {
    hold: Mutex<Option<merge::Hold>>,
}

impl PyMergeHold {
    fn with<T>(&self, ask: impl FnOnce(&merge::Hold) -> T) -> Result<T, CoreError> {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        hold.as_ref().map(ask).ok_or_else(|| {
            CoreError::Python(pyo3::exceptions::PyValueError::new_err("the target is not held any more"))
        })
    }
}

#[pymethods]
impl PyMergeHold {
    #[getter]
    fn ticket(&self) -> Result<String, CoreError> {
        self.with(|hold| hold.ticket().to_owned())
    }

    #[getter]
    fn plan_file(&self) -> Result<String, CoreError> {
        self.with(merge::Hold::plan_file)
    }

    /// Waits for a server where the target is in a bucket.
    fn release(&self, py: Python<'_>) {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(hold));
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>, py: Python<'_>) {
        self.release(py);
    }
}

impl Drop for PyMergeHold {
    fn drop(&mut self) {
        Python::attach(|py| self.release(py));
    }
}

/// How far the merge into `target` is and who is at it, `None` if there is none that is not committed.
#[pyfunction]
pub(crate) fn merge_status<'py>(
    py: Python<'py>,
    target: &Bound<'py, PyAny>,
) -> Result<Option<Bound<'py, PyAny>>, CoreError> {
    let target: MergeTarget =
        depythonize(target).map_err(|error| VolumeError::Mismatch(format!("the target: {error}")))?;
    let found = away(py, || merge::status(&target))??;
    Ok(found.map(|status| pythonize(py, &status)).transpose().map_err(PyErr::from)?)
}

fn parse_access(access: Option<&str>) -> Result<Access, CoreError> {
    match access {
        None | Some("exclusive") => Ok(Access::Exclusive),
        Some("shared") => Ok(Access::Shared),
        Some("coordinated") => Ok(Access::Coordinated),
        Some(other) => {
            let text = format!("access is \"exclusive\", \"shared\" or \"coordinated\", not {other:?}");
            Err(CoreError::Python(pyo3::exceptions::PyValueError::new_err(text)))
        }
    }
}
