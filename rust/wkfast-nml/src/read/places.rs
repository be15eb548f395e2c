//! Where the rows of a tree stand in the file, kept small: pretty-printed rows repeat one step.

use crate::error::Position;

/// From one row to the next: `lines` down to column `column`, or, on the same line, `column` to the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    lines: u32,
    column: u64,
    count: u32,
}

/// The steps between the rows of a run whose first row's place is not known yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps(Vec<Step>);

impl Steps {
    /// Adds a row, `lines` below the one before at `column`, or `column` to its right if on the same line.
    #[inline]
    pub(super) fn push(&mut self, lines: u64, column: u64) {
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        self.repeat(lines, column, 1);
    }

    #[inline]
    fn repeat(&mut self, lines: u32, column: u64, count: u32) {
        match self.0.last_mut() {
            Some(last) if last.lines == lines && last.column == column && last.count < u32::MAX - count => {
                last.count += count;
            }
            _ => self.0.push(Step { lines, column, count }),
        }
    }

    /// Drops all steps, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The places of all rows so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    steps: Steps,
    last: Position,
}

impl Places {
    /// Adds a row.
    pub(super) fn push(&mut self, at: Position) {
        let lines = at.line - self.last.line;
        let column = if lines == 0 { at.column - self.last.column } else { at.column };
        self.steps.push(lines, column);
        self.last = at;
    }

    /// Adds the rows of a run after its first, which was pushed.
    pub(super) fn append(&mut self, run: &Steps) {
        for step in &run.0 {
            self.steps.repeat(step.lines, step.column, step.count);
            self.last = advance(self.last, *step, step.count);
        }
    }

    /// Forgets all rows, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.last = Position::default();
    }

    /// The places of these rows, which must ascend.
    pub(super) fn find(&self, rows: impl IntoIterator<Item = usize>) -> Vec<Position> {
        let mut found = Vec::new();
        let (mut steps, mut before, mut at) = (self.steps.0.iter().peekable(), 0, Position::default());
        for row in rows {
            while let Some(step) = steps.peek() {
                if row < before + step.count as usize {
                    break;
                }
                at = advance(at, **step, step.count);
                before += step.count as usize;
                steps.next();
            }
            found.push(steps.peek().map_or(at, |step| advance(at, **step, (row + 1 - before) as u32)));
        }
        found
    }
}

fn advance(at: Position, step: Step, count: u32) -> Position {
    if step.lines == 0 {
        return Position { line: at.line, column: at.column + step.column * u64::from(count) };
    }
    Position { line: at.line + u64::from(step.lines) * u64::from(count), column: step.column }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_found_again(moves in prop::collection::vec((0_u64..3, 1_u64..4), 1..60)) {
            let (mut places, mut all, mut at) = (Places::default(), Vec::new(), Position { line: 1, column: 1 });
            for (lines, column) in moves {
                at = if lines == 0 {
                    Position { column: at.column + column, ..at }
                } else {
                    Position { line: at.line + lines, column }
                };
                places.push(at);
                all.push(at);
            }
            prop_assert_eq!(places.find(0..all.len()), all.clone());
            let some: Vec<_> = (0..all.len()).step_by(3).collect();
            prop_assert_eq!(places.find(some.clone()), some.iter().map(|&row| all[row]).collect::<Vec<_>>());
        }
    }

    #[test]
    fn pretty_printed_rows_take_one_step() {
        let mut places = Places::default();
        (10..1000).for_each(|line| places.push(Position { line, column: 7 }));
        assert_eq!(places.steps.0.len(), 2);
    }
}
