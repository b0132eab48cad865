/* prom: a strict reader of the text format of Prometheus (version 0.0.4). What is wrong with a text
 * ends the test. */
#pragma once

#include "it/it.h"

enum { PROM_SAMPLES = 8000, PROM_FAMILIES = 400 };
struct prom_family {
    const char *name, *type;
    unsigned samples;
};
struct prom_sample {
    const char *name;   /* of the sample, with _bucket and the like */
    const char *labels; /* as they stand, with the braces; "" */
    double value;
    const struct prom_family *family;
};
struct prom {
    struct prom_family family[PROM_FAMILIES];
    unsigned families;
    struct prom_sample sample[PROM_SAMPLES];
    unsigned samples;
};
/* The text is the caller's, and must outlive it. */
void prom_read(struct prom *m, const char *text);
const struct prom_family *prom_family(const struct prom *m, const char *name);
/* labels "" or as they stand: "{queue=\"a\"}". NAN: there is no such series. */
double prom_value(const struct prom *m, const char *name, const char *labels);
/* Each counter, and each part of a histogram, of the first is in the second and no less. */
void prom_no_less(const struct prom *first, const struct prom *second);
