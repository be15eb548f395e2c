//! Shards of a plan as columns of numbers: each number is what it differs by from the one before, in as few bytes as it
//! takes, so that a grid of files compresses to next to nothing.

use super::plan::{LayerPlan, MagPlan, ShardPlan};
use crate::geometry::{ChunkGrid, ShardIndex};

/// The columns of `shards`, which are some of `mag`.
pub(super) fn encode(mag: &MagPlan, shards: &[&ShardPlan]) -> Vec<u8> {
    let mut out = Vec::new();
    for axis in 0..mag.grid.extra_axes.len() + 3 {
        let mut before = 0;
        for shard in shards {
            push_step(&mut out, &mut before, coordinate(&shard.at, axis));
        }
    }
    push_all(&mut out, shards, |shard| shard.fallback_bytes.map_or(0, |bytes| bytes.saturating_add(1)));
    for layer in 0..mag.layers.len() {
        push_all(&mut out, shards, |shard| blocks_of(shard, layer).len() as u64);
    }
    push_all(&mut out, shards, |shard| shard.chunks_replaced.into());
    push_all(&mut out, shards, |shard| shard.chunks_mixed.into());
    for (number, layer) in mag.layers.iter().enumerate() {
        for axis in 0..3 {
            for shard in shards {
                let mut before = first_block(&mag.grid, layer, &shard.at, axis);
                for block in blocks_of(shard, number) {
                    push_step(&mut out, &mut before, block[axis]);
                }
            }
        }
    }
    out
}

/// The `count` shards of `mag` that [`encode`] made columns of, or what is wrong.
pub(super) fn decode(mag: &MagPlan, count: usize, bytes: &[u8]) -> Result<Vec<ShardPlan>, &'static str> {
    let (axes, layers) = (mag.grid.extra_axes.len() + 3, mag.layers.len());
    // Each number takes a byte at least: memory is not taken for what is not there.
    if count.checked_mul(axes + layers + 3).is_none_or(|numbers| numbers > bytes.len()) {
        return Err("it ends too early");
    }
    let mut columns = Columns { rest: bytes };
    let coordinates: Vec<Vec<u32>> = (0..axes).map(|_| columns.steps(count, 0)).collect::<Result<_, _>>()?;
    let sizes = columns.numbers(count)?;
    let lengths: Vec<Vec<usize>> = (0..layers).map(|_| columns.lengths(count)).collect::<Result<_, _>>()?;
    let replaced = columns.counts(count)?;
    let mixed = columns.counts(count)?;
    let mut shards = Vec::with_capacity(count);
    for place in 0..count {
        let lengths: Vec<usize> = lengths.iter().map(|of| of[place]).collect();
        let extra = coordinates[..axes - 3].iter().map(|axis| axis[place]).collect();
        let xyz = std::array::from_fn(|axis| coordinates[axes - 3 + axis][place]);
        let is_touched = lengths.iter().any(|&length| length > 0);
        let blocks = lengths.iter().filter(|_| is_touched).map(|&length| vec![[0; 3]; length]).collect();
        shards.push(ShardPlan {
            at: ShardIndex { extra, xyz },
            fallback_bytes: sizes[place].checked_sub(1),
            blocks,
            chunks_replaced: replaced[place],
            chunks_mixed: mixed[place],
        });
    }
    for (number, layer) in mag.layers.iter().enumerate() {
        for axis in 0..3 {
            for shard in shards.iter_mut().filter(|shard| shard.is_touched()) {
                let mut before = first_block(&mag.grid, layer, &shard.at, axis);
                for block in &mut shard.blocks[number] {
                    block[axis] = columns.step(&mut before)?;
                }
            }
        }
    }
    if columns.rest.is_empty() { Ok(shards) } else { Err("it ends too late") }
}

fn blocks_of(shard: &ShardPlan, layer: usize) -> &[[u32; 3]] {
    shard.blocks.get(layer).map(Vec::as_slice).unwrap_or_default()
}

fn coordinate(at: &ShardIndex, axis: usize) -> u32 {
    match axis.checked_sub(at.extra.len()) {
        Some(axis) => at.xyz[axis],
        None => at.extra[axis],
    }
}

