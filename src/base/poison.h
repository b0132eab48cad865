/* Calls that are never right here: unbounded, not reentrant, or locale-dependent. Included first by
 * base.h. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef __cplusplus
#undef alloca /* a macro in glibc; gcc refuses to poison those */
#pragma GCC poison sprintf vsprintf strcpy strcat strncpy strncat gets strtok atoi atol atof alloca
#pragma GCC poison asctime ctime gmtime localtime
#endif
