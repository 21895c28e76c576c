/* Clocks of load.c, and percentiles of spans of time in constant memory: 64 buckets to an octave of microseconds, so a figure is true to
 * 1.6 per cent. */
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

enum { FINE = 64, FINE_BITS = 6, OCTAVES = 34 };

struct times {
    long counts[OCTAVES * FINE], all;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of this process, seconds. */
static double own_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void note(struct times *times, double seconds) {
    uint64_t micros = seconds > 0 ? (uint64_t)(seconds * 1e6) : 0;
    int octave = 0;
    while (micros >> octave >= 2 * FINE && octave < OCTAVES - 2)
        octave++;
    /* Below two octaves every microsecond has a bucket; above, the highest bits choose one. */
    uint64_t at = micros < 2 * FINE ? micros : (uint64_t)octave * FINE + (micros >> octave);
    times->counts[at < OCTAVES * FINE ? at : OCTAVES * FINE - 1]++;
    times->all++;
}

/* Milliseconds that a share of the spans did not take longer than. */
static double quantile(const struct times *times, double share) {
    long wanted = (long)(share * (double)times->all + 0.5), seen = 0;
    for (int at = 0; at < OCTAVES * FINE; at++) {
        seen += times->counts[at];
        if (seen >= wanted && seen > 0) {
            int octave = at < 2 * FINE ? 0 : at / FINE - 1;
            uint64_t low = at < 2 * FINE ? (uint64_t)at : (uint64_t)(at - octave * FINE) << octave;
            return (double)low / 1e3;
        }
    }
    return 0;
}
