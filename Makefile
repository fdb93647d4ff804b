# retentiond: what there is to make. `make` alone says so.

PYTHON ?= $(shell for p in python3.11 python3; do "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
DEMO ?= demo
UPGRADE ?=
MINUTES ?= 10
WORKERS ?= 2

# Modules are compiled once and kept, as in any installation; without it each start compiles them anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
LOCK := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-header $(UPGRADE)

.PHONY: help demo test ready bench soak lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     builds a small company in ./demo and plays retentiond on it; again: ./demo-2, ./demo-3, ..."
	@echo "make test     proves everything: style, types, floors, rules of the house, behaviour"
	@echo "make bench    runs the programs in benchmarks/"
	@echo "make soak     the daemon for MINUTES (10) on the demo's company, while everything happens to it"
	@echo "make lock     writes requirements.txt and requirements-dev.txt anew; UPGRADE=--upgrade takes newer releases"
	@echo "make clean    takes away .venv and caches; folders of the demo stay"
	@echo "Each takes PYTHON=... where python3 is not the one that is meant (3.11 or newer)."

# The demo never writes into a folder that is there already, so playing again takes the next free name.
demo: .venv/.installed
	@folder="$(DEMO)"; n=2; while [ -e "$$folder" ]; do folder="$(DEMO)-$$n"; n=$$((n + 1)); done; \
	$(BIN)/retentiond demo "$$folder"

# Ruff, mypy and import-linter are tests too (tests/house), so that pytest alone proves all.
test: ready
	@$(BIN)/python -m pytest -n $(WORKERS)

ready: .venv/.installed-dev
	@.ci/need openssl openssl "checking a signature with a second program"
	@.ci/need postgres postgresql "rows of PostgreSQL"
	@.ci/need mariadbd mariadb-server "rows of MariaDB"
	@.ci/need sshd openssh-server "files over SFTP"
	@.ci/need radosgw "ceph-mon ceph-osd radosgw ceph-common" "objects of Ceph's S3, with versions and locks"
	@.ci/need dovecot dovecot-imapd "mailboxes of an IMAP server"
	@.ci/need age age "reading what was encrypted with a second program"
	@.ci/need gpg gpg "recognising what OpenPGP has encrypted"
	@.ci/need 7z "p7zip-full zip cryptsetup-bin" "recognising ZIP, 7z and LUKS"
	@.ci/need restic "restic borgbackup" "recognising repositories of restic and borg"
	@.ci/need systemd-analyze systemd "judging the units of deploy/systemd, and starting them"

bench: .venv/.installed-dev
	@for program in $(filter-out benchmarks/soak.py benchmarks/side_by_side.py %_loop.py,$(wildcard benchmarks/*.py)); do \
	echo "== $$program"; $(BIN)/python "$$program" || exit 1; done

soak: .venv/.installed-dev
	@$(BIN)/python benchmarks/soak.py $(MINUTES)

lock: .venv/.made
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && \
	$(PYTHON) -m venv "$$tools" && "$$tools/bin/python" -m pip -qq --disable-pip-version-check install uv && \
	export PATH="$$tools/bin:$$PATH" UV_PYTHON_DOWNLOADS=never && \
	$(LOCK) --group build --output-file requirements.txt >/dev/null && \
	$(LOCK) --group build --group dev --all-extras --output-file requirements-dev.txt >/dev/null

clean:
	rm -rf .venv .make build retentiond.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find retentiond tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.made:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed; on Debian: apt-get install python3" >&2; exit 1; }
	@.ci/need-venv "$(PYTHON)"
	@$(PYTHON) -m venv .venv
	@touch $@

# Every package is taken at the version and with the digest that the lock names. The project itself comes last,
# built by the locked setuptools, with nothing fetched for it.
.venv/.installed: .venv/.made requirements.txt pyproject.toml
	@echo "installing what requirements.txt locks ..."
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	@echo "installing what requirements-dev.txt locks ..."
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@
