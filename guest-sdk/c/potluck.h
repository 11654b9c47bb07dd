/* What a job says to Potluck while it runs, and what it is told: one header, C99, nothing to link.
 *
 *     #include "potluck.h"
 *
 *     struct state state = {0};
 *     potluck_restore(&state, sizeof state);            what an earlier run of this job has come to
 *     for (; state.line < lines && !potluck_cancelled(); state.line++) {
 *         potluck_track(state.line, lines, "adding");
 *         ...
 *         potluck_checkpoint(&state, sizeof state);     if this machine vanishes, the job goes on from here
 *     }
 *     potluck_progress(state.line, lines, "added");
 *     potluck_log(POTLUCK_INFO, "added", NULL);
 *     potluck_result("{\"sum\":4.2}");
 *
 * Outside Potluck each word does nothing: nothing is kept or restored, no task, never cancelled. Inputs and outputs are files
 * of the working directory, as always. All else is in the contract, guest-sdk/CONTRACT.md.
 *
 * Always true: nothing is allocated for what is said. A line is put together in one static buffer of 64 KiB for each source file that speaks,
 * so that two threads may not speak at once. Words that can fail give 0 for well and -1 for not. Text is UTF-8; bytes that
 * are none are said as U+FFFD.
 */
#ifndef POTLUCK_H
#define POTLUCK_H

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POTLUCK_VERSION "1"
#define POTLUCK_EVENT_LEN_MAX 65536
/* The most bytes of a message; what is longer is cut. Written as JSON it fits in a line whatever is in it. */
#define POTLUCK_MESSAGE_LEN_MAX 8192
#define POTLUCK_CHECKPOINT_LEN_MAX 67108864ul
#define POTLUCK_PATH_LEN_MAX 4096

/* How much an entry of the log matters. */
enum potluck_level { POTLUCK_ERROR, POTLUCK_WARN, POTLUCK_INFO, POTLUCK_DEBUG };

/* A JSON object that is being written into memory of yours:
 *
 *     char room[200];
 *     struct potluck_object object;
 *     potluck_object_begin(&object, room, sizeof room);
 *     potluck_put_text(&object, "file", path);
 *     potluck_put_integer(&object, "rows", rows);
 *     potluck_result(potluck_object_end(&object));
 */
struct potluck_object {
    char *room;
    size_t size;
    size_t length;
    int overflowed;
};

/* Whether this program runs inside Potluck. */
static inline int potluck_inside(void) {
    const char *version = getenv("POTLUCK");
    return version != NULL && strcmp(version, POTLUCK_VERSION) == 0;
}

/* What the contract says under this name, or NULL. */
static inline const char *potluck_variable(const char *name) {
    return potluck_inside() ? getenv(name) : NULL;
}

static inline void potluck_put_bytes(struct potluck_object *object, const char *bytes, size_t length) {
    if (object->overflowed || length >= object->size - object->length) { /* one byte is for the end */
        object->overflowed = 1;
        return;
    }
    memcpy(object->room + object->length, bytes, length);
    object->length += length;
    object->room[object->length] = '\0';
}

/* How many bytes of UTF-8 the character that begins here has; 0 when it is none. */
static inline size_t potluck_character(const unsigned char *text, size_t length) {
    size_t more = text[0] < 0x80 ? 0 : text[0] < 0xc2 ? 9 : text[0] < 0xe0 ? 1 : text[0] < 0xf0 ? 2 : text[0] < 0xf5 ? 3 : 9;
    size_t i;
    if (more == 9 || more >= length) return 0;
    for (i = 1; i <= more; i++) {
        if ((text[i] & 0xc0) != 0x80) return 0;
    }
    /* Longer than need be, half of a pair, or beyond the last. */
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f)) return 0;
    if ((text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f)) return 0;
    return more + 1;
}

/* Text as JSON has it, with its quotes; no more than `most` bytes of it. */
static inline void potluck_put_quoted(struct potluck_object *object, const char *text, size_t most) {
    size_t left = strlen(text), i, taken;
    char escape[8];
    potluck_put_bytes(object, "\"", 1);
    for (i = 0; left > 0; i += taken, left -= taken) {
        const unsigned char *at = (const unsigned char *)text + i;
        taken = potluck_character(at, left);
        if (i + (taken ? taken : 1) > most) break;
        if (taken == 0) {
            potluck_put_bytes(object, "\xef\xbf\xbd", 3);
            taken = 1;
        } else if (*at == '"' || *at == '\\') {
            escape[0] = '\\';
            escape[1] = (char)*at;
            potluck_put_bytes(object, escape, 2);
        } else if (*at < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", *at);
            potluck_put_bytes(object, escape, 6);
        } else {
            potluck_put_bytes(object, (const char *)at, taken);
        }
    }
    potluck_put_bytes(object, "\"", 1);
}

