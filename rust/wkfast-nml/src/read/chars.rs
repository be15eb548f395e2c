//! Which characters XML allows where, and what its references stand for.

use std::borrow::Cow;

/// XML's white space.
#[inline]
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a character may stand in an XML 1.0 document.
const fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// The byte offset of the first character that XML forbids.
pub(crate) fn find_forbidden(text: &str) -> Option<usize> {
    // The only forbidden ones are controls and U+FFFE, U+FFFF: bytes below a blank, or a lead byte EF.
    if !text.bytes().any(|byte| byte < b' ' || byte == 0xEF) {
        return None;
    }
    text.char_indices().find(|&(_, character)| !is_allowed(character)).map(|(at, _)| at)
}

/// Whether an element or attribute name may start so.
pub(super) const fn is_name_start(character: char) -> bool {
    matches!(character,
        ':' | '_' | 'A'..='Z' | 'a'..='z'
        | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
        | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

/// Whether an element or attribute name may go on so.
pub(super) const fn is_name(character: char) -> bool {
    is_name_start(character)
        || matches!(character, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// Whether the whole text is one XML name.
pub(crate) fn is_whole_name(text: &str) -> bool {
    // Nearly all names are letters of ASCII alone.
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return true;
    }
    let mut characters = text.chars();
    characters.next().is_some_and(is_name_start) && characters.all(is_name)
}

/// The length of the name that the text starts with, 0 if it starts with none.
pub(super) fn name_length(text: &str) -> usize {
    if !text.chars().next().is_some_and(is_name_start) {
        return 0;
    }
    text.find(|character| !is_name(character)).unwrap_or(text.len())
}

/// The offset and text of the first reference that XML 1.0 without a document type does not know.
pub(super) fn find_bad_reference(text: &str) -> Option<(usize, &str)> {
    memchr::memchr_iter(b'&', text.as_bytes()).find_map(|at| match reference(&text[at..]) {
        Some(_) => None,
        None => Some((at, shown_reference(&text[at..]))),
    })
}

/// The start of a bad reference, short enough for a message.
fn shown_reference(text: &str) -> &str {
    let end = text.char_indices().map(|(at, _)| at).nth(16).unwrap_or(text.len());
    match text[..end].find(';') {
        Some(semicolon) => &text[..=semicolon],
        None => &text[..end],
    }
}

/// The character and the length of the reference at the start of the text.
fn reference(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(32).position(|byte| byte == b';')?;
    let character = match &text[1..end] {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        name => char_reference(name)?,
    };
    Some((character, end + 1))
}

fn char_reference(name: &str) -> Option<char> {
    let digits = name.strip_prefix('#')?;
    let (digits, radix) = digits.strip_prefix('x').map_or((digits, 10), |hex| (hex, 16));
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    char::from_u32(u32::from_str_radix(digits, radix).ok()?).filter(|&character| is_allowed(character))
}

/// An attribute's value as the application sees it: raw white space becomes a blank, references are resolved.
/// References must have been checked.
pub(super) fn attribute_value(raw: &str) -> Cow<'_, str> {
    if memchr::memchr3(b'\n', b'\t', b'\r', raw.as_bytes()).is_none() {
        return resolve(raw);
    }
    // A line end of two bytes is one character to XML, so one blank.
    let blanks = raw.replace("\r\n", " ").replace(['\n', '\t', '\r'], " ");
    Cow::Owned(resolve(&blanks).into_owned())
}

/// Character data as the application sees it: line ends are one newline, references are resolved.
pub(super) fn text_value(raw: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\r', raw.as_bytes()).is_none() {
        return resolve(raw);
    }
    Cow::Owned(resolve(&line_ends(raw)).into_owned())
}

/// The text with every line end as one newline.
pub(super) fn line_ends(raw: &str) -> String {
    raw.replace("\r\n", "\n").replace('\r', "\n")
}

fn resolve(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'&', text.as_bytes()) else { return Cow::Borrowed(text) };
    let mut value = text[..first].to_owned();
    let mut rest = &text[first..];
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        value.push_str(&rest[..at]);
        let (character, length) = reference(&rest[at..]).unwrap_or(('&', 1));
        value.push(character);
        rest = &rest[at + length..];
    }
    value.push_str(rest);
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_survive_where_raw_white_space_does_not() {
        assert_eq!(attribute_value("a\nb\tc\r\nd&#10;e&#x9;&#13;"), "a b c d\ne\t\r");
        assert_eq!(attribute_value("&lt;&gt;&amp;&quot;&apos;&#x1D11E;&amp;lt;"), "<>&\"'\u{1d11e}&lt;");
    }

    #[test]
    fn only_xmls_five_entities_and_allowed_characters_are_known() {
        for bad in ["&nbsp;", "&;", "&amp", "& ", "&#;", "&#x;", "&#0;", "&#xD800;", "&#xFFFE;", "&#x110000;", "&#+1;"]
        {
            assert_eq!(find_bad_reference(bad).map(|(at, _)| at), Some(0), "{bad}");
        }
        assert_eq!(find_bad_reference("&amp;&#65;&#x41;"), None);
    }

    #[test]
    fn forbidden_characters_are_found() {
        assert_eq!(find_forbidden("ab\u{1}"), Some(2));
        assert_eq!(find_forbidden("µ\u{fffe}"), Some(2));
        assert_eq!(find_forbidden("\t\r\nµ\u{fffd}\u{85}\u{10ffff}"), None);
    }

    #[test]
    fn names_end_where_xml_says() {
        assert_eq!(name_length("stringListValue-0=\"\""), 17);
        assert_eq!(name_length("color.a "), 7);
        assert_eq!(name_length("-a"), 0);
        assert_eq!(name_length("é\u{b7}x>"), 5);
    }
}
