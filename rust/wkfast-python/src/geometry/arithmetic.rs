//! What vectors compute for a pair of components. `None` says that Python has to: the result needs more than 64 bits, or is
//! an error.

/// Integers, as Python computes them: division rounds down.
pub(super) mod int {
    pub(crate) fn add(a: i64, b: i64) -> Option<i64> {
        a.checked_add(b)
    }

    pub(crate) fn sub(a: i64, b: i64) -> Option<i64> {
        a.checked_sub(b)
    }

    pub(crate) fn mul(a: i64, b: i64) -> Option<i64> {
        a.checked_mul(b)
    }

    pub(crate) fn floordiv(a: i64, b: i64) -> Option<i64> {
        let quotient = a.checked_div(b)?;
        Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
    }

    pub(crate) fn modulo(a: i64, b: i64) -> Option<i64> {
        let rest = a.checked_rem(b)?;
        Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
    }

    pub(crate) fn ceildiv(a: i64, b: i64) -> Option<i64> {
        let quotient = a.checked_div(b)?;
        Some(if a % b != 0 && (a < 0) == (b < 0) { quotient + 1 } else { quotient })
    }

    #[allow(clippy::unnecessary_wraps)] // as the others
    pub(crate) fn max(a: i64, b: i64) -> Option<i64> {
        Some(a.max(b))
    }

    #[allow(clippy::unnecessary_wraps)] // as the others
    pub(crate) fn min(a: i64, b: i64) -> Option<i64> {
        Some(a.min(b))
    }
}

/// Floats, as Python computes them: a division by zero is an error, and of what does not compare the first stays.
#[allow(clippy::unnecessary_wraps)] // as those of integers
pub(super) mod float {
    pub(crate) fn add(a: f64, b: f64) -> Option<f64> {
        Some(a + b)
    }

    pub(crate) fn sub(a: f64, b: f64) -> Option<f64> {
        Some(a - b)
    }

    pub(crate) fn mul(a: f64, b: f64) -> Option<f64> {
        Some(a * b)
    }

    pub(crate) fn truediv(a: f64, b: f64) -> Option<f64> {
        (b != 0.0).then(|| a / b)
    }

    pub(crate) fn max(a: f64, b: f64) -> Option<f64> {
        Some(if b > a { b } else { a })
    }

    pub(crate) fn min(a: f64, b: f64) -> Option<f64> {
        Some(if b < a { b } else { a })
    }
}
