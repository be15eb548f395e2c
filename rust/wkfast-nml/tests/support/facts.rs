//! Small files around one fact, each loaded, written and loaded again.

use wkfast_nml::columns::NodeNotes;
use wkfast_nml::model::{Document, Header, MetadataEntry, Tree, Volume};
use wkfast_nml::{Loaded, Problem};

use super::{document, read_text, written};

pub(crate) const SOUND: &str = "<experiment name='d'/><scale x='1' y='1' z='1'/>";

/// Loads a file with this behind its parameters, and checks that a round trip changes nothing (unknown attributes come
/// back sorted, so the tests have them sorted).
pub(crate) fn load(inner: &str) -> Loaded {
    let loaded = read_text(format!("<things><parameters>{SOUND}</parameters>{inner}</things>")).expect(inner);
    assert_settled(&loaded.document, inner);
    loaded
}

pub(crate) fn assert_settled(document: &Document, text: &str) {
    let settled = super::document(written(document));
    let mut sorted = document.clone();
    sorted.trees.sort_by_key(|tree| tree.header.id);
    assert_eq!(format!("{settled:#?}"), format!("{sorted:#?}"), "{text}");
}

/// The tree of a file with only one, given its children.
pub(crate) fn tree(inner: &str) -> Tree {
    load(&format!("<thing id='1'>{inner}</thing>")).document.trees.remove(0)
}

pub(crate) fn parameters(inner: &str) -> Header {
    let document = document(format!("<things><parameters>{SOUND}{inner}</parameters></things>"));
    assert_settled(&document, inner);
    document.header
}

pub(crate) fn volume(attributes: &str, inner: &str) -> Volume {
    load(&format!("<volume id='0' {attributes}>{inner}</volume>")).document.header.volumes.remove(0)
}

/// What comes back of a file with this behind its parameters, without the frame.
pub(crate) fn back(inner: &str) -> String {
    let text = written(&load(inner).document);
    let start = text.find("</parameters>\n").expect("parameters") + "</parameters>\n".len();
    text[start..].trim_end_matches("</things>\n").to_owned()
}

pub(crate) fn metadata(entries: &str) -> Vec<MetadataEntry> {
    tree(&format!("<metadata>{entries}</metadata>")).header.metadata
}

pub(crate) const NODES: &str = "<nodes><node id='1' x='0' y='0' z='0'/><node id='2' x='0' y='0' z='0'/></nodes>";

/// The notes of node 1.
pub(crate) fn notes(inner: &str) -> NodeNotes {
    let mut trees = load(&format!("<thing id='1'>{NODES}</thing>{inner}")).document.trees;
    trees[0].columns.notes.remove(&0).unwrap_or_default()
}

/// The one problem of a file: its element and reason, and whether a server would reject the file.
pub(crate) fn problem(inner: &str) -> (String, String, bool) {
    let problems = load(inner).problems;
    let [Problem { element, reason, rejected_by_server, .. }] = problems.as_slice() else { panic!("{problems:?}") };
    (element.clone(), reason.clone(), *rejected_by_server)
}

/// A problem of this element and reason that a server would reject the file for.
pub(crate) fn assert_rejected(inner: &str, element: &str, reason: &str) {
    let found = problem(inner);
    assert!(found.0 == element && found.1.contains(reason) && found.2, "{found:?}");
}
