"""What the stand-in server knows: users, datasets and annotations.

Nothing here uses wkfast: volume chunks are read with zipfile, numcodecs and numpy, so the server is a second opinion.
"""

import io
import itertools
import json
import re
import time
import uuid
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numcodecs
import numpy as np

Int3 = tuple[int, int, int]
SIDE = 32


class Refusal(Exception):  # noqa: N818 (it is an answer, not a mistake)
    """An answer that is no success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class User:
    id: str
    token: str
    organization: str
    first_name: str
    last_name: str

    def short(self) -> dict:
        return {"id": self.id, "firstName": self.first_name, "lastName": self.last_name}

    def full(self) -> dict:
        return {
            **self.short(), "email": f"{self.first_name.lower()}@example.com", "organization": self.organization,
            "isAdmin": False, "isDatasetManager": False, "isActive": True, "isAnonymous": False, "isGuest": False,
            "isUnlisted": False, "isSuperUser": False, "isOrganizationOwner": False, "isEditable": True,
            "isEmailVerified": True, "novelUserExperienceInfos": {}, "selectedTheme": "auto", "lastTaskTypeId": None,
            "teams": [], "experiences": {}, "created": 1_700_000_000_000, "lastActivity": 1_700_000_000_000,
        }  # fmt: skip


@dataclass
class Layer:
    """Voxels by mag and chunk position, each chunk 32³ with the first axis fastest."""

    name: str
    dtype: np.dtype
    topleft: Int3
    size: Int3
    chunks: dict[Int3, dict[Int3, np.ndarray]]
    category: str = "segmentation"
    fallback: "Layer | None" = None

    @classmethod
    def of(cls, name: str, voxels: np.ndarray, topleft: Int3 = (0, 0, 0)) -> "Layer":
        """Cut mag-1 voxels, whose corner lies on a chunk's, into chunks."""
        layer = cls(name, voxels.dtype, topleft, voxels.shape, {(1, 1, 1): {}})
        counts = [-(-length // SIDE) for length in voxels.shape]
        for position in itertools.product(*map(range, counts)):
            box = tuple(slice(p * SIDE, (p + 1) * SIDE) for p in position)
            chunk = np.zeros((SIDE,) * 3, voxels.dtype, order="F")
            part = voxels[box]
            chunk[tuple(map(slice, part.shape))] = part
            index = tuple(p + t // SIDE for p, t in zip(position, topleft, strict=True))
            layer.chunks[1, 1, 1][index] = chunk
        return layer

    def mags(self) -> list[Int3]:
        fallback = set(self.fallback.chunks) if self.fallback else set()
        return sorted(set(self.chunks) | fallback)

    def chunk(self, mag: Int3, position: Int3) -> np.ndarray | None:
        """Return a chunk as a viewer shows it: painted where it was painted, zeros included, else the fallback's."""
        own = self.chunks.get(mag, {}).get(position)
        if own is None and self.fallback is not None:
            return self.fallback.chunk(mag, position)
        return own

    def cutout(self, mag: Int3, start: Int3, size: Int3) -> tuple[np.ndarray, int]:
        """Return a box in voxels of ``mag``, and how many of its chunks are not there and were filled with zeros."""
        box, missing = np.zeros(size, self.dtype, order="F"), 0
        ranges = [range(a // SIDE, -(-(a + n) // SIDE)) for a, n in zip(start, size, strict=True)]
        for position in itertools.product(*ranges):
            chunk = self.chunk(mag, position)
            missing += chunk is None
            for_box, for_chunk = zip(*map(_overlap, position, start, size), strict=True)
            if chunk is not None:
                box[for_box] = chunk[for_chunk]
        return box, missing

    def described(self, path_prefix: str = ".") -> dict:
        x, y, z = self.size
        mags = [{"mag": list(mag), "path": f"{path_prefix}/{self.name}/{mag_name(mag)}",
                 "axisOrder": {"c": 0, "x": 1, "y": 2, "z": 3}} for mag in self.mags()]  # fmt: skip
        return {
            "name": self.name, "category": self.category, "elementClass": self.dtype.name, "dataFormat": "zarr",
            "boundingBox": {"topLeft": list(self.topleft), "width": x, "height": y, "depth": z},
            "mags": mags, "resolutions": [list(mag) for mag in self.mags()], "numChannels": 1, "largestSegmentId": 1000,
        }  # fmt: skip


def _overlap(position: int, start: int, length: int) -> tuple[slice, slice]:
    """Return where a chunk's part lies in the box and in the chunk, along one axis."""
    low, high = max(position * SIDE, start), min((position + 1) * SIDE, start + length)
    return slice(low - start, high - start), slice(low - position * SIDE, high - position * SIDE)


def mag_name(mag: Int3) -> str:
    return str(mag[0]) if len(set(mag)) == 1 else "-".join(map(str, mag))


@dataclass
class Dataset:
    id: str
    name: str
    organization: str
    voxel_size: tuple[float, float, float]
    layers: list[Layer]
    directory_name: str = ""
    is_public: bool = False
    sharing_token: str = ""
    description: str | None = None
    tags: list[str] = field(default_factory=list)
    metadata: list[dict] = field(default_factory=list)

    def source(self) -> dict:
        return {
            "id": {"name": self.directory_name or self.name, "team": self.organization},
            "dataLayers": [layer.described() for layer in self.layers],
            "scale": {"factor": list(self.voxel_size), "unit": "nanometer"},
        }


@dataclass
class Annotation:
    id: str
    name: str
    owner: User
    dataset: Dataset
    nml: str
    volumes: dict[str, bytes]
    typ: str = "Explorational"
    description: str = ""
    state: str = "Active"
    visibility: str = "Internal"
    is_locked_by_owner: bool = False
    modified: int = field(default_factory=lambda: int(time.time() * 1000))
    tracing_ids: dict[str, str] = field(default_factory=dict)
    task_id: str | None = None

    def layers(self) -> list[Layer]:
        """Return the volume layers, read from the zips that were uploaded."""
        return [self._layer(element) for element in re.findall(r"<volume\b[^>]*>", self.nml)]

    def _layer(self, element: str) -> Layer:
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', element))
        fallback = next((it for it in self.dataset.layers if it.name == attributes.get("fallbackLayer")), None)
        first = fallback or self.dataset.layers[0]
        chunks = read_volume(self.volumes.get(attributes.get("location", ""), b""))
        arrays = [chunk for mag in chunks.values() for chunk in mag.values()]
        dtype = arrays[0].dtype if arrays else first.dtype
        return Layer(attributes.get("name", "Volume"), dtype, first.topleft, first.size, chunks, fallback=fallback)

    def exported(self, *, with_volumes: bool) -> str:
        """Return the NML as a download has it: a new time stamp each time, its own id, its owner."""
        facts = {"timestamp": time.time_ns(), "annotationId": self.id,
                 "username": f"{self.owner.first_name} {self.owner.last_name}"}  # fmt: skip
        metas = "".join(f'<meta name="{name}" content="{value}" />' for name, value in facts.items())
        nml = re.sub(rf'<meta name="({"|".join(facts)})"[^>]*/>', "", self.nml)
        nml = re.sub(r"(<things[^>]*>)", rf"\1{metas}", nml, count=1)
        nml = re.sub(r'\sdatasetId="[^"]*"', "", nml)
        nml = re.sub(r"(<experiment\b)", rf'\1 datasetId="{self.dataset.id}"', nml, count=1)
        return nml if with_volumes else re.sub(r'(?<=\s)(location|format)="[^"]*"\s?', "", nml)


def read_volume(data: bytes) -> dict[Int3, dict[Int3, np.ndarray]]:
    """Return the chunks of a volume zip in the Zarr v3 dialect that servers write."""
    if not data:
        return {}
    found: dict[Int3, dict[Int3, np.ndarray]] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        headers = {name.rpartition("/")[0]: json.loads(archive.read(name)) for name in archive.namelist()
                   if name.endswith("/zarr.json")}  # fmt: skip
        for name in archive.namelist():
            folder, _, key = name.rpartition("/")
            match = re.fullmatch(r"(?:c\.)?0\.(\d+)\.(\d+)\.(\d+)", key)
            header = headers.get(folder)
            if match and header and header.get("node_type") == "array":
                mag = parsed_mag(folder.rpartition("/")[2])
                found.setdefault(mag, {})[tuple(map(int, match.groups()))] = _decoded(archive.read(name), header)
    return found


def parsed_mag(text: str) -> Int3:
    parts = [int(part) for part in text.split("-")]
    return tuple(parts * 3 if len(parts) == 1 else parts)


def _decoded(data: bytes, header: dict) -> np.ndarray:
    names = [codec["name"] for codec in header["codecs"]]
    if names[:1] != ["transpose"] or names[-1] != "blosc":
        raise Refusal(501, f"the stand-in reads transposed blosc chunks only, not {names}")
    voxels = np.frombuffer(numcodecs.Blosc().decode(data), header["data_type"])
    return voxels.reshape((SIDE,) * 3, order="F")


def new_id() -> str:
    return uuid.uuid4().hex[:24]


@dataclass
class State:
    """All of it, with the rights: who may see and do what."""

    users: dict[str, User] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    annotations: dict[str, Annotation] = field(default_factory=dict)
    short_links: dict[str, str] = field(default_factory=dict)
    agglomerate_graphs: dict[int, bytes] = field(default_factory=dict)
    #: Ids of tasks by name of the project; its id is its name in hexadecimal digits.
    projects: dict[str, list[str]] = field(default_factory=dict)

    def add_user(
        self, token: str, *, organization: str = "Org", first_name: str = "Ada", last_name: str = "Example"
    ) -> User:
        user = User(new_id(), token, organization, first_name, last_name)
        self.users[token] = user
        return user

    def add_dataset(
        self, name: str, layers: list[Layer], *, organization: str = "Org", is_public: bool = False
    ) -> Dataset:
        dataset = Dataset(new_id(), name, organization, (11.24, 11.24, 28.0), layers, name, is_public, uuid.uuid4().hex)
        self.datasets[dataset.id] = dataset
        return dataset

    def user(self, token: str | None) -> User:
        if token is None or token not in self.users:
            raise Refusal(401, "Token is missing or unknown")
        return self.users[token]

    def dataset(self, dataset_id: str, token: str | None, sharing_token: str | None = None) -> Dataset:
        _check_id(dataset_id)
        dataset = self.datasets.get(dataset_id)
        if dataset is None:
            raise Refusal(404, "Dataset could not be found")
        user = self.users.get(token or "")
        allowed = dataset.is_public or sharing_token == dataset.sharing_token
        if not allowed and (user is None or user.organization != dataset.organization):
            raise Refusal(404, "Dataset could not be found")
        return dataset

    def annotation(self, annotation_id: str, token: str | None) -> Annotation:
        _check_id(annotation_id)
        annotation = self.annotations.get(annotation_id)
        user = self.users.get(token or "")
        if annotation is None:
            raise Refusal(404, "Annotation could not be found")
        if not may_read(annotation, user):
            raise Refusal(403, "You are not authorized to view this annotation")
        return annotation

    def upload(self, filename: str, data: bytes, user: User) -> Annotation:
        """Make an annotation of a zip or an NML."""
        members = {filename: data}
        if filename.endswith(".zip"):
            try:
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    members = {name: archive.read(name) for name in archive.namelist()}
            except zipfile.BadZipFile:
                raise Refusal(400, "Not a zip file") from None
        nmls = [name for name in members if name.endswith(".nml")]
        if len(nmls) != 1:
            raise Refusal(400, f"Expected one NML, found {len(nmls)}")
        nml = members.pop(nmls[0]).decode()
        dataset = self._dataset_of(nml, user)
        annotation = Annotation(new_id(), Path(filename).stem, user, dataset, nml, members)
        self.annotations[annotation.id] = annotation
        return annotation

    def _dataset_of(self, nml: str, user: User) -> Dataset:
        experiment = re.search(r"<experiment\b[^>]*>", nml)
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', experiment[0])) if experiment else {}
        for dataset in self.datasets.values():
            named = (dataset.name, dataset.organization) == (attributes.get("name"), attributes.get("organization"))
            if (named or dataset.id == attributes.get("datasetId")) and dataset.organization == user.organization:
                return dataset
        raise Refusal(400, f"The dataset {attributes.get('name')!r} does not exist, or you may not use it")


def may_read(annotation: Annotation, user: User | None) -> bool:
    if annotation.visibility == "Public" or (user is not None and user.id == annotation.owner.id):
        return True
    return (
        annotation.visibility == "Internal" and user is not None and user.organization == annotation.owner.organization
    )


def _check_id(value: str) -> None:
    if not re.fullmatch(r"[0-9a-f]{24}", value):
        raise Refusal(400, f"The passed resource id ‘{value}’ is invalid")
