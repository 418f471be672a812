# Builds, tests, measures and installs estape. `make help` lists the targets.
BUILD   ?= build
PREFIX  ?= /usr/local
CC      ?= gcc
# Link-time optimisation takes 5 % of recording's CPU off, -O3 2 %. CFLAGS of one's own (or LTO=) leaves it out; unit tests are always
# linked without it, from the machine code that lies beside it in the objects.
LTO     ?= $(if $(findstring clang,$(shell $(CC) --version 2>/dev/null)),,-flto=auto -ffat-lto-objects)
CFLAGS  ?= -O3 -g $(LTO)
VERSION := 0.1.0

# llhttp: Debian 13 has a library, Debian 12 ships the generated C source, which is compiled into the program.
LLHTTP_SRC := $(wildcard /usr/share/llhttp/*.c)
ifneq ($(wildcard /usr/include/llhttp.h),)
LLHTTP_LIBS := -lllhttp
LLHTTP_SRC  :=
else
LLHTTP_INC  := -isystem /usr/share/include/llhttp
endif

FLAGS := -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -D_GNU_SOURCE \
         -DESTAPE_VERSION='"$(VERSION)"' -DESTAPE_SHARE='"$(PREFIX)/share/estape"' -I. $(LLHTTP_INC) $(EXTRA)
LIBS  := -lpcap -lsqlite3 -lzstd -lz -lxxhash -lcap-ng -lyaml -lpcre2-8 -lcurl -lssl -lcrypto $(LLHTTP_LIBS) -lpthread -lm

STAGES  := base capture wire http es tape view alert replay cmd
SRC     := $(sort $(wildcard src/*.c $(STAGES:%=src/%/*.c)))
GEN     := $(BUILD)/gen
OBJ     := $(SRC:%.c=$(BUILD)/%.o) $(LLHTTP_SRC:/usr/share/%.c=$(BUILD)/ext/%.o)
Q       := $(if $(V),,@)

.PHONY: all clean help
all: $(BUILD)/estape

help:
	@sed -n 's/^#: \([a-z-]*\) *\(.*\)/  make \1|\2/p' Makefile tools/*.mk | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
#: all       build build/estape (the default)

$(BUILD)/estape: $(OBJ)
	$(Q)echo "  LINK  $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(Q)echo "  CC    $<"
	$(Q)$(CC) $(FLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/ext/llhttp/%.o: /usr/share/llhttp/%.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(LLHTTP_INC) -O3 $(CFLAGS) -w -c -o $@ $<

# Unit tests: tests/unit/STAGE/test_*.c, one program per file, linked with that stage, src/base and the libraries alone.
# What a stage's tests need beyond that is named in tests/unit/STAGE/needs (a list of source files).
UNIT_SRC  := $(sort $(wildcard tests/unit/*/test_*.c))
UNIT_BINS := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)
BASE_OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/base/*.c))
stage_obj = $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/$(1)/*.c) $(shell cat tests/unit/$(1)/needs 2>/dev/null))

define unit_rule
$(BUILD)/unit/$(1)/%: tests/unit/$(1)/%.c $(sort $(BASE_OBJ) $(call stage_obj,$(1))) $(LLHTTP_SRC:/usr/share/%.c=$(BUILD)/ext/%.o)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(FLAGS) $$(CFLAGS) -fno-lto $$(LDFLAGS) -MMD -MP -o $$@ $$< $(sort $(BASE_OBJ) $(call stage_obj,$(1))) $(LLHTTP_SRC:/usr/share/%.c=$(BUILD)/ext/%.o) -lcmocka $(LIBS)
unit-$(1): $(filter $(BUILD)/unit/$(1)/%,$(UNIT_BINS))
	$$(Q)set -e; for t in $$^; do $$$$t; done
.PHONY: unit-$(1)
endef
$(foreach s,$(STAGES),$(eval $(call unit_rule,$(s))))
.PHONY: unit unit-build unit-list
unit: $(STAGES:%=unit-%)
unit-build: $(UNIT_BINS)
unit-list:
	@echo $(UNIT_BINS)

include $(wildcard tools/*.mk)
-include $(OBJ:.o=.d) $(UNIT_BINS:=.d)

clean:
	rm -rf $(BUILD)
