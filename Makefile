# make demo   on a fresh Debian or Ubuntu machine with Go: installs what it
#             needs, signs a batch, a voucher and a hash, lets other tools check
# make test   installs what it needs and runs every test
# make campaign   each fault of an HSM, 50 times, into batches of 1,000 (an hour); then
#             1,000 codes submitted 50 times at once to two gateways, and each fault
#             of Redis and PostgreSQL, 50 times; and 10,000 requests with a key
#             through connections that break, and while the gateway is killed; 200 deaths of
#             the gateway while it signs batches, disks, HSM and database away for 20 s;
#             500 of 10,000 eCertificates judged by others; 100 examples of each operation
#             of the API
# ONCE=1      ends `make demo` after its table

SHELL := /bin/bash
export GOFLAGS ?= -buildvcs=false
GO ?= go
DEMO_PACKAGES := gcc libc6-dev softhsm2 poppler-utils qpdf libnss3-tools openssl
TEST_PACKAGES := $(DEMO_PACKAGES) opensc mupdf-tools chromium firefox-esr zbar-tools opencryptoki redis-server postgresql libgnutls30 libseccomp2 python3-venv postfix python3-dkim python3-nacl python3-openpyxl curl jq unzip \
  $(if $(shell command -v java),,default-jdk-headless) $(if $(shell command -v mvn),,maven) $(if $(shell command -v node),,nodejs) $(if $(shell command -v npm),,npm)
# The module that holds the tools' exact versions.
TOOL := $(GO) run -C tools

.PHONY: demo test test-tools test-race test-lone campaign build run bench fmt lint generate check-generated deps pyhanko schemathesis verapdf stepca toxiproxy versitygw chrony browser vendor-assets journeys measure-pages fuzz

demo: PACKAGES := $(DEMO_PACKAGES)
demo: deps build
	bin/mohor demo $(if $(ONCE),--once)

