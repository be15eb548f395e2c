//! One test per row of the first table of `docs/nml-fidelity.md`: what other readers lose, refuse or get wrong.

mod support;

use support::facts::{
    NODES, SOUND, assert_rejected, assert_settled, back, load, metadata, notes, parameters, problem, tree, volume,
};
use support::{document, read_text, written};
use wkfast_nml::model::{MetadataEntry, Number, Segment, Volume};

#[test]
fn boolean_metadata_is_kept() {
    let entries = metadata("<metadataEntry key='k' boolValue='true'/>");
    assert_eq!(entries[0].bool, Some(true));
    assert!(
        back("<thing id='1'><metadata><metadataEntry key='k' boolValue='false'/></metadata></thing>")
            .contains("<metadataEntry boolValue=\"false\" key=\"k\" />")
    );
}

#[test]
fn a_metadata_entry_with_a_key_only_is_an_empty_list() {
    let entries = metadata("<metadataEntry key='k'/>");
    assert_eq!(entries, [MetadataEntry { key: "k".to_owned(), ..MetadataEntry::default() }]);
}

#[test]
fn a_metadata_list_may_start_anywhere_and_have_gaps() {
    let entries =
        metadata("<metadataEntry key='k' stringListValue-10='c' stringListValue-2='b' stringListValue-1='a'/>");
    assert_eq!(entries[0].list, [(1, "a".to_owned()), (2, "b".to_owned()), (10, "c".to_owned())]);
}

#[test]
fn metadata_keys_may_repeat() {
    let entries = metadata("<metadataEntry key='k' stringValue='a'/><metadataEntry key='k' stringValue='b'/>");
    assert_eq!(entries.iter().map(|entry| entry.string.as_deref()).collect::<Vec<_>>(), [Some("a"), Some("b")]);
}

#[test]
fn a_metadata_entry_keeps_all_its_kinds_of_value() {
    let entries = metadata("<metadataEntry key='k' stringValue='s' numberValue='1.5' boolValue='true'/>");
    assert_eq!((entries[0].string.as_deref(), entries[0].number), (Some("s"), Some(Number::Float(1.5))));
}

#[test]
fn metadata_of_a_node_is_kept_with_it() {
    let tree =
        tree("<nodes><node id='1' x='0' y='0' z='0'><metadata><metadataEntry key='k'/></metadata></node></nodes>");
    let elements = &tree.columns.notes[&0].extras.elements;
    assert_eq!((elements[0].name.as_str(), elements[0].children[0].name.as_str()), ("metadata", "metadataEntry"));
}

#[test]
fn a_metadata_number_that_is_none_is_kept_as_text() {
    for text in ["", "many"] {
        let inner = format!("<thing id='1'><metadata><metadataEntry key='k' numberValue='{text}'/></metadata></thing>");
        let (element, reason, rejected) = problem(&inner);
        assert!(element == "metadataEntry" && reason.contains("expected a number") && !rejected);
        assert!(back(&inner).contains(&format!("<metadataEntry key=\"k\" numberValue=\"{text}\" />")));
    }
}

#[test]
fn whole_numbers_of_metadata_keep_all_digits() {
    for text in ["18446744073709551615", "-170141183460469231731687303715884105728", "9007199254740993"] {
        let inner = format!("<thing id='1'><metadata><metadataEntry key='k' numberValue='{text}'/></metadata></thing>");
        assert!(back(&inner).contains(&format!("numberValue=\"{text}\"")));
    }
}

fn first_segment(volume: &Volume) -> Segment {
    volume.segments.iter().next().expect("a segment")
}

#[test]
fn segment_groups_stay_in_their_volume() {
    let loaded = load(
        "<volume id='0'><segments><segment id='5' groupId='1'/></segments><groups><group id='1' name='a'><group id='2' name='b'/></group></groups></volume>",
    );
    let header = loaded.document.header;
    assert!(header.groups.is_empty());
    assert_eq!((header.volumes[0].groups[0].children[0].id, first_segment(&header.volumes[0]).group_id), (2, Some(1)));
    assert_eq!(loaded.problems, []);
}