/* Begins an object in `room`. */
static inline void potluck_object_begin(struct potluck_object *object, char *room, size_t size) {
    object->room = room;
    object->size = size;
    object->length = 0;
    object->overflowed = size == 0;
    potluck_put_bytes(object, "{", 1);
}

/* A field whose value is `json`, written as it is: true, null, [1,2], another object. */
static inline void potluck_put_json(struct potluck_object *object, const char *name, const char *json) {
    if (object->length > 1) potluck_put_bytes(object, ",", 1);
    potluck_put_quoted(object, name, (size_t)-1);
    potluck_put_bytes(object, ":", 1);
    potluck_put_bytes(object, json, strlen(json));
}

/* A field that is text. */
static inline void potluck_put_text(struct potluck_object *object, const char *name, const char *text) {
    potluck_put_json(object, name, "");
    potluck_put_quoted(object, text, (size_t)-1);
}

/* A field that is a whole number. */
static inline void potluck_put_integer(struct potluck_object *object, const char *name, long long number) {
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", number);
    potluck_put_json(object, name, digits);
}

/* A field that is a number; what JSON has no word for (infinity, not a number) is null. */
static inline void potluck_put_real(struct potluck_object *object, const char *name, double number) {
    char digits[32] = "null";
    if (number - number == 0) snprintf(digits, sizeof digits, "%.17g", number);
    potluck_put_json(object, name, digits);
}

/* Ends the object. Returns its text, or NULL when the room was too small. */
static inline const char *potluck_object_end(struct potluck_object *object) {
    potluck_put_bytes(object, "}", 1);
    return object->overflowed ? NULL : object->room;
}

/* The line that is being put together. */
static inline struct potluck_object *potluck_line(const char *beginning) {
    static char room[POTLUCK_EVENT_LEN_MAX + 1];
    static struct potluck_object line;
    line.room = room;
    line.size = sizeof room;
    line.length = 0;
    line.overflowed = 0;
    potluck_put_bytes(&line, beginning, strlen(beginning));
    return &line;
}

/* Appends the line to the events, in one write. */
static inline int potluck_say(struct potluck_object *line, const char *end) {
    const char *path = potluck_variable("POTLUCK_EVENTS");
    int file, is_said;
    potluck_put_bytes(line, end, strlen(end));
    potluck_put_bytes(line, "\n", 1);
    if (path == NULL) return 0;
    if (line->overflowed) return -1;
    file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (file < 0) return -1;
    is_said = write(file, line->room, line->length) == (ssize_t)line->length;
    return close(file) == 0 && is_said ? 0 : -1;
}

/* Says that `done` of `total` is done (0: nobody knows of how many), and with what the program is busy (NULL: nothing to
 * say). Ten a second reach whoever looks, and the last one always. */
static inline void potluck_progress(unsigned long long done, unsigned long long total, const char *message) {
    char numbers[80];
    struct potluck_object *line;
    if (potluck_variable("POTLUCK_EVENTS") == NULL) return;
    line = potluck_line("{\"progress\":{\"done\":");
    snprintf(numbers, sizeof numbers, total ? "%llu,\"total\":%llu" : "%llu", done, total);
    potluck_put_bytes(line, numbers, strlen(numbers));
    if (message != NULL) {
        potluck_put_bytes(line, ",\"message\":", 11);
        potluck_put_quoted(line, message, POTLUCK_MESSAGE_LEN_MAX);
    }
    (void)potluck_say(line, "}}"); /* progress is a courtesy */
}

/* For the head of a loop: says how far it is, at most once a second, and always when `done` is `total`. A head that does not come
 * to that is followed by `potluck_progress`. */
static inline void potluck_track(unsigned long long done, unsigned long long total, const char *message) {
    static time_t said;
    time_t now = time(NULL);
    if (now == said && done != total) return;
    said = now;
    potluck_progress(done, total, message);
}

