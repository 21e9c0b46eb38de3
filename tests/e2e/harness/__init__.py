# SPDX-License-Identifier: MIT
"""What end-to-end tests stand on: processes, cgroups, the daemon, clients and VMs.

Nothing here asserts what epcd should do; that is the tests'. What is here ends within a time-out
that is far beyond what any machine needs, and cleans up by what it has recorded.
"""
