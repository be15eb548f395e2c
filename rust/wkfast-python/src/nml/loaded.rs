//! The trees of a file that was read: objects of Python's are made of those that somebody asks for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytemuck::cast_slice;
use ciborium::de::from_reader_with_recursion_limit;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use wkfast_nml::model::{Id, Tree};
use wkfast_nml::{Forest, PackedTrees, TreeTable};

use super::columns::{LARGE_STATE, STATE_DEPTH, TreeColumns, state_error};
use super::ids::PyId;
use super::packed::PackedAt;
use super::record::TreeRecord;
use crate::patience::patiently_if;

/// Trees by their number in the file.
#[pyclass(module = "wkfast._core", frozen)]
pub(crate) struct LoadedTrees {
    small: Arc<PackedTrees>,
    /// Trees that objects were made of before this was copied, and that are not here.
    gone: HashSet<usize>,
    state: Mutex<LoadedState>,
}

struct LoadedState {
    /// Large trees that nobody asked for: they are not kept twice.
    whole: BTreeMap<usize, Arc<Tree>>,
    made: HashMap<usize, Made>,
}

type Made = (Py<TreeRecord>, Py<TreeColumns>);

/// A tree as it was read.
pub(super) enum Unmade {
    Packed(PackedAt),
    Whole(Arc<Tree>),
}

/// Numbers of trees as the bytes of unsigned integers, and the group that they name. No array of numpy's, which a program
/// that looks at a file only would load for them.
type Numbers<'py> = (Option<PyId>, Bound<'py, PyBytes>);

impl From<Forest> for LoadedTrees {
    fn from(forest: Forest) -> Self {
        let (small, whole) = forest.into_parts();
        let state = Mutex::new(LoadedState { whole, made: HashMap::new() });
        Self { small: Arc::new(small), gone: HashSet::new(), state }
    }
}

impl LoadedTrees {
    fn lock(&self) -> MutexGuard<'_, LoadedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self, py: Python<'_>, number: usize) -> Option<Made> {
        self.lock().made.get(&number).map(|(record, columns)| (record.clone_ref(py), columns.clone_ref(py)))
    }

    /// A tree as it was read; `None` if objects were made of it, or if there is none.
    pub(super) fn unmade(&self, number: usize) -> Option<Unmade> {
        let state = self.lock();
        if self.gone.contains(&number) || state.made.contains_key(&number) {
            return None;
        }
        PackedAt::of(&self.small, number)
            .map(Unmade::Packed)
            .or_else(|| Some(Unmade::Whole(Arc::clone(state.whole.get(&number)?))))
    }

    /// All trees by their numbers.
    fn as_read(&self) -> Vec<Unmade> {
        (0..self.small.len()).map(|number| self.unmade(number).unwrap_or_else(Unmade::nothing)).collect()
    }

    /// Ids of each tree and of the group that it names.
    fn all_ids(&self, py: Python<'_>) -> Vec<(Id, Option<Id>)> {
        let state = self.lock();
        let of = |number| {
            if let Some(tree) = self.small.get(number) {
                return tree.ids();
            }
            if let Some((record, _)) = state.made.get(&number) {
                let header = record.bind(py).get().header();
                return (header.id, header.group_id);
            }
            state.whole.get(&number).map(|tree| (tree.header.id, tree.header.group_id)).unwrap_or_default()
        };
        (0..self.small.len()).map(of).collect()
    }
}

/// Unpickles trees.
#[pyfunction]
pub(crate) fn restore_trees(py: Python<'_>, state: PyBackedBytes) -> PyResult<LoadedTrees> {
    let is_large = state.len() > LARGE_STATE;
    let forest = patiently_if(py, is_large, move |_| {
        let (mut rest, mut forest) = (&*state, Forest::default());
        while !rest.is_empty() {
            let tree: Tree = from_reader_with_recursion_limit(&mut rest, STATE_DEPTH)?;
            forest.push(&tree.header, &tree.columns);
        }
        Ok::<_, ciborium::de::Error<std::io::Error>>(forest)
    })?;
    Ok(forest.map_err(state_error)?.into())
}

/// Trees that are so many that somebody may want to leave work on them.
const LARGE: usize = 10_000;

impl Unmade {
    fn nothing() -> Self {
        Self::Whole(Arc::default())
    }

    /// Appends the tree to the state of a pickle.
    fn write_to(self, state: &mut Vec<u8>) -> Result<(), ciborium::ser::Error<std::io::Error>> {
        match self {
            Self::Packed(tree) => ciborium::into_writer(&tree.unpack(), state),
            Self::Whole(tree) => ciborium::into_writer(&*tree, state),
        }
    }