#[test]
fn a_segment_keeps_every_field() {
    let segment = first_segment(&volume(
        "",
        "<segments><segment id='9223372036854775807' created='5' groupId='2' isVisible='false' additionalCoordinate-t='3' anchorPositionX='1' anchorPositionY='2' anchorPositionZ='3' color.r='0.5' color.g='0' color.b='0' color.a='1'><metadata><metadataEntry key='k' boolValue='true'/></metadata></segment></segments>",
    ));
    assert_eq!((segment.created, segment.group_id, segment.is_visible), (Some(5), Some(2), Some(false)));
    assert_eq!(segment.additional_coordinates, [("t".to_owned(), 3)]);
    assert_eq!((segment.anchor_position, segment.metadata[0].bool), (Some([1, 2, 3]), Some(true)));
}

#[test]
fn a_segment_with_an_empty_color_has_none() {
    assert_eq!(
        first_segment(&volume(
            "",
            "<segments><segment id='1' color.r='' color.g='' color.b='' color.a=''/></segments>"
        ))
        .color,
        None
    );
}

#[test]
fn segment_ids_may_repeat() {
    assert_eq!(
        volume("", "<segments><segment id='1' name='a'/><segment id='1' name='b'/></segments>").segments.len(),
        2
    );
}

#[test]
fn an_anchor_that_is_no_whole_number_is_kept_as_text() {
    let inner = "<volume id='0'><segments><segment id='1' anchorPositionX='1.5' anchorPositionY='2' anchorPositionZ='3'/></segments></volume>";
    assert!(load(inner).problems.iter().any(|problem| problem.rejected_by_server));
    assert!(back(inner).contains("anchorPositionX=\"1.5\" anchorPositionY=\"2\" anchorPositionZ=\"3\""));
}

#[test]
fn server_only_parameters_are_kept() {
    let header = parameters(
        "<offset x='1' y='0' z='0'/><editPosition x='1' y='2' z='3' additionalCoordinate-t='4'/><activeNode id='7'/>\
         <additionalAxes><additionalAxis name='t' index='0' start='0' end='9'/></additionalAxes>\
         <transform matrix='[1]' type='affine'><correspondence source='1' target='2'/></transform>",
    );
    let parameters = header.parameters;
    assert_eq!(parameters.offset.map(|offset| offset.xyz), Some([1.0, 0.0, 0.0]));
    assert_eq!(
        parameters.edit_position.map(|position| position.additional_coordinates),
        Some(vec![("t".to_owned(), 4)])
    );
    assert_eq!((parameters.active_node, parameters.additional_axes[0].end), (Some(7), 9));
    assert_eq!(parameters.extras.elements[0].children[0].name, "correspondence");
}

#[test]
fn the_server_url_is_kept() {
    let text = "<things><parameters><experiment name='d' wkUrl='https://example.org'/><scale/></parameters></things>";
    let experiment = document(text).header.parameters.experiment;
    assert_eq!(experiment.wk_url.as_deref(), Some("https://example.org"));
    assert!(written(&document(text)).contains("wkUrl=\"https://example.org\""));
}

#[test]
fn an_empty_description_is_not_a_missing_one() {
    let text = "<things><parameters><experiment description=''/></parameters></things>";
    assert_eq!(document(text).header.parameters.experiment.description.as_deref(), Some(""));
    assert!(written(&document(text)).contains("<experiment description=\"\" />"));
}

#[test]
fn a_position_that_is_nowhere_is_a_problem() {
    for text in ["nan", "NaN", "inf", "-Infinity", "1e999"] {
        let inner = format!("<thing id='1'><nodes><node id=\"1\" x=\"0\" y=\"0\" z=\"{text}\"/></nodes></thing>");
        assert_rejected(&inner, "node", "expected a finite number");
        let z = load(&inner).document.trees[0].columns.positions[0][2];
        assert!(!z.is_finite() && z.is_sign_negative() == text.starts_with('-'), "{text}: {z}");
    }
}

#[test]
fn a_voxel_without_a_size_is_a_problem() {
    for scale in ["x='0' y='1' z='1'", "x='-1' y='-1' z='-1'", "x='1' y='nan' z='1'", "x='1' y='1'", "unit='nanometer'"]
    {
        let text = format!("<things><parameters><experiment name='d'/><scale {scale}/></parameters></things>");
        let loaded = read_text(&text).expect("loads");
        let [problem] = loaded.problems.as_slice() else { panic!("{:?}", loaded.problems) };
        assert!(problem.element == "scale" && problem.reason.contains("positive") && !problem.rejected_by_server);
        assert_settled(&loaded.document, &text);
    }
}

