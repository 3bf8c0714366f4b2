/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_GATE_MESSAGE_H
#define POSTERN_GATE_MESSAGE_H

/*
 * What a relay and postern-gate tell each other.  Nobody asks anything, so
 * nobody waits: a message that is lost with its channel costs a hint, or a
 * count until the next change.
 *
 * Addresses are as ipc_address.h puts them.
 */

enum gate_message {
	/*
	 * Relay to gate: u8, whether it can take no session more; at first,
	 * and at each change.  A gate leads connections in while it knows of a
	 * relay that can.
	 */
	GATE_FULL = 1,
	/*
	 * Relay to gate: address, u32 sessions that this client has with this
	 * relay now.  At each change, and on a fresh channel for every client
	 * that has some.
	 */
	GATE_CLIENT,
	/*
	 * Gate to relay: address, the name that a connection to it is most
	 * likely meant for, u32 seconds for which that is worth something.
	 */
	GATE_HINT,
};

#endif
