"""Names, parameters and defaults of the skeleton and of geometry are those that scripts are written against."""

import pytest

import wkfast as wk
from tests.signatures import compare, rows, shown

# By class: methods with their parameters; attributes, with "=" if they can be set.
# What vectors of integers have, of three axes and of any.
_INTEGERS = """
        x
        y
        z
        c
        xyz
        axes
        get(axis, default=None)
        with_x(new_x)
        with_y(new_y)
        with_z(new_z)
        with_c(new_c)
        with_xyz(new_xyz)
        with_replaced(axis, new_element)
        to_tuple()
        to_list()
        to_np()
        contains(needle)
        is_positive(strictly_positive=False)
        is_uniform()
        ceildiv(other)
        pairmax(other)
        pairmin(other)
        prod()
        moveaxis(source, target)
        add_or_none(other)
        from_str(string)
    """

API = {
    "Skeleton": """
        __init__(voxel_size, dataset_name, dataset_id=None, organization_id=None, description=None, enforced_id=None)
        load(file_path, *, strict=False)
        save(out_path)
        add_nx_graphs(tree_dict)
        voxel_size =
        voxel_size_with_unit =
        dataset_name =
        dataset_id =
        organization_id =
        description =
    """,
    "Group": """
        add_tree(name_or_tree, color=None, _enforced_id=None, metadata=None, is_visible=True)
        add_group(name, _enforced_id=None)
        add_skeleton(skeleton)
        remove_tree_by_id(tree_id)
        children
        groups
        trees
        flattened_trees()
        flattened_groups()
        get_tree_by_id(tree_id)
        get_group_by_id(group_id)
        get_node_by_id(node_id)
        has_tree_id(tree_id)
        get_max_tree_id()
        get_max_node_id()
        get_total_node_count()
        id
        name =
    """,
    "Tree": """
        nodes
        edges
        add_node(position, comment=None, radius=None, rotation=None, inVp=None, inMag=None, bitDepth=None,
            interpolation=None, time=None, is_branchpoint=False, branchpoint_time=None, _enforced_id=None)
        add_edge(u_of_edge, v_of_edge, **attr)
        remove_node(n)
        number_of_nodes()
        number_of_edges(u=None, v=None)
        get_node_positions()
        get_node_by_id(node_id)
        get_max_node_id()
        name =
        group =
        color =
        metadata =
        is_visible =
        id
        to_networkx()
    """,
    "Node": """
        id
        position =
        comment =
        radius =
        rotation =
        inVp =
        inMag =
        bitDepth =
        interpolation =
        time =
        is_branchpoint =
        branchpoint_time =
        get_dict()
    """,
    "VecInt": _INTEGERS
    + """
        zeros(axes)
        ones(axes)
        full(an_int, axes)
    """,
    "Vec3Int": _INTEGERS
    + """
        zeros(_axes=('x', 'y', 'z'))
        ones(_axes=('x', 'y', 'z'))
        full(an_int, _axes=('x', 'y', 'z'))
        from_xyz(x, y, z)
        from_vec3_float(vec)
        from_vec_or_int(vec_or_int)
    """,
    "Vec3Float": """
        x
        y
        z
        with_x(new_x)
        with_y(new_y)
        with_z(new_z)
        to_tuple()
        to_list()
        to_np()
        to_vec3_int()
        pairmax(other)
        pairmin(other)
        prod()
        from_xyz(x, y, z)
        from_str(string)
        zeros()
        ones()
        full(value)
    """,
    "Mag": """
        __init__(mag)
        x
        y
        z
        max_dim
        max_dim_log2
        to_layer_name()
        to_long_layer_name()
        to_list()
        to_tuple()
        to_np()
        to_vec3_int()
    """,
    "BoundingBox": """
        __init__(topleft, size, axes=('x', 'y', 'z'), index=Vec3Int(1,2,3),
            name='Unnamed Bounding Box', is_visible=True, color=None)
        topleft
        size
        bottomright
        name
        is_visible
        color
        with_topleft(new_topleft)
        with_size(new_size)
        with_bottomright(new_bottomright)
        with_name(name)
        with_color(color)
        with_is_visible(is_visible)
        with_bounds(axis, new_topleft=None, new_size=None)
        with_bounds_x(new_topleft_x=None, new_size_x=None)
        with_bounds_y(new_topleft_y=None, new_size_y=None)
        with_bounds_z(new_topleft_z=None, new_size_z=None)
        from_points(points)
        from_tuple2(tuple2)
        from_tuple6(tuple6)
        from_csv(csv_bbox)
        from_auto(obj)
        from_checkpoint_name(checkpoint_name)
        from_config_dict(bbox)
        from_ndbbox(bbox)
        empty()
        to_tuple6()
        to_csv()
        to_checkpoint_name()
        to_config_dict()
        in_mag(mag)
        from_mag_to_mag1(from_mag)
        align_with_mag(mag, ceil=False)
        contains(coord)
        contains_bbox(inner_bbox)
        intersected_with(other, dont_assert=False)
        extended_by(other)
        padded_with_margins(margins_left, margins_right=None)
        offset(vector)
        chunk(chunk_shape, chunk_border_alignments=None)
        volume()
        is_empty()
        slice_array(array)
        to_slices()
        to_slices_xyz()
    """,
    "NDBoundingBox": """
        __init__(topleft, size, axes, index=None, name='Unnamed Bounding Box', is_visible=True, color=None)
        topleft
        size
        axes
        index
        bottomright
        name
        is_visible
        color
        with_topleft(new_topleft)
        with_size(new_size)
        with_bottomright(new_bottomright)
        with_name(name)
        with_color(color)
        with_is_visible(is_visible)
        with_bounds(axis, new_topleft=None, new_size=None)
        in_mag(mag)
        from_mag_to_mag1(from_mag)
        align_with_mag(mag, ceil=False)
        contains(coord)
        contains_bbox(inner_bbox)
        intersected_with(other, dont_assert=False)
        extended_by(other)
        padded_with_margins(margins_left, margins_right=None)
        offset(vector)
        chunk(chunk_shape, chunk_border_alignments=None)
        volume()
        is_empty()
        slice_array(array)
        to_slices()
        to_slices_xyz()
    """,
}

