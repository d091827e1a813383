# SPDX-License-Identifier: MIT
# luge: `make help` lists the targets. Everything built goes to $(BUILD).

BUILD  ?= build
PREFIX ?= /usr/local
CC     ?= gcc
Q      := $(if $(V),,@)

CFLAGS  ?= -O2 -g
WARN    := -std=c17 -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
CPPFLAGS += -D_GNU_SOURCE -Iruntime -Iruntime/syscall -I$(BUILD)/gen $(shell pkg-config --cflags lua5.3 2>/dev/null)
# Static archives where Debian has them: five shared libraries cost 0.25 ms at each start.
LIBS    := -Wl,-Bstatic -llua5.3 -lseccomp -lcap -Wl,-Bdynamic -lmnl -lm -ldl

C_FILES   := $(wildcard runtime/*.c runtime/syscall/*.c netns/*.c)
OBJECTS   := $(C_FILES:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/constants.o $(BUILD)/obj/modules.o
LUA_FILES := $(sort $(wildcard runtime/syscall/*.lua netns/*.lua sandbox/*.lua sandbox/*/*.lua profiles/seccomp/*.lua))
PROFILES  := $(wildcard profiles/*.lua)

# runtime/syscall/init.lua is the module "syscall": runtime/ is a folder, not part of a name.
module_name = $(subst /,.,$(patsubst %/init,%,$(patsubst runtime/%,%,$(1:.lua=))))
EMBED := $(foreach f,$(LUA_FILES),$(call module_name,$f)=$f) $(foreach f,$(PROFILES),file:$f=$f)

.PHONY: all
all: $(BUILD)/luge ## build

$(BUILD)/luge: $(OBJECTS)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/obj/%.o: %.c $(BUILD)/gen/constants.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) -MMD -c -o $@ $<

$(BUILD)/obj/constants.o: $(BUILD)/gen/constants.c $(BUILD)/gen/constants.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -std=c17 -c -o $@ $<

$(BUILD)/gen/constants.%: runtime/syscall/constants.list runtime/syscall/constants.awk
	@mkdir -p $(@D)
	$(Q)awk -v out=$* -f runtime/syscall/constants.awk $< > $@.new && mv $@.new $@

$(BUILD)/embed/embed: runtime/embed/embed.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -O2 -o $@ $< -llua5.3

$(BUILD)/gen/modules.S: $(BUILD)/embed/embed $(LUA_FILES) $(PROFILES) Makefile
	@mkdir -p $(@D) $(BUILD)/embed/lua
	$(Q)$(BUILD)/embed/embed $@ $(BUILD)/embed/lua $(EMBED)

$(BUILD)/obj/modules.o: $(BUILD)/gen/modules.S
	@mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

.PHONY: clean
clean: ## remove everything built
	rm -rf $(BUILD)

-include $(OBJECTS:.o=.d)
