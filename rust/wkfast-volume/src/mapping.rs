//! Labels that become others, by a table in a file: pairs, which are held in memory, or a value for every label from a first one
//! on, which stay in the file, so that the tables of agglomerations may be larger than memory.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use std::collections::HashMap;
use std::env;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use crate::error::{Result, VolumeError};
use crate::label::{Recent, bytes, label, run_length, with_width};
use crate::store::{Address, Container, fetch};
use crate::voxels::{Kind, VoxelType};

/// Bytes before the table: a mark, the kind, entries, and the first label.
const HEADER: usize = 32;
const MARK: u64 = u64::from_le_bytes(*b"wkflabel");
/// The kinds.
const PAIRS: u64 = 0;
const DENSE: u64 = 1;

/// What becomes of labels that the table does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// They stay.
    Keep,
    /// They become 0.
    Zero,
    /// They are an error.
    Error,
}

/// A file of 64-bit numbers, little endian: `wkflabel`, the kind (0 pairs, 1 dense), the number of entries, the first label;
/// then, of pairs, all old labels in ascending order and all new ones; if dense, the new label of the first, and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LabelTable {
    /// Its path.
    Near(PathBuf),
    /// An object, which whoever opens it fetches.
    Far {
        /// The folder that it lies in.
        folder: Address,
        /// Its name there.
        name: String,
    },
}

/// Which labels become which, as plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relabeling {
    /// Where the table is.
    pub table: LabelTable,
    /// What becomes of the others.
    pub missing: Missing,
}

#[derive(Debug)]
enum Entries {
    /// Old labels in ascending order, and the new ones.
    Pairs(Vec<u64>, Vec<u64>),
    /// First label, how many there are, and the file that has the new ones.
    Dense(u64, u64, File),
}

/// A table, open.
#[derive(Debug)]
pub struct Mapping {
    missing: Missing,
    entries: Entries,
}

impl Mapping {
    /// Opens the table, fetched to a temporary file without a name if it lies in a bucket. What is read of it later is read
    /// from the file that it is now, whatever becomes of its name.
    pub fn open(relabeling: &Relabeling) -> Result<Self> {
        let table = &relabeling.table;
        let entries = table.open()?;
        let entries = read_entries(entries).map_err(|error| VolumeError::io(table.shown(), error))?;
        Ok(Self { missing: relabeling.missing, entries })
    }

    /// Gives voxels of a type their new labels and returns how many are others than before.
    pub fn apply(&self, voxel_type: VoxelType, voxels: &mut [u8]) -> Result<u64, String> {
        with_width!(voxel_type, W => self.relabel::<W>(voxel_type, voxels))
    }

    fn relabel<const W: usize>(&self, voxel_type: VoxelType, voxels: &mut [u8]) -> Result<u64, String> {
        let signed = voxel_type.kind() == Kind::Signed;
        let (values, _) = voxels.as_chunks_mut::<W>();
        let mut known: HashMap<u64, [u8; W], RandomState> = HashMap::default();
        let mut recent = Recent::new([0; W]);
        let (mut start, mut changed) = (0, 0);
        // 0 is what most of a chunk may be, and is never kept among the labels met last.
        let zero = self.new_label(0, voxel_type)?;
        while start < values.len() {
            let end = start + run_length(&values[start..]);
            let label = label(values[start], signed);
            let new = match recent.find(label) {
                _ if label == 0 => zero,
                Some(new) => new,
                None => {
                    let new = match known.get(&label) {
                        Some(&new) => new,
                        None => *known.entry(label).or_insert(self.new_label(label, voxel_type)?),
                    };
                    recent.keep(label, new);
                    new
                }
            };
            if new != values[start] {
                changed += (end - start) as u64;
                values[start..end].fill(new);
            }
            start = end;
        }
        Ok(changed)
    }

    fn new_label<const W: usize>(&self, label: u64, voxel_type: VoxelType) -> Result<[u8; W], String> {
        let signed = voxel_type.kind() == Kind::Signed;
        let shown = || if signed { (label as i64).to_string() } else { label.to_string() };
        let found = self.entries.find(label).map_err(|error| format!("the mapping cannot be read: {error}"))?;
        let new = match (found, self.missing) {
            (Some(new), _) => new,
            (None, Missing::Keep) => label,
            (None, Missing::Zero) => 0,
            (None, Missing::Error) if label == 0 => 0,
            (None, Missing::Error) => {
                let hint = "pass missing=\"keep\" or \"zero\", or add it";
                return Err(format!("label {} is not in the mapping; {hint}", shown()));
            }
        };
        bytes(new, signed)
            .ok_or_else(|| format!("label {} becomes {new}, which {} cannot hold", shown(), voxel_type.name()))
    }
}

impl LabelTable {
    fn shown(&self) -> String {
        match self {
            Self::Near(path) => path.display().to_string(),
            Self::Far { folder, name } => format!("{}/{name}", folder.shown()),
        }
    }

    fn open(&self) -> Result<File> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => {
                VolumeError::corrupt(self.shown(), "is gone, and the mapping with it: plan the merge again")
            }
            _ => VolumeError::io(self.shown(), error),
        };
        let (folder, name) = match self {
            Self::Near(path) => return wkfast_files::open_regular(path).map_err(failed),
            Self::Far { folder, name } => (folder, name),
        };
        let store = Container::Objects(folder.clone()).open()?;
        let fetched = fetch(&*store, name, &env::temp_dir(), tempfile::tempfile)?;
        let (mut file, _) = fetched.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        file.rewind().map_err(failed)?;
        Ok(file)
    }
}

impl Entries {
    fn find(&self, label: u64) -> io::Result<Option<u64>> {
        match self {
            Self::Pairs(old, new) => Ok(old.binary_search(&label).ok().map(|place| new[place])),
            Self::Dense(first, count, file) => match label.checked_sub(*first).filter(|place| place < count) {
                Some(place) => {
                    let mut bytes = [0; 8];
                    file.read_exact_at(&mut bytes, HEADER as u64 + 8 * place)?;
                    Ok(Some(u64::from_le_bytes(bytes)))
                }
                None => Ok(None),
            },
        }
    }
}

fn read_entries(mut file: File) -> io::Result<Entries> {
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    let words = header.as_chunks::<8>().0;
    let [mark, kind, count, first] = [0, 1, 2, 3].map(|place| u64::from_le_bytes(words[place]));
    let width = if kind == PAIRS { 16 } else { 8 };
    let expected = count.checked_mul(width).and_then(|bytes| bytes.checked_add(HEADER as u64));
    if mark != MARK || kind > DENSE || expected != Some(file.metadata()?.len()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "is no whole table of labels: plan the merge again"));
    }
    if kind == DENSE {
        return Ok(Entries::Dense(first, count, file));
    }
    let mut numbers = || -> io::Result<Vec<u64>> {
        let mut bytes = vec![0; 8 * count as usize];
        file.read_exact(&mut bytes)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|&word| u64::from_le_bytes(word)).collect())
    };
    Ok(Entries::Pairs(numbers()?, numbers()?))
}
