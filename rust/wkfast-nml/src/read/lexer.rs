//! XML tokens with all that an XML reader must check, and nothing that NML has no use for.

use std::borrow::Cow;
use std::collections::HashSet;

use super::chars::{attribute_value, find_bad_reference, find_forbidden, is_space, line_ends, name_length, text_value};
use super::window::{Feed, Window};
use super::{Limits, ReadOptions, other_files};
use crate::coordinates::same;
use crate::error::{NmlError, Position};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A start tag: [`Lexer::tag`]. An empty-element tag is a start and an end.
    Start,
    /// The end of the innermost open element.
    End,
    /// Character data other than blanks: [`Lexer::text`].
    Text,
    /// The end of a complete document.
    Finish,
}

type Range = std::ops::Range<usize>;

/// Turns a window into tokens.
pub(super) struct Lexer<'a, F> {
    pub(super) window: Window<'a, F>,
    limits: Limits,
    /// Names of the open elements, one after the other, and where each starts.
    names: String,
    open: Vec<usize>,
    /// The latest start tag, from `<` to `>`.
    tag: String,
    name: Range,
    attributes: Vec<(Range, Range)>,
    at: Position,
    text: String,
    /// The latest tag was an empty-element tag whose end is still to be told.
    end_pending: bool,
    root_seen: bool,
}

/// A start tag.
#[derive(Clone, Copy)]
pub(super) struct Tag<'a> {
    /// Where its `<` is.
    pub(super) at: Position,
    pub(super) name: &'a str,
    text: &'a str,
    attributes: &'a [(Range, Range)],
}

impl<'a> Tag<'a> {
    /// Names and values, references resolved.
    pub(super) fn attributes(self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        let text = self.text;
        self.attributes.iter().map(move |(name, value)| (&text[name.clone()], attribute_value(&text[value.clone()])))
    }
}

/// A fault `ahead` bytes into the rest of the window.
struct LexFault {
    ahead: usize,
    reason: String,
}

fn fault<T>(ahead: usize, reason: impl Into<String>) -> Result<T, LexFault> {
    Err(LexFault { ahead, reason: reason.into() })
}

impl<'a, F: Feed> Lexer<'a, F> {
    pub(super) fn new(feed: F, options: &mut ReadOptions<'a>) -> Self {
        Self {
            limits: options.limits.clone(),
            window: Window::new(feed, options),
            names: String::new(),
            open: Vec::new(),
            tag: String::new(),
            name: 0..0,
            attributes: Vec::new(),
            at: Position::default(),
            text: String::new(),
            end_pending: false,
            root_seen: false,
        }
    }