#[test]
fn additional_coordinates_of_more_axes_than_get_a_column_are_kept() {
    let axes = |first: usize| {
        (first..first + 6).map(|axis| format!(" additionalCoordinate-a{axis}=\"{axis}\"")).collect::<Vec<_>>().concat()
    };
    let node = |id: usize| format!("<node id=\"{id}\" x=\"0\" y=\"0\" z=\"0\"{}/>", axes(3 * id));
    let tree = tree(&format!("<nodes>{}</nodes>", (0..9).map(node).collect::<Vec<_>>().concat()));
    for row in 0..9 {
        let places = tree.columns.coordinates.of(row);
        assert_eq!(places.iter().map(|(_, place)| *place).sum::<i64>(), (3 * row as i64..3 * row as i64 + 6).sum());
    }
}

#[test]
fn additional_coordinates_of_a_node_are_kept() {
    let tree =
        tree("<nodes><node id='1' x='0' y='0' z='0' additionalCoordinate-ch='-1' additionalCoordinate-t='4'/></nodes>");
    assert_eq!(tree.columns.coordinates.of(0), [("ch", -1), ("t", 4)]);
}

#[test]
fn a_trees_type_and_the_visibility_of_its_edges_are_kept() {
    let header = load("<thing id='1' type='AGGLOMERATE' edgesAreVisible='false'/>").document.trees.remove(0).header;
    assert_eq!((header.tree_type.as_deref(), header.edges_are_visible), (Some("AGGLOMERATE"), Some(false)));
}

#[test]
fn a_group_remembers_whether_it_is_expanded() {
    let groups =
        load("<groups><group id='1' name='a' isExpanded='false'/><group id='2' name='b' isExpanded=''/></groups>");
    let groups = groups.document.header.groups;
    assert_eq!(groups.iter().map(|group| group.is_expanded).collect::<Vec<_>>(), [Some(false), None]);
}

#[test]
fn mappings_of_a_volume_are_kept() {
    let volume = volume(
        "mappingName='m' mappingIsLocked='true' editedMappingEdgesLocation='e.zip' editedMappingBaseMappingName='b'",
        "",
    );
    assert_eq!((volume.mapping_name.as_deref(), volume.mapping_is_locked), (Some("m"), Some(true)));
    assert_eq!(volume.edited_mapping_edges_location.as_deref(), Some("e.zip"));
    assert_eq!(volume.edited_mapping_base_mapping_name.as_deref(), Some("b"));
}

#[test]
fn a_user_box_keeps_its_id_and_gains_nothing() {
    let text = "<userBoundingBox id='7' topLeftX='1' topLeftY='2' topLeftZ='3' width='4' height='5' depth='6'/>\
                <taskBoundingBox topLeftX='0' topLeftY='0' topLeftZ='0' width='1' height='1' depth='1'/>";
    let parameters = parameters(text).parameters;
    let bounds = &parameters.user_bounding_boxes[0];
    assert_eq!((bounds.id, bounds.name.as_deref(), bounds.color, bounds.is_visible), (Some(7), None, None, None));
    assert_eq!(parameters.task_bounding_box.map(|bounds| bounds.color), Some(None));
}

#[test]
fn a_box_of_negative_size_stays_as_it_is() {
    let text = "<userBoundingBox id='0' topLeftX='10' topLeftY='0' topLeftZ='0' width='-4' height='5' depth='6'/>";
    let bounds = parameters(text).parameters.user_bounding_boxes.remove(0);
    assert_eq!((bounds.topleft[0], bounds.size[0]), (10, -4));
}

#[test]
fn a_box_without_color_channels_is_written_without() {
    let text = "<userBoundingBox id='0' color.r='' color.g='' color.b='' color.a='' topLeftX='0' topLeftY='0' topLeftZ='0' width='1' height='1' depth='1'/>";
    assert_eq!(parameters(text).parameters.user_bounding_boxes[0].color, Some([None; 4]));
}

#[test]
fn a_branchpoint_has_its_own_time() {
    assert_eq!(notes("<branchpoints><branchpoint id='1' time='77'/></branchpoints>").branchpoints, [Some(77)]);
    assert_eq!(notes("<branchpoints><branchpoint id='1'/></branchpoints>").branchpoints, [None]);
}

