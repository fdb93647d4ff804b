"""The one door to botocore: one bucket, opened, and told apart from every other.

Guarantees: every request about the bucket carries the account that it must belong to, where one is given; a
request that lets something go is sent once and never again by itself, because between two sendings
a newcomer may have taken the name; errors become ours, without a name, a key or a server's text.

Names travel as text, or as bytes where they are no UTF-8; nothing is validated or normalised on the way.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Literal, TypeVar

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader

from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable
from retentiond.stores.s3.options import Options
from retentiond.stores.s3.trouble import refusal

Versioning = Literal["unversioned", "enabled", "suspended"]
DELETERS = 8
"""So many requests of one handle are under way at once, where each is about one object."""
BODY = "RawBody"
"""What an answer that a parser of ours reads is found under; so is the body of a request that we have written ourselves."""
_LISTINGS = ("ListObjectsV2", "ListObjectVersions", "ListMultipartUploads", "ListParts", "DeleteObjects")
_ONCE = frozenset(
    {
        "delete_objects", "delete_object", "abort_multipart_upload", "complete_multipart_upload", "put_object", "copy_object",
        "put_bucket_lifecycle_configuration", "delete_bucket_lifecycle", "put_object_legal_hold",
    }
)  # fmt: skip
_NO_LOCKS = frozenset(
    {"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration", "NotImplemented", "MethodNotAllowed"}
)
_ERROR = re.compile(rb"\s*(<\?xml[^>]*>\s*)?<Error[\s>]")
"""An error in a 200, which botocore makes a 500 of."""
T = TypeVar("T")
R = TypeVar("R")


class Bucket:
    """An open bucket. Its requests may come from several threads at once.

    `versioning` is as it was at opening; `locks` says whether versions may be locked, `locks_all` whether each is locked
    when it comes in, for a time. Only one that `acts` has a line for requests that let something go.
    """

    def __init__(self, options: Options, *, acts: bool = False) -> None:
        self.options = options
        self._pool: ThreadPoolExecutor | None = None
        try:
            session = _session(options)
            self._asking = _client(session, options, attempts=5)
            self._once: Any = _client(session, options, attempts=1) if acts else None
        except (BotoCoreError, ValueError) as error:
            raise refusal(error) from error
        head = self._head()["ResponseMetadata"]["HTTPHeaders"]
        self.clock: datetime | None = parsedate_to_datetime(head["date"]) if "date" in head else None
        self._check_region(head)
        self._check_owner()
        self.versioning, self.needs_mfa = self._versioning()
        self.locks, self.locks_all = self._locking() if self.versioning != "unversioned" else (False, False)

    @property
    def place(self) -> str:
        """The server or region, the bucket, the prefix, and whether versions are kept: all four say where a plan is for."""
        where = self.options.endpoint or self.options.region
        return f"s3:{where}/{self.options.bucket}/{self.options.prefix} ({self.versioning})"

    def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """One request; `StoreUnavailable` or `StoreDenied` where it fails."""
        try:
            return self.ask(operation, **parameters)
        except (ClientError, BotoCoreError) as error:
            raise refusal(error) from error

    def ask(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """One request, its errors as they come: for whoever can tell one error from another. `Bucket` names another bucket."""
        client = self._once if operation in _ONCE else self._asking
        told = {"Bucket": self.options.bucket} | parameters
        if self.options.owner and told["Bucket"] == self.options.bucket:  # another one may be another account's
            told["ExpectedBucketOwner"] = self.options.owner
        answer: dict[str, Any] = getattr(client, operation)(**told)
        return answer

    def send(self, operation: str, body: bytes, **parameters: Any) -> None:
        """One request with this body, byte for byte; errors as in `call`."""

        def put(params: dict[str, Any], **_: Any) -> None:
            params["body"] = body
            if self.options.content_md5:
                _add_md5(params)

        events = self._once.meta.events
        name = f"before-call.s3.{self._once.meta.method_to_api_mapping[operation]}"
        events.register(name, put)
        try:
            self.call(operation, LifecycleConfiguration={"Rules": []}, **parameters)
        finally:
            events.unregister(name, put)

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R | RetentiondError]:
        """What a function gives for each item, in order, several at once; the error in the place of what fails."""

        def safe(item: T) -> R | RetentiondError:
            try:
                return function(item)
            except RetentiondError as error:
                return error

        several = list(items)
        if len(several) < 2:
            return [safe(item) for item in several]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(DELETERS, thread_name_prefix="s3")
        return list(self._pool.map(safe, several))

    def all(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`each` where nothing may fail: the first error is raised."""
        found: list[R] = []
        for one in self.each(function, items):
            if isinstance(one, RetentiondError):
                raise one
            found.append(one)
        return found

    def check_versioning(self) -> None:
        """`StoreDenied` where versions are kept otherwise than at opening: what a deletion does there is something else."""
        if self._versioning()[0] != self.versioning:
            raise StoreDenied(
                "the versioning of the bucket has changed",
                why="a deletion does something else in a bucket that keeps versions otherwise",
                do="retentiond plan",
            )

    def close(self) -> None:
        """Ends what is under way, and closes the connections."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._asking.close()
        if self._once is not None:
            self._once.close()

    def _head(self) -> dict[str, Any]:
        """The first request; where it is refused, another one is sent: the answer to a HEAD has no body that could say why."""
        try:
            return self.ask("head_bucket")
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and code_of(error) in ("400", "403"):
                self.call("get_bucket_versioning")
            raise refusal(error) from error

    def _versioning(self) -> tuple[Versioning, bool]:
        answer = self.call("get_bucket_versioning")
        if b"Versioning" not in answer[BODY] or not answer[BODY].rstrip().endswith(b">"):
            raise StoreUnavailable("the server does not say whether the bucket keeps versions", why="its answer broke off")
        states: Mapping[str | None, Versioning] = {"Enabled": "enabled", "Suspended": "suspended"}
        return states.get(answer.get("Status"), "unversioned"), answer.get("MFADelete") == "Enabled"

    def _locking(self) -> tuple[bool, bool]:
        """Whether versions may be locked, so also where nobody says; and whether every one is, for a time."""
        try:
            answer = self.ask("get_object_lock_configuration")
        except ClientError as error:
            return error.response.get("Error", {}).get("Code") not in _NO_LOCKS, False
        except BotoCoreError as error:
            raise refusal(error) from error
        found: Mapping[str, Any] | None = answer.get("ObjectLockConfiguration")
        if found is None:
            return True, False
        return found.get("ObjectLockEnabled") == "Enabled", bool(found.get("Rule", {}).get("DefaultRetention"))

    def _check_region(self, head: Mapping[str, str]) -> None:
        told = head.get("x-amz-bucket-region")
        if not self.options.endpoint and told is not None and told != self.options.region:
            raise StoreDenied(
                "the bucket is in another region than its store says",
                do="correct `region`, and look whether `location` still holds",
            )

    def _check_owner(self) -> None:
        """That the bucket is the account's; a server that does not look at the header is asked for the bucket's owner."""
        if not self.options.owner or not self.options.endpoint:
            return
        other = "0" * len(self.options.owner) if self.options.owner.strip("0") else "1" * len(self.options.owner)
        try:
            self._asking.head_bucket(Bucket=self.options.bucket, ExpectedBucketOwner=other)
        except ClientError:
            return
        except BotoCoreError as error:
            raise refusal(error) from error
        told = str(self.call("get_bucket_acl").get("Owner", {}).get("ID"))
        if told != self.options.owner:
            why = f"the server names {told} as its owner" if re.fullmatch(r"[\w$.-]{1,100}", told) else ""
            what = "the bucket belongs to another account than its store says"
            raise StoreDenied(what, why=why, do="correct `owner`, or `bucket`")


def code_of(error: ClientError) -> str:
    """The code of a server's error; for a HEAD, which has no body, its status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def wire(raw: str) -> str | bytes:
    """A name as it is sent: text, or bytes where it is no text."""
    try:
        raw.encode()
    except UnicodeEncodeError:
        return raw.encode("utf-8", "surrogateescape")
    return raw


