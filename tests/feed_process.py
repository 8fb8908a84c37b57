"""A feed in a process of its own, for tests that kill or freeze it: `python -m tests.feed_process DATABASE REST HUB`.

Says `leads` and `waits` when that changes, and goes on until it is killed.
"""

from __future__ import annotations

import sys
import time

from database.engine import Database
from tests.support_feed import make_feed


def main() -> None:
    feed = make_feed(Database(sys.argv[1]), *sys.argv[2:4])
    feed.start()
    said = False
    while True:
        leads = feed.state.is_connected
        if leads != said:
            said = leads
            sys.stdout.write("leads\n" if leads else "waits\n")
            sys.stdout.flush()
        time.sleep(0.02)


if __name__ == "__main__":
    main()