#[test]
fn a_node_may_have_several_branchpoints_and_comments() {
    let notes = notes(
        "<branchpoints><branchpoint id='1' time='2'/><branchpoint id='1' time='1'/></branchpoints>\
         <comments><comment node='1' content='a'/><comment node='1' content='b'/></comments>",
    );
    assert_eq!((notes.branchpoints, notes.comments), (vec![Some(2), Some(1)], vec!["a".to_owned(), "b".to_owned()]));
}

#[test]
fn interpolation_that_is_false_stays_false() {
    let nodes = |value: &str| format!("<nodes><node id='1' x='0' y='0' z='0' interpolation='{value}'/></nodes>");
    assert_eq!(tree(&nodes("false")).columns.interpolation.get(0), Some(false));
    assert_eq!(tree(&nodes("True")).columns.interpolation.get(0), Some(true));
    assert_eq!(tree(&nodes("")).columns.interpolation.get(0), None);
    assert!(back(&format!("<thing id='1'>{}</thing>", nodes("True"))).contains("interpolation=\"true\""));
}

#[test]
fn fractions_of_positions_are_kept() {
    assert_eq!(tree("<nodes><node id='1' x='0.5' y='-2.7' z='1e-3'/></nodes>").columns.positions, [[0.5, -2.7, 0.001]]);
}

#[test]
fn positions_beyond_single_precision_are_written_as_integers() {
    let inner = "<thing id='1'><nodes><node id='1' x='16777217' y='-16777216' z='16777215'/></nodes></thing>";
    assert!(back(inner).contains("x=\"16777217\" y=\"-16777216\" z=\"16777215.0\""));
}

#[test]
fn visibility_is_not_made_up() {
    let header =
        load("<thing id='1' color.r='1' color.g='1' color.b='1' color.a='0'/>").document.trees.remove(0).header;
    assert_eq!((header.is_visible, header.color), (None, Some([Some(1.0), Some(1.0), Some(1.0), Some(0.0)])));
}

#[test]
fn a_tree_without_a_color_stays_without() {
    assert!(back("<thing id='1'/>").starts_with("  <thing id=\"1\">\n"));
    let empty = back("<thing id='1' color.r='' color.g='' color.b='' color.a=''/>");
    assert!(empty.starts_with("  <thing color.a=\"\" color.b=\"\" color.g=\"\" color.r=\"\" id=\"1\">\n"));
}

#[test]
fn an_empty_tree_name_stays_empty_and_a_missing_one_missing() {
    let trees = load("<thing id='1' name=''/><thing id='2'/>").document.trees;
    assert_eq!(trees.iter().map(|tree| tree.header.name.as_deref()).collect::<Vec<_>>(), [Some(""), None]);
}

#[test]
fn a_largest_segment_id_of_zero_is_kept() {
    assert_eq!(volume("largestSegmentId='0'", "").largest_segment_id, Some(0));
}

#[test]
fn the_location_of_a_volume_is_kept() {
    assert_eq!(volume("location='data_Volume.zip' format='zarr3'", "").location.as_deref(), Some("data_Volume.zip"));
}

#[test]
fn unknown_elements_and_attributes_come_back_with_their_owner() {
    let inner = "<thing id='1' new='1'><nodes more='2'><node id='1' x='0' y='0' z='0' hue='red'/></nodes>\
                 <edges><edge source='1' target='1' weight='3'/></edges><metadata kind='k'/><mesh file='m'>text</mesh></thing>\
                 <comments><comment node='1' content='c' author='me'/></comments><groups sort='name'/><unheard><of a='&#10;'/></unheard>";
    let text = back(inner);
    for kept in [
        "<thing id=\"1\" new=\"1\">",
        "<nodes more=\"2\">",
        "<node hue=\"red\" id=\"1\"",
        "<edge source=\"1\" target=\"1\" weight=\"3\" />",
        "<metadata kind=\"k\" />",
        "<mesh file=\"m\">text</mesh>",
        "<comment author=\"me\" content=\"c\" node=\"1\" />",
        "<groups sort=\"name\" />",
        "<of a=\"&#10;\" />",
    ] {
        assert!(text.contains(kept), "{kept} in {text}");
    }
}

#[test]
fn metas_may_repeat_and_lack_a_part() {
    let meta = load("<meta name='a' content='1'/><meta name='a' content='2'/><meta name='b'/>").document.header.meta;
    assert_eq!(meta.iter().map(|meta| meta.content.as_deref()).collect::<Vec<_>>(), [Some("1"), Some("2"), None]);
}

