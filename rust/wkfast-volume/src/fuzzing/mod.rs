//! What holds of any bytes that are taken for something that this crate reads: each function panics unless it does. Not part
//! of the library: there while it is fuzzed or tested.

#![allow(clippy::missing_panics_doc)] // to panic is what they are for

mod arrays;

use wkfast_files::Process;

pub use self::arrays::{layer, shard, wkw, zarr};
pub use crate::format::zarr::chain_fuzzing::codecs;
pub use crate::mapping::fuzzing::labels;
pub use crate::merge::fuzzing::{notes, plan, plan_file, target};

use crate::downsample::Interpolation;
use crate::geometry::Mag;
use crate::store::Stamp;

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

/// What is said in a few words comes back from its own spelling.
pub fn words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(process) = Process::parse(text) {
        assert_eq!(Process::parse(&process.to_string()), Some(process));
    }
    if let Ok(stamp) = text.parse::<Stamp>() {
        assert_eq!(stamp.to_string().parse::<Stamp>().expect("its own text"), stamp);
    }
    if let Ok(mag) = text.parse::<Mag>() {
        assert_eq!(mag.to_string().parse(), Ok(mag));
    }
    let _ = text.parse::<Interpolation>();
}

#[test]
fn what_holds_of_anything_holds_of_what_fuzzing_found() {
    type Check = fn(&[u8]);
    let targets: [(&str, Check); 11] = [
        ("words", words),
        ("wkw", wkw),
        ("zarr", zarr),
        ("shard", shard),
        ("codecs", codecs),
        ("layer", layer),
        ("labels", labels),
        ("plan", plan),
        ("plan_file", plan_file),
        ("notes", notes),
        ("target", target),
    ];
    for (target, check) in targets {
        replay::replay(target, check);
    }
}
