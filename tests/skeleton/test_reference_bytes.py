"""What the reference package writes comes back byte for byte, on content that both can express."""

import random

import pytest

from wkfast.skeleton import Skeleton

# Only where the reference is installed: the group "bench" of pyproject.toml.
webknossos = pytest.importorskip("webknossos")

TEXTS = ["axon", "µ \U0001d11e", "\"'", "a'b", 'a"b', "<&>", "line\nbreak\ttab", " blanks ", "x" * 300]
NUMBERS = [0.0, 1.0, -0.5, 1e-5, 1e16, 0.1, 123456.789, 5e-324, 1e300]


def _written(path, seed):
    draw = random.Random(seed)
    size = tuple(draw.choice([1.0, 11.24, 0.1]) for _ in range(3))
    skeleton = webknossos.Skeleton(voxel_size=size, dataset_name=draw.choice(TEXTS), description=draw.choice(TEXTS))
    # One tree and one group a level: the reference's order of several varies from run to run.
    group = skeleton
    for _ in range(draw.randrange(3)):
        group = group.add_group(draw.choice(TEXTS))
    metadata = {key: draw.choice([*TEXTS, 3, 0.25, ["p", "q"]]) for key in draw.sample(TEXTS, 3)}
    tree = group.add_tree(draw.choice(TEXTS), color=[draw.random() for _ in range(4)], metadata=metadata)
    nodes = []
    for _ in range(draw.randrange(1, 20)):
        position = tuple(draw.randrange(-(2**23), 2**23) for _ in range(3))
        node = tree.add_node(position, comment=draw.choice([None, *TEXTS]), radius=draw.choice([None, *NUMBERS]))
        node.rotation = draw.choice([None, tuple(draw.sample(NUMBERS, 3))])
        node.time, node.inVp, node.inMag = draw.choice([None, 17]), draw.choice([None, 2]), draw.choice([None, 1])
        # A path, along which the reference's order by adjacency is the order of the edges.
        if nodes:
            tree.add_edge(nodes[-1], node)
        nodes.append(node)
    skeleton.save(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(60))
def test_what_the_reference_writes_comes_back_byte_for_byte(seed, tmp_path):
    theirs, ours = tmp_path / "theirs.nml", tmp_path / "ours.nml"
    _written(theirs, seed)
    Skeleton.load(theirs).save(ours)
    assert ours.read_bytes() == theirs.read_bytes()
