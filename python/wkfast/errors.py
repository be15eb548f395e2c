"""Exceptions of wkfast. Each also inherits the built-in that scripts for the reference API catch.

::

    WkfastError
    ├── AnnotationFileNotFoundError    (FileNotFoundError, AssertionError)
    ├── AnnotationSuffixError          (RuntimeError, AssertionError)
    ├── AnnotationZipError             (RuntimeError, AssertionError)
    ├── AnnotationError                (AssertionError)
    │   ├── AnnotationIdError          (ValueError)
    │   └── NotSavedError              (NotImplementedError)
    ├── NmlError                       (RuntimeError)
    ├── VolumeLayerNotFoundError       (AssertionError)
    ├── VolumeLayerAmbiguousError      (ValueError)
    ├── SkeletonError                  (ValueError)
    ├── SwcError                       (ValueError)
    ├── GeometryError                  (ValueError, AssertionError)
    ├── DatasetError                   (RuntimeError)
    │   ├── DatasetNotFoundError       (FileNotFoundError)
    │   ├── DatasetValueError          (ValueError, AssertionError)
    │   │   ├── VoxelTypeError         (TypeError)
    │   │   └── ReadOnlyError
    │   ├── ChangedMeanwhileError      (OSError)
    │   ├── ExistsError                (IndexError)
    │   │   └── BeingMadeError
    │   ├── LayerNotFoundError         (IndexError)
    │   └── MagNotFoundError           (IndexError)
    ├── VolumeDataError                (RuntimeError)
    │   └── VolumeDataMissingError     (ValueError, AssertionError)
    ├── EnvironmentVariableError       (ValueError)
    ├── ExecutorError                  (RuntimeError)
    ├── MissingExtraError              (ImportError)
    └── MergeError                     (ValueError, AssertionError)
        └── TargetNotEmptyError        (RuntimeError)
            └── TargetBusyError

    StopRequested                      (KeyboardInterrupt)

The errors of REST calls stand in ``wkfast.client.errors``, below ``ClientError``, a ``RuntimeError``.

They are raised, never asserted, so they survive ``python -O``. This module imports next to nothing: the compiled
core looks its classes up here.
"""

from wkfast._short import short_message

__all__ = [
    "AnnotationError",
    "AnnotationFileNotFoundError",
    "AnnotationIdError",
    "AnnotationSuffixError",
    "AnnotationZipError",
    "BeingMadeError",
    "ChangedMeanwhileError",
    "DatasetError",
    "DatasetNotFoundError",
    "DatasetValueError",
    "EnvironmentVariableError",
    "ExecutorError",
    "ExistsError",
    "GeometryError",
    "LayerNotFoundError",
    "MagNotFoundError",
    "MergeError",
    "MissingExtraError",
    "NmlError",
    "NotSavedError",
    "ReadOnlyError",
    "SkeletonError",
    "StopRequested",
    "SwcError",
    "TargetBusyError",
    "TargetNotEmptyError",
    "VolumeDataError",
    "VolumeDataMissingError",
    "VolumeLayerAmbiguousError",
    "VolumeLayerNotFoundError",
    "VoxelTypeError",
    "WkfastError",
]


class WkfastError(Exception):
    """Whatever wkfast itself raises.

    A message is 2,000 characters at most, whatever the value is that it shows: its middle is left out.

    Examples
    --------
    >>> message = str(WkfastError(f"a.json: 'name' is {'x' * 9000!r}, expected a text"))
    >>> len(message), message[:20], message[-20:]
    (2000, "a.json: 'name' is 'x", "xx', expected a text")
    """

    def __init__(self, *args: object, **options: object) -> None:
        shown = (short_message(each) if isinstance(each, str) else each for each in args)
        super().__init__(*shown, **options)  # those of the built-in that a class is as well


class AddressError(WkfastError, ValueError, TypeError):
    """Something lies in a bucket or on a server where only a path of this machine will do, or is no path at all."""


class FileNameError(AddressError):
    """No file can be called so: the name holds a zero character, or half of one."""


