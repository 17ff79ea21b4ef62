"""A small school with an LMS, to click through the tool and to break things: for development only.

`lti1p3platform` validates and signs; what is here is the school, its pages and its memory.
"""
