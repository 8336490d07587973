"""Waiting is polling for a state; nothing sleeps for a time that was guessed."""

import time

PATIENCE = 60.0  # seconds; a state that has not come by then never will
POLL = 0.01


def wait_until(what, condition, patience=PATIENCE):
    """The first true result of condition(); what: told when it never comes."""
    end = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"never: {what}")
        time.sleep(POLL)
