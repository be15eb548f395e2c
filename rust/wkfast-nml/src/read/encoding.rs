//! From bytes in any encoding that XML names to UTF-8, streaming.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding};

/// Bytes read at once.
const BLOCK: usize = 1 << 18;

/// Why no more text comes.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    /// The bytes are not what the declared encoding allows.
    Encoding(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How bytes become UTF-8.
enum Road {
    /// They are UTF-8 already; the tokeniser checks that they are.
    Copy,
    /// ISO-8859-1: every byte is its code point (the web's table of that name is Windows-1252).
    Latin1,
    Decode(Box<Decoder>),
}

/// A reader whose text is UTF-8, byte-order mark removed.
pub(super) struct Utf8Input<R> {
    input: R,
    /// `None` until the first bytes were seen.
    road: Option<Road>,
    raw: Vec<u8>,
    ended: bool,
    /// Comes after the text before it was handed out.
    fault: Option<Fault>,
}

impl<R: Read> Utf8Input<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, road: None, raw: Vec::new(), ended: false, fault: None }
    }

    /// Appends about `size` bytes of text; `false` when there is no more. All text before a fault comes first.
    pub(super) fn fill(&mut self, text: &mut Vec<u8>, size: usize) -> Result<bool, Fault> {
        if let Some(fault) = self.fault.take() {
            self.ended = true;
            return Err(fault);
        }
        let before = text.len();
        match self.fill_until_fault(text, size) {
            Err(fault) if text.len() == before => {
                self.ended = true;
                Err(fault)
            }
            Err(fault) => {
                self.fault = Some(fault);
                Ok(true)
            }
            Ok(()) => Ok(text.len() > before || !self.ended),
        }
    }

    fn fill_until_fault(&mut self, text: &mut Vec<u8>, size: usize) -> Result<(), Fault> {
        let before = text.len();
        if self.road.is_none() {
            self.start(text)?;
        }
        while text.len() - before < size && !self.ended {
            match self.road.as_mut().unwrap_or(&mut Road::Copy) {
                Road::Copy => self.ended = read_some(&mut self.input, text, size - (text.len() - before))? == 0,
                _ => self.transcode(text)?,
            }
        }
        Ok(())
    }

    /// Reads the first bytes and chooses the road.
    fn start(&mut self, text: &mut Vec<u8>) -> Result<(), Fault> {
        while self.raw.len() < 1024 && !declaration_is_complete(&self.raw) && !self.ended {
            self.ended = read_some(&mut self.input, &mut self.raw, 1024)? == 0;
        }
        let (road, mark) = choose(&self.raw).map_err(Fault::Encoding)?;
        self.raw.drain(..mark);
        let copy = matches!(road, Road::Copy);
        self.road = Some(road);
        if copy {
            text.append(&mut self.raw);
            Ok(())
        } else {
            self.decode(text)
        }
    }

    fn transcode(&mut self, text: &mut Vec<u8>) -> Result<(), Fault> {
        self.ended = read_some(&mut self.input, &mut self.raw, BLOCK)? == 0;
        self.decode(text)
    }

    /// Turns all raw bytes into text.
    fn decode(&mut self, text: &mut Vec<u8>) -> Result<(), Fault> {
        let raw = std::mem::take(&mut self.raw);
        match &mut self.road {
            Some(Road::Latin1) => {
                let mut buffer = [0; 2];
                for &byte in &raw {
                    text.extend_from_slice(char::from(byte).encode_utf8(&mut buffer).as_bytes());
                }
                Ok(())
            }
            Some(Road::Decode(decoder)) => decode_all(decoder, &raw, text, self.ended),
            Some(Road::Copy) | None => Ok(()),
        }
    }
}

fn decode_all(decoder: &mut Decoder, mut raw: &[u8], text: &mut Vec<u8>, last: bool) -> Result<(), Fault> {
    let mut piece = vec![0; 4 * BLOCK];
    loop {
        let (result, read, written) = decoder.decode_to_utf8_without_replacement(raw, &mut piece, last);
        text.extend_from_slice(&piece[..written]);
        raw = &raw[read..];
        match result {
            DecoderResult::InputEmpty => return Ok(()),
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => {
                let name = decoder.encoding().name();
                return Err(Fault::Encoding(format!("bytes that are not {name}, the declared encoding")));
            }
        }
    }
}

