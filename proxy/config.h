/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CONFIG_H
#define POSTERN_CONFIG_H

/*
 * postern's settings: a plain value with defaults, const once it is loaded.
 * config_file.c fills it from /etc/postern/postern.conf; the parent hands it
 * to its children as a sealed memory file, so that they need no filesystem.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/address.h"
#include "proxy/base/log.h"

#define CONFIG_PATH "/etc/postern/postern.conf"

#define CONFIG_SMTP_PORT       25 /* what is intercepted by default */
#define CONFIG_PORTS_MAX       16
#define CONFIG_INTERFACES_MAX  64
#define CONFIG_FORWARD_MAX     8
#define CONFIG_RULES_MAX       4096 /* server blocks; domain blocks likewise */
#define CONFIG_MATCHES_MAX     64 /* destinations of one server block */
#define CONFIG_NAMES_MAX       32 /* names of one block */
#define CONFIG_MARKS_MAX       16 /* packet marks of one block */
#define CONFIG_QUEUES_MAX      16
#define CONFIG_PINS_MAX        16 /* pins of one block */
#define CONFIG_TRUST_MAX       64 /* distinct trust files */
#define CONFIG_TRUST_BYTES_MAX (8U << 20) /* of one trust file */
#define CONFIG_TRUST_ALL_MAX   (64U << 20) /* of all of them */
#define CONFIG_FILE_BYTES_MAX  (4U << 20) /* of the file itself */
#define CONFIG_FD_BYTES_MAX    (128U << 20) /* of config_to_fd's file */
#define CONFIG_TEXT_MAX        1024 /* one string of it, NUL included */
#define CONFIG_WORKERS_MAX     64

enum config_mode {
	CONFIG_GATEWAY, /* TPROXY for forwarded connections */
	CONFIG_LOCAL, /* REDIRECT for this host's or pod's own programs */
	CONFIG_BRIDGE, /* TPROXY for what a bridge carries for others */
};

/* How postern's own connections are told from those to intercept. */
enum config_own {
	CONFIG_OWN_AUTO, /* mark where there is the capability, else uid */
	CONFIG_OWN_MARK,
	CONFIG_OWN_UID,
};

enum config_on_refusal {
	CONFIG_DEFER, /* 4xx */
	CONFIG_BOUNCE, /* 5xx for verdicts that waiting does not mend */
};

/* Whether postern-gate says which connections come in. */
enum config_gate {
	CONFIG_GATE_AUTO, /* where the kernel has a queue for it */
	CONFIG_GATE_ON,
	CONFIG_GATE_OFF,
};

/* What the far end must show before it gets an envelope. */
enum level {
	LEVEL_VERIFY, /* TLS, proved */
	LEVEL_ENCRYPT, /* TLS, whoever it is */
	LEVEL_NONE, /* TLS where there is some, else clear text */
	LEVEL_OBSERVE, /* domain: decided as VERIFY, passes as NONE */
};

/* A `server` or `domain` block. */
struct rule {
	char *name; /* server: its label; domain: "a.example",
	               or "*.a.example" for every name below */
	char **matches; /* server: address, prefix or host name */
	size_t match_count;
	char **names; /* the certificate must carry one of them */
	size_t name_count;
	uint8_t (*pins)[32]; /* SHA-256 of SubjectPublicKeyInfo */
	size_t pin_count;
	char *trust; /* path; NULL: the default */
	enum level level;
	int64_t until; /* the exception holds while the wall time
	                  is less than this; 0: for ever */
	bool auth; /* server: AUTH may pass once proved */
	char *origin; /* "file:line" for messages */
};

/* What becomes of a connection at its first packet. */
enum config_verdict {
	CONFIG_INTERCEPT, /* led to a relay */
	CONFIG_REJECT, /* refused with a TCP reset */
	CONFIG_EXEMPT, /* clients only: forwarded untouched */
};

/*
 * A `client` or `destination` block, for postern-gate.  Of what stands in it,
 * each kind must hold, by any one of its elements.
 */
