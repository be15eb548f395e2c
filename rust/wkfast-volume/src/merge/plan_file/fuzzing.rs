//! Plan files whose checksums are right.

#![allow(clippy::missing_panics_doc)] // to panic is what they are for

use serde_json::{Value, json};

use super::super::fuzzing::every_share;
use super::{MAGIC, PlanFile, ZSTD_LEVEL};

/// The length of a head, the head as JSON, and the columns of its parts, as long as it says; lengths in the file and checksums
/// are put right. What can be read as a whole is written and read again the same.
pub fn plan_file(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return };
    let Some((head, mut rest)) = rest.split_at_checked(u16::from_le_bytes(*length).into()) else { return };
    let Ok(mut head) = serde_json::from_slice::<Value>(head) else { return };
    let mut body = Vec::new();
    for part in head.get_mut("parts").and_then(Value::as_array_mut).into_iter().flatten() {
        let raw = part[3].as_u64().unwrap_or(0).min(rest.len() as u64) as usize;
        let packed = packed(&rest[..raw]);
        rest = &rest[raw..];
        for (place, number) in [(2, packed.len() as u64), (4, crc32c::crc32c(&packed).into())] {
            if let Some(known) = part.get_mut(place) {
                *known = json!(number);
            }
        }
        body.extend(packed);
    }
    let raw = head.to_string().into_bytes();
    let head = packed(&raw);
    let numbers = [head.len() as u32, raw.len() as u32, crc32c::crc32c(&head)];
    let file = [MAGIC.to_vec(), numbers.iter().flat_map(|number| number.to_le_bytes()).collect(), head, body].concat();
    let Ok(Some(file)) = PlanFile::from_bytes(file) else { return };
    let _ = file.part(&(0..1));
    let Ok(whole) = file.whole() else { return };
    let again = PlanFile::from_bytes(whole.to_bytes(file.said()).expect("it is whole"));
    assert_eq!(again.expect("it was written").expect("it was written").whole().expect("it was written"), whole);
    every_share(&file);
}

/// What [`plan_file`] makes such a file of.
#[cfg(test)]
pub(in super::super) fn unpacked(file: &PlanFile) -> Vec<u8> {
    let plan = file.whole().expect("it is whole");
    let head = super::Head {
        plan: plan.bare(),
        outline: plan.outline().clone(),
        said: file.said().to_owned(),
        parts: file.parts.clone(),
    };
    let head = serde_json::to_vec(&head).expect("plain data");
    let mut bytes = u16::try_from(head.len()).expect("a short head").to_le_bytes().to_vec();
    bytes.extend(head);
    for tasks in super::cut(&plan) {
        let shards: Vec<_> = tasks.iter().map(|&task| plan.task_parts(task).1).collect();
        bytes.extend(super::columns::encode(&plan.mags[tasks[0].mag], &shards));
    }
    bytes
}

fn packed(raw: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(raw, ZSTD_LEVEL).expect("memory takes it")
}
