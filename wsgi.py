"""The WSGI entry point: `gunicorn wsgi:app`."""

import gc

from lti_app import create_app

app = create_app()
# What is here now stays: looking through it for garbage again and again costs a tenth of a busy worker's time.
gc.freeze()
