/* SPDX-License-Identifier: MIT */
/* guest.h – the parts of the guest: printing JSON, the facts, the probes */
#ifndef LUGE_GUEST_H
#define LUGE_GUEST_H

#include <stddef.h>

/* ---- json.c: a writer to stdout; a NULL key for an element of a list ---- */

void json_open(const char *key, char bracket);
void json_close(char bracket);
void json_number(const char *key, long long value);
void json_bool(const char *key, int value);
void json_null(const char *key);
void json_string(const char *key, const char *text);
/* Ends the document: a newline, flushed. */
void json_end(void);

/* ---- facts.c, view.c ---- */

/* Prints one object with what a process can find out about itself and its surroundings. argv: paths
 * that it tries to write in. */
int facts_print(int argc, char **argv);
/* Adds the mounts, the listings of / and /dev, and the descriptors. */
void view_add(void);

/* ---- use.c: programs that use up an exact amount; argv as guest.c tells, the result is the exit code ---- */

int use_burn(int argc, char **argv);
int use_brood(int argc, char **argv);
int use_flood(int argc, char **argv);
int use_fill(int argc, char **argv);
int use_linger(int argc, char **argv);

/* ---- probes.c ---- */

struct probe {
	const char *name;
	const char *usage;
	int min_args;
	/* Returns what the call returned, errno set when < 0. */
	long (*run)(int argc, char **argv);
};

extern const struct probe guest_probes[];
/* attacks.c */
extern const struct probe guest_attacks[];
/* lurk.c: the one that takes a file of its own. */
long lurk(int argc, char **argv);

#endif