    /// The latest start tag.
    pub(super) fn tag(&self) -> Tag<'_> {
        Tag { at: self.at, name: &self.tag[self.name.clone()], text: &self.tag, attributes: &self.attributes }
    }

    /// The latest character data.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where the latest token starts.
    pub(super) fn at(&self) -> Position {
        self.at
    }

    /// The innermost open element, empty outside the root.
    fn element(&self) -> &str {
        self.open.last().map_or("", |&start| &self.names[start..])
    }

    fn error(&self, fault: LexFault) -> NmlError {
        NmlError::Syntax {
            at: self.window.place(fault.ahead),
            element: self.element().to_owned(),
            reason: fault.reason,
        }
    }

    fn syntax<T>(&self, ahead: usize, reason: impl Into<String>) -> Result<T, NmlError> {
        Err(self.error(LexFault { ahead, reason: reason.into() }))
    }

    fn too_deep(&self) -> String {
        // Of groups those count that are in one another, for readers and writers alike.
        match self.element() {
            "group" => format!("groups nested deeper than {}", self.limits.group_depth()),
            _ => format!("elements nested deeper than {}", self.limits.depth),
        }
    }

    fn limit<T>(&self, reason: String) -> Result<T, NmlError> {
        Err(NmlError::Limit { at: self.window.place(0), reason })
    }

    /// Whether the next token stands in the text: no empty-element tag has its end still to be told.
    pub(super) fn is_between_elements(&self) -> bool {
        !self.end_pending
    }

    pub(super) fn next(&mut self) -> Result<Token, NmlError> {
        if self.end_pending {
            self.end_pending = false;
            self.close();
            return Ok(Token::End);
        }
        loop {
            self.skip_blanks()?;
            match self.window.rest().first() {
                None => return self.finish(),
                Some(b'<') => {
                    if let Some(token) = self.markup()? {
                        return Ok(token);
                    }
                }
                Some(_) if !self.root_seen => {
                    self.window.need(other_files::ENOUGH)?;
                    return self.syntax(0, other_files::no_xml(self.window.rest()));
                }
                Some(_) => {
                    self.character_data()?;
                    return Ok(Token::Text);
                }
            }
        }
    }

    /// Moves to the next byte that is not a blank.
    pub(super) fn skip_blanks(&mut self) -> Result<(), NmlError> {
        loop {
            let rest = self.window.rest();
            let blanks = rest.iter().position(|&byte| !is_space(byte));
            let length = blanks.unwrap_or(rest.len());
            self.window.advance(length);
            if blanks.is_some() || !self.window.more()? {
                return Ok(());
            }
        }
    }

    fn finish(&self) -> Result<Token, NmlError> {
        if !self.open.is_empty() {
            return self.syntax(0, format!("the input ends before </{}>: the file is truncated", self.element()));
        }
        if !self.root_seen {
            return self.syntax(0, "the input holds no element; expected <things>");
        }
        Ok(Token::Finish)
    }

    /// What starts with `<`; `None` for what the reader passes over.
    fn markup(&mut self) -> Result<Option<Token>, NmlError> {
        // The longest introduction is `<![CDATA[`; a shorter rest is told apart by what is there.
        self.window.need(9)?;
        self.at = self.window.place(0);
        let rest = self.window.rest();
        match rest.get(1) {
            Some(b'/') => self.end_tag().map(|()| Some(Token::End)),
            Some(b'?') => self.instruction().map(|()| None),
            Some(b'!') if rest.starts_with(b"<!--") => self.comment().map(|()| None),
            Some(b'!') if rest.starts_with(b"<![CDATA[") => self.literal_data(),
            Some(b'!') if rest.starts_with(b"<!DOCTYPE") => self
                .syntax(0, "a document type declaration, which is refused: NML has none and entities can be attacks"),
            Some(b'!') => self.syntax(0, "expected a comment after \"<!\""),
            _ => self.start_tag().map(|()| Some(Token::Start)),
        }
    }

    /// The length up to and with `end`, searched from `from` on.
    fn length_to(&mut self, from: usize, end: &[u8], what: &str) -> Result<usize, NmlError> {
        let mut from = from;
        loop {
            let rest = self.window.rest();
            if let Some(at) = rest.get(from..).and_then(|rest| memchr::memmem::find(rest, end)) {
                return Ok(from + at + end.len());
            }
            from = from.max((rest.len() + 1).saturating_sub(end.len()));
            self.check_size(what)?;
            if !self.window.more()? {
                return self.syntax(0, format!("the input ends inside {what}"));
            }
        }
    }

    fn check_size(&self, what: &str) -> Result<(), NmlError> {
        let bound = self.limits.token_bytes;
        if self.window.rest().len() > bound {
            return self.limit(format!("{what} of more than {bound} bytes"));
        }
        Ok(())
    }

    /// The checked text of the first `length` bytes of the rest.
    fn checked(&self, length: usize) -> Result<&str, NmlError> {
        let text = std::str::from_utf8(&self.window.rest()[..length]).map_err(|error| {
            self.error(LexFault { ahead: error.valid_up_to(), reason: "bytes that are not UTF-8".into() })
        })?;
        match find_forbidden(text) {
            None => Ok(text),
            Some(at) => {
                let code = text[at..].chars().next().map_or(0, u32::from);
                self.syntax(at, format!("character U+{code:04X}, which XML forbids"))
            }
        }
    }

    fn comment(&mut self) -> Result<(), NmlError> {
        let length = self.length_to(4, b"--", "a comment")?;
        self.window.need(length + 1)?;
        self.checked(length)?;
        if self.window.rest().get(length) != Some(&b'>') {
            return self.syntax(length - 2, "\"--\" inside a comment");
        }
        self.window.advance(length + 1);
        Ok(())
    }

    /// A processing instruction, or the XML declaration.
    fn instruction(&mut self) -> Result<(), NmlError> {
        let length = self.length_to(2, b"?>", "a processing instruction")?;
        let text = self.checked(length)?;
        let target = name_length(&text[2..]);
        let result = match &text[2..2 + target] {
            "xml" if self.window.offset() == 0 => check_declaration(text),
            name if name.eq_ignore_ascii_case("xml") => fault(0, "an XML declaration that is not at the start"),
            "" => fault(2, "expected the name of a processing instruction after \"<?\""),
            _ if text[2 + target..].starts_with("?>")
                || text.as_bytes().get(2 + target).is_some_and(|&b| is_space(b)) =>
            {
                Ok(())
            }
            _ => fault(2 + target, "expected a blank after the name of a processing instruction"),
        };
        result.map_err(|fault| self.error(fault))?;
        self.window.advance(length);
        Ok(())
    }

    /// A CDATA section.
    fn literal_data(&mut self) -> Result<Option<Token>, NmlError> {
        if self.open.is_empty() {
            return self.syntax(0, "character data outside the root element");
        }
        let length = self.length_to(9, b"]]>", "a CDATA section")?;
        let text = line_ends(&self.checked(length)?[9..length - 3]);
        self.window.advance(length);
        let blank = text.bytes().all(is_space);
        self.text = text;
        Ok((!blank).then_some(Token::Text))
    }

    fn character_data(&mut self) -> Result<(), NmlError> {
        self.at = self.window.place(0);
        let mut from = 0;
        let length = loop {
            let rest = self.window.rest();
            if let Some(at) = memchr::memchr(b'<', &rest[from..]) {
                break from + at;
            }
            from = rest.len();
            self.check_size("character data")?;
            if !self.window.more()? {
                break from;
            }
        };
        let text = self.checked(length)?;
        if self.open.is_empty() {
            return self.syntax(0, "text after the root element");
        }
        if let Some(at) = text.find("]]>") {
            return self.syntax(at, "\"]]>\" in character data");
        }
        if let Some((at, reference)) = find_bad_reference(text) {
            return self.syntax(at, unknown_reference(reference));
        }
        // Blanks before a tag are indentation; those that mean something are written as references.
        self.text = text_value(text.trim_end_matches([' ', '\t', '\n', '\r'])).into_owned();
        self.window.advance(length);
        Ok(())
    }

    fn end_tag(&mut self) -> Result<(), NmlError> {
        let length = self.length_to(2, b">", "an end tag")?;
        let text = self.checked(length)?;
        let name =
            text[2..length - 1].trim_end_matches(|character: char| character.is_ascii() && is_space(character as u8));
        if self.open.is_empty() {
            return self.syntax(0, format!("end tag </{name}> without a start tag"));
        }
        if name != self.element() {
            return self.syntax(0, format!("end tag </{name}>; expected </{}>", self.element()));
        }
        self.window.advance(length);
        self.close();
        Ok(())
    }

    fn close(&mut self) {
        if let Some(start) = self.open.pop() {
            self.names.truncate(start);
        }
    }

    fn start_tag(&mut self) -> Result<(), NmlError> {
        if self.open.is_empty() && self.root_seen {
            return self.syntax(0, "an element after the root element");
        }
        if self.open.len() >= self.limits.depth {
            return self.limit(self.too_deep());
        }
        let length = self.tag_length()?;
        let mut tag = std::mem::take(&mut self.tag);
        tag.clear();
        tag.push_str(self.checked(length)?);
        self.attributes.clear();
        let parsed = parse_tag(&tag, &self.limits, &mut self.attributes);
        self.tag = tag;
        let (name, empty) = parsed.map_err(|fault| self.error(fault))?;
        self.name = name.clone();
        self.check_attributes()?;
        self.window.advance(length);
        self.root_seen = true;
        self.open.push(self.names.len());
        self.names.push_str(&self.tag[name]);
        self.end_pending = empty;
        Ok(())
    }

    /// The length of the start tag, `<` to `>`, quotes respected.
    fn tag_length(&mut self) -> Result<usize, NmlError> {
        let (mut at, mut quote) = (1, None);
        loop {
            let rest = self.window.rest();
            while let Some(&byte) = rest.get(at) {
                match (quote, byte) {
                    (None, b'>') => return Ok(at + 1),
                    (_, b'<') => {
                        let place = if quote.is_some() { "in an attribute value" } else { "inside a tag" };
                        return self.syntax(at, format!("\"<\" {place}"));
                    }
                    (None, b'"' | b'\'') => quote = Some(byte),
                    (Some(open), byte) if open == byte => quote = None,
                    _ => {}
                }
                at += 1;
            }
            self.check_size("a tag")?;
            if !self.window.more()? {
                return self.syntax(0, "the input ends inside a tag: the file is truncated");
            }
        }
    }

    fn check_attributes(&self) -> Result<(), NmlError> {
        let name = |range: &Range| &self.tag[range.clone()];
        let twice = if self.attributes.len() <= 16 {
            let mut all = self.attributes.iter().enumerate();
            all.find(|(index, (this, _))| {
                self.attributes[..*index].iter().any(|(other, _)| same(name(other), name(this)))
            })
            .map(|(_, (this, _))| this)
        } else {
            let mut seen = HashSet::new();
            self.attributes.iter().map(|(this, _)| this).find(|this| !seen.insert(name(this)))
        };
        match twice {
            Some(range) => self.syntax(range.start, format!("attribute {:?} appears twice", name(range))),
            None => Ok(()),
        }
    }
}

