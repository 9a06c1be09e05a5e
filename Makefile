# The only interface: people and CI call the same targets. `make help` lists them.
PYTHON3 ?= python3
PY := .venv/bin/python
READINGS ?= $(if $(WEB),0,20)
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
export PYTHONDONTWRITEBYTECODE := 1
export PYTEST_DEBUG_TEMPROOT := $(CURDIR)/.cache

# Each layer of tests is a target test-LAYER whose last line says `N passed, N failed, N skipped` (pytest's does).
# `make test` runs JOBS of them at a time, the long ones first, and adds them up.
TEST_LAYERS := board broker shipped mpy unit power mosqlog budget homeassistant release run interop faults

GET := $(PYTHON3) tools/setup/get.py
GET_FROM := tools/setup/get.py tools/setup/debian.py tools/setup/network.py
BROKERS_FROM := $(GET_FROM) tools/setup/brokers.py
READY := .venv/stamp
export MICROPYTHON MOSQUITTO
ifeq ($(MICROPYTHON),)
MICROPYTHON := $(CURDIR)/.cache/micropython/micropython
READY += .cache/micropython/stamp
endif
ifeq ($(MOSQUITTO),)
MOSQUITTO := $(CURDIR)/.cache/mosquitto/mosquitto
READY += .cache/mosquitto/stamp
endif

# A .venv of another Python than the one that is named, or of one that is gone or was replaced, is made anew.
ifneq ($(wildcard .venv/stamp),)
IS := $(shell cat .venv/version 2>&1)
ifneq ($(IS),$(shell .venv/bin/python -V 2>&1))
$(shell rm -f .venv/stamp)
else ifneq ($(origin PYTHON3),file)
ifneq ($(IS),$(shell $(PYTHON3) -V 2>&1))
$(shell rm -f .venv/stamp)
endif
endif
endif

.PHONY: help
help:  ## list the targets
	@awk -f tools/help.awk $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(READY)  ## get the host tools, MicroPython and Mosquitto into .venv and .cache; tries again what was missing
	@grep -hs '^missing' .cache/*/stamp | cut -c1-300 || true
	@echo 'The host tools are in .venv; MicroPython and Mosquitto in .cache, but for what is called missing.'
ifneq ($(filter setup,$(MAKECMDGOALS)),)
$(shell for stamp in .cache/*/stamp; do grep -qs '^missing' $$stamp && rm $$stamp; done)
endif

.PHONY: extras
extras: .venv/stamp  ## get what only some tests want: Chromium, pyarrow, DuckDB, a Home Assistant, ESP Web Tools (1.5 GB); they are skipped without
	@$(GET) chromium parquet homeassistant web

.venv/stamp: requirements.txt $(GET_FROM)
	@$(GET) venv
.cache/micropython/stamp: $(GET_FROM)
	@$(GET) micropython
.cache/mosquitto/stamp: $(GET_FROM) requirements-broker.txt | .venv/stamp
	@$(GET) mosquitto
.cache/peers/stamp: $(GET_FROM) tools/setup/peers.py
	@$(GET) peers
.cache/asyncio/stamp: $(GET_FROM) tools/setup/asyncios.py
	@$(GET) asyncio
.cache/web/stamp: $(GET_FROM) tools/setup/web_tools.py
	@$(GET) web
.cache/homeassistant/stamp: $(GET_FROM) requirements-homeassistant.txt
	@$(GET) homeassistant
.cache/brokers/stamp: $(BROKERS_FROM) | .venv/stamp
	@$(GET) brokers
.cache/brokers-few/stamp: $(BROKERS_FROM) | .venv/stamp
	@$(GET) brokers-few

.PHONY: run
run: $(READY) $(if $(HA),.cache/homeassistant/stamp)  ## [try it] publish readings from the real firmware to a real Mosquitto and watch them arrive
	@exec $(PY) -m tools.demo.run --readings $(READINGS) --protocol $(or $(PROTOCOL),4) $(if $(SLEEP),--sleep) $(if $(AIO),--aio) $(if $(HA),--ha) $(if $(WEB),--web $(if $(filter-out 1,$(WEB)),$(WEB)))

.PHONY: pictures
pictures: $(READY)  ## the pictures of make run in README, made anew from real runs; wants a Chromium (make extras)
	@$(PY) -m tools.demo.pictures

.PHONY: test
test: $(READY)  ## all tests, JOBS=3 layers at a time; the last line is the total
	@$(PY) -m compileall -q tools  # what tests start a thousand times; nothing else writes bytecode here
	@$(PY) -m tools.build  # once, before many tests want them at the same time
	@$(PY) -m tools.ship
	@$(PY) -m tools.total --jobs $(or $(JOBS),3) $(TEST_LAYERS:%=test-%)

