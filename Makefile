# `make help` lists the targets. What they make lies in the target directory.

# The interpreter that runs the demo and most tests: the first that is new enough.
ifndef PYTHON
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && command -v $$python && break; done)
endif
# Tests run what development builds: with overflow checks and debug assertions,
# and compiled in a fraction of a release build's time.
PROFILE ?= dev
# Tests wait for processes and for time: one more of them than there are processors.
test-threads := $(shell expr $$(nproc) + 1)
# Tests of protocols, applications and texts do not depend on the user: where root runs all tests,
# they run once. `make test` as an ordinary user runs all.
as-root-only := accelerated_files:: access:: allowed_hosts:: application:: application_metrics:: \
	application_module:: bad_settings:: batches:: check:: completions:: compress:: connections:: convert:: \
	debug_guard:: delays:: drop_in:: faults:: forwarded:: frameworks:: gunicorn_package:: handshakes:: hangs:: \
	https:: https_tools:: language:: layering:: listeners:: logs_json:: manifests:: page:: prometheus:: \
	proxies:: proxy_protocol:: queue_timeout:: rate_limits:: recycling:: redirects:: request_hooks:: \
	request_ids:: requests:: responses:: sessions:: slow_requests:: statsd:: storms:: threads:: top:: trust:: \
	turns:: uploads:: vectors:: websockets::
