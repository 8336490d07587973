"""Which tests and which random histories a run has: the normal one, the long campaign, or one seed.

OSSUP_LONG is set by tests/long.sh. OSSUP_SEED=N runs that history alone, in the first test that has
any; the long campaign begins with it.
"""

import os

import pytest

LONG_COUNT = 2000
LONG_SHARES = 20  # tests that share the histories of the long campaign

long_campaign = pytest.mark.skipif("OSSUP_LONG" not in os.environ, reason="tests/long.sh runs it")


def chosen(seeds):
    """These seeds, or the one that is asked for."""
    one = os.environ.get("OSSUP_SEED")
    return [int(one)] if one else seeds


def long_seeds(share):
    begin = int(os.environ.get("OSSUP_SEED", "1000"))
    return range(begin + share, begin + LONG_COUNT, LONG_SHARES)
