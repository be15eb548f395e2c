//! NML-like text: elements mostly where they belong, attributes mostly sensible, forms as wild as XML allows.

use std::fmt::Write;

/// Choices to make, 0 once they run out.
pub(crate) struct Tape<'a> {
    choices: std::slice::Iter<'a, u8>,
}

impl Tape<'_> {
    fn below(&mut self, count: usize) -> usize {
        self.choices.next().map_or(0, |&choice| usize::from(choice) % count)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// True once in so many times.
    fn rarely(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }
}

const IDS: &[&str] = &[
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "-5",
    "+2",
    " 3 ",
    "1_000",
    "007",
    "٣",
    "2147483648",
    "9223372036854775808",
    "1180591620717411303424",
];
const INTEGERS: &[&str] = &["0", "1", "-1", "8", "2147483647", "99999999999", "1644425520594", "1.0", "", "x"];
const FLOATS: &[&str] = &[
    "0",
    "1",
    "2.5",
    "-0.0",
    "1.0E10",
    "1e-05",
    "-1.",
    ".5",
    "nan",
    "-inf",
    "16777217",
    "16777217.0",
    "1_0.5",
    "0.6784313917160034",
    "123456789012345678901234567890",
    "1,5",
    "",
    "x",
];
const BOOLS: &[&str] = &["true", "false", "True", "FALSE", "", "1"];
const STRINGS: &[&str] = &[
    "",
    "a",
    "tree 1",
    "µ\u{1d11e}",
    "\"",
    "'",
    "\"'",
    "<&>",
    "a\nb\tc\rd",
    "]]>",
    "  x  ",
    "nanometer",
    "\u{85}\u{2028}",
];

/// Elements to put where they do not belong.
const STRAYS: &[&str] = &["new", "node", "thing", "time", "scale", "parameters", "group", "segment", "metadata"];

/// Children and attributes of an element, each attribute with its kind: i(d) n(teger) f(loat) b(ool) s(tring).
#[allow(clippy::too_many_lines)] // a table
fn grammar(name: &str) -> (&'static [&'static str], &'static [(&'static str, char)]) {
    match name {
        "things" => (
            &["thing", "thing", "thing", "thing", "branchpoints", "comments", "groups", "volume", "meta", "parameters"],
            &[("xmlns", 's')],
        ),
        "parameters" => (
            &[
                "experiment",
                "scale",
                "offset",
                "time",
                "editPosition",
                "editRotation",
                "zoomLevel",
                "activeNode",
                "userBoundingBox",
                "taskBoundingBox",
                "additionalAxes",
                "transform",
            ],
            &[],
        ),
        "experiment" => {
            (&[], &[("name", 's'), ("organization", 's'), ("datasetId", 's'), ("description", 's'), ("wkUrl", 's')])
        }
        "scale" => (&[], &[("x", 'f'), ("y", 'f'), ("z", 'f'), ("unit", 's')]),
        "offset" | "editPosition" => (&[], &[("x", 'f'), ("y", 'f'), ("z", 'f'), ("additionalCoordinate-t", 'n')]),
        "editRotation" => (&[], &[("xRot", 'f'), ("yRot", 'f'), ("zRot", 'f')]),
        "time" => (&[], &[("ms", 'n')]),
        "zoomLevel" => (&[], &[("zoom", 'f')]),
        "activeNode" => (&[], &[("id", 'i')]),
        "userBoundingBox" | "taskBoundingBox" => (
            &[],
            &[
                ("id", 'i'),
                ("name", 's'),
                ("isVisible", 'b'),
                ("color.r", 'f'),
                ("color.g", 'f'),
                ("color.b", 'f'),
                ("color.a", 'f'),
                ("topLeftX", 'n'),
                ("topLeftY", 'n'),
                ("topLeftZ", 'n'),
                ("width", 'n'),
                ("height", 'n'),
                ("depth", 'n'),
            ],
        ),
        "additionalAxes" => (&["additionalAxis"], &[]),
        "additionalAxis" => (&[], &[("name", 's'), ("index", 'n'), ("start", 'n'), ("end", 'n')]),
        "thing" => (
            &["nodes", "edges", "metadata", "nodes", "edges", "node", "comments", "branchpoints"],
            &[
                ("name", 's'),
                ("comment", 's'),
                ("color.r", 'f'),
                ("color.g", 'f'),
                ("color.b", 'f'),
                ("color.a", 'f'),
                ("colorr", 'f'),
                ("groupId", 'i'),
                ("type", 's'),
                ("isVisible", 'b'),
                ("edgesAreVisible", 'b'),
            ],
        ),
        "nodes" => (&["node"], &[]),
        "edges" => (&["edge"], &[]),
        "node" => (
            &[],
            &[
                ("x", 'f'),
                ("y", 'f'),
                ("z", 'f'),
                ("radius", 'f'),
                ("rotX", 'f'),
                ("rotY", 'f'),
                ("rotZ", 'f'),
                ("inVp", 'n'),
                ("inMag", 'n'),
                ("bitDepth", 'n'),
                ("interpolation", 'b'),
                ("time", 'n'),
                ("additionalCoordinate-t", 'n'),
                ("additionalCoordinate-channel_2", 'n'),
                ("additionalCoordinate-µ", 'n'),
            ],
        ),
        "metadata" => (&["metadataEntry"], &[]),
        "metadataEntry" => (
            &[],
            &[
                ("key", 's'),
                ("stringValue", 's'),
                ("numberValue", 'f'),
                ("boolValue", 'b'),
                ("stringListValue-10", 's'),
                ("stringListValue-0", 's'),
                ("stringListValue-x", 's'),
            ],
        ),
        "branchpoints" => (&["branchpoint"], &[]),
        "branchpoint" => (&[], &[("time", 'n')]),
        "comments" => (&["comment"], &[]),
        "comment" => (&[], &[("content", 's')]),
        "groups" => (&["group"], &[]),
        "group" => (&["group"], &[("name", 's'), ("isExpanded", 'b')]),
        "meta" => (&[], &[("name", 's'), ("content", 's')]),
        "volume" => (
            &["segments", "groups"],
            &[
                ("name", 's'),
                ("location", 's'),
                ("format", 's'),
                ("fallbackLayer", 's'),
                ("largestSegmentId", 'i'),
                ("mappingName", 's'),
                ("mappingIsLocked", 'b'),
                ("editedMappingEdgesLocation", 's'),
                ("editedMappingBaseMappingName", 's'),
            ],
        ),
        "segments" => (&["segment"], &[]),
        "segment" => (
            &["metadata"],
            &[
                ("name", 's'),
                ("created", 'n'),
                ("anchorPositionX", 'n'),
                ("anchorPositionY", 'n'),
                ("anchorPositionZ", 'n'),
                ("color.r", 'f'),
                ("color.a", 'f'),
                ("groupId", 'i'),
                ("isVisible", 'b'),
                ("additionalCoordinate-t", 'n'),
            ],
        ),
        _ => (&["new", "node"], &[("a", 's')]),
    }
}