def _session(options: Options) -> Any:
    session = botocore.session.Session(profile=options.profile or None)
    session.register_component("data_loader", _models())
    if options.access_key:
        session.set_credentials(options.access_key, options.secret_key)
    return session


class _Models(Loader):
    """Botocore's descriptions of services, as far as they are of S3; it would look into the folder of each of its hundreds."""

    def list_available_services(self, type_name: str) -> list[str]:
        return ["s3"]


@cache
def _models() -> Loader:
    """Botocore's description of S3, read once for all handles: opening one costs a tenth then."""
    return _Models()


def _client(session: Any, options: Options, attempts: int) -> Any:
    config = Config(
        connect_timeout=10,
        read_timeout=120,
        max_pool_connections=2 * DELETERS,
        parameter_validation=False,
        retries={"mode": "standard", "total_max_attempts": attempts},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"} if options.endpoint else {},
    )
    region = options.region or "us-east-1"
    client = session.create_client("s3", region_name=region, endpoint_url=options.endpoint or None, config=config)
    for operation in _LISTINGS:
        # by this spelling it comes before botocore's own `before-parse.s3.*`, which reads the whole body in search of an error
        client.meta.events.register(f"before-parse.*.{operation}", _take_body)
    for operation in ("GetBucketVersioning", "GetBucketLifecycleConfiguration"):
        client.meta.events.register(f"before-parse.s3.{operation}", _keep_body)
    client.meta.events.register("provide-client-params.s3.DeleteObjects", _set_body_aside)
    client.meta.events.register("before-call.s3.DeleteObjects", _send_body)
    if options.content_md5:
        client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)
    return client


def _take_body(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Keeps the body for a parser of ours, and leaves an empty one for botocore's, which is slow.

    One that is an error stays, and one that may have broken off: botocore looks, and asks again.
    """
    body = response_dict["body"]
    if response_dict["status_code"] == 200 and not _ERROR.match(body):
        customized_response_dict[BODY] = body
        if body.rstrip().endswith(b"Result>"):
            response_dict["body"] = b"<Empty/>"


def _keep_body(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Keeps the body of an answer that says something by what is not in it, so that a broken one can be told from it."""
    customized_response_dict[BODY] = response_dict["body"]


def _set_body_aside(params: dict[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any] | None:
    """Takes a body that is written already out of the parameters: botocore writes XML slowly, too."""
    if BODY not in params:
        return None
    context[BODY] = params[BODY]
    return {name: value for name, value in params.items() if name != BODY} | {"Delete": {"Objects": []}}


def _send_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    params["body"] = context.get(BODY, params["body"])


def _add_md5(params: dict[str, Any], **_: Any) -> None:
    """For servers that know no modern checksums: the old one beside them (RFC 1864)."""
    params["headers"]["Content-MD5"] = md5_of(params["body"])


def md5_of(body: bytes) -> str:
    """What stands in `Content-MD5` (RFC 1864)."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode("ascii")


def chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """The items in runs of at most `size`."""
    return [items[first : first + size] for first in range(0, len(items), size)]