/// The block of a layer in which a shard begins.
fn first_block(grid: &ChunkGrid, layer: &LayerPlan, at: &ShardIndex, axis: usize) -> u32 {
    let edge = u64::from(grid.chunk_shape[axis]).saturating_mul(grid.chunks_per_shard[axis].into());
    let first = u64::from(at.xyz[axis]).saturating_mul(edge) / u64::from(layer.block_shape[axis]).max(1);
    u32::try_from(first).unwrap_or(u32::MAX)
}

fn push_all(out: &mut Vec<u8>, shards: &[&ShardPlan], number: impl Fn(&ShardPlan) -> u64) {
    for shard in shards {
        push(out, number(shard));
    }
}

fn push(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn push_step(out: &mut Vec<u8>, before: &mut u32, now: u32) {
    let step = i64::from(now) - i64::from(*before);
    push(out, ((step << 1) ^ (step >> 63)) as u64);
    *before = now;
}

struct Columns<'b> {
    rest: &'b [u8],
}

impl Columns<'_> {
    fn number(&mut self) -> Result<u64, &'static str> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or("it ends too early")?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number in it is too large")
    }

    fn step(&mut self, before: &mut u32) -> Result<u32, &'static str> {
        let coded = self.number()?;
        let step = (coded >> 1) as i64 ^ -((coded & 1) as i64);
        let now = i64::from(*before).checked_add(step).and_then(|now| u32::try_from(now).ok());
        *before = now.ok_or("a coordinate in it is too large")?;
        Ok(*before)
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<u64>, &'static str> {
        (0..count).map(|_| self.number()).collect()
    }

    fn counts(&mut self, count: usize) -> Result<Vec<u32>, &'static str> {
        let count_of = |number| u32::try_from(number).map_err(|_| "a count in it is too large");
        self.numbers(count)?.into_iter().map(count_of).collect()
    }

    /// How many numbers follow for each shard, not more than there are bytes.
    fn lengths(&mut self, count: usize) -> Result<Vec<usize>, &'static str> {
        let numbers = self.numbers(count)?;
        let sum = numbers.iter().try_fold(0_u64, |sum, &number| sum.checked_add(number));
        if sum.is_none_or(|sum| sum > self.rest.len() as u64 / 3) {
            return Err("it ends too early");
        }
        Ok(numbers.into_iter().map(|number| number as usize).collect())
    }

    fn steps(&mut self, count: usize, mut before: u32) -> Result<Vec<u32>, &'static str> {
        (0..count).map(|_| self.step(&mut before)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::MergePlan;
    use super::super::world::{World, simple_case};
    use super::*;

    /// Plans are read by other builds than those that wrote them.
    #[test]
    fn columns_are_the_bytes_that_they_have_always_been() {
        let mut mag = MergePlan::new(World::build(&simple_case()).input.clone()).unwrap().mags.remove(0);
        assert_eq!((mag.grid.chunk_shape, mag.grid.chunks_per_shard, mag.layers.len()), ([4; 3], [2; 3], 1));
        mag.layers[0].block_shape = [4, 2, 8];
        let shard = |xyz| ShardPlan {
            at: ShardIndex { extra: Box::default(), xyz },
            fallback_bytes: None,
            blocks: Vec::new(),
            chunks_replaced: 0,
            chunks_mixed: 0,
        };
        let mut painted = shard([1, 2, 300]);
        (painted.fallback_bytes, painted.blocks, painted.chunks_replaced) = (Some(299), vec![vec![[2, 9, 299]]], 1);
        let shards = [painted, shard([1, 3, 300])];
        let places = [2, 0, 4, 2, 0xd8, 4, 0];
        let sizes_and_counts = [0xac, 2, 0, 1, 0, 1, 0, 0, 0];
        // The shard begins with block 2, 8, 300.
        let blocks = [0, 2, 1];
        let bytes = [&places[..], &sizes_and_counts, &blocks].concat();
        assert_eq!(encode(&mag, &shards.iter().collect::<Vec<_>>()), bytes);
        assert_eq!(decode(&mag, 2, &bytes).unwrap(), shards);
        for (count, bytes) in [(2, &bytes[..18]), (3, &bytes[..]), (usize::MAX, &bytes[..])] {
            assert_eq!(decode(&mag, count, bytes).unwrap_err(), "it ends too early", "{count}");
        }
    }
}