/// Reads `size` bytes, or all that are left, to the end of `bytes`.
fn read_some(input: &mut impl Read, bytes: &mut Vec<u8>, size: usize) -> io::Result<usize> {
    bytes.reserve(size);
    input.take(size as u64).read_to_end(bytes)
}

/// Whether the bytes say all that a byte-order mark or an XML declaration can.
fn declaration_is_complete(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(5)];
    bytes.len() >= 5 && (start != b"<?xml" || memchr::memchr(b'>', bytes).is_some())
}

/// The road for a file that starts with these bytes, and the length of its byte-order mark.
fn choose(start: &[u8]) -> Result<(Road, usize), String> {
    if let Some((encoding, mark)) = Encoding::for_bom(start) {
        return Ok((road_for(encoding), mark));
    }
    match start {
        [0, b'<', 0, _, ..] => return Ok((road_for(encoding_rs::UTF_16BE), 0)),
        [b'<', 0, _, 0, ..] => return Ok((road_for(encoding_rs::UTF_16LE), 0)),
        _ => {}
    }
    let Some(label) = declared_encoding(start) else { return Ok((Road::Copy, 0)) };
    if label.eq_ignore_ascii_case("iso-8859-1") || label.eq_ignore_ascii_case("latin1") {
        return Ok((Road::Latin1, 0));
    }
    if label.eq_ignore_ascii_case("us-ascii") || label.eq_ignore_ascii_case("ascii") {
        return Ok((Road::Copy, 0));
    }
    let encoding = Encoding::for_label(label.as_bytes())
        .ok_or_else(|| format!("unknown encoding {label:?}; expected UTF-8 or another that XML names"))?;
    if encoding == encoding_rs::UTF_16BE || encoding == encoding_rs::UTF_16LE {
        return Err(format!("the file says it is {label}, but its bytes are not"));
    }
    Ok((road_for(encoding), 0))
}

fn road_for(encoding: &'static Encoding) -> Road {
    if encoding == encoding_rs::UTF_8 {
        return Road::Copy;
    }
    Road::Decode(Box::new(encoding.new_decoder_without_bom_handling()))
}

/// The `encoding` of an XML declaration. Its grammar is checked by the tokeniser.
fn declared_encoding(start: &[u8]) -> Option<String> {
    let declaration = start.strip_prefix(b"<?xml")?;
    let declaration = &declaration[..memchr::memchr(b'>', declaration)?];
    let at = memchr::memmem::find(declaration, b"encoding")?;
    let value = declaration[at + b"encoding".len()..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (&quote, value) = value.split_first()?;
    let value = &value[..memchr::memchr(quote, value)?];
    String::from_utf8(value.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(bytes: &[u8], size: usize) -> Result<String, String> {
        let (mut input, mut text) = (Utf8Input::new(bytes), Vec::new());
        loop {
            match input.fill(&mut text, size) {
                Ok(true) => {}
                Ok(false) => return Ok(String::from_utf8(text).expect("utf-8")),
                Err(fault) => return Err(format!("{fault:?}")),
            }
        }
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "<?xml version=\"1.0\"?><things a=\"µ\u{1d11e}\"/>";
        let marked = format!("\u{feff}{text}");
        for bytes in [
            text.as_bytes().to_vec(),
            marked.as_bytes().to_vec(),
            utf16(&marked, u16::to_le_bytes),
            utf16(&marked, u16::to_be_bytes),
            utf16(text, u16::to_le_bytes),
            utf16(text, u16::to_be_bytes),
        ] {
            for size in [1, 3, 1 << 20] {
                assert_eq!(text_of(&bytes, size).as_deref(), Ok(text));
            }
        }
    }

    #[test]
    fn one_byte_encodings_are_chosen_by_declaration() {
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a b='\xb5\x80'/>";
        assert!(text_of(latin, 7).expect("text").ends_with("<a b='µ\u{80}'/>"));
        let windows = b"<?xml version='1.0' encoding=\"windows-1252\"?><a b='\xb5\x80'/>";
        assert!(text_of(windows, 7).expect("text").ends_with("<a b='µ€'/>"));
    }

    #[test]
    fn bytes_outside_the_declared_encoding_are_a_fault() {
        assert!(text_of(b"\xff\xfe<\0a\0\x00\xd8x\0", 9).expect_err("lone surrogate").contains("UTF-16LE"));
        assert!(text_of(b"<?xml encoding='klingon'?>", 9).expect_err("unknown").contains("klingon"));
        assert!(text_of(b"<?xml encoding='utf-16'?>", 9).expect_err("not utf-16").contains("utf-16"));
    }
}
