"""LTI 1.3 Advantage and the ways each LMS deviates from it.

Everything here would be true if Gongyu did not exist: it takes and returns frozen dataclasses and knows
neither Flask nor a database nor `lti_app`.
"""
