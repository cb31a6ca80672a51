"""Makes an image with the generated client: python make_job.py ADDRESS KEY INPUT. Prints the finished job as JSON."""

import json
import sys
import time

from bitmill_client import AuthenticatedClient
from bitmill_client.api.jobs import create_job, get_job
from bitmill_client.models import (
    ErrorResource,
    ImageJobRequest,
    ImageJobRequestMetadata,
    ImageOptions,
    ImageOptionsFormatType0,
    JobResource,
    JobResourceStatus,
    VideoJobRequest,
)

ENDED = {JobResourceStatus.SUCCEEDED, JobResourceStatus.FAILED, JobResourceStatus.CANCELLED}


def main(address: str, key: str, input: str) -> None:
    client = AuthenticatedClient(base_url=address, token=key)
    metadata = ImageJobRequestMetadata()
    metadata["client"] = "python"
    options = ImageOptions(width=64, format_=ImageOptionsFormatType0.PNG)
    request = ImageJobRequest(input_=input, kind="image", options=options, metadata=metadata)
    job = create_job.sync(client=client, body=request, idempotency_key="python")
    assert isinstance(job, JobResource), job
    refused = create_job.sync(client=client, body=VideoJobRequest(input_="file:///etc/passwd", kind="video"))
    assert isinstance(refused, ErrorResource)
    assert refused.errors and refused.errors[0].field == "input", refused
    while job.status not in ENDED:
        time.sleep(0.2)
        read = get_job.sync(job.id, client=client)
        assert isinstance(read, JobResource), read
        job = read
    print(json.dumps(job.to_dict()))


if __name__ == "__main__":
    main(*sys.argv[1:])
