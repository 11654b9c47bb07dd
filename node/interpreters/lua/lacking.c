/* What of C's library Lua uses and a sandbox lacks, as far as it can be had there. */
#include <unistd.h>

#include "lacking.h"

/* Processor time is the time since the guest first asked: a sandbox has no other clock that stands still. */
clock_t lacking_clock(void) {
    static struct timespec start;
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return (clock_t)-1;
    if (start.tv_sec == 0 && start.tv_nsec == 0) start = now;
    long long passed = (long long)(now.tv_sec - start.tv_sec) * 1000000000LL + (now.tv_nsec - start.tv_nsec);
    return (clock_t)(passed / (1000000000LL / CLOCKS_PER_SEC));
}

/* There are no processes; without a command it is asked whether there are. */
int lacking_system(const char *command) {
    return command == NULL ? 0 : -1;
}

/* A file in the temporary directory, made now so that the name is taken. */
char *lacking_tmpnam(char *name) {
    for (unsigned number = 0; number < 100000; number++) {
        snprintf(name, L_tmpnam, "/tmp/lua_%05u", number);
        FILE *file = fopen(name, "wx");
        if (file != NULL) {
            fclose(file);
            return name;
        }
    }
    return NULL;
}

/* Removed while it is open where that can be, else with the run. */
FILE *lacking_tmpfile(void) {
    char name[L_tmpnam];
    if (lacking_tmpnam(name) == NULL) return NULL;
    FILE *file = fopen(name, "w+b");
    if (file != NULL) unlink(name);
    return file;
}
