use proptest::prelude::*;

use super::{Blosc, CodecStep, Compressor, Shuffle, blosc_size};
use crate::format::testing::voxels;

fn blosc(compressor: Compressor, shuffle: Shuffle, type_size: usize) -> CodecStep {
    CodecStep::Blosc(Blosc { compressor, level: 5, shuffle, type_size, block_size: 0 })
}

fn steps() -> Vec<CodecStep> {
    let mut steps = vec![
        CodecStep::Zstd { level: 5, checksum: true },
        CodecStep::Zstd { level: -1, checksum: false },
        CodecStep::Gzip { level: 5 },
        CodecStep::Gzip { level: 0 },
        CodecStep::Zlib { level: 9 },
        CodecStep::Crc32c,
    ];
    for compressor in Compressor::ALL {
        for shuffle in Shuffle::ALL {
            steps.push(blosc(compressor, shuffle, 4));
        }
    }
    steps
}

#[test]
fn every_codec_gives_back_what_it_took() {
    for step in steps() {
        for bytes in [voxels(7, 4096), vec![0; 131_072], voxels(1, 12)] {
            let encoded = step.encode(&bytes).unwrap();
            let mut decoded = vec![0xee; bytes.len()];
            step.decode(&encoded, &mut decoded).unwrap();
            assert_eq!(decoded, bytes, "{step:?}");
            assert_eq!(step.decode_up_to(&encoded, bytes.len()).unwrap(), bytes, "{step:?}");
        }
    }
}

#[test]
fn frames_that_wait_to_be_written_hold_no_room_beyond_their_length() {
    let encoded = CodecStep::Zstd { level: 3, checksum: true }.encode(&vec![7; 131_072]).unwrap();
    assert!(encoded.capacity() < 1024, "{}", encoded.capacity());
}

#[test]
fn a_frame_that_ends_before_the_size_it_states_is_refused_whether_the_size_is_known_or_not() {
    let zstd = CodecStep::Zstd { level: 3, checksum: false };
    // One empty last block, where 65,683 bytes are stated.
    let lying = [0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x93, 0xff, 0x01, 0x00, 0x00];
    let whole = zstd.encode(&voxels(5, 100)).unwrap();
    for encoded in [lying.to_vec(), [&whole, &lying[..]].concat(), [&lying[..], &whole].concat()] {
        assert!(zstd.decode_up_to(&encoded, 1 << 20).is_err());
        assert!(zstd.decode(&encoded, &mut [0; 100]).is_err());
    }
}

#[test]
fn frames_of_zstd_follow_each_other_and_those_that_hold_no_data_are_passed_over() {
    let zstd = CodecStep::Zstd { level: 3, checksum: true };
    let (one, other) = (voxels(5, 100), voxels(6, 50));
    let note = [0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'w', b'k', b'f'];
    let mut unstated = zstd::Encoder::new(Vec::new(), 3).unwrap();
    std::io::Write::write_all(&mut unstated, &other).unwrap();
    let parts = [note.to_vec(), zstd.encode(&one).unwrap(), note.to_vec(), unstated.finish().unwrap()];
    let (encoded, both) = (parts.concat(), [one, other].concat());
    assert_eq!(zstd.decode_up_to(&encoded, 150).unwrap(), both);
    assert!(zstd.decode_up_to(&encoded, 149).is_err());
    let mut decoded = vec![0; 150];
    zstd.decode(&encoded, &mut decoded).unwrap();
    assert_eq!(decoded, both);
}

#[test]
fn a_chunk_of_another_size_is_refused() {
    for step in steps() {
        let encoded = step.encode(&voxels(5, 4096)).unwrap();
        for wrong in [0, 4095, 4097] {
            assert!(step.decode(&encoded, &mut vec![0; wrong]).is_err(), "{step:?} {wrong}");
        }
        if step != CodecStep::Crc32c {
            assert!(step.decode_up_to(&encoded, 4095).is_err(), "{step:?}");
        }
        assert!(step.decode(&[], &mut [0; 16]).is_err(), "{step:?}");
        assert!(step.decode(&encoded[..encoded.len() - 1], &mut [0; 4096]).is_err(), "{step:?}");
    }
}

#[test]
fn a_flipped_bit_is_caught_where_there_is_a_checksum() {
    for step in [
        CodecStep::Zstd { level: 3, checksum: true },
        CodecStep::Gzip { level: 5 },
        CodecStep::Zlib { level: 5 },
        CodecStep::Crc32c,
    ] {
        let bytes = voxels(11, 4096);
        let mut encoded = step.encode(&bytes).unwrap();
        let middle = encoded.len() / 2;
        encoded[middle] ^= 1;
        assert!(step.decode(&encoded, &mut [0; 4096]).is_err(), "{step:?}");
    }
}

#[test]
fn bytes_that_are_no_blosc_container_have_no_size() {
    assert_eq!(blosc_size(&[]), None);
    assert_eq!(blosc_size(&[2, 1, 0x21]), None);
    assert_eq!(blosc_size(&[7; 100]), None);
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic(which in 0..24_usize, at in 0..5000_usize, value: u8, cut in 0..30_usize) {
        let step = &steps()[which];
        let mut encoded = step.encode(&voxels(9, 4096)).unwrap();
        let length = encoded.len();
        encoded[at % length] = value;
        encoded.truncate(length.saturating_sub(cut));
        let _ = step.decode(&encoded, &mut [0; 4096]);
        let _ = step.decode_up_to(&encoded, 4096);
    }
}
