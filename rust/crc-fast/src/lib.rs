//! CRC-64/NVME, in place of the crate of this name on crates.io, which `object_store` computes that one checksum with.
//!
//! The original has tables and code for a hundred checksums, chosen at run time, so that no linker can drop them: a tenth of the
//! wheel. What is not here and `object_store` comes to use is told by the compiler.

/// The generator 0xad93d23594c93659, bits mirrored.
const POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;
/// Bytes that are taken at once, each with a table of its own.
const AT_ONCE: usize = 8;
const TABLES: [[u64; 256]; AT_ONCE] = tables();

/// Which checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrcAlgorithm {
    /// What S3 calls `CRC64NVME`.
    Crc64Nvme,
}

/// A checksum of bytes that come in pieces.
#[derive(Clone, Debug)]
pub struct Digest(u64);

impl Digest {
    /// The checksum of nothing.
    #[must_use]
    pub const fn new(_: CrcAlgorithm) -> Self {
        Self(u64::MAX)
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<AT_ONCE>();
        for word in words {
            let mixed = (self.0 ^ u64::from_le_bytes(*word)).to_le_bytes();
            self.0 =
                mixed.iter().zip(TABLES.iter().rev()).fold(0, |crc, (&byte, table)| crc ^ table[usize::from(byte)]);
        }
        for &byte in rest {
            self.0 = TABLES[0][usize::from(self.0 as u8 ^ byte)] ^ (self.0 >> 8);
        }
    }

    /// The checksum of all pieces so far.
    #[must_use]
    pub const fn finalize(&self) -> u64 {
        !self.0
    }
}

/// What a byte becomes with 0 to 7 bytes behind it.
const fn tables() -> [[u64; 256]; AT_ONCE] {
    let mut tables = [[0; 256]; AT_ONCE];
    let mut byte = 0;
    while byte < 256 {
        tables[0][byte] = shifted(byte as u64);
        byte += 1;
    }
    let mut behind = 1;
    while behind < AT_ONCE {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[behind - 1][byte];
            tables[behind][byte] = tables[0][(before & 0xff) as usize] ^ (before >> 8);
            byte += 1;
        }
        behind += 1;
    }
    tables
}

/// Eight steps of the division, a bit each.
const fn shifted(mut value: u64) -> u64 {
    let mut bit = 0;
    while bit < 8 {
        value = (value >> 1) ^ if value & 1 == 1 { POLYNOMIAL } else { 0 };
        bit += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::{CrcAlgorithm, Digest, shifted};
    use proptest::{collection::vec, prelude::*};

    fn checksum<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u64 {
        let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        pieces.into_iter().for_each(|piece| digest.update(piece));
        digest.finalize()
    }

    /// The slow twin: bit by bit.
    fn by_definition(bytes: &[u8]) -> u64 {
        !bytes.iter().fold(u64::MAX, |crc, &byte| shifted(crc & 0xff ^ u64::from(byte)) ^ (crc >> 8))
    }

    #[test]
    fn the_check_value_of_the_catalogue_comes_out() {
        assert_eq!(checksum([b"123456789".as_slice()]), 0xae8b_1486_0a79_9888);
        assert_eq!(checksum([]), 0);
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_give_what_the_definition_gives(pieces in vec(vec(any::<u8>(), 0..40), 0..5)) {
            let whole = pieces.concat();
            prop_assert_eq!(checksum(pieces.iter().map(Vec::as_slice)), by_definition(&whole));
        }
    }
}
