//! Numbers as Python prints them: the reference package's files hold such texts.

/// Appends an integer.
#[inline]
pub(super) fn push_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends Python's `repr` of a float: the shortest digits that read back the same, `1.0`, `1e-05`, `1e+16`, `nan`.
#[inline]
pub(super) fn push_float(out: &mut Vec<u8>, value: f64) {
    // Whole numbers this small are their own shortest digits, and the most frequent case.
    if value.abs() < 1e15 && (value as i64 as f64).to_bits() == value.to_bits() {
        push_integer(out, value as i64);
        out.extend_from_slice(b".0");
    } else {
        push_general(out, value);
    }
}

fn push_general(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(if value.is_nan() {
            b"nan"
        } else if value > 0.0 {
            b"inf"
        } else {
            b"-inf"
        });
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    let magnitude = value.abs();
    // In this range both print plain digits with a point.
    if value == 0.0 || (1e-4..1e15).contains(&magnitude) {
        out.extend_from_slice(text.as_bytes());
    } else {
        relay(out, text, (1.0..1e16).contains(&magnitude));
    }
}

/// Appends the digits of `text` (any usual form) in Python's form, plain or with an exponent.
fn relay(out: &mut Vec<u8>, text: &str, plain: bool) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    if unsigned.len() < mantissa.len() {
        out.push(b'-');
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    // Power of ten of the first digit that counts.
    let power = exponent + whole.len() as i32 - 1 - (all.len() - digits.len()) as i32;
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    if plain {
        let zeros = "0".repeat((power as usize + 1).saturating_sub(digits.len()));
        let point = (power as usize + 1).min(digits.len());
        let fraction = if digits[point..].is_empty() { "0" } else { &digits[point..] };
        out.extend_from_slice(format!("{}{zeros}.{fraction}", &digits[..point]).as_bytes());
    } else {
        let point = if digits.len() > 1 { "." } else { "" };
        let sign = if power < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("{}{point}{}e{sign}{:02}", &digits[..1], &digits[1..], power.abs()).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        push_float(&mut out, value);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn floats_look_as_python_prints_them() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-199_480.0, "-199480.0"),
            (0.1, "0.1"),
            (0.678_431_391_716_003_4, "0.6784313917160034"),
            (0.0001, "0.0001"),
            (0.000_123_4, "0.0001234"),
            (0.000_099, "9.9e-05"),
            (1e-5, "1e-05"),
            (5e-324, "5e-324"),
            (1e15, "1000000000000000.0"),
            (1e15 + 0.5, "1000000000000000.5"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1e300, "1e+300"),
            (-1.5e-7, "-1.5e-07"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    proptest! {
        #[test]
        fn a_float_reads_back_from_the_fewest_digits(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = text(value);
            prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(bits));
            let significant = |text: &str| {
                let mantissa = text.split('e').next().unwrap_or_default().replace(['-', '.'], "");
                mantissa.trim_matches('0').len()
            };
            prop_assert_eq!(significant(&text), significant(&format!("{value:e}")), "{}", text);
        }

        #[test]
        fn the_form_depends_on_the_size_as_in_python(value in prop::num::f64::NORMAL) {
            let plain = (1e-4..1e16).contains(&value.abs());
            prop_assert_eq!(text(value).contains('e'), !plain);
            prop_assert_eq!(text(value).contains('.') || !plain, true);
        }
    }
}