/* Notes a sentence, with `fields`: the text of a JSON object (see `struct potluck_object`), or NULL. */
static inline void potluck_log(enum potluck_level level, const char *message, const char *fields) {
    static const char *const names[] = {"error", "warn", "info", "debug"};
    struct potluck_object *line;
    if (potluck_variable("POTLUCK_EVENTS") == NULL) return;
    line = potluck_line("{\"log\":{\"level\":\"");
    potluck_put_bytes(line, names[level], strlen(names[level]));
    potluck_put_bytes(line, "\",\"message\":", 12);
    potluck_put_quoted(line, message, POTLUCK_MESSAGE_LEN_MAX);
    if (fields != NULL && strlen(fields) < POTLUCK_EVENT_LEN_MAX - line->length - 20) {
        potluck_put_bytes(line, ",\"fields\":", 10);
        potluck_put_bytes(line, fields, strlen(fields));
    }
    (void)potluck_say(line, "}}"); /* a log is a courtesy */
}

/* Gives the job's result: the text of any JSON value on one line, less than 64 KiB. The last one counts. NULL, which is what an
 * object that did not fit ends as, is refused. */
static inline int potluck_result(const char *json) {
    struct potluck_object *line;
    if (json == NULL) return -1;
    if (potluck_variable("POTLUCK_EVENTS") == NULL) return 0;
    line = potluck_line("{\"result\":");
    potluck_put_bytes(line, json, strlen(json));
    return potluck_say(line, "}");
}

static inline int potluck_write_file(const char *path, const void *bytes, size_t length) {
    const char *at = (const char *)bytes;
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) return -1;
    while (length > 0) {
        ssize_t written = write(file, at, length);
        if (written <= 0) {
            (void)close(file);
            return -1;
        }
        at += written;
        length -= (size_t)written;
    }
    return close(file);
}

/* Keeps the program's state; what was kept before is forgotten. A retry of this job, or a run on another machine after this
 * one vanished, gets the last one from `potluck_restore`. Once in some seconds is often enough: each travels to the machine the
 * job came from. */
static inline int potluck_checkpoint(const void *state, size_t length) {
    static const char name[] = ".potluck-checkpoint";
    char path[POTLUCK_PATH_LEN_MAX];
    const char *events = potluck_variable("POTLUCK_EVENTS");
    const char *slash;
    size_t folder;
    struct potluck_object *line;
    if (events == NULL) return 0;
    slash = strrchr(events, '/');
    folder = slash == NULL ? 0 : (size_t)(slash - events) + 1;
    if (length > POTLUCK_CHECKPOINT_LEN_MAX || folder + sizeof name > sizeof path) return -1;
    memcpy(path, events, folder);
    memcpy(path + folder, name, sizeof name);
    if (potluck_write_file(path, state, length) != 0) return -1;
    line = potluck_line("{\"checkpoint\":{\"file\":");
    potluck_put_quoted(line, path, (size_t)-1);
    return potluck_say(line, "}}");
}

/* Forgets what was kept: a run after this one starts from the beginning. */
static inline int potluck_forget(void) {
    if (potluck_variable("POTLUCK_EVENTS") == NULL) return 0;
    return potluck_say(potluck_line("{\"checkpoint\":null"), "}");
}

/* What an earlier run of this job kept, into `room`. Returns how many bytes it has, of which no more than `size` are
 * written; 0 when there is none, and `room` is then as it was. */
static inline size_t potluck_restore(void *room, size_t size) {
    const char *path = potluck_variable("POTLUCK_RESTORE");
    size_t length = 0;
    FILE *file;
    if (path == NULL || (file = fopen(path, "rb")) == NULL) return 0;
    length = fread(room, 1, size, file);
    while (getc(file) != EOF) length++;
    (void)fclose(file);
    return length;
}

/* Whether whoever waits for this job wants it to end. A program that has asked once has five seconds to end by itself from then
 * on, and its outputs and result are kept; one that never asked is ended at once. So is one whose machine is taken back: what is to last of it belongs into a checkpoint. It reads a file: ask once for each piece of work. */
static inline int potluck_cancelled(void) {
    const char *path = potluck_variable("POTLUCK_CONTROL");
    char line[64];
    int is_cancelled = 0;
    FILE *file;
    if (path == NULL || (file = fopen(path, "r")) == NULL) return 0;
    while (!is_cancelled && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        is_cancelled = strcmp(line, "cancel") == 0;
    }
    (void)fclose(file);
    return is_cancelled;
}

/* In a map: 1, with which of its tasks this is, from 0, and of how many. 0 otherwise. */
static inline int potluck_task(unsigned long long *index, unsigned long long *count) {
    const char *which = potluck_variable("POTLUCK_TASK"), *all = potluck_variable("POTLUCK_TASKS");
    if (which == NULL || all == NULL) return 0;
    *index = strtoull(which, NULL, 10);
    *count = strtoull(all, NULL, 10);
    return 1;
}

#endif
