/* The engine, with the check of the stack that its sources leave out on this system: without it a script that calls itself
 * too often would trap instead of throwing an error. */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <fenv.h>
#include <inttypes.h>
#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "cutils.h"
#include "libregexp.h"

#define __STDC_NO_ATOMICS__ 1
#undef __wasi__
#include "quickjs.c"
