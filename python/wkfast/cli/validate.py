"""``wkfast validate``: what is wrong with an annotation file, before a server says so."""

import warnings
from typing import TYPE_CHECKING, Annotated, Any

import wkfast as wk
from wkfast._lazy import lazy_import
from wkfast.cli.arguments import EXIT_PART, Argument, Exit, Option
from wkfast.cli.console import plain, show, tell, tell_json
from wkfast.errors import NmlError, WkfastError

if TYPE_CHECKING:
    from os import PathLike

    from rich import table as tables

    from wkfast.schema import checking
else:
    checking = lazy_import("wkfast.schema.checking")
    tables = lazy_import("rich.table")


def validate(
    file: Annotated[str, Argument("An annotation: .nml or .zip; or its address.")],
    *,
    chunks: Annotated[bool, Option("Decode every chunk of the volume layers as well.")] = False,
    schema: Annotated[bool, Option("Check the NML against nml.xsd, too. Needs lxml.")] = False,
    as_json: Annotated[bool, Option("Print JSON for scripts.", spelling="--json")] = False,
) -> None:
    """Check FILE as a server would on upload, and list all problems with line and column; exit code 1 if there are any.

    What a server would mend or ignore is listed as a warning, and is no reason to fail.
    """
    found = problems_of(file, chunks=chunks)
    if schema:
        found += _problems_of_schema(file)
    failed = any(problem["rejected"] for problem in found)
    if as_json:
        tell_json({"file": str(file), "valid": not failed, "problems": found})
    else:
        _show(file, found)
    if failed:
        raise Exit(EXIT_PART)


def problems_of(file: "str | PathLike[str]", *, chunks: bool) -> list[dict[str, Any]]:
    """Return what is wrong with an annotation file, in the order of the file: as plain data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is listed
        try:
            annotation = wk.Annotation.load(file)
        except NmlError as error:
            return [_problem(str(error), line=error.line, column=error.column)]
    found = [
        _problem(
            f"<{problem.element}>: {problem.reason}; {problem.done}",
            line=problem.line,
            column=problem.column,
            rejected=problem.rejected_by_server,
        )
        for problem in annotation.problems
    ]
    for tree in annotation.skeleton.flattened_trees():
        parts = tree.number_of_components()
        if parts > 1:
            text = f"tree {tree.id} {tree.name!r} has {parts} parts that no edge joins; a server makes a tree of each"
            found.append(_problem(text, rejected=False))
    for layer in annotation.volume_layers:
        found += [_problem(f"volume layer {layer.name!r}: {text}") for text in _problems_of_layer(layer, chunks=chunks)]
    return found


def _problems_of_schema(file: "str | PathLike[str]") -> list[dict[str, Any]]:
    try:
        found = checking.schema_problems(file)
    except NmlError as error:
        return [_problem(str(error), line=error.line, column=error.column)]
    return [_problem(f"schema: <{each.element}>: {each.reason}", line=each.line, column=each.column) for each in found]


def _problems_of_layer(layer: "wk.VolumeLayer", *, chunks: bool) -> list[str]:
    if layer.missing_member is not None:
        return [f"its data {layer.missing_member!r} are not in the file"]
    if layer.data is None:
        return []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            layer.check(chunks=chunks)
        except WkfastError as error:
            return [str(error)]
    return [str(warning.message) for warning in caught]


def _problem(
    message: str, *, line: int | None = None, column: int | None = None, rejected: bool = True
) -> dict[str, Any]:
    return {"line": line, "column": column, "rejected": rejected, "message": message}


def _show(file: "str | PathLike[str]", found: list[dict[str, Any]]) -> None:
    if not found:
        tell(f"{file} is valid")
        return
    table = tables.Table(title=plain(str(file)), title_justify="left")
    for heading, justify in (("line", "right"), ("column", "right"), ("", "left"), ("problem", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for problem in found:
        place = [str(problem[key] or "") for key in ("line", "column")]
        table.add_row(*place, "[red]error[/]" if problem["rejected"] else "warning", plain(problem["message"]))
    show(table)
