"""A server's errors in our words: what it is, and whether trying again may help. No name, key or text of the server."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import (
    ConnectionError as NoConnection,
)

from retentiond.errors import RetentiondError, StoreDenied, StoreUnavailable

_DENIED: dict[str, tuple[str, str]] = {
    "NoSuchBucket": ("there is no such bucket", "correct `bucket`, `region` or `endpoint`"),
    "404": ("there is no such bucket", "correct `bucket`, `region` or `endpoint`"),
    "AccessDenied": ("the server denies access", "look at the rights of these credentials, the bucket's policy, and `owner`"),
    "403": ("the server denies access", "look at the credentials, their rights, the bucket's policy, and `owner`"),
    "AllAccessDisabled": ("the server denies access", "look at the account"),
    "AccountProblem": ("the server denies access", "look at the account"),
    "InvalidAccessKeyId": ("the server does not know the access key", "correct `access_key`, or the usual chain of credentials"),
    "SignatureDoesNotMatch": ("the secret key is not the one of the access key", "correct `secret_key`"),
    "ExpiredToken": ("the credentials have expired", "renew them"),
    "InvalidToken": ("the credentials cannot be used", "renew them"),
    "RequestTimeTooSkewed": ("the clock of the server is not this machine's", "set both by NTP"),
    "PermanentRedirect": ("the bucket is in another region than its store says", "correct `region`"),
    "301": ("the bucket is in another region than its store says", "correct `region`"),
    "AuthorizationHeaderMalformed": ("the bucket is in another region than its store says", "correct `region`"),
    "NoSuchKey": ("what was looked for is not there", ""),
    "InvalidBucketName": ("the name of the bucket cannot be one", "correct `bucket`"),
    "NotImplemented": ("the server does not know this request", "it is no S3 that retentiond can work with"),
    "MethodNotAllowed": ("the server does not allow this request", ""),
    "InvalidRequest": ("the server refuses the request", "a server that knows no modern checksums needs `content_md5: yes`"),
    "InvalidDigest": ("the server refuses the request", "a server that knows no modern checksums needs `content_md5: yes`"),
}
_PASSING = frozenset(
    {"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted", "RequestLimitExceeded"}
)


def refusal(error: Exception) -> RetentiondError:
    """A failed request as `StoreUnavailable` or `StoreDenied`."""
    if isinstance(error, ClientError):
        return _refused(error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        do = "give `access_key` and `secret_key`, a `profile`, or the credentials of the machine"
        return StoreDenied("there are no credentials for this bucket", do=do)
    if isinstance(error, ProfileNotFound):
        return StoreDenied("there is no such profile of credentials", do="correct `profile`")
    if isinstance(error, HTTPClientError | NoConnection):
        return StoreUnavailable("the server cannot be reached", why=type(error).__name__, do="look at `endpoint` and the network")
    if isinstance(error, BotoCoreError):
        return StoreUnavailable("the request could not be carried out", why=type(error).__name__)
    return StoreDenied("the address of the server cannot be used", why=type(error).__name__, do="correct `endpoint` or `region`")


def is_passing(code: str, status: int = 0) -> bool:
    """Whether an error may be over soon."""
    return code in _PASSING or status >= 500 or status == 429


def _refused(error: ClientError) -> RetentiondError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _DENIED and not is_passing(code, status):
        what, do = _DENIED[code]
        return StoreDenied(what, why=f"it says {code}", do=do)
    told = f"it says {code}" if code.isalnum() and len(code) < 60 else f"status {status}"
    if is_passing(code, status):
        return StoreUnavailable("the server is too busy, or broken", why=told, do="try again later")
    return StoreDenied("the server refuses the request", why=told)
