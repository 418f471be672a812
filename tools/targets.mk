# The targets around the build: setting up, demo, tests, fuzzing, benchmarks, installing.
DESTDIR ?=

.PHONY: setup setup-check demo check torture drill soak bench fuzz fuzz-build install uninstall man

#: demo      install what is missing, build, record a bundled capture of the accident and show it; NODE=1 plays it on a real node, live
demo: setup
	$(Q)$(if $(NODE),tools/setup.sh node)
	$(Q)$(MAKE) -s -j2 all
	$(Q)BUILD=$(BUILD) $(if $(NODE),tools/demo-node $(NODE),tools/demo.sh)

setup:
	$(Q)tools/setup.sh build

setup-check:
	$(Q)tools/setup.sh check

#: check     install what the tests need, build, run all tests, print their counts
check: setup-check
	$(Q)$(MAKE) -s -j2 all
	$(Q)tests/run $(SUITES)

#: torture   kills, power losses, full disks, clocks, in their long form: RUNS=1000 kills of the recorder (about an hour and a half)
torture: all setup-check
	$(Q)RUNS=$(or $(RUNS),1000) tests/kill/run
	$(Q)REPLAY_KILLS=$(or $(REPLAY_KILLS),100) tests/kill/replay
	$(Q)POWER_LOSSES=$(or $(POWER_LOSSES),1000) tests/fault/power
	$(Q)DISKS=200 STEPS=60 tests/fault/world
	$(Q)ESTAPE_TORTURE=1 tests/fault/run

#: drill     random writers on real nodes, every part, many seeds: SEEDS=100 NODES="os2 es7" PARTS="cutover cluster"; LIVE=1: the accident under live capture, all versions, and two taps
drill: all setup-check
ifneq ($(LIVE),)
	$(Q)NODES="$(or $(NODES),os2 os3 es5 es6 es7 es8)" tests/node/live
	$(Q)tests/node/taps
else
	$(Q)SEEDS=$(or $(SEEDS),20) PARTS="$(or $(PARTS),all)" $(if $(NODES),NODES="$(NODES)") $(if $(RESULTS),RESULTS="$(RESULTS)") tests/node/run
endif

#: soak      mixed load on a real node under a recorder, HOURS or MINUTES long (default an hour): drops, memory, proof
soak: all setup-check
	$(Q)MINUTES=$(or $(MINUTES),$(if $(HOURS),$$(( $(HOURS) * 60 )),60)) tests/node/soak

#: bench     run every benchmark, write build/bench.tsv
bench: all
	$(Q)tests/bench/run

# ---- fuzzing: one program per tests/fuzz/fuzz_NAME.c, libFuzzer under both sanitizers --------------------------------
FUZZ_SRC   := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BUILD := $(BUILD)/fuzz
FUZZ_FLAGS := -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
FUZZ_LIB    = $(filter-out $(FUZZ_BUILD)/obj/src/main.o,$(SRC:%.c=$(FUZZ_BUILD)/obj/%.o)) $(LLHTTP_SRC:/usr/share/%.c=$(FUZZ_BUILD)/obj/ext/%.o)

fuzz-build:
	$(Q)$(MAKE) -s BUILD=$(FUZZ_BUILD)/obj CC=clang CFLAGS='$(FUZZ_FLAGS)' fuzz-objects
	$(Q)$(MAKE) -s fuzz-programs
.PHONY: fuzz-objects fuzz-programs
fuzz-objects: $(OBJ)
fuzz-programs: $(FUZZ_SRC:tests/fuzz/%.c=$(FUZZ_BUILD)/%)
$(FUZZ_BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_LIB)
	$(Q)echo "  FUZZ  $@"
	$(Q)clang $(FLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $< $(FUZZ_LIB) $(LIBS)

#: fuzz      fuzz every parser (or TARGETS="tape http") for MINUTES (default 10) each; counts go to tests/fuzz/ledger.tsv
fuzz: fuzz-build
	$(Q)tests/fuzz/long --seconds $$(( $(or $(MINUTES),10) * 60 )) --programs $(FUZZ_BUILD) --work $(FUZZ_BUILD)/work $(TARGETS)

# ---- installing -----------------------------------------------------------------------------------------------------
#: man       write the man pages to build/man
man: all
	$(Q)mkdir -p $(BUILD)/man
	$(Q)for c in estape $$($(BUILD)/estape help --commands); do \
	    f=estape-$$c.1; [ $$c = estape ] && f=estape.1; $(BUILD)/estape help --man $$c >$(BUILD)/man/$$f || exit 1; done

#: install   install to PREFIX (default /usr/local), below DESTDIR
install: all man
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/estape/rules \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 755 $(BUILD)/estape $(DESTDIR)$(PREFIX)/bin/estape
	install -m 644 $(BUILD)/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 src/alert/rules/*.yml $(DESTDIR)$(PREFIX)/share/estape/rules
	$(BUILD)/estape help --completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/estape
	$(BUILD)/estape help --completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_estape
	$(BUILD)/estape help --completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/estape.fish

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/estape $(DESTDIR)$(PREFIX)/share/man/man1/estape*.1
	rm -rf $(DESTDIR)$(PREFIX)/share/estape
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/estape $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_estape \
	    $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/estape.fish