# Where scripts cannot tell the difference, or gain by it: class and member, what is ours only, and why.
DIFFERENCES = {
    ("Annotation", "__init__"): "mutable defaults are made inside",
    ("Annotation", "add_volume_layer"): "the order of the documented page; a dtype in third place is understood",
    ("Annotation", "download"): "annotation_type is accepted and deprecated, as on the documented page",
    ("Annotation", "open_as_remote_dataset"): "annotation_type is accepted and deprecated, as on the documented page",
    ("Group", "add_tree"): "mutable defaults are made inside",
    ("Skeleton", "add_tree"): "mutable defaults are made inside",
    ("Tree", "__init__"): "trees are made by add_tree; a tree finds the skeleton through its group",
    ("Node", "__init__"): "nodes are rows of a tree and made by add_node",
}

# Names of the reference package that wkfast does without.
ABSENT = {
    ("Skeleton", "as_nml_group"): "its records of NML are its own",
    ("Group", "as_nml_group"): "its records of NML are its own",
    ("Tree", "adjlist_inner_dict_factory"): "how networkx stores a graph; columns store a tree",
    ("Tree", "adjlist_outer_dict_factory"): "how networkx stores a graph; columns store a tree",
    ("Tree", "edge_attr_dict_factory"): "how networkx stores a graph; columns store a tree",
    ("Tree", "node_dict_factory"): "how networkx stores a graph; columns store a tree",
    ("Tree", "node_attr_dict_factory"): "how networkx stores a graph; columns store a tree",
    ("Tree", "graph_attr_dict_factory"): "how networkx stores a graph; columns store a tree",
}


@pytest.fixture(scope="module")
def instances():
    skeleton = wk.Skeleton(voxel_size=(1, 1, 1), dataset_name="d")
    tree = skeleton.add_tree("t")
    node = tree.add_node(position=(1, 2, 3), is_branchpoint=True)
    vector = wk.VecInt(1, 2, 3, 4, axes=("x", "y", "z", "c"))
    box = wk.NDBoundingBox((0, 0), (1, 1), ("x", "y"), (1, 2))
    boxes = {"BoundingBox": wk.BoundingBox((0, 0, 0), (1, 1, 1)), "NDBoundingBox": box}
    vectors = {"VecInt": vector, "Vec3Int": wk.Vec3Int(1, 2, 3), "Vec3Float": wk.Vec3Float(1, 2, 3)}
    parts = {"Skeleton": skeleton, "Group": skeleton.add_group("g"), "Tree": tree, "Node": node, "Mag": wk.Mag(1)}
    return {**parts, **vectors, **boxes}


@pytest.mark.parametrize(("name", "row"), rows(API))
def test_members_are_those_of_the_table(instances, name, row):
    instance = instances[name]
    member, bracket, rest = row.partition("(")
    if bracket:
        function = getattr(getattr(wk, name), member)
        assert shown(function) == bracket + rest
        return
    member, settable, _ = member.partition(" =")
    if (name, member) == ("Vec3Int", "c"):
        with pytest.raises(KeyError):
            instance.c  # noqa: B018 # a vector of three has no channel
        return
    value = getattr(instance, member)
    if settable:
        setattr(instance, member, value)
        assert getattr(instance, member) == value
    else:
        with pytest.raises(AttributeError):
            setattr(instance, member, value)


@pytest.mark.parametrize(
    "name",
    ["Annotation", "Skeleton", "Group", "Tree", "Node", "VecInt", "Vec3Int", "Vec3Float", "Mag", "BoundingBox",
     "NDBoundingBox", "NormalizedBoundingBox"],
)  # fmt: skip
def test_signatures_are_those_of_the_reference_package(instances, name):
    webknossos = pytest.importorskip("webknossos", reason="needs the reference package: pip install --group bench")
    theirs, ours = (find(package, name) for package in (webknossos, wk))
    for member in public(theirs):
        if (name, member) in ABSENT:
            continue
        # What is set in __init__ is seen on instances only.
        assert hasattr(ours, member) or hasattr(instances.get(name), member) or member in annotation_fields(name), (
            member
        )
        function = getattr(theirs, member)
        if callable(function) and (name, member) not in DIFFERENCES and member in dir(ours):
            compare(f"{name}.{member}", function, getattr(ours, member))


def find(package, name):
    return getattr(package, name, None) or getattr(package.skeleton, name)


def public(cls):
    """Public members and the constructor, without those that networkx gives a graph."""
    inherited = {name for base in cls.__mro__ if base.__module__.startswith("networkx") for name in vars(base)}
    for name in dir(cls):
        own = name in vars(cls) or name not in inherited
        if own and (not name.startswith("_") or name == "__init__"):
            yield name


def annotation_fields(name):
    return (
        set(vars(wk.Annotation("a", wk.Skeleton(voxel_size=(1, 1, 1), dataset_name="d"))))
        if name == "Annotation"
        else set()
    )
