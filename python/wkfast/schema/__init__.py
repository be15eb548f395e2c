"""The schema of NML: ``nml.xsd``, and files checked against it."""

from wkfast.schema.checking import SchemaProblem, schema_path, schema_problems

__all__ = ["SchemaProblem", "schema_path", "schema_problems"]
