//! The trees of a file that was read: objects of Python's are made of those that somebody asks for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use wkfast_nml::TreeTable;
use wkfast_nml::model::{Id, Tree};

use super::columns::TreeColumns;
use super::ids::PyId;
use super::record::TreeRecord;

/// Trees by their number in the file.
#[pyclass(module = "wkfast._core", frozen)]
pub(crate) struct LoadedTrees {
    trees: Mutex<Vec<Slot>>,
}

enum Slot {
    /// Nobody asked for it.
    Read(Arc<Tree>),
    Made(Py<TreeRecord>, Py<TreeColumns>),
}

/// Numbers of trees, and the group that they name.
type Numbers = (Option<PyId>, Vec<usize>);

impl From<Vec<Tree>> for LoadedTrees {
    fn from(trees: Vec<Tree>) -> Self {
        Self { trees: Mutex::new(trees.into_iter().map(|tree| Slot::Read(Arc::new(tree))).collect()) }
    }
}

impl LoadedTrees {
    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A tree as it was read; `None` if objects were made of it, or if there is none.
    pub(super) fn unmade(&self, number: usize) -> Option<Arc<Tree>> {
        match self.lock().get(number)? {
            Slot::Read(tree) => Some(Arc::clone(tree)),
            Slot::Made(..) => None,
        }
    }
}

#[pymethods]
impl LoadedTrees {
    fn __len__(&self) -> usize {
        self.lock().len()
    }

    /// Record and columns of a tree, the same objects each time.
    fn __getitem__(&self, py: Python<'_>, number: usize) -> PyResult<(Py<TreeRecord>, Py<TreeColumns>)> {
        let made = |slot: &Slot| match slot {
            Slot::Made(record, columns) => Some((record.clone_ref(py), columns.clone_ref(py))),
            Slot::Read(_) => None,
        };
        if let Some(found) = self.lock().get(number).ok_or_else(|| PyIndexError::new_err("no such tree")).map(made)? {
            return Ok(found);
        }
        // Made outside of the lock, since making objects may run any code: if that asked for the same tree, its objects count.
        let Some(tree) = self.unmade(number) else { return self.__getitem__(py, number) };
        let record = Py::new(py, TreeRecord::from(tree.header.clone()))?;
        let columns = Py::new(py, TreeColumns::from(TreeTable::from(tree.columns.clone())))?;
        drop(tree);
        let mut trees = self.lock();
        if let Some(found) = made(&trees[number]) {
            return Ok(found);
        }
        let before = std::mem::replace(&mut trees[number], Slot::Made(record.clone_ref(py), columns.clone_ref(py)));
        drop(trees);
        drop(before);
        Ok((record, columns))
    }

    /// Ids of all trees.
    fn ids(&self, py: Python<'_>) -> Vec<PyId> {
        let id = |slot: &Slot| match slot {
            Slot::Read(tree) => PyId(tree.header.id),
            Slot::Made(record, _) => PyId(record.bind(py).get().header().id),
        };
        self.lock().iter().map(id).collect()
    }

    /// Numbers of the trees by the group that they name; those that name none of these groups under `None`, and once more behind
    /// it all if they name another.
    fn by_group(&self, py: Python<'_>, groups: Vec<PyId>) -> (Vec<Numbers>, Vec<usize>) {
        let (mut found, mut strays): (Vec<Numbers>, _) = (vec![(None, Vec::new())], Vec::new());
        let mut places: HashMap<Id, usize> = HashMap::with_capacity(groups.len());
        for group in groups {
            places.entry(group.0).or_insert_with(|| {
                found.push((Some(group), Vec::new()));
                found.len() - 1
            });
        }
        for (number, slot) in self.lock().iter().enumerate() {
            let group = match slot {
                Slot::Read(tree) => tree.header.group_id,
                Slot::Made(record, _) => record.bind(py).get().header().group_id,
            };
            let place = group.and_then(|group| places.get(&group).copied());
            found[place.unwrap_or(0)].1.push(number);
            if group.is_some() && place.is_none() {
                strays.push(number);
            }
        }
        found.retain(|(_, numbers)| !numbers.is_empty());
        (found, strays)
    }

    /// The largest id of a tree or of a node; `None` without trees.
    fn max_id(&self, py: Python<'_>) -> Option<PyId> {
        let largest = |slot: &Slot| match slot {
            Slot::Read(tree) => tree.columns.ids.iter().max().max(Some(tree.header.id)),
            Slot::Made(record, columns) => {
                columns.get().read(TreeTable::max_id).max(Some(record.bind(py).get().header().id))
            }
        };
        self.lock().iter().filter_map(largest).max().map(PyId)
    }
}
