# SPDX-License-Identifier: ISC
# postern's build.  An archive a row of the design; a row may use the rows
# above it only, and `make arrows` proves that by the symbols that each leaves
# open.

B	?= build
CC	?= cc
CFLAGS	?= -O2 -g
PREFIX	?= /usr
LIBEXECDIR ?= $(PREFIX)/libexec/postern
MANDIR	?= $(PREFIX)/share/man
DOCDIR	?= $(PREFIX)/share/doc/postern
UNITDIR	?= $(PREFIX)/lib/systemd/system
# No compiler yet: scripts/deps brings one, and make starts itself again.
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
VERSION	= 0.1

WARN	= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	  -Wswitch-enum -Wvla -Werror
CPP_OWN	= -I. -D_GNU_SOURCE -DPOSTERN_VERSION='"$(VERSION)"' \
	  -DPOSTERN_LIBEXECDIR='"$(LIBEXECDIR)"' \
	  $(shell pkg-config --cflags libbsd-overlay)
HARDEN	= -fstack-protector-strong -fPIE
LDHARD	= -pie -Wl,-z,relro,-z,now

ifdef SANITIZE
HARDEN	+= -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	   -fno-omit-frame-pointer -DPOSTERN_SANITIZE
LDHARD	+= -fsanitize=address,undefined
else
HARDEN	+= -D_FORTIFY_SOURCE=2
endif

# BoringSSL: Debian's, or any installed one by `make BORINGSSL=PREFIX`.
ifdef BORINGSSL
BSSL_CPP = -isystem $(BORINGSSL)/include
ifneq ($(wildcard $(BORINGSSL)/lib/libssl.so),)
BSSL_LIB = -L$(BORINGSSL)/lib -Wl,-rpath,$(BORINGSSL)/lib -lssl -lcrypto
else
BSSL_LIB = $(BORINGSSL)/lib/libssl.a $(BORINGSSL)/lib/libcrypto.a -lstdc++ \
	   -lpthread
endif
else
BSSL_CPP = -isystem /usr/include/android
BSSL_DIR = /usr/lib/$(MULTIARCH)/android
BSSL_LIB = -L$(BSSL_DIR) -Wl,-rpath,$(BSSL_DIR) -lssl -lcrypto
endif

# A line a file; `make Q=` shows whole commands.
Q	?= @

# The rows, lowest first.
ROW1	= $(wildcard proxy/base/*.c proxy/smtp/*.c netfilter/origin.c \
	  netfilter/packet.c netfilter/dns_watch.c netfilter/sources.c \
	  proxy/policy/dns_name.c proxy/policy/dns_packet.c \
	  proxy/policy/tlsa.c proxy/policy/redis_url.c)
ROW2	= $(wildcard proxy/tls/*.c) proxy/policy/dns.c \
	  proxy/policy/sts_policy.c netfilter/queue.c netfilter/dns_tap.c \
	  netfilter/gate_socket.c \
	  $(wildcard certs/*.c)
ROW3	= $(wildcard proxy/config*.c netfilter/admission.c \
	  proxy/policy/blocks.c proxy/policy/decide.c proxy/policy/decide_mx.c \
	  proxy/policy/decision.c proxy/policy/decision_make.c \
	  proxy/policy/facts.c \
	  proxy/session/policy_tag.c proxy/session/verdict.c \
	  proxy/session/verdict_cache.c proxy/policy/state*.c)
ROW4	= $(patsubst %,proxy/session/%.c,answers endpoints reap server_leg \
	  server_queue server_start stream)
ROW6	= $(wildcard proxy/*/*_process.c \
	  proxy/policy/asker.c proxy/policy/facts_ask.c \
	  proxy/policy/mx_lookup.c proxy/policy/server_names.c \
	  proxy/policy/tlsa_lookup.c proxy/policy/host_lookup.c \
	  proxy/policy/mta_sts.c $(wildcard proxy/policy/curl_*.c) \
	  $(patsubst %,proxy/policy/sts_%.c,answer certificate entry fetch \
	  handshake refresh socket table transfer) \
	  proxy/policy/redis_host.c proxy/policy/redis_link.c \
	  $(wildcard proxy/policy/shared*.c)) \
	  netfilter/gate_process.c netfilter/gate_relays.c
