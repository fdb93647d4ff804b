"""Buckets on two servers that speak S3, and a way behind the store's back: moto's, in this process, and Ceph's."""

import logging
import os
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from io import StringIO
from itertools import count
from typing import Any
from urllib.parse import quote, urlsplit

import botocore.session
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.servers.private import serving

_NUMBERS = count(1)


@dataclass
class Server:
    """A server of S3. `kind` is `moto` or `ceph`."""

    kind: str
    address: str
    client: Any = field(repr=False, default=None)

    def __post_init__(self):
        at = urlsplit(self.address)
        self.endpoint, self.access, self.secret = f"http://{at.hostname}:{at.port}", at.username, at.password
        self.client = self.connect()
        self.line = HTTPConnection(at.hostname, at.port)

    def connect(self, access="", secret=""):
        session = botocore.session.Session()
        session.set_credentials(access or self.access, secret or self.secret)
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, parameter_validation=False)
        return session.create_client("s3", region_name="us-east-1", endpoint_url=self.endpoint, config=config)

    def close(self):
        self.client.close()
        self.line.close()

    def bucket(self, versioning="unversioned", **options):
        """A new bucket."""
        made = Bucket(self, f"test-{os.getpid()}-{next(_NUMBERS)}")
        self.client.create_bucket(Bucket=made.name, **options)
        if versioning != "unversioned":
            made.keep_versions("Enabled")
        if versioning == "suspended":
            made.keep_versions("Suspended")
        return made


@dataclass
class Bucket:
    """One bucket, as another program sees it."""

    server: Server
    name: str

    def __getattr__(self, operation):
        """Any request of S3 about this bucket."""
        call = getattr(self.server.client, operation)
        return lambda **told: call(Bucket=self.name, **told)

    @property
    def options(self):
        """What a store needs to open it."""
        s = self.server
        return {"bucket": self.name, "endpoint": s.endpoint, "access_key": s.access, "secret_key": s.secret}

    def put(self, key, content=b"content", **told):
        """Uploads an object; its version id, "" where versions are not kept."""
        return self.put_object(Key=key, Body=content, **told).get("VersionId", "")

    def put_quickly(self, key, content, metadata):
        """The same without boto's own pace, for tests that need many."""
        headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        if self.server.kind == "moto":
            from moto.s3.models import s3_backends

            s3_backends["123456789012"]["aws"].put_object(self.name, key, content).set_metadata(headers, replace=True)
            return
        path = "/" + self.name + "/" + quote(key, safe="/~")
        request = AWSRequest("PUT", self.server.endpoint + path, headers=headers, data=content)
        S3SigV4Auth(Credentials(self.server.access, self.server.secret), "s3", "us-east-1").add_auth(request)
        try:
            self.server.line.request("PUT", path, content, dict(request.headers))
            answer = self.server.line.getresponse()
        except (HTTPException, OSError):  # the server ends a line on which nothing came for a while
            self.server.line.close()
            self.server.line.request("PUT", path, content, dict(request.headers))
            answer = self.server.line.getresponse()
        answer.read()
        assert answer.status == 200, answer.status

    def get(self, key, **told):
        try:
            return self.get_object(Key=key, **told)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchVersion", "404"):
                return None
            raise

    def keep_versions(self, status):
        self.put_bucket_versioning(VersioningConfiguration={"Status": status})

    def everything(self):
        """Every version and marker there is: (key, version id, marker or not), in the order of the keys."""
        pages = self.server.client.get_paginator("list_object_versions").paginate(Bucket=self.name)
        found = []
        for page in pages:
            found += [(v["Key"], v["VersionId"], False) for v in page.get("Versions", ())]
            found += [(m["Key"], m["VersionId"], True) for m in page.get("DeleteMarkers", ())]
        return sorted(found)

    def keys(self):
        return sorted({key for key, _, _ in self.everything()})


@contextmanager
def moto():
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with redirect_stdout(StringIO()):
        server.start()
    try:
        host, port = server.get_host_and_port()
        with closing(Server("moto", f"http://key:secret@{host}:{port}")) as made:
            yield made
    finally:
        server.stop()


@pytest.fixture(scope="session")
def moto_server():
    with moto() as server:
        yield server


@pytest.fixture(scope="session")
def ceph_server():
    with serving("ceph") as address, closing(Server("ceph", address)) as made:
        yield made


@pytest.fixture(params=["moto", "ceph"])
def s3_server(request):
    """Either server."""
    return request.getfixturevalue(f"{request.param}_server")
