//! From ids to rows.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::columns::TreeColumns;
use crate::model::Id;

/// Rows by id. Most trees number their nodes in one run, which needs no table.
#[derive(Clone, Debug)]
pub(crate) enum RowIndex {
    Run { first: Id, len: u32 },
    Narrow(HashMap<i64, u32, RandomState>),
    Wide(HashMap<Id, u32, RandomState>),
}

impl RowIndex {
    pub(crate) fn of(columns: &TreeColumns) -> Self {
        let (ids, rows) = (&columns.ids, columns.rows() as u32);
        let first = ids.get(0).unwrap_or_default();
        if columns.removed.is_empty() && ids.iter().zip(0..).all(|(id, row)| id.checked_sub(first) == Some(row)) {
            return Self::Run { first, len: rows };
        }
        let live = (0..rows).filter(|&row| !columns.is_removed(row as usize));
        let pairs = live.filter_map(|row| Some((ids.get(row as usize)?, row)));
        if ids.as_narrow().is_some() {
            Self::Narrow(first_of_each(pairs.map(|(id, row)| (id as i64, row))))
        } else {
            Self::Wide(first_of_each(pairs))
        }
    }

    pub(crate) fn get(&self, id: Id) -> Option<u32> {
        match self {
            Self::Run { first, len } => {
                id.checked_sub(*first).and_then(|row| u32::try_from(row).ok()).filter(|row| row < len)
            }
            Self::Narrow(rows) => i64::try_from(id).ok().and_then(|id| rows.get(&id).copied()),
            Self::Wide(rows) => rows.get(&id).copied(),
        }
    }

    pub(crate) fn insert(&mut self, id: Id, row: u32) {
        match self {
            Self::Run { first, len } if *len == row && id.checked_sub(*first) == Some(Id::from(row)) => *len += 1,
            Self::Run { first, len } if *len == 0 && row == 0 => (*first, *len) = (id, 1),
            Self::Run { first, len } => {
                *self = Self::Wide((0..*len).map(|row| (*first + Id::from(row), row)).collect());
                self.narrow();
                self.insert(id, row);
            }
            Self::Narrow(rows) => {
                if let Ok(id) = i64::try_from(id) {
                    rows.insert(id, row);
                } else {
                    *self = Self::Wide(rows.iter().map(|(&id, &row)| (Id::from(id), row)).collect());
                    self.insert(id, row);
                }
            }
            Self::Wide(rows) => drop(rows.insert(id, row)),
        }
    }

    fn narrow(&mut self) {
        if let Self::Wide(rows) = self {
            let narrow: Option<HashMap<_, _, _>> =
                rows.iter().map(|(&id, &row)| Some((i64::try_from(id).ok()?, row))).collect();
            if let Some(rows) = narrow {
                *self = Self::Narrow(rows);
            }
        }
    }
}

fn first_of_each<K: Eq + std::hash::Hash>(pairs: impl Iterator<Item = (K, u32)>) -> HashMap<K, u32, RandomState> {
    let mut rows = HashMap::with_capacity_and_hasher(pairs.size_hint().1.unwrap_or(0), RandomState::default());
    for (id, row) in pairs {
        rows.entry(id).or_insert(row);
    }
    rows
}