struct admission_rule {
	char *name; /* its label */
	char **matches; /* addresses and prefixes */
	size_t match_count;
	char **interfaces; /* client: where the packet came in */
	size_t interface_count;
	char **marks; /* client: "VALUE" or "VALUE/MASK" */
	size_t mark_count;
	enum config_verdict verdict;
	uint32_t connection_rate; /* client: as in limits; 0: as there */
	uint32_t sessions; /* client: of all relays; 0: as in limits */
	char *origin; /* "file:line" for messages */
};

/* A trust file's PEM text, read by the parent. */
struct config_trust {
	char *path;
	char *pem;
	size_t len;
};

/* Seconds; RFC 5321 4.5.3.2. */
struct config_timeouts {
	uint32_t connect;
	uint32_t greeting;
	uint32_t handshake; /* STARTTLS until TLS is up */
	uint32_t command; /* client: between commands; 4.5.3.2.7 */
	uint32_t reply; /* server: EHLO, MAIL, RCPT and the like */
	uint32_t data_initiation;
	uint32_t data_block;
	uint32_t data_termination;
	uint32_t decision; /* for postern-policy to answer */
	uint32_t drain; /* for sessions to end on stop */
};

struct config_limits {
	uint32_t sessions; /* of one relay */
	uint32_t sessions_per_client; /* from one address, of one relay */
	uint32_t connection_rate; /* of one client, a second; 0: any */
};

struct config {
	enum config_mode mode;
	char *bridge; /* bridge: its name */
	char **interfaces; /* where clients are; bridge: ports of it */
	size_t interface_count;
	char **inbound; /* gateway: where mail for servers behind it comes in */
	size_t inbound_count;
	uint16_t ports[CONFIG_PORTS_MAX];
	size_t port_count;
	uint16_t listen_port; /* TPROXY and REDIRECT lead here */
	bool keep_source_address;
	enum config_own own_connections;
	uint32_t mark; /* one bit of the packet mark */
	uint32_t route_table;
	uint32_t route_priority;
	bool manage_rules; /* run applies them */
	bool keep_rules; /* and leaves them in place at its end */
	uint32_t workers; /* 0: one a CPU */
	char *user;
	char *trust; /* path of the default trust file */
	bool require_dnssec;
	bool enforce; /* else: all is decided and nothing refused */
	enum config_on_refusal on_refusal;
	char *state; /* redis://...; NULL: nothing is shared */
	char *state_directory; /* what outlives the processes */

	struct {
		enum config_gate admission;
		bool watch_dns; /* what name an address is likely to have */
		uint32_t queue; /* first NFQUEUE number, and NFLOG group */
		uint32_t queues; /* that many from there on */
	} gate;

	struct {
		bool enforces_testing; /* mode testing as if enforce */
		uint32_t timeout; /* seconds for one HTTPS fetch */
	} mta_sts;

	struct {
		struct address forward[CONFIG_FORWARD_MAX]; /* with port */
		size_t forward_count;
		char *root_hints; /* path; NULL: built in */
		char *trust_anchor; /* path */
		uint32_t timeout; /* seconds for one lookup */
	} dns;
	struct config_timeouts timeouts;
	struct config_limits limits;
	struct {
		enum log_format format;
		enum log_to to;
		bool full_addresses; /* local parts too */
		bool verbose;
	} log;

	struct rule *servers;
	size_t server_count;
	struct rule *domains;
	size_t domain_count;
	struct admission_rule *clients;
	size_t client_count;
	struct admission_rule *destinations;
	size_t destination_count;

	struct config_trust *trusts; /* [0] is the default */
	size_t trust_count;
};

/* config_new returns the defaults, or NULL (ENOMEM). */
struct config *config_new(void);
void config_free(struct config *);

/*
 * config_to_fd writes the whole of it into a sealed memory file; the caller
 * closes it.  config_from_fd reads one back (fd stays the caller's).
 * -1 / NULL with errno set; EPROTO: not a configuration of this version.
 */
int config_to_fd(const struct config *);
struct config *config_from_fd(int fd);

/*
 * config_trust_get finds a trust file's text by its path (NULL: the default);
 * NULL where there is none.
 */
const struct config_trust *
config_trust_get(const struct config *, const char *path);

#endif
