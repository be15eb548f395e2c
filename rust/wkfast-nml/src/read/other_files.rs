//! What else ends in `.nml`, or was saved under such a name: told by its first bytes or its root element.

/// What to do about any of them.
const ADVICE: &str = "expected an annotation of WEBKNOSSOS or KNOSSOS, whose root is <things>: choose another file";
/// As many bytes tell what a file is.
pub(super) const ENOUGH: usize = 512;

/// The reason why text that does not begin with `<` is no NML.
pub(super) fn no_xml(text: &[u8]) -> String {
    let start = &text[..text.len().min(ENOUGH)];
    let what = match start {
        [b'P', b'K', 3 | 5, ..] => return "this is a zip archive, no XML: let its name end in .zip".to_owned(),
        [b'{' | b'[', ..] => "JSON, no XML",
        _ if is_namelist(start) => "a namelist of Fortran, no XML",
        [b'#', ..] => "Markdown or a script, no XML",
        _ => "text before the root element",
    };
    format!("{what}; {ADVICE}")
}

/// Whether the first line that is no comment opens a group of values: `&name`, or `$name` of old compilers.
fn is_namelist(start: &[u8]) -> bool {
    let mut lines = start.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_start);
    let first = lines.find(|line| !line.is_empty() && line[0] != b'!');
    matches!(first, Some([b'&' | b'$', letter, ..]) if letter.is_ascii_alphabetic())
}

/// The reason why a file with this root is no NML, if it is a known kind of its own.
pub(super) fn of_another_kind(root: &str) -> Option<String> {
    let local = root.rsplit(':').next().unwrap_or(root);
    let what = match local {
        "NML" | "DJ_PLAYLISTS" => "a collection of music (Traktor, rekordbox)",
        "neuroml" | "Lems" => "NeuroML, a model of neurons",
        "morphml" | "networkml" | "channelml" | "biophysicsml" => "NeuroML of version 1, a model of neurons",
        "html" => "a web page, perhaps one that asks to log in",
        _ => return None,
    };
    Some(format!("this is {what}; {ADVICE}"))
}

/// The reason why a file without `<parameters>` is no NML, unless it holds trees of NML.
pub(super) fn without_parameters(root: &str) -> String {
    let whose = if root == "things" { String::new() } else { format!(", and the root is <{root}>") };
    format!("no <parameters> in it{whose}; {ADVICE}, without a namespace prefix")
}
