//! One start tag: attributes sorted by name, values escaped as the reference package does.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use super::numbers::{push_float, push_integer};
use crate::error::NmlError;
use crate::model::{Color, Extras, Id, Number};
use crate::read::{Limits, find_forbidden, is_whole_name};

/// The attributes of one element, collected and then written in order of their names.
#[derive(Default)]
pub(super) struct Attributes<'a> {
    list: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Attributes<'a> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.list.iter().any(|(this, _)| this == name)
    }

    pub(super) fn text(&mut self, name: &'a str, value: Option<&'a str>) {
        if let Some(value) = value {
            self.list.push((Cow::Borrowed(name), Cow::Borrowed(value)));
        }
    }

    pub(super) fn owned(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        self.list.push((name.into(), value.into()));
    }

    pub(super) fn integer(&mut self, name: &'a str, value: Option<impl Into<Id>>) {
        if let Some(value) = value {
            self.owned(name, formatted(|out| push_integer(out, value.into())));
        }
    }

    pub(super) fn float(&mut self, name: &'a str, value: Option<f64>) {
        if let Some(value) = value {
            self.owned(name, formatted(|out| push_float(out, value)));
        }
    }

    pub(super) fn number(&mut self, name: &'a str, value: Option<Number>) {
        match value {
            Some(Number::Int(value)) => self.integer(name, Some(value)),
            Some(Number::Float(value)) => self.float(name, Some(value)),
            None => {}
        }
    }

    pub(super) fn truth(&mut self, name: &'a str, value: Option<bool>) {
        self.text(name, value.map(|value| if value { "true" } else { "false" }));
    }

    /// `color.a` to `color.r`. Channels without a value are left out; a color of none at all is written as front ends
    /// say "no color", empty, unless text that was no number is kept.
    pub(super) fn color(&mut self, color: Option<Color>, extras: &Extras) {
        let Some(color) = color else { return };
        let none = color.iter().all(Option::is_none);
        for (name, channel) in ["color.r", "color.g", "color.b", "color.a"].into_iter().zip(color) {
            if none && !is_kept(extras, name) {
                self.text(name, Some(""));
            } else {
                self.float(name, channel);
            }
        }
    }

    pub(super) fn additional_coordinates<S: AsRef<str>>(&mut self, coordinates: impl IntoIterator<Item = (S, i64)>) {
        for (axis, value) in coordinates {
            let axis = axis.as_ref();
            self.owned(format!("additionalCoordinate-{axis}"), value.to_string());
        }
    }

    /// Numbers that stand where a reader of the file put a default for text it could not read: the text comes back.
    pub(super) fn floats_or_kept(&mut self, names: [&'a str; 3], values: [f64; 3], extras: &Extras) {
        for (name, value) in names.into_iter().zip(values) {
            if value != 0.0 || value.is_sign_negative() || !is_kept(extras, name) {
                self.float(name, Some(value));
            }
        }
    }

    pub(super) fn integer_or_kept(&mut self, name: &'a str, value: i64, extras: &Extras) {
        if value != 0 || !is_kept(extras, name) {
            self.integer(name, Some(value));
        }
    }

    /// What has no field, unless a field has the name already.
    pub(super) fn extras(&mut self, extras: &'a Extras) {
        if extras.attributes.is_empty() {
            return;
        }
        // A set, since hostile elements have tens of thousands of both.
        let known: HashSet<Cow<'a, str>> = self.list.iter().map(|(name, _)| name.clone()).collect();
        for (name, value) in &extras.attributes {
            if !known.contains(name.as_str()) {
                self.text(name, Some(value));
            }
        }
    }

    /// Appends ` name="value"` for each, sorted. What [`Limits`] would keep from being read again is not written.
    pub(super) fn write(mut self, element: &str, out: &mut Vec<u8>) -> Result<(), NmlError> {
        let (limits, tag) = (Limits::default(), out.len());
        check_size(element, self.list.len(), limits.attributes, format_args!("attributes"))?;
        self.list.sort_by(|(one, _), (other, _)| one.cmp(other));
        for pair in self.list.windows(2) {
            if pair[0].0 == pair[1].0 {
                return unwritable(element, format!("attribute {:?} twice", pair[0].0));
            }
        }
        for (name, value) in &self.list {
            check_name(element, name)?;
            check(element, name, value)?;
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            let start = out.len();
            push_quoted(out, value);
            check_size(element, out.len() - start, limits.value_bytes, format_args!("bytes of text in {name}"))?;
        }
        // The element's own name and brackets are small.
        let most = limits.token_bytes - 2 * limits.name_bytes;
        check_size(element, out.len() - tag, most, format_args!("bytes of text in attributes"))
    }
}

