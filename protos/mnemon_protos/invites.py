"""Invites as one line of text that survives mail, chat and a shell."""

from __future__ import annotations

import base64
import binascii

from google.protobuf.message import DecodeError

from mnemon_protos.encoding import WireError
from mnemon_protos.v1.authorization_pb2 import Invite

PREFIX = "mnemon-invite-"
SECRET_BYTES = 32
_LONGEST = 16_384  # an invite with a certificate takes some 900 characters


def write_invite(invite: Invite) -> str:
    """The invite as text: letters, digits, ``-`` and ``_`` only."""
    return PREFIX + base64.urlsafe_b64encode(invite.SerializeToString()).decode("ascii").rstrip("=")


def read_invite(text: str) -> Invite:
    """The invite in ``text``; white space, also in the middle, does not matter.

    Raises:
        WireError: It is not one, or not a whole one.
    """
    squeezed = "".join(text.split())
    if not squeezed.startswith(PREFIX) or len(squeezed) > _LONGEST:
        raise WireError(f"not an invite: it does not begin with {PREFIX}")
    body = squeezed.removeprefix(PREFIX)
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        invite = Invite.FromString(raw)
    except (binascii.Error, ValueError, DecodeError) as error:
        raise WireError("the invite is damaged") from error
    if len(invite.secret) != SECRET_BYTES or len(invite.server_key) != 32 or not invite.address:
        raise WireError("the invite is not whole")
    return invite
