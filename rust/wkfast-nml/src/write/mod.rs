//! The columnar model to NML text, streaming.
//!
//! The bytes are those of the reference package where they are right: frame, quoting, order of attributes, texts of numbers.
//! They differ where those bytes lose, lie or vary: every field of the model is written, `interpolation` is `true` or
//! `false`, a branchpoint has its own time, positions from 2²⁴ on are integers, edges keep their order and direction,
//! comments, branchpoints and groups come in a fixed order, a tree without a color or a name stays without.

mod elements;
mod numbers;
mod rows;
mod tag;

use std::borrow::Cow;
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::ahead::run_ahead;
use crate::columns::TreeColumns;
use crate::error::NmlError;
use crate::forest::PackedTree;
use crate::model::{Document, Group, Header, Id, TreeHeader};
use crate::read::{Limits, OF_RECORDS, Progress};

/// A tree to write.
#[derive(Clone, Copy, Debug)]
pub enum TreeRef<'a> {
    /// What its `<thing>` says apart from nodes and edges, and those.
    Open(&'a TreeHeader, &'a TreeColumns),
    /// As it was read.
    Packed(PackedTree<'a>),
}

impl<'a> TreeRef<'a> {
    fn id(&self) -> Id {
        match self {
            Self::Open(header, _) => header.id,
            Self::Packed(tree) => tree.ids().0,
        }
    }

    /// Number of nodes and edges.
    pub fn rows(&self) -> usize {
        match self {
            Self::Open(_, columns) => columns.rows() + columns.edge_count(),
            Self::Packed(tree) => {
                let (edges, nodes) = tree.counts();
                edges + nodes
            }
        }
    }

    /// The columns, if nodes have comments, branchpoints or the like.
    fn noted(self) -> Option<Cow<'a, TreeColumns>> {
        match self {
            Self::Open(_, columns) => (!columns.notes.is_empty()).then_some(Cow::Borrowed(columns)),
            Self::Packed(tree) => tree.has_notes().then(|| Cow::Owned(tree.unpack().columns)),
        }
    }
}

/// How to write.
#[derive(Default)]
pub struct WriteOptions<'a> {
    /// Threads that format rows of large documents; `None` is one per core.
    pub threads: Option<NonZeroUsize>,
    /// Called with the bytes written so far, every quarter of a megabyte or so and on the thread that called; an error stops the writer.
    pub progress: Option<Progress<'a>>,
    /// Bounds of whoever is to read it again: of [records](Limits::records) no more are written.
    pub limits: Limits,
}

/// Documents with fewer rows (nodes and edges) are not worth starting threads for.
const LARGE: usize = 50_000;
/// Rows formatted at once: their text stays in the cache until it is written.
const PIECE: usize = 1_024;

/// Depth of an element; two blanks each.
#[derive(Clone, Copy)]
struct Indent(usize);

impl Indent {
    fn deeper(self) -> Self {
        Self(self.0 + 1)
    }

    fn push(self, out: &mut Vec<u8>) {
        out.resize(out.len() + 2 * self.0, b' ');
    }
}

/// Ends an element without children.
#[inline]
fn close(out: &mut Vec<u8>) {
    out.extend_from_slice(b" />\n");
}

/// Writes a document as NML: trees by id, everything else in the model's order.
///
/// After an error what was written so far is of no use: write to a temporary name. What XML cannot express (control
/// characters, names that are none) is [`NmlError::Unwritable`].
///
/// ```
/// use wkfast_nml::{ReadOptions, WriteOptions, read, write};
/// let text = "<things><parameters><scale x='11'/></parameters></things>";
/// let document = read(text.as_bytes(), ReadOptions::default())?.document;
/// let mut out = Vec::new();
/// write(&document, &mut out, WriteOptions::default())?;
/// let expected = r#"<?xml version="1.0" encoding="utf-8"?>
/// <things>
///   <parameters>
///     <scale x="11.0" />
///   </parameters>
///   <branchpoints />
///   <comments />
///   <groups />
/// </things>
/// "#;
/// assert_eq!(String::from_utf8_lossy(&out), expected);
/// # Ok::<(), wkfast_nml::NmlError>(())
/// ```
pub fn write(document: &Document, out: impl Write, options: WriteOptions<'_>) -> Result<(), NmlError> {
    let trees = document.trees.iter().map(|tree| TreeRef::Open(&tree.header, &tree.columns));
    write_trees_of(&document.header, trees.collect(), out, options)
}

