//! NML text to the columnar model, streaming.
//!
//! Text flows through a [`window::Window`] of bounded size. The [`lexer`] checks it as an XML reader must and hands tokens to
//! the [`builder`], which fills the model. Runs of plain `<node/>` and `<edge/>` elements, nearly all of a file, go
//! straight into columns ([`hot`]), and so do whole plain trees of a few rows ([`small_trees`]). With more than one thread, workers read such runs ahead of the parser
//! ([`threads`]); the parser uses a run only when it stands exactly at the run's start, where it would have read the
//! same rows itself. So results, problems and positions of errors do not depend on the number of threads.

mod attributes;
mod builder;
mod chars;
mod check;
mod elements;
mod encoding;
mod hot;
mod kinds;
mod lexer;
mod limits;
mod numbers;
mod other_files;
mod places;
mod problems;
mod small_trees;
mod threads;
mod window;

use std::io::Read;
use std::num::NonZeroUsize;
use std::path::Path;

pub(crate) use chars::{find_forbidden, is_whole_name};
pub use limits::Limits;
pub(crate) use limits::OF_RECORDS;

use self::builder::Builder;
use self::lexer::{Lexer, Token};
use self::window::Feed;
use crate::error::{NmlError, Problem};
use crate::forest::Forest;
use crate::model::{Document, Header, Tree};

/// Called with the bytes of text parsed so far, every few megabytes and on the thread that called; an error stops the reader.
pub type Progress<'a> = &'a mut dyn FnMut(u64) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// How to read.
#[derive(Default)]
pub struct ReadOptions<'a> {
    /// Stop at the first problem that a server would reject the file for ([`NmlError::Rejected`]).
    pub strict: bool,
    /// Bounds.
    pub limits: Limits,
    /// Worker threads of [`read_threaded`] and [`read_file`]; `None` is one per core.
    pub threads: Option<NonZeroUsize>,
    /// Progress and cancellation.
    pub progress: Option<Progress<'a>>,
}

/// A file as read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The model.
    pub document: Document,
    /// Faults that loading survived, in file order as far as they were found while reading.
    pub problems: Vec<Problem>,
    /// Problems beyond [`Limits::problems`].
    pub problems_omitted: u64,
}

/// A file as read, with its small trees as bytes: they are unpacked when somebody asks for them.
#[derive(Clone, Debug, Default)]
pub struct LoadedForest {
    /// Everything but trees.
    pub header: Header,
    /// `<thing>` elements in file order.
    pub trees: Forest,
    /// As those of [`Loaded`].
    pub problems: Vec<Problem>,
    /// Problems beyond [`Limits::problems`].
    pub problems_omitted: u64,
}

impl From<LoadedForest> for Loaded {
    fn from(loaded: LoadedForest) -> Self {
        let LoadedForest { header, trees, problems, problems_omitted } = loaded;
        Self { document: Document { header, trees: trees.into_trees() }, problems, problems_omitted }
    }
}

/// The document that `input` holds, read on this thread with a buffer of bounded size.
///
/// The encoding is UTF-8 (byte-order mark or not), or what the XML declaration or a byte-order mark says. Faults of
/// the text (XML that is not well-formed, a document type declaration, a missing `<parameters>`, an id that is none)
/// are errors with line and column; faults of meaning are problems.
///
/// ```
/// use wkfast_nml::{ReadOptions, read};
/// let text = r#"<things><parameters/><thing id="1"><nodes><node id="4" x="1" y="2" z="3"/></nodes></thing></things>"#;
/// let loaded = read(text.as_bytes(), ReadOptions::default())?;
/// assert_eq!(loaded.document.trees[0].columns.positions, [[1.0, 2.0, 3.0]]);
/// # Ok::<(), wkfast_nml::NmlError>(())
/// ```
pub fn read(input: impl Read, options: ReadOptions<'_>) -> Result<Loaded, NmlError> {
    read_forest(input, options).map(Loaded::from)
}

/// As [`read`], with nodes and edges read ahead on other threads; the result is the same.
pub fn read_threaded(input: impl Read + Send, options: ReadOptions<'_>) -> Result<Loaded, NmlError> {
    read_forest_threaded(input, options).map(Loaded::from)
}

/// As [`read_threaded`], from a file; small ones on this thread.
pub fn read_file(path: impl AsRef<Path>, options: ReadOptions<'_>) -> Result<Loaded, NmlError> {
    read_forest_file(path, options).map(Loaded::from)
}

