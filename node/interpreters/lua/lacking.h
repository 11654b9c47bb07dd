/* What Lua takes from C's library and a sandbox's lacks; `lacking.c` has it. Included before everything else. */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The sources leave out, for this system, what is here. */
#undef __wasi__

#define clock lacking_clock
#define system lacking_system
#define tmpnam lacking_tmpnam
#define tmpfile lacking_tmpfile
#undef L_tmpnam
#define L_tmpnam 32

clock_t lacking_clock(void);
int lacking_system(const char *command);
char *lacking_tmpnam(char *name);
FILE *lacking_tmpfile(void);