class AnnotationFileNotFoundError(WkfastError, FileNotFoundError, AssertionError):
    """There is no file at the path of the annotation."""


class AnnotationSuffixError(WkfastError, RuntimeError, AssertionError):
    """An annotation path ends neither in ``.nml`` nor in ``.zip``."""


class AnnotationZipError(WkfastError, RuntimeError, AssertionError):
    """A zip file is no annotation: not a zip, or without exactly one NML."""


class AnnotationError(WkfastError, AssertionError):
    """An annotation cannot do what was asked of it as it stands."""


class AnnotationIdError(AnnotationError, ValueError):
    """An annotation without id is asked for something that its server knows."""


class NotSavedError(AnnotationError, NotImplementedError):
    """An annotation that stays on its server is not saved to a file."""


class NmlError(WkfastError, RuntimeError):
    """An NML file cannot be read. The message names file, line, column, element and what was expected."""

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class VolumeLayerNotFoundError(WkfastError, AssertionError):
    """No such volume layer; the message lists those there are."""


class VolumeLayerAmbiguousError(WkfastError, ValueError):
    """Several volume layers fit and none was chosen."""


class SkeletonError(WkfastError, ValueError):
    """A tree, group or node cannot be made, found or changed as asked."""


class SwcError(WkfastError, ValueError):
    """A file is no SWC. The message names file, line and what was expected."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class GeometryError(WkfastError, ValueError, AssertionError):
    """No vector, mag or bounding box can be made of these numbers, or two do not fit together."""


class DatasetError(WkfastError, RuntimeError):
    """A dataset folder or its ``datasource-properties.json`` is not usable."""


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """There is no dataset at the path."""


class DatasetValueError(DatasetError, ValueError, AssertionError):
    """A name, box, array or choice does not fit the dataset. Nothing has been written."""


class VoxelTypeError(DatasetValueError, TypeError):
    """Values do not fit into the type of the voxels they are to be written as. Nothing has been written."""


class ReadOnlyError(DatasetValueError):
    """What was opened for reading, lies on a server or is made while it is read: it cannot be changed."""


class ExistsError(DatasetError, IndexError):
    """There already is a layer, mag or folder of that name."""


class BeingMadeError(ExistsError):
    """Another thread or process makes that layer, mag or folder at the moment; it can be opened when that has ended."""


class ChangedMeanwhileError(DatasetError, OSError):
    """What a change of a dataset is about is gone, or something is in its place: somebody else changes it as well."""


class LayerNotFoundError(DatasetError, IndexError):
    """The dataset has no such layer; the message lists those there are."""


class MagNotFoundError(DatasetError, IndexError):
    """The layer has no such mag; the message lists those there are."""


class VolumeDataError(WkfastError, RuntimeError):
    """Voxel data cannot be read or written. The message names file, mag and chunk."""


class ObjectStoreError(VolumeDataError, OSError):
    """A server of objects or files refused, or did not answer.

    The message names the object, what the server said, and where credentials were from.
    """


class VolumeDataMissingError(VolumeDataError, ValueError, AssertionError):
    """A volume layer's voxels are not in the annotation file."""


class EnvironmentVariableError(WkfastError, ValueError):
    """An environment variable of wkfast says something impossible."""


class ExecutorError(WkfastError, RuntimeError):
    """An executor lost a worker, takes no work, or was asked for work that nobody wants any more."""


class MissingExtraError(WkfastError, ImportError):
    """A package that only some uses of wkfast need is not installed; the message says how to install it."""


class MergeError(WkfastError, ValueError, AssertionError):
    """Two layers cannot be merged. Nothing has been written."""


class TargetNotEmptyError(MergeError, RuntimeError):
    """The target of a merge already holds something else."""


class TargetBusyError(TargetNotEmptyError):
    """Another process is at work in the target of a merge: waiting helps."""


class StopRequested(KeyboardInterrupt):
    """A signal asked long work to end: merges finish the files under way first.

    See :func:`wkfast.jobs.stop_on_signals`. Like a ``KeyboardInterrupt``, it passes ``except Exception``.
    """
