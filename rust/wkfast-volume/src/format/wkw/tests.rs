use std::io::{Read, Seek, Write};
use std::sync::Arc;

use proptest::prelude::*;

use super::{BlockType, Header, WkwArray};
use crate::error::VolumeError;
use crate::format::testing::{chunk_voxels, memory, put_shard, shard_bytes, voxels};
use crate::format::{ChunkCodec, MagArray};
use crate::geometry::{ChunkIndex, ShardIndex};
use crate::store::MemoryStore;
use crate::voxels::VoxelType;

const BLOCK_TYPES: [BlockType; 3] = [BlockType::Raw, BlockType::Lz4, BlockType::Lz4Hc];

fn header(block_type: BlockType, log2_block_edge: u8, log2_file_edge: u8) -> Header {
    Header { block_type, voxel_type: VoxelType::UInt8, channels: 1, log2_block_edge, log2_file_edge, data_offset: 0 }
}

fn array(header: Header) -> (Arc<MemoryStore>, WkwArray) {
    let store = memory();
    store.insert("layer/1/header.wkw", header.to_bytes().to_vec()).unwrap();
    let array = WkwArray::open(store.clone(), "layer/1").unwrap();
    (store, array)
}

/// A file of one 2³ block, written by hand: literals only.
fn golden_lz4() -> Vec<u8> {
    let mut bytes = b"WKW\x01\x01\x02\x01\x01\x18\0\0\0\0\0\0\0".to_vec();
    bytes.extend(33_u64.to_le_bytes());
    bytes.extend(b"\x80\x01\x02\x03\x04\x05\x06\x07\x08");
    bytes
}

#[test]
fn a_file_written_by_hand_reads_x_fastest() {
    let (store, array) = array(header(BlockType::Lz4, 1, 0));
    store.insert("layer/1/z5/y4/x3.wkw", golden_lz4()).unwrap();
    assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(3, 4, 5)), Some((1..=8).collect()));
    assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(0, 0, 0)), None);
    assert_eq!(array.list_shards().unwrap().shards, [(ShardIndex::xyz(3, 4, 5), 33)]);
}

#[test]
fn raw_blocks_lie_in_morton_order() {
    let (store, array) = array(header(BlockType::Raw, 0, 2));
    let mut file = b"WKW\x01\x20\x01\x01\x01\x10\0\0\0\0\0\0\0".to_vec();
    file.extend(0..64);
    store.insert("layer/1/z0/y0/x1.wkw", file.clone()).unwrap();
    // Block 8 of the file is (2, 0, 0); this file starts at x = 4. Block 11 is (3, 1, 0).
    assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(6, 0, 0)), Some(vec![8]));
    assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(7, 1, 0)), Some(vec![11]));
    let chunks: Vec<_> =
        (0..64).map(|place| chunk_voxels(&array, &array.grid().chunk_at(&ShardIndex::xyz(1, 0, 0), place))).collect();
    assert_eq!(shard_bytes(&array, &chunks), file);
}

#[test]
fn a_file_may_be_compressed_unlike_its_mag() {
    let (store, raw) = array(header(BlockType::Raw, 1, 0));
    store.insert("layer/1/z0/y0/x0.wkw", golden_lz4()).unwrap();
    assert_eq!(chunk_voxels(&raw, &ChunkIndex::xyz(0, 0, 0)), Some((1..=8).collect()));
    assert_eq!(raw.open_shard(&ShardIndex::xyz(0, 0, 0)).unwrap().unwrap().codec.encoding(), "lz4 block");
    assert_eq!(raw.codec().encoding(), "raw");
}

#[test]
fn a_missing_mag_header_is_taken_from_a_data_file() {
    let store = memory();
    let missing = WkwArray::open(store.clone(), "1").unwrap_err();
    assert!(matches!(missing, VolumeError::Missing { .. }), "{missing}");
    store.insert("1/z0/y0/x7.wkw", golden_lz4()).unwrap();
    let array = WkwArray::open(store, "1").unwrap();
    assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(7, 0, 0)), Some((1..=8).collect()));
}

