"""With which connection a job's `s3://` addresses are reached; decided when the job is accepted."""

from dataclasses import dataclass

from schemas.connections import ConnectionAccess
from schemas.explain import render_value
from schemas.faults import FieldFault
from schemas.s3_addresses import check_rendered, input_address, is_s3, output_address
from services.ingest.connection_rows import StoredConnection
from services.ingest.connections import Connections, UnknownConnection

_NEEDED = (
    "needs a connection: name one in connection_id, or make one the default with POST or PATCH /connections; without "
    "one only the buckets can be used that the operator has set in DEFAULT_S3_BUCKETS"
)


@dataclass(frozen=True)
class JobAddresses:
    """What a request says of where its files are. `output` and `connection_id` as they are in the request."""

    input: str
    output: str | None
    connection_id: str | None
    job_id: str
    kind: str
    metadata: dict[str, str]


@dataclass(frozen=True)
class JobStore:
    """How the addresses of a job are reached; empty where none of them needs a connection, or has one."""

    connection_id: str | None = None
    access: ConnectionAccess | None = None


class StoreRefused(Exception):
    """The fields of the request that name what cannot be used."""

    def __init__(self, faults: list[FieldFault]) -> None:
        super().__init__([fault.rule for fault in faults])
        self.faults = faults


@dataclass(frozen=True)
class JobStores:
    """`buckets` are those that may be used without a connection."""

    connections: Connections
    buckets: frozenset[str]

    async def of(self, addresses: JobAddresses, project: str) -> JobStore:
        """Raises StoreRefused."""
        faults = output_faults(addresses)
        if faults:
            raise StoreRefused(faults)
        used = {
            field: address
            for field, address in (("input", addresses.input), ("output", addresses.output))
            if address is not None and is_s3(address)
        }
        if not used and addresses.connection_id is None:
            return JobStore()
        found = await self._connection(addresses.connection_id, project)
        if found is not None:
            return JobStore(found.id, found.access)
        missing = [
            FieldFault(field=field, rule=_NEEDED, value=render_value(address))
            for field, address in used.items()
            if output_address_bucket(address) not in self.buckets
        ]
        if missing:
            raise StoreRefused(missing)
        return JobStore()

    async def _connection(self, id: str | None, project: str) -> StoredConnection | None:
        if id is None:
            return await self.connections.default(project)
        try:
            return await self.connections.get(id, project)
        except UnknownConnection:
            fault = FieldFault(
                field="connection_id", rule="must be the id of a connection of this project", value=render_value(id)
            )
            raise StoreRefused([fault]) from None


def output_address_bucket(address: str) -> str:
    """The bucket of an address that has been validated."""
    return address.partition("://")[2].partition("/")[0]


def output_faults(addresses: JobAddresses) -> list[FieldFault]:
    """What is wrong with the address of the output, together with the rest of the request (pure)."""
    if addresses.output is None:
        return []
    output = output_address(addresses.output)
    try:
        check_rendered(
            output,
            input=addresses.input,
            job_id=addresses.job_id,
            kind=addresses.kind,
            metadata=addresses.metadata,
        )
        if is_s3(addresses.input) and output == input_address(addresses.input):
            raise ValueError("must not be the input itself")
    except ValueError as error:
        return [FieldFault(field="output", rule=str(error), value=render_value(addresses.output))]
    return []
