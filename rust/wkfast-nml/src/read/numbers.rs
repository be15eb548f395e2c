//! Numbers and truth values as they stand in NML attributes: what Python's `int()` and `float()` and the server take.

use crate::model::{Id, Number};

/// An integer of up to 128 bits: blanks around it, a sign, leading zeros, `1_000` and non-ASCII digits are taken.
pub(super) fn parse_id(text: &str) -> Option<Id> {
    match text.parse::<i64>() {
        Ok(value) => Some(Id::from(value)),
        Err(_) => plain_digits(text)?.parse().ok(),
    }
}

/// As [`parse_id`], 64 bits.
pub(super) fn parse_i64(text: &str) -> Option<i64> {
    i64::try_from(parse_id(text)?).ok()
}

/// As [`parse_id`], 32 bits.
pub(super) fn parse_i32(text: &str) -> Option<i32> {
    i32::try_from(parse_id(text)?).ok()
}

/// A floating-point number, correctly rounded, in the forms of [`parse_id`] and with fraction, exponent, `nan`, `inf`.
pub(super) fn parse_f64(text: &str) -> Option<f64> {
    match text.parse::<f64>() {
        Ok(value) => Some(value),
        Err(_) => plain_digits(text)?.parse().ok(),
    }
}

/// An integer if the text is one of up to 128 bits, else a floating-point number.
pub(super) fn parse_number(text: &str) -> Option<Number> {
    parse_id(text).map(Number::Int).or_else(|| parse_f64(text).map(Number::Float))
}

/// `true` or `false` in any case, as the server reads them.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        return Some(true);
    }
    text.eq_ignore_ascii_case("false").then_some(false)
}

/// The text without blanks around it, digits made ASCII, single underscores between digits dropped; `None` for other
/// underscores.
fn plain_digits(text: &str) -> Option<String> {
    let trimmed = text.trim();
    let mut plain = String::with_capacity(trimmed.len());
    let mut after_digit = false;
    let mut characters = trimmed.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '_' {
            let before_digit = characters.peek().is_some_and(|&next| digit(next).is_some());
            if !(after_digit && before_digit) {
                return None;
            }
            continue;
        }
        let value = digit(character);
        after_digit = value.is_some();
        plain.push(value.map_or(character, char::from));
    }
    Some(plain)
}

/// The ASCII digit that a decimal digit of any script stands for.
fn digit(character: char) -> Option<u8> {
    if character.is_ascii() {
        return character.is_ascii_digit().then_some(character as u8);
    }
    let code = u32::from(character);
    let block = ZEROS.partition_point(|&zero| zero <= code).checked_sub(1)?;
    let value = code - ZEROS[block];
    (value < 10).then(|| b'0' + value as u8)
}

/// The zeros of Unicode 14's decimal digits (general category Nd) beyond ASCII; each is followed by its one to nine.
#[rustfmt::skip]
const ZEROS: [u32; 65] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
    0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x11730,
    0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0, 0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC,
    0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_what_pythons_int_takes() {
        for (text, value) in [
            ("1", 1),
            (" 12\t", 12),
            ("+5", 5),
            ("-5", -5),
            ("007", 7),
            ("1_000", 1000),
            ("\u{a0}3\u{2003}", 3),
            ("٣٤", 34),
            ("1180591620717411303424", 1 << 70),
            ("-170141183460469231731687303715884105728", Id::MIN),
        ] {
            assert_eq!(parse_id(text), Some(value), "{text:?}");
        }
        for text in ["", " ", "1.0", "1__0", "_1", "1_", "- 1", "0x10", "1e3", "nan", "--1", "²", "1픔"] {
            assert_eq!(parse_id(text), None, "{text:?}");
        }
    }

    #[test]
    fn floats_are_what_pythons_float_takes() {
        for (text, value) in [
            ("1.0E10", 1e10),
            ("1.500000", 1.5),
            ("-1.", -1.0),
            (".5", 0.5),
            ("+3", 3.0),
            (" 1e-05 ", 1e-5),
            ("1_0.2_5", 10.25),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("٣.٥", 3.5),
            ("9007199254740993", 9_007_199_254_740_992.0),
        ] {
            assert_eq!(parse_f64(text), Some(value), "{text:?}");
        }
        assert!(parse_f64("NaN").is_some_and(f64::is_nan));
        for text in ["", "1,5", ".", "1._5", "1_e5", "0x1p3", "e5", "in_f"] {
            assert_eq!(parse_f64(text), None, "{text:?}");
        }
    }

    #[test]
    fn truth_is_read_as_the_server_reads_it() {
        assert_eq!(
            ["true", "True", "FALSE", "1", ""].map(parse_bool),
            [Some(true), Some(true), Some(false), None, None]
        );
    }

    #[test]
    fn a_number_remembers_whether_it_was_an_integer() {
        assert_eq!(parse_number("100"), Some(Number::Int(100)));
        assert_eq!(parse_number("100.0"), Some(Number::Float(100.0)));
        assert_eq!(parse_number("1e3"), Some(Number::Float(1000.0)));
        assert_eq!(parse_number("a"), None);
    }
}
