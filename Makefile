# Each target sets up what it needs: an environment of its own, out of its own lock.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help run test fuzz programs lint lock schema wheel release audit new-environment clean rehearsal \
	rehearsal-down test-fleet test-release-long test-rebuild test-alerts test-versions release-twice deploy \
	rollback bench bench-lasting bench-quick bench-programs environments

export PYTHON
# The caller's may not exist on this machine; this one is everywhere.
export LC_ALL := C.UTF-8
environment = bash requirements/environment
python = .venvs/$(1)/bin/python
service = PYTHONPATH="$(CURDIR)/service"

help: ## List what can be done here.
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile

run: ## Serve on http://127.0.0.1:3000 with servers of its own and demo data; PORT=3001 for another.
	@$(environment) dev
	@$(service) exec $(call python,dev) -m gtsd dev

TESTS ?= tests/static tests/unit tests/api
# Coverage means something only for all of them.
coverage = $(if $(filter-out file default,$(origin TESTS)),--no-cov,--cov --cov-report=term)

test: $(if $(findstring tests/api,$(TESTS))$(findstring tests/static,$(TESTS)),programs)
test: ## Prove it: static, unit and api tests with coverage; TESTS="tests/unit/dev -k redis" for some.
	@$(environment) test
	@$(service) $(call python,test) -m pytest -q -n auto --maxprocesses=4 --dist loadfile $(coverage) $(TESTS)

fuzz: ## Call every operation as the document allows and forbids; SEED=7 CALLS=2000 for other calls.
	@$(environment) test
	@FUZZ_CALLS="$(CALLS)" FUZZ_SEED="$(SEED)" $(service) $(call python,test) -m pytest -q -n auto \
		--maxprocesses=4 --no-cov tests/fuzz

bench-programs: ## Install what the peers of make bench need: wrk, Node and Go with its libraries (as root).
	@wanted=(wrk golang-go golang-github-jackc-pgx-v4-dev golang-github-golang-jwt-jwt-dev \
		golang-github-gomodule-redigo-dev golang-github-prometheus-client-golang-dev); \
	command -v npm >/dev/null || wanted+=(nodejs npm); \
	missing=$$({ dpkg-query -W -f '$${db:Status-Status} $${Package}\n' "$${wanted[@]}" 2>/dev/null || \
		[ $$? -eq 1 ]; } | sed -n 's/^installed //p' | sort | comm -13 - <(printf '%s\n' "$${wanted[@]}" | sort) | xargs); \
	[ -z "$$missing" ] || [ "$$(id -u)" -ne 0 ] || { echo "installing $$missing (once)" && \
		apt-get -q update >/dev/null && DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y install --no-install-recommends $$missing >/dev/null; }
	@$(environment) test
	@$(environment) bench

bench: bench-programs ## Measure us beside Express, Fastify, FastAPI, Go and the usual Tornado, into dist/bench.html.
	@$(service):. $(call python,test) -m tests.bench $(if $(ROUNDS),--rounds $(ROUNDS))

bench-lasting: bench-programs ## A million requests and a million people: memory, and speed over 12 million rows (30 min).
	@$(service):. $(call python,test) -m tests.bench.lasting

bench-quick: bench-programs ## The same in three minutes, for CI: ratios, with slack.
	@$(service):. $(call python,test) -m tests.bench --quick

no_cluster = /etc/postgresql-common/createcluster.d
# Only its promtool is wanted.
never_started = /etc/systemd/system/prometheus.service

programs: ## Install what tests need and we may: Chromium, curl, PostgreSQL, pgBackRest, promtool (as root).
	@missing=; command -v chromium google-chrome >/dev/null || missing+=" chromium"; \
	command -v curl >/dev/null || missing+=" curl"; \
	command -v pgbackrest >/dev/null || missing+=" postgresql pgbackrest"; \
	command -v promtool >/dev/null || { missing+=" prometheus"; masked=$(never_started); }; \
	[ -z "$$missing" ] || [ "$$(id -u)" -ne 0 ] || { \
		echo "installing$$missing (once)" && apt-get -q update >/dev/null && \
		{ [ -z "$${masked:-}" ] || ln -sfn /dev/null "$$masked"; } && \
		mkdir -p $(no_cluster) && echo 'create_main_cluster = false' >$(no_cluster)/gtsd-tests.conf && \
		DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $$missing \
			>/dev/null; } || echo "Not installed:$$missing; see above what apt-get said."

environments: ## Make those of all checks at once; else each is made when it is first wanted.
	@printf '%s\n' test ansible-lint ansible lint build | xargs -n 1 -P 5 $(environment)

lint: ## Run every checker: style, types, import directions, SQL, shell, YAML, workflows, playbooks.
	@$(environment) lint
	@$(environment) test
	@$(environment) ansible-lint
	@LINT_BIN="$(CURDIR)/.venvs/lint/bin" TEST_BIN="$(CURDIR)/.venvs/test/bin" \
		ANSIBLE_BIN="$(CURDIR)/.venvs/ansible-lint/bin" bash .ci/lint

compile = .venvs/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--only-binary :all: --no-strip-extras --no-header --no-emit-index-url --no-emit-find-links \
	$(if $(UPGRADE),--upgrade)

lock: ## Renew requirements/*.txt out of *.in; UPGRADE=1 takes newer versions of what is not pinned.
	@$(environment) lock
	@cd requirements && compile="../$(compile)"; for name in runtime dev test bench lint ansible ansible-lint build audit lock; do \
		echo "requirements/$$name.txt"; \
		case $$name in dev) same="-c runtime.txt" ;; test) same="-c dev.txt" ;; bench) same="-c runtime.txt" ;; \
			ansible-lint) same="-c ansible.txt" ;; *) same= ;; esac; \
		$$compile $$same --output-file $$name.txt $$name.in; \
	done