#[test]
fn notes_on_missing_nodes_are_kept_apart() {
    let inner = "<comments><comment node='9' content='c'/></comments>";
    assert_rejected(inner, "comment", "there is no node 9");
    assert!(back(inner).contains("<comment content=\"c\" node=\"9\" />"));
    let inner = "<branchpoints><branchpoint id='9' time='3'/></branchpoints>";
    assert_rejected(inner, "branchpoint", "there is no node 9");
    assert!(back(inner).contains("<branchpoint id=\"9\" time=\"3\" />"));
}

#[test]
fn notes_inside_a_tree_find_their_nodes_and_are_written_behind_the_trees() {
    let inner = format!(
        "<thing id='1'>{NODES}<comments by='hand'><comment node='2' content='c'/></comments>\
         <branchpoints><branchpoint id='1' time='3'/></branchpoints></thing>"
    );
    let loaded = load(&inner);
    let noted: Vec<_> = loaded.problems.iter().map(|each| (each.element.as_str(), each.rejected_by_server)).collect();
    assert_eq!(noted, [("comments", false), ("branchpoints", false)]);
    assert!(loaded.problems[0].reason.contains("where servers do not look"));
    let tree = &loaded.document.trees[0];
    assert_eq!(tree.columns.notes[&1].comments, ["c"]);
    assert_eq!(tree.columns.notes[&0].branchpoints, [Some(3)]);
    let written = back(&inner);
    let end = written.find("</thing>").unwrap();
    assert!(written[end..].contains("<comments by=\"hand\">"), "{written}");
}

#[test]
fn trees_without_parameters_load_with_a_problem_that_servers_reject() {
    let loaded = wkfast_nml::read(
        format!("<things><thing id='1'>{NODES}</thing></things>").as_bytes(),
        wkfast_nml::ReadOptions::default(),
    )
    .unwrap();
    assert_eq!(loaded.document.trees[0].columns.rows(), 2);
    assert_eq!(loaded.document.header.parameters, wkfast_nml::model::Parameters::default());
    let shown: Vec<_> = loaded.problems.iter().map(|each| (each.reason.as_str(), each.rejected_by_server)).collect();
    assert_eq!(shown, [("no <parameters> in it", true)]);
}

#[test]
fn notes_before_their_nodes_find_them() {
    let loaded = load(&format!("<comments><comment node='2' content='c'/></comments><thing id='1'>{NODES}</thing>"));
    assert_eq!(loaded.document.trees[0].columns.notes[&1].comments, ["c"]);
    assert_eq!(loaded.problems, []);
}

#[test]
fn dangling_edges_are_kept() {
    let inner = format!("<thing id='1'>{NODES}<edges><edge source='1' target='99'/></edges></thing>");
    assert_rejected(&inner, "edge", "node 99 is not in this tree");
    assert!(back(&inner).contains("<edge source=\"1\" target=\"99\" />"));
    let other = "<thing id='2'><nodes><node id='3' x='0' y='0' z='0'/></nodes><edges><edge source='3' target='1'/></edges></thing>";
    assert_rejected(&format!("<thing id='1'>{NODES}</thing>{other}"), "edge", "node 1 is not in this tree");
}

#[test]
fn self_edges_are_kept() {
    let inner = format!("<thing id='1'>{NODES}<edges><edge source='1' target='1'/></edges></thing>");
    assert_rejected(&inner, "edge", "to itself");
}

#[test]
fn edges_keep_order_direction_and_repetitions() {
    let inner = format!(
        "<thing id='1'>{NODES}<edges><edge source='2' target='1'/><edge source='1' target='2'/></edges></thing>"
    );
    assert_rejected(&inner, "edge", "a second edge between nodes 1 and 2");
    let text = back(&inner);
    assert!(text.find("source=\"2\" target=\"1\"") < text.find("source=\"1\" target=\"2\""));
}

