/* SPDX-License-Identifier: ISC */
/* Lines: the answer about a whole input and about any beginning agree. */

#include <stdint.h>
#include <stdlib.h>

#include "proxy/smtp/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t max = 2 + (len > 0 ? data[0] : 0), cut, used;
	enum line_result whole, part;
	struct line line;

	whole = line_next(data, len, max, &line);
	if (line.used > len || (whole == LINE_READY && line.used > max))
		abort();
	for (cut = 0; cut < len && cut <= max; cut++) {
		part = line_next(data, cut, max, &line);
		if (part != LINE_MORE && part != whole)
			abort();
	}
	if (line_skip(data, len, &used) && data[used - 1] != '\n')
		abort();
	return 0;
}
