/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_DATA_H
#define POSTERN_DATA_H

/*
 * Finds the end of a message sent with DATA.  The end is CRLF.CRLF and nothing
 * else, and a CR or LF that stands alone is an offence: servers disagree on
 * what it means, which is how messages are smuggled (CVE-2023-51764 and its
 * kin).  Bytes are looked at, never changed: dots stay stuffed.
 */

#include <stddef.h>
#include <stdint.h>

enum data_result {
	DATA_MORE,
	DATA_END,
	DATA_BARE_CR,
	DATA_BARE_LF,
};

struct data_scanner {
	enum {
		DATA_AT_START, /* of a line */
		DATA_AFTER_DOT, /* that a line starts with */
		DATA_IN_LINE,
	} place; /* private */
};

/* data_scan_init stands before the first byte of a message. */
void data_scan_init(struct data_scanner *);

/*
 * data_scan looks at the next bytes of the message and sets *used to how many
 * of them it is done with.
 * DATA_MORE: all used bytes may be relayed.  A CR at the end of data is not
 * among them: give it again with the byte that follows it.
 * DATA_END: the message and its end are the used bytes.
 * DATA_BARE_CR, DATA_BARE_LF: the last used byte is the offence; nothing of
 * this call is to be relayed and the message is lost.  Where the client is to
 * be answered in step, scan on, relaying nothing, until DATA_END.
 */
enum data_result
data_scan(struct data_scanner *, const uint8_t *data, size_t len, size_t *used);

#endif