ROW5	= $(filter-out $(ROW3) $(ROW4) $(ROW6),$(wildcard proxy/session/*.c))
ROW7	= $(filter-out $(ROW3),$(wildcard proxy/*.c)) \
	  $(wildcard netfilter/rules*.c netfilter/route*.c netfilter/nft.c \
	  netfilter/bridge.c)

LIB_ROW1 = -levent_core -lbsd -lseccomp -lidn2
LIB_ROW2 = $(BSSL_LIB) -lunbound $(LIB_GATE)
LIB_ROW3 = -lsqlite3
LIB_ROW6 = -lcurl-gnutls -lgnutls -lhiredis
LIB_ROW7 = -lnftables -lnftnl -lmnl -ljansson
# libunbound brings the whole of libevent: one copy of it, not two.  libcurl
# brings OpenSSL's libcrypto, which must never meet BoringSSL's.
LIB_GATE = -lnetfilter_queue -lnetfilter_log -lmnl
LIB_POLICY = -lunbound $(LIB_ROW6) -levent -lbsd -lseccomp

obj	= $(patsubst %.c,$(B)/%.o,$(1))
row	= $(B)/row$(1).a
ROWS	= 1 2 3 4 5 6 7

PROGRAMS = $(B)/postern $(B)/postern-relay $(B)/postern-policy \
	   $(B)/postern-gate

all: $(PROGRAMS)

# What each program links is what its jail must allow: nothing else is on
# these lines.
$(B)/postern: $(B)/proxy/main.o $(foreach r,7 5 4 3 2 1,$(call row,$(r)))
	$(CC) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIB_ROW7) \
	    $(LIB_ROW3) $(BSSL_LIB) $(LIB_ROW1)
$(B)/postern-relay: $(B)/proxy/session/relay_process.o \
    $(foreach r,5 4 3 2 1,$(call row,$(r)))
	$(CC) $(LDHARD) $(LDFLAGS) -o $@ $^ $(BSSL_LIB) $(LIB_ROW1)
$(B)/postern-policy: $(B)/proxy/policy/policy_process.o \
    $(foreach r,6 3 2 1,$(call row,$(r)))
	$(CC) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIB_POLICY) $(LIB_ROW3)

$(B)/postern-gate: $(B)/netfilter/gate_process.o \
    $(foreach r,6 3 2 1,$(call row,$(r)))
	$(CC) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIB_GATE) $(LIB_ROW1)

# These two are compiled in: others need other objects.
$(B)/compiled-in: FORCE
	+@mkdir -p $(@D)
	+@echo '$(VERSION) $(LIBEXECDIR)' | cmp -s - $@ || \
	    echo '$(VERSION) $(LIBEXECDIR)' >$@
FORCE:

$(B)/%.o: %.c $(B)/compiled-in
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) -std=gnu17 $(CPP_OWN) $(BSSL_CPP) $(WARN) $(HARDEN) $(CFLAGS) \
	    -MMD -MP -c -o $@ $<

define row_rule
$(call row,$(1)): $(call obj,$(filter-out proxy/main.c %_process.c,$(ROW$(1)))) \
    Makefile
	@rm -f $$@
	$(Q)ar rcsD $$@ $$(filter %.o,$$^)
endef
$(foreach r,$(ROWS),$(eval $(call row_rule,$(r))))

# Of these a test gets what it uses: libcurl's OpenSSL and BoringSSL, which
# must not meet, are never in the same one.
ALL_LIBS = -Wl,--as-needed $(foreach r,$(ROWS),$(LIB_ROW$(r))) \
	   -Wl,--no-as-needed

# Unit tests: one program a tested source, cmocka.
UNIT	= $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
$(B)/tests/unit/%: $(B)/tests/unit/%.o $(foreach r,7 6 5 4 3 2 1,$(call row,$(r)))
	$(CC) $(LDHARD) $(LDFLAGS) -o $@ $< -Wl,--start-group \
	    $(filter %.a,$^) -Wl,--end-group $(ALL_LIBS) -lcmocka
.SECONDARY: $(patsubst %,%.o,$(UNIT))

# The certificates that the tests of certs/ judge.
TEST_CERTS = $(abspath $(B))/tests/unit/certs
$(TEST_CERTS)/made: tests/unit/make_certs.py
	/usr/bin/python3 $< $(@D)
	@touch $@
$(B)/tests/unit/%.o: CPP_OWN += -DTEST_CERTS='"$(TEST_CERTS)"'
$(patsubst %,$(B)/tests/unit/test_%,generation settings store verify verdict \
    cert dane describe path_check path_search proof): | $(TEST_CERTS)/made
$(B)/tests/fuzz/fuzz_chain.corpus: $(TEST_CERTS)/made
	@mkdir -p $@
	cp $(TEST_CERTS)/seeds/* $@
$(B)/tests/fuzz/fuzz_dane.corpus: $(TEST_CERTS)/made
	@mkdir -p $@
	cp $(TEST_CERTS)/seeds_dane/* $@

unit: $(UNIT)
	@set -e; for t in $(UNIT); do echo "== $${t##*/}"; $$t; done

# The user that the children run as is the administrator's to create, and
# `postern run` says how where it is missing.
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(LIBEXECDIR) \
	    $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(MANDIR)/man5 \
	    $(DESTDIR)$(UNITDIR) $(DESTDIR)$(DOCDIR)/examples
	install -m 755 $(B)/postern $(DESTDIR)$(PREFIX)/sbin
	install -m 755 $(filter-out $(B)/postern,$(PROGRAMS)) \
	    $(DESTDIR)$(LIBEXECDIR)
	install -m 644 scripts/postern.conf scripts/keepalived/keepalived.conf \
	    $(DESTDIR)$(DOCDIR)/examples
	install -m 644 proxy/postern.8 $(DESTDIR)$(MANDIR)/man8
	install -m 644 proxy/postern.conf.5 $(DESTDIR)$(MANDIR)/man5
	sed 's,/usr/sbin/,$(PREFIX)/sbin/,' scripts/postern.service \
	    >$(DESTDIR)$(UNITDIR)/postern.service
	chmod 644 $(DESTDIR)$(UNITDIR)/postern.service

# An OCI image: $(B)/image/oci, and $(B)/image/postern.tar to load.  Its dates
# are the last commit's, so that the same sources give the same image.
image:
	scripts/deps image
	$(MAKE) $(B)/image/postern.tar
$(B)/image/postern.tar: $(PROGRAMS) scripts/image LICENSE
	rm -rf $(B)/image/installed
	@$(MAKE) -s install DESTDIR=$(abspath $(B))/image/installed
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct \
	    2>/dev/null)} scripts/image $(B)/image $(B)/image/installed \
	    $(VERSION)