schema: ## Write migrations/schema.sql anew, out of all migrations.
	@$(environment) test
	@$(service) $(call python,test) tests/api/migrate/write_schema.py

wheel: ## Build dist/gtsd-….whl.
	@$(environment) build
	@$(call python,build) -m build --wheel --no-isolation --outdir dist .

version = $(if $(VERSION),--version "$(VERSION)")
# What the shell of the caller has under this name is seldom ours.
signed_by = $(if $(findstring command,$(origin ENVIRONMENT)),$(ENVIRONMENT))

release: ## Build dist/gtsd-VERSION.tar.gz, signed by the key of ENVIRONMENT=production; VERSION=1.4.0 for another.
	@$(environment) build
	@$(if $(signed_by),$(environment) ansible)
	@$(call python,build) -m requirements.release $(version)
	@$(call python,$(if $(signed_by),ansible,build)) -m requirements.release_signature $(version) \
		$(if $(signed_by),--environment "$(signed_by)")

release-twice: ## Build the committed release here and in another folder: the same bytes, or it fails.
	@again=$$(mktemp -d); trap 'git worktree remove --force "$$again/gtsd"; rm -rf "$$again"' EXIT; \
	unset GTSD_RELEASE_KEY_FILE; $(MAKE) release; \
	git worktree add --quiet --detach "$$again/gtsd"; $(MAKE) -C "$$again/gtsd" release; \
	for archive in "$$again"/gtsd/dist/gtsd-*.tar.gz; do cmp "$$archive" "dist/$${archive##*/}"; done

audit: ## Look up known vulnerabilities of what production runs.
	@$(environment) audit
	@$(call python,audit) -m pip_audit --strict --require-hashes --disable-pip -r requirements/runtime.txt

new-environment: ## Write inventories/NAME with fresh random secrets, encrypted: NAME=production.
	@$(environment) ansible
	@$(call python,ansible) inventories/new_environment.py "$(NAME)"

machines = $(call python,ansible) -m tests.fleet.machines --name $(if $(findstring command,$(origin NAME)),$(NAME),rehearsal)

rehearsal: ## Start real hosts here as root, run site.yml, answer over HTTPS; TOPOLOGY=full IMAGE=trixie NAME=other.
	@$(environment) ansible
	@$(machines) rehearse --shape $(or $(TOPOLOGY),small) --image $(or $(IMAGE),bookworm)

rehearsal-down: ## Leave nothing of the rehearsal behind; NAME=other for another.
	@$(environment) ansible
	@$(machines) down

fleet_tests = $(if $(filter-out file default,$(origin TESTS)),$(TESTS),tests/fleet)

test-fleet: ## Try all of it on real hosts, as root; TOPOLOGY=small|full|bookworm for one, TESTS=… for some tests.
	@$(environment) ansible
	@$(environment) test
	@$(call python,test) -m tests.fleet.machines.suite --tests '$(fleet_tests)' $(addprefix --kind ,$(TOPOLOGY))

test-release-long: ## Ten releases and ten rollbacks under 100,000 requests, on eight hosts; RELEASES=… RATE=… for others.
	@RELEASES=$(or $(RELEASES),10) RATE=$(or $(RATE),100) $(MAKE) test-fleet TOPOLOGY=full \
		TESTS=tests/fleet/test_release.py

test-alerts: ## Real faults are told, and over, in time; releases wake nobody (TOPOLOGY=full RELEASES=10: and a switchover).
	@$(MAKE) test-fleet TOPOLOGY=$(or $(TOPOLOGY),small) \
		TESTS='$(addprefix tests/fleet/test_,status_page.py planned_work.py alerts.py)'

test-rebuild: ## Destroy every host and bring the site back from a bucket; TOPOLOGY=full for eight hosts.
	@$(MAKE) test-fleet TOPOLOGY=$(or $(TOPOLOGY),small) TESTS=tests/fleet/test_rebuild.py

versions_tests = $(if $(filter-out file default,$(origin TESTS)),$(TESTS),tests/api)

test-versions: ## Try the release before on our schema, and us without contract; TESTS="tests/api -k tasks" for some.
	@$(environment) test
	@$(service) $(call python,test) -m pytest -q -n auto --maxprocesses=4 --no-cov tests/versions
	@$(service) $(call python,test) -m tests.versions.suite --tests '$(versions_tests)'

inventory = inventories/$(or $(ENVIRONMENT),$(error ENVIRONMENT is missing: make $@ ENVIRONMENT=staging))
play = PATH="$(CURDIR)/.venvs/ansible/bin:$$PATH" ansible-playbook -i "$(inventory)"

deploy: ## Release VERSION=1.4.0 on the hosts of ENVIRONMENT=staging, out of dist/gtsd-VERSION.tar.gz.
	@$(environment) ansible
	@$(play) playbooks/release.yml -e "version=$(or $(VERSION),$(error VERSION is missing: make deploy ENVIRONMENT=staging VERSION=1.4.0))"

rollback: ## Bring the hosts of ENVIRONMENT=staging back to the last good release; VERSION=1.3.2 for that one.
	@$(environment) ansible
	@$(play) playbooks/rollback.yml $(if $(VERSION),-e "version=$(VERSION)")

clean: ## Remove all that was made here; the data of `make run` stays where it is.
	@rm -rf .venvs dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache
	@find service tests -name __pycache__ -type d -prune -exec rm -rf {} +
