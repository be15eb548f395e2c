"""Small NMLs for tests of tables."""

NODES = '<node id="{0}" x="1" y="2" z="3" radius="7"/><node id="{1}" x="4.5" y="5" z="6" time="9"/>'


def nml(nodes="", edges="", rest="", scale='x="10" y="10" z="30"', attributes='id="1" name="t"'):
    return (
        f'<things><parameters><experiment name="d" organization="o"/><scale {scale}/></parameters>'
        f"<thing {attributes}><nodes>{nodes}</nodes><edges>{edges}</edges></thing>{rest}</things>"
    )


def rich():
    notes = '<comments><comment node="2" content="c &lt;"/></comments>'
    notes += '<branchpoints><branchpoint id="1" time="5"/></branchpoints>'
    return nml(NODES.format(1, 2), '<edge source="1" target="2"/>', notes)


def write(folder, texts):
    paths = [folder / f"f{number}.nml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def big(trees, nodes):
    things = "".join(
        f'<thing id="{tree}"><nodes>'
        + "".join(f'<node id="{tree * nodes + node}" x="{node}" y="0" z="0"/>' for node in range(nodes))
        + "</nodes></thing>"
        for tree in range(1, trees + 1)
    )
    notes = f'<comments><comment node="{2 * nodes}" content="c"/><comment node="1" content="nowhere"/></comments>'
    notes += f'<branchpoints><branchpoint id="{3 * nodes}" time="8"/></branchpoints>'
    return f"<things><parameters/>{things}{notes}</things>"
