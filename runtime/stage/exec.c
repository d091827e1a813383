/* SPDX-License-Identifier: MIT */
/* exec.c – execute the command, and say exactly why it could not be
 *
 * The last step, after the profile's own filters were loaded: it makes only the calls execve and, when that
 * says ENOENT, faccessat. The places to look in come from the orders (orders.lua knows PATH).
 */
#include <linux/errno.h>
#include <linux/fcntl.h>

#include "seal.h"
#include "sys.h"

/* A NULL-ended vector within the image? Its elements are the kernel's to check. */
static int vector_valid(uint64_t address)
{
	uint64_t start = (uint64_t)stage.image, end = start + stage.size;

	if (address % 8 || address < start)
		return 0;
	for (; address + 8 <= end; address += 8)
		if (!*(const uint64_t *)address)
			return 1;
	return 0;
}

/* Absent from this place; a path that was written out and runs through a file is wrong, not absent. */
static int is_absence(long error, int searching)
{
	return error == ENOENT || (searching && error == ENOTDIR);
}

_Noreturn void exec_command(const struct stage_record *record)
{
	if (!vector_valid(record->args[0]) || !vector_valid(record->args[1]) ||
	    !vector_valid(record->args[2]))
		stage_fail(0, STAGE_BAD_ORDERS);

	const uint64_t *paths = (const uint64_t *)record->args[0];
	int32_t reason = STAGE_NOT_FOUND;
	long error = ENOENT;

	stage.executing = 1;
	for (; *paths; paths++) {
		long e = -sys(execve, *paths, record->args[1], record->args[2]);

		if (e == ENOENT && sys(faccessat, AT_FDCWD, *paths, 0 /* F_OK */) == 0) {
			reason = STAGE_NO_INTERPRETER;
			error = e;
		} else if (e == EACCES && reason == STAGE_NOT_FOUND) {
			reason = STAGE_NOT_EXECUTABLE;
			error = e;
		} else if (e != EACCES && !is_absence(e, record->args[3] != 0)) {
			stage_fail(e, STAGE_NOT_EXECUTABLE);
		}
	}
	stage_fail(error, reason);
}
