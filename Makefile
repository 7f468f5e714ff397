# make demo and make test set up everything that they need on a fresh Debian or Ubuntu machine; the rest is for those who work here.
.DEFAULT_GOAL := help
SHELL := /bin/bash

python := .venv/bin/python
# what only the tests need of the machine; as an ordinary user without sudo they do with what is there
test_packages := buildah busybox-static chromium crun docker-registry e2fsprogs fonts-liberation gcc gpg gpg-agent gpgv iproute2 libarchive-tools libc6-dev \
	libseccomp2 make openssh-client openssh-server openssl podman procps qemu-system-x86 skopeo sqv uidmap umoci util-linux

.PHONY: help demo test lab bench lint fmt docs js clean

help:
	@echo "make demo    set everything up, run the first lesson and print what it showed"
	@echo "make test    set everything up, run all tests"
	@echo "make lab     open the lessons in JupyterLab"
	@echo "make bench   measure side by side with the container engines that are installed"
	@echo "make lint    ruff, mypy, import contracts, JavaScript"
	@echo "make fmt     put the source in its usual form"
	@echo "make docs    write docs/compatibility.md, docs/dockerfile.md and docs/security.md, check the links and the Python of the documentation"
	@echo "make clean   remove what make made"

.venv/.made:
	set -e; python=$$(scripts/python.sh); rm -rf .venv; "$$python" -m venv .venv
	touch $@

.venv/.for-use: .venv/.made pyproject.toml
	@echo "installing labcontainers and JupyterLab into .venv"
	$(python) -m pip install --quiet --disable-pip-version-check --editable '.[lab]' nbclient
	touch $@

.venv/.for-tests: .venv/.made pyproject.toml
	@echo "installing labcontainers and what its tests need into .venv"
	$(python) -m pip install --quiet --disable-pip-version-check --editable '.[lab,test]'
	touch $@ .venv/.for-use

demo: .venv/.for-use
	@$(python) scripts/build_js.py
	@$(python) scripts/demo.py

lab: .venv/.for-use
	@$(python) scripts/build_js.py
	$(python) -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/01-first-container.ipynb

test: .venv/.for-tests
	scripts/packages.sh $(test_packages)
	$(python) scripts/build_js.py
	$(MAKE) --no-print-directory lint
	$(python) scripts/build_js.py run test --if-present
	scripts/tests.sh $(PYTEST)

lint: .venv/.for-tests
	.venv/bin/ruff check .
	$(python) -m mypy --strict labcontainers scripts benchmarks
	$(python) -c 'import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())'
	$(python) scripts/build_js.py run lint

fmt: .venv/.for-tests
	.venv/bin/ruff check --fix --select I .
	.venv/bin/ruff format --line-length 140 benchmarks scripts labcontainers tests
	$(python) scripts/build_js.py run fmt --if-present

js: .venv/.for-use
	$(python) scripts/build_js.py

bench: .venv/.for-use
	$(python) -m benchmarks $(BENCH)

docs: .venv/.for-tests
	$(python) -m scripts.compatibility
	$(python) -m scripts.dockerfile_page
	$(python) -m scripts.security_page
	$(python) -m pytest -q tests/unit/house

clean:
	rm -rf .venv js/node_modules labcontainers/widgets/static .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
