"""What one would write by hand: list with boto3, delete what is old by `DeleteObjects` of 1000, eight at a time. No evidence."""

import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

BUCKET, PREFIX, BEFORE = sys.argv[1:4]
DELETERS = 8


def main():
    config = Config(s3={"addressing_style": "path"}, max_pool_connections=2 * DELETERS)
    client = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT_URL"], region_name="us-east-1", config=config)

    def delete(keys):
        answer = client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
        if answer.get("Errors"):
            raise SystemExit(answer["Errors"])

    with ThreadPoolExecutor(DELETERS) as pool:
        waiting, keys = deque(), []
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX):
            keys += [entry["Key"] for entry in page.get("Contents", ()) if entry["Key"][len(PREFIX) :] < BEFORE]
            while len(keys) >= 1000:
                waiting.append(pool.submit(delete, keys[:1000]))
                del keys[:1000]
                if len(waiting) >= 2 * DELETERS:
                    waiting.popleft().result()
        if keys:
            waiting.append(pool.submit(delete, keys))
        for one in waiting:
            one.result()


main()
