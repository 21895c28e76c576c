/* A load generator for FTP servers: many anonymous sessions on one epoll loop, in C so that it is not what the figures measure.
 *
 *   load MODE HOST PORT [key=value]...      HOST is an IPv4 literal of the loopback net, nothing else is accepted
 *
 *   idle                log `conns` sessions in and hold them
 *   login               connect, log in, QUIT, again and again on `conns` slots
 *   noop                NOOP, wait for its reply, again
 *   pipe                `depth` NOOPs in one segment, wait for all replies, again
 *   retr stor list      EPSV and the transfer verb on `path`, again; stor appends a number of its own to `path`
 *
 * Keys: conns=N  seconds=S (0: by count)  count=N (transfers in all)  size=BYTES (of a stor; checked for retr when not 0)  path=P
 *       depth=N  sources=N (client addresses 127.0.0.2 upward, so that one address's ports and limits are not the measure)
 *
 * Dialogue with its parent: prints "ready N" when the sessions stand, starts at a line on stdin, prints one line of JSON, keeps its
 * sessions until stdin ends. So the parent can read the server's memory and CPU time while the sessions are there.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load_words.h"
#include "times.h"

enum {
    /* Logins under way at once: below every peer's listen backlog, so that a refused connection is a finding. */
    OPENING_MAX = 64,
    /* One reply line of any peer fits; a longer one is an error. */
    LINE_MAX_BYTES = 1024,
    /* One read of a listing or upload piece: large enough that system calls do not dominate the generator. */
    CHUNK = 1 << 20,
    EVENTS = 256,
    /* No server takes that long for one step of any mode; after it the run ends with what it has. */
    STALL_SECONDS = 60,
};

enum state { CLOSED, GREETING, USER, PASS, TYPE, READY, WAIT_NOOP, WAIT_EPSV, TRANSFER, QUITTING };

/* One session: its control connection, and the data connection of the transfer under way (-1 when there is none). */
struct session {
    int control, data, index;
    enum state state;
    bool accepted;  /* a 1yz reply came */
    bool completed; /* the final reply came */
    bool connected; /* the data connection stands */
    int multiline;  /* code of a reply whose last line is still to come, or 0 */
    int awaited;    /* replies of a pipelined batch still to come */
    long bytes, sequence;
    double asked;   /* when the operation began: what its time counts from */
    double verb;    /* when its transfer's verb was said */
    size_t held;
    char line[LINE_MAX_BYTES];
};

static struct session *sessions;
static int poller, opened, opening, standing;
static long operations, started, errors, entries, total_bytes;
static char *chunk, noops[DEPTH_MAX * 6 + 1];
static bool running;
/* Of whole operations, and from a transfer's verb to its first byte. */
static struct times took, first;

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Only the lowest bit of the pointer tells control from data: sessions are aligned. */
static void watch(struct session *s, int fd, bool data, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)(uintptr_t)s | (data ? 1 : 0)};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