/// As [`write()`], of a header and trees that are kept elsewhere.
pub fn write_trees_of(
    header: &Header,
    mut trees: Vec<TreeRef<'_>>,
    out: impl Write,
    options: WriteOptions<'_>,
) -> Result<(), NmlError> {
    check_records(header, &options.limits)?;
    if !trees.is_sorted_by_key(TreeRef::id) {
        trees.sort_by_cached_key(TreeRef::id);
    }
    let mut out = Output { out, written: 0, progress: options.progress };
    let mut text = Vec::new();
    push_start(&mut text, header)?;
    out.put(&mut text)?;
    write_trees(&trees, options.threads, &mut out)?;
    push_end(&mut text, header, &trees)?;
    out.put(&mut text)?;
    out.out.flush()?;
    Ok(())
}

/// Elements of the parameters of which a file has one each.
const SINGLE_RECORDS: usize = 8;

/// Refuses more [records](crate::read::Limits::records) than are read again.
fn check_records(header: &Header, limits: &Limits) -> Result<(), NmlError> {
    let parameters = &header.parameters;
    let boxes = parameters.user_bounding_boxes.len() + parameters.additional_axes.len();
    let listed = header.meta.len() + boxes + header.volumes.len() + SINGLE_RECORDS;
    let volumes = header.volumes.iter().map(|volume| count_groups(&volume.groups));
    let records = listed + count_groups(&header.groups) + volumes.sum::<usize>();
    tag::check_size("things", records, limits.records, format_args!("{OF_RECORDS}"))
}

fn count_groups(groups: &[Group]) -> usize {
    let (mut count, mut waiting) = (0, vec![groups]);
    while let Some(groups) = waiting.pop() {
        count += groups.len();
        waiting.extend(groups.iter().map(|group| &group.children[..]));
    }
    count
}

struct Output<'a, W> {
    out: W,
    written: u64,
    progress: Option<Progress<'a>>,
}

impl<W: Write> Output<'_, W> {
    /// Writes and empties the text.
    fn put(&mut self, text: &mut Vec<u8>) -> Result<(), NmlError> {
        self.out.write_all(text)?;
        self.written += text.len() as u64;
        text.clear();
        match &mut self.progress {
            Some(progress) => progress(self.written).map_err(NmlError::Stopped),
            None => Ok(()),
        }
    }
}

fn push_start(out: &mut Vec<u8>, header: &Header) -> Result<(), NmlError> {
    out.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<things");
    let extras = &header.extras;
    let mut attributes = tag::Attributes::default();
    attributes.extras(extras);
    attributes.write("things", out)?;
    out.push(b'>');
    tag::check("things", "text", &extras.text)?;
    tag::push_text(out, &extras.text);
    out.push(b'\n');
    elements::push_parameters(out, &header.parameters)?;
    elements::push_metas(out, &header.meta)
}

