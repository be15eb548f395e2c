//! Boxes that a server cuts out of an array, named as files are.

/// What keys of cut-outs begin with.
const SIGN: &str = "cut-out";

/// A box of an array as a file of a store that [cuts boxes out](super::ReadStore::cuts_out). Its bytes are the voxels
/// (c, x, y, z), first axis fastest, lowest byte first. Where there is no such file, chunks have to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutOut {
    /// Edge lengths of a voxel in mag-1 voxels.
    pub mag: [u32; 3],
    /// First voxel of the mag.
    pub topleft: [u64; 3],
    /// Voxels of the mag.
    pub size: [u64; 3],
}

impl CutOut {
    /// What the store calls it.
    pub fn key(&self) -> String {
        let joined = |numbers: [u64; 3]| numbers.map(|number| number.to_string()).join(".");
        format!("{SIGN}/{}/{}/{}", joined(self.mag.map(u64::from)), joined(self.topleft), joined(self.size))
    }

    /// The one that is called `key`.
    pub fn called(key: &str) -> Option<Self> {
        let parts: Vec<&str> = key.strip_prefix(SIGN)?.strip_prefix('/')?.split('/').collect();
        let [mag, topleft, size] = parts[..] else { return None };
        let [mag, topleft, size] = [three(mag)?, three(topleft)?, three(size)?];
        let [x, y, z] = mag.map(|edge| u32::try_from(edge).ok());
        Some(Self { mag: [x?, y?, z?], topleft, size })
    }
}

fn three(text: &str) -> Option<[u64; 3]> {
    let numbers: Option<Vec<u64>> = text.split('.').map(|number| number.parse().ok()).collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_out_is_found_by_its_name_and_nothing_else_is_one() {
        let cut_out = CutOut { mag: [2, 2, 1], topleft: [64, 0, u64::MAX], size: [32, 40, 1] };
        assert_eq!(CutOut::called(&cut_out.key()), Some(cut_out));
        for key in
            ["0.1.2.3", ".zarray", "cut-out/1.1.1/0.0.0", "cut-out/1.1.1/0.0.0/1.1", "cut-out/1.1.-1/0.0.0/1.1.1"]
        {
            assert_eq!(CutOut::called(key), None, "{key}");
        }
    }
}