static int dial(const struct session *s, uint16_t port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(s->index % sources))};
    if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0)
        die("bind");
    struct sockaddr_in target = server;
    target.sin_port = htons(port);
    if (connect(fd, (struct sockaddr *)&target, sizeof target) < 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static void drop(struct session *s) {
    if (s->data >= 0)
        close(s->data);
    if (s->control >= 0)
        close(s->control);
    if (s->state != CLOSED && s->state < READY)
        opening--;
    else if (s->state != CLOSED)
        standing--;
    s->control = s->data = -1;
    s->state = CLOSED;
}

/* Counts an error, tells the first few, and gives the session up. */
static void fail(struct session *s, const char *what) {
    if (errors++ < 5)
        fprintf(stderr, "session %d in state %d: %s: %.*s (%s)\n", s->index, (int)s->state, what, (int)s->held, s->line, strerror(errno));
    drop(s);
}

static void open_session(struct session *s) {
    s->data = -1;
    s->held = 0;
    s->multiline = 0;
    s->asked = now();
    s->state = GREETING;
    opening++;
    s->control = dial(s, ntohs(server.sin_port));
    if (s->control < 0) {
        fail(s, "connect");
        return;
    }
    watch(s, s->control, false, EPOLLIN);
}

static void say(struct session *s, const char *text, size_t length) {
    if (send(s->control, text, length, MSG_NOSIGNAL) != (ssize_t)length)
        fail(s, "send");
}

__attribute__((format(printf, 2, 3))) static void command(struct session *s, const char *format, ...) {
    char text[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(s, text, (size_t)length);
}

/* The next operation of a session that waits for one. */
static void begin(struct session *s) {
    if (!running || mode == IDLE || (count && started >= count))
        return;
    started++;
    s->asked = now();
    switch (mode) {
    case NOOP:
        s->state = WAIT_NOOP;
        s->awaited = 1;
        say(s, "NOOP\r\n", 6);
        break;
    case PIPE:
        s->state = WAIT_NOOP;
        s->awaited = depth;
        say(s, noops, (size_t)depth * 6);
        break;
    default:
        s->state = WAIT_EPSV;
        say(s, "EPSV\r\n", 6);
    }
}

static void stand(struct session *s) {
    s->state = READY;
    opening--;
    standing++;
    begin(s);
}

static void succeed(struct session *s) {
    operations++;
    note(&took, now() - s->asked);
}

static void finish_transfer(struct session *s) {
    if (!s->completed || s->data >= 0)
        return;
    if (mode == RETR && size_bytes && s->bytes != size_bytes) {
        fail(s, "bytes are missing");
        return;
    }
    total_bytes += s->bytes;
    succeed(s);
    s->state = READY;
    begin(s);
}

static void begin_transfer(struct session *s) {
    const char *open = strchr(s->line, '(');
    int port = 0;
    if (!open || sscanf(open, "(|||%d|)", &port) != 1) {
        fail(s, "no port in 229");
        return;
    }
    s->data = dial(s, (uint16_t)port);
    if (s->data < 0) {
        fail(s, "data connect");
        return;
    }
    s->accepted = s->completed = s->connected = false;
    s->bytes = 0;
    s->verb = now();
    s->state = TRANSFER;
    /* Uploads wait for writability and for the 1yz; level-triggered reading waits for bytes by itself. */
    watch(s, s->data, true, mode == STOR ? EPOLLOUT | EPOLLET : EPOLLIN);
    if (mode == STOR)
        command(s, "STOR %s-%d-%ld\r\n", path, s->index, s->sequence++);
    else if (mode == LIST)
        command(s, *path ? "LIST %s\r\n" : "LIST\r\n", path);
    else
        command(s, "RETR %s\r\n", path);
}

static void end_data(struct session *s) {
    close(s->data);
    s->data = -1;
    finish_transfer(s);
}

static void push(struct session *s) {
    while (s->connected && s->accepted && s->data >= 0) {
        long left = size_bytes - s->bytes;
        if (left == 0) {
            end_data(s);
            return;
        }
        ssize_t sent = send(s->data, chunk, (size_t)(left < CHUNK ? left : CHUNK), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN)
                fail(s, "data send");
            return;
        }
        s->bytes += sent;
    }
}

static void pull(struct session *s) {
    /* Files are thrown away inside the kernel: a copy to here would be the generator's cost in the server's figure. */
    ssize_t got = recv(s->data, chunk, CHUNK, mode == RETR ? MSG_TRUNC : 0);
    if (got > 0) {
        if (!s->bytes)
            note(&first, now() - s->verb);
        s->bytes += got;
        if (mode == LIST)
            for (const char *p = chunk; (p = memchr(p, '\n', (size_t)(chunk + got - p))); p++)
                entries++;
    } else if (got == 0) {
        end_data(s);
    } else if (errno != EAGAIN) {
        fail(s, "data receive");
    }
}

static void logged_in(struct session *s) {
    if (mode != LOGIN) {
        s->state = TYPE;
        say(s, "TYPE I\r\n", 8);
        return;
    }
    if (running)
        succeed(s);
    opening--;
    standing++;
    s->state = QUITTING;
    say(s, "QUIT\r\n", 6);
}

/* One whole reply has come: `code` of its last line. */
static void reply(struct session *s, int code) {
    switch (s->state) {
    case GREETING:
        if (code != 220)
            break;
        s->state = USER;
        say(s, "USER anonymous\r\n", 16);
        return;
    case USER:
        if (code == 331) {
            s->state = PASS;
            say(s, "PASS load@\r\n", 12);
            return;
        }
        /* pure-ftpd lets anonymous in without a password. */
        if (code != 230)
            break;
        logged_in(s);
        return;
    case PASS:
        if (code != 230)
            break;
        logged_in(s);
        return;
    case TYPE:
        if (code != 200)
            break;
        stand(s);
        return;
    case WAIT_NOOP:
        if (code != 200)
            break;
        if (--s->awaited)
            operations++;
        else {
            succeed(s);
            s->state = READY;
            begin(s);
        }
        return;
    case WAIT_EPSV:
        if (code != 229)
            break;
        begin_transfer(s);
        return;
    case TRANSFER:
        if (code / 100 == 1) {
            s->accepted = true;
            if (mode == STOR)
                push(s);
            return;
        }
        if (code != 226 && code != 250)
            break;
        s->completed = true;
        finish_transfer(s);
        return;
    case QUITTING:
        drop(s);
        if (running)
            open_session(s);
        return;
    default:
        break;
    }
    fail(s, "unexpected reply");
}

static void line(struct session *s) {
    if (s->held < 4 || s->line[0] < '1' || s->line[0] > '5') {
        if (!s->multiline)
            fail(s, "no reply line");
        return;
    }
    int code = atoi(s->line);
    if (s->line[3] == '-' && !s->multiline) {
        s->multiline = code;
    } else if (s->line[3] != '-' && (!s->multiline || s->multiline == code)) {
        s->multiline = 0;
        reply(s, code);
    }
}

static void hear(struct session *s) {
    char input[16384];
    ssize_t got = recv(s->control, input, sizeof input, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN)
            return;
        if (s->state == QUITTING)
            reply(s, 221);
        else
            fail(s, "control connection ended");
        return;
    }
    int control = s->control;
    for (ssize_t i = 0; i < got && s->control == control && s->state != CLOSED; i++) {
        if (s->held == sizeof s->line - 1) {
            fail(s, "line too long");
            return;
        }
        s->line[s->held++] = input[i];
        if (input[i] == '\n') {
            s->line[s->held] = 0;
            line(s);
            s->held = 0;
        }
    }
}

