"""Objects in a bucket of S3, or of a server that speaks it: the store type `s3`.

    stores:
      recordings: {type: s3, bucket: acme-calls, prefix: inbound/, region: eu-west-2, location: GB}

The rooms, from the ground up: `options` and `regions`; `client`, the one door to botocore, with `trouble`;
`listing` (rows, in order) and `looking` (what lies under given keys); `wanted` (what a scope asks), `details`
(what no listing tells) and `view`; and apart from those `deleting`, `uploads` and `store`, loaded only to act.

The revision of an object is its version id. Where an upload can take its place (a bucket that keeps no
versions, or the version `null`) it is the ETag and the second of the upload, so that a copy of
the same bytes counts as a change: it starts the clock anew. Nothing of botocore is imported before a store is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from retentiond.stores.s3.options import country_of, options_of, problems_of

if TYPE_CHECKING:
    from retentiond.stores.s3.store import S3Store
    from retentiond.stores.s3.view import S3View


class S3Type:
    """The kind `s3`. Options: `bucket`, `prefix`, `region`, `endpoint`, `access_key` and `secret_key` (else `profile`,
    else the usual chain), `owner`, `content_md5`, `conditional_deletes`, `inventory`.
    """

    name = "s3"

    def problems(self, options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        return problems_of(options)

    def country(self, options: Mapping[str, Any]) -> str | None:
        """The country that the options put the store in, to be compared with its location; None where they do not tell."""
        return country_of(options)

    def look(self, options: Mapping[str, Any]) -> S3View:
        """Opens a bucket for looking. `StoreDenied` for a wrong bucket, region, owner or credentials."""
        from retentiond.stores.s3.view import S3View

        return S3View(options_of(options))

    def act(self, options: Mapping[str, Any]) -> S3Store:
        """Opens a bucket for disposal; errors as in `look`."""
        from retentiond.stores.s3.store import S3Store

        return S3Store(options_of(options))