fn unknown_reference(reference: &str) -> String {
    format!("unknown reference {reference:?}; expected &amp; &lt; &gt; &quot; &apos; or a character's number")
}

/// Takes a start tag apart: the name, whether it is an empty-element tag, and the attributes.
fn parse_tag(tag: &str, limits: &Limits, attributes: &mut Vec<(Range, Range)>) -> Result<(Range, bool), LexFault> {
    let bytes = tag.as_bytes();
    let name = 1..1 + name_length(&tag[1..]);
    if name.is_empty() {
        return fault(1, "expected the name of an element after \"<\"");
    }
    if name.len() > limits.name_bytes {
        return fault(1, format!("an element name of more than {} bytes", limits.name_bytes));
    }
    let mut at = name.end;
    loop {
        let blanks = bytes[at..].iter().take_while(|&&byte| is_space(byte)).count();
        match bytes.get(at + blanks) {
            Some(b'>') => return Ok((name, false)),
            Some(b'/') if bytes.get(at + blanks + 1) == Some(&b'>') => return Ok((name, true)),
            _ if blanks == 0 => return fault(at, "expected a blank, \"/>\" or \">\" in a tag"),
            _ => {}
        }
        let attribute = parse_attribute(tag, at + blanks, limits)?;
        at = attribute.1.end + 1;
        attributes.push(attribute);
        if attributes.len() > limits.attributes {
            return fault(at, format!("more than {} attributes", limits.attributes));
        }
    }
}