.PHONY: test-unit
test-unit: $(READY)  ## protocol, session, story and drop-in tests on CPython; PEERS=dir runs the drop-in tests on micropython-lib too
	@PEERS="$(PEERS)" $(PY) -m pytest -q $(wildcard host_tests/unit host_tests/story host_tests/dropin host_tests/firmware host_tests/ship)

.PHONY: test-mpy
test-mpy: $(READY)  ## the same unit, story and drop-in files on the 32-bit MicroPython
	@$(PY) host_tests/run_mpy.py host_tests/unit host_tests/story host_tests/dropin host_tests/firmware

.PHONY: test-shipped
test-shipped: $(READY)  ## the same files, and the cuts, on the library as a board loads it, but those of the layers beneath the client
	@$(PY) host_tests/run_mpy.py --shipped host_tests/unit host_tests/story host_tests/dropin \
		host_tests/faults/test_cuts.py host_tests/faults/test_aio_cuts.py host_tests/firmware

.PHONY: test-budget
test-budget: $(READY)  ## sizes, heap and frames within tools/measure/budgets.json; steady traffic allocates nothing
	@$(PY) -m pytest -q host_tests/budget

.PHONY: size
size: $(READY)  ## bytes, heap and frames of each module; CHECK=1 fails when a budget is passed, DOCS=1 writes docs/size.md, PORT= measures on a board
	@$(if $(PORT),exec $(PY) -m tools.measure.device_size $(ARGS),true)
	@$(if $(PORT),true ||) $(PY) -m tools.measure.size $(if $(CHECK),--check) $(if $(DOCS),--docs)
	@$(if $(PORT),true ||) $(PY) -m tools.measure.firmware_heap $(if $(CHECK),--check) $(if $(DOCS),--docs)
	@$(if $(PORT),true ||) $(PY) -m tools.measure.start_up $(if $(CHECK),--check) $(if $(DOCS),--docs)

.PHONY: bench
bench: $(READY) .cache/peers/stamp  ## instructions, heap, writes, time of each operation, ours and others'; PEERS=dir adds another umqtt or mqtt_as, PORT= HOST= times a board
	@$(PY) -m tools.measure.bench $(if $(CHECK),--check) $(if $(DOCS),--docs) $(if $(PEERS),--peers "$(PEERS)") \
		$(if $(PORT),--port $(PORT)) $(if $(HOST),--host $(HOST))

.PHONY: test-faults
test-faults: $(READY)  ## cut every exchange at every byte, short reads and writes, a few random schedules
	@$(PY) -m pytest -q host_tests/faults

.PHONY: faults
faults: $(READY)  ## the same with N=10000 random schedules; says how many were lost, repeated, out of order
	@FAULTS_EXAMPLES=$(or $(N),10000) $(PY) -m pytest -q host_tests/faults

.PHONY: soak
soak: $(READY)  ## MINUTES=2 real Mosquitto behind a proxy that cuts, resets, stalls, half-opens; broker stopped and killed
	@$(PY) host_tests/soak.py --minutes $(or $(MINUTES),2) $(if $(SEED),--seed $(SEED))

.PHONY: test-broker
test-broker: $(READY) .cache/asyncio/stamp  ## against a real Mosquitto, with its log as the oracle; PEERS=dir runs micropython-lib's examples too
	@PEERS=$(PEERS) $(PY) -m pytest -q -n 3 host_tests/broker

.PHONY: test-interop
test-interop: $(READY) .cache/brokers-few/stamp  ## the checks of make interop, the short ones, on Mosquitto, NATS and amqtt
	@$(PY) -m pytest -q host_tests/interop

.PHONY: interop
interop: $(READY) .cache/brokers/stamp  ## 32 checks of the client on every broker that can be had; DOCS=1 writes docs/brokers.md
	@$(PY) -m tools.prove.interop $(if $(DOCS),--docs) $(ARGS)

.PHONY: cluster
cluster: $(READY) .cache/brokers/stamp  ## nodes of RabbitMQ and of two bridged Mosquittos killed, stopped, cut off under two clients; DOCS=1
	@$(PY) -m tools.prove.cluster $(if $(DOCS),--docs) $(ARGS)

.PHONY: fleet
fleet: $(READY)  ## N=200 whole firmwares on one Mosquitto that is restarted, killed, cut off; DOCS=1 writes docs/fleet.svg
	@$(PY) -m tools.prove.fleet $(or $(N),200) $(if $(DOCS),--docs) $(ARGS)

