# Sluice: what a person or a machine does with this project. `make` alone lists it.
#
# DATA, LISTEN   where `make run` keeps everything and where it listens
# TESTFLAGS      more flags for `go test`, for example TESTFLAGS=-short
# PACKAGES       what `make mutants` changes, for example PACKAGES="signing sql" (sql: statements of the catalog)
# FUZZTIME       how long `make fuzz` fuzzes each target, 60s unless told

DATA   ?= ./data
LISTEN ?= 127.0.0.1:8080

GOLANGCI_LINT_VERSION := v2.12.2
GOVULNCHECK_VERSION   := v1.3.0
GREMLINS_VERSION      := v0.6.0
SQLC_VERSION          := v1.30.0

# The revision is stamped into the binary where git answers. Where it does not (no git, a tree that belongs to another
# user, an unpacked archive) the build must not fail for it.
BUILDVCS := $(shell git rev-parse --git-dir >/dev/null 2>&1 && echo auto || echo false)
export GOFLAGS := -buildvcs=$(BUILDVCS) $(GOFLAGS)

UI_INPUTS := $(shell find ui -type f -not -path 'ui/node_modules/*' -not -path 'ui/dist/*' -not -name '*.go' 2>/dev/null)
LINT      := .tools/golangci-lint-$(GOLANGCI_LINT_VERSION)
VULN      := .tools/govulncheck-$(GOVULNCHECK_VERSION)
GREMLINS  := .tools/gremlins-$(GREMLINS_VERSION)
NPM_CI    := npm ci --no-audit --no-fund --loglevel=error

.NOTPARALLEL:
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- build and run -------------------------------------------------------------------------------------------------

.PHONY: build
build: needs-build ui/dist/index.html ## leave bin/sluice, the page built into it
	go build -trimpath -o bin/sluice ./cmd/sluice

.PHONY: run
run: needs-run build ## install what is missing, build and serve (DATA=./data LISTEN=127.0.0.1:8080)
	@exec bin/sluice serve --data '$(DATA)' --listen '$(LISTEN)'

.PHONY: needs-build needs-run needs-test needs-storage
needs-build needs-run needs-test needs-storage: needs-%:
	@scripts/install.sh $*

# npm runs again only when the lock file changed, and the page is built again only when its sources did.
%/node_modules/.stamp: %/package.json %/package-lock.json
	cd $* && $(NPM_CI)
	@touch $@

ui/dist/index.html: ui/node_modules/.stamp $(UI_INPUTS)
	cd ui && npm run --silent build
	@touch $@

# --- prove ---------------------------------------------------------------------------------------------------------

.PHONY: test
test: needs-test build test/browser/node_modules/.stamp ## test every package with real ffmpeg, PostgreSQL, S3 servers and browsers (10-20 min on 2 cores)
	@scripts/test.sh $(TESTFLAGS)

# Of the tests of these packages it runs those that have a subtest on Ceph; make test runs the others.
.PHONY: test-storage
test-storage: needs-storage build ## run the S3 tests on a Ceph cluster, which it installs (220 MB) and starts (2 min)
	@scripts/test.sh --ceph -run '/^ceph$$|/^asked$$/^ceph$$' ./internal/bucket ./internal/upload ./test/accept $(TESTFLAGS)

.PHONY: test-faults
test-faults: needs-test build test/browser/node_modules/.stamp ## run the short drills, S3 suites, topologies, benchmarks, mutants (10 min)
	@scripts/test.sh ./test/drill ./test/topology ./test/bench ./test/s3suite ./test/mutants $(TESTFLAGS)

MINIO := github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c

.PHONY: minio-test
minio-test: needs-test .tools/minio/minio ## build a MinIO server (takes minutes), and run the tests that are about using an S3 server on it too
	@scripts/test.sh -count=1 ./internal/bucket ./internal/upload $(TESTFLAGS)

.tools/minio/minio:
	GOBIN='$(CURDIR)/.tools/minio' go install $(MINIO)

.PHONY: check
check: check-format check-vet check-lint check-vuln check-ui check-scripts check-generated ## format, vet, lint, known vulnerabilities

.PHONY: check-format check-vet check-lint check-vuln check-ui check-scripts check-generated
check-format:
	@echo "== gofmt"
	@files=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l) && test -z "$$files" || { \
		echo "these files want gofmt -w:"; echo "$$files"; exit 1; }

check-vet:
	@echo "== go vet"
	@go vet ./...
	@go vet -tags drill ./cmd/sluice

check-lint: $(LINT)
	@echo "== golangci-lint $(GOLANGCI_LINT_VERSION)"
	@$(LINT) run ./...

check-vuln: $(VULN)
	@echo "== govulncheck $(GOVULNCHECK_VERSION)"
	@scripts/vulncheck.sh $(VULN)

check-ui: needs-build ui/node_modules/.stamp
	@echo "== ui"
	@cd ui && npm run --silent check

check-scripts:
	@echo "== scripts"
	@for f in scripts/*.sh .ci/run; do bash -n "$$f" || exit 1; done
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh .ci/run; \
	else echo "shellcheck is not installed, so the scripts were only parsed"; fi

check-generated:
	@echo "== generated code"
	@scripts/generated.sh check

$(LINT):
	GOBIN='$(CURDIR)/.tools' go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv .tools/golangci-lint $@

$(VULN):
	GOBIN='$(CURDIR)/.tools' go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	@mv .tools/govulncheck $@

# --- measure -------------------------------------------------------------------------------------------------------

.PHONY: bench
bench: needs-test build ## measure: CPU, wall time and quality against one ffmpeg process, the edge against nginx, jobs a second, recovery, several workers
	go test ./test/bench -count=1 -v -timeout 60m -args -full

.PHONY: drill
drill: needs-storage build test/browser/node_modules/.stamp ## break the service at every step and in every way, and look at what is left
	@scripts/drill.sh

.PHONY: faults
faults: needs-test ## send every input that once ended wrong to a server; print input, outcome and seconds
	@cd test/drill && go test -run '^TestFault_' -count=1 -timeout 60m -args -full

.PHONY: mutants
mutants: needs-test $(GREMLINS) ## change one condition of the guards after the other; print each change that no test notices (hours)
	@scripts/mutants.sh $(GREMLINS) $(PACKAGES)

$(GREMLINS):
	GOBIN='$(CURDIR)/.tools' go install github.com/go-gremlins/gremlins/cmd/gremlins@$(GREMLINS_VERSION)
	@mv .tools/gremlins $@

.PHONY: fuzz
fuzz: ## fuzz every fuzz target (FUZZTIME=60s each); make test runs their seeds
	@scripts/fuzz.sh

# --- keep ----------------------------------------------------------------------------------------------------------

.PHONY: generate
generate: ## write the generated code again (the first time compiles sqlc: minutes)
	cd internal/catalog/sqlc && go run github.com/sqlc-dev/sqlc/cmd/sqlc@$(SQLC_VERSION) generate
	@scripts/generated.sh record

.PHONY: clean
clean: ## remove what was built (./data stays)
	rm -rf bin .tools ui/node_modules test/browser/node_modules
	find ui/dist -mindepth 1 ! -name .gitkeep -delete
