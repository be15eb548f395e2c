//! Places of nodes along axes beyond x, y and z: one column per axis.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::columns::OptionalColumn;
use crate::pack::fields;

/// Axes that get a column; a tree's further ones, which no real file has, are kept row by row. Without a bound, a file in
/// which every node has an axis of its own would take memory in the square of its size.
const COLUMNS: usize = 8;

/// `additionalCoordinate-<axis>` of the nodes of one tree.
///
/// ```
/// use wkfast_nml::coordinates::Coordinates;
/// let mut coordinates = Coordinates::default();
/// coordinates.put(2, "t", 17);
/// assert_eq!(coordinates.of(2), [("t", 17)]);
/// assert!(coordinates.of(0).is_empty());
/// ```
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Coordinates {
    axes: Vec<Axis>,
    /// Of axes without a column, by row.
    further: BTreeMap<u32, BTreeMap<String, i64>>,
}

/// Rows behind the last one with a value are not stored.
#[derive(Clone, Serialize, Deserialize)]
struct Axis {
    name: String,
    column: OptionalColumn<i64>,
}

fields!(Coordinates { axes, further });
fields!(Axis { name, column });

impl Axis {
    fn has_values(&self) -> bool {
        !self.column.is_empty() && (self.column.absent.is_empty() || self.column.absent.contains(&false))
    }
}

impl Coordinates {
    /// Whether no node has any.
    pub fn is_empty(&self) -> bool {
        self.further.is_empty() && !self.axes.iter().any(Axis::has_values)
    }

    /// Axis and place of a row, in no particular order.
    pub fn of(&self, row: usize) -> Vec<(&str, i64)> {
        let columns = self.axes.iter().filter_map(|axis| Some((axis.name.as_str(), axis.column.get(row)?)));
        let further = self.further_of(row).into_iter().flatten().map(|(name, value)| (name.as_str(), *value));
        columns.chain(further).collect()
    }

    /// Names of all axes, each once, those with a column first.
    pub fn names(&self) -> Vec<&str> {
        let with_values = self.axes.iter().filter(|axis| axis.has_values());
        let mut names: Vec<&str> = with_values.map(|axis| axis.name.as_str()).collect();
        let mut further: Vec<_> = self.further.values().flat_map(BTreeMap::keys).map(String::as_str).collect();
        further.sort_unstable();
        further.dedup();
        further.retain(|name| !names.contains(name));
        names.extend(further);
        names
    }

    /// The place of a row along an axis.
    pub fn get(&self, row: usize, axis: &str) -> Option<i64> {
        let column = self.axes.iter().find(|this| same(&this.name, axis)).and_then(|axis| axis.column.get(row));
        column.or_else(|| self.further_of(row)?.get(axis).copied())
    }

    /// Sets the place of a row along an axis. Quick if rows come in their order.
    pub fn put(&mut self, row: usize, axis: &str, value: i64) {
        let Some(column) = self.column_mut(axis) else {
            self.further.entry(row as u32).or_default().insert(axis.to_owned(), value);
            return;
        };
        if row < column.values.len() {
            column.set(column.values.len(), row, Some(value));
        } else {
            pad(column, row);
            column.push(row, Some(value));
        }
    }

    /// Replaces all places of a row.
    pub fn set<S: AsRef<str>>(&mut self, row: usize, places: impl IntoIterator<Item = (S, i64)>) {
        for Axis { column, .. } in &mut self.axes {
            if row < column.values.len() {
                column.set(column.values.len(), row, None);
            }
        }
        self.further.remove(&(row as u32));
        places.into_iter().for_each(|(axis, value)| self.put(row, axis.as_ref(), value));
    }