# The Debian package, in build/deb: built by Debian's own tools in a tree of its
# own, whatever this make was told.
deb:
	scripts/deps build package
	$(MAKE) build/deb/built
PACKAGED = Makefile README.md LICENSE proxy netfilter certs scripts
build/deb/built: $(shell find $(PACKAGED) -type f)
	rm -rf build/deb
	mkdir -p build/deb/postern
	cp -R $(PACKAGED) build/deb/postern
	mv build/deb/postern/scripts/debian build/deb/postern
	cd build/deb/postern && env -i PATH="$$PATH" \
	    DEB_BUILD_OPTIONS="$$DEB_BUILD_OPTIONS" \
	    dpkg-buildpackage --build=binary --no-sign
	touch $@

# The lab's Debian systems go as well; scripts/deps brings them back.
clean:
	rm -rf build build-*

-include $(shell find $(B) \( -path '*/lab' -o -path '*/deb' \) -prune -o \
    -name '*.d' -print 2>/dev/null)

.PHONY: all unit install image deb clean FORCE
.DELETE_ON_ERROR:

# Fuzzers: one program a parser, clang's libFuzzer over a sanitized build of
# the rows.  What one finds is left beside it; its corpus grows run by run.
SECONDS_EACH ?= 5
FUZZERS	= $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(foreach r,$(ROWS),$(call row,$(r)))
	$(CC) $(LDHARD) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(ALL_LIBS)
.SECONDARY: $(patsubst %,%.o,$(FUZZERS))

run-fuzzers: $(FUZZERS) | $(B)/tests/fuzz/fuzz_chain.corpus \
    $(B)/tests/fuzz/fuzz_dane.corpus
	@for f in $(FUZZERS); do \
	    mkdir -p $$f.corpus; \
	    $$f -max_total_time=$(SECONDS_EACH) -artifact_prefix=$$f. \
	        -print_final_stats=1 $$f.corpus >$$f.log 2>&1 || \
	        { cat $$f.log; exit 1; }; \
	    echo "$${f##*/}: $$(grep number_of_executed $$f.log)"; \
	done

fuzz:
	scripts/deps build test lint
	$(MAKE) B=$(B)-fuzz CC=clang SANITIZE=1 \
	    CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' run-fuzzers

.PHONY: fuzz run-fuzzers

