/* SPDX-License-Identifier: MIT */
/* seal.h – what the parts of the stage share
 *
 * Everything is in one object because of STAGE_INIT: its child shares the parent's memory until it
 * executes the command, so what the child writes here is what PID 1 reads.
 */
#ifndef LUGE_STAGE_SEAL_H
#define LUGE_STAGE_SEAL_H

#include <stddef.h>

#include "stage.h"

struct stage {
	const unsigned char *image; /* at STAGE_BASE */
	size_t size;
	struct stage_header header; /* a copy: PID 1 unmaps the image */
	uint32_t next;		    /* the record to run next */
	uint32_t step;		    /* the step that is being run */
	int forked;		    /* STAGE_INIT or _ENTER has run: the parent speaks on status */
	int executing;		    /* the child has come to its execve */
	uint64_t signals;	    /* blocked before STAGE_INIT blocked them all */
	struct stage_message error; /* the child's, for PID 1 to send */
};

extern struct stage stage
	__attribute__((visibility("hidden"))); /* or its address came from a table */

/* memory.c */
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int byte, size_t size);

_Noreturn void stage_exit(int code);
/* The write's result. */
long stage_send(int32_t kind, int32_t a, int32_t b, int32_t c);

/* Reports the step that is being run, and ends; error is an errno, reason one of stage.h. */
_Noreturn void stage_fail(long error, int32_t reason);

/* The exit code that goes with a reason. */
int stage_exit_code(int32_t reason);

/* Runs stage.next and all that follow. Ends in the command, or in stage_fail. */
_Noreturn void stage_run(void);

/* guest.c: a result >= 0, or -errno. */

/* Gives a descriptor the number that it is known by. */
long guest_number(long fd, int number);
void guest_hear(void);
/* The descriptor that comes with luge's first word, on this channel. */
long guest_hear_orders(int channel);
long guest_take(int first, int count);
/* mode: type and mode of what is made where it is missing, or 0. */
long guest_open(int root, const char *path, unsigned mode);
long guest_copy(int to, int from);
long guest_expect_device(int fd, unsigned type, unsigned major, unsigned minor);
long guest_expect_bare_root(void);

/* link.c: the same. STAGE_LINK: where the kernel has words for an error, luge gets them, and the stage ends. */
long link_tell(const struct stage_record *record);

/* exec.c */
_Noreturn void exec_command(const struct stage_record *record);

/* init.c: STAGE_INIT. In the child it continues with stage_run. */
_Noreturn void init_fork(void);

/* enter.c: STAGE_ENTER. In the child it continues with stage_run. */
_Noreturn void enter_fork(void);

#endif
