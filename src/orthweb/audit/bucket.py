"""A bucket of objects on an S3-compatible server."""

from __future__ import annotations

import time
from collections.abc import Generator
from email.utils import parsedate_to_datetime

from orthweb.audit.keys import Keys
from orthweb.audit.objects import Listed, Missing, Seen, Unreadable
from orthweb.audit.pace import Pace
from orthweb.errors import Failure
from orthweb.plugins.s3_bucket import Bucket
from orthweb.plugins.s3_listing import Page
from orthweb.plugins.s3_settings import Settings
from orthweb.plugins.s3_wire import BucketError, MissingObject, Patience

# Nobody waits at the other end, as a modality does when Orthanc stores.
_PATIENCE = Patience(window=30, answer=30)
_MOST_REPEATED_PAGES = 5


class Remote:
    """A storage in a bucket.

    Parameters
    ----------
    settings:
        How Orthanc reaches the bucket.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = Keys(settings)
        self._bucket = Bucket(settings, patience=_PATIENCE)

    @property
    def address(self) -> str:
        """The server and the bucket."""
        return f"{self._settings.endpoint or 's3'}/{self._settings.bucket}/{self._keys.prefix}"

    def name(self, uuid: str, filetype: int) -> str:
        """Name the object of an attachment."""
        return self._keys.name(uuid, filetype)

    def listed(self, after: str) -> Generator[Listed, None, None]:
        """Go through the list of the bucket, a thousand at a time, in the order of keys that S3 gives.

        What has a further slash in its key is one foreign name for each beginning: another site may keep its objects
        there, and they are not this site's to list.
        """
        prefix, token, last, repeated = self._keys.prefix, "", "", 0
        while True:
            page = self._page(prefix + after if after else "", token)
            # rclone begins anew when the key that it should go on after was deleted meanwhile.
            new = [entry for entry in page.entries if entry.shared or entry.key > last]
            repeated = 0 if new else repeated + 1
            if page.token and repeated > _MOST_REPEATED_PAGES:
                raise Failure(f"{self.address}: lists its objects in no order", "an audit needs ListObjectsV2 as of S3")
            for entry in new:
                name = entry.key.removeprefix(prefix)
                uuid = "" if entry.shared else self._keys.uuid(name)
                if not entry.shared:
                    last = entry.key
                # Some servers list the folder itself.
                if name and (not uuid or uuid > after):
                    yield Listed(name, uuid, entry.size, entry.md5)
            if not page.token:
                return
            token = page.token

    def look(self, name: str) -> Seen:
        """Ask the server about one object."""
        try:
            headers = self._bucket.head(self._keys.prefix + name)
        except MissingObject:
            raise Missing from None
        except BucketError as error:
            raise Unreadable(str(error)) from None
        return Seen(int(headers.get("Content-Length", 0)), _age(headers.get("Last-Modified"), headers.get("Date")))

    def there(self, name: str) -> bool:
        """Whether there is something of this name; what begins the names of others is not asked for again."""
        if name.endswith("/"):
            return True
        try:
            self.look(name)
        except Missing:
            return False
        return True

    def md5(self, name: str, pace: Pace) -> str:
        """Fetch one object."""
        try:
            return self._bucket.md5(self._keys.prefix + name, pace.take)
        except MissingObject:
            raise Missing from None
        except BucketError as error:
            raise Unreadable(str(error)) from None

    def remove(self, name: str, least_age: float) -> bool:
        """Have the server delete one object."""
        if self.look(name).age < least_age:
            return False
        try:
            self._bucket.delete(self._keys.prefix + name)
        except BucketError as error:
            raise Unreadable(str(error)) from None
        return True

    def _page(self, start_after: str, token: str) -> Page:
        try:
            return self._bucket.page(self._keys.prefix, start_after, token)
        except BucketError as error:
            raise Failure(str(error), "check the endpoint, the keys and that they may list the bucket") from None


def _age(modified: str | None, now: str | None) -> float:
    """Give an object's age in seconds by the server's own clock; none that can be told is no age."""
    try:
        written = parsedate_to_datetime(modified or "").timestamp()
        return (parsedate_to_datetime(now).timestamp() if now else time.time()) - written
    except ValueError:
        return 0
