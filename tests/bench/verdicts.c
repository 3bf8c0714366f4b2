/* SPDX-License-Identifier: ISC */
/*
 * verdicts CHAIN TRUST NAME: how many verdicts a second one core reaches, by
 * each kind of evidence, from the cache and without it.  A figure compares
 * with the others of the same run.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "certs/cert.h"
#include "certs/chain.h"
#include "certs/store.h"
#include "proxy/base/clock.h"
#include "proxy/session/verdict.h"
#include "proxy/session/verdict_cache.h"

#define FILE_MAX      (1024 * 1024)
#define MEASURE_NS    INT64_C(500000000)
#define BATCH         16
#define NS_PER_SECOND INT64_C(1000000000)

struct bench {
	struct chain *chain;
	struct store *trust;
	const char *name;
	int64_t at;
};

static char *
read_file(const char *path, size_t *len)
{
	static char text[FILE_MAX];
	FILE *file;

	if ((file = fopen(path, "r")) == NULL) {
		perror(path);
		exit(1);
	}
	*len = fread(text, 1, sizeof(text), file);
	fclose(file);
	return text;
}

static int64_t
used_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static struct decision
decision_of(const struct bench *bench, enum evidence evidence)
{
	struct decision decision;
	const uint8_t *der;
	uint8_t key[32];
	struct tlsa record = {.usage = TLSA_DANE_EE,
	    .selector = TLSA_SPKI,
	    .matching = TLSA_SHA256,
	    .len = sizeof(key),
	    .data = key};
	size_t len;

	memset(&decision, 0, sizeof(decision));
	decision.kind = DECISION_LEVEL;
	decision.level = LEVEL_VERIFY;
	decision.evidence = evidence;
	decision.name_count = decision.sni_count = 1;
	strlcpy(decision.names[0], bench->name, sizeof(decision.names[0]));
	if (evidence == EVIDENCE_DANE) {
		der = chain_der(bench->chain, 0, &len);
		if (cert_spki_sha256(der, len, key) == -1 ||
		    !decision_add_tlsa(&decision, 0, &record))
			exit(1);
	}
	return decision;
}

/* Verdicts a second. */
static double
measure(const struct bench *bench, const struct decision *decision,
    struct verdict_cache *cache)
{
	const struct verdict_terms terms = {CONFIG_DEFER, true};
	const struct far_end far = {.chain = bench->chain};
	struct verdict verdict;
	int64_t began, used;
	uint64_t count = 0;
	int i;

	began = used_ns();
	do {
		for (i = 0; i < BATCH; i++)
			verdict_judge(&verdict, decision, "a.example", &far,
			    bench->trust, &terms, cache, bench->at);
		if (!verdict.passes) {
			fprintf(stderr, "refused: %s\n", verdict.text);
			exit(1);
		}
		count += BATCH;
		used = used_ns() - began;
	} while (used < MEASURE_NS);
	return (double)count / ((double)used / (double)NS_PER_SECOND);
}

static void
show(const struct bench *bench, enum evidence evidence,
    struct verdict_cache *cache)
{
	struct decision decision = decision_of(bench, evidence);
	double without = measure(bench, &decision, NULL);
	double from_cache = measure(bench, &decision, cache);

	printf("%-10s %12.0f %12.0f %10.1f\n", evidence_text(evidence),
	    from_cache, without, from_cache / without);
}

int
main(int argc, char **argv)
{
	static const enum evidence kinds[] = {
	    EVIDENCE_MX, EVIDENCE_MTA_STS, EVIDENCE_DANE};
	struct verdict_cache *cache = verdict_cache_new();
	struct bench bench = {.at = clock_wall()};
	char error[STORE_ERROR_MAX], *text;
	size_t len, i;

	if (argc != 4 || cache == NULL) {
		fputs("usage: verdicts CHAIN TRUST NAME\n", stderr);
		return 2;
	}
	text = read_file(argv[1], &len);
	bench.chain = chain_from_pem(text, len);
	text = read_file(argv[2], &len);
	bench.trust = store_from_pem(text, len, error);
	bench.name = argv[3];
	if (bench.chain == NULL || bench.trust == NULL)
		return 1;
	puts("verdicts/s    from cache  without it      ratio");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		show(&bench, kinds[i], cache);
	chain_free(bench.chain);
	store_free(bench.trust);
	verdict_cache_free(cache);
	return 0;
}