/// Attributes without which an element does not load.
fn required(name: &str) -> &'static [&'static str] {
    match name {
        "node" | "thing" | "group" | "segment" | "volume" | "branchpoint" => &["id"],
        "comment" => &["node"],
        "edge" => &["source", "target"],
        _ => &[],
    }
}

/// A well-formed document.
pub(crate) fn soup(choices: &[u8]) -> String {
    let mut tape = Tape { choices: choices.iter() };
    let mut out = String::new();
    if tape.rarely(2) {
        out.push_str("<?xml version='1.0' encoding=\"utf-8\" ?>\n");
    }
    out.push_str("<things>");
    match tape.below(4) {
        0 | 1 => out.push_str("<parameters><experiment name='d'/><scale x='1' y='1' z='1'/></parameters>"),
        _ => element(&mut tape, &mut out, "parameters", 1),
    }
    while tape.choices.len() > 0 {
        let name = if tape.rarely(20) { tape.pick(STRAYS) } else { tape.pick(grammar("things").0) };
        element(&mut tape, &mut out, name, 1);
        between(&mut tape, &mut out, true);
    }
    out.push_str("</things>");
    between(&mut tape, &mut out, false);
    out
}

fn element(tape: &mut Tape<'_>, out: &mut String, name: &str, depth: usize) {
    out.push('<');
    out.push_str(name);
    let (children, known) = grammar(name);
    for name in required(name) {
        attribute(tape, out, name, 'i');
    }
    let share = tape.below(4);
    for (name, kind) in known {
        if tape.below(4) < share {
            attribute(tape, out, name, *kind);
        }
    }
    if tape.rarely(9) {
        attribute(tape, out, "unknown", 's');
    }
    let count = if children.is_empty() { usize::from(tape.rarely(12)) } else { tape.below(6) };
    if count == 0 && !tape.rarely(5) {
        out.push_str(tape.pick(&["/>", " />", "\n/>"]));
        return;
    }
    out.push_str(tape.pick(&[">", " >"]));
    for _ in 0..count {
        between(tape, out, true);
        if depth < 6 {
            let child = if children.is_empty() || tape.rarely(15) { tape.pick(STRAYS) } else { tape.pick(children) };
            element(tape, out, child, depth + 1);
        }
    }
    between(tape, out, true);
    out.push_str("</");
    out.push_str(name);
    out.push_str(tape.pick(&[">", " >"]));
}

fn attribute(tape: &mut Tape<'_>, out: &mut String, name: &str, kind: char) {
    let plain = !tape.rarely(4);
    let value = match (kind, plain) {
        ('i', true) => tape.pick(&IDS[..7]),
        ('i', false) => tape.pick(IDS),
        ('n', true) => tape.pick(&INTEGERS[..4]),
        ('n', false) => tape.pick(INTEGERS),
        ('f', true) => tape.pick(&FLOATS[..3]),
        ('f', false) => tape.pick(FLOATS),
        ('b', true) => tape.pick(&BOOLS[..2]),
        ('b', false) => tape.pick(BOOLS),
        _ => tape.pick(STRINGS),
    };
    let quote = if tape.rarely(6) { '\'' } else { '"' };
    let equals = if tape.rarely(9) { " = " } else { "=" };
    out.push_str(tape.pick(&[" ", " ", " ", "\n\t", "  "]));
    out.push_str(name);
    out.push_str(equals);
    out.push(quote);
    for character in value.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\r' => out.push_str("&#xD;"),
            '\n' | '\t' if tape.rarely(2) => out.push(character),
            '\n' => out.push_str("&#10;"),
            _ if tape.rarely(20) => _ = write!(out, "&#x{:X};", u32::from(character)),
            _ => out.push(character),
        }
    }
    out.push(quote);
}

/// What may stand between elements.
fn between(tape: &mut Tape<'_>, out: &mut String, inside: bool) {
    match tape.below(24) {
        0..8 => {}
        8..18 => out.push_str("\n    "),
        18 => out.push_str("<!-- <node id=\"1\" x=\"1\" y=\"1\" z=\"1\"/> - µ > -->"),
        19 => out.push_str("<?target <node ?>"),
        20 => out.push_str("\r\n\t"),
        21 if inside => out.push_str("te&amp;xt"),
        22 if inside => out.push_str("<!----><![CDATA[<node id=\"1\"/>]]><!---->"),
        _ => out.push(' '),
    }
}
