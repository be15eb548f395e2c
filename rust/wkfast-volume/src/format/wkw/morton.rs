//! The order of blocks in a WKW file: the bits of z, y, x interleaved, x lowest.

/// Place of every block of a file with `2^log2_edge` blocks along each edge, in file order. A place counts x fastest,
/// then y, then z.
pub(super) fn places_in_file_order(log2_edge: u8) -> Vec<u32> {
    let edge = 1 << log2_edge;
    (0..1_u32 << (3 * log2_edge))
        .map(|morton| {
            let [x, y, z] = [0, 1, 2].map(|axis| every_third_bit(morton >> axis));
            x + edge * (y + edge * z)
        })
        .collect()
}

fn every_third_bit(bits: u32) -> u32 {
    (0..10).fold(0, |sum, bit| sum | (bits >> (3 * bit) & 1) << bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_blocks_lie_x_then_y_then_z() {
        assert_eq!(places_in_file_order(1), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(places_in_file_order(0), [0]);
    }

    #[test]
    fn the_second_octant_of_64_blocks_follows_the_first() {
        // Blocks of 4 along an edge: (2, 0, 0) comes after the eight of the octant at the origin.
        let places = places_in_file_order(2);
        assert_eq!(places[..9], [0, 1, 4, 5, 16, 17, 20, 21, 2]);
    }

    #[test]
    fn every_place_comes_once() {
        let mut places = places_in_file_order(5);
        places.sort_unstable();
        assert!(places.iter().copied().eq(0..32_768));
    }
}
