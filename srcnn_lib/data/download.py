"""Reads and downloads http(s) addresses."""

import contextlib
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException, InvalidURL
from pathlib import Path
from urllib.parse import quote, urlsplit

from ..errors import InputError
from ..runtime.files import digest, shown, write_whole

TIMEOUT = 20  # seconds without a byte


PICTURE_BYTES = 512 * 2**20  # the longest answer that is read into memory


CHUNK = 2**20


def is_address(source: object) -> bool:
    """Whether `source` is text with a scheme such as https://, and not a path."""
    return isinstance(source, str) and bool(re.match(r"[a-z][a-z0-9+.-]+://", source, re.IGNORECASE))


def read_address(address: str, limit: int = PICTURE_BYTES) -> bytes:
    """The bytes that an http(s) address answers with.

    Raises:
        InputError: another scheme, no answer for 20 s, an error status, a web page, a cut connection, or more than
            `limit` bytes (nothing more is read then).
    """
    with _answer(address, limit) as chunks:
        return b"".join(chunks)


def download(
    address: str,
    path: str | Path,
    *,
    limit: int = 2**40,
    progress: Callable[[int, int | None], object] | None = None,
    **sums: str,
) -> Path:
    """Store what an http(s) address answers with at `path`, whole or not at all.

    Args:
        address: where it comes from.
        path: where it goes; its folder is made.
        limit: bytes after which it is given up.
        progress: called with the bytes of each piece and the total (None where the server doesn't say).
        sums: md5="…" or sha256="…", hexadecimal digits.

    Raises:
        InputError: as `read_address`, or a sum that differs.
        OSError: where the folder can't be written or the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_whole(path) as temporary:
        with _answer(address, limit, progress) as chunks, open(temporary, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
        for kind, expected in sums.items():
            if (found := digest(temporary, kind)) != expected.lower():
                raise InputError(
                    f"{shown(address)} came with the {kind} sum {found}, expected {expected}; try again later"
                )
    return path


class _StayOnTheWeb(urllib.request.HTTPRedirectHandler):
    """urllib would follow an http answer to ftp."""

    def redirect_request(self, request, answer, code, message, headers, address):
        _check_scheme(address)
        return super().redirect_request(request, answer, code, message, headers, address)


def _check_scheme(address: str) -> None:
    if urlsplit(address).scheme.lower() not in ("http", "https"):
        raise InputError(f"{shown(address)} can't be read: only http:// and https:// addresses, or a plain path")


def _request(address: str) -> urllib.request.Request:
    """Spaces and letters beyond ASCII, as copied from a browser's address bar, are legal for people, not for HTTP."""
    _check_scheme(address)
    parts = urlsplit(address)
    if not parts.netloc.isascii():
        parts = parts._replace(netloc=parts.netloc.encode("idna").decode())
    return urllib.request.Request(
        quote(parts.geturl(), safe="%/:?#[]@!$&'()*+,;=~"), headers={"User-Agent": "srcnn_lib"}
    )


@contextlib.contextmanager
def _answer(address: str, limit: int, progress=None) -> Iterator[Iterator[bytes]]:
    """The pieces of what an address answers with."""
    with _explained(address):
        answer = urllib.request.build_opener(_StayOnTheWeb).open(_request(address), timeout=TIMEOUT)
    with answer:
        if answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise InputError(f"{shown(address)} answers with a web page; give the address of the file itself")
        length = answer.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        if total is not None and total > limit:
            raise _too_long(address, total, limit)
        yield _pieces(address, answer, total, limit, progress)


def _pieces(address: str, answer, total: int | None, limit: int, progress) -> Iterator[bytes]:
    received = 0
    while True:
        with _explained(address):
            chunk = answer.read(CHUNK)
        if not chunk:
            break
        received += len(chunk)
        if received > limit:
            raise _too_long(address, received, limit)
        if progress:
            progress(len(chunk), total)
        yield chunk
    if total is not None and received != total:
        raise InputError(f"{shown(address)}: the connection was cut after {received:,} of {total:,} bytes; try again")


@contextlib.contextmanager
def _explained(address: str) -> Iterator[None]:
    """Turn what goes wrong on the way into an InputError that names the address; other errors are left alone."""
    name = shown(address)
    try:
        yield
    except InputError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(f"{name} answers {error.code} {_reason(error.reason)}; check the address") from error
    except (TimeoutError, urllib.error.URLError) as error:
        if isinstance(getattr(error, "reason", error), TimeoutError):
            raise InputError(f"{name} did not answer for {TIMEOUT} s; try again later") from error
        reason = _reason(error.reason)
        raise InputError(f"{name} can't be reached ({reason}); check the address and the network") from error
    except (InvalidURL, ValueError) as error:
        raise InputError(f"{name} is no address that can be read ({_reason(error)}); check it") from error
    except (HTTPException, OSError) as error:
        raise InputError(f"{name}: the connection was cut ({_reason(error)}); try again") from error


def _reason(error: object) -> str:
    """What an exception says, on one line (urllib's word on redirects that go in circles has three)."""
    return shown(" ".join(str(error).split())) or type(error).__name__


def _too_long(address: str, length: int, limit: int) -> InputError:
    return InputError(
        f"{shown(address)} is longer ({length:,} bytes or more) than the {limit:,} that are read; "
        "store it yourself and give its path"
    )
