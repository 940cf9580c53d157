/* A peer that is libsrt: one plain link or a bonded group, calling or listening, sending or receiving numbered payloads,
 * or sending a file.
 * It prints READY when it listens, CONNECTED when the first member is there, MEMBER lines when a member changes its
 * state, and at its end one line of JSON. SIGTERM and SIGINT end it in order. See usage() for the arguments. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <srt.h>

#include "numbered.h"

enum { MOST_ENDPOINTS = 8, MOST_KNOWN = 64, POLL_MS = 100, REJOIN_MS = 500 };

struct endpoint {
    struct sockaddr_storage source, target;  /* no family: none given */
    int weight;
};

static struct {
    int calls, sends, grouped, rejoins;
    SRT_GROUP_TYPE type;
    const char *passphrase, *stream_id, *file;
    int key_bytes, latency_ms, buffer_bytes, refresh_packets, overhead_percent;
    double bits_per_second;  /* 0: as fast as it goes */
    double seconds;
    uint32_t stream;
    struct endpoint endpoints[MOST_ENDPOINTS];
    int count;
} set = {.grouped = 1, .type = SRT_GTYPE_BROADCAST, .key_bytes = 16, .latency_ms = 120, .overhead_percent = 25,
         .bits_per_second = 6e6, .seconds = 10, .stream = 1};

static volatile sig_atomic_t told_to_end;

static void end_it(int signal_number) { told_to_end = signal_number; }

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void sleep_until_us(uint64_t when) {
    struct timespec until = {.tv_sec = (time_t)(when / 1000000u), .tv_nsec = (long)(when % 1000000u) * 1000};
    while (!told_to_end && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
}

static void die(const char *what) {
    fprintf(stderr, "srt_group_peer: %s: %s\n", what, srt_getlasterror_str());
    exit(1);
}

static void die_refused(SRTSOCKET socket, const char *what) {
    fprintf(stderr, "srt_group_peer: refused with %d\n", srt_getrejectreason(socket));
    die(what);
}

static void usage(void) {
    fputs("srt_group_peer call|listen send|receive [options] ENDPOINT...\n"
          "  ENDPOINT               IP:PORT, [IPv6]:PORT; for a caller also [LOCAL_IP@]IP:PORT[,WEIGHT]\n"
          "  --type none|broadcast|backup   one plain link, or the kind of group (broadcast)\n"
          "  --rate BITS            per second of payload; 0 is as fast as it goes (6000000)\n"
          "  --seconds S            how long a sender sends, or a receiver waits for the next payload (10)\n"
          "  --latency MS           (120)\n"
          "  --passphrase WORDS     encrypts; --key-bytes 16|24|32 (16); --refresh PACKETS between keys\n"
          "  --stream-id TEXT       of a caller\n"
          "  --stream N             written into each payload (1)\n"
          "  --file FILE            is what a sender sends, to its end, in the place of such payloads\n"
          "  --buffer BYTES         of libsrt's and the kernel's buffers\n"
          "  --overhead PERCENT     of the rate, for retransmissions (25)\n"
          "  --rejoin               a caller connects lost members again, which libsrt leaves to it\n", stderr);
    exit(2);
}

static void parse_address(char *text, struct sockaddr_storage *address, int with_port) {
    char *port = NULL;
    if (with_port) {
        port = strrchr(text, ':');
        if (port == NULL) usage();
        *port++ = 0;
    }
    uint16_t number = htons((uint16_t)(port != NULL ? atoi(port) : 0));
    size_t length = strlen(text);
    if (length > 1 && text[0] == '[' && text[length - 1] == ']') text[length - 1] = 0, text++;
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = number;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = number;
    } else {
        usage();
    }
}

/* libsrt takes no more than an address of its family is long. */
static int address_length(const struct sockaddr_storage *address) {
    return address->ss_family == AF_INET6 ? (int)sizeof(struct sockaddr_in6) : (int)sizeof(struct sockaddr_in);
}

static void parse_endpoint(char *text) {
    if (set.count == MOST_ENDPOINTS) usage();
    struct endpoint *endpoint = &set.endpoints[set.count++];
    char *weight = strchr(text, ',');
    if (weight != NULL) *weight++ = 0;
    endpoint->weight = weight != NULL ? atoi(weight) : 0;
    char *target = strchr(text, '@');
    if (target != NULL) {
        *target++ = 0;
        parse_address(text, &endpoint->source, 0);
    }
    parse_address(target != NULL ? target : text, &endpoint->target, 1);
}

