"""The ``Devices`` service."""

from __future__ import annotations

from typing import Any

from mnemon_cloud import logs
from mnemon_cloud.answers.quotas import Quotas
from mnemon_cloud.devices.authentication import wall_clock_ms
from mnemon_cloud.devices.enrollment import enroll
from mnemon_cloud.errors import Reason, refused
from mnemon_cloud.interceptors import caller
from mnemon_cloud.storage import Storage
from mnemon_protos.signing import KEY_BYTES, rotation_statement, verified
from mnemon_protos.v1 import devices_pb2 as pb
from mnemon_protos.v1.devices_pb2_grpc import DevicesServicer


class DevicesService(DevicesServicer):
    """Enrolment and what a device may do with its own entry.

    Args:
        storage: Where devices are kept.
        server_key: The server's identity.
        quotas: What is left for today.
    """

    def __init__(self, storage: Storage, server_key: bytes, quotas: Quotas) -> None:
        self._storage = storage
        self._server_key = server_key
        self._quotas = quotas

    async def Enroll(self, request: pb.EnrollRequest, context: Any) -> pb.EnrollResponse:
        """Trade an invite for a device id."""
        device = await enroll(
            self._storage,
            secret=request.secret,
            public_key=request.public_key,
            proof=request.proof,
            server_key=self._server_key,
            now_ms=wall_clock_ms(),
        )
        logs.event("device-enrolled", device=device)
        return pb.EnrollResponse(device_id=device, server_key=self._server_key)

    async def GetDevice(self, request: pb.GetDeviceRequest, context: Any) -> pb.GetDeviceResponse:
        """What is known about the caller."""
        device = caller()
        return pb.GetDeviceResponse(
            device_id=device.id,
            enrolled_at_ms=device.enrolled_at_ms,
            quota=self._quotas.limit or -1,
            quota_left=await self._quotas.left(device.id),
        )

    async def RotateKey(self, request: pb.RotateKeyRequest, context: Any) -> pb.RotateKeyResponse:
        """Replace the caller's key."""
        device = caller()
        statement = rotation_statement(
            server_key=self._server_key, device_id=device.id, new_public_key=request.new_public_key
        )
        if len(request.new_public_key) != KEY_BYTES or not verified(request.new_public_key, request.proof, statement):
            raise refused(Reason.PROOF)
        if not await self._storage.replace_key(
            device.id, old=device.public_key, new=request.new_public_key, now_ms=wall_clock_ms()
        ):
            raise refused(Reason.PROOF)
        logs.event("key-rotated", device=device.id)
        return pb.RotateKeyResponse()

    async def RevokeSelf(self, request: pb.RevokeSelfRequest, context: Any) -> pb.RevokeSelfResponse:
        """End the caller's access."""
        device = caller()
        await self._storage.revoke_device(device.id, by="device", now_ms=wall_clock_ms())
        logs.event("device-revoked", device=device.id)
        return pb.RevokeSelfResponse()
