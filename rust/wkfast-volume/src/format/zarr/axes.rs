//! Which axis of an array is which: c, x, y, z, or one that WEBKNOSSOS calls additional.

use std::collections::BTreeMap;

use crate::geometry::{ChunkIndex, ShardIndex};

/// What to do where an array does not say what its axes are.
const NAME_THEM: &str = "say which is which: axisOrder in datasource-properties.json, axes= of open_layer";

/// Meaning of one array axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    Channel,
    /// x, y, z as 0, 1, 2.
    Space(usize),
    /// An additional axis, by its place among those.
    Extra(usize),
}

/// Meanings of all axes of an array, in the array's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axes {
    axes: Vec<Axis>,
    extra_names: Vec<String>,
}

impl Axes {
    /// Resolves the axes of an array with `count` dimensions: `axis_order` counts before the array's own `names`,
    /// and where neither is known, c, x, y, z or its end is assumed.
    pub(super) fn resolve(
        count: usize,
        names: Option<&[Option<String>]>,
        axis_order: Option<&BTreeMap<String, u32>>,
    ) -> Result<Self, String> {
        let mut labels: Vec<Option<String>> = vec![None; count];
        if let Some(names) = names.filter(|names| names.len() == count) {
            labels.clone_from_slice(names);
        }
        if let Some(order) = axis_order {
            for label in &mut labels {
                *label = label.take().filter(|name| !order.contains_key(name));
            }
            for (name, &axis) in order {
                let label = labels.get_mut(axis as usize);
                *label.ok_or_else(|| format!("axisOrder puts {name} at {axis} of {count} axes"))? = Some(name.clone());
            }
        } else if labels.iter().all(Option::is_none) {
            labels = assumed(count)?;
        }
        Self::from_labels(&labels)
    }

    fn from_labels(labels: &[Option<String>]) -> Result<Self, String> {
        let mut resolved = Self { axes: Vec::new(), extra_names: Vec::new() };
        for (place, label) in labels.iter().enumerate() {
            let axis = match label.as_deref() {
                Some("c" | "C" | "channel") => Axis::Channel,
                Some("x" | "X") => Axis::Space(0),
                Some("y" | "Y") => Axis::Space(1),
                Some("z" | "Z") => Axis::Space(2),
                other => {
                    resolved.extra_names.push(other.map_or_else(|| format!("axis{place}"), str::to_owned));
                    Axis::Extra(resolved.extra_names.len() - 1)
                }
            };
            if resolved.axes.contains(&axis) {
                return Err(format!("two axes are called {}", label.as_deref().unwrap_or_default()));
            }
            resolved.axes.push(axis);
        }
        if !resolved.axes.contains(&Axis::Space(0)) || !resolved.axes.contains(&Axis::Space(1)) {
            return Err(format!("its axes {labels:?} lack x or y; {NAME_THEM}"));
        }
        Ok(resolved)
    }

    pub(super) fn len(&self) -> usize {
        self.axes.len()
    }

    pub(super) fn axis(&self, place: usize) -> Axis {
        self.axes[place]
    }

    pub(super) fn extra_names(&self) -> &[String] {
        &self.extra_names
    }

    /// The value of `lengths` along x, y, z; 1 along one that the array lacks.
    pub(super) fn space<T: Copy + From<u8>>(&self, lengths: &[T]) -> [T; 3] {
        [0, 1, 2].map(|axis| self.at(Axis::Space(axis), lengths).unwrap_or(1.into()))
    }

    /// The values of `lengths` along the additional axes.
    pub(super) fn extra(&self, lengths: &[u64]) -> Vec<u64> {
        (0..self.extra_names.len()).map(|nth| self.at(Axis::Extra(nth), lengths).unwrap_or(1)).collect()
    }

    /// The names of all axes in the array's order.
    pub(super) fn names(&self) -> Vec<String> {
        let name = |axis: &Axis| match *axis {
            Axis::Channel => "c".to_owned(),
            Axis::Space(space) => ["x", "y", "z"][space].to_owned(),
            Axis::Extra(nth) => self.extra_names[nth].clone(),
        };
        self.axes.iter().map(name).collect()
    }

