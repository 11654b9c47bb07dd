/* Says all that a C program can say, with text that is hard to say; its test reads what came of it. With an argument it says
 * what it was told: the task, the bytes that were kept, and whether it is to end.
 */
#include <stdio.h>
#include <string.h>

#include "potluck.h"

static int told(void) {
    char kept[8];
    unsigned long long index = 0, count = 0;
    int has_task = potluck_task(&index, &count);
    size_t length = potluck_restore(kept, sizeof kept);
    printf("task %d %llu %llu\n", has_task, index, count);
    printf("kept %zu %.*s\n", length, (int)(length < sizeof kept ? length : sizeof kept), kept);
    printf("cancelled %d\n", potluck_cancelled());
    return 0;
}

int main(int argc, char **argv) {
    static char much[100000];
    char room[200];
    struct potluck_object object;

    (void)argv;
    if (argc > 1) return told();
    potluck_progress(1, 0, NULL);
    potluck_progress(2, 5, "a \"b\" \\ \n\x01 \xc3\xbc \xff \xed\xa0\x80 \xf0\x9f\x98\x80");
    potluck_object_begin(&object, room, sizeof room);
    potluck_put_text(&object, "na\"me", "a\tb");
    potluck_put_integer(&object, "integer", -9007199254740993);
    potluck_put_real(&object, "real", 0.1);
    potluck_put_real(&object, "none", 1e308 * 10);
    potluck_put_json(&object, "json", "[1,true]");
    potluck_log(POTLUCK_WARN, "odd", potluck_object_end(&object));
    memset(much, 1, sizeof much - 1);
    potluck_log(POTLUCK_DEBUG, much, much);
    if (potluck_checkpoint("first, and longer", 17) != 0 || potluck_checkpoint("a\0b", 3) != 0) return 1;
    potluck_object_begin(&object, room, 10);
    potluck_put_text(&object, "too", "long for ten bytes");
    if (potluck_inside() && (potluck_result(potluck_object_end(&object)) == 0 || potluck_result(much) == 0)) return 2;
    if (potluck_result("[1,2]") != 0) return 3;
    for (unsigned i = 0; i <= 100000; i++) potluck_track(i, 100000, "turning");
    return potluck_forget();
}