# Where the demo listens; with TLS=1, over https.
BIND ?= $(if $(TLS),127.0.0.1:8443,127.0.0.1:8000)
# Where `make install` puts the program; DESTDIR stands in front, for packages.
PREFIX ?= /usr/local
# Where the shells look for completions; zsh not in the same place everywhere.
bash-completions = $(PREFIX)/share/bash-completion/completions
fish-completions = $(PREFIX)/share/fish/vendor_completions.d
zsh-completions = $(PREFIX)/share/zsh/site-functions
# Where the systems for `make test-systemd` come from: what this machine uses.
MIRROR ?= $(or $(shell apt-get indextargets --format '$$(REPO_URI)' 'Label: Debian' 2>/dev/null | head -n 1),http://deb.debian.org/debian)

# Systems for `make test-systemd`; `jammy` and `noble`, Ubuntu's, can be added.
SYSTEMS ?= bookworm trixie
UBUNTU ?= http://archive.ubuntu.com/ubuntu

comma := ,
target := $(abspath $(or $(CARGO_TARGET_DIR),target))
apps := $(CURDIR)/tests/apps
shop := $(apps)/shop
demo := $(target)/demo
demo-certfile := $(demo)/localhost.pem
demo-keyfile := $(demo)/localhost.key
venv := $(target)/tests/venv
machines := $(target)/systemd
# What these systems have, and a stamp that other packages would change.
furniture := systemd,systemd-sysv,dbus,python3,python3-venv,logrotate,tzdata
from = $(if $(filter jammy noble,$*),--components=main$(comma)universe $* $(machines)/$* $(UBUNTU) /usr/share/debootstrap/scripts/jammy,$* $(machines)/$* $(MIRROR))
furnished := ready-$(subst $(comma),-,$(furniture))
installers := $(target)/tests/installers
container := $(target)/container
profile-directory := $(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
# What `make install` installs.
built := $(target)/release
# Where `make wheel` works, and what it makes.
python-source := $(target)/python/source
python-tools := $(target)/python/tools
wheels := $(target)/wheels
# The time of everything in it: of the commit, where there is one.
commit-time = $(or $(shell git log -1 --format=%ct 2>/dev/null),$(shell date +%s))
# What of this repository a Python package is built from.
python-files := .gitignore Cargo.toml Cargo.lock LICENSE src workers packaging/python
# Names the tests that cannot run here.
skipped := $(target)/tests/skipped
# Stamps of what is set up, by interpreter: another PYTHON sets up anew.
stamp := ready$(subst /,-,$(PYTHON))
export SHOP_DATA = $(demo)

# Where the package is built, and of what.
deb := $(target)/debian
shipped := Cargo.toml Cargo.lock LICENSE Makefile README.md docs packaging src tests workers
# Build dependencies that say where Rust comes from are met by any.
other-rust = $(if $(filter /usr,$(shell rustc --print sysroot)),,--build-profiles=pkg.monoceros.other-rust)
version := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
package = $(deb)/monoceros_$(version)_$(shell dpkg --print-architecture 2>/dev/null).deb
rust-version := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
define get-rust
apt install cargo-web rustc-web (Debian 13, and 12 with its security suite), or https://rustup.rs
endef
# Ends a recipe whose last command was a test run: what was not tested, and its exit status.
define summary
result=$$?; cat $(skipped) 2>/dev/null; echo "$$(cat $(skipped) 2>/dev/null | wc -l) tests were skipped"; exit $$result
endef

.DEFAULT_GOAL := build
.PHONY: help build deb install wheel run systems test test-user test-systemd test-wheel test-container check bench fmt clean tools python python-packages demo-certificate

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

build: tools ## Build everything in release mode
	cargo build --workspace --release

install: ## Copy what `make build` has built to PREFIX
	@test -x $(built)/monoceros || { echo "nothing is built: run make build first, as yourself" >&2; exit 1; }
	install -D -m 755 $(built)/monoceros $(DESTDIR)$(PREFIX)/bin/monoceros
	install -D -m 644 $(built)/libmonoceros_python.so $(DESTDIR)$(PREFIX)/lib/monoceros/libmonoceros_python.so
	install -D -m 644 docs/man/monoceros.1 $(DESTDIR)$(PREFIX)/share/man/man1/monoceros.1
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in monoceros@.service monoceros@.socket; do \
		sed 's,/usr/bin/monoceros,$(PREFIX)/bin/monoceros,' packaging/systemd/$$unit >$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit && \
		chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit; done
	install -D -m 644 packaging/completions/monoceros.bash $(DESTDIR)$(bash-completions)/monoceros
	install -D -m 644 packaging/completions/monoceros.fish $(DESTDIR)$(fish-completions)/monoceros.fish
	install -D -m 644 packaging/completions/_monoceros $(DESTDIR)$(zsh-completions)/_monoceros
	install -d $(DESTDIR)$(PREFIX)/share/monoceros
	cp -R packaging/prometheus packaging/grafana $(DESTDIR)$(PREFIX)/share/monoceros/
	chmod -R u=rwX,go=rX $(DESTDIR)$(PREFIX)/share/monoceros

deb: $(package) ## Build the Debian package: debian/*.deb in the target directory

# dpkg wants a directory `debian` at the top, and a build that fetches nothing; cargo
# wants the tests to be there. What changes meanwhile is newer than the package.
$(package): $(shell find $(filter-out tests,$(shipped)) -type f -not -path '*/target/*') | tools
	@command -v dpkg-buildpackage >/dev/null && command -v dh >/dev/null || \
		{ echo "Debian's tools are missing: apt install build-essential debhelper" >&2; exit 1; }
	@test "$$(dpkg-parsechangelog -l packaging/debian/changelog -S Version)" = $(version) || \
		{ echo "packaging/debian/changelog is not about version $(version), which Cargo.toml has" >&2; exit 1; }
	rm -rf $(deb)/tree
	mkdir -p $(deb)/tree
	touch $(deb)/begin
	tar --create --exclude=target --exclude=__pycache__ $(shipped) | tar --extract --touch --directory $(deb)/tree
	mv $(deb)/tree/packaging/debian $(deb)/tree/debian
	cd $(deb)/tree && cargo vendor --quiet --locked vendor >/dev/null
	cd $(deb)/tree && PATH="$$(rustc --print sysroot)/bin:$$PATH" CARGO_TARGET_DIR=$(deb)/cargo \
		dpkg-buildpackage --build=binary --no-sign $(other-rust)
	touch --reference=$(deb)/begin $@

wheel: python build ## Make the packages for pip, in target/wheels
	@$(MAKE) --no-print-directory python-packages

run: python build $(demo)/$(stamp) $(if $(TLS),demo-certificate) ## Serve the demonstration shop at 127.0.0.1:8000; TLS=1: at https://127.0.0.1:8443
	@$(demo)/venv/bin/python $(shop)/manage.py demo
	@echo "The shop serves as soon as the log says at which address; Ctrl-C stops it."
	@trap : INT; $(target)/release/monoceros --chdir $(shop) --python $(demo)/venv/bin/python --bind $(BIND) --workers 2 --static auto $(if $(TLS),--certfile $(demo-certfile) --keyfile $(demo-keyfile)) || \
		{ echo "The shop was to serve at $(BIND); another address is set by make run BIND=127.0.0.1:8001" >&2; exit 1; }

test: tools $(venv)/$(stamp) ## Run every test; PROFILE=release tests what is shipped
	cargo build --workspace --profile $(PROFILE)
	@rm -f $(skipped)
	RUST_TEST_THREADS=$(test-threads) SKIPPED_TESTS=$(skipped) cargo test --workspace --profile $(PROFILE) --no-fail-fast; $(summary)
	cd tests/bench && $(PYTHON) -m unittest --quiet

test-user: tools $(venv)/$(stamp) ## As root: run the tests as an ordinary user
	cargo build --workspace --profile $(PROFILE)
	cargo test --workspace --profile $(PROFILE) --no-run --message-format=json | RUST_TEST_THREADS=$(test-threads) $(PYTHON) tests/as_user.py $(as-root-only:%=--skip=%)

systems: $(SYSTEMS:%=$(machines)/%/$(furnished)) $(container)/base/ready ## As root: make the systems that tests boot

# With the tools for it, the package is tested, and not what `make install` installs.
test-systemd: tools $(if $(shell command -v dh),$(package)) $(venv)/$(stamp) $(SYSTEMS:%=$(machines)/%/$(furnished)) ## As root: run the tests that boot a systemd
	cargo build --workspace --profile $(PROFILE)
	@rm -f $(skipped)
	$(MAKE) --no-print-directory install built=$(target)/$(profile-directory) DESTDIR=$(machines)/installed PREFIX=/usr/local
	rm -rf $(machines)/package
	$(if $(shell command -v dh),install -D -m 644 -t $(machines)/package $(package))
	SKIPPED_TESTS=$(skipped) cargo test --workspace --profile $(PROFILE) --test systemd; $(summary)

test-wheel: tools $(installers)/$(stamp) ## Run the tests of the packages for pip
	cargo build --workspace --profile $(PROFILE)
	@$(MAKE) --no-print-directory python-packages built=$(target)/$(profile-directory) wheels=$(target)/tests/wheels
	@rm -f $(skipped)
	SKIPPED_TESTS=$(skipped) cargo test --workspace --profile $(PROFILE) --test wheel; $(summary)

test-container: tools $(container)/base/ready ## As root: run the tests of the container image
	cargo build --workspace --profile $(PROFILE)
	@rm -f $(skipped)
	rm -rf $(container)/installed
	$(MAKE) --no-print-directory install built=$(target)/$(profile-directory) DESTDIR=$(container)/installed PREFIX=/usr/local
	SKIPPED_TESTS=$(skipped) cargo test --workspace --profile $(PROFILE) --test container; $(summary)

check: tools ## Check the format, the lints and the documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --test systemd --test wheel --test container -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

bench: build python ## Compare with other servers; writes docs/performance.md
	$(PYTHON) tests/bench/bench.py --strace --preload --write docs/performance.md

fmt: tools ## Format the source
	cargo fmt --all

clean: ## Remove everything that was built
	rm -rf $(target)

# What a target needs that is not in this repository: says how to get it.
tools:
	@command -v cargo >/dev/null && command -v rustc >/dev/null || { echo "Rust is missing: $(get-rust)" >&2; exit 1; }
	@printf '%s\n' $(rust-version) $$(rustc --version | cut -d' ' -f2) | sort --check=quiet --version-sort || \
		{ echo "Rust $(rust-version) or newer is needed, $$(command -v rustc) is $$(rustc --version): $(get-rust)" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt install build-essential" >&2; exit 1; }

python:
	@test -n "$(PYTHON)" || { echo "Python 3.10 or newer is missing: apt install python3 python3-venv, or make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: apt install python3-venv" >&2; exit 1; }

$(demo)/$(stamp): $(shop)/requirements.txt $(wildcard $(shop)/store/migrations/*.py) | python
	@rm -f $(demo)/ready*
	$(PYTHON) -m venv --clear $(demo)/venv
	$(demo)/venv/bin/pip install --quiet --disable-pip-version-check -r $(shop)/requirements.txt
	$(demo)/venv/bin/python $(shop)/manage.py migrate --verbosity 0
	$(demo)/venv/bin/python $(shop)/manage.py collectstatic --no-input --verbosity 0
	touch $@

$(venv)/$(stamp): $(shop)/requirements.txt $(apps)/flaskapp/requirements.txt $(apps)/programs/requirements.txt $(apps)/metrics/requirements.txt | python
	$(PYTHON) -m venv --clear $(venv)
	$(venv)/bin/pip install --quiet --disable-pip-version-check $(patsubst %,-r %,$^)
	touch $@

# A certificate of its own key, for the demo; made anew when it is about to expire.
demo-certificate: $(demo)/$(stamp)
	@command -v openssl >/dev/null || { echo "the openssl program, which makes a certificate, is missing: apt install openssl" >&2; exit 1; }
	@openssl x509 -checkend 86400 -noout -in $(demo-certfile) >/dev/null 2>&1 || (umask 077 && \
		openssl req -batch -x509 -nodes -days 90 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
		-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
		-keyout $(demo-keyfile) -out $(demo-certfile)) 2>$(demo)/openssl.log || { cat $(demo)/openssl.log >&2; exit 1; }
	@echo "No browser trusts $(demo-certfile): it asks before it goes on."

# A source package, and from its content a wheel with what is built, for as old
# systems as that runs on.
python-packages: $(python-tools)/$(stamp)
	rm -rf $(target)/python/made $(python-source) $(wheels)
	mkdir -p $(python-source)
	cp -R --parents $(python-files) $(python-source)
	cp packaging/python/pyproject.toml $(python-source)
	cargo fetch --quiet --locked
	cd $(python-source) && $(PYTHON) $(CURDIR)/packaging/debian/copyright.py <$(CURDIR)/packaging/debian/copyright.in >COPYRIGHT
	MONOCEROS_BUILT=$(built) $(python-tools)/bin/python -m build --outdir $(target)/python/made $(python-source)
	PATH=$(python-tools)/bin:$$PATH SOURCE_DATE_EPOCH=$(commit-time) \
		auditwheel repair --strip --wheel-dir $(wheels) $(target)/python/made/*.whl
	mv $(target)/python/made/*.tar.gz $(wheels)
	@ls $(wheels)/*

$(python-tools)/$(stamp): packaging/python/tools.txt | python
	$(PYTHON) -m venv --clear $(python-tools)
	$(python-tools)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(installers)/$(stamp): tests/wheel/requirements.txt | python
	$(PYTHON) -m venv --clear $(installers)
	$(installers)/bin/pip install --quiet --disable-pip-version-check --upgrade pip -r $<
	touch $@

# A small system of a release of Debian or Ubuntu, with its systemd. debootstrap may not
# know a new release by name: they are all made like this one.
$(machines)/%/$(furnished):
	@command -v debootstrap >/dev/null && command -v systemd-nspawn >/dev/null || \
		{ echo "systems cannot be made or booted: apt install debootstrap systemd-container" >&2; exit 1; }
	rm -rf $(machines)/$*
	mkdir -p $(machines)
	debootstrap --variant=minbase --include=$(furniture) $(from) >$(machines)/$*.log || \
		{ tail $(machines)/$*.log >&2; exit 1; }
	touch $(machines)/$*/ready $@

# The small Debian that images start from.
$(container)/base/ready:
	@command -v debootstrap >/dev/null || { echo "a system cannot be made: apt install debootstrap" >&2; exit 1; }
	rm -rf $(container)/base
	mkdir -p $(container)
	debootstrap --variant=minbase trixie $(container)/base $(MIRROR) >$(container)/base.log || \
		{ tail $(container)/base.log >&2; exit 1; }
	touch $@