.PHONY: herd
herd: .venv/stamp  ## BOARDS=10000 in virtual time: after an outage, keep-alives, discovery; DOCS=1
	@$(PY) -m tools.prove.herd $(or $(BOARDS),10000) $(if $(DOCS),--docs)

.PHONY: test-homeassistant
test-homeassistant: $(READY)  ## the whole firmware read by a real Home Assistant (make extras gets it)
	@$(PY) -m pytest -q host_tests/homeassistant

.PHONY: test-power
test-power: $(READY)  ## power cuts at a part of the flash operations, and that they see what a careless store loses
	@$(PY) -m pytest -q host_tests/power

.PHONY: powercut
powercut: $(READY)  ## cut the power at every flash operation on a real littlefs2; counts lost, repeated, out of order
	@"$(MICROPYTHON)" -X heapsize=32m host_tests/power/powercut.py $(SCENE)

.PHONY: memory
memory: $(READY)  ## MemoryError at every allocation of store and outbox; counts what was lost or repeated
	@"$(MICROPYTHON)" -X heapsize=1m host_tests/power/memory.py

.PHONY: wear
wear: $(READY)  ## flash written, years of life and milliseconds awake for each way to run a node; DOCS=1 writes docs/durability.md
	@$(PY) -m tools.measure.wear $(if $(DOCS),--docs)

.PHONY: kills
kills: $(READY)  ## N=50 kill the firmware, cut the link, restart the broker at random; PEERS=dir the same with umqtt.robust
	@$(PY) -m tools.prove.kills $(or $(N),50) $(if $(SEED),--seed $(SEED)) $(if $(PEERS),--peers "$(PEERS)") $(KILLS)

.PHONY: years
years: $(READY)  ## DAYS=45 SEED=1 PROTOCOL=4 of virtual time for the whole firmware, everything around it failing at random
	@$(PY) -m tools.prove.years --days $(or $(DAYS),45) --seed $(or $(SEED),1) --protocol $(or $(PROTOCOL),4) $(KINDS)

.PHONY: heaps
heaps: $(READY)  ## each life of the firmware at every heap size up to 40,000 B: it works, or says what it needs and tries again
	@$(PY) -m tools.prove.heaps $(KINDS)