    /// The objects to begin with: a small tree stays packed; the columns of a large one are moved, not copied, once there is a
    /// place for them.
    fn begin(self) -> (TreeRecord, TreeColumns) {
        match self {
            Self::Packed(tree) => (tree.clone().into(), tree.into()),
            Self::Whole(tree) => (tree.header.clone().into(), TreeColumns::default()),
        }
    }
}

#[pymethods]
impl LoadedTrees {
    fn __len__(&self) -> usize {
        self.small.len()
    }

    /// Record and columns of a tree, the same objects each time.
    fn __getitem__(&self, py: Python<'_>, number: usize) -> PyResult<Made> {
        if let Some(made) = self.made(py, number) {
            return Ok(made);
        }
        // Made outside of the lock, since making objects may run any code: if that asked for the same tree, its objects count.
        let Some((record, columns)) = self.unmade(number).map(Unmade::begin) else {
            return self.made(py, number).ok_or_else(|| PyIndexError::new_err("no such tree"));
        };
        let (record, columns) = (Py::new(py, record)?, Py::new(py, columns)?);
        if let Some(made) = self.made(py, number) {
            return Ok(made);
        }
        let mut state = self.lock();
        if let Some(tree) = state.whole.remove(&number) {
            columns.get().write(|table| *table = Arc::unwrap_or_clone(tree).columns.into());
        }
        state.made.insert(number, (record.clone_ref(py), columns.clone_ref(py)));
        Ok((record, columns))
    }

    /// Trees as they were read, for another skeleton to make its own objects of: without those that objects were made of by
    /// now, which whoever copies has.
    fn copy(&self) -> Self {
        let state = self.lock();
        let gone = self.gone.iter().chain(state.made.keys()).copied().collect();
        let copied = LoadedState { whole: state.whole.clone(), made: HashMap::new() };
        Self { small: Arc::clone(&self.small), gone, state: Mutex::new(copied) }
    }

    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> Self {
        self.copy()
    }

    /// In the place of trees that objects were made of are empty ones.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let trees = self.as_read();
        let is_large = trees.len() > LARGE;
        let state = patiently_if(py, is_large, move |_| {
            let mut state = Vec::new();
            trees.into_iter().try_for_each(|tree| tree.write_to(&mut state)).map(|()| state)
        })?;
        let state = state.map_err(state_error)?;
        Ok((py.import("wkfast._core")?.getattr("restore_trees")?, (PyBytes::new(py, &state),)))
    }

    /// Ids of all trees.
    fn ids(&self, py: Python<'_>) -> Vec<PyId> {
        self.all_ids(py).into_iter().map(|(id, _)| PyId(id)).collect()
    }

    /// Numbers of the trees by the group that they name; those that name none of these groups under `None`, and once more behind
    /// it all if they name another.
    fn by_group<'py>(&self, py: Python<'py>, groups: Vec<PyId>) -> (Vec<Numbers<'py>>, Vec<usize>) {
        let (mut found, mut strays): (Vec<(Option<PyId>, Vec<u32>)>, _) = (vec![(None, Vec::new())], Vec::new());
        let mut places: HashMap<Id, usize> = HashMap::with_capacity(groups.len());
        for group in groups {
            places.entry(group.0).or_insert_with(|| {
                found.push((Some(group), Vec::new()));
                found.len() - 1
            });
        }
        for (number, (_, group)) in self.all_ids(py).into_iter().enumerate() {
            let place = group.and_then(|group| places.get(&group).copied());
            found[place.unwrap_or(0)].1.push(number as u32);
            if group.is_some() && place.is_none() {
                strays.push(number);
            }
        }
        found.retain(|(_, numbers)| !numbers.is_empty());
        (found.into_iter().map(|(group, numbers)| (group, PyBytes::new(py, cast_slice(&numbers)))).collect(), strays)
    }

    /// The largest id of a tree or of a node; `None` without trees.
    fn max_id(&self, py: Python<'_>) -> Option<PyId> {
        let state = self.lock();
        let packed = (0..self.small.len()).filter_map(|number| self.small.get(number));
        let packed = packed.map(|tree| tree.node_ids().max().max(Some(tree.ids().0)));
        let whole = state.whole.values().map(|tree| tree.columns.ids.iter().max().max(Some(tree.header.id)));
        let made = state.made.values().map(|(record, columns)| {
            columns.get().read(TreeTable::max_id).max(Some(record.bind(py).get().header().id))
        });
        packed.chain(whole).chain(made).flatten().max().map(PyId)
    }
}
