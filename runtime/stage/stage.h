/* SPDX-License-Identifier: MIT */
/* stage.h – the orders that luge gives the stage, and the messages that come back
 *
 * The stage (seal.c, exec.c, init.c) is the last program of luge inside the container: it runs the sealing
 * steps of the plan in their order, executes the command and, if asked to, stays as PID 1. It knows
 * nothing of profiles: sandbox/container/orders.lua encodes each step as a raw system call. Its constants
 * are made from this file and the kernel's headers (constants.lua.in, the module luge.stage), so the two ends cannot differ.
 *
 * The orders are one image in a sealed memfd, which the stage is given or is sent:
 *
 *	struct stage_header | data: strings, filters, vectors | struct stage_record[] | zeros
 *
 * The stage maps it, for reading, at STAGE_BASE: an address that is free in every layout of the two
 * architectures. So the encoder knows the address of everything and nothing has to be relocated. The last
 * byte of the image is zero. All is little-endian.
 *
 * The stage takes exactly one word, argv[0] = "luge-init N" where N is the descriptor of the orders, or of the channel
 * over which luge sends it, as a socket's one descriptor. The kernel gives the interpreter of a script two words or more,
 * so `#!/proc/self/exe` cannot have it read anything.
 */
#ifndef LUGE_STAGE_H
#define LUGE_STAGE_H

#define STAGE_ARGV0	  "luge-init "
#define STAGE_MAGIC	  0x3253474c /* "LGS2": changes with the layout */
#define STAGE_BASE	  0x200000000
#define STAGE_HEADER_SIZE 32
#define STAGE_RECORD_SIZE 64
#define STAGE_SIZE_MAX	  0x1000000

/* Kinds of records. STAGE_EXEC: argv is args[1], the environment args[2]; args[3] when PATH was searched. */
#define STAGE_CALL     1 /* syscall nr(args) */
#define STAGE_CALL_ALL 2 /* the same, and the result must be args[2]: a write that must be whole */
#define STAGE_SIGNALS  3 /* every signal back to its default, none blocked */
#define STAGE_CWD      4 /* the working directory lies within the root */
#define STAGE_LIFELINE 5 /* luge is still there */
#define STAGE_INIT     6 /* fork: the parent stays as PID 1, the child goes on with the next record */
#define STAGE_WAIT     7  /* say STAGE_SEALED, then read one byte from go */
#define STAGE_BOUND    8  /* the capabilities of the mask args[0] leave the bounding set */
#define STAGE_EXEC     9  /* execute the first of the paths of args[0] that can be */
#define STAGE_ENTER    10 /* fork: the child, born in the pid namespace joined before, goes on */
/* Those of a stage that furnishes the container itself. Where one makes a descriptor, the upper half of nr is the number
 * that it gets. */
#define STAGE_OPEN 11 /* syscall nr(args), whose result is a descriptor */
#define STAGE_HEAR 12 /* wait for a word of luge */
#define STAGE_TAKE 13 /* luge's descriptors become args[0] and the next, args[1] of them */
#define STAGE_IN_ROOT                                                                              \
	14 /* S.open_in_root: below args[0], path args[1]; args[2]: type and mode of what is made, or 0 */
#define STAGE_COPY 15 /* to descriptor args[0] from args[1], up to the end */
#define STAGE_DEVICE                                                                               \
	17 /* S.expect_device: descriptor args[0], type args[1], major and minor args[2] and args[3] */
#define STAGE_BARE 16 /* S.expect_bare_root */
#define STAGE_LINK                                                                                 \
	18 /* the netlink message args[0], of args[1] bytes, with the index of the link args[3] at args[2] of it */

#define STAGE_ANY_ERRNO 0xffff /* record.tolerate: no error of this call matters */

/* Kinds of messages: four 32-bit integers each, in one write. Without init and enter, the end of file says that
 * the command was executed; but for init, how it ended is the exit status. */
#define STAGE_SEALED 1 /* - - -              everything before the wait holds */
#define STAGE_STARTED                                                                              \
	2 /* pid - -            init: the command was executed; enter: this child is there */
#define STAGE_ERROR  3 /* step errno reason  and the stage ends */
#define STAGE_EXITED 4 /* code - -           init: the command ended */
#define STAGE_KILLED 5 /* signal core -      init: a signal ended it */

/* Reasons of STAGE_ERROR; the exit code is 127, 126, 126, and 125 for the others. */
#define STAGE_NOT_FOUND	     1 /* no such command in any place */
#define STAGE_NOT_EXECUTABLE 2 /* it is there and cannot be executed: errno says why */
#define STAGE_NO_INTERPRETER 3 /* it is there, the interpreter or loader it asks for is not */
#define STAGE_FAILED	     4 /* the call of this step failed */
#define STAGE_SHORT	     5 /* a write wrote only a part */
#define STAGE_OUTSIDE	     6 /* the working directory lies outside the root */
#define STAGE_NO_GO	     7 /* go was closed instead of written to */
#define STAGE_BAD_ORDERS     8 /* the image is no image */
#define STAGE_SETUP	     9 /* the stage itself could not be set up */

#ifndef STAGE_ONLY_CONSTANTS
#include <stdint.h>

struct stage_header {
	uint32_t magic;
	uint32_t size; /* of the image */
	uint32_t records, record_count;
	int32_t status;	  /* messages go here; a pipe or a socket */
	int32_t lifeline; /* hangs up when luge is gone: the reading end of a pipe */
	int32_t go;	  /* what STAGE_WAIT reads, or -1 */
	int32_t channel; /* luge speaks here to a stage that furnishes the container: it sent the orders; or 0 */
};

struct stage_record {
	uint16_t kind;
	uint16_t tolerate; /* an errno that is no failure here, or STAGE_ANY_ERRNO, or 0 */
	uint32_t step;	   /* which step of the plan this is, for STAGE_ERROR */
	uint64_t nr;
	uint64_t args[6];
};

struct stage_message {
	int32_t kind, a, b, c;
};

_Static_assert(sizeof(struct stage_header) == STAGE_HEADER_SIZE, "orders.lua packs this header");
_Static_assert(sizeof(struct stage_record) == STAGE_RECORD_SIZE, "orders.lua packs this record");
_Static_assert(sizeof(struct stage_message) == 16, "orders.lua unpacks this message");
#endif
#endif
