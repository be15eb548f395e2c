//! What can be told of JSON without reading it.

/// Whether more than `most` lists and objects lie in one another in a text that is JSON, in UTF-8.
///
/// ```
/// let text = br#"{"a": [[1], "]["], "b\\"[": {}}"#;
/// assert!(wkfast_files::nests_deeper(text, 2) && !wkfast_files::nests_deeper(text, 3));
/// ```
pub fn nests_deeper(text: &[u8], most: usize) -> bool {
    // Where there are no more than that in all, which is told much sooner, none are in one another.
    let begun = text.iter().filter(|&&byte| matches!(byte, b'[' | b'{')).count();
    begun > most && depth(text) > most
}

fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut is_escaped) = (0_usize, 0, false, false);
    for &byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
