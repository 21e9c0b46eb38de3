# SPDX-License-Identifier: MIT
"""What tools/check is made of: jobs.py runs commands, results.py reads what tests said,
report.py says how it went, selftest.py tests them."""