static void parse(int count, char **words) {
    static const struct option options[] = {
        {"type", 1, 0, 't'}, {"rate", 1, 0, 'r'}, {"seconds", 1, 0, 's'}, {"latency", 1, 0, 'l'},
        {"passphrase", 1, 0, 'p'}, {"key-bytes", 1, 0, 'k'}, {"refresh", 1, 0, 'f'}, {"stream-id", 1, 0, 'i'},
        {"stream", 1, 0, 'n'}, {"file", 1, 0, 'F'}, {"buffer", 1, 0, 'b'}, {"overhead", 1, 0, 'o'}, {"rejoin", 0, 0, 'j'}, {0}};
    for (int option; (option = getopt_long(count, words, "", options, NULL)) != -1;) switch (option) {
        case 't':
            if (strcmp(optarg, "none") == 0) set.grouped = 0;
            else if (strcmp(optarg, "broadcast") == 0) set.type = SRT_GTYPE_BROADCAST;
            else if (strcmp(optarg, "backup") == 0) set.type = SRT_GTYPE_BACKUP;
            else usage();
            break;
        case 'r': set.bits_per_second = atof(optarg); break;
        case 's': set.seconds = atof(optarg); break;
        case 'l': set.latency_ms = atoi(optarg); break;
        case 'p': set.passphrase = optarg; break;
        case 'k': set.key_bytes = atoi(optarg); break;
        case 'f': set.refresh_packets = atoi(optarg); break;
        case 'i': set.stream_id = optarg; break;
        case 'n': set.stream = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 'F': set.file = optarg; break;
        case 'b': set.buffer_bytes = atoi(optarg); break;
        case 'o': set.overhead_percent = atoi(optarg); break;
        case 'j': set.rejoins = 1; break;
        default: usage();
        }
    if (count - optind < 3) usage();
    set.calls = strcmp(words[optind], "call") == 0;
    set.sends = strcmp(words[optind + 1], "send") == 0;
    for (int at = optind + 2; at < count; at++) parse_endpoint(words[at]);
}

static void option(SRTSOCKET socket, SRT_SOCKOPT name, const void *value, int length, const char *what) {
    if (srt_setsockflag(socket, name, value, length) == SRT_ERROR) die(what);
}

static void number_option(SRTSOCKET socket, SRT_SOCKOPT name, int value, const char *what) {
    option(socket, name, &value, sizeof value, what);
}

static void configure(SRTSOCKET socket) {
    int yes = 1, wait_ms = POLL_MS;
    number_option(socket, SRTO_LATENCY, set.latency_ms, "latency");
    option(socket, SRTO_RCVTIMEO, &wait_ms, sizeof wait_ms, "receive timeout");
    if (set.passphrase != NULL) {
        option(socket, SRTO_PASSPHRASE, set.passphrase, (int)strlen(set.passphrase), "passphrase");
        number_option(socket, SRTO_PBKEYLEN, set.key_bytes, "key length");
        if (set.refresh_packets > 0) {
            number_option(socket, SRTO_KMREFRESHRATE, set.refresh_packets, "key refresh");
            number_option(socket, SRTO_KMPREANNOUNCE, set.refresh_packets / 4, "key announcement");
        }
    }
    if (set.buffer_bytes > 0) {
        number_option(socket, SRTO_FC, set.buffer_bytes / 1000 + 100, "flow window");
        number_option(socket, SRTO_SNDBUF, set.buffer_bytes, "send buffer");
        number_option(socket, SRTO_RCVBUF, set.buffer_bytes, "receive buffer");
        number_option(socket, SRTO_UDP_SNDBUF, set.buffer_bytes, "kernel send buffer");
        number_option(socket, SRTO_UDP_RCVBUF, set.buffer_bytes, "kernel receive buffer");
    }
    number_option(socket, SRTO_OHEADBW, set.overhead_percent, "overhead");
    if (set.calls && set.stream_id != NULL)
        option(socket, SRTO_STREAMID, set.stream_id, (int)strlen(set.stream_id), "stream id");
    if (!set.calls && set.grouped) option(socket, SRTO_GROUPCONNECT, &yes, sizeof yes, "group connection");
}