/// As [`read`], with small trees packed.
pub fn read_forest(input: impl Read, options: ReadOptions<'_>) -> Result<LoadedForest, NmlError> {
    read_all(threads::Sequential::new(input), options)
}

/// As [`read_threaded`], with small trees packed.
pub fn read_forest_threaded(input: impl Read + Send, options: ReadOptions<'_>) -> Result<LoadedForest, NmlError> {
    let workers = options.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    if workers == 1 {
        return read_forest(input, options);
    }
    let piece_bytes = options.limits.piece_bytes;
    threads::with_workers(input, workers, piece_bytes, |feed| read_all(feed, options))
}

/// Files below this size are not worth starting threads for.
const LARGE: u64 = 4 << 20;

/// As [`read_forest`], from a file; large ones on all cores.
pub fn read_forest_file(path: impl AsRef<Path>, options: ReadOptions<'_>) -> Result<LoadedForest, NmlError> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.len() < LARGE { read_forest(file, options) } else { read_forest_threaded(file, options) }
}

fn read_all<F: Feed>(feed: F, mut options: ReadOptions<'_>) -> Result<LoadedForest, NmlError> {
    let mut builder = Builder::new(&options);
    let mut lexer = Lexer::new(feed, &mut options);
    while step(&mut lexer, &mut builder)? {}
    builder.finish()
}

/// Parses the next token, or a whole run of rows; `false` at the end of the document.
fn step<F: Feed>(lexer: &mut Lexer<'_, F>, builder: &mut Builder) -> Result<bool, NmlError> {
    if let Some(kind) = builder.rows_expected() {
        lexer.skip_blanks()?;
        while builder.take_rows(kind, &mut lexer.window) {
            lexer.skip_blanks()?;
        }
    } else if builder.tree_expected() && lexer.is_between_elements() {
        lexer.skip_blanks()?;
        if builder.take_small_tree(&mut lexer.window) {
            builder.check_strict()?;
            return Ok(true);
        }
    }
    let token = lexer.next()?;
    match token {
        Token::Start => builder.start(lexer.tag())?,
        Token::End => builder.end(),
        Token::Text => builder.text(lexer.text(), lexer.at())?,
        Token::Finish => {}
    }
    builder.check_strict()?;
    Ok(token != Token::Finish)
}

/// The trees of a file one by one, with memory bounded by the largest tree.
///
/// What depends on the whole file is not done: comments and branchpoints stay in the header's lists of stray ones, ids
/// are checked within each tree only, and whether a tree's group exists is not checked.
///
/// ```
/// use wkfast_nml::{ReadOptions, TreeStream};
/// let text = r#"<things><parameters/><thing id="1"/><thing id="2"/></things>"#;
/// let mut stream = TreeStream::new(text.as_bytes(), ReadOptions::default());
/// let ids = stream.by_ref().map(|tree| Ok(tree?.header.id)).collect::<Result<Vec<_>, wkfast_nml::NmlError>>()?;
/// assert_eq!(ids, [1, 2]);
/// assert!(stream.header().groups.is_empty());
/// # Ok::<(), wkfast_nml::NmlError>(())
/// ```
pub struct TreeStream<'a, R> {
    lexer: Lexer<'a, threads::Sequential<R>>,
    builder: Builder,
    ended: bool,
}

impl<'a, R: Read> TreeStream<'a, R> {
    /// Nothing is read before the first tree is asked for.
    pub fn new(input: R, mut options: ReadOptions<'a>) -> Self {
        let builder = Builder::for_stream(&options);
        Self { lexer: Lexer::new(threads::Sequential::new(input), &mut options), builder, ended: false }
    }

    /// What was read of the header so far; all of it once the iterator has ended.
    pub fn header(&self) -> &Header {
        self.builder.header()
    }

    /// The problems found so far.
    pub fn problems(&self) -> &[Problem] {
        self.builder.problems()
    }

    fn advance(&mut self) -> Result<Option<Tree>, NmlError> {
        while step(&mut self.lexer, &mut self.builder)? {
            if let Some(tree) = self.builder.take_tree() {
                return Ok(Some(tree));
            }
        }
        self.builder.finish_stream()?;
        Ok(None)
    }
}

impl<R: Read> Iterator for TreeStream<'_, R> {
    type Item = Result<Tree, NmlError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.advance();
        self.ended = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}
