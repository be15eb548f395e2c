//! The merge: a plan that Python holds, sends to other processes, runs and commits.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyString, PyTuple};
use pythonize::{depythonize, pythonize};
use wkfast_volume::merge::{
    self, Access, LabelRule, MergeInput, MergePlan, MergeTarget, PlanFile, Seconds, Sources, TargetState, check_target,
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
    plan: Planned,
    state: Mutex<Gathered>,
}

/// Where the files of a plan are.
enum Planned {
    Here(Box<MergePlan>),
    /// On disk or in a bucket: each call reads those that it is about.
    Stored(Box<PlanFile>),
}

impl Planned {
    /// All that does not depend on files.
    fn head(&self) -> &MergePlan {
        match self {
            Self::Here(plan) => plan,
            Self::Stored(file) => file.head(),
        }
    }

    fn part(&self, tasks: &Range<usize>) -> Result<Cow<'_, MergePlan>> {
        match self {
            Self::Here(plan) => Ok(Cow::Borrowed(plan)),
            Self::Stored(file) => file.part(tasks).map(Cow::Owned),
        }
    }

    fn whole(&self) -> Result<Cow<'_, MergePlan>> {
        self.part(&(0..self.head().task_count()))
    }

    fn share(&self, stage: usize, share: u64, shares: u64) -> Result<Range<usize>> {
        let stages = self.head().stages();
        let stage = stages.get(stage).filter(|_| share < shares);
        let stage = stage.ok_or_else(|| VolumeError::Mismatch(format!("there is no share {share} of {shares}")))?;
        match self {
            Self::Here(plan) => merge::share_of(plan, stage, share, shares),
            Self::Stored(file) => file.share(stage, share, shares),
        }
    }
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
    fn with(plan: Planned, state: Gathered) -> Self {
        Self { plan, state: Mutex::new(state) }
    }

    fn here(plan: MergePlan, state: Gathered) -> Self {
        Self::with(Planned::Here(Box::new(plan)), state)
    }

    fn head(&self) -> &MergePlan {
        self.plan.head()
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
        if self.head().input.is_far() {
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
            None => self.head().open_sources()?,
        };
        if let Some(rule) = &self.state().rule {
            sources.rule.get_or_init(|| rule.clone());
        }
        let done = work(&sources);
        self.state().sources = Some(sources);
        done
    }

    /// Whether servers may be asked for its files.
    fn is_far(&self) -> bool {
        matches!(self.plan, Planned::Stored(_))
    }

    fn range(&self, tasks: Option<(usize, usize)>) -> Range<usize> {
        tasks.map_or(0..self.head().task_count(), |(start, end)| start..end)
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
        Ok(Self::here(plan, state))
    }

    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> Result<Self, CoreError> {
        let plan = py.detach(|| MergePlan::from_json(text))?;
        Ok(Self::here(plan, Gathered::default()))
    }

    fn to_json(&self, py: Python<'_>) -> Result<String, CoreError> {
        Ok(away_if(py, self.is_far(), || self.plan.whole()?.to_json())??)
    }

    #[staticmethod]
    fn open(py: Python<'_>, folder: &Bound<'_, PyAny>, name: &str) -> Result<Option<(Self, String)>, CoreError> {
        let folder = target_of(folder)?;
        let file = away(py, || PlanFile::open(&folder, name))??;
        Ok(file.map(|file| {
            let said = file.said().to_owned();
            (Self::with(Planned::Stored(Box::new(file)), Gathered::default()), said)
        }))
    }

    fn to_bytes<'py>(&self, py: Python<'py>, said: &str) -> Result<Bound<'py, PyBytes>, CoreError> {
        let bytes = away_if(py, self.is_far(), || self.plan.whole()?.to_bytes(said))??;
        Ok(PyBytes::new(py, &bytes))
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
        &self.head().fingerprint
    }

    #[getter]
    fn target<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, CoreError> {
        Ok(pythonize(py, &self.head().input.target).map_err(PyErr::from)?)
    }

    #[getter]
    fn task_count(&self) -> usize {
        self.head().task_count()
    }

    #[getter]
    fn stages(&self) -> Vec<(usize, usize)> {
        self.head().stages().into_iter().map(|stage| (stage.start, stage.end)).collect()
    }

    fn summary<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, CoreError> {
        Ok(pythonize(py, &self.head().facts()).map_err(PyErr::from)?)
    }

    fn work_bytes(&self, py: Python<'_>) -> Result<Vec<u64>, CoreError> {
        Ok(away_if(py, self.is_far(), || {
            let plan = self.plan.whole()?;
            Ok::<_, VolumeError>((0..plan.task_count()).map(|task| merge::work_bytes(&plan, plan.task(task))).collect())
        })??)
    }

    #[getter]
    fn stage_work(&self) -> Vec<(usize, u64)> {
        self.head().outline().stage_work()
    }

    fn share(&self, py: Python<'_>, stage: usize, share: u64, shares: u64) -> Result<(usize, usize), CoreError> {
        let tasks = away_if(py, self.is_far(), || self.plan.share(stage, share, shares))??;
        Ok((tasks.start, tasks.end))
    }

    fn open_tasks(&self, py: Python<'_>) -> Result<Vec<usize>, CoreError> {
        Ok(away_if(py, self.head().input.is_far(), || merge::open_tasks(self.head()))??)
    }

    #[pyo3(signature = (tasks=None))]
    fn count_open(&self, py: Python<'_>, tasks: Option<(usize, usize)>) -> Result<usize, CoreError> {
        let tasks = self.range(tasks);
        Ok(away_if(py, self.head().input.is_far(), || merge::count_open(self.head(), &tasks))??)
    }

    fn hold(&self, py: Python<'_>) -> Result<PyMergeHold, CoreError> {
        let hold = self.told(py, Watch::new(None), |tell| merge::Hold::take(&*self.plan.whole()?, tell))?;
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
            let plan = self.plan.part(&tasks)?;
            merge::run(&plan, sources, tasks, threads, access, observer)
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
        // The first ones look as well for files that the plan does not have.
        let wanted = if tasks.start == 0 { self.range(None) } else { tasks.clone() };
        let verify = |sources: &Sources, observer: &mut Observer| {
            let plan = self.plan.part(&wanted)?;
            merge::verify(&plan, sources, tasks, threads, observer)
        };
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
            let plan = self.plan.whole()?;
            merge::complete(&plan, sources, threads, seconds, observer)
        };
        let report = self.watched(py, progress, complete)?;
        Ok(pythonize(py, &report).map_err(PyErr::from)?)
    }

    #[pyo3(signature = (*, sync=false))]
    fn commit<'py>(&self, py: Python<'py>, sync: bool) -> Result<Bound<'py, PyAny>, CoreError> {
        let seconds = self.state().seconds;
        let report = self.told(py, Watch::new(None), |tell| merge::commit(self.head(), seconds, sync, tell))?;
        Ok(pythonize(py, &report).map_err(PyErr::from)?)
    }

    fn __repr__(&self) -> String {
        let mags: Vec<String> = self.head().mags.iter().map(|mag| mag.mag.to_string()).collect();
        let (tasks, target) = (self.head().task_count(), &self.head().input.target);
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
    let target = target_of(target)?;
    let found = away(py, || merge::status(&target))??;
    Ok(found.map(|status| pythonize(py, &status)).transpose().map_err(PyErr::from)?)
}

fn target_of(target: &Bound<'_, PyAny>) -> Result<MergeTarget, CoreError> {
    Ok(depythonize(target).map_err(|error| VolumeError::Mismatch(format!("the target: {error}")))?)
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
