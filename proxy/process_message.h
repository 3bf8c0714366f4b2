/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_PROCESS_MESSAGE_H
#define POSTERN_PROCESS_MESSAGE_H

/*
 * What the parent and its children say to each other over the control channel
 * (ipc.h), which every child finds as descriptor PROCESS_CONTROL_FD when it
 * starts.  A child whose control channel closes has lost its parent and ends
 * at once.
 *
 * A child's life, in order:
 *	parent -> child	CONFIG, once before anything else
 *	parent -> relay	LISTENER for each family; POLICY; GATE, if there is one
 *	child -> parent	READY, once, when it serves
 *	parent -> child	CONFIG (reload), POLICY (a new policy process), PING
 *	parent -> child	DRAIN, at most twice
 *	child -> parent	DRAINED, then exit 0
 *
 * Messages without a remark have no fields, no descriptor, and id 0.
 */

#define PROCESS_CONTROL_FD 3

enum process_message {
	/*
	 * Parent to child: u32 generation, then the configuration as a
	 * descriptor (config_from_fd).  The first is the settings to start
	 * with.  A relay gets more of them after reloads: new sessions use the
	 * newest, those in flight keep theirs.  A policy process gets one only.
	 */
	PROCESS_CONFIG = 1,
	/*
	 * Parent to relay: one listening socket, non-blocking; one message a
	 * family.  Accepting on it may begin at once, but a session must wait
	 * for, or refuse without, a POLICY channel.
	 */
	PROCESS_LISTENER,
	/*
	 * Parent to relay: a fresh channel to the policy process, which
	 * replaces the one before.  Questions still open on the old channel
	 * are asked again or failed when that one closes.
	 */
	PROCESS_POLICY,
	/*
	 * Parent to policy process, and to the gate: a channel to one relay.
	 * One message a relay, and another whenever a relay was restarted.
	 */
	PROCESS_RELAY,
	/*
	 * Child to parent, once: the sandbox is locked and it serves.  A relay
	 * says it when it has CONFIG and the POLICY channel, and its listeners
	 * are watched.
	 */
	PROCESS_READY,
	/*
	 * Parent to child, any time after CONFIG: answer PONG with the same
	 * message id, from the event loop, so that silence means it is stuck.
	 */
	PROCESS_PING,
	PROCESS_PONG,
	/*
	 * Parent to child.  The first one: close the listeners, finish
	 * transactions in flight within timeouts.drain seconds, then 421.  A
	 * policy process goes on answering until its relay channels are gone.
	 * The second one: 421 and out, now.
	 */
	PROCESS_DRAIN,
	/* Child to parent, once: nothing is left, about to exit 0. */
	PROCESS_DRAINED,
	/*
	 * Relay to parent: u32 sessions open, for the service manager's status
	 * line.  When that changes, at most once a second.
	 */
	PROCESS_STATUS,
	/*
	 * Parent to relay: a fresh channel to postern-gate (gate_message.h),
	 * which replaces the one before.
	 */
	PROCESS_GATE,
	/*
	 * Relay to parent: the channel to the gate has closed, and no other
	 * came: one of the two said what the other could not read.  Answered
	 * by GATE as soon as there is a gate.
	 */
	PROCESS_WANT_GATE,
};

#endif
