/* SPDX-License-Identifier: ISC */
/*
 * The trust anchors: parsed once, sorted by subject.
 */

#include "certs/store.h"

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "certs/cert.h"
#include "certs/pem.h"

struct store {
	unsigned references;
	struct cert *anchors; /* owned; sorted */
	size_t count;
	size_t room;
	size_t skipped;
	X509_STORE *empty; /* owned */
};

enum added {
	ADDED,
	ADDED_NOT,
	ADDED_ERROR
};

/* Makes room for one more. */
static int
store_grow(struct store *store)
{
	struct cert *anchors;
	size_t room = store->room == 0 ? 16 : store->room * 2;

	if (store->count < store->room)
		return 0;
	anchors = reallocarray(store->anchors, room, sizeof(*anchors));
	if (anchors == NULL)
		return -1;
	store->anchors = anchors;
	store->room = room;
	return 0;
}

/*
 * An allocation that fails while a certificate is parsed or looked at would
 * leave a good anchor out, or leave it in with a fault, for the store's whole
 * life.  X509_NAME_cmp works a name's normal form out at its first use; where
 * that fails a name is not even equal to itself.
 */
static bool
is_out_of_memory(const struct cert *anchor)
{
	const X509_NAME *subject;
	uint32_t error;

	while ((error = ERR_get_error()) != 0) {
		if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
			return true;
	}
	if (anchor->x509 == NULL)
		return false;
	subject = X509_get_subject_name(anchor->x509);
	return X509_NAME_cmp(subject, subject) != 0;
}

static enum added
store_add(struct store *store, CRYPTO_BUFFER *buffer)
{
	struct cert *anchor;
	int read;

	if (store_grow(store) == -1)
		return ADDED_ERROR;
	ERR_clear_error();
	anchor = &store->anchors[store->count];
	read = cert_init(anchor, buffer);
	if (is_out_of_memory(anchor)) {
		cert_clear(anchor);
		return ADDED_ERROR;
	}
	if (read == -1)
		return ADDED_NOT;
	store->count++;
	return ADDED;
}

static enum added
store_add_der(struct store *store, const uint8_t *der, size_t len)
{
	CRYPTO_BUFFER *buffer;
	enum added added;

	if ((buffer = CRYPTO_BUFFER_new(der, len, NULL)) == NULL)
		return ADDED_ERROR;
	added = store_add(store, buffer);
	CRYPTO_BUFFER_free(buffer);
	return added;
}

/* Reads every block; returns 0, or -1 with a message in error. */
static int
store_read(struct store *store, const char *text, size_t len,
    char error[STORE_ERROR_MAX])
{
	enum pem_result result;
	enum added added;
	struct pem pem;
	uint8_t *der;
	size_t der_len;

	pem_init(&pem, text, len);
	while ((result = pem_next(&pem, &der, &der_len)) != PEM_END) {
		added = ADDED_NOT;
		if (result == PEM_BLOCK)
			added = store_add_der(store, der, der_len);
		free(der);
		if (result == PEM_ERROR || added == ADDED_ERROR) {
			snprintf(error, STORE_ERROR_MAX, "out of memory");
			return -1;
		}
		if (added == ADDED_NOT)
			store->skipped++;
		if (store->count > STORE_CERTS_MAX) {
			snprintf(error, STORE_ERROR_MAX,
			    "more than %d certificates", STORE_CERTS_MAX);
			return -1;
		}
	}
	if (store->count > 0)
		return 0;
	if (store->skipped > 0)
		snprintf(error, STORE_ERROR_MAX,
		    "none of its %zu certificates can be read", store->skipped);
	else
		snprintf(error, STORE_ERROR_MAX, "no certificate in it");
	return -1;
}

static int
compare(const void *a, const void *b)
{
	X509 *left = ((const struct cert *)a)->x509;
	X509 *right = ((const struct cert *)b)->x509;
	int order;

	order = X509_NAME_cmp(
	    X509_get_subject_name(left), X509_get_subject_name(right));
	return order != 0 ? order : X509_cmp(left, right);
}

static void
store_sort(struct store *store)
{
	size_t kept = 1;

	if (store->count == 0)
		return;
	qsort(store->anchors, store->count, sizeof(*store->anchors), compare);
	for (size_t i = 1; i < store->count; i++) {
		if (compare(&store->anchors[kept - 1], &store->anchors[i]) == 0)
			cert_clear(&store->anchors[i]); /* given twice */
		else
			store->anchors[kept++] = store->anchors[i];
	}
	store->count = kept;
}

static struct store *
store_new(void)
{
	struct store *store;

	if ((store = calloc(1, sizeof(*store))) == NULL)
		return NULL;
	store->references = 1;
	if ((store->empty = X509_STORE_new()) == NULL) {
		store_free(store);
		return NULL;
	}
	return store;
}

struct store *
store_from_buffers(CRYPTO_BUFFER *const *buffers, size_t count)
{
	struct store *store;

	if ((store = store_new()) == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		switch (store_add(store, buffers[i])) {
		case ADDED:
			break;
		case ADDED_NOT:
			store->skipped++;
			break;
		case ADDED_ERROR:
			store_free(store);
			return NULL;
		}
	}
	store_sort(store);
	return store;
}

struct store *
store_from_pem(const char *text, size_t len, char error[STORE_ERROR_MAX])
{
	struct store *store;

	snprintf(error, STORE_ERROR_MAX, "out of memory");
	if ((store = store_new()) == NULL)
		return NULL;
	if (store_read(store, text, len, error) == -1) {
		store_free(store);
		return NULL;
	}
	store_sort(store);
	error[0] = '\0';
	return store;
}

struct store *
store_ref(struct store *store)
{
	store->references++;
	return store;
}

void
store_free(struct store *store)
{
	if (store == NULL || --store->references > 0)
		return;
	for (size_t i = 0; i < store->count; i++)
		cert_clear(&store->anchors[i]);
	free(store->anchors);
	X509_STORE_free(store->empty);
	free(store);
}

size_t
store_count(const struct store *store)
{
	return store->count;
}

size_t
store_skipped(const struct store *store)
{
	return store->skipped;
}

size_t
store_count_ended(const struct store *store, int64_t at)
{
	size_t count = 0;

	for (size_t i = 0; i < store->count; i++)
		if (store->anchors[i].until < at)
			count++;
	return count;
}

bool
store_next_end(const struct store *store, int64_t at, int64_t *end,
    char name[STORE_NAME_MAX])
{
	const struct cert *first = NULL;
	char subject[CERT_NAME_MAX];

	for (size_t i = 0; i < store->count; i++)
		if (store->anchors[i].until >= at &&
		    (first == NULL || store->anchors[i].until < first->until))
			first = &store->anchors[i];
	if (first == NULL)
		return false;
	*end = first->until;
	snprintf(name, STORE_NAME_MAX, "%s", cert_subject_text(first, subject));
	return true;
}

static int
compare_subject(const struct cert *anchor, const X509_NAME *subject)
{
	return X509_NAME_cmp(X509_get_subject_name(anchor->x509), subject);
}

const struct cert *
store_find(const struct store *store, const X509_NAME *subject, size_t *count)
{
	size_t low = 0, high = store->count, middle, end;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (compare_subject(&store->anchors[middle], subject) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < store->count &&
			compare_subject(&store->anchors[end], subject) == 0;
	     end++)
		;
	*count = end - low;
	return *count > 0 ? &store->anchors[low] : NULL;
}

X509_STORE *
store_x509(const struct store *store)
{
	return store->empty;
}
