/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_CONFIG_FILE_H
#define POSTERN_CONFIG_FILE_H

/*
 * The configuration file: UCL, strict, errors as "file:line: text".
 */

#include <stdbool.h>
#include <stddef.h>

struct config;

#define CONFIG_ERROR_MAX 512

/*
 * config_load reads path over the defaults, then the trust files it names,
 * and checks that the whole makes sense.  path NULL means CONFIG_PATH, which
 * may be missing; a path that was asked for may not.  Command-line settings
 * are given in `overrides`, lines of UCL ("interfaces = [lan0];") judged as
 * the file is, or NULL.  Returns the settings (config_free), or NULL with a
 * message for the operator in error.
 */
struct config *config_load(
    const char *path, const char *overrides, char error[CONFIG_ERROR_MAX]);

/*
 * config_glean reads what can be read of a configuration that config_load
 * refuses, for closing the road: the defaults, and over them every setting
 * outside of sections and blocks that is right by itself.  *knows_mode says
 * whether mode is among what is known; where it is not, it may be either.
 * Never to be used for relaying.  Returns the settings (config_free), or NULL:
 * ENOMEM.
 */
struct config *
config_glean(const char *path, const char *overrides, bool *knows_mode);

#endif
