"""Annotations and datasets on a WEBKNOSSOS server: bytes and records, nothing above.

::

    with webknossos_context("https://webknossos.org", token="…"):
        found = resolve_annotation("https://webknossos.org/annotations/570ba0092a7c0e980056fe9b")
        Client(found.context).annotations.download(found.annotation_id, "annotation.zip")

Importing this package loads none of its parts, nor any HTTP library; the first use, and the first request, do.
"""

from typing import TYPE_CHECKING

from wkfast._lazy import lazy_names

if TYPE_CHECKING:
    from wkfast.client.client import Client
    from wkfast.client.context import Context, current_context, login, webknossos_context
    from wkfast.client.resolve import (
        ResolvedAnnotation,
        ResolvedDataset,
        context_for,
        resolve_annotation,
        resolve_dataset,
    )
    from wkfast.client.retry import Clock, RetryPolicy
    from wkfast.client.routes import SUPPORTED_VERSIONS
    from wkfast.client.secret import Secret
    from wkfast.client.session import Session, Timeouts, close_shared_session, shared_session
    from wkfast.client.transfer import Download
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "wkfast.client.client": ["Client"],
            "wkfast.client.context": ["Context", "current_context", "login", "webknossos_context"],
            "wkfast.client.resolve": [
                "ResolvedAnnotation",
                "ResolvedDataset",
                "context_for",
                "resolve_annotation",
                "resolve_dataset",
            ],
            "wkfast.client.retry": ["Clock", "RetryPolicy"],
            "wkfast.client.routes": ["SUPPORTED_VERSIONS"],
            "wkfast.client.secret": ["Secret"],
            "wkfast.client.session": ["Session", "Timeouts", "close_shared_session", "shared_session"],
            "wkfast.client.transfer": ["Download"],
        },
    )

__all__ = [
    "SUPPORTED_VERSIONS",
    "Client",
    "Clock",
    "Context",
    "Download",
    "ResolvedAnnotation",
    "ResolvedDataset",
    "RetryPolicy",
    "Secret",
    "Session",
    "Timeouts",
    "close_shared_session",
    "context_for",
    "current_context",
    "login",
    "resolve_annotation",
    "resolve_dataset",
    "shared_session",
    "webknossos_context",
]