#[test]
fn nodes_with_the_same_id_are_both_kept() {
    let node = "<node id='1' x='0' y='0' z='0'/>";
    let inner = format!("<thing id='1'><nodes>{node}{node}</nodes></thing>");
    assert_rejected(&inner, "node", "a second node with id 1 in this tree");
    // Of ids far apart.
    let numbered = |id: i64| node.replace("id='1'", &format!("id='{id}'"));
    for id in [1, 2_000_000_000] {
        let nodes = [1, 2_000_000_000, id].map(numbered).concat();
        let inner = format!("<thing id='1'><nodes>{nodes}</nodes></thing>");
        assert_rejected(&inner, "node", &format!("a second node with id {id} in this tree"));
    }
    let inner = format!("<thing id='1'><nodes>{node}</nodes></thing><thing id='2'><nodes>{node}</nodes></thing>");
    assert_rejected(&inner, "node", "node 1 is in an earlier tree too");
}

#[test]
fn a_comment_on_an_ambiguous_node_goes_to_the_first_in_the_file() {
    let trees = load(&format!(
        "<thing id='1'>{NODES}</thing><thing id='2'>{NODES}</thing><comments><comment node='1' content='c'/></comments>"
    ));
    let trees = trees.document.trees;
    assert_eq!((trees[0].columns.notes.len(), trees[1].columns.notes.len()), (1, 0));
}

#[test]
fn trees_with_the_same_id_are_all_kept() {
    let inner = "<thing id='1' name='a'/><thing id='1' name='a'/>";
    assert_rejected(inner, "thing", "a second tree with id 1");
    assert_eq!(load(inner).document.trees.len(), 2);
}

#[test]
fn an_empty_tree_is_kept() {
    assert_eq!(back("<thing id='1'/>").matches("<thing").count(), 1);
}

#[test]
fn a_group_that_does_not_exist_is_a_problem() {
    assert_rejected("<thing id='1' groupId='8'/>", "thing", "groupId=8: there is no such group");
    assert_eq!(load("<thing id='1' groupId='8'/>").document.trees[0].header.group_id, Some(8));
}

#[test]
fn a_tree_stays_in_a_group_of_negative_id() {
    let loaded = load("<thing id='1' groupId='-5'/><groups><group id='-5' name='g'/></groups>");
    assert_eq!((loaded.document.trees[0].header.group_id, loaded.problems), (Some(-5), vec![]));
}

#[test]
fn groups_with_the_same_id_are_both_kept() {
    let inner = "<groups><group id='1' name='a'/><group id='2' name='b'><group id='1' name='c'/></group></groups>";
    assert_rejected(inner, "group", "a second group with id 1");
}

#[test]
fn ids_of_any_size_and_sign_are_kept() {
    for id in [
        "-5",
        "2147483648",
        "9223372036854775808",
        "1180591620717411303424",
        "-170141183460469231731687303715884105728",
    ] {
        let inner = format!("<thing id='{id}'><nodes><node id='{id}' x='0' y='0' z='0'/></nodes><edges/></thing>");
        let text = back(&inner);
        assert_eq!(text.matches(&format!("id=\"{id}\"")).count(), 2, "{text}");
    }
    assert_rejected("<thing id='2147483648'/>", "thing", "more than 32 bits");
    assert_eq!(load("<thing id='-5'/>").problems, []);
}

#[test]
fn missing_optional_parts_load() {
    let loaded = load(&format!(
        "<thing id='1'>{NODES}</thing><comments><comment node='1'/></comments><groups><group id='1'/></groups>"
    ));
    assert!(loaded.problems.iter().all(|problem| !problem.rejected_by_server));
    assert_eq!(loaded.document.trees[0].columns.notes[&0].comments, [""]);
}

#[test]
fn a_file_without_scale_or_experiment_loads() {
    let loaded = read_text("<things><parameters/></things>").expect("loads");
    let reasons: Vec<_> = loaded.problems.iter().map(|problem| problem.reason.as_str()).collect();
    assert_eq!(reasons, ["no <experiment>", "no <scale>"]);
}

#[test]
fn a_default_namespace_is_accepted_and_kept() {
    let document = document("<things xmlns='urn:nml'><parameters/><thing id='1'/></things>");
    assert_eq!(document.trees.len(), 1);
    assert!(written(&document).contains("<things xmlns=\"urn:nml\">"));
}

#[test]
fn misplaced_elements_are_kept_with_a_problem() {
    for inner in [
        "<node id='1' x='0' y='0' z='0'/>",
        "<segment id='1'/>",
        "<thing id='1'><thing id='2'/></thing>",
        "<thing id='1'><nodes><thing id='2'/></nodes></thing>",
    ] {
        let (_, reason, rejected) = problem(inner);
        assert_eq!((reason.as_str(), rejected), ("not expected in this place", false), "{inner}");
    }
}