/// Refuses what no reader of ours would take back.
pub(super) fn check_size(element: &str, size: usize, most: usize, what: fmt::Arguments<'_>) -> Result<(), NmlError> {
    if size <= most {
        return Ok(());
    }
    unwritable(element, format!("{size} {what}; at most {most} can be read again"))
}

/// Refuses a name that no attribute can have.
pub(super) fn check_name(element: &str, name: &str) -> Result<(), NmlError> {
    if is_whole_name(name) {
        return Ok(());
    }
    unwritable(element, format!("{name:?} as the name of an attribute; expected a name of XML"))
}

pub(super) fn is_kept(extras: &Extras, name: &str) -> bool {
    extras.attributes.iter().any(|(this, _)| this == name)
}

pub(super) fn unwritable<T>(element: &str, reason: String) -> Result<T, NmlError> {
    Err(NmlError::Unwritable { element: element.to_owned(), reason })
}

/// Refuses characters that no XML file can hold.
pub(super) fn check(element: &str, what: &str, text: &str) -> Result<(), NmlError> {
    match find_forbidden(text) {
        None => Ok(()),
        Some(at) => {
            let code = text[at..].chars().next().map_or(0, u32::from);
            unwritable(element, format!("character U+{code:04X} in {what}, which XML forbids; remove it"))
        }
    }
}

fn formatted(push: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    push(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends a value in quotes: single ones if it holds double ones only.
fn push_quoted(out: &mut Vec<u8>, value: &str) {
    let double = value.contains('"');
    let quote = if double && !value.contains('\'') { b'\'' } else { b'"' };
    out.push(quote);
    for &byte in value.as_bytes() {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'\n' => out.extend_from_slice(b"&#10;"),
            b'\r' => out.extend_from_slice(b"&#13;"),
            b'\t' => out.extend_from_slice(b"&#9;"),
            b'"' if quote == b'"' => out.extend_from_slice(b"&quot;"),
            byte => out.push(byte),
        }
    }
    out.push(quote);
}

/// Appends character data. Blanks at its ends are written as references, so that they are not taken for indentation.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    let blank = |character: char| matches!(character, ' ' | '\t' | '\n' | '\r');
    let start = text.len() - text.trim_start_matches(blank).len();
    let end = text.trim_end_matches(blank).len();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'\r' => out.extend_from_slice(b"&#13;"),
            b' ' | b'\t' | b'\n' if at < start || at >= end => {
                out.extend_from_slice(format!("&#{byte};").as_bytes());
            }
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(value: &str) -> String {
        let mut out = Vec::new();
        push_quoted(&mut out, value);
        String::from_utf8(out).expect("utf-8")
    }

    #[test]
    fn quotes_and_escapes_are_those_of_the_reference() {
        assert_eq!(quoted("a'b"), "\"a'b\"");
        assert_eq!(quoted("a\"b"), "'a\"b'");
        assert_eq!(quoted("a\"b'c"), "\"a&quot;b'c\"");
        assert_eq!(quoted("<&>\n\r\tµ\u{1d11e}"), "\"&lt;&amp;&gt;&#10;&#13;&#9;µ\u{1d11e}\"");
    }

    #[test]
    fn attributes_are_sorted_by_code_point() {
        let mut attributes = Attributes::default();
        for name in ["interpolation", "inMag", "stringListValue-2", "stringListValue-10", "inVp"] {
            attributes.text(name, Some(""));
        }
        let mut out = Vec::new();
        attributes.write("x", &mut out).expect("written");
        let expected = " inMag=\"\" inVp=\"\" interpolation=\"\" stringListValue-10=\"\" stringListValue-2=\"\"";
        assert_eq!(String::from_utf8(out).expect("utf-8"), expected);
    }

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        let limits = Limits::default();
        let mut many = Attributes::default();
        (0..=limits.attributes).for_each(|index| many.owned(format!("a{index}"), ""));
        let error = many.write("x", &mut Vec::new()).expect_err("too many");
        assert!(error.to_string().contains("1048577 attributes; at most 1048576"), "{error}");
        let mut long = Attributes::default();
        long.owned("a", "&".repeat(limits.value_bytes / 5 + 1));
        let error = long.write("x", &mut Vec::new()).expect_err("too long");
        assert!(error.to_string().contains("bytes of text in a; at most 67108864"), "{error}");
    }

    #[test]
    fn what_xml_cannot_hold_is_refused() {
        for (name, value) in [("a", "\u{1}"), ("a", "\u{fffe}"), ("a b", ""), ("", "")] {
            let mut attributes = Attributes::default();
            attributes.owned(name, value);
            assert!(attributes.write("x", &mut Vec::new()).is_err(), "{name:?} {value:?}");
        }
    }
}
