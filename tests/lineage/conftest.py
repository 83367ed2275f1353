"""The stores and bundles of the tests of the store."""

from tests.store.conftest import bundles, object_server, postgres, store, store_url

__all__ = ["bundles", "object_server", "postgres", "store", "store_url"]
