/*
 * What the server is told at start (constant), and what the control path may
 * switch while it runs (atomics: each is one word that stands for itself).
 */
#ifndef SRV_OPTIONS_H
#define SRV_OPTIONS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct srv_switches {
    _Atomic uint64_t copy_size_limit;    /* bytes CopyObject takes; 0: the defaults of copy.c */
    _Atomic uint64_t short_pages;        /* most entries a listing page has; 0: what was asked */
    atomic_bool copied_part_without_crc; /* parts made by UploadPartCopy have no CRC-64 */
    _Atomic uint64_t bandwidth_up;       /* bytes/s the whole server takes in; 0: no limit */
    _Atomic uint64_t bandwidth_down;     /* bytes/s the whole server gives out; 0: no limit */
    _Atomic uint64_t latency_ms;         /* added to each request before it is looked at */
    _Atomic uint64_t qps;                /* requests/s before 503; 0: no limit */
    _Atomic uint64_t restore_ms;         /* how long RestoreObject takes */
    atomic_bool no_md5; /* ETags are made from the CRC-64: benchmarks that MD5 would bound */
};

#endif
