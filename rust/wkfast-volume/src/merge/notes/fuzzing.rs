//! Lines of notes.

#![allow(clippy::missing_panics_doc)] // to panic is what they are for

use super::{Brief, Line, line_of, line_of_failure, may_tell_of, process_of, record_of};

/// Lines. The short record is the beginning of the whole one, and both come back from the line that is written of them.
pub fn notes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for line in text.lines() {
        let _ = (process_of(line), may_tell_of(line, &(3..7)));
        let (brief, record) = (Line::parse(line), record_of(line));
        if let (Some(Line::Done(brief)), Some(record)) = (&brief, &record) {
            assert_eq!(*brief, Brief::of(record));
        }
        if let Some(Line::Failed(failure)) = &brief {
            let line = line_of_failure(failure).expect("it is text");
            assert!(matches!(Line::parse(&line), Some(Line::Failed(again)) if again == *failure));
        }
        if let Some(mut record) = record {
            let line = line_of(&record).expect("it is text");
            let again = record_of(&line).expect("it was written");
            // Times are rounded.
            record.span = again.span;
            assert_eq!(again, record);
            assert!(matches!(Line::parse(&line), Some(Line::Done(brief)) if brief == Brief::of(&again)));
        }
    }
}
