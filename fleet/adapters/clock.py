"""Wall time."""

import time


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Sleep; not at all where seconds are not positive."""
        time.sleep(max(0.0, seconds))
