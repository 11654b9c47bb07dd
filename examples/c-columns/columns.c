/* Picks columns of a CSV table: their names come from a file, the table from standard input, and the aligned
 * result goes to a file.
 *
 *     cargo xtask guests
 *     potluck run -f examples/c-columns/keep.txt -o out \
 *         target/guests/c-columns.wasm keep.txt table.txt < examples/sales/sales.csv
 *
 * Exit codes: 0 when all went well, 2 when the command line, a file or the table is wrong. The table is plain: no
 * quotes, no commas inside a field, at most LINE_MAX bytes a line and FIELDS_MAX fields.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LINE_MAX = 4096, FIELDS_MAX = 64, WIDTH = 12 };

/* Cuts a line at its commas, in place. Returns the number of fields, or -1 when there are too many. */
static int split(char *line, char *fields[FIELDS_MAX]) {
    int count = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *field = line;; field++) {
        if (count == FIELDS_MAX) return -1;
        fields[count++] = field;
        field = strchr(field, ',');
        if (!field) return count;
        *field = '\0';
    }
}

/* Finds the place of each wanted column in the table's header. Returns how many are wanted, or -1. */
static int choose(const char *path, char *header[], int header_len, int chosen[FIELDS_MAX]) {
    char name[LINE_MAX];
    int count = 0;
    FILE *keep = fopen(path, "r");
    if (!keep) {
        fprintf(stderr, "c-columns: cannot read %s: %s\n", path, strerror(errno));
        return -1;
    }
    while (fgets(name, sizeof name, keep)) {
        int place = 0;
        name[strcspn(name, "\r\n")] = '\0';
        if (!name[0]) continue;
        while (place < header_len && strcmp(header[place], name) != 0) place++;
        if (place == header_len || count == FIELDS_MAX) {
            fprintf(stderr, "c-columns: the table has no column %s\n", name);
            fclose(keep);
            return -1;
        }
        chosen[count++] = place;
    }
    fclose(keep);
    return count;
}

static void print_row(FILE *out, char *fields[], int fields_len, const int chosen[], int chosen_len) {
    for (int i = 0; i < chosen_len; i++) {
        const char *text = chosen[i] < fields_len ? fields[chosen[i]] : "";
        if (i + 1 < chosen_len) {
            fprintf(out, "%-*s", WIDTH, text);
        } else {
            fputs(text, out); /* no blanks at the end of a line */
        }
    }
    fputc('\n', out);
}

int main(int argc, char **argv) {
    char line[LINE_MAX];
    char *fields[FIELDS_MAX];
    int chosen[FIELDS_MAX];
    int fields_len, chosen_len, rows = 0;

    if (argc != 3) {
        fprintf(stderr, "usage: c-columns KEEP TABLE < CSV\n");
        return 2;
    }
    if (!fgets(line, sizeof line, stdin) || (fields_len = split(line, fields)) < 0) {
        fprintf(stderr, "c-columns: standard input has no header line\n");
        return 2;
    }
    if ((chosen_len = choose(argv[1], fields, fields_len, chosen)) < 0) return 2;

    FILE *out = fopen(argv[2], "w");
    if (!out) {
        fprintf(stderr, "c-columns: cannot write %s: %s\n", argv[2], strerror(errno));
        return 2;
    }
    print_row(out, fields, fields_len, chosen, chosen_len);
    while (fgets(line, sizeof line, stdin)) {
        if ((fields_len = split(line, fields)) < 0) {
            fprintf(stderr, "c-columns: row %d has too many fields\n", rows + 1);
            return 2;
        }
        print_row(out, fields, fields_len, chosen, chosen_len);
        rows++;
    }
    if (fclose(out) != 0) {
        fprintf(stderr, "c-columns: cannot write %s: %s\n", argv[2], strerror(errno));
        return 2;
    }
    printf("%d rows, %d columns\n", rows, chosen_len);
    return 0;
}
