/* SPDX-License-Identifier: MIT */
/* near.c – which of the names that there are was meant by one that is not
 *
 * Touches nothing but its arguments.
 */
#include "near.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 48 };

static bool is_same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Edit distance in which swapping two neighbours is one step; long names are never near. */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[3][NAME_MAX_LENGTH + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > NAME_MAX_LENGTH || lb > NAME_MAX_LENGTH)
		return UINT_MAX;
	for (size_t j = 0; j <= lb; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned *row = d[i % 3], *above = d[(i + 2) % 3], *higher = d[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned best = above[j - 1] + !is_same(a[i - 1], b[j - 1]);

			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && is_same(a[i - 1], b[j - 2]) &&
			    is_same(a[i - 2], b[j - 1]) && higher[j - 2] + 1 < best)
				best = higher[j - 2] + 1;
			row[j] = best;
		}
	}
	return d[la % 3][lb];
}

void near_offer(struct near *near, const char *candidate)
{
	unsigned d = distance(candidate, near->name);

	if (d > near->distance ||
	    (d == near->distance && (!near->found || strcmp(candidate, near->found) >= 0)))
		return;
	near->found = candidate;
	near->distance = d;
}
