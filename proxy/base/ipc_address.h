/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_IPC_ADDRESS_H
#define POSTERN_IPC_ADDRESS_H

struct address;
struct ipc_message;
struct ipc_reader;

/* An address of whatever family, none included, with its port and scope. */
void ipc_put_address(struct ipc_message *, const struct address *);
/*
 * ipc_get_address reads one; 0, or -1 where it is malformed: the reader is
 * then bad, and the address of family AF_UNSPEC or undefined.
 */
int ipc_get_address(struct ipc_reader *, struct address *);

#endif
