//! Faults of NML files: those that stop the reader, and those it lives with.

/// A place in a file, both counted from 1; the column counts characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names say it
pub struct Position {
    pub line: u64,
    pub column: u64,
}

/// Why an NML document could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NmlError {
    /// Not the XML or the NML it should be.
    #[error("line {}, column {}: {}{reason}", .at.line, .at.column, shown(element))]
    Syntax {
        /// Where.
        at: Position,
        /// The element concerned, empty outside the root.
        element: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// A bound on size, depth or count was passed.
    #[error("line {}, column {}: {reason}", .at.line, .at.column)]
    Limit {
        /// Where.
        at: Position,
        /// Which bound.
        reason: String,
    },
    /// Strict reading: a problem that a server would reject the file for.
    #[error("line {}, column {}: <{}>: {}: a server would reject the file", .0.at.line, .0.at.column, .0.element, .0.reason)]
    Rejected(Problem),
    /// The document holds something that no NML file can express.
    #[error("<{element}>: {reason}")]
    Unwritable {
        /// The element concerned.
        element: String,
        /// What cannot be written, and what is expected.
        reason: String,
    },
    /// The progress hook asked to stop; its own error is the source.
    #[error("stopped: {0}")]
    Stopped(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The input could not be read, or the output not written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// `<element>: `, or nothing outside the root.
fn shown(element: &str) -> String {
    if element.is_empty() { String::new() } else { format!("<{element}>: ") }
}

/// A fault that loading survives: what is wrong and what was done about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Where.
    pub at: Position,
    /// The element concerned.
    pub element: String,
    /// What is wrong.
    pub reason: String,
    /// What the reader did.
    pub done: String,
    /// Whether a server would reject the file for it.
    pub rejected_by_server: bool,
}
