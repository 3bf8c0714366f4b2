/* SPDX-License-Identifier: ISC */
#ifndef POSTERN_HEX_H
#define POSTERN_HEX_H

/* Hexadecimal digits, whatever the locale. */

/* The value of a digit, 0 to 15; -1 where it is none. */
int hex_digit(char);

#endif
