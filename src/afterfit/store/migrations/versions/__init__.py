"""One file a version of the schema, run by Alembic in the order of `down_revision`."""
