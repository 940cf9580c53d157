# Every target does its own set-up. `make` alone explains them.

CARGO ?= cargo
# The scenarios run real encoders in real time, so their binaries are optimised; see [profile.ci] in Cargo.toml. The
# demonstration takes the same: what is optimised for a box takes three times as long to build, and shows nothing more.
PROFILE := ci
# Scenarios share the machine's cores with encoders and servers: most have it alone, those in namespaces go side by side.
TEST := $(CARGO) test --locked --profile $(PROFILE)

.PHONY: help setup build relay demo test check tidy simulate soak bench bench-fanout bench-inputs bench-srt bench-truth bench-start fuzz fuzz-smoke clean

help: ## this list
	@echo "make demo            watch Holdfast send a film to real servers; no hardware, a few minutes the first time"
	@echo "make test            every test, the scenarios with real servers among them (under an hour on two cores, the first time)"
	@echo "make check           formatting, lints, documentation, licences: what a change must pass before its tests"
	@echo "make simulate        SEEDS=10000 stories of bonded SRT, of links and ways and of inputs in virtual time, each under every rule (minutes)"
	@echo "make soak            the scenarios with full repetition counts; results/ and a table"
	@echo "make bench           all benchmarks; each ends in one line RESULT name=value ..."
	@echo "make bench-fanout    the cost of a destination, beside FFmpeg's tee doing the same"
	@echo "make bench-inputs    two inputs and one encode: how soon the other one is seen, and the cost, beside GStreamer's fallbackswitch"
	@echo "make bench-srt       our SRT engine beside libsrt with bonding: cost, rate, switching, congestion, waste"
	@echo "make bench-truth     what it costs to find out whether a picture is frozen or black"
	@echo "make bench-start     how long a worker takes from exec to its encoders and its first picture"
	@echo "make fuzz            every parser's fuzz target for SECONDS=60 each"
	@echo "make build           release binaries in target/release"
	@echo "make relay           holdfast-relay alone, as one static file that runs on any server of this machine's kind"
	@echo "make setup           only the set-up of the above: apt, PyPI and npm packages"
	@echo "make clean           removes target/, .tools/, demo-out/ and results/"
	@echo
	@echo "One scenario:        make test ONLY=servers    (any part of a test's name)"

setup:
	@scripts/setup --test

build:
	@scripts/setup --build
	$(CARGO) build --release --locked

relay:
	@CARGO="$(CARGO)" scripts/build-relay

DEMO ?=
demo:
	@scripts/setup --demo
	$(CARGO) build --locked --profile $(PROFILE) --bins
	@target/$(PROFILE)/holdfast demo $(DEMO)

ONLY ?=
test:
	@scripts/setup --test
ifeq ($(ONLY),)
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --profile $(PROFILE) --all-targets -- -D warnings
endif
	@scripts/run-tests $(TEST) --no-fail-fast -- $(ONLY)
ifeq ($(ONLY),)
	@$(MAKE) --no-print-directory simulate
	@$(MAKE) --no-print-directory fuzz-smoke
	@echo "==> the benchmarks, once and as the tests are built: for the figures that count, make bench"
	@REPETITIONS=1 scripts/bench-fanout --profile $(PROFILE)
	@REPETITIONS=1 WINDOW=2 scripts/bench-srt --profile $(PROFILE)
	@REPETITIONS=1 scripts/bench-truth --profile $(PROFILE)
	@REPETITIONS=1 scripts/bench-start --profile $(PROFILE)
endif

check:
	@scripts/setup --build
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --locked --no-deps --document-private-items
	$(CARGO) test --locked --test tidy
	@CARGO="$(CARGO)" scripts/deny

SEEDS ?= 10000
simulate:
	HOLDFAST_SEEDS=$(SEEDS) $(TEST) --lib -- --nocapture bonding::simulation::every_rule link::health::simulation::every_rule \
		link::health::simulation::traces switch::selector::simulation::every_rule

soak:
	@scripts/setup --test
	HOLDFAST_SOAK=1 $(TEST) --test scenarios -- --nocapture
	@scripts/results-table
	@scripts/bench-srt

bench: bench-fanout bench-inputs bench-srt bench-truth bench-start

bench-fanout:
	@scripts/setup --test
	@scripts/bench-fanout

bench-inputs:
	@scripts/setup --test
	@scripts/bench-inputs

bench-srt:
	@scripts/setup --test
	@scripts/bench-srt

bench-truth:
	@scripts/setup --build
	@scripts/bench-truth

bench-start:
	@scripts/setup --test
	@scripts/bench-start

SECONDS ?= 60
fuzz:
	@scripts/setup --build
	@scripts/fuzz $(SECONDS)

# A bounded run over the committed corpus, for `make test`.
fuzz-smoke:
	@scripts/fuzz 3

clean:
	rm -rf target fuzz/target .tools demo-out results
