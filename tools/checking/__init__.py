# SPDX-License-Identifier: MIT
"""What tools/check is made of: jobs.py runs commands, results.py reads what tests said."""
