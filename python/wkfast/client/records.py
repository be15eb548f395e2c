"""What the server tells, as frozen records. Fields that a server may leave out are ``None`` or empty."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wkfast.client.fields import Fields

Int3 = tuple[int, int, int]


@dataclass(frozen=True)
class BuildInfo:
    """Version of a server and the range of API versions it speaks; ``None`` on servers older than API v6."""

    version: str | None
    current_api_version: int | None
    oldest_api_version: int | None

    @classmethod
    def of(cls, fields: Fields) -> "BuildInfo":
        """Check and take over a build info."""
        webknossos = fields.child_or_none("webknossos")
        versioning = fields.child_or_none("httpApiVersioning")
        return cls(
            version=webknossos and webknossos.text_or_none("version"),
            current_api_version=versioning and versioning.integer_or_none("currentApiVersion"),
            oldest_api_version=versioning and versioning.integer_or_none("oldestSupportedApiVersion"),
        )


@dataclass(frozen=True)
class Team:
    """A team of an organisation."""

    id: str
    name: str
    is_team_manager: bool = False

    @classmethod
    def of(cls, fields: Fields) -> "Team":
        """Check and take over a team."""
        return cls(fields.text("id"), fields.text("name"), fields.boolean_or_none("isTeamManager") or False)


@dataclass(frozen=True)
class User:
    """A user: the token's owner in full, others as far as the server tells. Times are milliseconds since the epoch."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str | None = None
    organization: str | None = None
    is_admin: bool = False
    is_dataset_manager: bool = False
    is_active: bool = True
    teams: tuple[Team, ...] = ()
    experiences: Mapping[str, int] = field(default_factory=dict)
    created: int | None = None
    last_activity: int | None = None

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}".strip()

    @classmethod
    def of(cls, fields: Fields) -> "User":
        """Check and take over a user."""
        experiences = fields.child_or_none("experiences")
        return cls(
            id=fields.text("id"),
            first_name=fields.text_or_none("firstName") or "",
            last_name=fields.text_or_none("lastName") or "",
            email=fields.text_or_none("email"),
            organization=fields.text_or_none("organization"),
            is_admin=fields.boolean_or_none("isAdmin") or False,
            is_dataset_manager=fields.boolean_or_none("isDatasetManager") or False,
            is_active=fields.boolean_or_none("isActive") is not False,
            teams=tuple(map(Team.of, fields.children("teams"))),
            experiences={key: experiences.integer(key) for key in experiences.raw()} if experiences else {},
            created=fields.integer_or_none("created"),
            last_activity=fields.integer_or_none("lastActivity"),
        )


@dataclass(frozen=True)
class AnnotationLayer:
    """A skeleton or volume layer of an annotation; ``typ`` is ``"Skeleton"`` or ``"Volume"``."""

    tracing_id: str
    typ: str
    name: str | None = None

    @classmethod
    def of(cls, fields: Fields) -> "AnnotationLayer":
        """Check and take over a layer."""
        return cls(fields.text("tracingId"), fields.text("typ"), fields.text_or_none("name"))


@dataclass(frozen=True)
class AnnotationRecord:
    """An annotation on a server. Lists of annotations leave out what belongs to data store, data set id and rights.

    Attributes
    ----------
    typ
        ``Explorational``, ``Task`` or a compound type.
    state
        ``Active``, ``Finished``, ``Cancelled`` or ``Initializing``.
    modified
        Milliseconds since the epoch.
    tracing_time
        Milliseconds spent on it; ``None`` when unknown, 0 in lists.
    may_update
        What the server says about the right to change it; ``None`` when it says nothing.
    """

    id: str
    typ: str
    name: str = ""
    description: str = ""
    state: str | None = None
    modified: int | None = None
    tracing_time: int | None = None
    layers: tuple[AnnotationLayer, ...] = ()
    dataset_id: str | None = None
    dataset_name: str | None = None
    organization: str | None = None
    data_store_url: str | None = None
    tracing_store_url: str | None = None
    owner: User | None = None
    visibility: str | None = None
    may_update: bool | None = None
    may_download: bool | None = None
    others_may_edit: bool | None = None
    is_locked_by_owner: bool | None = None
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, fields: Fields) -> "AnnotationRecord":
        """Check and take over an annotation; anything but ``id`` and ``typ`` may be missing."""
        rights = fields.child_or_none("restrictions")
        owner = fields.child_or_none("owner") or fields.child_or_none("user")
        return cls(
            id=fields.text("id"),
            typ=fields.text("typ"),
            name=fields.text_or_none("name") or "",
            description=fields.text_or_none("description") or "",
            state=fields.text_or_none("state"),
            modified=fields.integer_or_none("modified"),
            tracing_time=fields.integer_or_none("tracingTime"),
            layers=tuple(map(AnnotationLayer.of, fields.children("annotationLayers"))),
            dataset_id=fields.text_or_none("datasetId"),
            dataset_name=fields.text_or_none("dataSetName"),
            organization=fields.text_or_none("organization"),
            data_store_url=_url_of(fields, "dataStore"),
            tracing_store_url=_url_of(fields, "tracingStore"),
            owner=owner and User.of(owner),
            visibility=fields.text_or_none("visibility"),
            may_update=rights and rights.boolean_or_none("allowUpdate"),
            may_download=rights and rights.boolean_or_none("allowDownload"),
            others_may_edit=fields.boolean_or_none("othersMayEdit"),
            is_locked_by_owner=fields.boolean_or_none("isLockedByOwner"),
            tags=fields.texts("tags"),
        )