#[test]
fn files_without_a_byte_are_absent_and_reported_and_unfinished_ones_ignored() {
    let (store, array) = array(header(BlockType::Lz4, 1, 0));
    store.insert("layer/1/z0/y0/x0.wkw", Vec::new()).unwrap();
    for other in
        ["z0/y0/x1.wkw_tmp", "z0/y0/x01.wkw", "z0/y0/x-1.wkw", "z0/y0/x4294967296.wkw", "z0/x1.wkw", "a/z0/y0/x1.wkw"]
    {
        store.insert(&format!("layer/1/{other}"), golden_lz4()).unwrap();
    }
    store.insert("layer/10/z0/y0/x1.wkw", golden_lz4()).unwrap();
    let listing = array.list_shards().unwrap();
    assert_eq!(listing.shards, []);
    assert_eq!(listing.empty_files, ["layer/1/z0/y0/x0.wkw"]);
    assert_eq!(chunk_voxels(&array, &ChunkIndex::xyz(0, 0, 0)), None);
}

#[test]
fn absent_chunks_are_written_as_zeros() {
    for block_type in BLOCK_TYPES {
        let (store, array) = array(header(block_type, 3, 1));
        let mut chunks = vec![None; 8];
        chunks[5] = Some(voxels(3, 512));
        put_shard(&array, &store, &ShardIndex::xyz(0, 0, 0), &chunks);
        for (place, written) in chunks.into_iter().enumerate() {
            let expected = written.unwrap_or_else(|| vec![0; 512]);
            let chunk = array.grid().chunk_at(&ShardIndex::xyz(0, 0, 0), place);
            assert_eq!(chunk_voxels(&array, &chunk), Some(expected), "{block_type:?} {place}");
        }
    }
}

#[test]
fn a_run_of_blocks_is_copied_without_a_look_at_them() {
    for block_type in BLOCK_TYPES {
        let (store, array) = array(header(block_type, 2, 1));
        let chunks: Vec<_> = (0..8).map(|place| Some(voxels(place, 64))).collect();
        put_shard(&array, &store, &ShardIndex::xyz(0, 0, 0), &chunks);
        let table = array.open_shard(&ShardIndex::xyz(0, 0, 0)).unwrap().unwrap();
        let original = shard_bytes(&array, &chunks);
        let (mut source, mut target) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        source.write_all(&original).unwrap();
        let mut writer = array.shard_writer(&mut target).unwrap();
        let in_order: Vec<_> =
            writer.order().iter().map(|&place| table.spans[place as usize].clone().unwrap()).collect();
        writer.append_run(&mut source, &in_order[..3]).unwrap();
        let fourth = &original[in_order[3].start as usize..in_order[3].end as usize];
        writer.append(Some(fourth)).unwrap();
        writer.append_run(&mut source, &in_order[4..]).unwrap();
        assert!(writer.append(Some(fourth)).is_err());
        writer.finish().unwrap();
        target.rewind().unwrap();
        let mut copy = Vec::new();
        target.read_to_end(&mut copy).unwrap();
        assert_eq!(copy, original);
    }
}

#[test]
fn an_unfinished_file_and_gaps_in_a_run_are_refused() {
    let (_, array) = array(header(BlockType::Lz4, 2, 1));
    let mut target = tempfile::tempfile().unwrap();
    let mut source = tempfile::tempfile().unwrap();
    source.write_all(&[0; 40]).unwrap();
    let mut writer = array.shard_writer(&mut target).unwrap();
    let gap = [0..4, 5..9];
    assert!(writer.append_run(&mut source, &gap).unwrap_err().to_string().contains("gaps"));
    writer.append(None).unwrap();
    assert!(writer.finish().unwrap_err().to_string().contains("only 1"));
}

