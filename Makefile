# SPDX-License-Identifier: MIT
# luge: `make help` lists the targets. Everything built goes to $(BUILD); V=1 shows commands.

BUILD   ?= build
PREFIX  ?= /usr/local
CC      ?= gcc
Q       := $(if $(V),,@)

CFLAGS  ?= -O2 -g
WARN    := -std=c17 -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
CPPFLAGS += -D_GNU_SOURCE -Iruntime -Iruntime/syscall -Inetns -I$(BUILD)/gen $(shell pkg-config --cflags lua5.3 2>/dev/null)
LIBS    := -Wl,-Bstatic -llua5.3 -lseccomp -lcap -ljson-c -Wl,-Bdynamic -lm -ldl

# luge needs no file but itself: shared libraries cost a seventh of a start, and none that lies in a container's root can
# come into it. The sanitizers' library is a shared one.
ifeq ($(findstring sanitize,$(CFLAGS)),)
STATIC  := -static-pie @$(BUILD)/gen/link.flags -Wl,--wrap=dlopen -llua5.3 -lseccomp -lcap -ljson-c -lm
endif

C_FILES   := $(wildcard runtime/*.c runtime/syscall/*.c netns/*.c)
OBJECTS   := $(C_FILES:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/constants.o $(BUILD)/obj/modules.o
STATIC_OBJECTS := $(if $(STATIC),$(BUILD)/obj/runtime/static/dl.o)
LUA_FILES := $(sort $(wildcard runtime/syscall/*.lua netns/*.lua sandbox/*.lua sandbox/*/*.lua profiles/seccomp/*.lua))
PROFILES  := $(wildcard profiles/*.lua)

# runtime/syscall/init.lua is the module "syscall": runtime/ is a folder, not part of a name.
module_name = $(subst /,.,$(patsubst %/init,%,$(patsubst runtime/%,%,$(1:.lua=))))
EMBED := $(foreach f,$(LUA_FILES),$(call module_name,$f)=$f) $(foreach f,$(PROFILES),file:$f=$f) \
	syscall.docs=$(BUILD)/gen/docs.lua
DOCUMENTED := $(wildcard runtime/syscall/*.c runtime/syscall/*.lua netns/*.c netns/*.lua)

.PHONY: all
all: $(BUILD)/luge ## build (the default)

# ---- the binary ----

$(BUILD)/luge-cold: $(OBJECTS) $(STATIC_OBJECTS) | $(BUILD)/gen/link.flags
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(or $(STATIC),$(LIBS))

# The program loads its own modules and becomes one that has them in memory (runtime/heap.c). The sanitizers want
# Lua's memory from malloc.
$(BUILD)/luge: $(BUILD)/luge-cold runtime/embed/rehearsal.lua
ifeq ($(findstring sanitize,$(CFLAGS)),)
	@rm -rf $(BUILD)/gen/state && install -d -m 0700 $(BUILD)/gen/state
	$(Q)LUGE_STATE="$$(cd $(BUILD)/gen/state && pwd)" \
		$(BUILD)/luge-cold --freeze $(BUILD)/gen/frozen runtime/embed/rehearsal.lua
	$(Q)objcopy --update-section .frozen=$(BUILD)/gen/frozen $< $@
else
	$(Q)cp $< $@
endif

# The list of addresses that move with the program, all of which a start reads: packed it is a hundredth as long. glibc
# before 2.36 does not unpack it, which only a program that runs tells.
$(BUILD)/gen/link.flags:
	@mkdir -p $(@D)
	$(Q)echo 'void *self = &self; int main(void) { return self != (void *)&self; }' > $@.c
	$(Q)flag=-Wl,-z,pack-relative-relocs; \
	if $(CC) -fPIE -static-pie $$flag -o $@.try $@.c 2>/dev/null && $@.try 2>/dev/null; then echo $$flag; fi > $@

$(BUILD)/obj/%.o: %.c $(BUILD)/gen/constants.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIE $(WARN) -MMD -c -o $@ $<

$(BUILD)/obj/constants.o: $(BUILD)/gen/constants.c $(BUILD)/gen/constants.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIE -std=c17 -c -o $@ $<

$(BUILD)/gen/constants.%: runtime/syscall/constants.list runtime/syscall/constants.awk
	@mkdir -p $(@D)
	$(Q)awk -v out=$* -f runtime/syscall/constants.awk $< > $@.new && mv $@.new $@

$(BUILD)/embed/embed: runtime/embed/embed.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -O2 -o $@ $< -llua5.3

# What help() of the prompt shows: the comments above the bindings.
$(BUILD)/gen/docs.lua: runtime/syscall/docs.awk $(DOCUMENTED)
	@mkdir -p $(@D)
	$(Q)awk -f runtime/syscall/docs.awk $(DOCUMENTED) > $@.new && mv $@.new $@

$(BUILD)/gen/modules.S: $(BUILD)/embed/embed $(LUA_FILES) $(PROFILES) $(BUILD)/gen/docs.lua $(BUILD)/gen/seccomp.list Makefile
	@mkdir -p $(@D) $(BUILD)/embed/lua
	$(Q)$(BUILD)/embed/embed $@ $(BUILD)/embed/lua $(EMBED) $$(cat $(BUILD)/gen/seccomp.list)

# The seccomp tiers and usual firewalls are compiled by a luge that has no more in it than that takes, filters.lua as its
# command line.
FILTER_LUA := $(wildcard runtime/syscall/*.lua profiles/seccomp/*.lua sandbox/plan/seccomp*.lua netns/*.lua)

$(BUILD)/gen/bootstrap.S: $(BUILD)/embed/embed $(FILTER_LUA) $(wildcard runtime/embed/*.lua) Makefile
	@mkdir -p $(@D) $(BUILD)/embed/bootstrap
	$(Q)$(BUILD)/embed/embed $@ $(BUILD)/embed/bootstrap \
		$(foreach f,$(FILTER_LUA),$(call module_name,$f)=$f) sandbox.cli=runtime/embed/filters.lua firewalls=runtime/embed/firewalls.lua

$(BUILD)/obj/bootstrap.o: $(BUILD)/gen/bootstrap.S
	@mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

$(BUILD)/luge-bootstrap: $(filter-out %/modules.o,$(OBJECTS)) $(BUILD)/obj/bootstrap.o $(STATIC_OBJECTS) | \
		$(BUILD)/gen/link.flags
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(or $(STATIC),$(LIBS))

$(BUILD)/gen/seccomp.list: $(BUILD)/luge-bootstrap
	@mkdir -p $(BUILD)/gen/seccomp
	$(Q)$(BUILD)/luge-bootstrap $(BUILD)/gen/seccomp > $@.new && mv $@.new $@

$(BUILD)/obj/modules.o: $(BUILD)/gen/modules.S
	@mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

# ---- the stage ----

# No C library, no relocations, one page of variables; never with the flags of luge itself.
EMBED += file:stage=$(BUILD)/stage/stage luge.stage=$(BUILD)/gen/stage.lua
$(BUILD)/gen/modules.S: $(BUILD)/stage/stage $(BUILD)/gen/stage.lua
STAGE_FLAGS := -std=c17 -Os -ffreestanding -fPIE -fno-stack-protector -fno-jump-tables -fvisibility=hidden \
	-fno-asynchronous-unwind-tables -nostdlib -static-pie -s -Wl,-T,runtime/stage/stage.ld \
	-Wl,-z,noseparate-code,-z,norelro,-z,noexecstack,-z,text,--build-id=none

$(BUILD)/stage/stage: $(wildcard runtime/stage/*.c runtime/stage/*.h) runtime/stage/stage.ld
	@mkdir -p $(@D)
	$(Q)$(CC) $(STAGE_FLAGS) $(WARN) -o $@ $(filter %.c,$^)

$(BUILD)/gen/stage.lua: runtime/stage/constants.lua.in runtime/stage/stage.h
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c17 -E -P -x c $< >$@.c && sed -n '/^return {/,$$p' $@.c >$@

# ---- what the tests need ----

UNIT_FILES   := $(wildcard tests/unit/*.c)
UNIT_OBJECTS := $(UNIT_FILES:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/tests/luge_main.o \
		$(filter-out %/runtime/main.o,$(OBJECTS))
TEST_PROGRAMS := $(BUILD)/tests/unit $(BUILD)/tests/guest $(BUILD)/tests/trace

# The assertions of Criterion convert to a bit.
$(BUILD)/obj/tests/unit/%.o: WARN += -Wno-conversion

# The unit tests have a main() of their own; the table of modules beside luge's is wanted.
$(BUILD)/obj/tests/luge_main.o: $(BUILD)/obj/runtime/main.o
	@mkdir -p $(@D)
	$(Q)objcopy --redefine-sym main=luge_main $< $@

$(BUILD)/tests/unit: $(UNIT_OBJECTS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcriterion -lmnl $(LIBS)

# Runs inside containers whose root holds nothing else.
$(BUILD)/tests/guest: $(wildcard tests/guest/*.c tests/guest/*.h)
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -O2 $(WARN) -static -o $@ $(filter %.c,$^)

# Meddles with the system calls of a run.
$(BUILD)/tests/trace: tests/faults/trace.c
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE $(CFLAGS) $(WARN) -o $@ $<

.PHONY: tests check test vm faults
tests: all $(TEST_PROGRAMS)

check: tests ## the tests that need no privilege and make no namespace
	$(Q)BUILD=$(BUILD) LUGE_CHECK=1 tests/run unit lua profiles

test: ## every test; installs what is missing when root
	$(Q)tests/packages build test
	$(Q)$(MAKE) tests
	$(Q)BUILD=$(BUILD) tests/run all

vm: ## the tests of tests/vm/suite under Debian's cloud kernel in QEMU; no KVM, no root
	$(Q)tests/packages build test vm
	$(Q)$(MAKE) tests
	$(Q)BUILD=$(BUILD) tests/run vm

faults: tests ## SIGKILL and errors at the system calls of runs, a sample; SEED=N the same one again
	$(Q)BUILD=$(BUILD) LUGE_SEED=$(SEED) tests/run faults

# ---- everything else ----

.PHONY: demo bench soak fuzz asan coverage lint format install dist clean help
demo: ## luge builds and checks its own source in a container
	$(Q)tests/packages build check
	$(Q)$(MAKE) all
	$(Q)$(BUILD)/luge lua tests/demo.lua $(BUILD)/luge

bench: ## start-up time and memory beside the kernel's floor and other launchers
	$(Q)tests/packages build bench
	$(Q)$(MAKE) all
	$(Q)BUILD=$(BUILD) tests/bench/run

soak: tests ## the long forms of the tests: hours
	$(Q)BUILD=$(BUILD) LUGE_SOAK=1 SCRIPT_LIMIT=86400 tests/run all

SANITIZE := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
asan: ## the tests of `make check` with the address and undefined behaviour sanitizers
	$(Q)ASAN_OPTIONS=detect_leaks=0 $(MAKE) check BUILD=$(BUILD)/asan CFLAGS="$(SANITIZE)"

fuzz: ## broken profiles and documents, RUNS of them from SEED, on a build with the sanitizers
	$(Q)$(MAKE) tests BUILD=$(BUILD)/asan CFLAGS="$(SANITIZE)"
	$(Q)BUILD=$(BUILD)/asan ASAN_OPTIONS=detect_leaks=0 $(BUILD)/asan/luge lua tests/fuzz/run.lua $(RUNS) $(SEED)

coverage: ## which lines of C the tests of `make check` reach
	$(Q)BUILD=$(BUILD)/coverage tests/coverage/run

lint: all ## clang-tidy, cppcheck, luacheck, shellcheck, layers, format
	$(Q)tests/packages lint
	$(Q)BUILD=$(BUILD) CPPFLAGS="$(CPPFLAGS)" tests/lint/run

format: ## lay out the C files as .clang-format says
	clang-format -i $$(find runtime netns tests -name '*.[ch]')

SHARE = $(DESTDIR)$(PREFIX)/share
install: all ## DESTDIR= PREFIX=: the binary, manual pages, completions, profiles
	install -D -m 0755 $(BUILD)/luge $(DESTDIR)$(PREFIX)/bin/luge
	install -D -m 0644 -t $(SHARE)/luge/profiles $(PROFILES)
	install -d $(SHARE)/man/man1 $(SHARE)/man/man5 $(SHARE)/bash-completion/completions \
		$(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	$(BUILD)/luge help luge.1 > $(SHARE)/man/man1/luge.1
	$(BUILD)/luge help luge-profile.5 > $(SHARE)/man/man5/luge-profile.5
	$(BUILD)/luge help stubs > $(SHARE)/luge/profile-stubs.lua
	$(BUILD)/luge completion bash > $(SHARE)/bash-completion/completions/luge
	$(BUILD)/luge completion zsh > $(SHARE)/zsh/site-functions/_luge
	$(BUILD)/luge completion fish > $(SHARE)/fish/vendor_completions.d/luge.fish

VERSION = $(shell sed -n 's/.*VERSION = "\([0-9.]*\)".*/\1/p' sandbox/cli/version.lua)
dist: ## the source of the last commit as $(BUILD)/luge-VERSION.tar.gz
	@mkdir -p $(BUILD)
	git archive --prefix=luge-$(VERSION)/ -o $(BUILD)/luge-$(VERSION).tar.gz HEAD

clean: ## remove everything built
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

-include $(OBJECTS:.o=.d) $(STATIC_OBJECTS:.o=.d) $(UNIT_OBJECTS:.o=.d)
