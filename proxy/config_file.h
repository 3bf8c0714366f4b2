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

#endif
