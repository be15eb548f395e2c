"""``wkfast download`` and ``wkfast upload``: annotations from and to a server, streamed."""

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from wkfast._lazy import lazy_import
from wkfast._short import counted
from wkfast.buckets import ObjectPath, any_path, local_copy, local_folder
from wkfast.cli.arguments import EXIT_PART, Argument, Exit, Option, UsageError
from wkfast.cli.console import after_work, bytes_text, complain, progress_wanted, tell, tell_json
from wkfast.errors import AnnotationSuffixError

if TYPE_CHECKING:
    from wkfast import client
    from wkfast.annotation import bulk
    from wkfast.annotation.bulk_report import DownloadReport
    from wkfast.client import Context, urls
else:
    bulk = lazy_import("wkfast.annotation.bulk")
    client = lazy_import("wkfast.client")  # the other commands never speak to a server
    urls = lazy_import("wkfast.client.urls")

_Url = Annotated[str | None, Option("Server; default: WK_URL, else https://webknossos.org.", spelling="--url")]
_Token = Annotated[
    str | None,
    Option("Default: WK_TOKEN, which, unlike this option, no list of processes shows.", spelling="--token"),
]
_Progress = Annotated[bool | None, Option("Default: shown in a terminal.")]
_ENDINGS = {".zip", ".nml"}
# A # within a URL begins what a page of the server is to show.
_COMMENT = re.compile(r"(^|\s)#.*")
_Json = Annotated[bool, Option("Print facts as JSON.", spelling="--json")]


def download(
    annotation: Annotated[
        str,
        Argument(
            "An id, a URL or a short link; or a file with one in each line (comments behind #), - for stdin.",
            metavar="ANNOTATION_OR_FILE",
        ),
    ],
    target: Annotated[str, Argument("File to create, or a folder to put it in; or its address.")],
    *,
    skip_volume_data: Annotated[bool, Option("Leave the voxels out.", spelling="--skip-volume-data")] = False,
    overwrite: Annotated[bool, Option("Replace a file that is there.", spelling="--overwrite")] = False,
    concurrency: Annotated[int, Option("Downloads at once, of the lines of a file.", least=1)] = 4,
    url: _Url = None,
    token: _Token = None,
    progress: _Progress = None,
    as_json: _Json = False,
) -> None:
    """Download an annotation to TARGET. The file appears whole or not at all; memory stays flat for any size.

    24 hexadecimal digits are an id and what begins with http:// or https:// is a URL; anything else is a file with
    many, for the folder TARGET. Those that are there already are kept; what failed is told at the end, exit code 1.
    """
    context, token = _context(url, token), None
    wanted = any_path(target, "an annotation")
    lines = _lines(annotation)
    if lines is not None:
        with client.webknossos_context(context.url, context.token, context.timeout, context.api_version):
            report = bulk.download_annotations(
                lines, wanted, concurrency=concurrency, skip_volume_data=skip_volume_data,
                overwrite=overwrite, progress=progress_wanted(progress),
            )  # fmt: skip
        there = counted(len(report.downloads) - len(report.failed), "annotations")
        with after_work(f"what there is to be had is in {wanted}: {there}"):
            _tell(report, as_json=as_json)
        if report.failed:
            raise Exit(EXIT_PART)
        return
    found = client.resolve_annotation(annotation, context=context)
    options = {
        "skip_volume_data": skip_volume_data,
        "overwrite": overwrite,
        "progress": progress_wanted(progress),
        "kind": _kind_of(wanted),
    }
    path, received = _received(found, wanted, options)
    with after_work(f"{path} is there"):
        if as_json:
            tell_json({"path": str(path), "kind": received.kind, "bytes": received.size})
        else:
            tell(f"{path} ({bytes_text(received.size)})")


def _kind_of(target: Path | ObjectPath) -> str | None:
    """Return what a file is to be that is called so; ``None`` for a folder, or another name."""
    ending = target.suffix.lower()
    is_folder = isinstance(target, Path) and target.is_dir()
    return ending.removeprefix(".") if ending in _ENDINGS and not is_folder else None


def _received(
    found: "client.ResolvedAnnotation", target: Path | ObjectPath, options: dict[str, Any]
) -> "tuple[Path | ObjectPath, client.Download]":
    """Download an annotation, and return where it lies. What a bucket is to have is a temporary file first."""
    download = client.Client(found.context).annotations.download
    if not isinstance(target, ObjectPath):
        received = download(found.annotation_id, target, **options)
        return received.path, received
    folder = target
    if options["kind"] is not None:
        _refuse_existing(target, options)
        folder = target.parent
    with local_folder(folder, "download") as here:
        received = download(found.annotation_id, here / target.name if folder is not target else here, **options)
        file = folder / received.path.name
        _refuse_existing(file, options)
    return file, received


def _refuse_existing(file: ObjectPath, options: dict[str, Any]) -> None:
    if not options["overwrite"] and file.exists():
        raise FileExistsError(f"{file} is there already; --overwrite replaces it")


def upload(
    file: Annotated[str, Argument("An annotation: .zip or .nml; or its address.")],
    *,
    name: Annotated[str | None, Option("Name of the new annotation; default: the file's.")] = None,
    url: _Url = None,
    token: _Token = None,
    progress: _Progress = None,
    as_json: _Json = False,
) -> None:
    """Upload FILE as a new annotation and print its URL."""
    path = any_path(file, "an annotation")
    if path.suffix.lower() not in _ENDINGS:
        raise AnnotationSuffixError(f"cannot upload {path}: an annotation is a .zip or .nml file")
    context, token = _context(url, token), None
    if context.token is None:
        raise client.errors.AuthenticationError(f"uploading to {context.url} needs a token: set WK_TOKEN")
    with local_copy(path) as copy:
        made = client.Client(context).annotations.upload(copy, name=name, progress=progress_wanted(progress))
    for kind, text in made.messages:
        if kind != "success":
            complain(f"the server says: {text}", "yellow")
    with after_work(f"the annotation is {made.url}"):
        if as_json:
            tell_json({"url": made.url, "id": made.id, "type": made.typ})
        else:
            tell(made.url)


def _lines(name: str) -> list[str] | None:
    """Return the lines of a file that say something, ``None`` where one annotation is meant.

    Raises
    ------
    UsageError
        There is no such file, or it is no text.
    """
    if urls.is_url(name) or urls.is_object_id(name):
        return None
    if name != "-" and (not Path(name).exists() or Path(name).is_dir()):
        raise UsageError(
            f"{name} is neither an id (24 hexadecimal digits) nor a URL (https://…), nor a file with such in it"
        )
    data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UsageError(f"{name} is no list of annotations: it is not text with an id or URL in each line")
    return [said for line in text.splitlines() if (said := _COMMENT.sub("", line).strip())]


def _tell(report: "DownloadReport", *, as_json: bool) -> None:
    """Print what became of many annotations."""
    if as_json:
        tell_json(json.loads(report.to_json()))
    else:
        for line in str(report).splitlines():
            tell(line)


def _context(url: str | None, token: str | None) -> "Context":
    """Return the context of the environment, with what the command line says instead.

    The environment's token goes to the server that the environment names, or to that of the command line if it names
    none.
    """
    given = client.current_context()
    secret = client.Secret(token) if token is not None else given.token
    if url is None:
        return client.Context(given.url, secret, given.timeout, given.api_version)
    elsewhere = client.Context(url, None, given.timeout)
    if token is None and os.environ.get("WK_URL") and elsewhere.url != given.url:
        return elsewhere
    return client.Context(url, secret, given.timeout)
