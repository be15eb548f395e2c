//! One test per row of the second table of `docs/nml-fidelity.md`: old dialects.

mod support;

use support::facts::{SOUND, load, parameters, problem, volume};
use support::{document, read_text, written};

#[test]
fn the_comment_of_a_desktop_tree_is_its_name() {
    let trees = load(
        "<thing id='1' comment='first'/><thing id='2' name='' comment='second'/><thing id='3' name='n' comment='c'/>",
    );
    let names: Vec<_> = trees.document.trees.iter().map(|tree| tree.header.name.clone()).collect();
    assert_eq!(names, ["first", "second", "n"].map(|name| Some(name.to_owned())));
    assert_eq!(trees.document.trees[2].header.extras.attributes, [("comment".to_owned(), "c".to_owned())]);
}

#[test]
fn the_default_color_of_desktop_files_is_kept() {
    let header =
        load("<thing id='1' color.r='-1.' color.g='-1.' color.b='-1.' color.a='1.'/>").document.trees.remove(0).header;
    assert_eq!(header.color, Some([Some(-1.0), Some(-1.0), Some(-1.0), Some(1.0)]));
}

#[test]
fn old_color_names_are_read() {
    let header = load("<thing id='1' colorr='0.5' colorg='0' colorb='0' colora='1'/>").document.trees.remove(0).header;
    assert_eq!(header.color, Some([Some(0.5), Some(0.0), Some(0.0), Some(1.0)]));
    let both = "<thing id='1' color.r='0.25' colora='1' colorb='0' colorg='0' colorr='0.5'/>";
    assert!(problem(both).1.contains("both colorr and color.r"));
    let header = load(both).document.trees.remove(0).header;
    assert_eq!((header.color, header.extras.attributes.len()), (Some([Some(0.25), None, None, None]), 4));
}

#[test]
fn a_scale_without_a_unit_has_none() {
    assert_eq!(parameters("").parameters.scale.unit, None);
}

#[test]
fn desktop_parameters_are_kept() {
    let text = "<createdin version='4.1'/><MovementArea min.x='0'/><idleTime ms='5'/><time ms='1' checksum='x'/>";
    let document = document(format!("<things><parameters>{SOUND}{text}</parameters></things>"));
    let text = written(&document);
    assert_eq!(document.header.parameters.time, Some(1));
    for kept in ["<createdin version=\"4.1\" />", "<MovementArea min.x=\"0\" />", "<time checksum=\"x\" ms=\"1\" />"] {
        assert!(text.contains(kept), "{kept} in {text}");
    }
}

#[test]
fn a_box_without_an_id_keeps_all_it_has() {
    let one = "<userBoundingBox name='n' isVisible='true' topLeftX='0' topLeftY='0' topLeftZ='0' width='1' height='1' depth='1'/>";
    let bounds = parameters(one).parameters.user_bounding_boxes.remove(0);
    assert_eq!((bounds.id, bounds.name.as_deref()), (None, Some("n")));
    let text = format!("<things><parameters>{SOUND}{one}{one}</parameters></things>");
    let problems = read_text(text).expect("loads").problems;
    assert!(problems.len() == 1 && problems[0].reason.contains("not the only box"), "{problems:?}");
}

#[test]
fn a_volume_without_name_format_or_data_loads() {
    let plain = volume("location='data.zip'", "");
    assert_eq!((plain.name, plain.format), (None, None));
    assert_eq!(volume("name='v'", "<!-- data was omitted -->").location, None);
    let loaded = load("<volume location='data.zip'/>");
    assert_eq!((loaded.document.header.volumes[0].id, loaded.problems.len()), (0, 1));
}

#[test]
fn an_ungrouped_tree_has_no_group() {
    let loaded = load("<thing id='1' groupId=''/><thing id='2' groupId='-1'/>");
    assert!(loaded.document.trees.iter().all(|tree| tree.header.group_id.is_none()));
    assert_eq!(loaded.problems, []);
}

#[test]
fn a_volume_without_segments_has_an_empty_list() {
    assert!(volume("", "").segments.is_empty());
}

#[test]
fn every_encoding_of_old_files_is_read() {
    let body = "<things><parameters><experiment name='µ€'/></parameters></things>";
    let utf16 =
        |bytes: fn(u16) -> [u8; 2]| format!("\u{feff}{body}").encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let mut windows = b"<?xml version='1.0' encoding='Windows-1252'?>".to_vec();
    windows.extend(body.chars().map(|c| match c {
        '€' => 0x80,
        c => u8::try_from(u32::from(c)).expect("one byte"),
    }));
    for bytes in [format!("\u{feff}{body}").into_bytes(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes), windows] {
        assert_eq!(document(bytes).header.parameters.experiment.name.as_deref(), Some("µ€"));
    }
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><things><parameters><experiment name='\xb5'/></parameters></things>";
    assert_eq!(document(latin).header.parameters.experiment.name.as_deref(), Some("µ"));
}
