/*
 * srv_lock_scope(&mutex): holds a pthread mutex to the end of the block.
 */
#ifndef SRV_LOCK_H
#define SRV_LOCK_H

#include <pthread.h>

static inline void srv_unlockp(pthread_mutex_t **lock)
{
    (void)pthread_mutex_unlock(*lock);
}

#define srv_lock_scope(mutex)                                                                      \
    __attribute__((cleanup(srv_unlockp), unused)) pthread_mutex_t *srv_held = (mutex);             \
    (void)pthread_mutex_lock(srv_held)

#endif
