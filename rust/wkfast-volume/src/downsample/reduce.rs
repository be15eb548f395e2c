//! One value from many, for several voxels side by side, so that the compiler can use vector instructions.

use super::Interpolation;
use super::value::Value;

/// Voxels computed at once.
pub(super) const LANES: usize = 16;
/// Up to so many values are compared each with each; more are counted.
const FEW: usize = 8;

/// The values of [`LANES`] voxels: first values, second values, and so on.
pub(super) type Lanes<T> = [[T; LANES]];
/// Makes one value of many for each lane. It may disturb the values.
pub(super) type Reduce<T> = fn(&mut Lanes<T>) -> [T; LANES];

/// What computes voxels made of `count` values.
pub(super) fn reducer<T: Value>(interpolation: Interpolation, count: usize) -> Reduce<T> {
    match (interpolation, count) {
        (Interpolation::Nearest, _) | (_, 1) => |values| values[0],
        (Interpolation::Mode, 2) => mode_of_few::<T, 2>,
        (Interpolation::Mode, 4) => mode_of_few::<T, 4>,
        (Interpolation::Mode, FEW) => mode_of_few::<T, FEW>,
        (Interpolation::Mode, _) => mode_of_many,
        (Interpolation::Median, _) => median,
        (Interpolation::Max, _) => |values| extreme(values, |value, best| value > best),
        (Interpolation::Min, _) => |values| extreme(values, |value, best| value < best),
    }
}

/// The most frequent value; of equally frequent ones the first. No number equals another, so each counts for itself.
fn mode_of_few<T: Value, const N: usize>(values: &mut Lanes<T>) -> [T; LANES] {
    let Some(values) = values.first_chunk::<N>() else { return mode_of_many(values) };
    let mut best = values[0];
    // Counts are as wide as values, so that both fill the same vectors.
    let mut most = [T::Count::default(); LANES];
    for (number, value) in values.iter().enumerate() {
        let mut count = [T::ONE; LANES];
        // Earlier ones have had their turn: what equals them is no better.
        for other in &values[number + 1..] {
            for lane in 0..LANES {
                count[lane] += value[lane].equals(other[lane]);
            }
        }
        for lane in 0..LANES {
            let better = count[lane] > most[lane];
            best[lane] = if better { value[lane] } else { best[lane] };
            most[lane] = if better { count[lane] } else { most[lane] };
        }
    }
    best
}

/// [`mode_of_few`] for any number of values.
fn mode_of_many<T: Value>(values: &mut Lanes<T>) -> [T; LANES] {
    let mut counts: Vec<(T, usize)> = Vec::new();
    std::array::from_fn(|lane| {
        counts.clear();
        let first = values[0][lane];
        if values.iter().all(|value| value[lane] == first) {
            return first;
        }
        for value in values.iter().map(|value| value[lane]) {
            match counts.iter_mut().find(|(known, _)| *known == value) {
                Some((_, count)) => *count += 1,
                None => counts.push((value, 1)),
            }
        }
        let most = counts.iter().map(|&(_, count)| count).max().unwrap_or(0);
        counts.iter().find(|&&(_, count)| count == most).map_or(first, |&(value, _)| value)
    })
}

/// The middle value, or the mean of the two in the middle; no number where there is one that is none.
fn median<T: Value>(values: &mut Lanes<T>) -> [T; LANES] {
    let mut nan = [None; LANES];
    for value in values.iter() {
        for lane in 0..LANES {
            if value[lane].is_nan() {
                nan[lane] = Some(value[lane]);
            }
        }
    }
    sort(values);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    let odd = values.len() % 2 == 1;
    std::array::from_fn(|lane| nan[lane].unwrap_or(if odd { low[lane] } else { low[lane].mean(high[lane]) }))
}

/// Sorts every lane by Batcher's odd-even merge, whose comparisons do not depend on the values.
fn sort<T: Value>(values: &mut Lanes<T>) {
    let count = values.len();
    let mut length = 1;
    while length < count {
        let mut step = length;
        while step > 0 {
            for start in (step % length..count.saturating_sub(step)).step_by(2 * step) {
                for low in start..(start + step).min(count - step) {
                    if low / (2 * length) == (low + step) / (2 * length) {
                        exchange(values, low, low + step);
                    }
                }
            }
            step /= 2;
        }
        length *= 2;
    }
}

fn exchange<T: Value>(values: &mut Lanes<T>, low: usize, high: usize) {
    let (mut smaller, mut larger) = (values[low], values[high]);
    for lane in 0..LANES {
        let (a, b) = (smaller[lane], larger[lane]);
        let swap = b < a;
        smaller[lane] = if swap { b } else { a };
        larger[lane] = if swap { a } else { b };
    }
    (values[low], values[high]) = (smaller, larger);
}

/// The value that `wins` against all others; no number where there is one that is none.
fn extreme<T: Value>(values: &mut Lanes<T>, wins: impl Fn(T, T) -> bool) -> [T; LANES] {
    let mut best = values[0];
    for value in values.iter() {
        for lane in 0..LANES {
            let better = wins(value[lane], best[lane]) || (value[lane].is_nan() && !best[lane].is_nan());
            best[lane] = if better { value[lane] } else { best[lane] };
        }
    }
    best
}
