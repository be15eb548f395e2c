//! Attributes of one start tag, taken one by one into a record; what cannot be taken is kept.

use super::lexer::Tag;
use super::numbers::{parse_bool, parse_f64, parse_i64, parse_id};
use super::problems::Ledger;
use crate::error::NmlError;
use crate::model::{Color, Extras, Id};

/// What happened to a value that could not be read.
pub(super) const KEPT_AS_TEXT: &str = "kept as text, the value counts as absent";

/// A start tag being turned into a record.
pub(super) struct Reading<'t, 'l> {
    pub(super) tag: Tag<'t>,
    pub(super) ledger: &'l mut Ledger,
    /// What the record has no field for.
    pub(super) extras: Extras,
}

impl<'t, 'l> Reading<'t, 'l> {
    pub(super) fn new(tag: Tag<'t>, ledger: &'l mut Ledger) -> Self {
        Self { tag, ledger, extras: Extras::default() }
    }

    /// Keeps an attribute that no field exists for, or whose value no field can hold.
    pub(super) fn keep(&mut self, name: &str, value: &str) {
        self.ledger.keep(name.len() + value.len());
        self.extras.attributes.push((name.to_owned(), value.to_owned()));
    }

    /// A problem that servers live with.
    pub(super) fn note(&mut self, reason: impl Into<String>, done: &str) {
        self.ledger.note(self.tag.at, self.tag.name, reason, done);
    }

    /// A problem for which a server would reject the file.
    pub(super) fn reject(&mut self, reason: impl Into<String>, done: &str) {
        self.ledger.reject(self.tag.at, self.tag.name, reason, done);
    }

    /// An optional value; one that cannot be read is kept as text and is a problem.
    pub(super) fn value<T>(
        &mut self,
        name: &str,
        text: &str,
        parse: fn(&str) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        self.parsed(name, text, parse, expected, Self::note)
    }

    /// As [`Self::value`], where a server would reject the file.
    pub(super) fn needed<T>(
        &mut self,
        name: &str,
        text: &str,
        parse: fn(&str) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        self.parsed(name, text, parse, expected, Self::reject)
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        text: &str,
        parse: fn(&str) -> Option<T>,
        expected: &str,
        report: fn(&mut Self, String, &str),
    ) -> Option<T> {
        let value = parse(text);
        if value.is_none() {
            self.keep(name, text);
            report(self, format!("{name}={text:?}; expected {expected}"), KEPT_AS_TEXT);
        }
        value
    }

    pub(super) fn integer(&mut self, name: &str, text: &str) -> Option<i64> {
        self.value(name, text, parse_i64, "an integer of 64 bits")
    }

    pub(super) fn float(&mut self, name: &str, text: &str) -> Option<f64> {
        self.value(name, text, parse_f64, "a number")
    }

    /// An id that may be missing.
    pub(super) fn optional_id(&mut self, name: &str, text: &str) -> Option<Id> {
        self.value(name, text, parse_id, "an integer")
    }

    /// `true` or `false`; empty is absent, as front ends write it.
    pub(super) fn truth(&mut self, name: &str, text: &str) -> Option<bool> {
        if text.is_empty() {
            return None;
        }
        self.value(name, text, parse_bool, "true or false")
    }

    /// The id that an element cannot do without.
    pub(super) fn id(&self, name: &str) -> Result<Id, NmlError> {
        let text = self.tag.attributes().find(|(this, _)| *this == name).map(|(_, value)| value);
        let found = match &text {
            Some(text) => match parse_id(text) {
                Some(id) => return Ok(id),
                None => format!("{name}={text:?}"),
            },
            None => format!("no attribute {name:?}"),
        };
        let reason = format!("{found}; expected {name}=\"<integer of at most 128 bits>\"");
        Err(NmlError::Syntax { at: self.tag.at, element: self.tag.name.to_owned(), reason })
    }

    /// `additionalCoordinate-<axis>`; `false` if the attribute is another.
    pub(super) fn additional_coordinate(&mut self, name: &str, text: &str, to: &mut Vec<(String, i64)>) -> bool {
        let Some(axis) = name.strip_prefix("additionalCoordinate-") else { return false };
        if let Some(value) = self.integer(name, text) {
            to.push((axis.to_owned(), value));
        }
        true
    }

    /// Keeps every attribute: of elements that have no fields.
    pub(super) fn keep_all(&mut self) {
        let tag = self.tag;
        tag.attributes().for_each(|(name, value)| self.keep(name, &value));
    }
}

/// `color.r`, `.g`, `.b`, `.a` while they come in.
#[derive(Default)]
pub(super) struct Channels {
    seen: bool,
    channels: Color,
}

impl Channels {
    /// Takes an attribute with one of these prefixes before r, g, b, a; `false` if it is another.
    pub(super) fn take(&mut self, cx: &mut Reading<'_, '_>, prefix: &str, name: &str, text: &str) -> bool {
        let Some(channel) = name.strip_prefix(prefix).and_then(|letter| match letter {
            "r" => Some(0),
            "g" => Some(1),
            "b" => Some(2),
            "a" => Some(3),
            _ => None,
        }) else {
            return false;
        };
        self.seen = true;
        // Writers say "no color" with empty channels.
        self.channels[channel] = if text.is_empty() { None } else { cx.float(name, text) };
        true
    }

    /// The color, if there was any channel, even an empty one.
    pub(super) fn finish(self) -> Option<Color> {
        self.seen.then_some(self.channels)
    }

    pub(super) fn has_values(&self) -> bool {
        self.channels.iter().any(Option::is_some)
    }

    /// The color, if any channel has a value.
    pub(super) fn finish_with_values(self) -> Option<Color> {
        self.has_values().then_some(self.channels)
    }
}
