/* SPDX-License-Identifier: MIT */
/* near.h – which of the names that there are was meant by one that is not */
#ifndef LUGE_NEAR_H
#define LUGE_NEAR_H

struct near {
	const char *name;  /* what was written */
	const char *found; /* the nearest so far, or NULL: none is near */
	unsigned distance; /* of found; at first the least at which a name is not near */
};

/* Takes candidate, which has to last, where it is near and nothing nearer was found; among equals the alphabet decides. */
void near_offer(struct near *near, const char *candidate);

#endif