#[test]
fn damage_is_reported_with_file_and_reason() {
    let whole = golden_lz4();
    let change = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        bytes
    };
    let damaged = [
        (whole[..10].to_vec(), "16"),
        (whole[..20].to_vec(), "header and table need 24"),
        (whole[..32].to_vec(), "table spans bytes 24 to 33 of 32"),
        ([&whole[..], b"x"].concat(), "table ends at 33"),
        (change(0, b'w'), "starts with"),
        (change(4, 0x11), "does not fit"),
        (change(6, 7), "does not fit"),
        (change(8, 8), "within the header"),
        (change(15, 0x80), "header and table need"),
        (change(16, 10), "spans bytes 24 to 10"),
        (change(23, 0xff), "spans bytes"),
    ];
    let (store, array) = array(header(BlockType::Lz4, 1, 0));
    for (bytes, reason) in damaged {
        store.insert("layer/1/z0/y0/x0.wkw", bytes).unwrap();
        let by_index = array.open_shard(&ShardIndex::xyz(0, 0, 0)).unwrap_err().to_string();
        let alone = array.read_encoded(&ChunkIndex::xyz(0, 0, 0)).unwrap_err().to_string();
        for error in [by_index, alone] {
            assert!(error.contains("layer/1/z0/y0/x0.wkw") && error.contains(reason), "{reason}: {error}");
        }
    }
}

#[test]
fn a_block_may_be_as_long_as_lz4_makes_one_at_most() {
    let (store, array) = array(header(BlockType::Lz4, 1, 0));
    let opened = |length: u8| {
        // Of 8 bytes, LZ4 makes 24 at most.
        let mut file = golden_lz4();
        file[16] = 24 + length;
        file.resize(24 + usize::from(length), 0);
        store.insert("layer/1/z0/y0/x0.wkw", file).unwrap();
        array.open_shard(&ShardIndex::xyz(0, 0, 0)).map(Option::unwrap)
    };
    assert_eq!(opened(24).unwrap().spans, [Some(24..48)]);
    assert!(opened(25).unwrap_err().to_string().contains("spans bytes 24 to 49"));
}

#[test]
fn of_a_file_shorter_than_a_header_the_header_is_missed() {
    let (store, array) = array(header(BlockType::Lz4, 1, 0));
    let told = |length: usize| {
        store.insert("layer/1/z0/y0/x0.wkw", golden_lz4()[..length].to_vec()).unwrap();
        array.open_shard(&ShardIndex::xyz(0, 0, 0)).unwrap_err().to_string()
    };
    for length in [1, 15] {
        assert!(told(length).contains(&format!("has {length} bytes, a WKW header alone has 16")), "{}", told(length));
    }
    assert!(told(16).contains("header and table need 24"), "{}", told(16));
}

#[test]
fn a_file_that_declares_more_blocks_than_it_can_hold_is_refused_before_they_are_read() {
    let (store, array) = array(header(BlockType::Lz4, 5, 8));
    let mut file = header(BlockType::Lz4, 5, 8).to_bytes().to_vec();
    file[8..16].copy_from_slice(&(16 + 8 * (1_u64 << 24)).to_le_bytes());
    file.extend([0; 100]);
    store.insert("layer/1/z0/y0/x0.wkw", file).unwrap();
    let error = array.open_shard(&ShardIndex::xyz(0, 0, 0)).unwrap_err().to_string();
    assert!(error.contains("header and table need 134217744"), "{error}");
}

#[test]
fn a_short_raw_file_is_refused() {
    let (store, array) = array(header(BlockType::Raw, 2, 0));
    store
        .insert(
            "layer/1/z0/y0/x0.wkw",
            [&header(BlockType::Raw, 2, 0).to_bytes()[..8], &[16, 0, 0, 0, 0, 0, 0, 0], &[0; 63]].concat(),
        )
        .unwrap();
    let error = array.open_shard(&ShardIndex::xyz(0, 0, 0)).unwrap_err().to_string();
    assert!(error.contains("1 raw blocks need 80"), "{error}");
}

