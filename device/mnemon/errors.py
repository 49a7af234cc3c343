"""Everything that can go wrong on the device, as one tree.

::

    MnemonError
    ├── InputError              2   what was typed or piped in cannot be used
    ├── SettingsError           3   a settings file or environment variable is wrong
    ├── NotFoundError           4   no such memory, conversation or model
    ├── ModelError             10
    │   ├── ModelMissingError       the file is not there
    │   ├── ModelCorruptError       the file is not a whole GGUF
    │   ├── ModelUnsupportedError   llama.cpp does not know its architecture
    │   ├── TemplateError           its chat template cannot be used
    │   ├── AdapterError            an adapter is damaged, or made for another model
    │   └── PromptTooLongError      one message alone is longer than the window
    ├── StoreError             20
    │   ├── WrongKeyError           the key does not open the memory
    │   ├── KeyLostError            there is a memory but no key for it
    │   ├── StoreMissingError       there is a key but its memory is gone
    │   ├── StoreCorruptError       the file is damaged or half-written
    │   ├── StoreBusyError          another process holds it too long
    │   └── StoreNewerError         written by a newer Mnemon
    ├── DiskError              30
    │   ├── DiskFullError
    │   └── ReadOnlyError
    ├── TransferError          40   an export or import file cannot be read or written
    │   └── ImportProblemsError     some of its entries cannot be used
    ├── DownloadError          50
    │   ├── HubUnreachableError
    │   └── ChecksumError           what arrived is not what the hub announced
    ├── CloudError             60   the cloud did not answer
    │   ├── NotEnrolledError        this device knows no cloud
    │   ├── NotAllowedError         the owner did not let the words leave
    │   ├── UnreachableError        there is no line to it
    │   ├── CertificateError        what answers there is not the server of the invite
    │   ├── ClockError              this device's clock and the server's differ too much
    │   ├── DeviceRefusedError      the server does not (or no longer) take this device
    │   ├── QuotaError              today's allowance is used up
    │   ├── OverloadedError         the server is busy
    │   ├── QuestionRefusedError    the question is too long, or nothing the server takes
    │   ├── VersionError            the two ends do not understand each other
    │   └── BrokenOffError          the answer ended before its end
    └── LearningError          70   a lesson cannot be held, or what it wrote cannot be used
        ├── TooFewExamplesError     there is not enough to learn from and to test on
        ├── LossError               a loss that is no number
        └── JournalError            the journal of a lesson is damaged

The number is the exit code of the command line. Every message says what happened; ``hint`` says what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class MnemonError(Exception):
    """The root: anything Mnemon raises on purpose.

    Args:
        message: What happened, one line, with the value concerned.
        hint: What to do next, one line.
    """

    exit_code: ClassVar[int] = 1
    hint: str

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def code(self) -> str:
        """A stable name for programs, such as ``wrong-key``."""
        name = type(self).__name__.removesuffix("Error")
        return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")

    def one_line(self) -> str:
        """The message and the next step as one line for a person."""
        text = " ".join(str(self).split())
        return f"{text} {self.hint}".strip()


class InputError(MnemonError):
    """What was typed or piped in cannot be used (empty, binary, too long)."""

    exit_code = 2


class SettingsError(MnemonError):
    """A settings file or environment variable holds something Mnemon does not understand."""

    exit_code = 3


class NotFoundError(MnemonError):
    """No memory, conversation or model has that name."""

    exit_code = 4


class ModelError(MnemonError):
    """The local model cannot be loaded or used."""

    exit_code = 10


class ModelMissingError(ModelError):
    """The model file is not there."""


class ModelCorruptError(ModelError):
    """The model file is not a whole GGUF file."""


class ModelUnsupportedError(ModelError):
    """The installed llama.cpp does not know this architecture or file version."""


class TemplateError(ModelError):
    """The model's own chat template cannot be used."""


class AdapterError(ModelError):
    """An adapter is damaged, or made for another model."""


class PromptTooLongError(ModelError):
    """A single message does not fit into the model's window."""


class StoreError(MnemonError):
    """The encrypted memory cannot be opened or used."""

    exit_code = 20


class WrongKeyError(StoreError):
    """The key or passphrase does not open the memory."""


class KeyLostError(StoreError):
    """There is a memory but its key cannot be found."""


class StoreMissingError(StoreError):
    """There is a key, so there was a memory, but its file is gone."""


class StoreCorruptError(StoreError):
    """The memory file is damaged or half-written."""


class StoreBusyError(StoreError):
    """Another process held the memory for too long."""


class StoreNewerError(StoreError):
    """The memory was written by a newer Mnemon."""


class DiskError(MnemonError):
    """The file system refuses to take what must be written."""

    exit_code = 30


class DiskFullError(DiskError):
    """No space is left."""


class ReadOnlyError(DiskError):
    """The place where data lives cannot be written."""


class TransferError(MnemonError):
    """An export or import file cannot be read or written."""

    exit_code = 40


class ImportProblemsError(TransferError):
    """Some entries of an import file cannot be used, so nothing was imported.

    Args:
        problems: One line for each of the first of them.
    """

    def __init__(self, message: str, *, hint: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class DownloadError(MnemonError):
    """A model could not be fetched."""

    exit_code = 50


class HubUnreachableError(DownloadError):
    """The hub did not answer, or not with what was asked for."""


class ChecksumError(DownloadError):
    """What arrived differs from what the hub announced."""


class CloudError(MnemonError):
    """The cloud did not answer.

    Args:
        retry_after: Seconds after which it may; None when waiting does not help.
    """

    exit_code = 60

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class NotEnrolledError(CloudError):
    """This device knows no cloud."""


class NotAllowedError(CloudError):
    """The owner did not let the words leave."""


class UnreachableError(CloudError):
    """There is no line to the server, or it is not running."""


class CertificateError(CloudError):
    """What answers under the server's address is not the server of the invite, or shows an old certificate."""


class ClockError(CloudError):
    """This device's clock and the server's differ too much."""


class DeviceRefusedError(CloudError):
    """The server does not, or no longer, take this device; it does not say why."""


class QuotaError(CloudError):
    """The device's allowance for today is used up."""


class OverloadedError(CloudError):
    """The server is busy."""


class QuestionRefusedError(CloudError):
    """The question is too long, or nothing the server takes."""


class VersionError(CloudError):
    """The two ends do not understand each other: one of them is older."""


class BrokenOffError(CloudError):
    """The answer ended before its end."""


class LearningError(MnemonError):
    """A lesson cannot be held; the adapter that was in use stays."""

    exit_code = 70


class TooFewExamplesError(LearningError):
    """There is not enough to learn from and to test on."""


class LossError(LearningError):
    """A loss that is no number."""


class JournalError(LearningError):
    """The journal of a lesson is damaged, or belongs to something else."""
