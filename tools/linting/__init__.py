# SPDX-License-Identifier: MIT
"""The rules behind tools/lint: source.py reads files, *_rules.py judge them, examples.py tests them."""