static void serve(const struct epoll_event *event) {
    struct session *s = (struct session *)(uintptr_t)(event->data.u64 & ~(uint64_t)1);
    if (s->state == CLOSED)
        return;
    if (!(event->data.u64 & 1)) {
        hear(s);
    } else if (s->data < 0) {
        return;
    } else if (mode == STOR) {
        if (event->events & EPOLLOUT)
            s->connected = true;
        push(s);
    } else {
        pull(s);
    }
}

/* Serves until `done` says so; false when nothing moved for STALL_SECONDS. */
static bool loop(bool (*done)(void), double deadline) {
    struct epoll_event events[EVENTS];
    double moved = now();
    while (!done()) {
        double at = now();
        if (deadline > 0 && at >= deadline)
            return true;
        if (at - moved > STALL_SECONDS)
            return false;
        while (!running && opened < conns && opening < OPENING_MAX && mode != LOGIN)
            open_session(&sessions[opened++]);
        int wait = deadline > 0 ? (int)((deadline - at) * 1000) + 1 : 1000;
        int ready = epoll_wait(poller, events, EVENTS, wait < 1000 ? wait : 1000);
        if (ready < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < ready; i++)
            serve(&events[i]);
        if (ready > 0)
            moved = now();
    }
    return true;
}

static bool all_stand(void) { return mode == LOGIN || (opened == conns && opening == 0); }

static bool all_done(void) { return (count && operations >= count) || (mode != LOGIN && standing == 0) || (mode == LOGIN && errors > conns); }

static bool never(void) { return false; }

static void prepare(void) {
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(EPOLL_CLOEXEC);
    sessions = calloc((size_t)conns, sizeof *sessions);
    chunk = malloc(CHUNK);
    if (poller < 0 || !sessions || !chunk)
        die("prepare");
    for (int i = 0; i < CHUNK; i++)
        chunk[i] = (char)(i * 7 + i / 251);
    for (int i = 0; i < depth; i++)
        memcpy(noops + i * 6, "NOOP\r\n", 6);
    for (int i = 0; i < conns; i++)
        sessions[i] = (struct session){.index = i, .control = -1, .data = -1};
}

int main(int argc, char **argv) {
    char word[64];
    configure(argc, argv);
    prepare();
    bool whole = loop(all_stand, 0);
    printf("ready %d\n", standing);
    fflush(stdout);
    if (!fgets(word, sizeof word, stdin))
        return 0;
    running = true;
    double begun = now(), cpu = own_cpu();
    for (int i = 0; i < conns; i++) {
        if (mode == LOGIN)
            open_session(&sessions[i]);
        else if (sessions[i].state == READY)
            begin(&sessions[i]);
    }
    if (mode != IDLE)
        whole = loop(count ? all_done : never, seconds > 0 ? begun + seconds : 0) && whole;
    running = false;
    printf("{\"operations\":%ld,\"seconds\":%.6f,\"errors\":%ld,\"bytes\":%ld,\"entries\":%ld,\"client_cpu\":%.3f,\"stalled\":%s,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"first_byte_p50_ms\":%.3f}\n",
           operations, now() - begun, errors, total_bytes, entries, own_cpu() - cpu, whole ? "false" : "true", quantile(&took, 0.5),
           quantile(&took, 0.99), quantile(&first, 0.5));
    fflush(stdout);
    while (fgets(word, sizeof word, stdin))
        ;
    return 0;
}
