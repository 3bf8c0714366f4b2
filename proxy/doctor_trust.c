/* SPDX-License-Identifier: ISC */
/*
 * The trust files: what is in them, and for how long.
 */

#include "certs/date.h"
#include "certs/store.h"
#include "proxy/base/clock.h"
#include "proxy/doctor.h"

#define TRUST "trust"
#define SOON  ((int64_t)30 * 24 * 60 * 60)

static void
tell_ending(struct doctor *doctor, const char *path, const struct store *store)
{
	int64_t now = clock_wall(), end;
	char name[STORE_NAME_MAX], text[DATE_TEXT_MAX];
	size_t ended = store_count_ended(store, now);

	if (ended == store_count(store)) {
		report_fail(doctor->report, TRUST,
		    "%s: all of its %zu anchors have expired", path, ended);
		report_remedy(doctor->report,
		    "bring the file up to date (ca-certificates), and look at "
		    "the clock");
		return;
	}
	if (ended > 0)
		report_note(doctor->report, TRUST,
		    "%s: %zu of %zu anchors have expired", path, ended,
		    store_count(store));
	if (!store_next_end(store, now, &end, name) || end > now + SOON)
		return;
	report_note(doctor->report, TRUST,
	    "%s: %zu of %zu anchors end within 30 days, %s first, on %s: "
	    "bring the file up to date",
	    path, store_count_ended(store, now + SOON) - ended,
	    store_count(store), name, date_text(end, text));
}

static void
check_trust(struct doctor *doctor, const struct config_trust *trust)
{
	char error[STORE_ERROR_MAX];
	struct store *store;

	store = store_from_pem(trust->pem, trust->len, error);
	if (store == NULL) {
		report_fail(
		    doctor->report, TRUST, "%s: %s", trust->path, error);
		report_remedy(doctor->report,
		    "it must hold the certificates to chain to, in PEM: "
		    "`update-ca-certificates`, or set `trust`");
		return;
	}
	tell_ending(doctor, trust->path, store);
	if (store_skipped(store) > 0)
		report_note(doctor->report, TRUST,
		    "%s: %zu of its certificates cannot be used", trust->path,
		    store_skipped(store));
	if (store_count_ended(store, clock_wall()) < store_count(store))
		report_pass(doctor->report, TRUST, "%s: %zu anchors",
		    trust->path, store_count(store));
	store_free(store);
}

void
doctor_check_trust(struct doctor *doctor)
{
	size_t i;

	for (i = 0; i < doctor->config->trust_count; i++)
		check_trust(doctor, &doctor->config->trusts[i]);
}
