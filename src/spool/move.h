/*
 * Moves: an object, or a directory with all that is in it, gets another name by one request (a
 * bucket with a hierarchical namespace), and what is staged goes along.
 *
 *   spool_move_begin()   nothing new is uploaded below the two names
 *   spool_move_await()   what was under way there has ended; nobody else reads objects below .from
 *   (the request)
 *   spool_move_file()    each staged file below .from
 *   spool_move_end()     everything goes on, under the names that it has then
 *
 * Thread-safe; of one move the functions are called in this order. Lock: rank SPOOL_RANK_MOVES, inside.
 */
#ifndef OSSUP_SPOOL_MOVE_H
#define OSSUP_SPOOL_MOVE_H

#include "spool/spool.h"

struct spool_move {          /* the caller's, who keeps it and the strings until spool_move_end() */
    const char *from, *to;   /* keys; both end in "/" for a directory */
    struct spool_move *next; /* the spool's */
};

/** spool_move_begin() - sends nothing, waits for nobody. */
void spool_move_begin(struct spool *spool, struct spool_move *move);
/**
 * spool_move_await() - until the request can be sent
 *
 * Return: 0; -EBUSY: it never will (an upload below has failed, or holds what the spool has let go);
 * -EINTR, -ETIMEDOUT.
 */
int spool_move_await(struct spool *spool, const struct spool_move *move, uint64_t deadline_ms,
                     struct ou_cancel *cancel, struct ou_error *err);
/** spool_move_file() - @file's object is at @key now, as the request has left it. No request. */
int spool_move_file(struct spool_file *file, const char *key, struct ou_error *err);
/** spool_move_end() - @move may go. */
void spool_move_end(struct spool *spool, struct spool_move *move);
/** spool_is_moving() - @key is below a name that is being moved. */
bool spool_is_moving(struct spool *spool, const char *key);
/** spool_moves_begun() - how many have begun so far. */
unsigned spool_moves_begun(struct spool *spool);

#endif
