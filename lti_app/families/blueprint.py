"""The blueprint that the pages of parents and of teachers share."""

from flask import Blueprint

bp = Blueprint("families", __name__)
ROW = "int(max=9223372036854775807)"
"""A row's number in an address; more does not fit into the database."""