# Under the race detector runs what several goroutines do. The corpus and the tests in files
# marked !race, which are documents that one goroutine reads, tables of requests one after
# another, and work of other programs, run without it: LONE_TESTS, all that is in those files.
# SQLite, translated from C, shares its memory under locks of its own; to watch it costs much.
RACE := -race -gcflags='modernc.org/...=-race=false'
LONE = $(sort $(wildcard pdf/internal/corpus/*_test.go) $(shell grep -rl --include='*_test.go' '^//go:build !race' *))
LONE_TESTS = $(shell sed -nE 's/^func ((Test|Fuzz|Example)[A-Za-z0-9_]*)[^A-Za-z0-9_].*/\1/p' $(LONE))
space := $(subst ,, )
# Those that wait most, for disks and other programs, begin first, beside two others.
LONG := ./internal/campaign ./internal/gateway ./cmd/mohor ./store
GOTEST = MOHOR_VERAPDF=$(CURDIR)/bin/verapdf $(GO) test -p 3 -shuffle=on -timeout 40m

test: test-race test-lone

test-tools: PACKAGES := $(TEST_PACKAGES)
test-tools: deps pyhanko schemathesis verapdf stepca toxiproxy versitygw chrony browser

test-race: test-tools
	$(GOTEST) $(RACE) $(LONG) $$($(GO) list ./... | grep -v /pdf/internal/corpus)

test-lone: test-tools
	$(GOTEST) -run '^($(subst $(space),|,$(LONE_TESTS)))$$' $(addprefix ./,$(sort $(dir $(LONE))))

# The judge of PDF/A, a Java library in the version of its pom.xml.
verapdf:
	@[ -e bin/verapdf/.done ] || { mvn -q -B -f pdf/internal/pdftest/verapdf/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/bin/verapdf && touch bin/verapdf/.done; }

# Another CA, to be asked for certificates: a server in a module of its own, 50 MB, of
# which the product needs nothing. About two minutes the first time.
stepca: bin/step-ca
bin/step-ca: tools/stepca/go.mod
	CGO_ENABLED=0 $(GO) build -C tools/stepca -trimpath -ldflags='-s -w' -o ../../$@ github.com/smallstep/certificates/cmd/step-ca

# A proxy that breaks connections, a server in a module of its own.
toxiproxy: bin/toxiproxy
bin/toxiproxy: tools/toxiproxy/go.mod
	CGO_ENABLED=0 $(GO) build -C tools/toxiproxy -trimpath -ldflags='-s -w' -o ../../$@ github.com/Shopify/toxiproxy/v2/cmd/server

# A server of S3, in a module of its own: 45 MB.
versitygw: bin/versitygw
bin/versitygw: tools/versitygw/go.mod
	CGO_ENABLED=0 $(GO) build -C tools/versitygw -trimpath -ldflags='-s -w' -o ../../$@ github.com/versity/versitygw/cmd/versitygw

# A time server to ask. Its package is unpacked and not installed: installed it would
# take the place of the service that keeps this machine's time.
chrony: bin/chrony/usr/sbin/chronyd
bin/chrony/usr/sbin/chronyd:
	@mkdir -p bin/chrony && cd bin/chrony && { apt-get download -qq chrony 2>/dev/null || { sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; $$sudo apt-get update -qq && apt-get download -qq chrony; }; } && dpkg -x chrony_*.deb . && rm chrony_*.deb

# What drives a browser and judges pages, and the packages whose files the pages carry.
browser: bin/browser/.done
bin/browser/.done: tools/browser/package-lock.json tools/browser/package.json tools/browser/.npmrc
	@mkdir -p bin/browser && cp $^ bin/browser/
	cd bin/browser && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --loglevel=error && touch .done

# Copies web/page/assets/vendor anew out of the packages, after a version has changed.
vendor-assets: browser
	node tools/browser/vendor.mjs

# The pages in a browser, alone. Their pictures are in bin/screenshots.
journeys: PACKAGES := softhsm2 chromium firefox-esr $(if $(shell command -v node),,nodejs) $(if $(shell command -v npm),,npm)
journeys: deps browser
	MOHOR_TEST_REQUIRE=all $(GO) test -count=1 -v ./internal/journeys

# What pages weigh and when they are seen on a slow telephone, and how long the gateway makes them.
measure-pages: PACKAGES := softhsm2 chromium $(if $(shell command -v node),,nodejs) $(if $(shell command -v npm),,npm)
measure-pages: deps browser
	MOHOR_MEASURE_PAGES=1 $(GO) test -count=1 -v -run '^TestJourneyWeight$$' ./internal/journeys
	$(GO) test -run '^$$' -bench '^BenchmarkPages$$' -benchtime 500x ./internal/gateway

campaign: PACKAGES := $(TEST_PACKAGES)
campaign: deps toxiproxy schemathesis pyhanko
	$(GO) test -v -run '^TestCampaign$$' -timeout 4h ./internal/campaign -campaign $(or $(TIMES),50) -campaign.items 1000
	$(GO) test -v -run '^TestOneWinner$$' -timeout 2h ./internal/campaign -campaign.rounds 1000
	$(GO) test -v -run '^TestStoreFaults$$' -timeout 2h ./internal/campaign -campaign.stores $(or $(TIMES),50)
	$(GO) test -v -run '^TestKilled' -timeout 1h ./internal/campaign -campaign.deaths 200
	$(GO) test -v -run '^Test(HSMAway|DatabaseAway|DiskFull|DiskFails)$$' -timeout 1h ./internal/campaign -campaign.outage 20s
	$(GO) test -v -run '^TestJudges$$' -timeout 1h ./internal/campaign -campaign.certificates 10000 -campaign.judged 500
	$(GO) test -v -run '^TestKeys' -timeout 1h ./internal/campaign -campaign.keys 10000 -campaign.kills 50
	$(GO) test -v -run '^TestOpenAPIHolds$$' -timeout 4h ./internal/gateway -schemathesis.examples 100
	$(GO) test -v -run '^TestLargePDF$$' -timeout 1h ./internal/campaign -campaign.megabytes 1024
	MOHOR_TEST_GIGABYTES=1 $(GO) test -v -run ZIP64 -timeout 1h ./batch

build:
	$(GO) build -trimpath -o bin/mohor ./cmd/mohor

# A sandbox that stays: its data is in var/mohor.
run: PACKAGES := $(DEMO_PACKAGES)
run: deps build
	bin/mohor serve --dev

bench: PACKAGES := $(TEST_PACKAGES)
bench: deps build bench-contenders
	$(GO) test -run '^$$' -bench . -benchtime 1s ./hsm ./pdf ./ecert
	bin/mohor bench sign --json
	bin/mohor bench pdf --json
	bin/mohor bench batch --against --json

# What `mohor bench pdf` and `bench batch --against` compare with, besides itself. pdfsign is a module of
# its own that needs a newer Go; the product needs nothing of it.
bench-contenders: pyhanko bin/pdfsign-bench
bin/pdfsign-bench: $(wildcard bench/pdfsign/*.go) bench/pdfsign/go.mod
	GOTOOLCHAIN=go1.27.4 $(GO) build -C bench/pdfsign -o ../../bin/pdfsign-bench .

fmt:
	gofmt -w $$(git ls-files '*.go' | grep -v '^store/sqlc/')

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt'd:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) build -C tools -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...
	CGO_ENABLED=0 $(GO) build ./api ./audit ./batch ./ca ./ecert ./enrol ./notify ./otp ./pdf/... ./signer ./store/... ./internal/ceremony ./web

# store/sqlc from store/queries, pages from their templates, api/openapi.json from the code.
generate:
	$(GO) build -C tools -o ../bin/sqlc github.com/sqlc-dev/sqlc/cmd/sqlc
	cd store && ../bin/sqlc generate
	$(GO) build -C tools -o ../bin/templ github.com/a-h/templ/cmd/templ
	bin/templ generate -path ./web
	$(GO) run ./cmd/mohor openapi > api/openapi.json

check-generated: generate
	git diff --exit-code -- store/sqlc api/openapi.json web

# Installs the Debian packages that are missing; nothing when all are there.
deps:
	@missing=; for p in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  echo "installing:$$missing"; \
	  case "$$missing" in *postfix*) echo 'postfix postfix/main_mailer_type select No configuration' | $$sudo debconf-set-selections;; esac; \
	  $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

# A judge of signed documents, in a virtual environment of its own.
pyhanko: bin/pyhanko/installed
bin/pyhanko/installed: tools/pyhanko-requirements.txt
	python3 -m venv bin/pyhanko
	bin/pyhanko/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

# What asks of a running gateway what its OpenAPI document says, likewise.
schemathesis: bin/schemathesis/installed
bin/schemathesis/installed: tools/schemathesis-requirements.txt
	python3 -m venv bin/schemathesis
	bin/schemathesis/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	touch $@

# Each target for FUZZTIME; without a bound on minimizing, most of it goes there.
fuzz:
	@for t in ./pdf:FuzzOpen ./pdf/syntax:FuzzValue ./pdf/syntax:FuzzFile ./pdf/syntax:FuzzObjectStream ./pdf/syntax:FuzzSeal \
	  ./pdf/cms:FuzzCMSParse ./pdf/cms:FuzzTimestamp ./pdf/cms:FuzzBER ./pdf/cms:FuzzEdited ./pdf/content:FuzzPage ./pdf/font:FuzzParse \
	  ./pdf/verify:FuzzVerify ./pdf/internal/corpus:FuzzStructure ./pdf/internal/corpus:FuzzDocument ./pdf/internal/corpus:FuzzMutations ./ecert:FuzzReader ./ecert:FuzzOpenReader ./ecert:FuzzCleanPhoto ./notify:FuzzReadReport; do \
	  $(GO) test -run '^$$' -fuzz "^$${t#*:}$$" -fuzztime $(or $(FUZZTIME),60s) -fuzzminimizetime 5x "$${t%%:*}" || exit 1; done