fn push_end(out: &mut Vec<u8>, header: &Header, trees: &[TreeRef<'_>]) -> Result<(), NmlError> {
    let noted = || trees.iter().filter_map(|tree| tree.noted());
    elements::push_branchpoints(out, header, noted())?;
    elements::push_comments(out, header, noted())?;
    elements::push_groups(out, Indent(1), &header.groups, &header.extras)?;
    for volume in &header.volumes {
        elements::push_volume(out, volume)?;
    }
    elements::push_unknown(out, Indent(1), &header.extras.elements)?;
    elements::push_end(out, "things");
    Ok(())
}

fn write_trees<W: Write>(
    trees: &[TreeRef<'_>],
    threads: Option<NonZeroUsize>,
    out: &mut Output<'_, W>,
) -> Result<(), NmlError> {
    let rows: usize = trees.iter().map(TreeRef::rows).sum();
    let cores = || std::thread::available_parallelism().ok();
    let workers = if rows < LARGE { 1 } else { threads.or_else(cores).map_or(1, NonZeroUsize::get) };
    let mut parts = Parts { trees: trees.iter(), tree: None };
    if workers == 1 {
        let mut text = Vec::new();
        while let Some(piece) = parts.next_piece() {
            format(&piece, &mut text)?;
            out.put(&mut text)?;
        }
        return Ok(());
    }
    write_ahead(&mut parts, workers, out)
}

/// Writes pieces whose texts are made by `workers` threads.
fn write_ahead<W: Write>(parts: &mut Parts<'_, '_>, workers: usize, out: &mut Output<'_, W>) -> Result<(), NmlError> {
    // Texts are used again: fresh memory for each costs as much as filling it.
    let spare: Mutex<Vec<Vec<u8>>> = Mutex::default();
    let spare = || spare.lock().unwrap_or_else(PoisonError::into_inner);
    let work = |piece: Vec<Part<'_>>| {
        let mut text = spare().pop().unwrap_or_default();
        format(&piece, &mut text).map(|()| text)
    };
    run_ahead(
        workers,
        || parts.next_piece(),
        work,
        |next| {
            while let Some(text) = next() {
                let mut text = text?;
                out.put(&mut text)?;
                spare().push(text);
            }
            Ok(())
        },
    )
}

/// Appends the text of a piece.
fn format(piece: &[Part<'_>], text: &mut Vec<u8>) -> Result<(), NmlError> {
    for part in piece {
        match part {
            Part::Packed(tree) => {
                let tree = tree.unpack();
                for what in TreeText(&tree.header, &tree.columns).whole() {
                    TreeText(&tree.header, &tree.columns).format(&what, text)?;
                }
            }
            Part::Open(tree, what) => tree.format(what, text)?,
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct TreeText<'a>(&'a TreeHeader, &'a TreeColumns);

impl TreeText<'_> {
    fn format(self, what: &What, text: &mut Vec<u8>) -> Result<(), NmlError> {
        let Self(header, columns) = self;
        match what {
            What::Start => {
                elements::push_tree_start(text, header)?;
                elements::push_rows_start(text, header, "nodes", self.node_count())?;
            }
            What::Nodes(rows) => rows::push_nodes(text, columns, rows.clone())?,
            What::Middle => {
                if self.node_count() > 0 {
                    elements::push_rows_end(text, header, "nodes")?;
                }
                elements::push_rows_start(text, header, "edges", columns.edge_count())?;
            }
            What::Edges(edges) => rows::push_edges(text, columns, edges.clone())?,
            What::End => {
                if columns.edge_count() > 0 {
                    elements::push_rows_end(text, header, "edges")?;
                }
                elements::push_tree_end(text, header)?;
            }
        }
        Ok(())
    }

    /// All parts of a small tree.
    fn whole(self) -> [What; 5] {
        let (nodes, edges) = (0..self.1.rows(), 0..self.1.edge_count());
        [What::Start, What::Nodes(nodes), What::Middle, What::Edges(edges), What::End]
    }

    fn node_count(self) -> usize {
        let removed = self.1.removed.iter().filter(|&&removed| removed).count();
        self.1.rows() - removed
    }
}

/// A part of a tree's text, or the whole text of one that is packed.
enum Part<'d> {
    Packed(PackedTree<'d>),
    Open(TreeText<'d>, What),
}

enum What {
    Start,
    Nodes(Range<usize>),
    Middle,
    Edges(Range<usize>),
    End,
}

/// Cuts trees into parts of bounded size.
struct Parts<'s, 'd> {
    trees: std::slice::Iter<'s, TreeRef<'d>>,
    /// The tree under way, the stage, and the rows or edges of the stage that are done.
    tree: Option<(TreeText<'d>, Stage, usize)>,
}

#[derive(Clone, Copy)]
enum Stage {
    Nodes,
    Edges,
}

impl<'d> Parts<'_, 'd> {
    /// Parts of about [`PIECE`] rows in all; `None` at the end.
    fn next_piece(&mut self) -> Option<Vec<Part<'d>>> {
        let (mut piece, mut rows) = (Vec::new(), 0);
        while rows < PIECE {
            let Some(part) = self.next_part(PIECE - rows) else { break };
            // A tree without rows is some text, too.
            rows += match &part {
                Part::Open(_, What::Nodes(range) | What::Edges(range)) => range.len(),
                Part::Open(..) => 2,
                Part::Packed(tree) => TreeRef::Packed(*tree).rows() + 6,
            };
            piece.push(part);
        }
        (!piece.is_empty()).then_some(piece)
    }

    fn next_part(&mut self, rows: usize) -> Option<Part<'d>> {
        let Some((tree, stage, done)) = self.tree else {
            return Some(match *self.trees.next()? {
                TreeRef::Packed(tree) => Part::Packed(tree),
                TreeRef::Open(header, columns) => {
                    let tree = TreeText(header, columns);
                    self.tree = Some((tree, Stage::Nodes, 0));
                    Part::Open(tree, What::Start)
                }
            });
        };
        let all = match stage {
            Stage::Nodes => tree.1.rows(),
            Stage::Edges => tree.1.edge_count(),
        };
        let range = done..all.min(done + rows);
        let (next, what) = match (stage, range.is_empty()) {
            (Stage::Nodes, false) => (Some((tree, stage, range.end)), What::Nodes(range)),
            (Stage::Nodes, true) => (Some((tree, Stage::Edges, 0)), What::Middle),
            (Stage::Edges, false) => (Some((tree, stage, range.end)), What::Edges(range)),
            (Stage::Edges, true) => (None, What::End),
        };
        self.tree = next;
        Some(Part::Open(tree, what))
    }
}