    /// The value of `lengths` along the channel axis; 1 if there is none.
    pub(super) fn channels(&self, lengths: &[u32]) -> u32 {
        self.at(Axis::Channel, lengths).unwrap_or(1)
    }

    fn at<T: Copy>(&self, axis: Axis, values: &[T]) -> Option<T> {
        self.axes.iter().position(|&known| known == axis).and_then(|place| values.get(place).copied())
    }

    /// Indices along the array's axes of a chunk in the grid of files.
    pub(super) fn indices_of(&self, shard: &ShardIndex) -> Vec<u32> {
        let along = |axis: &Axis| match *axis {
            Axis::Channel => 0,
            Axis::Space(space) => shard.xyz[space],
            Axis::Extra(extra) => shard.extra.get(extra).copied().unwrap_or_default(),
        };
        self.axes.iter().map(along).collect()
    }

    /// The inverse of [`indices_of`](Self::indices_of); `None` for indices that are no place, as channel chunk 1.
    pub(super) fn shard_at(&self, indices: &[u32]) -> Option<ShardIndex> {
        let mut shard = ChunkIndex { extra: vec![0; self.extra_names.len()].into(), xyz: [0; 3] };
        if indices.len() != self.axes.len() {
            return None;
        }
        for (axis, &index) in self.axes.iter().zip(indices) {
            match *axis {
                Axis::Channel if index > 0 => return None,
                Axis::Channel => {}
                Axis::Space(space) => shard.xyz[space] = index,
                Axis::Extra(extra) => shard.extra[extra] = index,
            }
        }
        Some(shard)
    }
}

fn assumed(count: usize) -> Result<Vec<Option<String>>, String> {
    let names: &[&str] = match count {
        2 => &["x", "y"],
        3 => &["x", "y", "z"],
        4 => &["c", "x", "y", "z"],
        _ => return Err(format!("{count} axes without names; {NAME_THEM}")),
    };
    Ok(names.iter().map(|&name| Some(name.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|&name| Some(name.to_owned())).collect()
    }

    #[test]
    fn axis_order_overrides_dimension_names() {
        let order = [("c", 0), ("z", 2), ("y", 3), ("x", 4)].map(|(name, axis)| (name.to_owned(), axis));
        let axes = Axes::resolve(5, Some(&named(&["c", "t", "x", "y", "z"])), Some(&order.into())).unwrap();
        assert_eq!(axes.space(&[1, 9, 4, 3, 2]), [2, 3, 4]);
        assert_eq!(axes.extra_names(), ["t"]);
        let shard = ShardIndex { extra: [7].into(), xyz: [1, 2, 3] };
        assert_eq!(axes.indices_of(&shard), [0, 7, 3, 2, 1]);
        assert_eq!(axes.shard_at(&[0, 7, 3, 2, 1]), Some(shard));
        assert_eq!(axes.shard_at(&[1, 7, 3, 2, 1]), None);
    }

    #[test]
    fn nameless_arrays_are_c_x_y_z_or_its_end() {
        let axes = Axes::resolve(4, None, None).unwrap();
        assert_eq!((axes.space(&[3, 4, 5, 6]), axes.channels(&[3, 4, 5, 6])), ([4, 5, 6], 3));
        assert_eq!(Axes::resolve(3, None, None).unwrap().space(&[4, 5, 6]), [4, 5, 6]);
        assert_eq!(Axes::resolve(2, None, None).unwrap().space(&[4, 5]), [4, 5, 1]);
        assert!(Axes::resolve(5, None, None).unwrap_err().contains("axisOrder"));
    }

    #[test]
    fn axes_that_contradict_are_refused() {
        let order = BTreeMap::from([("x".to_owned(), 4)]);
        assert!(Axes::resolve(4, None, Some(&order)).unwrap_err().contains("at 4 of 4"));
        assert!(Axes::resolve(3, Some(&named(&["x", "x", "y"])), None).unwrap_err().contains("two axes"));
        assert!(Axes::resolve(3, Some(&named(&["a", "b", "y"])), None).unwrap_err().contains("lack x"));
    }
}