    /// Whether these axes, all different, have columns or would get them.
    pub(crate) fn has_columns_for<'a>(&self, axes: impl IntoIterator<Item = &'a str>) -> bool {
        let used = self.columns().count();
        let new = axes.into_iter().filter(|axis| !self.columns().any(|(this, _)| same(this, axis))).count();
        used + new <= COLUMNS
    }

    /// Axes with a column.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&str, &OptionalColumn<i64>)> {
        self.axes.iter().filter(|axis| !axis.column.is_empty()).map(|axis| (axis.name.as_str(), &axis.column))
    }

    /// Whether a row has places along axes without a column.
    pub(crate) fn has_further(&self, row: usize) -> bool {
        self.further_of(row).is_some_and(|further| !further.is_empty())
    }

    /// By name, so that a row with tens of thousands of axes is no different.
    fn further_of(&self, row: usize) -> Option<&BTreeMap<String, i64>> {
        // Nearly always empty: no search.
        if self.further.is_empty() { None } else { self.further.get(&(row as u32)) }
    }

    /// Adds those of the rows behind `rows` rows.
    pub(crate) fn append(&mut self, rows: usize, other: &Self) {
        for Axis { name, column: more } in other.axes.iter().filter(|axis| !axis.column.is_empty()) {
            let Some(column) = self.column_mut(name) else {
                for row in 0..more.values.len() {
                    if let Some(value) = more.get(row) {
                        self.put(rows + row, name, value);
                    }
                }
                continue;
            };
            pad(column, rows);
            column.append(rows, more, more.values.len());
        }
        for (row, places) in &other.further {
            for (axis, value) in places {
                self.put(rows + *row as usize, axis, *value);
            }
        }
    }

    /// Drops all places, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.axes.iter_mut().for_each(|axis| axis.column.clear());
        self.further.clear();
    }

    /// Gives memory back that growing took in advance.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.axes.retain(Axis::has_values);
        self.axes.shrink_to_fit();
        self.axes.iter_mut().for_each(|axis| axis.column.shrink_to_fit());
    }

    fn column_mut(&mut self, name: &str) -> Option<&mut OptionalColumn<i64>> {
        let index = match self.axes.iter().position(|axis| same(&axis.name, name)) {
            Some(index) => index,
            // One that was cleared is as good as a new one.
            None => match self.axes.iter().position(|axis| axis.column.is_empty()) {
                Some(index) => {
                    name.clone_into(&mut self.axes[index].name);
                    index
                }
                None if self.axes.len() < COLUMNS => {
                    self.axes.push(Axis { name: name.to_owned(), column: OptionalColumn::default() });
                    self.axes.len() - 1
                }
                None => return None,
            },
        };
        Some(&mut self.axes[index].column)
    }
}

/// Whether two names are one. Of a search through a list, each step is counted while tests run.
pub(crate) fn same(one: &str, other: &str) -> bool {
    #[cfg(test)]
    tests::COMPARED.set(tests::COMPARED.get() + 1);
    one == other
}

/// Makes a column that ends early as long as its table.
fn pad(column: &mut OptionalColumn<i64>, rows: usize) {
    let stored = column.values.len();
    if stored == rows || stored == 0 {
        return;
    }
    column.absent.resize(stored, false);
    column.absent.resize(rows, true);
    column.values.resize(rows, 0);
}

/// Every row that has a place, with its places sorted by axis: which axis got a column does not matter.
fn canonical(coordinates: &Coordinates) -> Vec<(usize, Vec<(&str, i64)>)> {
    let stored = coordinates.axes.iter().map(|axis| axis.column.values.len()).max().unwrap_or(0);
    let further = coordinates.further.keys().next_back().map_or(0, |&row| row as usize + 1);
    let rows = (0..stored.max(further)).map(|row| {
        let mut places = coordinates.of(row);
        places.sort_unstable();
        (row, places)
    });
    rows.filter(|(_, places)| !places.is_empty()).collect()
}

impl PartialEq for Coordinates {
    fn eq(&self, other: &Self) -> bool {
        canonical(self) == canonical(other)
    }
}