#[test]
fn a_block_that_inflates_to_another_size_is_refused() {
    let codec = super::BlockCodec::new(&header(BlockType::Lz4, 1, 0));
    let seven = lz4::block::compress(&[1; 7], None, false).unwrap();
    let nine = lz4::block::compress(&[1; 9], None, false).unwrap();
    assert!(codec.decode(&seven, &mut [0; 8]).unwrap_err().contains("7 bytes instead of 8"));
    assert!(codec.decode(&nine, &mut [0; 8]).is_err());
    assert!(codec.decode(&[], &mut [0; 8]).is_err());
    assert!(super::BlockCodec::new(&header(BlockType::Raw, 1, 0)).decode(&[1; 9], &mut [0; 8]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_file_round_trips(
        block_type in proptest::sample::select(&BLOCK_TYPES),
        voxel_type in proptest::sample::select(&VoxelType::ALL),
        channels in 1_u8..4,
        log2_block_edge in 0_u8..4,
        log2_file_edge in 0_u8..3,
        seed: u32,
    ) {
        let header = Header { block_type, voxel_type, channels, log2_block_edge, log2_file_edge, data_offset: 0 };
        let (store, array) = array(header);
        let bytes = array.grid().chunk_bytes();
        let chunks: Vec<_> = (0..header.blocks() as u32).map(|place| Some(voxels(seed ^ place, bytes))).collect();
        let shard = ShardIndex::xyz(seed % 5, 1, 2);
        put_shard(&array, &store, &shard, &chunks);
        for (place, expected) in chunks.iter().enumerate() {
            prop_assert_eq!(&chunk_voxels(&array, &array.grid().chunk_at(&shard, place)), expected);
        }
    }

    #[test]
    fn damaged_files_never_panic(at in 0..600_usize, value: u8, cut in 0..40_usize) {
        let (store, array) = array(header(BlockType::Lz4, 2, 1));
        let chunks: Vec<_> = (0..8).map(|place| Some(voxels(place, 64))).collect();
        let mut bytes = shard_bytes(&array, &chunks);
        let length = bytes.len();
        bytes[at % length] = value;
        bytes.truncate(length - cut);
        store.insert("layer/1/z0/y0/x0.wkw", bytes).unwrap();
        if let Ok(Some(table)) = array.open_shard(&ShardIndex::xyz(0, 0, 0)) {
            for span in table.spans.into_iter().flatten() {
                let encoded = array.store().read_range(&table.key, span).unwrap();
                let _ = table.codec.decode(&encoded, &mut [0; 64]);
            }
        }
    }
}

#[test]
fn the_header_of_a_wider_copy_differs_in_its_voxel_type_alone() {
    let header = Header { voxel_type: VoxelType::UInt16, ..header(BlockType::Lz4, 5, 4) };
    let array = WkwArray::with_header(memory(), "1", header);
    let files = array.metadata_like(VoxelType::UInt32, [1; 3], &[]).unwrap();
    let expected = Header { voxel_type: VoxelType::UInt32, ..header };
    assert_eq!(files, [("header.wkw".to_owned(), expected.to_bytes().to_vec())]);
    let many = WkwArray::with_header(memory(), "1", Header { channels: 100, ..header });
    assert!(many.metadata_like(VoxelType::UInt32, [1; 3], &[]).is_err());
}

#[test]
fn a_file_named_so_far_out_that_its_chunks_cannot_be_counted_is_not_listed() {
    let (store, array) = array(header(BlockType::Lz4, 1, 3));
    let last = u32::MAX / 8 - 1;
    let mut written = tempfile::tempfile().unwrap();
    let mut writer = array.shard_writer(&mut written).unwrap();
    (0..512).for_each(|_| writer.append(None).unwrap());
    writer.finish().unwrap();
    let mut file = Vec::new();
    written.rewind().unwrap();
    written.read_to_end(&mut file).unwrap();
    for name in [last.to_string(), (last + 1).to_string(), u32::MAX.to_string(), "4294967296".to_owned()] {
        store.insert(&format!("layer/1/z0/y0/x{name}.wkw"), file.clone()).unwrap();
        store.insert(&format!("layer/1/z{name}/y0/x0.wkw"), file.clone()).unwrap();
    }
    let mut shards: Vec<_> = array.list_shards().unwrap().shards.into_iter().map(|(shard, _)| shard).collect();
    shards.sort();
    assert_eq!(shards, [ShardIndex::xyz(0, 0, last), ShardIndex::xyz(last, 0, 0)]);
    for shard in &shards {
        assert!(array.grid().chunk_at(shard, 511).xyz.contains(&(last * 8 + 7)));
    }
    assert_eq!(crate::format::list_chunks(&array).unwrap().len(), 1024);
}
