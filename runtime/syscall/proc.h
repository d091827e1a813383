/* SPDX-License-Identifier: MIT */
/* proc.h – arguments and results that several of the process areas share */
#ifndef LUGE_PROC_H
#define LUGE_PROC_H

#include "bind.h"

#include <sys/resource.h>

/* A signal: "term", "SIGTERM" or a number from 0 (no signal) to 64. */
int proc_check_signal(lua_State *L, int arg);
/* Pushes { utime, stime (float seconds), maxrss (bytes), minflt, majflt, inblock, oublock, nvcsw,
 * nivcsw }. */
void proc_push_rusage(lua_State *L, const struct rusage *usage);

#endif
