/* What tests take for NVIDIA's library, with the calls that Potluck makes: each answers what it was compiled to answer. */
#include <stdio.h>

#ifndef COUNT
#define COUNT 1
#endif
#ifndef NAME
#define NAME "NVIDIA GeForce RTX 3060"
#endif
#ifndef BUSY
#define BUSY 7
#endif
/* The codes that calls return: 0 is success. */
#ifndef INIT
#define INIT 0
#endif
#ifndef COUNTING
#define COUNTING 0
#endif
#ifndef HANDLE
#define HANDLE 0
#endif
#ifndef NAMING
#define NAMING 0
#endif
#ifndef REST
#define REST 0
#endif

struct memory {
    unsigned version;
    unsigned long long total, reserved, free, used;
};

struct rates {
    unsigned gpu, memory;
};

int nvmlInit_v2(void) { return INIT; }

#ifndef WITHOUT_SHUTDOWN
int nvmlShutdown(void) { return 0; }
#endif

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = COUNT;
    return COUNTING;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(index + 1ul);
    return HANDLE;
}

int nvmlDeviceGetName(void *device, char *name, unsigned length) {
    (void)device;
    snprintf(name, length, "%s", NAME);
    return NAMING;
}

int nvmlDeviceGetMemoryInfo_v2(void *device, struct memory *memory) {
    (void)device;
    memory->total = 12ull << 30;
    memory->free = 9ull << 30;
    return REST;
}

int nvmlDeviceGetUtilizationRates(void *device, struct rates *rates) {
    (void)device;
    rates->gpu = BUSY;
    return REST;
}

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    snprintf(version, length, "550.54.14");
    return REST;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    *version = 12040;
    return REST;
}