def _url_of(fields: Fields, key: str) -> str | None:
    store = fields.child_or_none(key)
    return store and store.text_or_none("url")


@dataclass(frozen=True)
class UploadResult:
    """The annotation that an upload made, its URL, and what the server remarked as ``(kind, text)``."""

    id: str
    typ: str
    url: str
    messages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Store:
    """A data store or tracing store."""

    name: str
    url: str
    allows_upload: bool | None = None

    @classmethod
    def of(cls, fields: Fields) -> "Store":
        """Check and take over a store."""
        return cls(fields.text("name"), fields.text("url"), fields.boolean_or_none("allowsUpload"))


@dataclass(frozen=True)
class DataLayer:
    """A layer of a dataset. ``topleft`` and ``size`` are in mag-1 voxels."""

    name: str
    category: str
    element_class: str
    topleft: Int3
    size: Int3
    mags: tuple[Int3, ...]
    num_channels: int | None = None
    data_format: str | None = None
    largest_segment_id: int | None = None

    @classmethod
    def of(cls, fields: Fields) -> "DataLayer":
        """Check and take over a layer."""
        box = fields.child("boundingBox")
        mags = tuple(mag.integers3("mag") for mag in fields.children("mags"))
        return cls(
            name=fields.text("name"),
            category=fields.text("category"),
            element_class=fields.text("elementClass"),
            topleft=box.integers3("topLeft"),
            size=(box.integer("width"), box.integer("height"), box.integer("depth")),
            mags=mags or tuple(map(_int3, fields.items("resolutions"))),
            num_channels=fields.integer_or_none("numChannels"),
            data_format=fields.text_or_none("dataFormat"),
            largest_segment_id=fields.integer_or_none("largestSegmentId"),
        )


def _int3(value: object) -> Int3:
    return Fields({"mag": value}, "resolutions").integers3("mag")


@dataclass(frozen=True)
class VoxelSizeRecord:
    """Edge lengths of a mag-1 voxel, in ``unit``."""

    factor: tuple[float, float, float]
    unit: str = "nanometer"


@dataclass(frozen=True)
class DatasetRecord:
    """A dataset on a server. ``status`` is set, and there are no layers, when the server cannot read it."""

    id: str
    name: str
    organization: str | None
    directory_name: str | None
    data_store_url: str
    is_public: bool | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    folder_id: str | None = None
    created: int | None = None
    used_storage_bytes: int | None = None
    status: str | None = None
    voxel_size: VoxelSizeRecord | None = None
    layers: tuple[DataLayer, ...] = ()
    #: Entries with ``key``, ``type`` (``string``, ``number`` or ``string[]``) and ``value``, as they came.
    metadata: tuple[Mapping[str, Any], ...] = ()
    #: The ``dataSource`` object as it came, for readers of ``datasource-properties.json``.
    data_source: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, fields: Fields) -> "DatasetRecord":
        """Check and take over a dataset."""
        source = fields.child("dataSource")
        status = source.text_or_none("status")
        return cls(
            id=fields.text("id"),
            name=fields.text("name"),
            organization=fields.text_or_none("owningOrganization"),
            directory_name=fields.text_or_none("directoryName"),
            data_store_url=fields.child("dataStore").text("url"),
            is_public=fields.boolean_or_none("isPublic"),
            description=fields.text_or_none("description"),
            tags=fields.texts("tags"),
            folder_id=fields.text_or_none("folderId"),
            created=fields.integer_or_none("created"),
            used_storage_bytes=fields.integer_or_none("usedStorageBytes"),
            status=status,
            voxel_size=_voxel_size(source),
            layers=() if status else tuple(map(DataLayer.of, source.children("dataLayers"))),
            metadata=tuple(entry.raw() for entry in fields.children("metadata")),
            data_source=source.raw(),
        )


def _voxel_size(source: Fields) -> VoxelSizeRecord | None:
    if "scale" not in source:
        return None
    if not source.is_object("scale"):
        return VoxelSizeRecord(source.numbers3("scale"))
    scale = source.child("scale")
    return VoxelSizeRecord(scale.numbers3("factor"), scale.text_or_none("unit") or "nanometer")


@dataclass(frozen=True)
class DatasetName:
    """A dataset's id and names, as the lookup by directory name tells them."""

    id: str
    name: str
    organization: str
    directory_name: str

    @classmethod
    def of(cls, fields: Fields) -> "DatasetName":
        """Check and take over the answer of the lookup."""
        return cls(fields.text("id"), fields.text("name"), fields.text("organization"), fields.text("directoryName"))