static SRT_SOCKGROUPCONFIG member(int index) {
    struct endpoint *endpoint = &set.endpoints[index];
    const struct sockaddr *source = endpoint->source.ss_family ? (struct sockaddr *)&endpoint->source : NULL;
    SRT_SOCKGROUPCONFIG config =
        srt_prepare_endpoint(source, (struct sockaddr *)&endpoint->target, address_length(&endpoint->target));
    config.weight = (uint16_t)endpoint->weight;
    config.token = index + 1;
    return config;
}

static SRTSOCKET call(void) {
    if (!set.grouped) {
        SRTSOCKET socket = srt_create_socket();
        configure(socket);
        struct endpoint *to = &set.endpoints[0];
        if (to->source.ss_family &&
            srt_bind(socket, (struct sockaddr *)&to->source, address_length(&to->source)) == SRT_ERROR)
            die("bind");
        if (srt_connect(socket, (struct sockaddr *)&to->target, address_length(&to->target)) == SRT_ERROR)
            die_refused(socket, "connect");
        return socket;
    }
    SRTSOCKET group = srt_create_group(set.type);
    if (group == SRT_INVALID_SOCK) die("create a group (is this libsrt built with bonding?)");
    configure(group);
    SRT_SOCKGROUPCONFIG members[MOST_ENDPOINTS];
    for (int at = 0; at < set.count; at++) members[at] = member(at);
    if (srt_connect_group(group, members, set.count) == SRT_ERROR) die("connect the group");
    return group;
}

static SRTSOCKET answer(void) {
    SRTSOCKET listeners[MOST_ENDPOINTS];
    for (int at = 0; at < set.count; at++) {
        listeners[at] = srt_create_socket();
        configure(listeners[at]);
        struct sockaddr *on = (struct sockaddr *)&set.endpoints[at].target;
        if (on->sa_family == AF_INET6) number_option(listeners[at], SRTO_IPV6ONLY, 1, "IPv6 only");
        if (srt_bind(listeners[at], on, address_length(&set.endpoints[at].target)) == SRT_ERROR) die("bind");
        if (srt_listen(listeners[at], 8) == SRT_ERROR) die("listen");
    }
    puts("READY");
    while (!told_to_end) {
        SRTSOCKET accepted = srt_accept_bond(listeners, set.count, POLL_MS);
        if (accepted == SRT_INVALID_SOCK) continue;
        int wait_ms = POLL_MS;
        option(accepted, SRTO_RCVTIMEO, &wait_ms, sizeof wait_ms, "receive timeout");
        return accepted;
    }
    exit(0);
}

/* The members of a group, at most MOST_ENDPOINTS; none of a plain socket. */
static size_t members_of(SRTSOCKET socket, SRT_SOCKGROUPDATA *members) {
    size_t count = MOST_ENDPOINTS;
    if ((socket & SRTGROUP_MASK) == 0 || srt_group_data(socket, members, &count) == SRT_ERROR) return 0;
    return count;
}

static int is_there(const SRT_SOCKGROUPDATA *member) {
    return member->sockstate <= SRTS_CONNECTED && member->memberstate != SRT_GST_BROKEN;
}

static void *rejoin(void *argument) {
    SRTSOCKET group = *(SRTSOCKET *)argument;
    while (!told_to_end) {
        sleep_until_us(now_us() + REJOIN_MS * 1000);
        SRT_SOCKGROUPDATA members[MOST_ENDPOINTS];
        size_t count = members_of(group, members);
        for (int at = 0; at < set.count && !told_to_end; at++) {
            int found = 0;
            for (size_t other = 0; other < count; other++)
                found |= members[other].token == at + 1 && is_there(&members[other]);
            if (found) continue;
            SRT_SOCKGROUPCONFIG config = member(at);
            int connected = srt_connect_group(group, &config, 1) != SRT_ERROR;
            printf("REJOIN %d %s at_us %" PRIu64 "\n", at + 1, connected ? "connected" : "failed", now_us());
        }
    }
    return NULL;
}

/* What was last seen of each socket that carried something; a broken one no longer answers. */
static struct {
    SRTSOCKET id;
    int state, weight;
    SRT_TRACEBSTATS seen;
} known[MOST_KNOWN];
static size_t known_count;

static size_t place_of(SRTSOCKET id) {
    size_t place = 0;
    while (place < known_count && known[place].id != id) place++;
    if (place == known_count && known_count < MOST_KNOWN) {
        known[place].id = id;
        known[place].state = -1;
        known_count++;
    }
    return place;
}