#[test]
fn rows_need_not_stand_in_their_containers() {
    let tree = tree(
        "<node id='1' x='0' y='0' z='0'/><edge source='1' target='1'/><edges><node id='2' x='0' y='0' z='0'/></edges>",
    );
    assert_eq!((tree.columns.rows(), tree.columns.edge_count()), (2, 1));
}

#[test]
fn the_first_of_repeated_parameters_counts() {
    let text =
        "<things><parameters><time ms='1'/><time ms='2'/></parameters><parameters><time ms='3'/></parameters></things>";
    let document = document(text);
    assert_eq!(document.header.parameters.time, Some(1));
    assert!(written(&document).contains("<time ms=\"2\" />") && written(&document).contains("<time ms=\"3\" />"));
}

#[test]
fn an_empty_first_stays_the_first() {
    let text = "<things><parameters><scale/><scale x='1'/><additionalAxes/><additionalAxes><additionalAxis name='t'/></additionalAxes></parameters></things>";
    let again = document(written(&document(text))).header.parameters;
    assert_eq!((again.scale.x, again.additional_axes.len(), again.extras.elements.len()), (None, 0, 2));
}

#[test]
fn unknown_attributes_of_repeated_containers_are_merged() {
    let inner = "<comments a='1' b='2'/><comments a='3' c='4'/>";
    let (element, reason, rejected) = problem(inner);
    assert!(element == "comments" && reason.contains("1 attributes of another") && !rejected);
    assert!(back(inner).contains("<comments a=\"1\" b=\"2\" c=\"4\" />"));
}

#[test]
fn the_order_of_elements_is_free() {
    let ordered = document(format!(
        "<things><parameters/><thing id='1' groupId='1'>{NODES}<edges/></thing><groups><group id='1'/></groups></things>"
    ));
    let shuffled = document(format!(
        "<things><groups><group id='1'/></groups><thing id='1' groupId='1'><edges/>{NODES}</thing><parameters/></things>"
    ));
    assert_eq!(ordered, shuffled);
}

#[test]
fn raw_white_space_in_an_attribute_is_a_blank_and_references_survive() {
    let header = load("<thing id='1' name='a\nb\tc&#10;d&#9;e'/>").document.trees.remove(0).header;
    assert_eq!(header.name.as_deref(), Some("a b c\nd\te"));
}

#[test]
fn other_bad_optional_values_are_kept_as_text() {
    let inner = "<thing id='1' isVisible='1'><nodes><node id='1' inVp='a' radius='big' time='1.0' x='1,5' y='0' z='0'/></nodes></thing>";
    assert_eq!(load(inner).problems.len(), 5);
    let text = back(inner);
    assert!(text.contains("isVisible=\"1\""), "{text}");
    assert!(
        text.contains("<node id=\"1\" inVp=\"a\" radius=\"big\" time=\"1.0\" x=\"1,5\" y=\"0.0\" z=\"0.0\" />"),
        "{text}"
    );
}

#[test]
fn names_that_servers_want_to_differ_are_problems() {
    assert_rejected("<volume id='0'/><volume id='1'/>", "volume", "a second one named \"\"");
    let axes = "<additionalAxis name='t' index='0' start='0' end='1'/>".repeat(2);
    let text = format!("<things><parameters>{SOUND}<additionalAxes>{axes}</additionalAxes></parameters></things>");
    let problems = read_text(text).expect("loads").problems;
    assert!(problems.len() == 1 && problems[0].rejected_by_server && problems[0].element == "additionalAxis");
}

#[test]
fn a_missing_position_is_a_problem() {
    assert_rejected("<thing id='1'><nodes><node id='1' x='0' y='0'/></nodes></thing>", "node", "not all of x, y, z");
}

#[test]
fn the_table_in_the_docs_names_every_test() {
    let table = include_str!("../../../docs/nml-fidelity.md");
    let files = concat!(include_str!("fidelity.rs"), include_str!("dialects.rs"));
    let tests = files.split("#[test]\nfn ").skip(1);
    let names =
        tests.filter_map(|test| test.split('(').next()).filter(|name| !name.starts_with("the_table_in_the_docs"));
    let missing: Vec<_> = names.filter(|name| !table.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
