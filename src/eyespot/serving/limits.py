"""What a server accepts, and the ways in which it declines a request."""

from dataclasses import dataclass, fields
from math import inf

from eyespot.errors import UserError
from eyespot.plurals import count

MEGA = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What one request and all requests together may take.

    megabytes    of the body of a request
    megapixels   of one image (of volumes and signals: millions of samples), checked in its header before it is decoded
    images       in one request
    seconds      that a request may take, from its first byte to its response
    requests     that are taken in at once, waiting ones included; others get 503 and are asked to come back
    decoders     threads that read images

    Raises UserError for a limit that is not a number above 0.
    """

    megabytes: float = 64
    megapixels: float = 64
    images: int = 64
    seconds: float = 60
    requests: int = 32
    decoders: int = 2

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < inf:
                raise UserError(f"{field.name} is {value:g}; give a number above 0")

    @property
    def bytes(self) -> int:
        return int(self.megabytes * MEGA)

    @property
    def pixels(self) -> int:
        return int(self.megapixels * MEGA)


class Refusal(Exception):
    """A request that is declined: an HTTP status and one sentence for the client.

    headers   of the response
    details   more entries of the JSON document
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        headers: dict[str, str] | None = None,
        details: dict | None = None,
    ):
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = headers or {}
        self.details = details or {}


class Busy(Refusal):
    """As many requests are in progress as are taken in at once."""

    def __init__(self, requests: int, seconds: int):
        super().__init__(
            503,
            f"{count(requests, 'request is', 'requests are')} in progress, as many as are taken in at once: try again in {seconds} s",
            {"Retry-After": str(seconds)},
        )


class TooSlow(Refusal):
    """A request took longer than it may."""

    def __init__(self, seconds: float):
        super().__init__(
            503,
            f"the request was not done after {seconds:g} s: send fewer or smaller images, or try again later",
            {"Retry-After": str(max(1, round(seconds)))},
        )