impl fmt::Debug for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(canonical(self)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Plain = BTreeMap<(usize, String), i64>;

    fn places() -> impl Strategy<Value = Vec<(usize, String, i64)>> {
        // More names than columns.
        prop::collection::vec((0_usize..20, "[a-l]", any::<i64>()), 0..60)
    }

    fn compare(coordinates: &Coordinates, plain: &Plain) {
        for row in 0..45 {
            let mut found = coordinates.of(row);
            found.sort_unstable();
            let expected =
                plain.iter().filter(|((this, _), _)| *this == row).map(|((_, axis), &at)| (axis.as_str(), at));
            assert_eq!(found, expected.collect::<Vec<_>>(), "row {row}");
            for name in coordinates.names() {
                assert_eq!(coordinates.get(row, name), plain.get(&(row, name.to_owned())).copied());
            }
        }
        assert_eq!(coordinates.is_empty(), plain.is_empty());
    }

    fn filled(places: &[(usize, String, i64)]) -> (Coordinates, Plain) {
        let (mut coordinates, mut plain) = (Coordinates::default(), Plain::default());
        for (row, axis, value) in places {
            coordinates.put(*row, axis, *value);
            plain.insert((*row, axis.clone()), *value);
        }
        (coordinates, plain)
    }

    proptest! {
        #[test]
        fn places_are_read_back(places in places()) {
            let (coordinates, plain) = filled(&places);
            compare(&coordinates, &plain);
            let sorted: Vec<_> = plain.iter().map(|((row, axis), value)| (*row, axis.clone(), *value)).collect();
            prop_assert_eq!(filled(&sorted).0, coordinates);
        }

        #[test]
        fn appended_places_follow(first in places(), second in places(), used: bool) {
            let (mut coordinates, mut plain) = filled(&first);
            let (more, more_plain) = filled(&second);
            let mut batch = if used { coordinates.clone() } else { Coordinates::default() };
            batch.clear();
            batch.append(0, &more);
            coordinates.append(20, &batch);
            plain.extend(more_plain.into_iter().map(|((row, axis), value)| ((row + 20, axis), value)));
            compare(&coordinates, &plain);
        }

        #[test]
        fn setting_replaces_a_row(places in places(), row in 0_usize..25, new in prop::collection::btree_map("[a-l]", any::<i64>(), 0..12)) {
            let (mut coordinates, mut plain) = filled(&places);
            coordinates.set(row, new.iter().map(|(axis, value)| (axis, *value)));
            plain.retain(|(this, _), _| *this != row);
            plain.extend(new.into_iter().map(|(axis, value)| ((row, axis), value)));
            compare(&coordinates, &plain);
            coordinates.shrink_to_fit();
            compare(&coordinates, &plain);
        }
    }

    thread_local! {
        /// Names that were compared with one another by this thread.
        pub(super) static COMPARED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    /// Names compared while what is set below runs with so many additional axes.
    fn compared_for(text: &str) -> usize {
        COMPARED.set(0);
        let loaded = crate::read(text.as_bytes(), crate::ReadOptions::default()).unwrap();
        let mut written = Vec::new();
        crate::write(&loaded.document, &mut written, crate::WriteOptions::default()).unwrap();
        let coordinates = &loaded.document.trees[0].columns.coordinates;
        let mut again = Coordinates::default();
        again.append(3, coordinates);
        again.set(1, coordinates.of(0));
        let names = coordinates.names();
        let sum: i64 = names.iter().filter_map(|name| again.get(1, name)).sum();
        assert_eq!(sum, (0..names.len() as i64).sum());
        COMPARED.get()
    }

    #[test]
    fn names_of_additional_axes_are_compared_a_few_times_each_however_many_there_are() {
        for axes in [1_000, 2_000, 16_000] {
            let places: String = (0..axes)
                .flat_map(|axis| [" additionalCoordinate-a".to_owned(), axis.to_string(), format!("=\"{axis}\"")])
                .collect();
            let text = format!("<things><thing id=\"1\"><nodes><node id=\"1\"{places}/></nodes></thing></things>");
            let compared = compared_for(&text);
            // At most all columns for each look-up: reading, writing, appending, setting and getting.
            assert!(compared > axes && compared <= 8 * COLUMNS * axes, "{compared} for {axes}");
        }
    }

    #[test]
    fn an_axis_of_its_own_for_every_row_takes_little() {
        let mut coordinates = Coordinates::default();
        for row in 0..20_000 {
            coordinates.put(row, &format!("axis{row}"), 1);
        }
        assert_eq!(coordinates.columns().count(), COLUMNS);
        assert!(coordinates.columns().all(|(_, column)| column.values.len() <= COLUMNS));
        assert_eq!(coordinates.of(19_999), [("axis19999", 1)]);
    }
}
