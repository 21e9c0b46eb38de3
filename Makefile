# SPDX-License-Identifier: MIT
# Short names for what meson, ninja and tools/ do; nothing is decided here.
.DEFAULT_GOAL := all
.PHONY: all setup configure demo check check-long bench install clean

PYTHON := /usr/bin/python3
BUILD := build/release
ONLY ?=

all: configure
	ninja -C $(BUILD)

setup:
	tools/setup

configure: setup
	tools/configure $(BUILD)

demo: all
	$(PYTHON) tools/demo

check: setup
	$(PYTHON) tools/check

check-long: setup
	$(PYTHON) tools/check --long

bench: all
	$(PYTHON) bench/run --build $(BUILD) $(if $(ONLY),--only $(ONLY))

install: all
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf build
