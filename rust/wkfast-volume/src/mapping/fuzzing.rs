//! Tables of labels.

#![allow(clippy::missing_panics_doc)] // to panic is what they are for

use std::io::{Seek, Write};

use super::{Entries, Mapping, Missing, read_entries};
use crate::voxels::VoxelType;

/// What becomes of other labels, then a table. It gives every voxel the label that a walk through the table gives it.
pub fn labels(bytes: &[u8]) {
    let Some((&first, table)) = bytes.split_first() else { return };
    let missing = [Missing::Keep, Missing::Zero, Missing::Error][usize::from(first) % 3];
    let voxel_type = VoxelType::ALL[usize::from(first) / 3 % VoxelType::ALL.len()];
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(table).and_then(|()| file.rewind()).expect("room on the disk");
    let Ok(entries) = read_entries(file) else { return };
    let pairs = pairs(&entries);
    let mapping = Mapping { missing, entries };
    let mut voxels: Vec<u8> =
        pairs.iter().flat_map(|(old, _)| old.to_le_bytes()[..voxel_type.size()].to_vec()).collect();
    voxels.extend([0, 1, 2, 255].map(|byte| vec![byte; voxel_type.size()]).concat());
    let before = voxels.clone();
    let Ok(changed) = mapping.apply(voxel_type, &mut voxels) else { return };
    let both = || before.chunks(voxel_type.size()).zip(voxels.chunks(voxel_type.size()));
    assert_eq!(changed, both().filter(|(old, new)| old != new).count() as u64);
    // Of a table that is not sorted, which nobody writes, no more is said.
    if !pairs.is_sorted_by(|one, next| one.0 < next.0) || voxel_type.name().starts_with("int") {
        return;
    }
    for (old, new) in both() {
        let label = wide(old);
        let found = pairs.iter().find(|(known, _)| *known == label).map(|(_, new)| *new);
        let other = if missing == Missing::Keep { label } else { 0 };
        assert_eq!(wide(new), found.unwrap_or(other), "{label}");
    }
}

fn wide(value: &[u8]) -> u64 {
    value.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn pairs(entries: &Entries) -> Vec<(u64, u64)> {
    match entries {
        Entries::Pairs(old, new) => old.iter().copied().zip(new.iter().copied()).collect(),
        Entries::Dense(first, count, _) => (0..*count)
            .filter_map(|place| Some((first.checked_add(place)?, place)))
            .filter_map(|(label, _)| Some((label, entries.find(label).expect("it is there")?)))
            .collect(),
    }
}
