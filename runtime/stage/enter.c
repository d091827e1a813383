/* SPDX-License-Identifier: MIT */
/* enter.c – the last step of a stage that joins a container which runs already (luge exec)
 *
 * A process that joins a pid namespace stays outside of it; its children are born inside. So the stage does
 * all that takes privilege where no process of the container can see it, and the one that appears among
 * them has the container's own protection from its first instruction on. It is luge's child, not ours: luge
 * reaps it, and its parent-death signal is luge's.
 *
 * What it must not do: return, in either process. They share memory and stack until the child has executed
 * the command or ended (CLONE_VFORK), as in init.c.
 */
#include <linux/sched.h>

#include "seal.h"
#include "sys.h"

__attribute__((noinline)) _Noreturn void enter_fork(void)
{
	const struct stage_message *e = &stage.error;

	stage.forked = 1;
	/* With CLONE_PARENT the exit signal is ours: SIGCHLD. */
	long pid = sys(clone, CLONE_VM | CLONE_VFORK | CLONE_PARENT);

	if (pid == 0) {
		(void)sys(close, stage.header.status); /* the parent speaks; a filter may refuse */
		stage_run();
	}
	stage.forked = 0;
	if (pid < 0)
		stage_fail(-pid, STAGE_FAILED);
	/* Also of one that failed: whoever does not reap it holds up the end of the pid namespace. */
	(void)stage_send(STAGE_STARTED, (int32_t)pid, 0, 0);
	if (e->kind) {
		stage.step = (uint32_t)e->a;
		stage_fail(e->b, e->c);
	}
	stage_exit(0);
}