.PHONY: mutants
mutants: $(READY)  ## FILES="firmware/retry.py ..." one token changed at a time: which changes does no test notice? ARGS="--sample 60", DOCS=1
	@$(PY) -m tools.prove.mutants $(or $(FILES),$(wildcard firmware/*.py firmware/*/*.py firmware/lib/umqtt/*.py)) $(if $(DOCS),--docs) $(ARGS)

.PHONY: test-mosqlog
test-mosqlog: $(READY)  ## the reader of Mosquitto's logs
	@$(PY) -m pytest -q host_tests/mosqlog

.PHONY: bench-mosqlog
bench-mosqlog: .venv/stamp  ## its CPU and memory on a long log, as multiples of awk's; SIZE=1000000000 bytes, CHECK=1 holds the limits
	@$(PY) -m host_tests.mosqlog.bench $(if $(SIZE),--size $(SIZE)) $(if $(CHECK),--check)

.PHONY: test-run
test-run: $(READY)  ## make run and the set-up as a user meets them
	@$(PY) -m pytest -q -n 4 host_tests/run

.PHONY: mosqlog
mosqlog: .venv/stamp  ## [the broker's log] what happened to each device: LOG=mosquitto.log, ARGS="--html report.html"
	@$(if $(LOG),,echo 'which log? make mosqlog LOG=/var/log/mosquitto/mosquitto.log' >&2; exit 2)
	@$(PY) -m tools.mosqlog $(LOG) $(ARGS)

.PHONY: mosqlog-report
mosqlog-report: $(READY)  ## [the broker's log] a real Mosquitto with a small fleet in trouble on it, its report in build/mosqlog; DOCS=1 makes docs/mosqlog.png (3 min)
	@$(PY) -m host_tests.mosqlog.fleet build/mosqlog $(if $(DOCS),--picture docs/mosqlog.png)

.PHONY: version
version: .venv/stamp  ## which version this is; TO=2.0.0 sets it, in the library and in the changelog
	@$(PY) -m tools.release.version $(TO)

.PHONY: package
package: .venv/stamp  ## what `mip install github:OWNER/REPO` takes: package.json and mip/, to be committed with a release; CHECK=1 REPO=
	@$(PY) -m tools.release.package $(if $(CHECK),--check) $(if $(REPO),--repo "$(REPO)")

.PHONY: release
release: .venv/stamp  ## the files of a release's page, in build/release: library, an image for each chip, types, sums; ARGS="--micropython FILE"
	@$(PY) -m tools.release.page $(ARGS)

.PHONY: stubs
stubs: .venv/stamp  ## the types of the library as a wheel for pip, for editors and checkers, in build/stubs
	@$(PY) -m tools.release.stubs

.PHONY: test-release
test-release: $(READY)  ## one version number everywhere; what mip installs, the types, the files of a release
	@$(PY) -m pytest -q host_tests/release

.PHONY: build
build: .venv/stamp  ## compile the firmware into build/firmware, as it goes onto the board
	@$(PY) -m tools.build

.PHONY: ship
ship: .venv/stamp  ## the library alone as a board loads it, as .py to read and as .mpy, in build/ship
	@$(PY) -m tools.ship

# The board's tools take PORT=, FIRMWARE= and what else they know from the environment; ARGS="--help" tells.
export NAME SAY ID PORT BOARD FIRMWARE FIRMWARE_SHA256 CONFIG ROMFS SENSORS TOPIC PARALLEL

.PHONY: board
board: $(READY)  ## [try it] a virtual board on a serial port for stock esptool and mpremote; CHIP=esp32|esp8266 ARGS="--help"
	@exec $(PY) -m tools.virtual_board --chip $(or $(CHIP),esp32) $(ARGS)

.PHONY: flash
flash: .venv/stamp  ## [your board] put MicroPython onto the board: PORT=/dev/ttyUSB0 FIRMWARE=file.bin (or a release); erases it
	@exec $(PY) -m tools.device.flash $(ARGS)

.PHONY: config
config: .venv/stamp  ## [your board] ask for WiFi, broker and sensors and write config.json to the board at PORT
	@exec $(PY) -m tools.device.config $(ARGS)

.PHONY: deploy
deploy: .venv/stamp  ## [your board] put the firmware onto the board at PORT and prove there that readings arrive; ROMFS=0 as files, ROMFS=1 into its ROM
	@exec $(PY) -m tools.device.deploy $(ARGS)

.PHONY: ota
ota: .venv/stamp  ## [your board] update boards over the air: CONFIG=config.json ID=client_id (or TOPIC=umqtt for all) PARALLEL=4; Ctrl-C and again goes on
	@exec $(PY) -m tools.device.ota $(ARGS)

.PHONY: image
image: .venv/stamp  ## [your board] FIRMWARE=file.bin CONFIG=config.json: one file with all, for a production line
	@exec $(PY) -m tools.device.image $(ARGS)

.PHONY: web
web: .venv/stamp .cache/web/stamp  ## [your board] FIRMWARE=file.bin CONFIG=config.json: a page from which a browser flashes boards and sets their WiFi, in build/web
	@exec $(PY) -m tools.device.web $(ARGS)

.PHONY: logs
logs: .venv/stamp  ## [your board] what the board at PORT says, until Ctrl-C; ARGS=--crashes shows its crash log
	@exec $(PY) -m tools.device.logs $(ARGS)

.PHONY: cmd
cmd: .venv/stamp  ## [your board] a command over MQTT: NAME=interval SAY=30 ID=board (all without) CONFIG=config.json; shows the answers
	@exec $(PY) -m tools.device.command $(ARGS)

.PHONY: repl
repl: .venv/stamp  ## [your board] MicroPython's prompt on the board at PORT; Ctrl-] ends
	@exec $(PY) -m mpremote $(if $(PORT),connect $(PORT)) repl

.PHONY: mip
mip: .venv/stamp  ## [your board] build the library alone as `mip install` takes it, in build/mip
	@exec $(PY) -m tools.device.mip $(ARGS)

.PHONY: test-board
test-board: $(READY) .cache/web/stamp  ## blank virtual boards to readings, with stock esptool and mpremote
	@$(PY) -m pytest -q -n 4 host_tests/board

.PHONY: lint
lint: .venv/stamp  ## ruff and its formatter, spelling, pyright with the board's stubs over firmware/
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check -q . || { echo 'format them: .venv/bin/ruff format .' >&2; exit 1; }
	@.venv/bin/typos
	@$(PY) -m basedpyright --typeshedpath .venv/lib/python3*/site-packages

.PHONY: docs
docs: .venv/stamp  ## docs/ and the API reference as a site in build/docs; copies the programs of examples/ into their pages
	@$(PY) -m tools.docs.programs
	@$(GET) docs
	@grep -q '^docs' .cache/docs/stamp || { echo 'docs: no mkdocs (above is why); the pages are readable as they are' >&2; exit 1; }
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict -q
	@echo 'build/docs/index.html, the API reference: build/docs/api/index.html'

.PHONY: clean
clean:  ## remove what was built (not .venv and .cache)
	@rm -rf build .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