/// `name = "value"` at `at`: name and value.
fn parse_attribute(tag: &str, at: usize, limits: &Limits) -> Result<(Range, Range), LexFault> {
    let bytes = tag.as_bytes();
    let blanks = |at: usize| bytes[at..].iter().take_while(|&&byte| is_space(byte)).count();
    let name = at..at + name_length(&tag[at..]);
    if name.is_empty() {
        return fault(at, "expected the name of an attribute, \"/>\" or \">\"");
    }
    if name.len() > limits.name_bytes {
        return fault(at, format!("an attribute name of more than {} bytes", limits.name_bytes));
    }
    let equals = name.end + blanks(name.end);
    if bytes.get(equals) != Some(&b'=') {
        return fault(equals, format!("expected \"=\" after attribute {:?}", &tag[name]));
    }
    let quote = equals + 1 + blanks(equals + 1);
    let (Some(&delimiter @ (b'"' | b'\'')), start) = (bytes.get(quote), quote + 1) else {
        return fault(quote, format!("expected a quoted value of attribute {:?}", &tag[name]));
    };
    let Some(length) = memchr::memchr(delimiter, &bytes[start..]) else {
        return fault(quote, "an attribute value without its closing quote");
    };
    if length > limits.value_bytes {
        return fault(quote, format!("an attribute value of more than {} bytes", limits.value_bytes));
    }
    let value = start..start + length;
    if let Some((bad, reference)) = find_bad_reference(&tag[value.clone()]) {
        return fault(start + bad, unknown_reference(reference));
    }
    Ok((name, value))
}

/// `<?xml version="1.0" encoding="utf-8" standalone="yes"?>`.
fn check_declaration(text: &str) -> Result<(), LexFault> {
    let mut attributes = Vec::new();
    let as_tag = format!("<{}/>", &text[2..text.len() - 2]);
    if let Some(at) = as_tag.find('>').filter(|&at| at + 1 < as_tag.len()) {
        return fault(at + 1, "\">\" inside the XML declaration");
    }
    parse_tag(&as_tag, &Limits::default(), &mut attributes)
        .map_err(|fault| LexFault { ahead: fault.ahead + 1, reason: format!("{} (XML declaration)", fault.reason) })?;
    let mut order = attributes.iter().map(|(name, value)| (&as_tag[name.clone()], &as_tag[value.clone()])).peekable();
    let version = order.next_if(|(name, _)| *name == "version");
    if version.is_none_or(|(_, value)| {
        !(value.starts_with("1.") && value[2..].bytes().all(|byte| byte.is_ascii_digit()) && value.len() > 2)
    }) {
        return fault(0, "expected version=\"1.0\" first in the XML declaration");
    }
    order.next_if(|(name, _)| *name == "encoding");
    order.next_if(|(name, value)| *name == "standalone" && matches!(*value, "yes" | "no"));
    match order.next() {
        None => Ok(()),
        Some((name, _)) => fault(0, format!("unexpected {name:?} in the XML declaration")),
    }
}
