"""`celery …` with short leases, so that what a killed worker held is free again within a test's patience.

python -m tests.celery.launcher worker …
"""

from __future__ import annotations

import sys

from celery.__main__ import main

import lti_app.celery
import lti_app.delivery.turns

LEASE_SECONDS = 3.0
OFFER_SECONDS = 3.0

if __name__ == "__main__":
    lti_app.delivery.turns.LEASE_SECONDS = LEASE_SECONDS
    lti_app.celery.OFFER_SECONDS = OFFER_SECONDS
    sys.argv = ["celery", "-q", "-A", "lti_app.celery", *sys.argv[1:]]
    main()
