//! What codecs made.

#![allow(clippy::missing_panics_doc)] // to panic is what they are for

use super::{Blosc, CodecStep, Compressor, Shuffle};

/// Bytes that a chunk inflates to, at most.
const MOST: usize = 1 << 12;

/// Which codec, then what it may have made. A step inflates to no more than it is allowed, the same where the size is known and
/// where it is not, and takes what it made.
pub fn codecs(bytes: &[u8]) {
    let Some((&first, encoded)) = bytes.split_first() else { return };
    let steps = steps();
    let step = &steps[usize::from(first) % steps.len()];
    let Ok(decoded) = step.decode_up_to(encoded, MOST) else { return };
    // Of a checksum nothing inflates.
    assert!(decoded.len() <= MOST.max(encoded.len()));
    let mut known = vec![0xee; decoded.len()];
    step.decode(encoded, &mut known).expect("its size is known");
    assert_eq!(known, decoded);
    for wrong in [decoded.len() + 1, decoded.len().saturating_sub(1)] {
        assert!(wrong == decoded.len() || step.decode(encoded, &mut vec![0; wrong]).is_err(), "{step:?} {wrong}");
    }
    let again = step.encode(&decoded).expect("memory takes it");
    step.decode(&again, &mut known).expect("what was encoded can be decoded");
    assert_eq!(known, decoded);
}

fn steps() -> Vec<CodecStep> {
    let blosc = |compressor, shuffle, type_size| {
        CodecStep::Blosc(Blosc { compressor, level: 5, shuffle, type_size, block_size: 0 })
    };
    let mut steps = vec![
        CodecStep::Zstd { level: 3, checksum: true },
        CodecStep::Gzip { level: 5 },
        CodecStep::Zlib { level: 5 },
        CodecStep::Crc32c,
    ];
    for (number, compressor) in Compressor::ALL.into_iter().enumerate() {
        steps.push(blosc(compressor, Shuffle::ALL[number % 3], 1 << (number % 4)));
    }
    steps
}
