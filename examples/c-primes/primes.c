/* Counts the primes below a number, piece by piece: says how far it is, keeps its state, goes on from what an earlier run has
 * kept, ends early when somebody cancels it, and gives a result.
 *
 *     cargo xtask guests
 *     potluck run target/guests/c-primes.wasm 1000000
 *     cc -O2 -I guest-sdk/c examples/c-primes/primes.c -o primes && ./primes 1000000     # outside Potluck
 *
 * Exit codes: 0 when it has counted, also when it was cancelled and has counted a part; 2 when its argument is no number.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "potluck.h"

typedef unsigned long long number;

/* How many numbers are looked at between two checkpoints. */
enum { PIECE_LEN = 100000 };

/* All that a run needs to know to go on from here. Kept as it lies in memory: every machine of a group runs this same program,
 * and a wasm program's memory is the same everywhere. */
struct count {
    number below; /* where the next piece begins */
    number primes;
    number largest;
};

/* Counts the primes from where it is to `end`: crosses out the multiples of every number whose square is below it. */
static void add_piece(struct count *count, number end) {
    static bool crossed_out[PIECE_LEN];
    number start = count->below < 2 ? 2 : count->below;
    memset(crossed_out, 0, sizeof crossed_out);
    for (number factor = 2; factor * factor < end; factor++) {
        number first = (start + factor - 1) / factor * factor;
        if (first < factor * factor) first = factor * factor;
        for (number multiple = first; multiple < end; multiple += factor) crossed_out[multiple - start] = true;
    }
    for (number candidate = start; candidate < end; candidate++) {
        if (crossed_out[candidate - start]) continue;
        count->primes++;
        count->largest = candidate;
    }
    count->below = end;
}

static int give_result(const struct count *count) {
    char room[200];
    struct potluck_object object;
    potluck_object_begin(&object, room, sizeof room);
    potluck_put_integer(&object, "below", (long long)count->below);
    potluck_put_integer(&object, "primes", (long long)count->primes);
    potluck_put_integer(&object, "largest", (long long)count->largest);
    return potluck_result(potluck_object_end(&object));
}

static void tell(FILE *file, const struct count *count) {
    fprintf(file, "%llu primes below %llu, the largest %llu\n", count->primes, count->below, count->largest);
}

int main(int argc, char **argv) {
    struct count count = {0, 0, 0};
    FILE *out = NULL;
    char *rest = "";
    number end = argc > 1 ? strtoull(argv[1], &rest, 10) : 1000000;

    if (argc > 3 || *rest) {
        fprintf(stderr, "usage: c-primes [NUMBER [FILE]]\n");
        return 2;
    }
    if (potluck_restore(&count, sizeof count) > 0) potluck_log(POTLUCK_INFO, "goes on", NULL);
    while (count.below < end && !potluck_cancelled()) {
        potluck_progress(count.below, end, "sieving");
        add_piece(&count, count.below + PIECE_LEN < end ? count.below + PIECE_LEN : end);
        if (potluck_checkpoint(&count, sizeof count) != 0) {
            fprintf(stderr, "c-primes: cannot keep the count\n");
            return 1;
        }
    }
    potluck_progress(count.below, end, "sieved");
    if (give_result(&count) != 0) {
        fprintf(stderr, "c-primes: cannot give the result\n");
        return 1;
    }
    if (argc > 2 && !(out = fopen(argv[2], "w"))) {
        fprintf(stderr, "c-primes: cannot write %s\n", argv[2]);
        return 1;
    }
    tell(stdout, &count);
    if (out) {
        tell(out, &count);
        fclose(out);
    }
    return 0;
}