# Real mail servers, clients and scripted villains around the real programs,
# in network namespaces; as root.
E2E	= $(patsubst %.c,$(B)/%,$(wildcard tests/e2e/*.c))
# In a jail like postern-policy's, and with no other libraries.
$(B)/tests/e2e/sts_fetch: $(B)/tests/e2e/sts_fetch.o \
    $(foreach r,6 3 2 1,$(call row,$(r)))
	$(CC) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIB_POLICY)
$(B)/tests/e2e/%: $(B)/tests/e2e/%.o $(foreach r,$(ROWS),$(call row,$(r)))
	$(CC) $(LDHARD) $(LDFLAGS) -o $@ $< \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(ALL_LIBS)
.SECONDARY: $(patsubst %,%.o,$(E2E))

# Files of tests wait for most of their time: two labs side by side.
e2e: all $(E2E) $(B)/image/postern.tar
	POSTERN_BUILD=$(abspath $(B)) /usr/bin/python3 -B -m pytest -q \
	    $(if $(T),$(T),-n 2 --dist loadfile tests/e2e)

demo:
	@scripts/demo

check:
	scripts/deps build test package system vm
	$(MAKE) all
	$(MAKE) unit
	$(MAKE) e2e
	$(MAKE) check-vm

# The core of the end-to-end tests on Debian's own kernel, in a virtual machine
# that is emulated and slow: a file a line, without what real servers take.
CORE	= tests/e2e/test_rules.py \
	  tests/e2e/test_gate.py \
	  tests/e2e/test_bridge.py \
	  tests/e2e/test_local_mode.py \
	  tests/e2e/test_delivery.py \
	  tests/e2e/test_refusals.py
check-vm:
	scripts/deps build test vm
	$(MAKE) all
	scripts/vm -t 1800 sh -c 'modprobe br_netfilter && exec env "$$@"' sh \
	    POSTERN_BUILD=$(abspath $(B)) \
	    /usr/bin/python3 -B -m pytest -q --scripted $(CORE)

# All of it again under AddressSanitizer and UBSan.
sanitize:
	scripts/deps
	$(MAKE) B=build-sanitize SANITIZE=1 CFLAGS='-O1 -g' unit
	$(MAKE) B=build-sanitize SANITIZE=1 CFLAGS='-O1 -g' e2e

LINT	= $(wildcard proxy/*.c proxy/*/*.c netfilter/*.c certs/*.c tests/*/*.c)
lint:
	scripts/deps build lint
	clang-format --dry-run -Werror $(LINT) \
	    $(wildcard proxy/*.h proxy/*/*.h netfilter/*.h certs/*.h \
	    tests/*/*.h)
	mandoc -Tlint -Wwarning proxy/postern.8 proxy/postern.conf.5
	shellcheck scripts/deps scripts/demo scripts/lab scripts/vm \
	    .ci/run tests/lab/*.sh $(patsubst %,scripts/debian/%,postinst prerm postrm)
	cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr -j2 \
	    --enable=warning,performance,portability -I. \
	    --suppress=unknownMacro $(LINT)
	$(MAKE) -j2 $(LINT:%=tidy/%)
$(LINT:%=tidy/%): tidy/%:
	@clang-tidy --quiet $* -- -std=gnu17 $(CPP_OWN) $(BSSL_CPP) \
	    '-DTEST_CERTS=""' 2>/dev/null

.PHONY: e2e demo check check-vm sanitize lint

# postern beside stunnel and a plain path, in one run; a table of ratios.
$(B)/tests/bench/sink: $(B)/tests/bench/sink.o
	$(CC) $(LDHARD) $(LDFLAGS) -o $@ $< $(BSSL_LIB)

$(B)/tests/bench/verdicts: $(B)/tests/bench/verdicts.o \
    $(foreach r,3 2 1,$(call row,$(r)))
	$(CC) $(LDHARD) $(LDFLAGS) -o $@ $^ $(BSSL_LIB) $(LIB_ROW1)

$(B)/tests/bench/syn: $(B)/tests/bench/syn.o
	$(CC) $(LDHARD) $(LDFLAGS) -o $@ $< -lbsd

bench:
	scripts/deps
	$(MAKE) all $(B)/tests/bench/sink $(B)/tests/bench/verdicts \
	    $(B)/tests/bench/syn
	POSTERN_BUILD=$(abspath $(B)) /usr/bin/python3 -B tests/bench/bench.py $(BENCH)
	POSTERN_BUILD=$(abspath $(B)) /usr/bin/python3 -B tests/bench/contact.py
	POSTERN_BUILD=$(abspath $(B)) /usr/bin/python3 -B tests/bench/gate.py

.PHONY: bench

# A row uses the rows above it in the design, never those below: no symbol
# that it leaves open is defined in a later row.
arrows: all $(foreach r,$(ROWS),$(call row,$(r)))
	@set -e; for r in $(ROWS); do \
	    nm -u $(B)/row$$r.a | awk 'NF == 2 { print $$2 }' | \
	        sort -u >$(B)/row$$r.open; \
	    for later in $(ROWS); do \
	        [ $$later -gt $$r ] || continue; \
	        if nm --defined-only -g $(B)/row$$later.a | \
	            awk 'NF == 3 { print $$3 }' | sort -u | \
	            comm -12 - $(B)/row$$r.open | \
	            sed "s/^/row $$r uses row $$later: /" | \
	            grep .; then exit 1; fi; \
	    done; \
	done; echo "arrows: as designed"

.PHONY: arrows
