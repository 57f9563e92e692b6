// jemalloc's settings, which it reads from this symbol; MALLOC_CONF in the environment
// overrides them. Measured against glibc's allocator, chat in a closed loop: 1.27 times
// the messages; and after a burst of log-ins the memory goes back to the system.
//
// One arena: nearly all memory is the I/O thread's, and each thread has a cache before it. Free memory goes
// back after a second, by a thread of jemalloc's own.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf =
    "narenas:1,lg_tcache_max:12,background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0";
}