static void look_at(SRTSOCKET id, size_t place) {
    SRT_TRACEBSTATS of;
    if (srt_bistats(id, &of, 0, 1) != SRT_ERROR) known[place].seen = of;
}

/* Takes note of all counters and tells which members changed their state. */
static void look(SRTSOCKET socket) {
    static const char *const names[] = {"pending", "idle", "running", "broken"};
    SRT_SOCKGROUPDATA members[MOST_ENDPOINTS];
    size_t count = members_of(socket, members);
    if (count == 0) {
        size_t place = place_of(socket);
        if (place < MOST_KNOWN) look_at(socket, place);
    }
    for (size_t at = 0; at < count; at++) {
        size_t place = place_of(members[at].id);
        if (place == MOST_KNOWN) continue;
        int state = is_there(&members[at]) ? (int)members[at].memberstate : SRT_GST_BROKEN;
        if (state != SRT_GST_BROKEN) look_at(members[at].id, place);
        known[place].weight = members[at].weight;
        if (known[place].state == state) continue;
        known[place].state = state;
        printf("MEMBER %d weight %d %s at_us %" PRIu64 "\n", members[at].token, members[at].weight, names[state], now_us());
    }
}

static void print_statistics(void) {
    printf(",\"members\":[");
    for (size_t at = 0; at < known_count; at++) {
        const SRT_TRACEBSTATS *of = &known[at].seen;
        printf("%s{\"weight\":%d,\"sent\":%" PRId64 ",\"unique_sent\":%" PRId64 ",\"retransmitted\":%d,\"send_dropped\":%d,"
               "\"received\":%" PRId64 ",\"retransmitted_received\":%d,\"receive_lost\":%d,\"receive_dropped\":%d,"
               "\"undecrypted\":%d,\"naks_sent\":%d,\"naks_received\":%d,\"acks_sent\":%d,\"belated\":%" PRId64
               ",\"rtt_ms\":%.2f}",
               at == 0 ? "" : ",", known[at].weight, of->pktSentTotal, of->pktSentUniqueTotal, of->pktRetransTotal,
               of->pktSndDropTotal, of->pktRecvTotal, of->pktRcvRetrans, of->pktRcvLossTotal, of->pktRcvDropTotal,
               of->pktRcvUndecryptTotal, of->pktSentNAKTotal, of->pktRecvNAKTotal, of->pktSentACKTotal, of->pktRcvBelated,
               of->msRTT);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double user = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
    double kernel = (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
    printf("],\"cpu_s\":%.4f,\"cpu_user_s\":%.4f,\"cpu_kernel_s\":%.4f,\"max_rss_kib\":%ld", user + kernel, user, kernel,
           usage.ru_maxrss);
}

static void send_all(SRTSOCKET socket) {
    uint8_t payload[PAYLOAD];
    uint64_t begin = now_us(), end = begin + (uint64_t)(set.seconds * 1e6), number = 0, refused = 0, told = begin;
    double every_us = set.bits_per_second > 0 ? PAYLOAD * 8e6 / set.bits_per_second : 0;
    FILE *file = set.file != NULL ? fopen(set.file, "rb") : NULL;
    size_t length = PAYLOAD, held = 0;
    if (set.file != NULL && file == NULL) die(set.file);
    while (!told_to_end) {
        uint64_t now = now_us();
        if (file == NULL && now >= end) break;
        uint64_t due = begin + (uint64_t)((double)number * every_us);
        if (due > now) {
            /* Above some thousand payloads a second, one wake-up serves several. */
            sleep_until_us(due > now + 500 ? due : now + 500);
            continue;
        }
        if (file == NULL) payload_write(payload, set.stream, number, now);
        else if (held == 0 && (held = length = fread(payload, 1, PAYLOAD, file)) == 0) break;
        if (srt_sendmsg2(socket, (char *)payload, (int)length, NULL) == SRT_ERROR) {
            if (srt_getlasterror(NULL) != SRT_EASYNCSND) {
                fprintf(stderr, "srt_group_peer: send: %s\n", srt_getlasterror_str());
                break;
            }
            refused++;
            continue;
        }
        held = 0;
        number++;
        if (now - told > POLL_MS * 1000) look(socket), told = now;
    }
    double took = (double)(now_us() - begin) / 1e6;
    /* What is under way may still need its retransmissions. */
    sleep_until_us(now_us() + (uint64_t)set.latency_ms * 1000 + 500000);
    look(socket);
    printf("{\"role\":\"send\",\"sent\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"seconds\":%.3f", number, refused, took);
    print_statistics();
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void receive_all(SRTSOCKET socket) {
    enum { MOST_TIMES = 1 << 20 };
    uint8_t payload[2048];
    uint8_t *seen = NULL;
    uint32_t *times = malloc(MOST_TIMES * sizeof *times);
    size_t seen_bytes = 0, time_count = 0;
    uint64_t unique = 0, duplicates = 0, disordered = 0, corrupt = 0, first = UINT64_MAX, highest = 0, number, sent_us;
    uint64_t begin = 0, last = now_us(), gap = 0, gap_end = 0, told = last;
    while (!told_to_end) {
        int length = srt_recvmsg2(socket, (char *)payload, sizeof payload, NULL);
        uint64_t now = now_us();
        if (now - told > POLL_MS * 1000) look(socket), told = now;
        if (length == SRT_ERROR) {
            int why = srt_getlasterror(NULL);
            if (why == SRT_ETIMEOUT || why == SRT_EASYNCRCV) {
                if ((double)(now - last) / 1e6 < set.seconds) continue;
            }
            break;
        }
        if (!payload_read(payload, (size_t)length, &number, &sent_us) || number > UINT32_MAX) {
            corrupt++;
            continue;
        }
        if (begin == 0) begin = now, last = now, first = number;
        if (now - last > gap) gap = now - last, gap_end = now;
        last = now;
        if (number / 8 >= seen_bytes) {
            size_t bytes = (size_t)number / 4 + 4096;
            seen = realloc(seen, bytes);
            if (seen == NULL) exit(1);
            memset(seen + seen_bytes, 0, bytes - seen_bytes);
            seen_bytes = bytes;
        }
        uint8_t bit = (uint8_t)(1u << (number & 7));
        if (seen[number / 8] & bit) duplicates++;
        else unique++;
        seen[number / 8] |= bit;
        if (unique + duplicates > 1 && number < highest) disordered++;
        if (number > highest) highest = number;
        if (times != NULL && time_count < MOST_TIMES) times[time_count++] = (uint32_t)(now - sent_us);
    }
    printf("{\"role\":\"receive\",\"received\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"duplicates\":%" PRIu64
           ",\"out_of_order\":%" PRIu64 ",\"corrupt\":%" PRIu64 ",\"first\":%" PRId64 ",\"highest\":%" PRIu64
           ",\"seconds\":%.3f,\"longest_gap_us\":%" PRIu64 ",\"longest_gap_end_us\":%" PRIu64,
           unique, unique == 0 ? 0 : highest + 1 - unique, duplicates, disordered, corrupt,
           first == UINT64_MAX ? -1 : (int64_t)first, highest, (double)(last - begin) / 1e6, gap, gap_end);
    if (time_count > 0) {
        qsort(times, time_count, sizeof *times, compare);
        printf(",\"delay_us\":{\"least\":%u,\"median\":%u,\"p99\":%u,\"most\":%u}", times[0], times[time_count / 2],
               times[time_count - 1 - time_count / 100], times[time_count - 1]);
    }
    print_statistics();
}

int main(int count, char **words) {
    parse(count, words);
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct sigaction action = {.sa_handler = end_it};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    crc_prepare();
    srt_startup();
    srt_setloglevel(2 /* LOG_CRIT: libsrt tells of each lost member as an error */);
    SRTSOCKET socket = set.calls ? call() : answer();
    printf("CONNECTED %s at_us %" PRIu64 "\n", (socket & SRTGROUP_MASK) != 0 ? "group" : "plain", now_us());
    pthread_t rejoiner;
    int rejoining = set.calls && set.grouped && set.rejoins && pthread_create(&rejoiner, NULL, rejoin, &socket) == 0;
    if (set.sends) send_all(socket);
    else receive_all(socket);
    puts("}");
    told_to_end = SIGTERM;
    srt_close(socket);
    if (rejoining) pthread_join(rejoiner, NULL);
    /* libsrt's own end may take seconds, and nothing is left to do. */
    fflush(stdout);
    _exit(0);
}
