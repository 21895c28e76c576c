/* The command line of load.c: what a run does. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 512, SOURCES_MAX = 250 };

enum mode { IDLE, LOGIN, NOOP, PIPE, RETR, STOR, LIST };

static const char *mode_names[] = {"idle", "login", "noop", "pipe", "retr", "stor", "list"};
static enum mode mode;
static struct sockaddr_in server;
static int conns = 1, depth = 64, sources = 1;
static double seconds;
static long count, size_bytes;
static const char *path = "";

static void set(char *argument) {
    static const struct {
        const char *key;
        int *whole;
        long *large;
    } numbers[] = {{"conns", &conns, 0}, {"depth", &depth, 0}, {"sources", &sources, 0}, {"count", 0, &count}, {"size", 0, &size_bytes}};
    char *value = strchr(argument, '=');
    if (!value)
        exit(2);
    *value++ = 0;
    if (!strcmp(argument, "path")) {
        path = value;
    } else if (!strcmp(argument, "seconds")) {
        seconds = atof(value);
    } else {
        size_t i = 0;
        while (i < sizeof numbers / sizeof *numbers && strcmp(argument, numbers[i].key))
            i++;
        if (i == sizeof numbers / sizeof *numbers)
            exit(2);
        if (numbers[i].whole)
            *numbers[i].whole = atoi(value);
        else
            *numbers[i].large = atol(value);
    }
    depth = depth < DEPTH_MAX ? depth : DEPTH_MAX;
    sources = sources < SOURCES_MAX ? sources : SOURCES_MAX;
}

static void configure(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: load MODE HOST PORT [key=value]...\n");
        exit(2);
    }
    for (mode = IDLE; mode <= LIST && strcmp(argv[1], mode_names[mode]); mode++)
        ;
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(argv[3]));
    if (mode > LIST || inet_pton(AF_INET, argv[2], &server.sin_addr) != 1 || ntohl(server.sin_addr.s_addr) >> 24 != 127) {
        fprintf(stderr, "load: unknown mode, or an address outside 127.0.0.0/8\n");
        exit(2);
    }
    for (int i = 4; i < argc; i++)
        set(argv[i]);
}
