# `make demo` and `make test` do everything on a fresh Debian 12 machine.
.PHONY: demo test bench format lint setup build
SHELL := /bin/bash
JOBS := $(shell nproc)
BUILD := build/release
PACKAGES := cmake ninja-build g++ ccache pkg-config libeigen3-dev nlohmann-json3-dev libcli11-dev libbenchmark-dev \
  libtbb-dev libsentencepiece-dev libyaml-cpp-dev libspdlog-dev libfmt-dev libpcre2-dev libutf8proc-dev libxxhash-dev \
  libgtest-dev libgmock-dev
SOURCES := $(shell git ls-files '*.cpp' '*.h' 2>/dev/null)

setup:
	@missing=; for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  sudo=; if [ "$$(id -u)" != 0 ]; then \
	    command -v sudo >/dev/null || { echo "missing packages:$$missing; install them as root"; exit 1; }; sudo=sudo; fi; \
	  echo "installing:$$missing"; \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq $$missing >/dev/null; fi

$(BUILD)/build.ninja: | setup
	cmake --preset release >/dev/null

build: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS)

test: build
	ctest --preset release -j $(JOBS)

demo: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS) --target evictbench random_checkpoint
	@test -f build/demo-model/config.json || $(BUILD)/random_checkpoint build/demo-model 1
	@echo "The demo's model has seeded random weights: what it answers is noise, and every score is near 0."
	@echo "It shows the whole path, from a checkpoint folder to the page; README says how to run a real model."
	$(BUILD)/evictbench run harness/sweeps/demo.yaml
	@echo "The page: results/demo/report.html"

bench: build
	@echo "no benchmark programs yet; tests/benchmarks/sweep_ratio.py measures a sweep against single runs"

format:
	clang-format -i $(SOURCES)

lint: build
	clang-tidy -p $(BUILD) --quiet $(filter %.cpp,$(SOURCES))
