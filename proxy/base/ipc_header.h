/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_IPC_HEADER_H
#define POSTERN_IPC_HEADER_H

/* What stands before the fields of a message; for ipc.c alone. */

#include "proxy/base/ipc.h"

#define IPC_HEADER_LEN 8

void
ipc_write_header(const struct ipc_message *, uint8_t header[IPC_HEADER_LEN]);
/* Sets all of the reader but its descriptors; -1: a malformed packet. */
int ipc_read_header(struct ipc_reader *, const uint8_t *packet, size_t len);

#endif
